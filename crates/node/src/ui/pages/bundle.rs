//! Publishing a bundle of `ostrom eval`: the node verifies it, shows what it says and who will read that, and only then it is published.
//!
//! Between the two pages nothing is kept here. What the bundle says goes through the browser, with a keyed hash: only the person whose upload was
//! verified can send it on, and only as it is.

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use ostrom_core::handling::Handling;
use ostrom_lab::bundle;
use ostrom_store::Role;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::keep::handling;
use super::names::Names;
use super::report::{Sent, choices, collection, show_form, warnings};
use super::visit::{Visit, go, show};
use crate::api::service;
use crate::evaluation::Evaluated;
use crate::ui::entries::{Entries, Problems};
use crate::ui::markdown;
use crate::ui::part::{Badge, Control, Field, Form, Head, Link, Submit, Weight};
use crate::ui::view::{Kind, ReviewView, marks};
use crate::web::{Checked, Csrf, Multipart, Payload, has_form_cookie, single};
use crate::{App, Failure};

/// The most that an uploaded archive may unpack to, in bytes.
const UNPACKED: u64 = 128 << 20;
/// Verifying takes a core and memory: one after the other, and who comes meanwhile is told to come again.
static TURN: Semaphore = Semaphore::const_new(1);

const TITLE: &str = "Publish a bundle";

async fn form(visit: &Visit, entries: &Entries, problems: &Problems) -> Result<Response, Failure> {
    let (_, options, problems) = choices(visit, problems).await?;
    let file = Field::new("bundle", "Bundle", Control::File(".zst")).required().hinted(
        "The .tar.zst that ostrom eval pack writes. The node checks its signature and digests, derives every outcome and figure again, and keeps the figures, not the file.",
    );
    let mut form = Form::post("/evaluations/new", visit.csrf(), "Verify it, and check who can read it")
        .fields(vec![file]);
    form.upload = true;
    form.groups.push(marks(entries, &options));
    let head = Head::new(TITLE, "").under(Kind::Evaluation.many(), Kind::Evaluation.path());
    show_form(visit, Kind::Evaluation, head, form.cancel(Kind::Evaluation.path()), &problems).await
}

/// `/evaluations/new`
pub async fn new(visit: Visit) -> Result<Response, Failure> {
    visit.with_role(Role::Contributor)?;
    form(&visit, &Entries::default(), &Problems::default()).await
}

/// `POST /evaluations/new`: the upload.
pub async fn sent(State(app): State<App>, visit: Visit, request: Request) -> Result<Response, Failure> {
    let person = visit.with_role(Role::Contributor)?;
    let headers = request.headers().clone();
    // Nothing of the body is received for a form that cannot be ours.
    if !has_form_cookie(&headers, &app) {
        return Err(Failure::Csrf);
    }
    let body = Payload::read(request, app.config.limits.objects_body).await?;
    let sent = Multipart::read(single(&headers, "content-type"), &body)?;
    let mut token = sent.fields.iter().filter(|(name, _)| name == "csrf").map(|(_, value)| value.as_str());
    Csrf::check(&app, &headers, token.next().filter(|_| token.next().is_none()))?;
    let archive = sent.file("bundle").cloned();
    let entries = Entries::new(sent.fields.into_iter().filter(|(name, _)| name != "csrf").collect());
    let mut problems = Problems::default();
    let handling = handling(&entries, person.organisation, person.id, &mut problems);
    let collection = collection(&visit, &entries, &mut problems).await?;
    let Some(archive) = archive else {
        problems.add("bundle", "Choose the bundle's file");
        return form(&visit, &entries, &problems).await;
    };
    if collection.is_none() || !problems.is_empty() {
        return form(&visit, &entries, &problems).await;
    }
    match verified(archive).await? {
        Ok((evaluated, builtin)) => review(&visit, &entries, &handling, &evaluated, builtin).await,
        Err(why) => {
            problems.add("bundle", why);
            form(&visit, &entries, &problems).await
        }
    }
}

/// What a bundle says that holds, and whether its suite is a built-in one; or what is wrong with it.
async fn verified(archive: Bytes) -> Result<Result<(Evaluated, bool), String>, Failure> {
    let turn = TURN.try_acquire().map_err(|_| Failure::Unavailable)?;
    let work = move || {
        let _turn = turn;
        let folder = tempfile::tempdir().map_err(Failure::internal)?;
        let (file, unpacked) = (folder.path().join("upload.tar.zst"), folder.path().join("bundle"));
        std::fs::create_dir(&unpacked).map_err(Failure::internal)?;
        std::fs::write(&file, &archive).map_err(Failure::internal)?;
        drop(archive);
        let result = bundle::unpack_within(&file, &unpacked, UNPACKED)
            .and_then(|()| bundle::verify(&unpacked, None))
            .map_err(|error| {
                // Where it lies here is nobody's business.
                let text = error.to_string().replace(&file.display().to_string(), "the file");
                text.replace(&unpacked.display().to_string(), "the bundle")
                    .chars()
                    .take(500)
                    .collect::<String>()
            });
        Ok(result.and_then(|(bundle, verification)| {
            Ok((Evaluated::of(&bundle, &verification)?, verification.builtin_suite))
        }))
    };
    tokio::task::spawn_blocking(work).await.map_err(Failure::internal)?
}

/// What the visitor's upload was verified to be, so that the next page's form can be believed.
fn tag(visit: &Visit, text: &str) -> Result<String, Failure> {
    let person = visit.person()?.id.to_string();
    Ok(BASE64URL_NOPAD.encode(&visit.app.tag("verified-bundle", &[person.as_bytes(), text.as_bytes()])))
}

async fn review(
    visit: &Visit,
    entries: &Entries,
    handling: &Handling,
    evaluated: &Evaluated,
    builtin: bool,
) -> Result<Response, Failure> {
    let names = Names::read(&visit.app.store).await?;
    let text = |name: &str| evaluated.object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let carried = json!({"object": evaluated.object, "along": [evaluated.software]}).to_string();
    let mut notes = warnings(handling, visit);
    notes.push("The bundle holds: its signature, its digests, and every outcome and figure, derived again. Whose key signed it is for you to know.".to_owned());
    if !builtin {
        notes.push("Its suite is not one that comes with Ostrom: it brings its own attacks and rules, which somebody has to look at.".to_owned());
    }
    notes.push("Administrators of this node do not read it because of their role.".to_owned());
    let mut hidden = entries.hidden();
    hidden.push(Field::hidden("verified", &carried));
    hidden.push(Field::hidden("tag", tag(visit, &carried)?));
    let view = ReviewView {
        title: TITLE.to_owned(),
        under: Link::to(Kind::Evaluation.many(), Kind::Evaluation.path()),
        name: text("abstract"),
        tlp: Badge::tlp(handling.tlp),
        readers: names.sentence(handling, visit.now),
        notes,
        texts: vec![("Result".to_owned(), markdown::render(&text("content")))],
        form: Form::post("/evaluations/publish", visit.csrf(), "")
            .fields(hidden)
            .submits(vec![Submit {
                text: "Publish, and let them read it".to_owned(),
                step: "save",
                weight: Weight::Primary,
            }])
            .cancel("/evaluations/new"),
    };
    show(&view.page(visit.chrome().await?, Kind::Evaluation.path()))
}

/// `POST /evaluations/publish`: what was verified, as the API publishes it.
pub async fn publish(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let person = visit.with_role(Role::Contributor)?;
    let entries = Entries::new(sent);
    let carried = entries.get("verified");
    // Compared by their keyed hashes, so that it takes the same time whatever is sent.
    let same = |text: &str| visit.app.tag("compare", &[text.as_bytes()]);
    if same(&tag(&visit, carried)?) != same(entries.get("tag")) {
        return Err(Failure::Unprocessable(
            "this is not what was verified: upload the bundle again".to_owned(),
        ));
    }
    let mut problems = Problems::default();
    let handling = handling(&entries, person.organisation, person.id, &mut problems);
    let collection = collection(&visit, &entries, &mut problems).await?;
    let (Some(collection), true) = (collection, problems.is_empty()) else {
        return form(&visit, &entries, &problems).await;
    };
    let mut draft: Value = serde_json::from_str(carried).map_err(Failure::internal)?;
    if let Some(draft) = draft.as_object_mut() {
        draft.insert("collection".to_owned(), json!(collection));
        let Handling { tlp, audience, embargo, .. } = &handling;
        draft.insert("handling".to_owned(), json!({"tlp": tlp, "audience": audience, "embargo": embargo}));
    }
    let written = service::new_evaluation(&visit.app, &visit.actor, draft).await?;
    let id = written.get("id").and_then(Value::as_str).unwrap_or_default();
    go(&format!("{}/{id}?done=saved", Kind::Evaluation.path()))
}
