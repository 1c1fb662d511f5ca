//! Overview, lists, search, feeds.

use std::collections::BTreeMap;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use ostrom_core::handling::Policy;
use ostrom_core::{ObjectId, Timestamp};
use ostrom_exchange::service::Deed;
use ostrom_store::{Head, Key, Reading, Role, Subject};

use super::enter::query;
use super::names::Names;
use super::thing::{Thing, link_of, types};
use super::visit::{Visit, encode, show};

use crate::sign_in::token;
use crate::ui::entries::Entries;
use crate::ui::part::{Clock, Link, Pager, Tile, Tone, When, from_field};
use crate::ui::view::{Kind, ListFilters, ListRow, ListView, OverviewView, Waiting};
use crate::web::Caller;
use crate::who::Actor;
use crate::{App, Failure};

/// Rows of a page.
const PAGE: usize = 25;
/// How many stored pages are looked through for one page of a filtered list: bounds the work where a filter lets little through.
const LOOKS: usize = 20;

/// The filters in an address.
fn filters(entries: &Entries) -> ListFilters {
    let date = |name: &str| entries.get(name).to_owned();
    let mut filters = ListFilters {
        words: entries.get("q").chars().take(300).collect(),
        kind: entries.get("kind").to_owned(),
        tlp: entries.get("tlp").to_owned(),
        since: date("since"),
        until: date("until"),
        wrong: None,
    };
    let bad = |text: &str| !text.is_empty() && from_field(text).is_none();
    if bad(&filters.since) || bad(&filters.until) {
        filters.wrong = Some("Write dates as 2026-11-22".to_owned());
    }
    filters
}

/// A place in a list, for the address of the next page.
fn cursor(key: &Key) -> String {
    encode(&format!("{}~{}~{}~{}", key.added, key.id, key.version, key.collection))
}

fn read_cursor(text: &str) -> Option<Key> {
    let mut parts = text.split('~');
    let added = parts.next()?.parse().ok()?;
    let id = parts.next()?.parse().ok()?;
    let version = parts.next()?.parse().ok()?;
    let collection = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(Key { added, id, version, collection })
}

/// Things with what decides on who sees them, in the order of the heads.
pub async fn read(reading: &Reading, heads: &[Head]) -> Result<Vec<(Thing, Policy)>, Failure> {
    let ids: Vec<ObjectId> = heads.iter().map(|head| head.key.id.clone()).collect();
    let mut things = Vec::with_capacity(ids.len());
    for object in reading.objects(&ids).await? {
        let Some((policy, _)) = reading.explain(&object.head.key.id, None).await? else { continue };
        things.push((Thing::read(object), policy));
    }
    Ok(things)
}

struct Found {
    things: Vec<(Thing, Policy)>,
    next: Option<Key>,
}

/// One page of a list.
async fn find(
    reading: &Reading,
    kind: Option<Kind>,
    filters: &ListFilters,
    after: Option<Key>,
) -> Result<Found, Failure> {
    let all: Vec<&str> = Kind::ALL.into_iter().flat_map(|kind| types(kind).iter().copied()).collect();
    let kind = kind.or_else(|| Kind::at(&filters.kind));
    let mut wanted: Vec<&str> = kind.map_or(all, |kind| types(kind).to_vec());
    wanted.sort_unstable();
    wanted.dedup();
    let since = from_field(&filters.since);
    let until = from_field(&filters.until);
    let mut found = Found { things: Vec::new(), next: None };
    let mut after = after;
    for _ in 0..LOOKS {
        let page = if filters.words.trim().is_empty() {
            reading.list(&wanted, after.as_ref(), PAGE).await?
        } else {
            reading.search(&filters.words, &wanted, after.as_ref(), PAGE).await?
        };
        let before_since = |time: Timestamp| since.is_some_and(|since| time < since);
        let over = page.rows.iter().any(|head| before_since(head.key.added));
        let heads: Vec<Head> = page
            .rows
            .into_iter()
            .filter(|head| !before_since(head.key.added) && until.is_none_or(|until| head.key.added < until))
            .collect();
        for (thing, policy) in read(reading, &heads).await? {
            let fits = kind.is_none_or(|kind| thing.kind == Some(kind))
                && (filters.tlp.is_empty() || policy.tlp().name() == filters.tlp);
            if !fits {
                continue;
            }
            if found.things.len() == PAGE {
                // One more fits than the page holds: the next one begins after the last that it shows.
                found.next = found.things.last().map(|(thing, _)| thing.head.key.clone());
                return Ok(found);
            }
            found.things.push((thing, policy));
        }
        match page.next {
            Some(next) if !over => after = Some(next),
            _ => return Ok(found),
        }
    }
    found.next = after;
    Ok(found)
}

/// Writes down what is about to be shown.
async fn note(visit: &Visit, found: &Found) -> Result<(), Failure> {
    let shown: Vec<&ObjectId> = found.things.iter().map(|(thing, _)| &thing.head.key.id).collect();
    visit.note("page", &shown).await
}

/// `/flaws` and the others, and `/search`.
pub async fn list(kind: Option<Kind>, visit: Visit, RawQuery(raw): RawQuery) -> Result<Response, Failure> {
    let entries = query(raw.as_deref());
    let filters = filters(&entries);
    let reading = visit.reading().await?;
    let after = entries.some("after").and_then(read_cursor);
    let first = after.is_none();
    let found = find(&reading, kind, &filters, after).await?;
    note(&visit, &found).await?;
    let names = Names::read(&visit.app.store).await?;
    let rows: Vec<ListRow> = found
        .things
        .iter()
        .map(|(thing, policy)| thing.row(policy, &names, visit.now, kind.is_none()))
        .collect();
    let path = kind.map_or("/search", Kind::path);
    let address = |rest: &str| {
        let mut address = format!("{path}?{}", filters.query());
        if !address.ends_with('?') && !rest.is_empty() {
            address.push('&');
        }
        address.push_str(rest);
        address.trim_end_matches('?').to_owned()
    };
    let pager = Pager {
        newer: (!first).then(|| address("")),
        older: found.next.as_ref().map(|key| address(&format!("after={}", cursor(key)))),
    };
    let may_begin = kind.is_some() && visit.is(Role::Contributor);
    let may_save = visit.actor.person().is_some() && filters.any();
    let view = ListView { kind, filters, rows, pager, may_begin, may_save };
    show(&view.page(visit.chrome().await?))
}

/// `/`
pub async fn overview(visit: Visit) -> Result<Response, Failure> {
    let reading = visit.reading().await?;
    let names = Names::read(&visit.app.store).await?;
    let found = find(&reading, None, &ListFilters::default(), None).await?;
    note(&visit, &found).await?;
    let week = visit.now.plus_seconds(-7 * 86_400);
    let news: Vec<ListRow> = found
        .things
        .iter()
        .take(10)
        .map(|(thing, policy)| thing.row(policy, &names, visit.now, true))
        .collect();
    let mut view =
        OverviewView { tiles: Vec::new(), waiting: Vec::new(), clocks: Vec::new(), news, begin: Vec::new() };
    if visit.actor.person().is_some() {
        if visit.is(Role::Contributor) {
            view.begin = vec![
                Link::to("Report a flaw", "/flaws/new"),
                Link::to("Report an incident", "/incidents/new"),
            ];
        }
        let new = found.things.iter().filter(|(thing, _)| thing.head.key.added >= week).count();
        let more = if found.next.is_some() && new == PAGE { "+" } else { "" };
        let due = reading.due_before(visit.now.plus_seconds(90 * 86_400), 12).await?;
        // Clocks are the organisation's; what they belong to, not everybody in it may see.
        let titles = titles(&reading, &due).await?;
        let due: Vec<_> = due.into_iter().filter(|due| titles.contains_key(&due.subject)).collect();
        let overdue = due.iter().filter(|due| due.due < visit.now).count();
        let unseen = reading.unseen().await?;
        let tile = |number: String, label: &str, href: &str, tone| Tile {
            number,
            label: label.to_owned(),
            href: Some(href.to_owned()),
            tone,
        };
        view.tiles = vec![
            tile(format!("{new}{more}"), "new in the last 7 days", "/search", Tone::Plain),
            tile(unseen.to_string(), "wait for you", "/#waiting", Tone::Plain),
            tile(due.len().to_string(), "clocks in the next 90 days", "/#clocks", Tone::Plain),
            tile(
                overdue.to_string(),
                if overdue == 1 { "clock overdue" } else { "clocks overdue" },
                "/#clocks",
                if overdue > 0 { Tone::Bad } else { Tone::Plain },
            ),
        ];
        view.clocks = due
            .into_iter()
            .map(|due| clock(&due, titles.get(&due.subject).map(String::as_str), &names, visit.now))
            .collect();
        view.waiting = reading
            .notifications(None, 8)
            .await?
            .into_iter()
            .filter(|it| it.seen.is_none())
            .map(|it| Waiting {
                what: match &it.subject {
                    Subject::Case(id) => Link::to(&it.text, format!("/cases/{id}")),
                    Subject::Object(id) => Link::to(&it.text, link_of(id)),
                    Subject::Membership => Link::to(&it.text, "/account"),
                },
                why: it.kind.replace('-', " "),
                since: When::from_now(it.made, visit.now),
            })
            .collect();
    }
    show(&view.page(visit.chrome().await?))
}

/// The titles of what something falls due of, by subject, as far as the visitor may see it.
async fn titles(reading: &Reading, all: &[ostrom_store::Due]) -> Result<BTreeMap<String, String>, Failure> {
    let mut titles = BTreeMap::new();
    for due in all {
        let title = match due.subject.split_once('/') {
            Some(("case", id)) => match id.parse() {
                Ok(id) => reading.case(id).await?.map(|case| case.summary),
                Err(_) => None,
            },
            Some((id, _)) => match id.parse() {
                Ok(id) => reading.heads(&[id]).await?.into_iter().next().map(|head| head.title),
                Err(_) => None,
            },
            None => None,
        };
        titles.extend(title.map(|title| (due.subject.clone(), title.chars().take(80).collect())));
    }
    Ok(titles)
}

/// Something that falls due, as a clock, with the title `of` what. It began, as far as is known, when it was at most thirty days away.
pub fn clock(due: &ostrom_store::Due, of: Option<&str>, names: &Names, now: Timestamp) -> Clock {
    let whom = due.party.map(|party| names.organisation(party));
    let whom: Vec<String> = of.map(str::to_owned).into_iter().chain(whom).collect();
    let whom = whom.join(" · ");
    // What the exchange names in one word, with the party's id behind it, is for machines.
    let word = match due.name.split_once('/') {
        _ if due.name.contains(' ') => due.name.clone(),
        Some((word, _)) => word.replace('-', " "),
        None => due.name.replace('-', " "),
    };
    let label = super::names::sentence(&word);
    let start = crate::duty::aware(due).unwrap_or_else(|| due.due.plus_seconds(-30 * 86_400));
    let href = match due.subject.split_once('/') {
        Some(("case", case)) => format!("/cases/{case}"),
        Some((object, _)) => format!("/objects/{object}"),
        None => format!("/objects/{}", due.subject),
    };
    Clock::new(label.trim_end_matches('.'), whom, start, due.due, now).linked(href)
}

/// An Atom feed of a list, with the eyes of whoever asks.
pub async fn feed(kind: Option<Kind>, visit: Visit, raw: RawQuery) -> Result<Response, Failure> {
    atom(&visit.app, &visit.actor, kind, raw).await
}

/// `/feeds/{token}/flaws.atom`: the same for feed readers, which cannot sign in. *Invariant:* the token is written nowhere: not into the audit
/// log, and into no link of the feed.
pub async fn feed_by_address(
    State(app): State<App>,
    caller: Caller,
    Path((token, list)): Path<(String, String)>,
    raw: RawQuery,
) -> Result<Response, Failure> {
    let kind = match list.strip_suffix(".atom") {
        Some("search") => None,
        Some(list) => Some(Kind::at(list).ok_or(Failure::NotFound)?),
        None => return Err(Failure::NotFound),
    };
    let actor = token::feed(&token, &caller, &app).await?;
    atom(&app, &actor, kind, raw).await
}

async fn atom(
    app: &App,
    actor: &Actor,
    kind: Option<Kind>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let filters = filters(&query(raw.as_deref()));
    let reading = crate::api::reading(app, actor).await?;
    let found = find(&reading, kind, &filters, None).await?;
    let names = Names::read(&app.store).await?;
    let base = &app.base;
    let path = kind.map_or("/search", Kind::path);
    let asked = format!("feed {path}?{}", filters.query());
    let mut deed = Deed::new(&actor.asker(), "show", asked, app.clock().now());
    deed.count = found.things.len() as u64;
    deed.first = found.things.first().map(|(thing, _)| thing.head.key.id.to_string());
    deed.last = found.things.last().map(|(thing, _)| thing.head.key.id.to_string());
    app.exchange.note(deed).await?;
    let title = format!("{} · {}", kind.map_or("Search", Kind::many), app.config.title);
    let updated =
        found.things.iter().map(|(thing, _)| thing.head.key.added).max().unwrap_or(Timestamp::EPOCH);
    let mut xml = Atom::new();
    xml.open("feed", " xmlns=\"http://www.w3.org/2005/Atom\"");
    xml.text("title", &title);
    xml.text("id", &base.url(&format!("{path}?{}", filters.query())));
    xml.text("updated", &updated.to_string());
    xml.link(&base.url(path), "alternate");
    for (thing, policy) in &found.things {
        xml.open("entry", "");
        xml.text("title", &format!("[{}] {}", policy.tlp().label(), thing.title()));
        xml.text("id", &base.url(&thing.href()));
        xml.text("updated", &thing.head.key.added.to_string());
        xml.link(&base.url(&thing.href()), "alternate");
        xml.open("author", "");
        xml.text("name", &names.organisation(thing.head.owner));
        xml.close("author");
        xml.text("summary", &crate::ui::markdown::summary(thing.body(), 400));
        xml.close("entry");
    }
    xml.close("feed");
    let kind = (CONTENT_TYPE, HeaderValue::from_static("application/atom+xml; charset=utf-8"));
    Ok(([kind], xml.0).into_response())
}

/// Atom, in which every text is escaped and what XML cannot hold is left out.
struct Atom(String);

impl Atom {
    fn new() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n".to_owned())
    }

    fn open(&mut self, name: &str, rest: &str) {
        self.0.push_str(&format!("<{name}{rest}>"));
    }

    fn close(&mut self, name: &str) {
        self.0.push_str(&format!("</{name}>\n"));
    }

    fn text(&mut self, name: &str, text: &str) {
        self.open(name, "");
        let plain: String =
            text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
        crate::ui::html::escape(&mut self.0, &plain);
        self.close(name);
    }

    fn link(&mut self, href: &str, rel: &str) {
        self.0.push_str("<link rel=\"");
        self.0.push_str(rel);
        self.0.push_str("\" href=\"");
        crate::ui::html::escape(&mut self.0, href);
        self.0.push_str("\"/>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_the_address() {
        let key = Key {
            added: "2026-11-22T14:05:00.123456Z".parse().unwrap(),
            id: "vulnerability--5f2c2b9a-6c1e-4d6e-9c39-3f4f0f1c7a11".parse().unwrap(),
            version: "2026-11-22T14:05:00Z".parse().unwrap(),
            collection: "5f2c2b9a-6c1e-4d6e-9c39-3f4f0f1c7a11".parse().unwrap(),
        };
        let text = cursor(&key);
        let decoded =
            form_urlencoded::parse(format!("after={text}").as_bytes()).next().unwrap().1.into_owned();
        assert_eq!(read_cursor(&decoded).unwrap(), key);
        for bad in ["", "~~~", "x", "2026-11-22T14:05:00Z~vulnerability--x~y~z"] {
            assert!(read_cursor(bad).is_none(), "{bad}");
        }
    }
}
