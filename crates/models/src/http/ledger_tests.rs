//! Caps hold whatever the order of reservations and settlements.

use proptest::prelude::*;

use super::*;

const PRICE: Price = Price { usd_per_million_input: 3.0, usd_per_million_output: 15.0 };

fn usage(input_tokens: u64, output_tokens: u64) -> Usage {
    Usage { input_tokens, output_tokens }
}

fn reached(result: Result<Reservation, ModelError>) -> String {
    match result {
        Err(ModelError::CapReached { limit }) => limit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn estimates_are_a_third_of_the_bytes_and_all_the_output() {
    assert_eq!(estimate(0, 1), usage(0, 1));
    assert_eq!(estimate(10, 256), usage(4, 256));
}

#[test]
fn every_cap_stops_and_is_named() {
    let caps = Caps { max_requests: Some(2), ..Caps::default() };
    let mut ledger = Ledger::new(caps, None, Spent::default());
    for _ in 0..2 {
        let reservation = ledger.reserve(usage(1, 1)).unwrap();
        ledger.settle(reservation, Settled::Nothing);
    }
    assert_eq!(reached(ledger.reserve(usage(1, 1))), "2 requests");

    let mut ledger = Ledger::new(Caps { max_tokens: Some(10), ..Caps::default() }, None, Spent::default());
    let reservation = ledger.reserve(usage(4, 6)).unwrap();
    assert_eq!(reached(ledger.reserve(usage(0, 1))), "10 tokens");
    ledger.settle(reservation, Settled::Actual(usage(4, 1)));
    let reservation = ledger.reserve(usage(0, 5)).unwrap();
    ledger.settle(reservation, Settled::Unknown);
    assert_eq!(ledger.spent().tokens, usage(4, 6));

    // 1000 input and 100 output tokens cost 0.0045 dollars.
    let mut ledger =
        Ledger::new(Caps { max_cost_usd: Some(0.0045), ..Caps::default() }, Some(PRICE), Spent::default());
    let reservation = ledger.reserve(usage(1000, 100)).unwrap();
    assert_eq!(reached(ledger.reserve(usage(1, 0))), "0.0045 US dollars");
    ledger.settle(reservation, Settled::Actual(usage(500, 100)));
    assert_eq!(ledger.spent().cost_usd, Some(0.003));
}

#[test]
fn a_cap_in_money_without_a_price_lets_nothing_through() {
    let mut ledger = Ledger::new(Caps { max_cost_usd: Some(1.0), ..Caps::default() }, None, Spent::default());
    assert_eq!(reached(ledger.reserve(usage(0, 0))), "1 US dollars");
}

#[test]
fn an_attempt_above_its_estimate_ends_the_run() {
    let mut ledger = Ledger::new(Caps { max_tokens: Some(100), ..Caps::default() }, None, Spent::default());
    let reservation = ledger.reserve(usage(10, 10)).unwrap();
    ledger.settle(reservation, Settled::Actual(usage(u64::MAX, u64::MAX)));
    assert_eq!(reached(ledger.reserve(usage(0, 1))), "100 tokens");
}

#[test]
fn an_abandoned_attempt_counts_as_its_estimate() {
    let ledger = Mutex::new(Ledger::new(Caps::default(), None, Spent::default()));
    drop(Hold::new(&ledger, usage(3, 4)).unwrap());
    Hold::new(&ledger, usage(3, 4)).unwrap().settle(Settled::Actual(usage(1, 1)));
    assert_eq!(lock(&ledger).spent(), Spent { requests: 2, tokens: usage(4, 5), cost_usd: None });
}

/// What happens next: a reservation, or the settlement of one of the open ones.
#[derive(Debug, Clone)]
enum Step {
    Reserve {
        input: u64,
        output: u64,
    },
    /// Which open reservation, how, and which share of its estimate it used (in 256ths).
    Settle {
        which: usize,
        how: u8,
        share: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reserve = (0..2000u64, 0..2000u64).prop_map(|(input, output)| Step::Reserve { input, output });
    let settle = (any::<usize>(), 0..3u8, any::<u8>()).prop_map(|(which, how, share)| Step::Settle {
        which,
        how,
        share,
    });
    proptest::collection::vec(prop_oneof![3 => reserve, 2 => settle], 0..200)
}

proptest! {
    /// Exact integers here, so that the check does not share the ledger's arithmetic: a price of whole dollars for a
    /// million tokens, a cap in whole microdollars.
    #[test]
    fn caps_are_never_exceeded(
        steps in steps(),
        max_requests in 0..150u64,
        max_tokens in 0..40_000u64,
        max_microdollars in 0..200_000u32,
        rates in (0..20u32, 0..20u32),
    ) {
        let caps = Caps {
            max_requests: Some(max_requests),
            max_tokens: Some(max_tokens),
            max_cost_usd: Some(f64::from(max_microdollars) / 1e6),
        };
        let price = Price { usd_per_million_input: rates.0.into(), usd_per_million_output: rates.1.into() };
        let mut ledger = Ledger::new(caps, Some(price), Spent::default());
        let (mut open, mut requests, mut spent) = (Vec::new(), 0u64, (0u64, 0u64));
        let fits = |requests: u64, input: u64, output: u64| {
            requests <= max_requests
                && input + output <= max_tokens
                && input * u64::from(rates.0) + output * u64::from(rates.1) <= max_microdollars.into()
        };
        for step in steps {
            let held = open.iter().fold((0, 0), |sum: (u64, u64), (_, (i, o))| (sum.0 + i, sum.1 + o));
            match step {
                Step::Reserve { input, output } => {
                    let would_fit = fits(requests + 1, spent.0 + held.0 + input, spent.1 + held.1 + output);
                    match ledger.reserve(usage(input, output)) {
                        Ok(reservation) => {
                            prop_assert!(would_fit);
                            requests += 1;
                            open.push((reservation, (input, output)));
                        }
                        Err(error) => {
                            prop_assert!(!would_fit, "refused without need: {error}");
                            prop_assert!(error.is_fatal());
                        }
                    }
                }
                Step::Settle { which, how, share } if !open.is_empty() => {
                    let (reservation, (input, output)) = open.swap_remove(which % open.len());
                    let used = (input * u64::from(share) / 255, output * u64::from(share) / 255);
                    let (settled, cost) = match how {
                        0 => (Settled::Nothing, (0, 0)),
                        1 => (Settled::Actual(usage(used.0, used.1)), used),
                        _ => (Settled::Unknown, (input, output)),
                    };
                    ledger.settle(reservation, settled);
                    spent = (spent.0 + cost.0, spent.1 + cost.1);
                }
                Step::Settle { .. } => {}
            }
            prop_assert!(fits(requests, spent.0, spent.1));
            prop_assert_eq!(ledger.spent().requests, requests);
            prop_assert_eq!(ledger.spent().tokens, usage(spent.0, spent.1));
        }
    }
}

#[test]
fn what_was_spent_before_an_interruption_counts() {
    let before = Spent { requests: 3, tokens: Usage { input_tokens: 60, output_tokens: 0 }, cost_usd: None };
    let caps = |max_requests, max_tokens| Caps { max_requests, max_tokens, max_cost_usd: None };
    assert!(Ledger::new(caps(Some(3), None), None, before).reserve(Usage::default()).is_err());
    assert!(Ledger::new(caps(Some(4), None), None, before).reserve(Usage::default()).is_ok());
    let more = Usage { input_tokens: 41, output_tokens: 0 };
    assert!(Ledger::new(caps(None, Some(100)), None, before).reserve(more).is_err());
    assert!(Ledger::new(caps(None, Some(101)), None, before).reserve(more).is_ok());
}
