//! Logs of cases of disclosure, an event a line, as a damaged database would give them. What is taken is the same when it is read again,
//! every party has a view, and nobody publishes before an embargo that stands.
#![no_main]

use ostrom_exchange::disclosure::{Actor, Event, Phase, State, What};
use ostrom_fuzz::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut events = data.split(|byte| *byte == b'\n').filter_map(|line| Event::from_slice(line).ok());
    let Some(mut state) = events.next().and_then(|event| State::open(&event).ok()) else { return };
    for event in events {
        let (before, end) = (state.phase(), state.embargo_end());
        let known = state.log().len();
        if state.apply(&event).is_err() {
            assert_eq!(state.log().len(), known);
            continue;
        }
        if state.phase() == Phase::Published && before != Phase::Published {
            assert!(end.is_none_or(|end| event.at >= end), "published before the embargo's end");
        }
    }
    assert_eq!(State::replay(state.log()).as_ref(), Ok(&state));
    for party in state.members().keys() {
        let view = state.seen_by(*party).expect("a party has a view");
        let seen = state.log().iter().filter(|event| state.sees(*party, event)).count();
        assert_eq!(view.events.len(), seen);
    }
    let last = state.log().last().map_or(ostrom_core::Timestamp::EPOCH, |event| event.at);
    for event in state.overdue_events(last) {
        assert!(event.by == Actor::Node && !matches!(event.what, What::Message { .. }));
        state.apply(&event).expect("what the clock adds may happen");
    }
});
