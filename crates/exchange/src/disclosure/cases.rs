//! Cases in the store: events under an optimistic check, what is due, notifications, and the clock.

use std::sync::Arc;

use ostrom_core::handling::{Party, Reader};
use ostrom_core::{CaseId, Digest, OrgId, Timestamp, Uuid};
use ostrom_store::{CaseEvent, NewDue, NewEvent, NewMessage, NewNotification, Store, Subject, Writing};
use ostrom_trust::log::{Log, LogError, Tiles};

use super::event::{Actor, Event, EventError, Terms, What};
use super::state::{Refused, State};
use super::view::View;
use crate::commitment::{CommitmentError, Kind, Opening, Salt, commit};

/// How often a change is tried again that another one came before.
const ATTEMPTS: usize = 16;
/// Longest report, in bytes.
const MAX_REPORT: usize = 256 << 10;
/// The most cases that a list looks at.
const MAX_LIST: usize = 2_000;
/// Cases that a tick fetches at once.
const AT_ONCE: usize = 1_000;
/// How the subject of what is due in a case begins.
const CASE: &str = "case/";
/// Marks something due of which its party has been reminded.
const REMINDED: &str = "reminded";

/// Why something could not be done in a case.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// There is none, or it is not for the one who asks.
    #[error("there is no such case")]
    NotFound,
    /// It may not happen.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The report is too long or no text.
    #[error("a report is text of at most 256 KiB")]
    Report,
    /// The store.
    #[error(transparent)]
    Store(#[from] ostrom_store::Error),
    /// What is kept is no event.
    #[error("case {case}, event {number}: {source}")]
    Event {
        /// The case.
        case: CaseId,
        /// The event.
        number: i64,
        /// What is wrong.
        source: EventError,
    },
    /// An event cannot be written.
    #[error(transparent)]
    Write(EventError),
    /// The transparency log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The commitment.
    #[error(transparent)]
    Commitment(#[from] CommitmentError),
    /// A task of the runtime did not end well.
    #[error("the log's task was stopped")]
    Stopped,
}

/// A case to open.
#[derive(Debug, Clone)]
pub struct NewCase {
    /// What it is about, in a line.
    pub title: String,
    /// The report: what the commitment is of. Its reporter and the coordinators read it.
    pub report: Vec<u8>,
    /// Who reported it.
    pub reporter: Party,
    /// Whether vendors are not told who reported it.
    pub anonymous: bool,
    /// Who leads the case.
    pub coordinator: OrgId,
    /// What is agreed.
    pub terms: Terms,
}

/// What the clock did in a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticked {
    /// The case.
    pub case: CaseId,
    /// The events that it added. After [`What::Published`], the advisory's marks are to be opened.
    pub events: Vec<Event>,
}

/// The cases of a node.
#[derive(Clone)]
pub struct Cases {
    store: Store,
    log: Arc<Log>,
}

impl std::fmt::Debug for Cases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cases").field("store", &self.store.location()).finish_non_exhaustive()
    }
}

impl Cases {
    /// The cases in this store, whose commitments go to this transparency log.
    pub fn new(store: Store, log: Arc<Log>) -> Self {
        Self { store, log }
    }

    /// Opens a case. `by` is its reporter or coordinator. The commitment to the report is in the log, durably, before the case is
    /// in the store; if the store fails then, the log has an entry that says nothing to anybody.
    ///
    /// # Errors
    /// If the case may not be opened so, or the log or store fails.
    pub async fn open(&self, by: &Reader, new: &NewCase, now: Timestamp) -> Result<CaseId, CaseError> {
        let report = std::str::from_utf8(&new.report).ok().filter(|report| report.len() <= MAX_REPORT);
        let report = report.ok_or(CaseError::Report)?;
        let digest = Digest::of(&new.report);
        let salt = Salt::generate()?;
        let commitment = commit(Kind::Case, &salt, &[digest]);
        let coordinator = Party::Organisation(new.coordinator);
        let actor = [by.person.map(Party::Person), by.organisation.map(Party::Organisation)]
            .into_iter()
            .flatten()
            .find(|party| *party == new.reporter || *party == coordinator)
            .ok_or(Refused::NotYours)?;
        let what = What::Received {
            title: new.title.clone(),
            reporter: Some(new.reporter),
            anonymous: new.anonymous,
            coordinator,
            terms: new.terms,
            commitment: Some(commitment),
        };
        let received = Event { at: now, by: Actor::Party(actor), what };
        // Nothing of a case that may not be opened gets into the log.
        let mut state = State::open(&received)?;
        let log = Arc::clone(&self.log);
        let leaf = tokio::task::spawn_blocking(move || log.append(commitment.as_bytes()))
            .await
            .map_err(|_| CaseError::Stopped)??;
        let committed =
            Event { at: now, by: Actor::Node, what: What::Committed { salt, leaf, report: digest } };
        state.apply(&committed)?;
        let id = CaseId::new(random_uuid()?);
        let told = self.told(&state, std::slice::from_ref(&received), by).await?;
        let mut writing = self.store.writing(now).await?;
        writing.put_case(id, &state.policy(), state.title()).await?;
        append(&mut writing, id, 0, &received, by).await?;
        append(&mut writing, id, 1, &committed, &Reader::default()).await?;
        let message = NewMessage {
            organisation: by.organisation,
            person: by.person,
            policy: Some(state.policy_between(new.reporter)),
            body: report.to_owned(),
        };
        writing.append_message(id, &message).await?;
        keep(&mut writing, id, &state, now).await?;
        notify(&mut writing, id, &told).await?;
        writing.commit().await?;
        Ok(id)
    }

    /// What `by` sees of a case. `None` if there is no such case, or it is none of theirs.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn get(&self, by: &Reader, case: CaseId, now: Timestamp) -> Result<Option<View>, CaseError> {
        let seen = self.seen(by, case, now).await?;
        Ok(seen.and_then(|(state, party)| state.seen_by(party)))
    }

    /// The cases that `by` is a party of, the one that changed last *as far as they see* first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self, by: &Reader, now: Timestamp) -> Result<Vec<(CaseId, View)>, CaseError> {
        // The store's own order tells when anything changed, hidden or not: it is not shown.
        let files = self.store.reading(by, now).await?.cases(None, MAX_LIST).await?;
        let mut views = Vec::with_capacity(files.len());
        for file in files {
            if let Some(view) = self.get(by, file.id, now).await? {
                views.push((file.id, view));
            }
        }
        views.sort_by(|(a, left), (b, right)| right.changed.cmp(&left.changed).then(a.cmp(b)));
        Ok(views)
    }

    /// The report as it came: for its reporter and the coordinators.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn report(
        &self,
        by: &Reader,
        case: CaseId,
        now: Timestamp,
    ) -> Result<Option<String>, CaseError> {
        let reading = self.store.reading(by, now).await?;
        let Some((state, _)) = self.seen(by, case, now).await? else { return Ok(None) };
        let Some((_, _, digest)) = state.opening() else { return Ok(None) };
        let first = reading.case_messages(case, 0, 1).await?.into_iter().next().map(|message| message.body);
        Ok(first.filter(|report| Digest::of(report.as_bytes()) == digest))
    }

    /// The opening of the case's commitment: at any time for its reporter and the coordinators, for every party once the case is
    /// published. `None` for others.
    ///
    /// # Errors
    /// If the store or the log fails.
    pub async fn opening(
        &self,
        by: &Reader,
        case: CaseId,
        now: Timestamp,
    ) -> Result<Option<Opening>, CaseError> {
        let Some((state, party)) = self.seen(by, case, now).await? else { return Ok(None) };
        let Some((salt, leaf, report)) = state.opening() else { return Ok(None) };
        let committed = state.log().iter().find(|event| matches!(event.what, What::Committed { .. }));
        if !committed.is_some_and(|event| state.sees(party, event)) {
            return Ok(None);
        }
        let log = Arc::clone(&self.log);
        let opening = tokio::task::spawn_blocking(move || {
            let latest = log.latest().filter(|latest| latest.checkpoint().size() > leaf);
            let checkpoint = latest.map_or_else(|| log.checkpoint(), Ok)?;
            let mut tiles = Tiles::new(log.folder(), &checkpoint);
            Opening::new(Kind::Case, vec![report], salt, leaf, &checkpoint, log.verifier(), &mut tiles)
        });
        Ok(Some(opening.await.map_err(|_| CaseError::Stopped)??))
    }

    /// Lets `by` do something in a case. Returns what they see afterwards.
    ///
    /// # Errors
    /// [`CaseError::NotFound`] if there is no such case or it is none of theirs; why it may not happen; or if the store fails.
    pub async fn act(
        &self,
        by: &Reader,
        case: CaseId,
        what: &What,
        now: Timestamp,
    ) -> Result<View, CaseError> {
        for _ in 0..ATTEMPTS {
            let (mut state, party) = self.seen(by, case, now).await?.ok_or(CaseError::NotFound)?;
            let known = state.log().len();
            let last = state.log().last().map_or(now, |last| last.at);
            let event = Event { at: now.max(last), by: Actor::Party(party), what: what.clone() };
            state.apply(&event)?;
            let told = self.told(&state, std::slice::from_ref(&event), by).await?;
            let mut writing = self.store.writing(now).await?;
            match append(&mut writing, case, known, &event, by).await {
                Err(CaseError::Store(ostrom_store::Error::Busy)) => continue,
                done => done?,
            }
            writing.put_case(case, &state.policy(), state.title()).await?;
            keep(&mut writing, case, &state, now).await?;
            notify(&mut writing, case, &told).await?;
            writing.commit().await?;
            return state.seen_by(party).ok_or(CaseError::NotFound);
        }
        Err(CaseError::Store(ostrom_store::Error::Busy))
    }

    /// Lets the clock do its part in every case: what has expired is marked and, where the case says so, published; who is late
    /// is reminded, once. Calling it again changes nothing.
    ///
    /// # Errors
    /// If the store fails, or a case cannot be read; the others have had their turn then.
    pub async fn tick(&self, now: Timestamp) -> Result<Vec<Ticked>, CaseError> {
        let mut ticked = Vec::new();
        let mut failed = None;
        let mut after: Option<String> = None;
        loop {
            // To the microsecond: what is due now is due.
            let before = Timestamp::from_micros(now.micros().saturating_add(1)).unwrap_or(Timestamp::MAX);
            let late = self.store.custody().due_subjects(CASE, before, after.as_deref(), AT_ONCE).await?;
            for case in late.iter().filter_map(|subject| subject.strip_prefix(CASE)?.parse().ok()) {
                match self.tick_case(case, now).await {
                    Ok(events) if events.is_empty() => {}
                    Ok(events) => ticked.push(Ticked { case, events }),
                    // One case must not hold up the release of all that come after it.
                    Err(error) => failed = Some(error),
                }
            }
            if late.len() < AT_ONCE {
                return failed.map_or(Ok(ticked), Err);
            }
            after = late.into_iter().next_back();
        }
    }

    async fn tick_case(&self, case: CaseId, now: Timestamp) -> Result<Vec<Event>, CaseError> {
        for _ in 0..ATTEMPTS {
            let mut state = state_of(case, &self.store.custody().case_events(case).await?)?;
            let known = state.log().len();
            let last = state.log().last().map_or(now, |last| last.at);
            let events = state.overdue_events(now.max(last));
            for event in &events {
                state.apply(event)?;
            }
            let mut told = self.told(&state, &events, &Reader::default()).await?;
            told.extend(self.reminders(case, &state, now).await?);
            if events.is_empty() && told.is_empty() {
                return Ok(events);
            }
            let mut writing = self.store.writing(now).await?;
            let mut done = Ok(());
            for (number, event) in (known..).zip(&events) {
                done = append(&mut writing, case, number, event, &Reader::default()).await;
                if done.is_err() {
                    break;
                }
            }
            match done {
                Err(CaseError::Store(ostrom_store::Error::Busy)) => continue,
                done => done?,
            }
            keep(&mut writing, case, &state, now).await?;
            notify(&mut writing, case, &told).await?;
            writing.commit().await?;
            return Ok(events);
        }
        Err(CaseError::Store(ostrom_store::Error::Busy))
    }

    /// Who has to be told that something of theirs is late, and has not been told yet.
    async fn reminders(&self, case: CaseId, state: &State, now: Timestamp) -> Result<Vec<Told>, CaseError> {
        let known = self.store.custody().due_of(&subject(case)).await?;
        let mut told = Vec::new();
        for due in state.due().into_iter().filter(|due| due.at <= now) {
            let row = due_name(&due);
            let fresh =
                known.iter().any(|kept| kept.name == row && kept.due == due.at && kept.detail != REMINDED);
            if fresh {
                let text = format!("{}: {} was due on {}", state.title(), due.kind.name(), due.at);
                told.extend(self.persons(due.party, &Reader::default()).await?.into_iter().map(|person| {
                    Told { person, kind: format!("case-late-{}", due.kind.name()), text: text.clone() }
                }));
            }
        }
        Ok(told)
    }

    /// The case and which party `by` is, if they may see it.
    async fn seen(
        &self,
        by: &Reader,
        case: CaseId,
        now: Timestamp,
    ) -> Result<Option<(State, Party)>, CaseError> {
        let events = self.store.reading(by, now).await?.case_events(case).await?;
        if events.is_empty() {
            return Ok(None);
        }
        let state = state_of(case, &events)?;
        let party = state.party_of(by);
        Ok(party.map(|party| (state, party)))
    }

    /// Whom these events concern who see them and did not do them.
    async fn told(&self, state: &State, events: &[Event], by: &Reader) -> Result<Vec<Told>, CaseError> {
        let mut told = Vec::new();
        for event in events {
            for party in state.members().keys() {
                if !state.sees(*party, event) {
                    continue;
                }
                let kind = event.what.name();
                let text = format!("{}: {}", state.title(), kind.replace('-', " "));
                let persons = self.persons(*party, by).await?;
                told.extend(persons.into_iter().map(|person| Told {
                    person,
                    kind: format!("case-{kind}"),
                    text: text.clone(),
                }));
            }
        }
        Ok(told)
    }

    /// The persons of a party but the one who acts.
    async fn persons(&self, party: Party, but: &Reader) -> Result<Vec<ostrom_core::PersonId>, CaseError> {
        let all = self.store.persons().await?;
        let of = |person: &ostrom_store::Person| {
            person.active
                && Some(person.id) != but.person
                && match party {
                    Party::Person(id) => person.id == id,
                    Party::Organisation(id) => person.organisation == id,
                    Party::Group(_) => false,
                }
        };
        Ok(all.into_iter().filter(of).map(|person| person.id).collect())
    }
}

/// A notification to be made.
struct Told {
    person: ostrom_core::PersonId,
    kind: String,
    text: String,
}

fn state_of(case: CaseId, events: &[CaseEvent]) -> Result<State, CaseError> {
    let read = |kept: &CaseEvent| {
        let number = kept.number;
        Event::from_slice(kept.body.as_bytes()).map_err(|source| CaseError::Event { case, number, source })
    };
    let events = events.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(State::replay(&events)?)
}

async fn append(
    writing: &mut Writing,
    case: CaseId,
    known: usize,
    event: &Event,
    by: &Reader,
) -> Result<(), CaseError> {
    let body = event.to_json().map_err(CaseError::Write)?;
    let new = NewEvent { organisation: by.organisation, person: by.person, body };
    writing.append_event(case, i64::try_from(known).unwrap_or(i64::MAX), &new).await?;
    Ok(())
}

/// Keeps what is due. What is late already counts as said.
async fn keep(writing: &mut Writing, case: CaseId, state: &State, now: Timestamp) -> Result<(), CaseError> {
    let due: Vec<NewDue> = state
        .due()
        .into_iter()
        .map(|due| NewDue {
            name: due_name(&due),
            due: due.at,
            party: match due.party {
                Party::Organisation(id) => Some(id),
                Party::Person(_) | Party::Group(_) => None,
            },
            // The last embargo of all is for coordinators: it may be that of a vendor whom others do not know.
            policy: state.policy_between(due.party),
            detail: if due.at <= now { REMINDED.to_owned() } else { String::new() },
        })
        .collect();
    writing.set_due(&subject(case), &due).await?;
    Ok(())
}

async fn notify(writing: &mut Writing, case: CaseId, told: &[Told]) -> Result<(), CaseError> {
    for Told { person, kind, text } in told {
        let new = NewNotification {
            person: *person,
            kind: kind.clone(),
            subject: Subject::Case(case),
            text: text.clone(),
        };
        writing.notify(&new).await?;
    }
    Ok(())
}

fn subject(case: CaseId) -> String {
    format!("{CASE}{case}")
}

fn due_name(due: &super::due::Due) -> String {
    let party = match due.party {
        Party::Organisation(id) => id.to_string(),
        Party::Person(id) => id.to_string(),
        Party::Group(id) => id.to_string(),
    };
    format!("{}/{party}", due.kind.name())
}

fn random_uuid() -> Result<Uuid, CaseError> {
    let salt = Salt::generate()?;
    let (bytes, _) = salt.as_bytes().split_first_chunk::<16>().ok_or(CaseError::Stopped)?;
    // Version 4, variant of RFC 9562.
    let number =
        u128::from_be_bytes(*bytes) & !(0xf000 << 64) & !(0xc000 << 48) | (0x4000 << 64) | (0x8000 << 48);
    Ok(Uuid::from_u128(number))
}
