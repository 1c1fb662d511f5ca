//! Passkeys over HTTP, with an authenticator that these tests play.

mod common;

use ciborium::Value as Cbor;
use common::{Answer, Browser, TestNode};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer as _, SigningKey};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

struct Authenticator {
    key: SigningKey,
    id: Vec<u8>,
    user: Vec<u8>,
    count: u32,
}

fn text(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

impl Authenticator {
    fn data(&self, attested: bool) -> Vec<u8> {
        let mut data = Sha256::digest(b"localhost").to_vec();
        data.push(0b101 | if attested { 1 << 6 } else { 0 });
        data.extend(self.count.to_be_bytes());
        if attested {
            data.extend([0; 16]);
            data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
            data.extend(&self.id);
            let x = self.key.verifying_key().to_bytes().to_vec();
            let map: Vec<(i64, Cbor)> =
                vec![(1, 1.into()), (3, (-8).into()), (-1, 6.into()), (-2, Cbor::Bytes(x))];
            let map = Cbor::Map(map.into_iter().map(|(name, value)| (name.into(), value)).collect());
            ciborium::into_writer(&map, &mut data).unwrap();
        }
        data
    }

    fn create(&self, options: &Value, origin: &str) -> Value {
        let client = json!({"type": "webauthn.create", "challenge": options["challenge"], "origin": origin})
            .to_string();
        let object = Cbor::Map(vec![
            ("fmt".into(), "none".into()),
            ("attStmt".into(), Cbor::Map(vec![])),
            ("authData".into(), Cbor::Bytes(self.data(true))),
        ]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&object, &mut bytes).unwrap();
        json!({"clientDataJSON": text(client.as_bytes()), "attestationObject": text(&bytes)})
    }

    fn get(&self, options: &Value, origin: &str) -> Value {
        let client =
            json!({"type": "webauthn.get", "challenge": options["challenge"], "origin": origin}).to_string();
        let data = self.data(false);
        let mut message = data.clone();
        message.extend_from_slice(&Sha256::digest(client.as_bytes()));
        json!({"id": text(&self.id), "response": {
            "clientDataJSON": text(client.as_bytes()), "authenticatorData": text(&data),
            "signature": text(&self.key.sign(&message).to_bytes()), "userHandle": text(&self.user),
        }})
    }
}

async fn post(browser: &mut Browser, path: &str, body: &Value) -> Answer {
    browser.api(Method::POST, path, body).await
}

/// Registers a passkey for whoever is signed in.
async fn register(browser: &mut Browser) -> Authenticator {
    let options = post(browser, "/auth/passkey/register/begin", &json!({})).await;
    assert_eq!(options.status, 200, "{options:?}");
    let options = options.json();
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    assert_eq!((&options["rp"]["id"], &options["attestation"]), (&json!("localhost"), &json!("none")));
    let user = BASE64URL_NOPAD.decode(options["user"]["id"].as_str().unwrap().as_bytes()).unwrap();
    let device = Authenticator { key: SigningKey::from_bytes(&[5; 32]), id: vec![1, 2, 3], user, count: 1 };
    let origin = browser.origin.clone();
    let form = json!({"name": "Laptop", "response": device.create(&options, &origin)});
    let done = post(browser, "/auth/passkey/register/finish", &form).await;
    assert_eq!(done.status, 204, "{done:?}");
    // The challenge is used up.
    assert_eq!(post(browser, "/auth/passkey/register/finish", &form).await.status, 422);
    device
}

async fn sign_in(browser: &mut Browser, device: &Authenticator) -> Answer {
    let options = post(browser, "/auth/passkey/begin", &json!({})).await.json();
    let origin = browser.origin.clone();
    let mut form = device.get(&options, &origin);
    form["next"] = json!("/cases");
    post(browser, "/auth/passkey/finish", &form).await
}

#[tokio::test]
async fn a_passkey_signs_in_without_a_name_and_ends_when_it_is_removed() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let mut device = register(&mut ada).await;
    let mut browser = node.browser();
    device.count = 2;
    let done = sign_in(&mut browser, &device).await;
    assert_eq!((done.status, &done.json()["next"]), (200, &json!("/cases")));
    assert_eq!(browser.get("/api/v1/me").await.json()["name"], "Ada");
    // A counter that stands still or goes back says that there are two.
    assert_eq!(sign_in(&mut node.browser(), &device).await.status, 422);
    device.count = 1;
    assert_eq!(sign_in(&mut node.browser(), &device).await.status, 422);
    device.count = 3;
    assert_eq!(sign_in(&mut node.browser(), &device).await.status, 200);
    let removed = browser.form("/auth/passkey/remove", &[("id", &text(&device.id))]).await;
    assert_eq!(removed.status, 303);
    device.count = 4;
    assert_eq!(sign_in(&mut node.browser(), &device).await.status, 422);
    node.stop().await;
}

#[tokio::test]
async fn what_was_signed_for_somebody_else_signs_nobody_in() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let mut device = register(&mut ada).await;
    device.count = 10;
    let origin = ada.origin.clone();
    let (mut one, mut two) = (node.browser(), node.browser());
    let options = post(&mut one, "/auth/passkey/begin", &json!({})).await.json();
    let _ = post(&mut two, "/auth/passkey/begin", &json!({})).await;
    // An answer to another browser's challenge.
    assert_eq!(post(&mut two, "/auth/passkey/finish", &device.get(&options, &origin)).await.status, 422);
    // Of another site.
    assert_eq!(
        post(&mut one, "/auth/passkey/finish", &device.get(&options, "https://evil.example")).await.status,
        422
    );
    // For another person, with another key, of a credential that nobody knows.
    let others = [
        Authenticator { user: vec![0; 16], key: device.key.clone(), id: device.id.clone(), count: 10 },
        Authenticator {
            key: SigningKey::from_bytes(&[6; 32]),
            user: device.user.clone(),
            id: device.id.clone(),
            count: 10,
        },
        Authenticator { id: vec![9], key: device.key.clone(), user: device.user.clone(), count: 10 },
    ];
    let mut told = Vec::new();
    for other in &others {
        let answer = sign_in(&mut node.browser(), other).await;
        told.push((answer.status, answer.body));
    }
    // And the answer does not say which of these it was.
    assert!(told.iter().all(|one| *one == told[0]) && told[0].0 == 422);
    // Without the form's token no challenge is given.
    let bare = node.browser().send(Method::POST, "/auth/passkey/begin", &[], Vec::new()).await;
    assert_eq!(bare.status, 403);
    // After five minutes a challenge is over.
    let mut late = node.browser();
    let options = post(&mut late, "/auth/passkey/begin", &json!({})).await.json();
    node.clock.advance(300);
    assert_eq!(post(&mut late, "/auth/passkey/finish", &device.get(&options, &origin)).await.status, 422);
    node.stop().await;
}
