//! Cedar: validated against the schema at load, indexed by scope, default deny.
//!
//! Policies are asked after the flow rules have allowed something; both must agree. A question is permitted if some policy
//! permits it, none forbids it, and none of those that apply fails to evaluate.
//!
//! Each policy is filed under the actions and the resource of its scope, so that a question meets only those that can apply to
//! it, and is told only as much as these look at. That gives the answer that all policies would give: a policy whose scope
//! does not fit is false before anything else in it is evaluated. A property test holds the two together.

mod facts;
mod index;
mod known;
mod load;
mod model;
mod needs;
mod question;
mod split;
#[cfg(test)]
mod tests;

pub use load::Policies;
pub use model::SCHEMA;
pub use question::{Action, Decision, Question, Target, Used};
