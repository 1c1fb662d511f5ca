//! How long a subscription lasts: as long as whoever hears of it carries its label, and nobody has stopped it.

use super::house::*;
use super::*;
use crate::flow::Scope;
use crate::front::Watch;

const RESOURCE: &str = "ostrom+mail:file:///x";

async fn watch(house: &House, who: &Arc<Caller>) -> Watch {
    house.gateway.watch(who.clone(), RESOURCE.to_owned()).await.unwrap()
}

#[tokio::test]
async fn a_subscription_does_not_outlive_its_label() {
    let (house, ..) = house();
    let ana = caller("ana", None);
    let hears = |who: &Arc<Caller>, watch: &Watch| house.gateway.hears(who, watch);
    let first = watch(&house, &ana).await;
    assert!(hears(&ana, &first));
    // Another context has not seen what this one has.
    assert!(!hears(&caller("ben", None), &first));
    tell(&house, Event::Reset { context: context(&ana), by: "ana".into(), at: 1 });
    assert!(!hears(&ana, &first));
    let second = watch(&house, &ana).await;
    assert!(hears(&ana, &second));
    for scope in [Scope::All, Scope::Principal("ana".into()), Scope::Server("mail".into())] {
        tell(&house, Event::Stopped { scope: scope.clone(), by: "ana".into(), at: 1 });
        assert!(!hears(&ana, &second), "{scope}");
        tell(&house, Event::Lifted { scope, by: "ana".into(), at: 1 });
        assert!(hears(&ana, &second));
    }
    tell(&house, Event::Revoked { source: "mail".into(), by: "ana".into(), at: 1 });
    assert!(!hears(&ana, &second));
    // What is no watch of the guard's is none.
    assert!(!hears(&ana, &(Box::new(()) as Watch)));
}

#[tokio::test]
async fn one_run_hears_nothing_of_anothers_subscription_nor_of_its_own_once_it_has_ended() {
    let (house, ..) = house();
    let run = || caller("ana", Some(&house.gateway.mint("ana").unwrap().0));
    let (one, other) = (run(), run());
    let watched = watch(&house, &one).await;
    assert!(house.gateway.hears(&one, &watched) && !house.gateway.hears(&other, &watched));
    // It may once it carries the label itself.
    let _also = watch(&house, &other).await;
    assert!(house.gateway.hears(&other, &watched));
    // A run that has ended calls nothing, so what it hears does no harm; its own subscriptions have ended with it.
    tell(&house, Event::Closed { context: context(&other), at: 1 });
    assert!(house.gateway.hears(&other, &watched));
    tell(&house, Event::Closed { context: context(&one), at: 1 });
    assert!(!house.gateway.hears(&one, &watched) && !house.gateway.hears(&other, &watched));
}

/// What clients are told of what a server says.
fn told(house: &House, server: &str, change: Notification) -> Vec<String> {
    let mut changes = house.gateway.changes(&caller("ana", None));
    house.gateway.changed(server, change);
    let mut told = Vec::new();
    while let Ok(change) = changes.try_recv() {
        told.push(change.method);
    }
    told
}

#[tokio::test]
async fn a_server_that_is_stopped_tells_of_no_changes() {
    let (house, ..) = house();
    let method = "notifications/tools/list_changed";
    let change = || Notification { method: method.to_owned(), params: Map::new() };
    assert_eq!(told(&house, "mail", change()), [method]);
    let none: [&str; 0] = [];
    tell(&house, Event::Stopped { scope: Scope::Server("mail".into()), by: "ana".into(), at: 1 });
    assert_eq!(told(&house, "mail", change()), none);
    assert_eq!(told(&house, "notes", change()), [method]);
    tell(&house, Event::Revoked { source: "notes".into(), by: "ana".into(), at: 1 });
    assert_eq!(told(&house, "notes", change()), none);
}
