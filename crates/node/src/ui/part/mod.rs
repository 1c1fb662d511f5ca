//! What pages are made of. Each part renders itself; every text in it is escaped by its template.

mod badge;
mod block;
mod form;
mod table;
mod time;

pub use badge::{Badge, Tone, tlp_meaning};
pub use block::{
    Action, Block, Head, Message, Notice, Pager, Passkey, Proportion, Secret, Section, Step, StepState,
    Steps, Tile, Timeline, TimelineItem,
};
pub use form::{Button, Choice, Control, Field, FieldGroup, Filters, Form, Submit, Weight};
pub use table::{Cell, Empty, Facts, Link, Table};
pub use time::{Clock, Standing, When, field_value, from_field, span};
