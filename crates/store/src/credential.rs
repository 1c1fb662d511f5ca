//! How somebody proves to be somebody. Secrets are kept as hashes only; making and comparing them is the node's business.

use std::collections::BTreeSet;

use ostrom_core::{CollectionId, Digest, OrgId, PersonId, Timestamp, TokenId};

use crate::db::{Row, args, json};
use crate::{Error, Store, Writing};

/// A passkey of a person (WebAuthn).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// The credential's id, as the authenticator gave it.
    pub id: Vec<u8>,
    /// Whose it is.
    pub person: PersonId,
    /// The public key, in the node's encoding.
    pub public_key: Vec<u8>,
    /// The authenticator's counter at the last sign-in.
    pub sign_count: u32,
    /// What the person calls it.
    pub name: String,
    /// Since when.
    pub created: Timestamp,
    /// When it was used last.
    pub last_used: Option<Timestamp>,
}

/// The subject of an OpenID provider that a person is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcLink {
    /// The provider.
    pub issuer: String,
    /// The subject.
    pub subject: String,
    /// Who it is here.
    pub person: PersonId,
    /// Since when.
    pub created: Timestamp,
}

/// A token of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id, which is no secret.
    pub id: TokenId,
    /// SHA-256 of the token.
    pub hash: Digest,
    /// The organisation that the machine belongs to.
    pub organisation: OrgId,
    /// The person who made it.
    pub person: Option<PersonId>,
    /// What people call it.
    pub name: String,
    /// What it may be used for: `read`, `write`, `report`, `federate`.
    pub scopes: BTreeSet<String>,
    /// The collections it is for; `None`: all.
    pub collections: Option<BTreeSet<CollectionId>>,
    /// Since when.
    pub created: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// When it was used last.
    pub last_used: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

impl Token {
    /// Whether it is good for anything at this time.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && now < self.expires
    }
}

/// A session of somebody who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the session's secret.
    pub hash: Digest,
    /// Who it is.
    pub person: PersonId,
    /// Since when.
    pub created: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// What forms of this session carry.
    pub csrf: Vec<u8>,
}

/// An invitation or another one-time link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// SHA-256 of the link's secret.
    pub hash: Digest,
    /// What it is for, such as `first-administrator`, `invitation`, `password`.
    pub purpose: String,
    /// Whom it is for, if the person exists.
    pub person: Option<PersonId>,
    /// What the node keeps with it: any text, not interpreted here.
    pub data: String,
    /// Since when.
    pub created: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
}

fn digest(row: &Row, at: usize) -> Result<Digest, Error> {
    let bytes = row.blob(at)?;
    let bytes = bytes.try_into().map_err(|_| Error::damaged("a hash has not 32 bytes"))?;
    Ok(Digest::from_bytes(bytes))
}

fn passkey(row: &Row) -> Result<Passkey, Error> {
    Ok(Passkey {
        id: row.blob(0)?,
        person: row.parsed(1)?,
        public_key: row.blob(2)?,
        sign_count: u32::try_from(row.int(3)?).map_err(|_| Error::damaged("a passkey's counter"))?,
        name: row.text(4)?,
        created: row.time(5)?,
        last_used: row.maybe_time(6)?,
    })
}

fn token(row: &Row) -> Result<Token, Error> {
    Ok(Token {
        id: row.parsed(0)?,
        hash: digest(row, 1)?,
        organisation: row.parsed(2)?,
        person: row.maybe_parsed(3)?,
        name: row.text(4)?,
        scopes: row.json(5)?,
        collections: row.maybe_json(6)?,
        created: row.time(7)?,
        expires: row.time(8)?,
        last_used: row.maybe_time(9)?,
        revoked: row.maybe_time(10)?,
    })
}

fn link(row: &Row) -> Result<Link, Error> {
    Ok(Link {
        hash: digest(row, 0)?,
        purpose: row.text(1)?,
        person: row.maybe_parsed(2)?,
        data: row.text(3)?,
        created: row.time(4)?,
        expires: row.time(5)?,
        used: row.maybe_time(6)?,
    })
}

const TOKEN: &str = "SELECT id, hash, organisation, person, name, scopes, collections, created, expires, last_used, revoked \
                     FROM token WHERE hash = $1";
const TOKENS: &str = "SELECT id, hash, organisation, person, name, scopes, collections, created, expires, last_used, revoked \
                      FROM token WHERE organisation = $1 ORDER BY created, id";

impl Store {
    /// The hash of a person's password, as a PHC string.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn password(&self, person: PersonId) -> Result<Option<String>, Error> {
        let row = self.first("SELECT phc FROM password WHERE person = $1", args![person]).await?;
        row.map(|row| row.text(0)).transpose()
    }

    /// A person's passkeys.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn passkeys(&self, person: PersonId) -> Result<Vec<Passkey>, Error> {
        let sql = "SELECT id, person, public_key, sign_count, name, created, last_used FROM passkey WHERE person = $1 \
                   ORDER BY created, id";
        self.fetch(sql, args![person]).await?.iter().map(passkey).collect()
    }

    /// A passkey by its credential's id.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn passkey(&self, id: &[u8]) -> Result<Option<Passkey>, Error> {
        let sql =
            "SELECT id, person, public_key, sign_count, name, created, last_used FROM passkey WHERE id = $1";
        self.first(sql, args![id]).await?.as_ref().map(passkey).transpose()
    }

    /// The person that an OpenID provider's subject is here.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn person_of_oidc(&self, issuer: &str, subject: &str) -> Result<Option<PersonId>, Error> {
        let sql = "SELECT person FROM oidc WHERE issuer = $1 AND subject = $2";
        self.first(sql, args![issuer, subject]).await?.map(|row| row.parsed(0)).transpose()
    }

    /// A person's links to OpenID providers.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn oidc_links(&self, person: PersonId) -> Result<Vec<OidcLink>, Error> {
        let sql =
            "SELECT issuer, subject, person, created FROM oidc WHERE person = $1 ORDER BY issuer, subject";
        let rows = self.fetch(sql, args![person]).await?;
        let oidc = |row: &Row| {
            Ok(OidcLink {
                issuer: row.text(0)?,
                subject: row.text(1)?,
                person: row.parsed(2)?,
                created: row.time(3)?,
            })
        };
        rows.iter().map(oidc).collect()
    }

    /// A token by its SHA-256, whether valid or not: ask [`Token::is_valid`].
    ///
    /// # Errors
    /// If the database fails.
    pub async fn token(&self, hash: &Digest) -> Result<Option<Token>, Error> {
        self.first(TOKEN, args![hash]).await?.as_ref().map(token).transpose()
    }

    /// An organisation's tokens.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn tokens(&self, organisation: OrgId) -> Result<Vec<Token>, Error> {
        self.fetch(TOKENS, args![organisation]).await?.iter().map(token).collect()
    }

    /// A session that is valid at this time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn session(&self, hash: &Digest, now: Timestamp) -> Result<Option<Session>, Error> {
        let sql = "SELECT hash, person, created, expires, csrf FROM session WHERE hash = $1 AND expires > $2";
        let Some(row) = self.first(sql, args![hash, now]).await? else { return Ok(None) };
        Ok(Some(Session {
            hash: digest(&row, 0)?,
            person: row.parsed(1)?,
            created: row.time(2)?,
            expires: row.time(3)?,
            csrf: row.blob(4)?,
        }))
    }

    /// A one-time link that can still be used at this time. Using it is [`Writing::use_link`].
    ///
    /// # Errors
    /// If the database fails.
    pub async fn link(&self, hash: &Digest, now: Timestamp) -> Result<Option<Link>, Error> {
        let sql = "SELECT hash, purpose, person, data, created, expires, used FROM link \
                   WHERE hash = $1 AND used IS NULL AND expires > $2";
        self.first(sql, args![hash, now]).await?.as_ref().map(link).transpose()
    }
}

impl Writing {
    /// Sets a person's password: a PHC string of argon2id.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such person.
    pub async fn set_password(&mut self, person: PersonId, phc: &str) -> Result<(), Error> {
        let sql = "INSERT INTO password (person, phc, changed) VALUES ($1, $2, $3) \
                   ON CONFLICT (person) DO UPDATE SET phc = $2, changed = $3";
        let now = self.now();
        self.execute(sql, args![person, phc, now]).await?;
        Ok(())
    }

    /// Takes a person's password away.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_password(&mut self, person: PersonId) -> Result<bool, Error> {
        Ok(self.execute("DELETE FROM password WHERE person = $1", args![person]).await? > 0)
    }

    /// Keeps a new passkey.
    ///
    /// # Errors
    /// [`Error::Taken`] if it is registered already.
    pub async fn add_passkey(&mut self, passkey: &Passkey) -> Result<(), Error> {
        let sql = "INSERT INTO passkey (id, person, public_key, sign_count, name, created) VALUES ($1, $2, $3, $4, $5, $6)";
        let Passkey { id, person, public_key, sign_count, name, created, .. } = passkey;
        let args = args![id, *person, public_key, i64::from(*sign_count), name, *created];
        self.execute(sql, args).await.map_err(|error| error.taken("this passkey"))?;
        Ok(())
    }

    /// Notes that a passkey was used, if its counter did not go back; an authenticator without a counter says 0 each time.
    /// `false`: the counter says that there are two of it, and nothing was noted.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn use_passkey(&mut self, id: &[u8], sign_count: u32) -> Result<bool, Error> {
        let sql = "UPDATE passkey SET sign_count = $2, last_used = $3 \
                   WHERE id = $1 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0))";
        let now = self.now();
        Ok(self.execute(sql, args![id, i64::from(sign_count), now]).await? > 0)
    }

    /// Removes a passkey of this person.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_passkey(&mut self, person: PersonId, id: &[u8]) -> Result<bool, Error> {
        let sql = "DELETE FROM passkey WHERE id = $1 AND person = $2";
        Ok(self.execute(sql, args![id, person]).await? > 0)
    }

    /// Says who an OpenID provider's subject is here.
    ///
    /// # Errors
    /// [`Error::Taken`] if it is somebody already.
    pub async fn add_oidc_link(&mut self, link: &OidcLink) -> Result<(), Error> {
        let sql = "INSERT INTO oidc (issuer, subject, person, created) VALUES ($1, $2, $3, $4)";
        let args = args![&link.issuer, &link.subject, link.person, link.created];
        self.execute(sql, args).await.map_err(|error| error.taken("this account of the provider"))?;
        Ok(())
    }

    /// Forgets who an OpenID provider's subject is here.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_oidc_link(&mut self, person: PersonId, issuer: &str) -> Result<bool, Error> {
        let sql = "DELETE FROM oidc WHERE person = $1 AND issuer = $2";
        Ok(self.execute(sql, args![person, issuer]).await? > 0)
    }

    /// Keeps a new token.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such organisation or person.
    pub async fn add_token(&mut self, token: &Token) -> Result<(), Error> {
        let sql = "INSERT INTO token (id, hash, organisation, person, name, scopes, collections, created, expires) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let collections = token.collections.as_ref().map(json).transpose()?;
        let Token { id, hash, organisation, person, name, scopes, created, expires, .. } = token;
        let scopes = json(scopes)?;
        let args = args![*id, hash, *organisation, *person, name, scopes, collections, *created, *expires];
        self.execute(sql, args).await.map_err(|error| error.taken("this token"))?;
        Ok(())
    }

    /// Revokes a token of this organisation, from now on and for good.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn revoke_token(&mut self, organisation: OrgId, id: TokenId) -> Result<bool, Error> {
        let sql = "UPDATE token SET revoked = $3 WHERE id = $1 AND organisation = $2 AND revoked IS NULL";
        let now = self.now();
        Ok(self.execute(sql, args![id, organisation, now]).await? > 0)
    }

    /// Notes that a token was used. A caller may do so seldom: once a minute is enough for people to see.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn token_used(&mut self, id: TokenId) -> Result<(), Error> {
        let now = self.now();
        self.execute("UPDATE token SET last_used = $2 WHERE id = $1", args![id, now]).await?;
        Ok(())
    }

    /// Keeps a new session.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such person.
    pub async fn add_session(&mut self, session: &Session) -> Result<(), Error> {
        let sql = "INSERT INTO session (hash, person, created, expires, csrf) VALUES ($1, $2, $3, $4, $5)";
        let Session { hash, person, created, expires, csrf } = session;
        self.execute(sql, args![hash, *person, *created, *expires, csrf]).await?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_session(&mut self, hash: &Digest) -> Result<bool, Error> {
        Ok(self.execute("DELETE FROM session WHERE hash = $1", args![hash]).await? > 0)
    }

    /// Ends all sessions of a person.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_sessions(&mut self, person: PersonId) -> Result<u64, Error> {
        self.execute("DELETE FROM session WHERE person = $1", args![person]).await
    }

    /// Keeps a new one-time link.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such person.
    pub async fn add_link(&mut self, link: &Link) -> Result<(), Error> {
        let sql = "INSERT INTO link (hash, purpose, person, data, created, expires) VALUES ($1, $2, $3, $4, $5, $6)";
        let Link { hash, purpose, person, data, created, expires, .. } = link;
        self.execute(sql, args![hash, purpose, *person, data, *created, *expires]).await?;
        Ok(())
    }

    /// Uses a link up: only one of all who try gets it, and nobody after it expired or for another purpose.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn use_link(&mut self, hash: &Digest, purpose: &str) -> Result<Option<Link>, Error> {
        let now = self.now();
        let sql =
            "UPDATE link SET used = $3 WHERE hash = $1 AND purpose = $2 AND used IS NULL AND expires > $3";
        if self.execute(sql, args![hash, purpose, now]).await? == 0 {
            return Ok(None);
        }
        let sql = "SELECT hash, purpose, person, data, created, expires, used FROM link WHERE hash = $1";
        self.fetch(sql, args![hash]).await?.first().map(link).transpose()
    }

    /// Takes back links for this purpose that nobody used yet, of one person or of all.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn revoke_links(&mut self, purpose: &str, person: Option<PersonId>) -> Result<u64, Error> {
        match person {
            Some(person) => {
                let sql = "DELETE FROM link WHERE purpose = $1 AND person = $2 AND used IS NULL";
                self.execute(sql, args![purpose, person]).await
            }
            None => {
                self.execute("DELETE FROM link WHERE purpose = $1 AND used IS NULL", args![purpose]).await
            }
        }
    }

    /// Forgets sessions and links that are over, and some of the marks that nothing has any more. Returns how many sessions and links.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep(&mut self) -> Result<u64, Error> {
        let now = self.now();
        let sessions = self.execute("DELETE FROM session WHERE expires <= $1", args![now]).await?;
        let links = self.execute("DELETE FROM link WHERE expires <= $1", args![now]).await?;
        self.reclaim().await?;
        Ok(sessions.saturating_add(links))
    }
}
