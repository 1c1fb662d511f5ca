//! Notes, verifier keys and checkpoints, against notes of others.

use ostrom_core::Digest;
use proptest::prelude::*;

use super::super::{Checkpoint, Note, NoteError, SignedCheckpoint, VerifierKey};
use crate::SecretKey;

/// Key and note of the tests of Go's `sumdb/note`.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

/// The example of C2SP signed-note.
const EXAMPLE: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE_NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// A checkpoint of a Certificate Transparency log with lines of the log (also of a kind that is not known here) and of public
/// witnesses.
const ARCHE: &str =
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
const REMORA: &str = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
const ARCHE_CHECKPOINT: &str = "arche2025h1.staging.ct.transparency.dev\n1432088532\nU7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n\
\u{2014} arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=\n\
\u{2014} arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n\
\u{2014} transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==\n\
\u{2014} witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==\n\
\u{2014} remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n\
\u{2014} witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==\n";

fn key(text: &str) -> VerifierKey {
    text.parse().unwrap()
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint::new("test.example/log", size, Digest::of(b"root")).unwrap()
}

#[test]
fn notes_of_others_verify_and_come_back_byte_for_byte() {
    for (vkey, text) in [(PETER, PETER_NOTE), (EXAMPLE, EXAMPLE_NOTE)] {
        let note = Note::parse(text.as_bytes()).unwrap();
        let keys = [key(vkey)];
        assert_eq!(note.verify(&keys).unwrap().len(), 1);
        assert_eq!(note.to_string(), text);
        assert_eq!(keys[0].to_string(), vkey);
    }
}

#[test]
fn a_real_checkpoint_verifies_with_the_logs_and_a_witnesss_key() {
    let signed = SignedCheckpoint::open(ARCHE_CHECKPOINT.as_bytes(), &key(ARCHE)).unwrap();
    assert_eq!(signed.checkpoint().size(), 1_432_088_532);
    let witnesses = [key(REMORA)];
    assert!(witnesses[0].is_witness());
    let cosigned = signed.cosigned(&witnesses).unwrap();
    assert_eq!(cosigned[0].time, Some(0x6a12_2120));
    assert_eq!(signed.to_string(), ARCHE_CHECKPOINT);

    let changed = ARCHE_CHECKPOINT.replace("1432088532", "1432088533");
    assert!(matches!(
        SignedCheckpoint::open(changed.as_bytes(), &key(ARCHE)),
        Err(NoteError::BadSignature(_))
    ));
    let retimed = ARCHE_CHECKPOINT.replace("2net5wAAAABqEiEg", "2net5wAAAABqEiEh");
    let retimed = SignedCheckpoint::open(retimed.as_bytes(), &key(ARCHE)).unwrap();
    assert!(matches!(retimed.cosigned(&witnesses), Err(NoteError::BadSignature(_))));
}

#[test]
fn what_is_signed_here_verifies_and_any_change_is_noticed() {
    let (ours, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let verifier = VerifierKey::log("test.example/log", ours.public()).unwrap();
    let signed = SignedCheckpoint::sign(checkpoint(7), &ours).unwrap();
    let text = signed.to_string();
    assert_eq!(SignedCheckpoint::open(text.as_bytes(), &verifier).unwrap(), signed);
    let foreign = VerifierKey::log("test.example/log", other.public()).unwrap();
    assert_eq!(SignedCheckpoint::open(text.as_bytes(), &foreign), Err(NoteError::NoSignature));
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1 << bit;
            assert!(SignedCheckpoint::open(&changed, &verifier).is_err(), "bit {bit} of byte {at}");
        }
        assert!(SignedCheckpoint::open(&text.as_bytes()[..at], &verifier).is_err());
    }
}

#[test]
fn a_witness_counts_once_and_its_time_is_signed() {
    let (log, witness) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let mut signed = SignedCheckpoint::sign(checkpoint(7), &log).unwrap();
    let witnesses = [VerifierKey::witness("w.example", witness.public()).unwrap()];
    assert_eq!(signed.cosigned(&witnesses), Err(NoteError::NoSignature));
    signed.cosign("w.example", &witness, 1_700_000_000).unwrap();
    signed.cosign("w.example", &witness, 1_700_000_060).unwrap();
    let times: Vec<_> = signed.cosigned(&witnesses).unwrap().iter().map(|signed| signed.time).collect();
    assert_eq!(times, [Some(1_700_000_060)]);
    // The line twice, by hand.
    let mut doubled = signed.to_string();
    let line = doubled.lines().last().unwrap().to_owned();
    doubled.push_str(&line);
    doubled.push('\n');
    assert_eq!(Note::parse(doubled.as_bytes()).unwrap().verify(&witnesses).unwrap().len(), 1);
    assert_eq!(signed.cosign("w.example", &witness, 1 << 63), Err(NoteError::Time));
}

#[test]
fn a_witnesss_key_is_no_logs_key() {
    let key = SecretKey::generate().unwrap();
    let mut signed = SignedCheckpoint::sign(checkpoint(1), &key).unwrap();
    signed.cosign("test.example/log", &key, 1).unwrap();
    let witness = VerifierKey::witness("test.example/log", key.public()).unwrap();
    assert!(SignedCheckpoint::open(signed.to_string().as_bytes(), &witness).is_err());
}

#[test]
fn a_checkpoint_of_another_log_under_the_same_key_is_refused() {
    let key = SecretKey::generate().unwrap();
    let note = Note::sign(&checkpoint(1).to_string(), "other.example", &key).unwrap();
    let verifier = VerifierKey::log("other.example", key.public()).unwrap();
    assert!(matches!(
        SignedCheckpoint::open(note.to_string().as_bytes(), &verifier),
        Err(NoteError::Origin { .. })
    ));
}

#[test]
fn malformed_notes_are_refused() {
    let line = EXAMPLE_NOTE.lines().last().unwrap();
    for note in [
        String::new(),
        "\n\n".to_owned(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        format!("text\n{line}\n"),
        format!("text\n\n{line}"),
        format!("text\n\n{line}\n\n"),
        format!("te\txt\n\n{line}\n"),
        format!("text\r\n\n{line}\n"),
        format!("text\n\n{}\n", line.replace('\u{2014}', "-")),
        format!("text\n\n{}\n", line.replace("foo ", "foo  ")),
        format!("text\n\n{}\n", line.replace("foo ", "f+o ")),
        format!("text\n\n{}\n", line.replace("foo ", "f\u{a0}o ")),
        format!("text\n\n{}\n", line.replace("aQM=", "aQN=")),
        "text\n\n\u{2014} name AAAAAA==\n".to_owned(),
        format!("text\n\n{}", format!("{line}\n").repeat(65)),
        format!("{}\n\n{line}\n", "x".repeat(256 << 10)),
    ] {
        assert!(Note::parse(note.as_bytes()).is_err(), "{:.80}", note);
    }
    assert!(Note::parse(&[&[0xff], EXAMPLE_NOTE.as_bytes()].concat()).is_err());
    assert!(Note::parse(format!("text\n\n{}", format!("{line}\n").repeat(64)).as_bytes()).is_ok());
    // Empty lines in the text are allowed: the last one divides.
    let key = SecretKey::generate().unwrap();
    let note = Note::sign("a\n\nb\n", "n", &key).unwrap();
    assert_eq!(Note::parse(note.to_string().as_bytes()).unwrap(), note);
    assert!(Note::sign("no newline", "n", &key).is_err());
    assert!(Note::sign("a\n", "two words", &key).is_err());
}

#[test]
fn malformed_checkpoints_are_refused() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    assert_eq!(Checkpoint::parse(&format!("o\n0\n{root}\nmore\n")).unwrap().extensions(), ["more"]);
    for text in [
        format!("o\n0\n{root}"),
        format!("\n0\n{root}\n"),
        format!("o\n00\n{root}\n"),
        format!("o\n01\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n\n{root}\n"),
        format!("o\n18446744073709551616\n{root}\n"),
        format!("o\n1\n{}\n", root.trim_start_matches("CsUY")),
        format!("o\n1\n{}\n", root.trim_end_matches('=')),
        format!("o\n1\n{root}\n\nx\n"),
        "o\n1\n".to_owned(),
        "\n".to_owned(),
    ] {
        assert!(Checkpoint::parse(&text).is_err(), "{text}");
    }
}

#[test]
fn no_part_of_a_verifier_key_can_be_changed() {
    for at in 0..EXAMPLE.len() {
        let mut changed = EXAMPLE.as_bytes().to_vec();
        changed[at] ^= 1;
        let text = String::from_utf8(changed).unwrap();
        assert!(text.parse::<VerifierKey>().is_err(), "{text}");
        assert!(EXAMPLE.split_at(at).0.parse::<VerifierKey>().is_err());
    }
    assert!(
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse::<VerifierKey>().is_err()
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
        let _ = Note::parse(&bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let _ = Checkpoint::parse(&text);
        let _ = text.parse::<VerifierKey>();
        // In the middle of a real one, more is reached.
        let mut note = ARCHE_CHECKPOINT.as_bytes().to_vec();
        let at = at.index(note.len());
        note.splice(at..note.len().min(at + bytes.len() / 4), bytes.iter().copied());
        if let Ok(note) = Note::parse(&note) {
            let again = Note::parse(note.to_string().as_bytes());
            prop_assert_eq!(again.as_ref(), Ok(&note));
            let _ = Checkpoint::parse(note.text());
        }
    }
}
