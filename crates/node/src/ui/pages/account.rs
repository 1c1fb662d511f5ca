//! The visitor's own account, saved views, and what was told to them.

use axum::extract::RawQuery;
use axum::response::Response;
use ostrom_core::TokenId;
use serde_json::json;

use super::enter::query;
use super::report::Sent;
use super::visit::{Visit, go, local, show};
use crate::Failure;
use crate::api::service;
use crate::sign_in::{FEED, SCOPES, SHORTEST_PASSWORD};
use crate::ui::entries::Entries;
use crate::ui::part::{
    Badge, Block, Button, Cell, Choice, Control, Empty, Facts, Field, Form, Head, Link, Notice, Passkey,
    Secret, Section, Table, Tone, Weight, When,
};
use crate::ui::view::{Page, form_page};
use crate::web::Checked;

/// For how many days a feed's address is good.
const FEED_DAYS: u32 = 365;

const DONE: &[(&str, &str)] = &[
    ("password", "Your password is changed. All your other sessions have ended."),
    ("passkey", "The passkey is removed."),
    ("passkey-added", "The passkey is there: you can sign in with it."),
    ("revoked", "The token is revoked."),
    ("seen", "Noted."),
];

/// `/account`
pub async fn account(visit: Visit, RawQuery(raw): RawQuery) -> Result<Response, Failure> {
    visit.person()?;
    let entries = query(raw.as_deref());
    let notice = if entries.get("failed") == "password" {
        Some(Notice::new(
            Tone::Bad,
            "The password is not changed.",
            "What you gave as your present password is not it.",
        ))
    } else if entries.get("add") == "passkey" {
        Some(Notice::new(
            Tone::Info,
            "Add a passkey now,",
            "or choose a password: you cannot sign in again without one of them.",
        ))
    } else {
        None
    };
    show(&page(&visit, notice, None).await?)
}

async fn page(visit: &Visit, notice: Option<Notice>, secret: Option<Secret>) -> Result<Page, Failure> {
    let person = visit.person()?;
    let store = &visit.app.store;
    let organisation = store.organisation(person.organisation).await?.map(|it| it.name).unwrap_or_default();
    let roles: Vec<&str> = person.roles.iter().map(|role| role.name()).collect();
    let facts = Facts::new()
        .fact("Name", Cell::text(&person.name))
        .fact("E-mail address", Cell::text(&person.email))
        .fact("Organisation", Cell::text(organisation))
        .fact("Roles", Cell::text(roles.join(", ")));
    let mut first: Vec<Block> = secret.map(Block::Secret).into_iter().collect();
    first.push(Block::Facts(facts));
    let mut main = vec![Section::bare(first)];

    let passkeys = store.passkeys(person.id).await?;
    let table = Table::new("Passkeys", &["Passkey", "Since", "Last used", ""])
        .rows(passkeys.iter().map(|it| {
            let id = data_encoding::BASE64URL_NOPAD.encode(&it.id);
            let remove = Button::new("Remove", "/auth/passkey/remove", visit.csrf())
                .with("id", id)
                .labelled(format!("Remove the passkey {}", it.name))
                .weight(Weight::Danger);
            vec![
                Cell::text(&it.name),
                Cell::When(When::date(it.created)),
                it.last_used.map_or(Cell::None, |time| Cell::When(When::from_now(time, visit.now))),
                Cell::Button(remove),
            ]
        }))
        .or_else(Empty::new("No passkey yet", "A passkey cannot be guessed, and nobody can ask you for it."));
    let add = if person.is_recent(visit.now) {
        Block::Passkey(Passkey { register: true, csrf: visit.csrf().to_owned(), next: String::new() })
    } else {
        again("Sign in again to add a passkey", "/account#passkeys")
    };
    main.push(Section::new("passkeys", "Passkeys", vec![Block::Table(table), add]));

    let has = store.password(person.id).await?.is_some();
    let mut fields = Vec::new();
    if has {
        fields.push(Field::kind("old", "Present password", "password", "", "current-password").required());
    }
    fields.push(
        Field::kind("new", "New password", "password", "", "new-password")
            .required()
            .hinted(format!("At least {SHORTEST_PASSWORD} characters. All your other sessions end.")),
    );
    let word = if has { "Change the password" } else { "Set a password" };
    // Whoever has a password proves with it who they are.
    let form = if has || person.is_recent(visit.now) {
        Block::Form(Form::post("/auth/password/change", visit.csrf(), word).fields(fields))
    } else {
        again("Sign in again to set a password", "/account#password")
    };
    main.push(Section::new("password", "Password", vec![form]));
    main.push(tokens(visit).await?);
    main.push(notifications(visit).await?);
    let mut chrome = visit.chrome().await?;
    chrome.place = "/account";
    visit.done(&mut chrome, DONE);
    if notice.is_some() {
        chrome.notice = notice;
    }
    Ok(Page::new(chrome, Head::new("Account", ""), main))
}

/// The way to what needs a recent sign-in.
pub fn again(what: &str, next: &str) -> Block {
    let href = format!("/sign-in?again=1&next={}", super::visit::encode(next));
    Block::Actions(vec![crate::ui::part::Action::Go(Link::to(what, href), false)])
}

async fn tokens(visit: &Visit) -> Result<Section, Failure> {
    let person = visit.person()?;
    let tokens = visit.app.store.tokens(person.organisation).await?;
    let table =
        Table::new("Tokens of your organisation's machines", &["Token", "For", "Expires", "Last used", ""])
            .rows(tokens.iter().map(|it| {
                let valid = it.is_valid(visit.now);
                let scopes: Vec<&str> = it.scopes.iter().map(String::as_str).collect();
                let last = if valid {
                    let revoke = Button::new("Revoke", "/account/tokens/revoke", visit.csrf());
                    Cell::Button(
                        revoke
                            .with("id", it.id.to_string())
                            .labelled(format!("Revoke the token {}", it.name))
                            .weight(Weight::Danger),
                    )
                } else {
                    let word = if it.revoked.is_some() { "Revoked" } else { "Expired" };
                    Cell::Badges(vec![Badge::new(word, Tone::Plain)])
                };
                vec![
                    Cell::text(&it.name),
                    Cell::text(scopes.join(", ")),
                    Cell::When(When::date(it.expires)),
                    it.last_used.map_or(Cell::None, |time| Cell::When(When::from_now(time, visit.now))),
                    last,
                ]
            }))
            .or_else(Empty::new(
                "No token yet",
                "Machines sign in with tokens: for TAXII, the API, feeds and peers.",
            ));
    let scopes = SCOPES
        .iter()
        // Those are made beside saved views, with the address that they stand in.
        .filter(|scope| **scope != FEED)
        .map(|scope| {
            let meaning = match *scope {
                "read" => "Reads what your organisation may see: API, TAXII, feeds.",
                "write" => "Writes objects of your organisation.",
                "report" => "Reports flaws and incidents.",
                _ => "Another node pulls with it.",
            };
            Choice::new(*scope, *scope).hinted(meaning).chosen(*scope == "read")
        })
        .collect();
    let form = if person.is_recent(visit.now) {
        Block::Form(Form::post("/account/tokens", visit.csrf(), "Make a token").fields(vec![
            Field::line("name", "Name", "").required().half(),
            Field::kind("days", "Good for, in days", "number", "90", "off").required().half(),
            Field::new("scopes", "What it is for", Control::Checks(scopes)),
        ]))
    } else {
        again("Sign in again to make a token", "/account#tokens")
    };
    let keys = Link::to("Keys that others can seal to", "/sealing-keys".to_owned());
    Ok(Section::new("tokens", "Machine tokens", vec![Block::Table(table), form, Block::Links(vec![keys])]))
}

async fn notifications(visit: &Visit) -> Result<Section, Failure> {
    let told = visit.reading().await?.notifications(None, 50).await?;
    let newest = told.first().map(|it| it.number);
    let unseen = told.iter().any(|it| it.seen.is_none());
    let table = Table::new("What was told to you", &["What", "When", "Seen"])
        .rows(told.into_iter().map(|it| {
            vec![
                Cell::text(it.text),
                Cell::When(When::from_now(it.made, visit.now)),
                it.seen.map_or_else(
                    || Cell::Badges(vec![Badge::new("New", Tone::Info)]),
                    |time| Cell::When(When::from_now(time, visit.now)),
                ),
            ]
        }))
        .or_else(Empty::new("Nothing was told to you yet", ""));
    let mut blocks = vec![Block::Table(table)];
    if let Some(newest) = newest.filter(|_| unseen) {
        let button =
            Button::new("Mark all as seen", "/account/seen", visit.csrf()).with("up-to", newest.to_string());
        blocks.push(Block::Actions(vec![crate::ui::part::Action::Do(button)]));
    }
    Ok(Section::new("told", "Notifications", blocks))
}

/// `POST /account/tokens`: the token is shown this once.
pub async fn new_token(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let entries = Entries::new(sent);
    let scopes: Vec<&str> = entries.all("scopes").collect();
    let days: u32 = entries.get("days").parse().unwrap_or(0);
    let form = json!({"name": entries.get("name"), "scopes": scopes, "days": days});
    let made = service::new_token(&visit.app, &visit.actor, form).await?;
    let secret = Secret {
        what: format!("The token {}.", entries.get("name")),
        why: "Copy it now: the node keeps only its hash, and it is not shown again.".to_owned(),
        value: made.get("token").and_then(|token| token.as_str()).unwrap_or_default().to_owned(),
    };
    show(&page(&visit, None, Some(secret)).await?)
}

/// `POST /account/tokens/revoke`
pub async fn revoke(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let id: TokenId = Entries::new(sent).get("id").parse().map_err(|_| Failure::NotFound)?;
    service::revoke_token(&visit.app, &visit.actor, id).await?;
    go("/account?done=revoked#tokens")
}

/// `POST /account/seen`
pub async fn seen(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let person = visit.person()?.id;
    let number = Entries::new(sent).get("up-to").parse().map_err(|_| Failure::NotFound)?;
    let mut writing = visit.app.store.writing(visit.now).await?;
    writing.seen(person, number).await?;
    writing.commit().await?;
    go("/account?done=seen#told")
}

/// `/views`
pub async fn views(visit: Visit) -> Result<Response, Failure> {
    show(&views_page(&visit, None).await?)
}

/// The address of a view's feed, without a token.
fn feed_of(view: &str) -> String {
    let to = local(view);
    let (path, query) = to.split_once('?').unwrap_or((to, ""));
    format!("{path}.atom?{query}")
}

async fn views_page(visit: &Visit, secret: Option<Secret>) -> Result<Page, Failure> {
    let person = visit.person()?;
    let recent = person.is_recent(visit.now);
    let views = visit.app.store.saved_views(person.id).await?;
    let table = Table::new("Saved views", &["View", "Feed", "Since", ""])
        .rows(views.into_iter().map(|it| {
            let to = local(&it.query).to_owned();
            let mut buttons = Vec::new();
            if recent {
                let make = Button::new("Make a feed address", "/views/feed", visit.csrf());
                buttons.push(
                    make.with("name", &it.name)
                        .labelled(format!("Make a feed address for the view {}", it.name)),
                );
            }
            let remove = Button::new("Remove", "/views/remove", visit.csrf())
                .with("name", &it.name)
                .labelled(format!("Remove the view {}", it.name))
                .weight(Weight::Danger);
            buttons.push(remove);
            vec![
                Cell::link(&it.name, &to),
                Cell::link("Atom", feed_of(&to)),
                Cell::When(When::date(it.created)),
                Cell::Buttons(buttons),
            ]
        }))
        .or_else(Empty::new("No saved view yet", "Filter a list or search, then choose “Save this view”."));
    let mut chrome = visit.chrome().await?;
    chrome.place = "/views";
    visit.done(&mut chrome, &[("saved", "The view is saved."), ("removed", "The view is removed.")]);
    let lead = "Lists and searches under a name. A feed address is for feed readers that cannot sign in: whoever has it reads what all of your organisation may read. It ends after a year, and you can revoke it on your account page.";
    let mut blocks: Vec<Block> = secret.map(Block::Secret).into_iter().collect();
    blocks.push(Block::Table(table));
    if !recent {
        blocks.push(again("Sign in again to make feed addresses", "/views"));
    }
    Ok(Page::new(chrome, Head::new("Saved views", lead), vec![Section::bare(blocks)]))
}

/// `POST /views/feed`: an address for a feed reader. It is shown this once.
pub async fn feed_address(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let person = visit.person()?.id;
    let entries = Entries::new(sent);
    let views = visit.app.store.saved_views(person).await?;
    let view = views.into_iter().find(|view| view.name == entries.get("name")).ok_or(Failure::NotFound)?;
    let name: String = format!("Feed: {}", view.name).chars().take(100).collect();
    let form = json!({"name": name, "scopes": [FEED], "days": FEED_DAYS});
    let made = service::new_token(&visit.app, &visit.actor, form).await?;
    let token = made.get("token").and_then(|token| token.as_str()).unwrap_or_default();
    let secret = Secret {
        what: format!("The address of the feed {}.", view.name),
        why: "Copy it into your feed reader now: it is not shown again. Whoever has it can read the feed."
            .to_owned(),
        value: visit.app.base.url(&format!("/feeds/{token}{}", feed_of(&view.query))),
    };
    show(&views_page(&visit, Some(secret)).await?)
}

/// `/views/new?of=…`
pub async fn new_view(visit: Visit, RawQuery(raw): RawQuery) -> Result<Response, Failure> {
    visit.person()?;
    let entries = query(raw.as_deref());
    let of = local(entries.get("of"));
    let form = Form::post("/views/new", visit.csrf(), "Save the view")
        .fields(vec![Field::hidden("of", of), Field::line("name", "Name of the view", "").required()])
        .cancel(of);
    let head = Head::new("Save a view", "").under("Saved views", "/views");
    let mut chrome = visit.chrome().await?;
    chrome.place = "/views";
    show(&form_page(
        chrome,
        head,
        form,
        vec![Section::new("of", "What is saved", vec![Block::Links(vec![Link::to(of, of)])])],
    ))
}

/// `POST /views/new`
pub async fn save_view(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let entries = Entries::new(sent);
    let form = json!({"name": entries.get("name"), "of": local(entries.get("of"))});
    service::save_view(&visit.app, &visit.actor, form).await?;
    go("/views?done=saved")
}

/// `POST /views/remove`
pub async fn remove_view(visit: Visit, Checked(sent): Sent) -> Result<Response, Failure> {
    let name = Entries::new(sent).get("name").to_owned();
    service::remove_view(&visit.app, &visit.actor, name).await?;
    go("/views?done=removed")
}
