//! The pages' handlers: each fills in a view model from what the store and the exchange give this visitor, and nothing else.

mod account;
mod admin;
mod base;
mod bundle;
mod cases;
mod duties;
mod enter;
mod export;
mod fault;
mod keep;
mod lists;
mod members;
mod names;
mod object;
mod report;
mod sealing;
mod thing;
mod visit;

use axum::Router;
use axum::extract::RawQuery;
use axum::routing::{get, post};

use self::visit::Visit;
use crate::App;
use crate::ui::view::Kind;

pub(crate) use fault::{faults, for_browsers};
pub(crate) use thing::affected_text;
pub(crate) use visit::is_local;

/// All pages.
pub fn routes() -> Router<App> {
    let mut router = Router::new()
        .route("/", get(lists::overview))
        .route("/assets/{name}", get(base::file))
        .route("/theme", post(base::colours))
        .route("/sign-in", get(enter::sign_in))
        .route("/invite/{secret}", get(enter::invite))
        .route("/search", get(|visit: Visit, raw: RawQuery| lists::list(None, visit, raw)))
        .route("/search.atom", get(|visit: Visit, raw: RawQuery| lists::feed(None, visit, raw)))
        .route("/objects/{id}", get(object::any))
        .route("/incidents/{id}/duties/{clock}/{rule}", get(duties::draft))
        .route("/incidents/{id}/duties/{clock}/{rule}/sent", post(duties::sent))
        .route("/evaluations/new", get(bundle::new).post(bundle::sent))
        .route("/evaluations/publish", post(bundle::publish))
        .route("/cases", get(cases::list))
        .route("/cases/new", get(cases::new).post(cases::new_sent))
        .route("/cases/{id}", get(cases::page::case))
        .route("/cases/{id}/act", post(cases::act::act))
        .route("/cases/{id}/publish", get(cases::act::publishing))
        .route("/cases/{id}/withdraw", get(cases::act::withdraw))
        .route("/cases/{id}/opening", get(cases::act::opening))
        .route("/members", get(members::members))
        .route("/members/organisations", post(members::new_organisation))
        .route("/members/persons", post(members::new_person))
        .route("/members/persons/{id}/invitation", post(members::invite))
        .route("/members/persons/{id}/active", post(members::active))
        .route("/members/groups", post(members::new_group))
        .route("/members/groups/remove", post(members::remove_group))
        .route("/account", get(account::account))
        .route("/account/tokens", post(account::new_token))
        .route("/account/tokens/revoke", post(account::revoke))
        .route("/account/seen", post(account::seen))
        .route("/sealing-keys", get(sealing::keys).post(sealing::give))
        .route("/sealing-keys/retire", post(sealing::retire))
        .route("/views", get(account::views))
        .route("/views/new", get(account::new_view).post(account::save_view))
        .route("/views/remove", post(account::remove_view))
        .route("/views/feed", post(account::feed_address))
        .route("/feeds/{token}/{list}", get(lists::feed_by_address))
        .route("/collections", get(admin::collections).post(admin::new_collection))
        .route("/peers", get(admin::peers).post(admin::new_peer))
        .route("/peers/remove", post(admin::remove_peer))
        .route("/settings", get(admin::settings))
        .route("/audit", get(admin::audit));
    for kind in Kind::ALL {
        let path = kind.path();
        router = router
            .route(path, get(move |visit: Visit, raw: RawQuery| lists::list(Some(kind), visit, raw)))
            .route(
                &format!("{path}.atom"),
                get(move |visit: Visit, raw: RawQuery| lists::feed(Some(kind), visit, raw)),
            )
            .route(
                &format!("{path}/{{id}}/edit"),
                get(move |visit: Visit, id| report::edit(kind, visit, id))
                    .post(move |visit: Visit, id, sent| report::edit_sent(kind, visit, id, sent)),
            )
            .route(
                &format!("{path}/{{id}}/voice"),
                post(move |visit: Visit, id, sent| report::voice(kind, visit, id, sent)),
            )
            .route(&format!("{path}/{{id}}"), get(move |visit: Visit, id| object::object(kind, visit, id)))
            .route(
                &format!("{path}/{{id}}/access"),
                get(move |visit: Visit, id| object::access(kind, visit, id)),
            )
            .route(
                &format!("{path}/{{id}}/export"),
                get(move |visit: Visit, id| export::menu(kind, visit, id)),
            )
            .route(&format!("{path}/{{id}}/stix"), get(move |visit: Visit, id| object::stix(kind, visit, id)))
            .route(
                &format!("{path}/{{id}}/export/{{form}}"),
                get(move |visit: Visit, of| export::file(kind, visit, of)),
            );
        if kind.begin().is_some() {
            router = router.route(
                &format!("{path}/new"),
                get(move |visit: Visit| report::new(kind, visit))
                    .post(move |visit: Visit, sent| report::new_sent(kind, visit, sent)),
            );
        }
    }
    router
}
