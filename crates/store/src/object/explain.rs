//! Why somebody may see an object, and who else could.

use std::collections::{BTreeMap, BTreeSet};

use ostrom_core::handling::{Decision, Policy, Reader};
use ostrom_core::{ObjectId, Timestamp};

use super::MAX_CLOSURE;
use super::line::{SHARED, shown};
use crate::db::{Row, args};
use crate::policy::seen;
use crate::{Error, Reading};

/// What counts of a version, apart from what it refers to.
macro_rules! facts {
    () => {
        "o.seq, o.collection, o.version, o.own, o.given, o.line, o.owner, o.person"
    };
}

/// Which version of which organisation's something refers to: the object, its owner, and the person for what many share.
type Whose = (ObjectId, String, Option<String>);

impl Reading {
    /// Why the reader may see an object, in this version or the last visible one: what holds for it, and what that says. `None` for what the reader may not see.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn explain(
        &self,
        id: &ObjectId,
        version: Option<Timestamp>,
    ) -> Result<Option<(Policy, Decision)>, Error> {
        let sql = concat!(
            "SELECT o.policy, ",
            facts!(),
            " FROM object o WHERE o.id = $1 AND o.version >= $2 AND o.version <= $3 AND ",
            shown!("$4"),
            " ORDER BY o.version DESC, o.seq DESC LIMIT 1"
        );
        let (low, high) = (version.unwrap_or(Timestamp::MIN), version.unwrap_or(Timestamp::MAX));
        let row = self.store().first(sql, args![id, low, high, self.viewer()]).await?;
        let Some(row) = row else { return Ok(None) };
        let mut policy = self.store().policy(row.int(0)?)?;
        let mut decision = policy.decide(self.reader(), self.now());
        if !decision.allowed() {
            // The reader wrote it, and it refers to something that is hidden from the reader: that is not to be told.
            policy = self.visibly(&row).await?;
            decision = policy.decide(self.reader(), self.now());
        }
        Ok(Some((policy, decision)))
    }

    /// Who of these could see the last version of an object that this reader may see, and why each could or not. `None` if this reader may not see the object.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn who_could_read<T: Clone>(
        &self,
        id: &ObjectId,
        readers: &[(T, Reader)],
    ) -> Result<Option<Vec<(T, Decision)>>, Error> {
        let Some((policy, _)) = self.explain(id, None).await? else { return Ok(None) };
        let decide = |(who, reader): &(T, Reader)| (who.clone(), policy.decide(reader, self.now()));
        Ok(Some(readers.iter().map(decide).collect()))
    }

    /// What would hold for a version if nothing existed but what the reader sees.
    async fn visibly(&self, row: &Row) -> Result<Policy, Error> {
        let mut visited = BTreeSet::new();
        let (mut policy, mut frontier) = self.facts(row, 1).await?;
        while let Some(whose) = frontier.pop() {
            if visited.len() >= MAX_CLOSURE || !visited.insert(whose.clone()) {
                continue;
            }
            let (id, owner, person) = whose;
            let sql = concat!(
                "SELECT ",
                facts!(),
                " FROM object o WHERE o.id = $1 AND o.owner = $2 AND ",
                seen!("o.policy", "$3"),
                " ORDER BY o.version, o.seq"
            );
            let mut newest = BTreeMap::new();
            for row in self.fetch(sql, args![&id, owner, self.viewer()]).await? {
                if row.int(5)? != SHARED || row.maybe_text(7)? == person {
                    newest.insert(row.int(1)?, row);
                }
            }
            for row in newest.into_values() {
                let (more, next) = self.facts(&row, 0).await?;
                policy = policy.and(&more);
                frontier.extend(next);
            }
        }
        Ok(policy)
    }

    /// What a version itself carries, and what it refers to.
    async fn facts(&self, row: &Row, from: usize) -> Result<(Policy, Vec<Whose>), Error> {
        let at = |place: usize| from.saturating_add(place);
        let mut policy = self.store().policy(row.int(at(3))?)?;
        let may_read = self.store().collections_known().may_read(row.int(at(1))?).cloned();
        if let Some(may_read) = may_read {
            policy = policy.and(&may_read);
        }
        let given = row.int(at(4))?;
        if given != 0 {
            let given = self.store().policy(given)?;
            if given.allows(self.reader(), self.now()) {
                policy = policy.and(&given);
            }
        }
        let (owner, person) = (row.text(at(6))?, row.maybe_text(at(7))?);
        let targets = "SELECT target FROM reference WHERE source = $1";
        let mut whose = Vec::new();
        for row in self.fetch(targets, args![row.int(from)?]).await? {
            whose.push((row.parsed(0)?, owner.clone(), person.clone()));
        }
        Ok((policy, whose))
    }
}
