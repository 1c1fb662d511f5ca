//! Cases of coordinated disclosure: events, messages and what falls due. What they mean is the exchange's business; who may read them is a policy, as for objects.

use ostrom_core::handling::Policy;
use ostrom_core::{CaseId, OrgId, PersonId, Timestamp};

use crate::db::{Row, args};
use crate::policy::seen;
use crate::{Error, Reading, Writing};

/// A case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseFile {
    /// Its id.
    pub id: CaseId,
    /// Its participants.
    pub policy: Policy,
    /// When it was opened.
    pub opened: Timestamp,
    /// When something was added to it last.
    pub changed: Timestamp,
    /// What lists show: any text, not interpreted here.
    pub summary: String,
}

/// An event to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Who acted.
    pub organisation: Option<OrgId>,
    /// Who acted.
    pub person: Option<PersonId>,
    /// The event: any text, not interpreted here.
    pub body: String,
}

/// An event of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseEvent {
    /// Its number in the case: 1, 2, 3 …
    pub number: i64,
    /// When it was appended.
    pub happened: Timestamp,
    /// Who acted.
    pub organisation: Option<OrgId>,
    /// Who acted.
    pub person: Option<PersonId>,
    /// The event.
    pub body: String,
}

/// A message to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Who wrote it.
    pub organisation: Option<OrgId>,
    /// Who wrote it.
    pub person: Option<PersonId>,
    /// Who may read it, among those who may read the case; `None`: all of them.
    pub policy: Option<Policy>,
    /// The message.
    pub body: String,
}

/// A message in a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseMessage {
    /// Its number: greater for later ones, and good for nothing else.
    pub number: i64,
    /// When it was sent.
    pub sent: Timestamp,
    /// Who wrote it.
    pub organisation: Option<OrgId>,
    /// Who wrote it.
    pub person: Option<PersonId>,
    /// The message.
    pub body: String,
}

/// Something that falls due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDue {
    /// What, unique for its subject, in the words of the exchange.
    pub name: String,
    /// When.
    pub due: Timestamp,
    /// Whose duty it is.
    pub party: Option<OrgId>,
    /// Who may know of it.
    pub policy: Policy,
    /// Any text, not interpreted here.
    pub detail: String,
}

/// Something that falls due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Of what: a case's id, an object's, or what else the exchange says.
    pub subject: String,
    /// What.
    pub name: String,
    /// When.
    pub due: Timestamp,
    /// Whose duty it is.
    pub party: Option<OrgId>,
    /// Any text of the exchange.
    pub detail: String,
}

impl Reading {
    /// A case, if the reader may see it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn case(&self, id: CaseId) -> Result<Option<CaseFile>, Error> {
        let sql = concat!(
            "SELECT c.id, c.policy, c.opened, c.changed, c.summary FROM case_file c WHERE c.id = $1 AND ",
            seen!("c.policy", "$2")
        );
        match self.fetch(sql, args![id, self.viewer()]).await?.first() {
            Some(row) => self.case_file(row).map(Some),
            None => Ok(None),
        }
    }

    /// The cases that the reader may see, the one that changed last first; at most `limit`, after `after` if given: the last of the page before.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn cases(&self, after: Option<&CaseFile>, limit: usize) -> Result<Vec<CaseFile>, Error> {
        let sql = concat!(
            "SELECT c.id, c.policy, c.opened, c.changed, c.summary FROM case_file c \
             WHERE (c.changed < $1 OR (c.changed = $1 AND c.id > $2)) AND ",
            seen!("c.policy", "$3"),
            " ORDER BY c.changed DESC, c.id LIMIT $4 + 0"
        );
        let changed = after.map_or(i64::MAX, |case| case.changed.micros());
        let id = after.map_or(String::new(), |case| case.id.to_string());
        let rows = self.fetch(sql, args![changed, id, self.viewer(), self.limit(limit)]).await?;
        rows.iter().map(|row| self.case_file(row)).collect()
    }

    fn case_file(&self, row: &Row) -> Result<CaseFile, Error> {
        Ok(CaseFile {
            id: row.parsed(0)?,
            policy: self.store().policy(row.int(1)?)?,
            opened: row.time(2)?,
            changed: row.time(3)?,
            summary: row.text(4)?,
        })
    }

    /// All events of a case, in order; none if the reader may not see it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn case_events(&self, id: CaseId) -> Result<Vec<CaseEvent>, Error> {
        let sql = concat!(
            "SELECT e.number, e.happened, e.organisation, e.person, e.body FROM case_event e \
             JOIN case_file c ON c.id = e.case_id WHERE e.case_id = $1 AND ",
            seen!("c.policy", "$2"),
            " ORDER BY e.number"
        );
        let rows = self.fetch(sql, args![id, self.viewer()]).await?;
        rows.iter().map(event).collect()
    }

    /// The messages of a case that the reader may see, in order: at most `limit` after number `after`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn case_messages(
        &self,
        id: CaseId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<CaseMessage>, Error> {
        let sql = concat!(
            "SELECT m.number, m.sent, m.organisation, m.person, m.body FROM case_message m \
             JOIN case_file c ON c.id = m.case_id WHERE m.case_id = $1 AND m.number > $3 AND ",
            seen!("c.policy", "$2"),
            " AND ",
            seen!("m.policy", "$2"),
            " ORDER BY m.number LIMIT $4 + 0"
        );
        let rows = self.fetch(sql, args![id, self.viewer(), after, self.limit(limit)]).await?;
        let message = |row: &Row| {
            Ok(CaseMessage {
                number: row.int(0)?,
                sent: row.time(1)?,
                organisation: row.maybe_parsed(2)?,
                person: row.maybe_parsed(3)?,
                body: row.text(4)?,
            })
        };
        rows.iter().map(message).collect()
    }

    /// What falls due before this time, among what the reader may know of; the first first, at most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due_before(&self, before: Timestamp, limit: usize) -> Result<Vec<Due>, Error> {
        let sql = concat!(
            "SELECT d.subject, d.name, d.due, d.party, d.detail FROM due d WHERE d.due < $1 AND ",
            seen!("d.policy", "$2"),
            " ORDER BY d.due, d.subject, d.name LIMIT $3 + 0"
        );
        let rows = self.fetch(sql, args![before, self.viewer(), self.limit(limit)]).await?;
        rows.iter().map(due).collect()
    }

    /// What falls due for one subject, among what the reader may know of; the first first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due_of(&self, subject: &str) -> Result<Vec<Due>, Error> {
        let sql = concat!(
            "SELECT d.subject, d.name, d.due, d.party, d.detail FROM due d WHERE d.subject = $1 AND ",
            seen!("d.policy", "$2"),
            " ORDER BY d.due, d.name"
        );
        let rows = self.fetch(sql, args![subject, self.viewer()]).await?;
        rows.iter().map(due).collect()
    }
}

pub(crate) fn event(row: &Row) -> Result<CaseEvent, Error> {
    Ok(CaseEvent {
        number: row.int(0)?,
        happened: row.time(1)?,
        organisation: row.maybe_parsed(2)?,
        person: row.maybe_parsed(3)?,
        body: row.text(4)?,
    })
}

pub(crate) fn due(row: &Row) -> Result<Due, Error> {
    Ok(Due {
        subject: row.text(0)?,
        name: row.text(1)?,
        due: row.time(2)?,
        party: row.maybe_parsed(3)?,
        detail: row.text(4)?,
    })
}

impl Writing {
    /// Opens a case, or changes its participants and summary.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn put_case(&mut self, id: CaseId, policy: &Policy, summary: &str) -> Result<(), Error> {
        let key = self.intern(policy).await?;
        let sql = "INSERT INTO case_file (id, policy, opened, changed, summary) VALUES ($1, $2, $3, $3, $4) \
                   ON CONFLICT (id) DO UPDATE SET policy = $2, changed = $3, summary = $4";
        let now = self.now();
        self.execute(sql, args![id, key, now, summary]).await?;
        Ok(())
    }

    /// Appends an event, if the case has exactly `known` events: who decided on an older state of the case must decide again. Returns its number.
    ///
    /// # Errors
    /// [`Error::Busy`] if it has others by now, [`Error::Missing`] if there is no such case.
    pub async fn append_event(&mut self, case: CaseId, known: i64, event: &NewEvent) -> Result<i64, Error> {
        let now = self.now();
        let sql = "UPDATE case_file SET changed = $2 WHERE id = $1";
        if self.execute(sql, args![case, now]).await? == 0 {
            return Err(Error::Missing { what: "case" });
        }
        let rows = self.fetch("SELECT count(*) FROM case_event WHERE case_id = $1", args![case]).await?;
        if rows.first().map_or(Ok(0), |row| row.int(0))? != known {
            return Err(Error::Busy);
        }
        let number = known.saturating_add(1);
        let sql = "INSERT INTO case_event (case_id, number, happened, organisation, person, body) VALUES ($1, $2, $3, $4, $5, $6)";
        let args = args![case, number, now, event.organisation, event.person, &event.body];
        self.execute(sql, args).await?;
        Ok(number)
    }

    /// Appends a message.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such case.
    pub async fn append_message(&mut self, case: CaseId, message: &NewMessage) -> Result<(), Error> {
        let now = self.now();
        let rows = self.fetch("SELECT policy FROM case_file WHERE id = $1", args![case]).await?;
        let Some(row) = rows.first() else { return Err(Error::Missing { what: "case" }) };
        let policy = match &message.policy {
            Some(policy) => self.intern(policy).await?,
            None => {
                let policy = row.int(0)?;
                // A message to some does not show in the list of cases, which all participants see.
                self.execute("UPDATE case_file SET changed = $2 WHERE id = $1", args![case, now]).await?;
                policy
            }
        };
        // The number is a time, so that numbers tell nothing of messages to others.
        let sql = "INSERT INTO case_message (case_id, number, sent, organisation, person, policy, body) \
                   SELECT $1, CASE WHEN coalesce(max(number), 0) < $2 THEN $2 ELSE max(number) + 1 END, $2, $3, $4, $5, $6 \
                   FROM case_message WHERE case_id = $1";
        let args = args![case, now, message.organisation, message.person, policy, &message.body];
        self.execute(sql, args).await?;
        Ok(())
    }

    /// Says all that falls due for one subject; what was said before is forgotten.
    ///
    /// # Errors
    /// If the database fails, or two have the same name.
    pub async fn set_due(&mut self, subject: &str, due: &[NewDue]) -> Result<(), Error> {
        self.execute("DELETE FROM due WHERE subject = $1", args![subject]).await?;
        for NewDue { name, due, party, policy, detail } in due {
            let key = self.intern(policy).await?;
            let sql =
                "INSERT INTO due (subject, name, due, party, policy, detail) VALUES ($1, $2, $3, $4, $5, $6)";
            self.execute(sql, args![subject, name, *due, *party, key, detail]).await?;
        }
        Ok(())
    }
}
