//! Collections, peers, settings, the audit log.

use axum::extract::RawQuery;
use axum::response::Response;
use ostrom_core::PeerId;
use ostrom_core::handling::Tlp;
use ostrom_store::{PeerState, Role};
use serde_json::{Value, json};

use super::enter::query;
use super::names::Names;
use super::report::Sent;
use super::visit::{Visit, encode, go, show};
use crate::api::service;
use crate::ui::entries::Entries;
use crate::ui::part::{
    Badge, Block, Button, Cell, Choice, Control, Empty, Facts, Field, Form, Head, Link, Pager, Section,
    Table, Tone, Weight, When,
};
use crate::ui::view::Page;
use crate::web::Checked;
use crate::{Exposure, Failure};

/// `/collections`
pub async fn collections(visit: Visit) -> Result<Response, Failure> {
    let reading = visit.reading().await?;
    let found = reading.collections().await?;
    let table = Table::new("Collections", &["Collection", "Alias", "You may", "Without a mark", "Since"])
        .rows(found.into_iter().map(|it| {
            let may = if it.writable(&visit.actor.reader, visit.now) { "read and write" } else { "read" };
            vec![
                Cell::Title(Link::text(&it.title), it.description.clone()),
                it.alias.clone().map_or(Cell::None, Cell::Code),
                Cell::text(may),
                it.handling.as_ref().map_or_else(
                    || Cell::text("refused"),
                    |handling| Cell::Badges(vec![Badge::tlp(handling.tlp)]),
                ),
                Cell::When(When::date(it.created)),
            ]
        }))
        .or_else(Empty::new(
            "No collection yet",
            "Everything that is shared lies in a collection. An administrator makes the first.",
        ));
    let mut main = vec![Section::bare(vec![Block::Table(table)])];
    if visit.is(Role::Administrator) {
        let mut marks = vec![Choice::new("", "Refuse what carries no mark")];
        marks.extend(Tlp::ALL.into_iter().map(|tlp| Choice::new(tlp.name(), tlp.label())));
        let form = Form::post("/collections", visit.csrf(), "Add the collection").fields(vec![
            Field::line("title", "Title", "").required().half(),
            Field::line("alias", "Alias", "").hinted("For addresses: small letters, digits, hyphens.").half(),
            Field::area("description", "What it is for", "", 2),
            Field::new("default", "What holds for objects without a mark", Control::Select(marks)).required(),
        ]);
        main.push(
            Section::new("add", "Add a collection", vec![Block::Form(form)])
                .framed()
                .noted("Every member may write to it; who reads an object, its marks say."),
        );
    }
    let mut chrome = visit.chrome().await?;
    chrome.place = "/collections";
    visit.done(&mut chrome, &[("added", "The collection is there.")]);
    let lead = "Where shared things lie, and where TAXII clients find them.";
    show(&Page::new(chrome, Head::new("Collections", lead), main))
}

/// `POST /collections`
pub async fn new_collection(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let entries = Entries::new(sent);
    let form = json!({
        "title": entries.get("title"), "alias": entries.some("alias"), "description": entries.get("description"),
        "default_tlp": entries.some("default"),
    });
    service::new_collection(&visit.app, &visit.actor, form).await?;
    go("/collections?done=added")
}

/// `/peers`
pub async fn peers(visit: Visit) -> Result<Response, Failure> {
    visit.with_role(Role::Administrator)?;
    let peers = visit.app.store.peers().await?;
    let table = Table::new("Peers", &["Peer", "Standing", "Last success", "Problem", ""])
        .rows(peers.into_iter().map(|it| {
            let (word, tone) = match it.state {
                PeerState::Active => ("Active", Tone::Good),
                PeerState::Paused => ("Paused", Tone::Plain),
                PeerState::Distrusted => ("Distrusted", Tone::Bad),
            };
            let remove = Button::new("Remove", "/peers/remove", visit.csrf())
                .with("id", it.id.to_string())
                .labelled(format!("Remove the peer {}", it.name))
                .weight(Weight::Danger);
            vec![
                Cell::Title(Link::text(&it.name), it.url.clone()),
                Cell::Badges(vec![Badge::new(word, tone)]),
                it.succeeded.map_or(Cell::None, |time| Cell::When(When::from_now(time, visit.now))),
                it.problem.map_or(Cell::None, Cell::text),
                Cell::Button(remove),
            ]
        }))
        .or_else(Empty::new("No peer yet", "This node pulls from its peers what their policy lets it see."));
    let form = Form::post("/peers", visit.csrf(), "Add the peer").fields(vec![
        Field::kind("url", "Address", "url", "", "off").required().hinted("https://node.example").half(),
        Field::line("name", "Name", "").required().half(),
        Field::line("public-key", "Key that it signs with", "")
            .required()
            .hinted("Compare it with what its people tell you over another channel."),
        Field::kind("token", "Token that the peer gave this node", "password", "", "off").required(),
    ]);
    let main = vec![
        Section::bare(vec![Block::Table(table)]),
        Section::new("add", "Add a peer", vec![Block::Form(form)]).framed(),
    ];
    let mut chrome = visit.chrome().await?;
    chrome.place = "/peers";
    visit.done(&mut chrome, &[("added", "The peer is there."), ("removed", "The peer is removed.")]);
    show(&Page::new(chrome, Head::new("Peers", "Other nodes that this one pulls from."), main))
}

/// `POST /peers`
pub async fn new_peer(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let entries = Entries::new(sent);
    let form = json!({
        "url": entries.get("url"), "name": entries.get("name"), "public_key": entries.get("public-key"),
        "token": entries.get("token"),
    });
    service::new_peer(&visit.app, &visit.actor, form).await?;
    go("/peers?done=added")
}

/// `POST /peers/remove`
pub async fn remove_peer(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let id: PeerId = Entries::new(sent).get("id").parse().map_err(|_| Failure::NotFound)?;
    service::remove_peer(&visit.app, &visit.actor, id).await?;
    go("/peers?done=removed")
}

/// `/settings`: what was chosen at the start, and what nobody may read.
pub async fn settings(visit: Visit) -> Result<Response, Failure> {
    visit.with_role(Role::Administrator)?;
    let config = &visit.app.config;
    let exposure = match &config.exposure {
        Exposure::Loopback => "this machine only",
        Exposure::Tls { .. } => "everybody, over TLS that the node speaks",
        Exposure::BehindProxy => "everybody, over TLS that a proxy speaks",
        Exposure::Insecure => "everybody, without encryption",
    };
    let facts = Facts::new()
        .fact("Name", Cell::text(&config.title))
        .fact("Address", Cell::Code(visit.app.base.origin()))
        .fact("Reached by", Cell::text(exposure))
        .fact(
            "Database",
            Cell::text(if config.database.is_some() { "PostgreSQL" } else { "SQLite in the data folder" }),
        )
        .fact(
            "OpenID Connect",
            Cell::text(config.oidc.as_ref().map_or("not set up", |oidc| oidc.issuer.as_str())),
        )
        .fact(
            "Session without a request",
            Cell::text(crate::ui::part::span(
                i64::try_from(config.limits.session_idle.as_secs()).unwrap_or(i64::MAX),
            )),
        )
        .fact("Requests in a second", Cell::Number(config.limits.rate.to_string()));
    let refused = visit.app.store.custody().refused().await?;
    let table = Table::new("Refused", &["Why", "Versions"])
        .rows(refused.into_iter().map(|it| vec![Cell::text(it.why), Cell::Number(it.count.to_string())]))
        .or_else(Empty::new("Nothing is refused", "Every mark on every object is understood."));
    let main = vec![
        Section::new("node", "This node", vec![Block::Facts(facts)]).noted("These are set where the node is started."),
        Section::new("refused", "What nobody may read", vec![Block::Table(table)])
            .noted("Objects with marks that this node does not understand are kept and shown to nobody. You see why and how many, not which."),
    ];
    let mut chrome = visit.chrome().await?;
    chrome.place = "/settings";
    show(&Page::new(chrome, Head::new("Settings", ""), main))
}

/// `/audit`: what the visitor's organisation did.
pub async fn audit(visit: Visit, RawQuery(raw): RawQuery) -> Result<Response, Failure> {
    visit.person()?;
    let entries = query(raw.as_deref());
    let deeds = service::deeds(&visit.app, &visit.actor, entries.some("after"), 50).await?;
    let names = Names::read(&visit.app.store).await?;
    let text =
        |deed: &Value, name: &str| deed.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let rows = deeds.items.iter().map(|deed| {
        let at = text(deed, "at").parse().map_or(Cell::None, |at| Cell::When(When::at(at)));
        let who = text(deed, "who");
        let who = match who.strip_prefix("person:").and_then(|id| id.parse().ok()) {
            Some(person) => names.person(person),
            None => who,
        };
        let count = deed.get("count").and_then(Value::as_u64);
        let first = text(deed, "first");
        let hidden = deed.get("hidden").is_some();
        let objects = match (count, first.is_empty()) {
            (Some(0), _) | (_, true) => Cell::None,
            (Some(1), false) => match first.strip_prefix("case--") {
                Some(case) => Cell::Link(Link::to("The case", format!("/cases/{case}"))),
                None => Cell::Link(Link::to(&first, format!("/objects/{first}"))),
            },
            (None, false) if hidden && text(deed, "last").is_empty() => Cell::Muted(first),
            (_, false) => Cell::Muted(format!("{first} … {}", text(deed, "last"))),
        };
        vec![
            at,
            Cell::text(who),
            Cell::text(text(deed, "did")),
            Cell::text(text(deed, "what")),
            count.map_or_else(|| Cell::text("not told"), |count| Cell::Number(count.to_string())),
            objects,
        ]
    });
    let table = Table::new("Audit log", &["When", "Who", "Did", "What", "Objects", "Which"])
        .rows(rows)
        .or_else(Empty::new("Nothing here", "Earlier entries may be on the next page."));
    let pager = Pager {
        newer: entries.some("after").map(|_| "/audit".to_owned()),
        older: deeds.next.map(|next| format!("/audit?after={}", encode(&next))),
    };
    let mut chrome = visit.chrome().await?;
    chrome.place = "/audit";
    let lead = "What your organisation received, was shown, sent and changed, and what was done to it, the latest first. What you may not see is not named, and not counted.";
    show(&Page::new(
        chrome,
        Head::new("Audit", lead),
        vec![Section::bare(vec![Block::Table(table), Block::Pager(pager)])],
    ))
}
