//! Signing in, and taking up an invitation. The forms go to `/auth/…`.

use axum::extract::{Path, RawQuery};
use axum::response::Response;

use super::visit::{Visit, encode, go, local, show};
use crate::Failure;
use crate::sign_in::{Invitation, SHORTEST_PASSWORD, invitation};
use crate::ui::entries::Entries;
use crate::ui::part::{Action, Block, Field, Form, Head, Link, Notice, Passkey, Section, Tone};
use crate::ui::view::Page;

/// What stands after the question mark.
pub fn query(raw: Option<&str>) -> Entries {
    let pairs = form_urlencoded::parse(raw.unwrap_or_default().as_bytes());
    Entries::new(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
}

/// `/sign-in`
pub async fn sign_in(visit: Visit, RawQuery(raw): RawQuery) -> Result<Response, Failure> {
    let query = query(raw.as_deref());
    let next = local(query.get("next"));
    // Somebody who is signed in signs in again for what needs a recent sign-in.
    let again = query.some("again").is_some() || query.some("failed").is_some();
    if visit.actor.is_signed_in() && !again {
        return go(next);
    }
    let again = visit.actor.is_signed_in();
    let mut blocks = Vec::new();
    if let Some(what) = query.some("failed") {
        let why = match what {
            "password" => {
                "The address and the password do not fit together. After several tries, wait a quarter of an hour."
            }
            "provider" => {
                "The provider did not confirm who you are, or nobody here is linked to that account."
            }
            _ => "Try again, or another way.",
        };
        blocks.push(Block::Notice(Notice::new(Tone::Bad, "You are not signed in.", why)));
    }
    blocks.push(Block::Passkey(Passkey {
        register: false,
        csrf: visit.csrf().to_owned(),
        next: next.to_owned(),
    }));
    if let Some(oidc) = &visit.app.config.oidc {
        let label =
            if oidc.label.is_empty() { "Sign in with your organisation" } else { oidc.label.as_str() };
        let anew = if again { "again=1&" } else { "" };
        let href = format!("/auth/provider?{anew}next={}", encode(next));
        blocks.push(Block::Actions(vec![Action::Go(Link::to(label, href), false)]));
    }
    let email = visit.actor.person().map_or("", |person| &*person.email);
    blocks.push(Block::Or("or with a password"));
    blocks.push(Block::Form(Form::post("/auth/password", visit.csrf(), "Sign in").fields(vec![
        Field::hidden("next", next),
        Field::kind("email", "E-mail address", "email", email, "username").required(),
        Field::kind("password", "Password", "password", "", "current-password").required(),
    ])));
    let head = if again {
        let lead = "What you want to do changes how you or others sign in. It needs a sign-in of the last 15 minutes.";
        Head::new("Sign in again", lead)
    } else {
        Head::new("Sign in", "Members are invited by an administrator of this node.")
    };
    show(&Page::new(visit.bare(), head, vec![Section::bare(blocks)]))
}

/// `/invite/{secret}`
pub async fn invite(visit: Visit, Path(secret): Path<String>) -> Result<Response, Failure> {
    let password = Field::kind("password", "Password", "password", "", "new-password").hinted(format!(
        "At least {SHORTEST_PASSWORD} characters. Leave it empty to add a passkey on the next page instead."
    ));
    let (head, fields, submit) = match invitation(&visit.app, &secret).await? {
        Invitation::First => (
            Head::new("Set up this node", "You become its first administrator. This link works once."),
            vec![
                Field::hidden("secret", &secret),
                Field::kind("organisation", "Organisation that runs this node", "text", "", "organization")
                    .required(),
                Field::kind("name", "Your name", "text", "", "name").required(),
                Field::kind("email", "Your e-mail address", "email", "", "email")
                    .required()
                    .hinted("You sign in with it."),
                password,
            ],
            "Begin",
        ),
        Invitation::Person(person) => (
            Head::new(
                "Welcome",
                format!(
                    "This link signs in {} ({}) once, and lets you choose how to sign in from now on.",
                    person.name, person.email
                ),
            ),
            vec![Field::hidden("secret", &secret), password],
            "Sign in",
        ),
    };
    let form = Form::post("/auth/invitation", visit.csrf(), submit).fields(fields);
    show(&Page::new(visit.bare(), head, vec![Section::bare(vec![Block::Form(form)])]))
}
