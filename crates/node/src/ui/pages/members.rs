//! Organisations, persons, trust groups, invitations.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::response::Response;
use ostrom_core::{GroupId, OrgId, PersonId};
use ostrom_store::{Group, Organisation, Person, Role};
use serde_json::json;

use super::report::Sent;
use super::visit::{Visit, go, show};
use crate::Failure;
use crate::api::service;
use crate::ui::entries::Entries;
use crate::ui::part::{
    Badge, Block, Button, Cell, Choice, Control, Empty, Field, Form, Head, Link, Secret, Section, Table,
    Tone, Weight, When,
};
use crate::ui::view::Page;
use crate::web::Checked;

const DONE: &[(&str, &str)] = &[
    ("organisation", "The organisation is a member."),
    ("person", "The person is a member. Invite them, so that they can sign in."),
    ("group", "The trust group is there."),
    ("changed", "Changed."),
    ("removed", "Removed."),
];

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Administrator => "Administrator",
        Role::Coordinator => "Coordinator",
        Role::Contributor => "Contributor",
        Role::Observer => "Observer",
    }
}

fn role_meaning(role: Role) -> &'static str {
    match role {
        Role::Administrator => "Members, groups, collections, peers and settings. It is no licence to read.",
        Role::Coordinator => "Opens and leads cases, publishes for the organisation.",
        Role::Contributor => "Reports, and writes objects of the organisation.",
        Role::Observer => "Reads.",
    }
}

fn standing(active: bool) -> Cell {
    Cell::Badges(vec![if active {
        Badge::new("Active", Tone::Good)
    } else {
        Badge::new("Inactive", Tone::Plain)
    }])
}

/// `/members`
pub async fn members(visit: Visit) -> Result<Response, Failure> {
    visit.person()?;
    show(&page(&visit, None).await?)
}

async fn page(visit: &Visit, secret: Option<Secret>) -> Result<Page, Failure> {
    let store = &visit.app.store;
    let organisations = store.organisations().await?;
    let persons = store.persons().await?;
    let groups = store.groups().await?;
    let admin = visit.is(Role::Administrator);
    let knows = |group: &&Group| admin || visit.actor.reader.groups.contains(&group.id);
    let groups: Vec<&Group> = groups.iter().filter(knows).collect();
    let names: BTreeMap<OrgId, &str> = organisations.iter().map(|it| (it.id, it.name.as_str())).collect();
    let mut main = Vec::new();
    if let Some(secret) = secret {
        main.push(Section::bare(vec![Block::Secret(secret)]));
    }
    main.push(Section::new(
        "organisations",
        "Organisations",
        vec![Block::Table(organisations_table(&organisations, &persons))],
    ));
    main.push(Section::new(
        "persons",
        "Persons",
        vec![Block::Table(persons_table(visit, &persons, &names, admin))],
    ));
    let mut columns = vec!["Group", "Members", "Since"];
    if admin {
        columns.push("");
    }
    let table = Table::new("Trust groups", &columns)
        .rows(groups.into_iter().map(|group| {
            let mut members: Vec<String> = group
                .organisations
                .iter()
                .map(|id| names.get(id).copied().unwrap_or("?").to_owned())
                .collect();
            members
                .extend(persons.iter().filter(|it| group.persons.contains(&it.id)).map(|it| it.name.clone()));
            let mut cells = vec![
                Cell::Title(Link::text(&group.name), group.description.clone()),
                Cell::text(members.join(", ")),
                Cell::When(When::date(group.created)),
            ];
            if admin {
                let remove = Button::new("Remove", "/members/groups/remove", visit.csrf())
                    .with("id", group.id.to_string())
                    .labelled(format!("Remove the trust group {}", group.name))
                    .weight(Weight::Danger);
                cells.push(Cell::Button(remove));
            }
            cells
        }))
        .or_else(Empty::new(
            "No trust group that you know of",
            "Only its members and administrators know of a group.",
        ));
    main.push(Section::new("groups", "Trust groups", vec![Block::Table(table)]).noted(
        "A trust group is a set of organisations and persons that things can be shared with at once.",
    ));
    if admin {
        main.extend(forms(visit, &organisations));
    }
    let head = Head::new("Members", "Who takes part in this node.");
    let mut chrome = visit.chrome().await?;
    chrome.place = "/members";
    visit.done(&mut chrome, DONE);
    Ok(Page::new(chrome, head, main))
}

fn organisations_table(organisations: &[Organisation], persons: &[Person]) -> Table {
    Table::new("Organisations", &["Organisation", "Sectors", "Persons", "Standing", "Since"]).rows(
        organisations.iter().map(|it| {
            let count = persons.iter().filter(|person| person.organisation == it.id && person.active).count();
            let sectors: Vec<&str> = it.sectors.iter().map(String::as_str).collect();
            vec![
                Cell::text(&it.name),
                if sectors.is_empty() { Cell::None } else { Cell::text(sectors.join(", ")) },
                Cell::Number(count.to_string()),
                standing(it.active),
                Cell::When(When::date(it.created)),
            ]
        }),
    )
}

fn persons_table(visit: &Visit, persons: &[Person], names: &BTreeMap<OrgId, &str>, admin: bool) -> Table {
    let mut columns = vec!["Person", "Organisation", "Roles", "Standing"];
    if admin {
        columns.push("");
    }
    Table::new("Persons", &columns).rows(persons.iter().map(|it| {
        let roles: Vec<&str> = it.roles.iter().map(|role| role_name(*role)).collect();
        let mut cells = vec![
            if admin { Cell::Title(Link::text(&it.name), it.email.clone()) } else { Cell::text(&it.name) },
            Cell::text(names.get(&it.organisation).copied().unwrap_or("?")),
            if roles.is_empty() { Cell::None } else { Cell::text(roles.join(", ")) },
            standing(it.active),
        ];
        if admin {
            let path = format!("/members/persons/{}", it.id);
            let mut buttons = Vec::new();
            if it.active {
                let invite = Button::new("Invite", format!("{path}/invitation"), visit.csrf());
                buttons.push(invite.labelled(format!("Invite {}", it.name)));
            }
            let word = if it.active { "Deactivate" } else { "Activate" };
            if visit.actor.person().is_none_or(|me| me.id != it.id) {
                let change = Button::new(word, format!("{path}/active"), visit.csrf());
                buttons.push(
                    change
                        .with("active", if it.active { "no" } else { "yes" })
                        .labelled(format!("{word} {}", it.name)),
                );
            }
            cells.push(Cell::Buttons(buttons));
        }
        cells
    }))
}

fn forms(visit: &Visit, organisations: &[Organisation]) -> Vec<Section> {
    let organisation =
        Form::post("/members/organisations", visit.csrf(), "Add the organisation").fields(vec![
            Field::line("name", "Name", "").required().half(),
            Field::line("sectors", "Sectors", "").hinted("Separated by commas.").half(),
        ]);
    let choices = organisations.iter().map(|it| Choice::new(it.id.to_string(), &it.name)).collect();
    let roles = Role::ALL
        .into_iter()
        .map(|role| Choice::new(role.name(), role_name(role)).hinted(role_meaning(role)))
        .collect();
    let person = Form::post("/members/persons", visit.csrf(), "Add the person").fields(vec![
        Field::line("name", "Name", "").required().half(),
        Field::kind("email", "E-mail address", "email", "", "off").required().half(),
        Field::new("organisation", "Organisation", Control::Select(choices)).required(),
        Field::new("roles", "Roles", Control::Checks(roles)),
    ]);
    let members = organisations.iter().map(|it| Choice::new(it.id.to_string(), &it.name)).collect();
    let group = Form::post("/members/groups", visit.csrf(), "Add the trust group").fields(vec![
        Field::line("name", "Name", "").required(),
        Field::area("description", "What it is for", "", 2),
        Field::new("organisations", "Organisations in it", Control::Checks(members)),
    ]);
    vec![
        Section::new("add-organisation", "Add an organisation", vec![Block::Form(organisation)]).framed(),
        Section::new("add-person", "Add a person", vec![Block::Form(person)]).framed(),
        Section::new("add-group", "Add a trust group", vec![Block::Form(group)]).framed(),
    ]
}

/// `POST /members/organisations`
pub async fn new_organisation(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let entries = Entries::new(sent);
    let sectors: Vec<&str> =
        entries.get("sectors").split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
    let form = json!({"name": entries.get("name"), "sectors": sectors});
    service::new_organisation(&visit.app, &visit.actor, form).await?;
    go("/members?done=organisation")
}

/// `POST /members/persons`
pub async fn new_person(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let entries = Entries::new(sent);
    let roles: Vec<&str> = entries.all("roles").collect();
    let form = json!({
        "organisation": entries.get("organisation"), "name": entries.get("name"),
        "email": entries.get("email"), "roles": roles,
    });
    service::new_person(&visit.app, &visit.actor, form).await?;
    go("/members?done=person#persons")
}

/// `POST /members/groups`
pub async fn new_group(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let entries = Entries::new(sent);
    let organisations: Vec<&str> = entries.all("organisations").collect();
    let form = json!({
        "name": entries.get("name"), "description": entries.get("description"), "organisations": organisations,
    });
    service::new_group(&visit.app, &visit.actor, form).await?;
    go("/members?done=group#groups")
}

/// `POST /members/persons/{id}/invitation`: the link is shown this once.
pub async fn invite(visit: Visit, Path(id): Path<String>, Checked(_sent): Sent) -> Result<Response, Failure> {
    let id: PersonId = id.parse().map_err(|_| Failure::NotFound)?;
    let made = service::invite(&visit.app, &visit.actor, id).await?;
    let person = visit.app.store.person(id).await?.ok_or(Failure::NotFound)?;
    let secret = Secret {
        what: format!("Link of invitation for {}.", person.name),
        why: "Send it over a channel that you trust. It works once, for seven days, and is not shown again."
            .to_owned(),
        value: made.get("link").and_then(|link| link.as_str()).unwrap_or_default().to_owned(),
    };
    show(&page(&visit, Some(secret)).await?)
}

/// `POST /members/persons/{id}/active`
pub async fn active(visit: Visit, Path(id): Path<String>, Checked(sent): Sent) -> Result<Response, Failure> {
    let id: PersonId = id.parse().map_err(|_| Failure::NotFound)?;
    visit.with_role(Role::Administrator)?;
    let person = visit.app.store.person(id).await?.ok_or(Failure::NotFound)?;
    let form = json!({
        "organisation": person.organisation, "name": person.name, "email": person.email, "roles": person.roles,
        "active": Entries::new(sent).get("active") == "yes",
    });
    service::change_person(&visit.app, &visit.actor, id, form).await?;
    go("/members?done=changed#persons")
}

/// `POST /members/groups/remove`
pub async fn remove_group(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let id: GroupId = Entries::new(sent).get("id").parse().map_err(|_| Failure::NotFound)?;
    service::remove_group(&visit.app, &visit.actor, id).await?;
    go("/members?done=removed#groups")
}
