//! Reporting and writing: a form, a page that says who will read it, and only then it is kept.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use ostrom_core::CollectionId;
use ostrom_core::handling::{Handling, Party, Policy, Tlp};
use ostrom_exchange::clock::Situation;
use ostrom_exchange::incident::Harm;
use ostrom_exchange::types::Record;
use ostrom_store::Role;
use serde_json::json;

use super::duties;
use super::keep::{self, Marks, draft, entries_of, handling};
use super::names::Names;
use super::object::find;
use super::visit::{Visit, go, show, show_as};
use crate::api::service;
use crate::ui::entries::{Entries, Problems};
use crate::ui::markdown;
use crate::ui::part::{Badge, Block, Form, Head, Link, Section, Submit, Weight};
use crate::ui::view::{Kind, Options, ReviewView, form_page, report_form};
use crate::web::Checked;
use crate::{Failure, duty};

/// The fields of a form, as they were sent.
pub type Sent = Checked<Vec<(String, String)>>;

/// What is wrong where nothing can be shared.
const NO_COLLECTION: &str =
    "There is no collection that you may write to: an administrator makes one under Collections";

/// What one can choose from in forms.
async fn options(visit: &Visit, names: &Names) -> Result<Options, Failure> {
    let own = visit.actor.organisation();
    let reading = visit.reading().await?;
    let mut collections = reading.collections().await?;
    collections.retain(|collection| collection.writable(&visit.actor.reader, visit.now));
    let mut organisations: Vec<(String, String)> = names
        .organisations
        .iter()
        .filter(|(id, _)| Some(**id) != own)
        .map(|(id, name)| (format!("organisation:{id}"), name.clone()))
        .collect();
    organisations.sort_by(|a, b| a.1.cmp(&b.1));
    // Only groups that the visitor is in: others' existence is theirs to tell.
    let groups = names
        .groups
        .iter()
        .filter(|(id, _)| visit.actor.reader.groups.contains(id))
        .map(|(id, name)| (format!("group:{id}"), name.clone()))
        .collect();
    let mut persons: Vec<(String, String)> = names
        .persons
        .iter()
        .map(|(id, (name, org))| (format!("person:{id}"), format!("{name}, {}", names.organisation(*org))))
        .collect();
    persons.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(Options {
        organisations,
        groups,
        persons,
        collections: collections.into_iter().map(|it| (it.id.to_string(), it.title)).collect(),
        harms: Harm::ALL
            .into_iter()
            .map(|harm| (harm.name().to_owned(), duties::harm_name(harm).to_owned()))
            .collect(),
        mechanisms: Vec::new(),
    })
}

struct Place {
    kind: Kind,
    title: String,
    action: String,
    before: Option<Record>,
    /// What holds for it and no form can say.
    kept: Option<Policy>,
}

impl Place {
    fn head(&self) -> Head {
        Head::new(&self.title, "").under(self.kind.many(), self.kind.path())
    }
}

async fn form(
    visit: &Visit,
    place: &Place,
    entries: &Entries,
    problems: &Problems,
) -> Result<Response, Failure> {
    let (names, options, problems) = choices(visit, problems).await?;
    let mut form = report_form(place.kind, entries, &options, &place.action, visit.csrf());
    if let (Some(kept), Some(marks)) = (&place.kept, form.groups.last_mut()) {
        marks.fields.retain(|field| field.name() == "collection");
        marks.note = format!(
            "{} It has several marks, or one that this form cannot show. All of them stay as they are; to change them, send a new version by TAXII.",
            names.policy(kept, visit.now)
        );
    }
    show_form(visit, place.kind, place.head(), form, &problems).await
}

/// What there is to choose from in a form by which something is shared, and what is wrong with it, if that is nothing.
pub async fn choices(visit: &Visit, problems: &Problems) -> Result<(Names, Options, Problems), Failure> {
    let names = Names::read(&visit.app.store).await?;
    let options = options(visit, &names).await?;
    let mut problems = problems.clone();
    if options.collections.is_empty() {
        problems.add("", NO_COLLECTION);
    }
    Ok((names, options, problems))
}

/// A form by which something of this kind is shared, with what is wrong.
pub async fn show_form(
    visit: &Visit,
    kind: Kind,
    head: Head,
    form: Form,
    problems: &Problems,
) -> Result<Response, Failure> {
    let form = problems.onto(form);
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let mut chrome = visit.chrome().await?;
    chrome.place = kind.path();
    show_as(&form_page(chrome, head, form, Vec::new()), status)
}

/// `/flaws/new`
pub async fn new(kind: Kind, visit: Visit) -> Result<Response, Failure> {
    visit.with_role(Role::Contributor)?;
    let place = new_place(kind)?;
    form(&visit, &place, &Entries::default(), &Problems::default()).await
}

fn new_place(kind: Kind) -> Result<Place, Failure> {
    let title = kind.begin().ok_or(Failure::NotFound)?.to_owned();
    Ok(Place { kind, title, action: format!("{}/new", kind.path()), before: None, kept: None })
}

async fn edit_place(kind: Kind, visit: &Visit, id: &str) -> Result<(Place, Policy, CollectionId), Failure> {
    let person = visit.with_role(Role::Contributor)?;
    let (thing, _) = find(&visit.reading().await?, Some(kind), id).await?;
    kind.begin().ok_or(Failure::NotFound)?;
    if thing.head.owner != person.organisation {
        return Err(Failure::Forbidden("only its owner may change it"));
    }
    if thing.ai().is_some_and(|ai| ai.sealed.is_some()) {
        return Err(Failure::Conflict(
            "it is sealed, and a new version made here would not open: report it again, sealed, and remove this one"
                .to_owned(),
        ));
    }
    let record = thing.record.clone().ok_or(Failure::NotFound)?;
    if keep::has_granular_marks(&record) {
        return Err(Failure::Unprocessable(
            "parts of this have marks of their own, which this form would lose: send a new version by TAXII"
                .to_owned(),
        ));
    }
    let kept = (!keep::fits_the_form(&record, &thing.own)).then(|| thing.own.clone());
    let place = Place {
        kind,
        title: format!("Edit: {}", thing.title()),
        action: format!("{}/edit", thing.href()),
        before: Some(record),
        kept,
    };
    Ok((place, thing.own, thing.head.key.collection))
}

/// `/flaws/{id}/edit`
pub async fn edit(kind: Kind, visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    let (place, own, collection) = edit_place(kind, &visit, &id).await?;
    let mut entries = place.before.as_ref().map(|record| entries_of(record, &own)).unwrap_or_default();
    entries.push("collection", collection.to_string());
    form(&visit, &place, &entries, &Problems::default()).await
}

/// `POST /flaws/new`
pub async fn new_sent(kind: Kind, visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    visit.with_role(Role::Contributor)?;
    take(&visit, new_place(kind)?, &Entries::new(sent)).await
}

/// `POST /flaws/{id}/edit`
pub async fn edit_sent(
    kind: Kind,
    visit: Visit,
    Path(id): Path<String>,
    Checked(sent): Sent,
) -> Result<Response, Failure> {
    let (place, ..) = edit_place(kind, &visit, &id).await?;
    take(&visit, place, &Entries::new(sent)).await
}

async fn take(visit: &Visit, place: Place, entries: &Entries) -> Result<Response, Failure> {
    let person = visit.person()?;
    let mut problems = Problems::default();
    let marks = match &place.kept {
        Some(kept) => Marks::Kept(kept.clone()),
        None => Marks::New(Box::new(handling(entries, person.organisation, person.id, &mut problems))),
    };
    let draft =
        draft(place.kind, entries, person.organisation, visit.now, place.before.as_ref(), &mut problems)?;
    let collection = collection(visit, entries, &mut problems).await?;
    let situation = if place.kind == Kind::Incident {
        let facts = duties::facts(entries, &mut problems);
        duties::situation(entries, &facts, &mut problems)
    } else {
        None
    };
    if problems.is_empty()
        && let Err(error) = draft.record.write()
    {
        keep::wrong(&error, &mut problems);
    }
    let (Some(collection), true) = (collection, problems.is_empty()) else {
        return form(visit, &place, entries, &problems).await;
    };
    match entries.get("step") {
        "save" => {
            let id = draft.record.common().id().clone();
            let mut records = vec![draft.record];
            records.extend(draft.relations);
            keep::keep(visit, collection, &marks, records).await?;
            // Editing without naming duties again keeps those that there are.
            if place.kind == Kind::Incident && (situation.is_some() || place.before.is_none()) {
                duty::keep(&visit.app, &visit.actor, &id, situation.as_ref()).await?;
            }
            go(&format!("{}/{id}?done=saved", place.kind.path()))
        }
        "edit" => form(visit, &place, entries, &Problems::default()).await,
        _ => review(visit, &place, entries, &marks, situation.as_ref()).await,
    }
}

/// The collection that a form names, if the visitor may write to it.
pub async fn collection(
    visit: &Visit,
    entries: &Entries,
    problems: &mut Problems,
) -> Result<Option<CollectionId>, Failure> {
    let found = visit.reading().await?.collection(entries.get("collection")).await?;
    let found = found.filter(|collection| collection.writable(&visit.actor.reader, visit.now));
    if found.is_none() {
        problems.add("collection", "Choose a collection that you may write to");
        if entries.some("collection").is_none() {
            problems.add("", NO_COLLECTION);
        }
    }
    Ok(found.map(|collection| collection.id))
}

/// What is odd about a form's marks.
pub fn warnings(handling: &Handling, visit: &Visit) -> Vec<String> {
    let mut notes = Vec::new();
    if handling.tlp == Tlp::Red && handling.audience.iter().any(|party| !matches!(party, Party::Person(_))) {
        notes.push(
            "You named organisations or groups. Under TLP:RED they do not count: name persons.".to_owned(),
        );
    }
    if handling.embargo.as_ref().is_some_and(|embargo| embargo.until <= visit.now) {
        notes.push("The embargo is in the past: it keeps nobody from reading.".to_owned());
    }
    notes
}

async fn review(
    visit: &Visit,
    place: &Place,
    entries: &Entries,
    marks: &Marks,
    situation: Option<&Situation>,
) -> Result<Response, Failure> {
    let names = Names::read(&visit.app.store).await?;
    let mut notes = Vec::new();
    let (tlp, readers) = match marks {
        Marks::New(handling) => {
            notes.extend(warnings(handling, visit));
            (handling.tlp, names.sentence(handling, visit.now))
        }
        Marks::Kept(policy) => {
            notes.push("Its marks stay as they are.".to_owned());
            (policy.tlp(), names.policy(policy, visit.now))
        }
    };
    if matches!(place.kind, Kind::Lesson | Kind::Advisory) {
        notes.push("It will also be as strict as everything that it is about: who may not see that does not see this.".to_owned());
    }
    if place.before.is_some() {
        notes.push("Earlier versions keep their marks. Whoever may read them can go on doing so.".to_owned());
    }
    notes.push("Administrators of this node do not read it because of their role.".to_owned());
    let mut hidden = entries.hidden();
    hidden.retain(|field| field.name() != "csrf");
    let texts = [("Description", "description"), (keep::STEPS, "reproduce")]
        .into_iter()
        .map(|(heading, name)| (heading.to_owned(), markdown::render(entries.get(name))))
        .collect();
    let view = ReviewView {
        title: place.title.clone(),
        under: Link::to(place.kind.many(), place.kind.path()),
        name: entries.get("title").to_owned(),
        tlp: Badge::tlp(tlp),
        readers,
        notes,
        texts,
        form: Form::post(&place.action, visit.csrf(), "").fields(hidden).submits(vec![
            Submit { text: "Save, and let them read it".to_owned(), step: "save", weight: Weight::Primary },
            Submit { text: "Back to the form".to_owned(), step: "edit", weight: Weight::Secondary },
        ]),
    };
    let mut page = view.page(visit.chrome().await?, place.kind.path());
    if place.kind == Kind::Incident {
        let facts = duties::facts(entries, &mut Problems::default());
        let mut blocks = Vec::new();
        if let Some(severity) = duties::severity(&facts) {
            blocks.push(Block::Badges(vec![super::thing::severity(severity)]));
        }
        blocks.push(Block::Bullets(duties::why(&facts)));
        page.main.push(Section::new("scale", "What it is called, and why", blocks));
        if let Some(situation) = situation {
            let due = duty::due(situation, visit.now)?;
            page.main.push(Section::new("duties", "What is due", vec![Block::Table(duties::table(&due))]));
        }
    }
    show(&page)
}

/// `POST /flaws/{id}/voice`: a sighting or an opinion, with the marks of what it is about.
pub async fn voice(
    kind: Kind,
    visit: Visit,
    Path(id): Path<String>,
    Checked(sent): Sent,
) -> Result<Response, Failure> {
    visit.with_role(Role::Contributor)?;
    let entries = Entries::new(sent);
    let (thing, _) = find(&visit.reading().await?, Some(kind), &id).await?;
    let form = json!({"say": entries.get("say"), "note": entries.get("note")});
    service::say(&visit.app, &visit.actor, thing.head.key.id.clone(), form).await?;
    go(&format!("{}?done=said#voices", thing.href()))
}
