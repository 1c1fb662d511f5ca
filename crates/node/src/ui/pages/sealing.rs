//! Keys that things can be sealed to.

use axum::response::Response;
use ostrom_core::{Digest, Uuid};
use ostrom_store::Role;
use serde_json::json;

use super::names::Names;
use super::report::Sent;
use super::thing::Thing;
use super::visit::{Visit, go, show};
use crate::Failure;
use crate::api::{sealing, service};
use crate::ui::entries::Entries;
use crate::ui::part::{Block, Button, Cell, Empty, Facts, Field, Form, Head, Section, Table, Weight, When};
use crate::ui::view::Page;
use crate::web::Checked;

const DONE: &[(&str, &str)] = &[
    ("given", "The key is given out: others can seal to it."),
    ("retired", "The key is retired. What was sealed to it before still opens with its file."),
];

/// `/sealing-keys`
pub async fn keys(visit: Visit) -> Result<Response, Failure> {
    let person = visit.person()?.clone();
    let names = Names::read(&visit.app.store).await?;
    let keys = sealing::all(&visit.app).await?;
    let table = Table::new("Keys", &["Key", "Whose", "Key id", "Since", ""])
        .rows(keys.into_iter().map(|key| {
            let mine = key.person == Some(person.id);
            let ours = key.organisation == person.organisation && visit.is(Role::Coordinator);
            let retire = Button::new("Retire", "/sealing-keys/retire", visit.csrf())
                .with("id", key.id.to_string())
                .labelled(format!("Retire the key {}", key.label))
                .weight(Weight::Danger);
            let organisation = names.organisation(key.organisation);
            let whose = match key.person {
                Some(person) => format!("{}, {organisation}", names.person(person)),
                None => organisation,
            };
            vec![
                Cell::text(key.label),
                Cell::text(whose),
                Cell::Code(key.key_id.to_string()),
                Cell::When(When::date(key.created)),
                if mine || ours { Cell::Button(retire) } else { Cell::None },
            ]
        }))
        .or_else(Empty::new(
            "No key yet",
            "With a key, others can send you what not even this node can read.",
        ));
    let form = Form::post("/sealing-keys", visit.csrf(), "Give out your key").fields(vec![
        Field::line("label", "Name", "").required().half(),
        Field::line("public-key", "Public key", "").required().hinted(
            "Make a key on your own machine with `ostrom seal-key new seal.key`: it prints the public key, 64 hexadecimal digits. The file stays with you. Other members see your name beside the key.",
        ),
    ]);
    let main = vec![
        Section::bare(vec![Block::Table(table)])
            .noted("Compare a key's id with what its owner tells you in another way: until you have, it is this node's word."),
        Section::new("add", "Your own key", vec![Block::Form(form)]).framed(),
    ];
    let mut chrome = visit.chrome().await?;
    chrome.place = "/account";
    visit.done(&mut chrome, DONE);
    show(&Page::new(
        chrome,
        Head::new("Sealing keys", "What is sealed to them, only their owners can read."),
        main,
    ))
}

/// `POST /sealing-keys`
pub async fn give(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let entries = Entries::new(sent);
    let form = json!({ "label": entries.get("label"), "public_key": entries.get("public-key") });
    service::new_sealing_key(&visit.app, &visit.actor, form).await?;
    go("/sealing-keys?done=given")
}

/// `POST /sealing-keys/retire`
pub async fn retire(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let id: Uuid = Entries::new(sent).get("id").parse().map_err(|_| Failure::NotFound)?;
    service::retire_sealing_key(&visit.app, &visit.actor, id).await?;
    go("/sealing-keys?done=retired")
}

/// To whom a thing is sealed, and how to open it. `None`: it is not sealed.
pub async fn section(visit: &Visit, thing: &Thing, names: &Names) -> Result<Option<Section>, Failure> {
    let Some(sealed) = thing.ai().and_then(|ai| ai.sealed.as_ref()) else { return Ok(None) };
    // Retired keys too: what was sealed to them still opens.
    let known = visit.app.store.sealing_keys().await?;
    let named = visit.actor.is_signed_in();
    let whose = |id: Digest| {
        let key = known.iter().find(|key| {
            key.public_key.parse::<ostrom_exchange::seal::RecipientKey>().is_ok_and(|key| key.id() == id)
        });
        key.filter(|_| named).map_or_else(
            || "A key that this node does not know".to_owned(),
            |key| {
                let organisation = names.organisation(key.organisation);
                match key.person {
                    Some(person) => format!("{}, {organisation}", names.person(person)),
                    None => organisation,
                }
            },
        )
    };
    let mut facts = Facts::new();
    for id in sealed.recipients().take(100) {
        facts = facts.fact(whose(id), Cell::Code(id.to_string()));
    }
    let how = format!("ostrom open {} --key FILE", thing.head.key.id);
    let text = "The content was encrypted before it came here: this node, its backups and those it passes through cannot read it. A recipient opens it with";
    let mut blocks = vec![
        Block::Text(text.to_owned()),
        Block::Facts(Facts::new().fact("Command", Cell::Code(how))),
        Block::Facts(facts),
    ];
    if let Some(sender) = sealed.sender() {
        let text =
            "It says that this key sealed it. Only its recipients can check that, and the command does.";
        blocks.push(Block::Text(text.to_owned()));
        let id = sender.id();
        blocks.push(Block::Facts(Facts::new().fact(whose(id), Cell::Code(id.to_string()))));
    }
    Ok(Some(Section::new("sealed", "Sealed to", blocks)))
}
