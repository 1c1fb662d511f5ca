//! Bounds of the HTTP providers: requests at once, and caps on requests, tokens and money.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "clippy takes only functions marked as tests for tests, not the helpers beside them"
)]

mod http_mock;

use std::sync::Arc;
use std::time::Duration;

use http_mock::{GOOD, Mock, Reply, config, good, hello, request, whole};
use ostrom_models::http::{Caps, HttpConfig, HttpModel, Price};
use ostrom_models::{Model, ModelError};
use tokio::sync::Barrier;

#[tokio::test]
async fn requests_at_once_stay_within_the_bound() {
    let barrier = Arc::new(Barrier::new(3));
    let mock = Mock::start([Reply::Together(barrier, whole(200, "X-Nothing: 0", GOOD))]).await;
    let model = Arc::new(HttpModel::new(HttpConfig { concurrency: 3, ..config(&mock) }).unwrap());
    assert_eq!(model.concurrency(), 3);
    let answers: Vec<_> = (0..12)
        .map(|_| {
            let model = Arc::clone(&model);
            tokio::spawn(async move { model.generate(request()).await })
        })
        .collect();
    for answer in answers {
        assert_eq!(answer.await.unwrap(), Ok(hello()));
    }
    // The server answers only when three are under way, so three it was, and never four.
    assert_eq!(mock.peak(), 3);
}

#[tokio::test]
async fn connections_are_used_again() {
    let mock = Mock::start([good()]).await;
    let model = HttpModel::new(config(&mock)).unwrap();
    for _ in 0..20 {
        model.generate(request()).await.unwrap();
    }
    assert_eq!(mock.received().len(), 20);
    assert!(mock.connections() < 10, "{} connections", mock.connections());
}

#[tokio::test]
async fn a_cap_on_requests_counts_every_attempt() {
    let mock = Mock::start([Reply::json(500, "oops")]).await;
    let caps = Caps { max_requests: Some(2), ..Caps::default() };
    let error =
        HttpModel::new(HttpConfig { caps, ..config(&mock) }).unwrap().generate(request()).await.unwrap_err();
    assert_eq!(error, ModelError::CapReached { limit: "2 requests".to_owned() });
    assert!(error.is_fatal());
    assert_eq!(mock.replies(), 2);
}

/// 30 requests at once under these caps: how many the server got.
async fn requests_under(caps: Caps) -> usize {
    let mock = Mock::start([good()]).await;
    let prices = Some(Price { usd_per_million_input: 1000.0, usd_per_million_output: 1000.0 });
    let model = Arc::new(HttpModel::new(HttpConfig { caps, prices, ..config(&mock) }).unwrap());
    let answers: Vec<_> = (0..30)
        .map(|_| {
            let model = Arc::clone(&model);
            tokio::spawn(async move { model.generate(request()).await })
        })
        .collect();
    let mut good = 0;
    for answer in answers {
        match answer.await.unwrap() {
            Ok(_) => good += 1,
            Err(error) => assert!(matches!(error, ModelError::CapReached { .. }), "{error}"),
        }
    }
    assert_eq!(good, mock.replies(), "a request that was sent was paid for, so its answer counts");
    let spent = model.spent();
    assert_eq!(spent.requests, u64::try_from(good).unwrap());
    let tokens = spent.tokens.input_tokens + spent.tokens.output_tokens;
    assert!(tokens <= caps.max_tokens.unwrap_or(u64::MAX));
    assert!(spent.cost_usd.unwrap() <= caps.max_cost_usd.unwrap_or(f64::INFINITY));
    good
}

#[tokio::test]
async fn caps_stop_requests_that_run_at_once() {
    assert_eq!(requests_under(Caps { max_requests: Some(7), ..Caps::default() }).await, 7);
    // One request is estimated at about 50 tokens and costs 7, a thousandth of a dollar each.
    let some = requests_under(Caps { max_tokens: Some(100), ..Caps::default() }).await;
    assert!((1..=14).contains(&some), "{some}");
    let some = requests_under(Caps { max_cost_usd: Some(0.1), ..Caps::default() }).await;
    assert!((1..=14).contains(&some), "{some}");
    assert_eq!(requests_under(Caps { max_tokens: Some(10), ..Caps::default() }).await, 0);
    assert_eq!(requests_under(Caps { max_cost_usd: Some(0.01), ..Caps::default() }).await, 0);
}

#[tokio::test]
async fn an_abandoned_request_counts_and_frees_its_slot() {
    let mock = Mock::start([Reply::Hang, good()]).await;
    let model = HttpModel::new(HttpConfig { concurrency: 1, ..config(&mock) }).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(150), model.generate(request())).await.is_err());
    assert_eq!(model.spent().tokens.output_tokens, 10);
    assert_eq!(model.generate(request()).await, Ok(hello()));
    assert_eq!(model.spent().requests, 2);
}
