//! Coordinated disclosure: a case as a state machine that remembers every event.
//!
//! [`State`] is pure: it says what may happen ([`State::apply`]), what each party may see ([`State::seen_by`]), what is due and what
//! the clock adds. [`Cases`] keeps cases in the store.

mod cases;
mod due;
mod event;
mod state;
mod view;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_cases;

pub use cases::{CaseError, Cases, NewCase, Ticked};
pub use due::{Due, DueKind};
pub use event::{
    Actor, Event, EventError, MAX_EVENT, MAX_EVENTS, MAX_MESSAGE, MAX_NOTE, MAX_PARTIES, Role, Terms, To,
    What,
};
pub use state::{Break, Member, Phase, Refused, State};
pub use view::{SeenActor, SeenEvent, SeenParty, View};
