//! What the command line does with nodes: sealing, peers of this machine, exports, copies, backups.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic, in their helpers too"
)]

mod common;

use std::path::Path;

use common::{Browser, TestNode};
use ostrom_core::handling::{Party, Tlp};
use ostrom_exchange::seal::{OpeningKey, SealError};
use ostrom_exchange::sealed;
use ostrom_node::client::{Client, ClientError, Place, SealedDraft};
use ostrom_node::local::{self, Command};
use ostrom_store::Location;
use reqwest::Method;
use serde_json::{Value, json};

const SECRET: &str = "it obeys invoices in mauve";

/// Whether any file in a folder holds these bytes.
fn holds(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        path.is_file() && std::fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle)
    })
}

fn draft(kind: &str, tlp: Tlp, to: &[Party], node: &TestNode) -> SealedDraft {
    let secret = json!({"name": SECRET, "description": SECRET});
    SealedDraft {
        collection: "flaws".to_owned(),
        kind: kind.to_owned(),
        title: "Sealed report".to_owned(),
        secret: secret.as_object().unwrap().clone(),
        tlp,
        audience: to.iter().copied().collect(),
        embargo: None,
        keys: Vec::new(),
        now: node.clock.now(),
    }
}

#[tokio::test]
async fn what_is_sealed_is_nowhere_in_the_clear_but_with_its_recipients() {
    let (one, relay) = (TestNode::start().await, TestNode::start().await);
    let (mut ada, mut bea) = (one.administrator().await, relay.administrator().await);
    ada.collection("flaws").await;
    let partner = ada.organisation("Partner").await;
    let mut pat = ada.invite(&one, &partner, "pat@partner.example", &["contributor", "coordinator"]).await;
    let token = ada.token(&["read", "write"]).await;
    let reporter = Client::new(&ada.origin, &token).unwrap();
    let recipient = Client::new(&ada.origin, &pat.token(&["read", "write"]).await).unwrap();
    let to = [Party::Organisation(partner.parse().unwrap())];
    let refused = reporter.seal(&draft("vulnerability", Tlp::Amber, &to, &one), None).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Seal(why) if why.contains("has given out no key")), "{refused}");

    let (key, stranger) = (OpeningKey::generate().unwrap(), OpeningKey::generate().unwrap());
    recipient.give_sealing_key(&key.public(), "Partner's desk").await.unwrap();
    assert!(recipient.give_sealing_key(&key.public(), "again").await.is_err(), "a key is given out once");
    let senders = OpeningKey::generate().unwrap();
    for (kind, sender) in [("vulnerability", Some(&senders)), ("incident", None)] {
        let sealed_to = reporter.seal(&draft(kind, Tlp::Amber, &to, &one), sender).await.unwrap();
        assert_eq!(sealed_to.keys, [(key.public().id(), Some("Partner's desk".to_owned()))]);
        let bytes = recipient.object(&sealed_to.written.id).await.unwrap().unwrap();
        let opened = sealed::open(&bytes, &key).unwrap();
        assert_eq!(opened.object["description"], SECRET);
        assert_eq!(opened.sender, sender.map(OpeningKey::public));
        assert_eq!(sealed::open(&bytes, &stranger), Err(SealError::NotARecipient));
        let moved = String::from_utf8(bytes).unwrap().replace("Sealed report", "Opened report");
        assert!(matches!(sealed::open(moved.as_bytes(), &key), Err(SealError::Context { .. })));
        // The policy holds as for anything else, and its page says what to do.
        let path = format!("/api/v1/objects/{}", sealed_to.written.id);
        assert_eq!(one.browser().get(&path).await.status, 404);
        let kind = if kind == "incident" { "incidents" } else { "flaws" };
        // Its owner cannot break the seal by editing it.
        let edit = format!("/{kind}/{}/edit", sealed_to.written.id);
        assert_eq!(ada.get(&edit).await.status, 409);
        let page = pat.get(&format!("/{kind}/{}", sealed_to.written.id)).await;
        let page = String::from_utf8(page.body).unwrap();
        assert!(page.contains("Sealed to") && page.contains("ostrom open "), "{page}");
        assert_eq!(page.contains(&senders.public().id().to_string()), sender.is_some(), "{page}");
    }

    // Another node relays it, and a backup has it: neither can read it.
    let token = pat.token(&["federate"]).await;
    let identity = one.browser().get("/federation/v1/identity").await.json();
    let form =
        json!({"url": one.browser().origin, "name": "One", "public_key": identity["key"], "token": token});
    let id = bea.api(Method::POST, "/api/v1/peers", &form).await.json()["id"].as_str().unwrap().to_owned();
    let pulled = bea.api(Method::POST, &format!("/api/v1/peers/{id}/pull"), &json!({})).await.json();
    assert!(pulled["taken"].as_u64().unwrap() >= 2, "{pulled}");
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL keeps its files elsewhere, and copies them itself.
    if one.app.config.database.is_none() {
        let database = Location::Sqlite(one.app.data().join("ostrom.db"));
        ostrom_store::backup_file(&database, &folder.path().join("backup.db")).await.unwrap();
        assert!(holds(folder.path(), b"Sealed report") && holds(relay.app.data(), b"Sealed report"));
    }
    for place in [one.app.data().as_path(), relay.app.data().as_path(), folder.path()] {
        assert!(!holds(place, SECRET.as_bytes()), "{}", place.display());
    }
    one.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn keys_are_their_owners_and_red_is_for_persons() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    ada.collection("flaws").await;
    let partner = ada.organisation("Partner").await;
    let mut pat = ada.invite(&node, &partner, "pat@partner.example", &["contributor"]).await;
    let token = ada.token(&["read", "write"]).await;
    let reporter = Client::new(&ada.origin, &token).unwrap();
    let organisation = Client::new(&ada.origin, &pat.token(&["read", "write"]).await).unwrap();
    let (own, shared) = (OpeningKey::generate().unwrap(), OpeningKey::generate().unwrap());
    organisation.give_sealing_key(&shared.public(), "desk").await.unwrap();
    let form = json!({"public_key": own.public().to_string(), "label": "Pat"});
    let made = pat.api(Method::POST, "/api/v1/sealing-keys", &form).await;
    assert_eq!(made.status, 201, "{made:?}");
    let person = made.json()["person"].as_str().unwrap().to_owned();
    for bad in ["", "zz", &"0".repeat(64)] {
        let form = json!({"public_key": bad, "label": "x"});
        assert_eq!(pat.api(Method::POST, "/api/v1/sealing-keys", &form).await.status, 422, "{bad}");
    }
    let to = [Party::Organisation(partner.parse().unwrap())];
    let refused = reporter.seal(&draft("vulnerability", Tlp::Red, &to, &node), None).await.unwrap_err();
    assert!(refused.to_string().contains("TLP:RED is sealed to persons"), "{refused}");
    let to = [Party::Person(person.parse().unwrap())];
    let sealed_to = reporter.seal(&draft("vulnerability", Tlp::Red, &to, &node), None).await.unwrap();
    assert_eq!(sealed_to.keys.len(), 1);
    // A token does not see it, the person does, as the page's export gives it.
    assert_eq!(organisation.object(&sealed_to.written.id).await.unwrap(), None);
    let bundle = pat.get(&format!("/flaws/{}/stix", sealed_to.written.id)).await.body;
    let (_, bytes) = sealed::find(&bundle).unwrap();
    assert_eq!(sealed::open(&bytes, &own).unwrap().object["name"], SECRET);
    assert_eq!(sealed::open(&bytes, &shared), Err(SealError::NotARecipient));
    // Whoever is a recipient in several ways has it once: by name, by a group, as the sender's own organisation.
    let institute = reporter.organisation().await.unwrap();
    let ours = OpeningKey::generate().unwrap();
    reporter.give_sealing_key(&ours.public(), "our desk").await.unwrap();
    let form =
        json!({"name": "All", "description": "", "organisations": [partner, institute], "persons": []});
    let group = ada.api(Method::POST, "/api/v1/groups", &form).await;
    assert_eq!(group.status, 201, "{group:?}");
    let group = Party::Group(group.json()["id"].as_str().unwrap().parse().unwrap());
    let to = [Party::Organisation(institute), Party::Organisation(partner.parse().unwrap()), group];
    let sealed_to =
        reporter.seal(&draft("vulnerability", Tlp::Amber, &to, &node), Some(&ours)).await.unwrap();
    let mut keys: Vec<_> = sealed_to.keys.iter().map(|(id, _)| *id).collect();
    keys.sort();
    // Pat's own key is of the partner's as well.
    let mut expected = [own.public().id(), shared.public().id(), ours.public().id()];
    expected.sort();
    assert_eq!(keys, expected);
    // Nobody retires another's key.
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/sealing-keys/{id}");
    assert_eq!(ada.api(Method::DELETE, &path, &json!({})).await.status, 404);
    assert_eq!(pat.api(Method::DELETE, &path, &json!({})).await.status, 204);
    assert_eq!(reporter.sealing_keys().await.unwrap().len(), 2);
    assert_eq!(node.browser().get("/api/v1/sealing-keys").await.status, 401);
    let page = String::from_utf8(pat.get("/sealing-keys").await.body).unwrap();
    assert!(page.contains("desk") && page.contains(&shared.public().id().to_string()), "{page}");
    node.stop().await;
}

#[tokio::test]
async fn peers_are_managed_on_the_nodes_own_machine_while_it_runs_and_while_it_does_not() {
    let other = TestNode::start().await;
    let mut ada = other.administrator().await;
    ada.collection("flaws").await;
    let flaw = json!({"collection": "flaws", "handling": {"tlp": "clear"}, "object": {"name": "Open"}});
    assert_eq!(ada.api(Method::POST, "/api/v1/flaws", &flaw).await.status, 201);
    let partner = ada.organisation("Partner").await;
    let mut peer = ada.invite(&other, &partner, "sync@partner.example", &["coordinator"]).await;
    let token = peer.token(&["federate"]).await;

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let node = TestNode::with(|config| config.data.clone_from(&data)).await;
    let config = node.app.config.clone();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(data.join("control.sock")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let ask = async |command: Command| local::ask(&data, &command).await.map(Option::unwrap);
    let url = other.browser().origin;
    let found = ask(Command::Look { url: url.clone() }).await.unwrap();
    let identity = other.browser().get("/federation/v1/identity").await.json();
    assert_eq!((&found["key"], &found["fingerprint"]), (&identity["key"], &identity["fingerprint"]));
    let add = Command::Add {
        url: url.clone(),
        name: "Other".to_owned(),
        public_key: found["key"].as_str().unwrap().to_owned(),
        token,
        organisation: None,
    };
    ask(add.clone()).await.unwrap();
    assert!(ask(add).await.unwrap_err().to_string().contains("URL"), "the same peer twice");
    let pulled = ask(Command::Sync { peer: url.clone() }).await.unwrap();
    assert_eq!(pulled["taken"], 1, "{pulled}");
    assert_eq!(ask(Command::Sync { peer: "Other".to_owned() }).await.unwrap()["taken"], 0);
    let none = ask(Command::Sync { peer: "Nobody".to_owned() }).await.unwrap_err();
    assert!(none.to_string().contains("ostrom peer list"), "{none}");
    let nowhere = ask(Command::Look { url: "http://localhost:1".to_owned() }).await;
    assert!(nowhere.is_err());
    assert_eq!(ask(Command::State { peer: url.clone(), active: false }).await.unwrap()["state"], "paused");
    assert!(ask(Command::Sync { peer: url.clone() }).await.is_err());
    let peers = ask(Command::Peers).await.unwrap().to_string();
    assert!(peers.contains("paused") && !peers.contains("ost_"), "{peers}");
    node.stop().await;
    // What was done is in the audit log, and the token is not.
    let audit: Vec<String> = ostrom_trust::log::read(&data.join("audit"))
        .unwrap()
        .map(|entry| String::from_utf8(entry.unwrap().bytes).unwrap())
        .filter(|deed| deed.contains("command-line"))
        .collect();
    for done in [&*format!("at {url}, key "), "pulled from now", "paused"] {
        assert!(audit.iter().any(|deed| deed.contains(done)), "{done}: {audit:?}");
    }
    assert!(audit.iter().all(|deed| !deed.contains("ost_")), "{audit:?}");

    let none = local::ask(&data, &Command::Peers).await.unwrap();
    assert_eq!(none, None, "no node runs");
    let alone = async |command: Command| local::alone(config.clone(), command).await;
    assert_eq!(alone(Command::State { peer: url.clone(), active: true }).await.unwrap()["state"], "active");
    assert_eq!(alone(Command::Sync { peer: url.clone() }).await.unwrap()["taken"], 0);
    alone(Command::Remove { peer: url }).await.unwrap();
    assert_eq!(alone(Command::Peers).await.unwrap(), json!([]));
    let mut empty = config.clone();
    empty.data = folder.path().join("empty");
    let refused = local::alone(empty, Command::Peers).await.unwrap_err();
    assert!(refused.to_string().contains("ostrom serve"), "{refused}");
    assert!(!folder.path().join("empty").exists(), "nothing is made");
    other.stop().await;
}

#[tokio::test]
async fn exports_sightings_and_relations_by_the_api() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    ada.collection("flaws").await;
    let ai = "extension-definition--44656ee4-853a-4211-99af-2d7a49789c44";
    let post = async |ada: &mut Browser, list: &str, tlp: &str, object: Value| {
        let form = json!({"collection": "flaws", "handling": {"tlp": tlp}, "object": object});
        let made = ada.api(Method::POST, &format!("/api/v1/{list}"), &form).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    };
    let affected = json!({ai: {"extension_type": "property-extension", "affected": [{"model": "m"}]}});
    let flaw =
        post(&mut ada, "flaws", "clear", json!({"name": "Obeys invoices", "extensions": affected})).await;
    let facts = json!({"effects": [{"harm": "property", "actual": true, "persons": 3}]});
    let facts = json!({ai: {"extension_type": "property-extension", "incident_facts": facts}});
    let incident =
        post(&mut ada, "incidents", "clear", json!({"name": "Paid twice", "extensions": facts})).await;
    let advisory = json!({"name": "Advice", "context": "unspecified", "object_refs": [flaw]});
    let advisory = post(&mut ada, "advisories", "clear", advisory).await;
    let sighting = post(&mut ada, "sightings", "clear", json!({"sighting_of_ref": flaw, "count": 2})).await;
    let relation = json!({"relationship_type": "related-to", "source_ref": flaw, "target_ref": incident});
    let relation = post(&mut ada, "relations", "amber", relation).await;

    let mut nobody = node.browser();
    let ids = |list: Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(nobody.get("/api/v1/sightings").await.json()), [sighting]);
    assert_eq!(ids(nobody.get("/api/v1/relations").await.json()), [""; 0]);
    assert_eq!(ids(ada.get("/api/v1/relations").await.json()), [relation]);

    let forms = |list: Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|it| it["form"].as_str().unwrap().to_owned()).collect()
    };
    for (id, expect) in [
        (&flaw, &["stix", "avid", "osv"][..]),
        (&incident, &["stix", "oecd"]),
        (&advisory, &["stix", "csaf"]),
    ] {
        assert_eq!(forms(nobody.get(&format!("/api/v1/objects/{id}/export")).await.json()), expect);
    }
    let bundle = nobody.get(&format!("/api/v1/objects/{advisory}/export/stix")).await;
    assert_eq!(bundle.header("content-type"), Some("application/stix+json;version=2.1"));
    let bundle = bundle.json();
    assert!(bundle["objects"].as_array().unwrap().iter().any(|object| object["id"] == flaw.as_str()));
    let report = nobody.get(&format!("/api/v1/objects/{incident}/export/oecd")).await.json();
    assert_eq!(report["criteria"][11]["answer"][0]["persons"], 3);
    let avid = nobody.get(&format!("/api/v1/objects/{flaw}/export/avid")).await;
    assert_eq!(avid.status, 200, "{avid:?}");
    // The page and the API give the same file.
    assert_eq!(avid.body, nobody.get(&format!("/flaws/{flaw}/export/avid")).await.body);
    assert_eq!(nobody.get(&format!("/api/v1/objects/{flaw}/export/oecd")).await.status, 404);
    assert_eq!(nobody.get(&format!("/api/v1/objects/{flaw}/export/word")).await.status, 404);
    let hidden = "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061";
    assert_eq!(nobody.get(&format!("/api/v1/objects/{hidden}/export")).await.status, 404);
    let document = nobody.get("/api/v1/openapi.json").await.json();
    for path in [
        "/api/v1/objects/{id}/export/{form}",
        "/api/v1/sightings",
        "/api/v1/relations",
        "/api/v1/sealing-keys",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    node.stop().await;
}

#[tokio::test]
async fn a_copy_goes_on_where_it_ended_and_loses_nothing_of_a_batch() {
    let node = TestNode::start().await;
    let mut ada = node.administrator().await;
    let collection = ada.collection("flaws").await;
    let token = ada.token(&["read", "write"]).await;
    // Seven objects of one batch: all were added at the same time.
    let objects: Vec<Value> = (0..7)
        .map(|n| {
            json!({"type": "vulnerability", "spec_version": "2.1", "created": "2026-08-01T10:00:00.000Z",
                "id": format!("vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd006{n}"),
                "modified": "2026-08-01T10:00:00.000Z", "name": format!("Flaw {n}")})
        })
        .collect();
    let bearer = format!("Bearer {token}");
    let taxii = "application/taxii+json;version=2.1";
    let headers = [("authorization", &*bearer), ("content-type", taxii), ("accept", taxii)];
    let path = format!("/taxii2/api/collections/{collection}/objects/");
    let sent = node
        .browser()
        .send(Method::POST, &path, &headers, json!({"objects": objects}).to_string().into_bytes())
        .await;
    assert_eq!(sent.json()["success_count"], 7, "{sent:?}");
    let client = Client::new(&ada.origin, &token).unwrap();
    let mut place = Place::default();
    let all = async |place: &mut Place| {
        let mut seen = Vec::new();
        loop {
            let (page, after) = client.sync_on(&collection, place, 3).await.unwrap();
            seen.extend(page.objects.iter().map(|object| object["id"].as_str().unwrap().to_owned()));
            *place = after;
            if !page.more {
                return seen;
            }
        }
    };
    assert_eq!(all(&mut place).await.len(), 7);
    assert_eq!(all(&mut place).await, [""; 0], "a second copy brings nothing");
    let flaw = json!({"collection": "flaws", "handling": {"tlp": "amber"}, "object": {"name": "Later"}});
    let made = ada.api(Method::POST, "/api/v1/flaws", &flaw).await.json();
    assert_eq!(all(&mut place).await, [made["id"].as_str().unwrap()]);
    // Interrupted in the middle of the batch, it goes on there.
    let mut place = Place::default();
    let (first, after) = client.sync_on(&collection, &place, 3).await.unwrap();
    place = after;
    assert_eq!((first.objects.len(), all(&mut place).await.len()), (3, 5));
    node.stop().await;
}

#[tokio::test]
async fn a_restored_node_serves_what_was_backed_up_and_its_log_goes_on() {
    let node = TestNode::start().await;
    if node.app.config.database.is_some() {
        return; // PostgreSQL has tools of its own.
    }
    let mut ada = node.administrator().await;
    ada.collection("flaws").await;
    let flaw = json!({"collection": "flaws", "handling": {"tlp": "clear"}, "object": {"name": "Kept"}});
    let id = ada.api(Method::POST, "/api/v1/flaws", &flaw).await.json()["id"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup.db");
    ostrom_store::backup_file(&Location::Sqlite(node.app.data().join("ostrom.db")), &backup).await.unwrap();
    let data = folder.path().join("restored");
    for name in ["keys", "log", "audit"] {
        copy(&node.app.data().join(name), &data.join(name));
    }
    let key = ada.get("/log/key").await.body;
    node.stop().await;
    let config = ostrom_store::Config::new(Location::Sqlite(data.join("ostrom.db")));
    ostrom_store::restore(&backup, &config).await.unwrap();
    let restored = TestNode::with(|config| config.data.clone_from(&data)).await;
    assert_eq!(restored.link, None, "it has its administrator");
    let mut nobody = restored.browser();
    assert_eq!(nobody.get(&format!("/api/v1/objects/{id}")).await.json()["name"], "Kept");
    assert_eq!(nobody.get("/log/key").await.body, key);
    let mut ada = restored.browser();
    assert_eq!(ada.sign_in("ada@institute.example", common::PASSWORD).await.status, 303);
    let more = ada.api(Method::POST, "/api/v1/flaws", &flaw).await;
    assert_eq!(more.status, 201, "{more:?}");
    restored.stop().await;
}

#[tokio::test]
async fn a_check_says_what_was_changed_behind_the_nodes_back_while_it_runs_and_while_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let node = TestNode::with(|config| config.data.clone_from(&data)).await;
    let mut ada = node.administrator().await;
    ada.collection("flaws").await;
    let flaw =
        json!({"collection": "flaws", "handling": {"tlp": "clear"}, "object": {"name": "Kept as it was"}});
    assert_eq!(ada.api(Method::POST, "/api/v1/flaws", &flaw).await.status, 201);
    let told = local::ask(&data, &Command::Check).await.unwrap().unwrap();
    assert_eq!((&told["sound"], told["objects"].as_u64() > Some(0)), (&json!(true), true), "{told}");
    let config = node.app.config.clone();
    node.stop().await;
    assert_eq!(local::alone(config.clone(), Command::Check).await.unwrap()["sound"], true);
    if config.database.is_some() {
        return; // PostgreSQL keeps its files elsewhere.
    }
    let file = data.join("ostrom.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let needle = br#""name":"Kept as it was""#;
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at + needle.len() - 2] = b'z';
    std::fs::write(&file, bytes).unwrap();
    let told = local::alone(config, Command::Check).await.unwrap();
    assert_eq!(told["sound"], false, "{told}");
    assert!(told["problems"][0].as_str().unwrap().contains("vulnerability--"), "{told}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else if entry.path().is_file() {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn another_node_cosigns_the_log_by_pulling() {
    let (one, two) = (TestNode::start().await, TestNode::start().await);
    let (mut ada, mut bea) = (one.administrator().await, two.administrator().await);
    ada.collection("flaws").await;
    let flaw = json!({"collection": "flaws", "handling": {"tlp": "clear"}, "object": {"name": "Open"}});
    assert_eq!(ada.api(Method::POST, "/api/v1/flaws", &flaw).await.status, 201);
    // Each is a peer of the other, and its member.
    let mut peers = Vec::new();
    for (here, admin, there, boss) in
        [(&two, &mut bea.clone(), &one, &mut ada.clone()), (&one, &mut ada, &two, &mut bea)]
    {
        let member = boss.organisation("Peer").await;
        let mut sync = boss.invite(there, &member, "sync@peer.example", &["coordinator"]).await;
        let token = sync.token(&["federate"]).await;
        let key = there.browser().get("/federation/v1/identity").await.json()["key"].clone();
        peers.push((here, admin.clone(), there.browser().origin, key, token, member));
    }
    let members: Vec<String> = peers.iter().map(|peer| peer.5.clone()).collect();
    let mut pulls = Vec::new();
    for (number, (_, mut admin, url, key, token, _)) in peers.into_iter().enumerate() {
        // The member that it reads as here: by it the node knows whose checkpoints it has cosigned.
        let organisation = &members[1 - number];
        let form = json!({"url": url, "name": "Peer", "public_key": key, "token": token, "organisation": organisation});
        let made = admin.api(Method::POST, "/api/v1/peers", &form).await;
        assert_eq!(made.status, 201, "{made:?}");
        pulls.push((admin, format!("/api/v1/peers/{}/pull", made.json()["id"].as_str().unwrap())));
    }
    for (admin, path) in &mut pulls {
        let pulled = admin.api(Method::POST, path, &json!({})).await;
        assert_eq!(pulled.status, 200, "{pulled:?}");
    }
    let note = String::from_utf8(one.browser().get("/log/checkpoint").await.body).unwrap();
    let key: ostrom_exchange::federation::PeerKey =
        two.browser().get("/federation/v1/identity").await.json()["key"].as_str().unwrap().parse().unwrap();
    let log = String::from_utf8(one.browser().get("/log/key").await.body).unwrap();
    let checkpoint =
        ostrom_trust::log::SignedCheckpoint::open(note.as_bytes(), &log.trim().parse().unwrap()).unwrap();
    checkpoint.cosigned(std::slice::from_ref(key.witness())).unwrap();
    one.stop().await;
    two.stop().await;
}
