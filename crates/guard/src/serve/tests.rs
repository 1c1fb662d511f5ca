//! Starts that fail, and what a person is told.

use super::*;
use crate::policy::Policy;

#[tokio::test]
async fn a_second_guard_with_a_state_says_what_to_do_instead() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let config = Config::wrap(&["/bin/sh".to_owned()]).unwrap();
    let policy = || InForce::new(Policy::new(config.clone()).unwrap()).unwrap();
    let held = audit_folder(&config, state);
    std::fs::create_dir_all(&held).unwrap();
    let (first, snapshot) = (policy(), policy().snapshot());
    let first: Arc<dyn Rules> = Arc::new(first);
    let _first = AuditLog::open(
        (&held, &audit::origin(&held, state).unwrap()),
        SecretKey::generate().unwrap(),
        AuditMode::Buffered,
        None,
        &mut policies(&held),
        (&first, &snapshot),
    )
    .unwrap();
    let log: Log = Arc::new(|_: &str| {});
    let key = SecretKey::generate().unwrap();
    let second = Guard::start(policy(), state, Protected::default(), key, log).await;
    let error = second.unwrap_err().to_string();
    for text in ["runs already", "over HTTP", "--state FOLDER"] {
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn tokens_that_can_be_guessed_are_refused() {
    for short in ["", "secret", "é23456789012345"] {
        assert!(super::long_enough(short).unwrap_err().contains("openssl"), "{short}");
    }
    super::long_enough("0123456789abcdef").unwrap();
}
