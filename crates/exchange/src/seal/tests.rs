use proptest::prelude::*;

use super::*;

const CONTEXT: &str = "vulnerability--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061";

fn keys(count: usize) -> Vec<OpeningKey> {
    (0..count).map(|_| OpeningKey::generate().unwrap()).collect()
}

fn publics(keys: &[OpeningKey]) -> Vec<RecipientKey> {
    keys.iter().map(OpeningKey::public).collect()
}

#[test]
fn every_recipient_opens_it_and_nobody_else() {
    let (keys, stranger) = (keys(3), OpeningKey::generate().unwrap());
    let sealed = Sealed::new(b"secret", CONTEXT, &publics(&keys)).unwrap();
    let sealed = Sealed::from_slice(&sealed.to_json().unwrap()).unwrap();
    assert_eq!(sealed.recipients().count(), 3);
    for key in &keys {
        assert_eq!(sealed.open(CONTEXT, key).unwrap(), b"secret");
    }
    assert_eq!(sealed.open(CONTEXT, &stranger), Err(SealError::NotARecipient));
    // The stranger writes their key over a recipient's.
    let mut stolen = sealed.clone();
    stolen.recipients[0].key = stranger.public().id();
    assert_eq!(stolen.open(CONTEXT, &stranger), Err(SealError::Changed));
}

#[test]
fn the_list_of_recipients_and_the_context_cannot_be_changed() {
    let keys = keys(2);
    let sealed = Sealed::new(b"secret", CONTEXT, &publics(&keys)).unwrap();
    let own =
        |sealed: &Sealed| sealed.recipients.iter().position(|s| s.key == keys[0].public().id()).unwrap();
    let mut fewer = sealed.clone();
    fewer.recipients.remove(1 - own(&sealed));
    assert_eq!(fewer.open(CONTEXT, &keys[0]), Err(SealError::Changed));
    let mut moved = sealed.clone();
    moved.context = "report--0c7b5b88-8ff7-4a4d-aa9d-feb398cd0061".to_owned();
    let context = moved.context.clone();
    assert!(matches!(moved.open(CONTEXT, &keys[0]), Err(SealError::Context { .. })));
    assert_eq!(moved.open(&context, &keys[0]), Err(SealError::Changed));
}

#[test]
fn every_recipient_knows_who_made_it_and_nobody_makes_it_in_anothers_name() {
    let (keys, sender, stranger) =
        (keys(2), OpeningKey::generate().unwrap(), OpeningKey::generate().unwrap());
    let sealed = Sealed::by(&sender, b"secret", CONTEXT, &publics(&keys)).unwrap();
    let sealed = Sealed::from_slice(&sealed.to_json().unwrap()).unwrap();
    assert_eq!(sealed.sender(), Some(&sender.public()));
    for key in &keys {
        assert_eq!(sealed.open(CONTEXT, key).unwrap(), b"secret");
    }
    // Somebody else makes one and says that it is the sender's; or says of the sender's that it is theirs, or nobody's.
    let mut forged = Sealed::by(&stranger, b"forged", CONTEXT, &publics(&keys)).unwrap();
    forged.sender = Some(sender.public());
    assert_eq!(forged.open(CONTEXT, &keys[0]), Err(SealError::Changed));
    let mut taken = sealed.clone();
    taken.sender = Some(stranger.public());
    assert_eq!(taken.open(CONTEXT, &keys[0]), Err(SealError::Changed));
    let mut nobodys = Sealed::new(b"forged", CONTEXT, &publics(&keys)).unwrap();
    nobodys.sender = Some(sender.public());
    assert!(matches!(nobodys.open(CONTEXT, &keys[0]), Err(SealError::Malformed(_))));
    nobodys.format = SIGNED.to_owned();
    assert_eq!(nobodys.open(CONTEXT, &keys[0]), Err(SealError::Changed));
    let mut stripped = sealed.clone();
    (stripped.sender, stripped.format) = (None, FORMAT.to_owned());
    assert_eq!(stripped.open(CONTEXT, &keys[0]), Err(SealError::Changed));
    assert!(Sealed::from_slice(&Sealed { sender: None, ..sealed }.to_json().unwrap()).is_err());
}

#[test]
fn a_recipient_who_knows_the_content_key_puts_nothing_in_the_senders_name_before_another() {
    let (keys, sender) = (keys(2), OpeningKey::generate().unwrap());
    let (mallory, victim) = (&keys[0], &keys[1]);
    let sealed = Sealed::by(&sender, b"secret", CONTEXT, &publics(&keys)).unwrap();
    let stanza = sealed.recipients.iter().find(|stanza| stanza.key == mallory.public().id()).unwrap();
    let (encapsulated, inner) =
        (BASE64.decode(stanza.encapsulated.as_bytes()), BASE64.decode(stanza.sealed.as_bytes()));
    let known = hpke_open(
        mallory,
        sealed.sender(),
        &encapsulated.unwrap(),
        &info(SIGNED, CONTEXT),
        &inner.unwrap(),
        b"",
    );
    let content: [u8; 32] = known.unwrap()[..32].try_into().unwrap();
    let again = |mut forged: Sealed, body: &[u8]| {
        let header = forged.header().unwrap();
        let payload = Payload { msg: body, aad: header.as_bytes() };
        forged.body = BASE64.encode(&Cipher::new(&content.into()).encrypt(&[0; 12].into(), payload).unwrap());
        forged.open(CONTEXT, victim)
    };
    assert_eq!(again(sealed.clone(), b"secret").unwrap(), b"secret", "the test seals as the seal does");
    assert_eq!(again(sealed.clone(), b"forged"), Err(SealError::Changed));
    // Nor does mallory take herself off the list of those who know it.
    let mut fewer = sealed;
    fewer.recipients.retain(|stanza| stanza.key == victim.public().id());
    assert_eq!(again(fewer, b"secret"), Err(SealError::Changed));
}

#[test]
fn bounds() {
    let key = publics(&keys(1)).remove(0);
    assert_eq!(Sealed::new(b"", CONTEXT, &[]).unwrap_err(), SealError::Recipients(0));
    let twice = Sealed::new(b"", CONTEXT, &[key.clone(), key.clone()]).unwrap();
    assert_eq!(twice.recipients().count(), 1);
    assert!(matches!(Sealed::new(&vec![0; MAX_BODY + 1], CONTEXT, &[key]), Err(SealError::TooLong(_))));
    assert!(matches!(Sealed::from_slice(&vec![b' '; MAX_SEALED + 1]), Err(SealError::Malformed(_))));
}

#[test]
fn keys_are_read_again_and_secret_ones_print_masked() {
    let key = OpeningKey::generate().unwrap();
    let again = OpeningKey::from_secret_text(&key.to_secret_text()).unwrap();
    assert_eq!(again.public(), key.public());
    assert_eq!(key.public().to_string().parse::<RecipientKey>().unwrap(), key.public());
    assert!(!format!("{key:?}").contains(&key.to_secret_text()));
    assert!("00".parse::<RecipientKey>().is_err());
}

#[test]
fn the_same_body_never_looks_the_same() {
    let key = publics(&keys(1));
    assert_ne!(
        Sealed::new(b"x", CONTEXT, &key).unwrap().body,
        Sealed::new(b"x", CONTEXT, &key).unwrap().body
    );
}

#[test]
fn rfc_9180_appendix_a_2_1() {
    let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
    let ephemeral = hex("909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b");
    let recipient = hex("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df");
    let info = hex("4f6465206f6e2061204772656369616e2055726e");
    let plain = hex("4265617574792069732074727574682c20747275746820626561757479");
    let (secret, public) = Kem::derive_keypair(&recipient);
    let (key, public) = (OpeningKey(secret), RecipientKey(public));
    assert_eq!(public.to_string(), "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a");
    // The RFC prints the secret key before X25519 clamps it.
    let printed = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb";
    assert_eq!(OpeningKey::from_secret_text(printed).unwrap().public(), key.public());
    let mut random = Random { first: ephemeral, ..Random::new().unwrap() };
    let (encapsulated, sealed) = hpke_seal(&mut random, None, &public, &info, &plain, b"Count-0").unwrap();
    assert_eq!(
        HEXLOWER.encode(&encapsulated),
        "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"
    );
    assert_eq!(
        HEXLOWER.encode(&sealed),
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"
    );
    assert_eq!(hpke_open(&key, None, &encapsulated, &info, &sealed, b"Count-0").unwrap(), plain);
}

proptest! {
    #[test]
    fn changed_or_cut_bytes_never_open_and_never_panic(named in any::<bool>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let key = OpeningKey::generate().unwrap();
        let good = if named {
            Sealed::by(&key, b"secret", CONTEXT, &[key.public()]).unwrap()
        } else {
            Sealed::new(b"secret", CONTEXT, &[key.public()]).unwrap()
        };
        let good_bytes = good.to_json().unwrap();
        let mut bytes = good_bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(changed) = Sealed::from_slice(&bytes)
            && changed != good
        {
            prop_assert!(changed.open(CONTEXT, &key).is_err());
        }
        prop_assert!(Sealed::from_slice(&good_bytes[..cut.index(good_bytes.len())]).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Sealed::from_slice(&bytes);
    }
}
