//! What waits for whom.

use ostrom_core::{CaseId, ObjectId, PersonId, Timestamp};

use crate::db::{Row, args};
use crate::policy::seen;
use crate::{Error, Reading, Writing};

/// What a notification is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A case.
    Case(CaseId),
    /// An object.
    Object(ObjectId),
    /// Neither: something about the person's own membership.
    Membership,
}

/// A notification to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotification {
    /// For whom.
    pub person: PersonId,
    /// What kind, in the words of the exchange, such as `case-message`.
    pub kind: String,
    /// What it is about. Who may no longer see that does not see the notification.
    pub subject: Subject,
    /// A sentence.
    pub text: String,
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its number: greater for later ones, and good for nothing else.
    pub number: i64,
    /// What kind.
    pub kind: String,
    /// What it is about.
    pub subject: Subject,
    /// A sentence.
    pub text: String,
    /// When it was made.
    pub made: Timestamp,
    /// When the person saw it.
    pub seen: Option<Timestamp>,
}

/// The reader may see what notification `n` is about.
macro_rules! about_seen {
    ($view:literal) => {
        concat!(
            "(n.case_id IS NULL OR EXISTS (SELECT 1 FROM case_file c WHERE c.id = n.case_id AND ",
            seen!("c.policy", $view),
            ")) AND (n.object IS NULL OR EXISTS (SELECT 1 FROM object o WHERE o.id = n.object AND ",
            seen!("o.policy", $view),
            "))"
        )
    };
}

fn notification(row: &Row) -> Result<Notification, Error> {
    let subject = match (row.maybe_parsed(2)?, row.maybe_parsed(3)?) {
        (Some(case), _) => Subject::Case(case),
        (None, Some(object)) => Subject::Object(object),
        (None, None) => Subject::Membership,
    };
    Ok(Notification {
        number: row.int(0)?,
        kind: row.text(1)?,
        subject,
        text: row.text(4)?,
        made: row.time(5)?,
        seen: row.maybe_time(6)?,
    })
}

impl Reading {
    /// The person's notifications, newest first, at most `limit`, before number `before`: those about what the person may see. Machines have none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn notifications(&self, before: Option<i64>, limit: usize) -> Result<Vec<Notification>, Error> {
        let Some(person) = self.reader().person else { return Ok(Vec::new()) };
        let sql = concat!(
            "SELECT n.number, n.kind, n.case_id, n.object, n.text, n.made, n.seen FROM notification n \
             WHERE n.person = $1 AND n.number < $2 AND ",
            about_seen!("$3"),
            " ORDER BY n.number DESC LIMIT $4 + 0"
        );
        let args = args![person, before.unwrap_or(i64::MAX), self.viewer(), self.limit(limit)];
        self.fetch(sql, args).await?.iter().map(notification).collect()
    }

    /// How many of the person's notifications, among those about what the person may see, have not been seen.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unseen(&self) -> Result<u64, Error> {
        let Some(person) = self.reader().person else { return Ok(0) };
        let sql = concat!(
            "SELECT count(*) FROM notification n WHERE n.person = $1 AND n.seen IS NULL AND ",
            about_seen!("$2")
        );
        let rows = self.fetch(sql, args![person, self.viewer()]).await?;
        let count = rows.first().map_or(Ok(0), |row| row.int(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

impl Writing {
    /// Tells somebody.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such person.
    pub async fn notify(&mut self, new: &NewNotification) -> Result<(), Error> {
        // The number is a time, so that numbers tell nothing of notifications that the person no longer sees.
        let sql = "INSERT INTO notification (person, number, kind, case_id, object, text, made) \
                   SELECT $1, CASE WHEN coalesce(max(number), 0) < $6 THEN $6 ELSE max(number) + 1 END, $2, $3, $4, $5, $6 \
                   FROM notification WHERE person = $1";
        let (case, object) = match &new.subject {
            Subject::Case(case) => (Some(*case), None),
            Subject::Object(object) => (None, Some(object)),
            Subject::Membership => (None, None),
        };
        let now = self.now();
        self.execute(sql, args![new.person, &new.kind, case, object, &new.text, now]).await?;
        Ok(())
    }

    /// Notes that a person saw their notifications up to this number.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn seen(&mut self, person: PersonId, up_to: i64) -> Result<u64, Error> {
        let now = self.now();
        let sql = "UPDATE notification SET seen = $3 WHERE person = $1 AND number <= $2 AND seen IS NULL";
        self.execute(sql, args![person, up_to, now]).await
    }
}
