//! What pages show, and how it is put together: one view model for each kind of page, none of which knows the store or HTTP.

mod case;
mod chrome;
mod kind;
mod list;
mod object;
mod overview;
mod plain;
mod report;

pub use case::{CaseRow, CaseView, CasesView, PartyRow};
pub use chrome::{Chrome, NavGroup, NavItem, Page, Theme, Viewer};
pub use kind::{Kind, navigation};
pub use list::{ListFilters, ListRow, ListView, rows_table};
pub use object::{AccessRow, AccessView, ExportRow, ExportView, HandlingRow, ObjectView, Opening, Relation};
pub use overview::{OverviewView, Waiting};
pub use plain::{ReviewView, SignInView, error_page, form_page};
pub use report::{Options, marks, report_form};
