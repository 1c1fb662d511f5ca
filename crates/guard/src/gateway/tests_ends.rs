//! What an agent ends: its servers are told only what it may tell them.

use serde_json::json;

use super::house::*;
use super::*;
use crate::flow::Scope;
use crate::pin::FirstUse;

/// `web` may not read what `mail` gives. Its calls of `slow` are not answered.
const WEB: &str = "
[servers.web]
command = [\"z\"]
[servers.web.resources]
critical = false
audience = []
result = { influencers = [], readers = \"everyone\", reveal = \"value\" }
[servers.web.tools.slow]
critical = false
audience = []
result = { influencers = [], readers = \"everyone\", reveal = \"value\" }
";

fn with_web() -> (House, Arc<Fake>) {
    let (mail, web) = (Fake::new(&["read", "fetch", "send", "pay"]), Fake::new(&["slow"]));
    mail.answers("read", text("the password"));
    *web.hangs.lock().unwrap() = Some("slow".to_owned());
    let servers = [("mail", mail), ("notes", Fake::new(&["load"])), ("web", web.clone())];
    (house_with(&format!("{POLICY}{WEB}"), &servers, FirstUse::TrustOnFirstUse), web)
}

#[tokio::test]
async fn a_call_that_is_given_up_after_a_secret_was_read_goes_on_at_its_server() {
    let (house, web) = with_web();
    let ana = caller("ana", None);
    let slow = || json!({"name": "web__slow", "arguments": {}});
    given_up(&house, &ana, slow(), || web.got("slow").len() == 1).await;
    assert_eq!(*web.ended.lock().unwrap(), ["slow"]);
    let mut waits = Box::pin(house.ask(&ana, "tools/call", slow()));
    while web.got("slow").len() < 2 {
        assert!(futures_util::poll!(&mut waits).is_pending());
        tokio::task::yield_now().await;
    }
    house.call(&ana, "mail__read", json!({})).await;
    drop(waits);
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*web.ended.lock().unwrap(), ["slow"]);
    // That a person has stopped everything keeps nobody from giving a call up.
    let ben = caller("ben", None);
    let mut waits = Box::pin(house.ask(&ben, "tools/call", slow()));
    while web.got("slow").len() < 3 {
        assert!(futures_util::poll!(&mut waits).is_pending());
        tokio::task::yield_now().await;
    }
    tell(&house, Event::Stopped { scope: Scope::All, by: "eve".into(), at: 1 });
    drop(waits);
    assert_eq!(*web.ended.lock().unwrap(), ["slow", "slow"]);
    // For the guard it is over.
    let state = house.gateway.shared.lock();
    assert_eq!((state.engine.under_way_now(), state.engine.unresolved().count()), (0, 0));
}

#[tokio::test]
async fn a_resource_that_is_left_after_a_secret_was_read_stays_watched_for_its_server() {
    let (house, web) = with_web();
    let ana = caller("ana", None);
    let watch =
        async |name: &str| house.gateway.watch(ana.clone(), format!("ostrom+web:{name}")).await.unwrap();
    let (first, second, again) = (watch("first").await, watch("second").await, watch("second").await);
    drop(first);
    assert_eq!(*web.ended.lock().unwrap(), ["first"]);
    house.call(&ana, "mail__read", json!({})).await;
    assert!(house.gateway.hears(&ana, &second));
    drop(second);
    assert_eq!(*web.ended.lock().unwrap(), ["first"]);
    // One interest is enough to keep it.
    drop(again);
    assert_eq!(*web.ended.lock().unwrap(), ["first", "second"]);
    // With the guard everything ends, and the server knows as much.
    drop(house);
    assert_eq!(web.ended.lock().unwrap().len(), 3);
}
