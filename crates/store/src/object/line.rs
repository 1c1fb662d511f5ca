//! Lines: what happens when two organisations use the same id.
//!
//! Who cannot see that an id is in use may use it, and is told nothing. From then on each organisation's versions are a line of their own, and a reader is shown one line: of
//! those of which he may see something, the one whose first visible version came first. So nobody puts something in the place of what somebody else sees, and what
//! a reader is shown depends on nothing that is hidden from him.
//!
//! The column `line` says how: [`ALONE`] for what one organisation alone has, [`SHARED`] for what many share, each for itself (cyber-observables), and
//! otherwise where the version stands among the others of its id: its number as it was when a second organisation came.

/// Only one organisation has versions under the id.
pub(super) const ALONE: i64 = 0;
/// Anybody may share versions of it; they are one line.
pub(super) const SHARED: i64 = -1;

/// The condition that a reader, whose view this argument is, is shown version `o`: he may see it, and it is of the line that he is shown.
macro_rules! shown {
    ($view:literal) => {
        concat!($crate::policy::seen!("o.policy", $view), " AND ", $crate::object::line::in_line!($view))
    };
}
pub(super) use shown;

/// Its second half.
macro_rules! in_line {
    ($view:literal) => {
        concat!(
            "(o.line <= 0 OR NOT EXISTS (SELECT 1 FROM object f WHERE f.id = o.id AND f.line > 0 AND f.owner <> o.owner AND ",
            $crate::policy::seen!("f.policy", $view),
            " AND NOT EXISTS (SELECT 1 FROM object e WHERE e.id = o.id AND e.owner = o.owner AND e.line > 0 AND e.line < f.line AND ",
            $crate::policy::seen!("e.policy", $view),
            ")))"
        )
    };
}
pub(super) use in_line;

/// That version `l` of the same id is of the same line as `o`.
macro_rules! same_line {
    () => {
        "(o.line <= 0 OR l.owner = o.owner)"
    };
}
pub(super) use same_line;
