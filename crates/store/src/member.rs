//! Who is a member: organisations, persons, trust groups; and the reader that somebody is.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use ostrom_core::handling::Reader;
use ostrom_core::{GroupId, OrgId, PersonId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::db::{Db, Row, args, json};
use crate::{Error, Store, Writing};

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Members, groups, collections, peers, settings. It is no licence to read.
    Administrator,
    /// Opens and leads cases, publishes for the organisation.
    Coordinator,
    /// Reports, writes objects of the organisation.
    Contributor,
    /// Reads.
    Observer,
}

/// Why a text is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a role: use administrator, coordinator, contributor or observer")]
pub struct UnknownRole {
    found: String,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Administrator, Self::Coordinator, Self::Contributor, Self::Observer];

    /// `administrator`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Coordinator => "coordinator",
            Self::Contributor => "contributor",
            Self::Observer => "observer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = || UnknownRole { found: text.chars().take(40).collect() };
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(found)
    }
}

/// An organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Its id, which is also the UUID of its STIX identity.
    pub id: OrgId,
    /// Its name.
    pub name: String,
    /// The sectors it works in, such as `government`.
    pub sectors: BTreeSet<String>,
    /// Whether it is a member now. Nobody of an inactive one signs in.
    pub active: bool,
    /// Since when this node knows it.
    pub created: Timestamp,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The person's id.
    pub id: PersonId,
    /// The organisation.
    pub organisation: OrgId,
    /// The name.
    pub name: String,
    /// The address, by which the person signs in: unique, kept and looked up in lower case.
    pub email: String,
    /// What the person may do.
    pub roles: BTreeSet<Role>,
    /// Whether the person may sign in.
    pub active: bool,
    /// Since when this node knows the person.
    pub created: Timestamp,
}

/// A trust group: organisations and persons that things can be shared with at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its name, unique.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its organisations.
    pub organisations: BTreeSet<OrgId>,
    /// Its single persons.
    pub persons: BTreeSet<PersonId>,
    /// Since when there is such a group.
    pub created: Timestamp,
}

const ORGANISATIONS: &str = "SELECT id, name, sectors, active, created FROM organisation ORDER BY name, id";
const ORGANISATION: &str = "SELECT id, name, sectors, active, created FROM organisation WHERE id = $1";
const PERSONS: &str =
    "SELECT id, organisation, name, email, roles, active, created FROM person ORDER BY name, id";
const PERSON: &str = "SELECT id, organisation, name, email, roles, active, created FROM person WHERE id = $1";
const PERSON_BY_EMAIL: &str =
    "SELECT id, organisation, name, email, roles, active, created FROM person WHERE email = $1";

fn organisation(row: &Row) -> Result<Organisation, Error> {
    Ok(Organisation {
        id: row.parsed(0)?,
        name: row.text(1)?,
        sectors: row.json(2)?,
        active: row.flag(3)?,
        created: row.time(4)?,
    })
}

fn person(row: &Row) -> Result<Person, Error> {
    Ok(Person {
        id: row.parsed(0)?,
        organisation: row.parsed(1)?,
        name: row.text(2)?,
        email: row.text(3)?,
        roles: row.json(4)?,
        active: row.flag(5)?,
        created: row.time(6)?,
    })
}

impl Store {
    /// All organisations, by name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn organisations(&self) -> Result<Vec<Organisation>, Error> {
        self.fetch(ORGANISATIONS, args![]).await?.iter().map(organisation).collect()
    }

    /// An organisation.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn organisation(&self, id: OrgId) -> Result<Option<Organisation>, Error> {
        self.first(ORGANISATION, args![id]).await?.as_ref().map(organisation).transpose()
    }

    /// The organisations whose client this one is.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn providers(&self, client: OrgId) -> Result<BTreeSet<OrgId>, Error> {
        let rows = self.fetch("SELECT provider FROM client WHERE client = $1", args![client]).await?;
        rows.iter().map(|row| row.parsed(0)).collect()
    }

    /// All persons, by name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn persons(&self) -> Result<Vec<Person>, Error> {
        self.fetch(PERSONS, args![]).await?.iter().map(person).collect()
    }

    /// A person.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn person(&self, id: PersonId) -> Result<Option<Person>, Error> {
        self.first(PERSON, args![id]).await?.as_ref().map(person).transpose()
    }

    /// The person with this address, in whatever case it is written.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn person_by_email(&self, email: &str) -> Result<Option<Person>, Error> {
        self.first(PERSON_BY_EMAIL, args![email.trim().to_lowercase()])
            .await?
            .as_ref()
            .map(person)
            .transpose()
    }

    /// All trust groups, by name, with their members.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn groups(&self) -> Result<Vec<Group>, Error> {
        let mut conn = self.read_conn().await?;
        let mut db = conn.db();
        let groups = "SELECT id, name, description, created FROM trust_group ORDER BY name";
        let mut found = Vec::new();
        for row in db.fetch(groups, args![]).await? {
            found.push(group(&mut db, &row).await?);
        }
        Ok(found)
    }

    /// A trust group.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn group(&self, id: GroupId) -> Result<Option<Group>, Error> {
        let mut conn = self.read_conn().await?;
        let mut db = conn.db();
        let one = "SELECT id, name, description, created FROM trust_group WHERE id = $1";
        match db.first(one, args![id]).await? {
            Some(row) => group(&mut db, &row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The reader that this person is; `None` if the person, or the organisation, is not active.
    ///
    /// `encrypted`: the answer travels encrypted, or does not leave the machine.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn reader_of_person(&self, id: PersonId, encrypted: bool) -> Result<Option<Reader>, Error> {
        let mut conn = self.read_conn().await?;
        let mut db = conn.db();
        let active = "SELECT p.organisation FROM person p JOIN organisation o ON o.id = p.organisation \
                      WHERE p.id = $1 AND p.active = 1 AND o.active = 1";
        let Some(row) = db.first(active, args![id]).await? else { return Ok(None) };
        let mut reader = of_organisation(&mut db, row.parsed(0)?, encrypted).await?;
        let own = "SELECT trust_group FROM group_person WHERE person = $1";
        for row in db.fetch(own, args![id]).await? {
            reader.groups.insert(row.parsed(0)?);
        }
        reader.person = Some(id);
        Ok(Some(reader))
    }

    /// The reader that a machine or a peer of this organisation is; `None` if the organisation is not active.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn reader_of_organisation(&self, id: OrgId, encrypted: bool) -> Result<Option<Reader>, Error> {
        let mut conn = self.read_conn().await?;
        let mut db = conn.db();
        let active = "SELECT id FROM organisation WHERE id = $1 AND active = 1";
        match db.first(active, args![id]).await? {
            Some(_) => of_organisation(&mut db, id, encrypted).await.map(Some),
            None => Ok(None),
        }
    }

    /// Everybody who may sign in now, and the reader that each is: for [`Reading::who_could_read`](crate::Reading::who_could_read).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn readers(&self) -> Result<Vec<(PersonId, Reader)>, Error> {
        let mut found = Vec::new();
        for person in self.persons().await? {
            if let Some(reader) = self.reader_of_person(person.id, true).await? {
                found.push((person.id, reader));
            }
        }
        Ok(found)
    }
}

async fn group(db: &mut Db<'_>, row: &Row) -> Result<Group, Error> {
    let id: GroupId = row.parsed(0)?;
    let organisations = "SELECT organisation FROM group_organisation WHERE trust_group = $1";
    let persons = "SELECT person FROM group_person WHERE trust_group = $1";
    let organisations = db.fetch(organisations, args![id]).await?;
    let persons = db.fetch(persons, args![id]).await?;
    Ok(Group {
        id,
        name: row.text(1)?,
        description: row.text(2)?,
        organisations: organisations.iter().map(|row| row.parsed(0)).collect::<Result<_, _>>()?,
        persons: persons.iter().map(|row| row.parsed(0)).collect::<Result<_, _>>()?,
        created: row.time(3)?,
    })
}

async fn of_organisation(db: &mut Db<'_>, id: OrgId, encrypted: bool) -> Result<Reader, Error> {
    let mut reader = Reader { organisation: Some(id), ..Reader::anonymous(encrypted) };
    let groups = "SELECT trust_group FROM group_organisation WHERE organisation = $1";
    for row in db.fetch(groups, args![id]).await? {
        reader.groups.insert(row.parsed(0)?);
    }
    let providers = "SELECT c.provider FROM client c JOIN organisation o ON o.id = c.provider \
                     WHERE c.client = $1 AND o.active = 1";
    for row in db.fetch(providers, args![id]).await? {
        reader.client_of.insert(row.parsed(0)?);
    }
    Ok(reader)
}

impl Writing {
    /// Keeps an organisation, or changes it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn put_organisation(&mut self, organisation: &Organisation) -> Result<(), Error> {
        let sql = "INSERT INTO organisation (id, name, sectors, active, created) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (id) DO UPDATE SET name = $2, sectors = $3, active = $4";
        let Organisation { id, name, sectors, active, created } = organisation;
        self.execute(sql, args![*id, name, json(sectors)?, *active, *created]).await?;
        Ok(())
    }

    /// Says whose client an organisation is.
    ///
    /// # Errors
    /// [`Error::Missing`] if one of them is not known.
    pub async fn set_providers(&mut self, client: OrgId, providers: &BTreeSet<OrgId>) -> Result<(), Error> {
        self.execute("DELETE FROM client WHERE client = $1", args![client]).await?;
        for provider in providers {
            let sql = "INSERT INTO client (client, provider) VALUES ($1, $2)";
            self.execute(sql, args![client, *provider]).await?;
        }
        Ok(())
    }

    /// Keeps a person, or changes one. The address is kept in lower case.
    ///
    /// # Errors
    /// [`Error::Taken`] if somebody else has the address, [`Error::Missing`] if there is no such organisation.
    pub async fn put_person(&mut self, person: &Person) -> Result<(), Error> {
        let sql = "INSERT INTO person (id, organisation, name, email, roles, active, created) VALUES ($1, $2, $3, $4, $5, $6, $7) \
                   ON CONFLICT (id) DO UPDATE SET organisation = $2, name = $3, email = $4, roles = $5, active = $6";
        let email = person.email.trim().to_lowercase();
        let roles = json(&person.roles)?;
        let Person { id, organisation, name, active, created, .. } = person;
        let args = args![*id, *organisation, name, email, roles, *active, *created];
        self.execute(sql, args).await.map_err(|error| error.taken("the e-mail address"))?;
        Ok(())
    }

    /// Keeps a trust group with exactly these members, or changes it.
    ///
    /// # Errors
    /// [`Error::Taken`] if another has the name, [`Error::Missing`] if a member is not known.
    pub async fn put_group(&mut self, group: &Group) -> Result<(), Error> {
        let sql = "INSERT INTO trust_group (id, name, description, created) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (id) DO UPDATE SET name = $2, description = $3";
        let args = args![group.id, &group.name, &group.description, group.created];
        self.execute(sql, args).await.map_err(|error| error.taken("the group's name"))?;
        self.execute("DELETE FROM group_organisation WHERE trust_group = $1", args![group.id]).await?;
        self.execute("DELETE FROM group_person WHERE trust_group = $1", args![group.id]).await?;
        for organisation in &group.organisations {
            let sql = "INSERT INTO group_organisation (organisation, trust_group) VALUES ($1, $2)";
            self.execute(sql, args![*organisation, group.id]).await?;
        }
        for person in &group.persons {
            let sql = "INSERT INTO group_person (person, trust_group) VALUES ($1, $2)";
            self.execute(sql, args![*person, group.id]).await?;
        }
        Ok(())
    }

    /// Forgets a trust group. What was shared with it alone is for its owner only, from now on.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_group(&mut self, id: GroupId) -> Result<bool, Error> {
        self.execute("DELETE FROM group_organisation WHERE trust_group = $1", args![id]).await?;
        self.execute("DELETE FROM group_person WHERE trust_group = $1", args![id]).await?;
        Ok(self.execute("DELETE FROM trust_group WHERE id = $1", args![id]).await? > 0)
    }
}
