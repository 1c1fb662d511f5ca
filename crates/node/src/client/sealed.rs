//! Sealing what is shared to its recipients, before it leaves this machine.

use std::collections::BTreeSet;

use ostrom_core::handling::{Embargo, Handling, Party, Tlp};
use ostrom_core::{Digest, GroupId, ObjectId, OrgId, PersonId, Timestamp, Uuid};
use ostrom_exchange::seal::{OpeningKey, RecipientKey};
use ostrom_exchange::sealed;
use ostrom_exchange::stix::marking;
use ostrom_exchange::stix::{Limits, Object};
use ostrom_exchange::types::Record;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Client, ClientError, Written};

/// Somebody's public key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PublicSealingKey {
    /// Its id at the node.
    pub id: Uuid,
    /// The organisation that opens with it.
    pub organisation: OrgId,
    /// The person who does.
    pub person: Option<PersonId>,
    /// The key.
    pub public_key: String,
    /// Its name in sealed objects.
    pub key_id: Digest,
    /// What its owner calls it.
    pub label: String,
}

/// Something to seal.
#[derive(Debug, Clone)]
pub struct SealedDraft {
    /// The collection, by its id or alias.
    pub collection: String,
    /// The STIX type.
    pub kind: String,
    /// What everybody may know who may see that there is something.
    pub title: String,
    /// What only the recipients read: STIX properties.
    pub secret: Map<String, Value>,
    /// The mark of the Traffic Light Protocol.
    pub tlp: Tlp,
    /// The recipients.
    pub audience: BTreeSet<Party>,
    /// An embargo.
    pub embargo: Option<Embargo>,
    /// The keys to seal to, as their owners gave them. If there are any, the node is not asked for keys.
    pub keys: Vec<RecipientKey>,
    /// When: becomes the version.
    pub now: Timestamp,
}

/// What was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedTo {
    /// Where it is.
    pub written: Written,
    /// The keys, with their labels as far as the node knows them.
    pub keys: Vec<(Digest, Option<String>)>,
}

#[derive(Deserialize)]
struct Me {
    organisation: Option<OrgId>,
}

#[derive(Deserialize)]
struct Members {
    organisations: BTreeSet<OrgId>,
    persons: BTreeSet<PersonId>,
}

impl Client {
    /// The organisation that the token is of.
    ///
    /// # Errors
    /// If the node does not answer, or the token is of none.
    pub async fn organisation(&self) -> Result<OrgId, ClientError> {
        let me: Me = self.get("/api/v1/me").await?;
        me.organisation.ok_or(ClientError::Token)
    }

    /// The keys that things can be sealed to, as the node says.
    ///
    /// # Errors
    /// If the node does not answer.
    pub async fn sealing_keys(&self) -> Result<Vec<PublicSealingKey>, ClientError> {
        self.get("/api/v1/sealing-keys").await
    }

    /// Gives out a key in the organisation's name.
    ///
    /// # Errors
    /// If the node does not take it.
    pub async fn give_sealing_key(
        &self,
        key: &RecipientKey,
        label: &str,
    ) -> Result<PublicSealingKey, ClientError> {
        self.post("/api/v1/sealing-keys", &json!({"public_key": key.to_string(), "label": label})).await
    }

    /// Retires a key of the organisation.
    ///
    /// # Errors
    /// If there is none.
    pub async fn retire_sealing_key(&self, id: Uuid) -> Result<(), ClientError> {
        self.send(Method::DELETE, &format!("/api/v1/sealing-keys/{id}"), None, None).await.map(drop)
    }

    /// Seals a draft here and shares what came of it: the node never sees the secret. With `sender`, recipients know that whoever has that key sealed it.
    ///
    /// # Errors
    /// If a recipient has no key, it cannot be sealed, or the node does not take it.
    pub async fn seal(
        &self,
        draft: &SealedDraft,
        sender: Option<&OpeningKey>,
    ) -> Result<SealedTo, ClientError> {
        let wrong = |error: &dyn std::fmt::Display| ClientError::Seal(error.to_string());
        let organisation = self.organisation().await?;
        let (keys, labels) = match draft.keys.as_slice() {
            [] => self.keys_of(draft, organisation).await?,
            given => (given.to_vec(), Vec::new()),
        };
        let handling = Handling {
            audience: draft.audience.clone(),
            embargo: draft.embargo.clone(),
            ..Handling::new(organisation, draft.tlp)
        };
        let marks = marking::marks(&handling).map_err(|error| wrong(&error))?;
        let uuid = Uuid::from_bytes(crate::sign_in::secret::uuid().map_err(|error| wrong(&error))?);
        let id = ObjectId::new(&draft.kind, uuid).map_err(|error| wrong(&error))?;
        let now = draft.now.to_millis();
        let clear = json!({
            "type": draft.kind, "spec_version": "2.1", "id": id, "created": now, "modified": now,
            "created_by_ref": format!("identity--{organisation}"), "object_marking_refs": marks.refs,
            "name": draft.title,
        });
        // As one of our types writes it, so that nobody has a reason to write it otherwise.
        let clear = Object::read(clear.to_string().as_bytes(), &Limits::default()).map_err(|e| wrong(&e))?;
        let clear = Record::parse(&clear).and_then(|record| record.write()).map_err(|error| wrong(&error))?;
        let bytes = sealed::seal(clear.map(), &draft.secret, &keys, sender).map_err(|error| wrong(&error))?;
        let object: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
        let mut objects = marks.definitions;
        objects.push(object);
        self.share(&draft.collection, &objects).await?;
        let link = self.base().url(&format!("/objects/{id}"));
        let keys = keys.iter().map(|key| {
            let label = labels.iter().find(|(id, _)| *id == key.id()).map(|(_, label)| label.clone());
            (key.id(), label)
        });
        Ok(SealedTo { written: Written { id, version: now, link, leaf: None }, keys: keys.collect() })
    }

    /// Shares objects byte for byte, by TAXII.
    async fn share(&self, collection: &str, objects: &[Value]) -> Result<(), ClientError> {
        #[derive(Deserialize)]
        struct Status {
            #[serde(default)]
            failures: Vec<Failed>,
        }
        #[derive(Deserialize)]
        struct Failed {
            message: Option<String>,
        }
        let body = serde_json::to_vec(&json!({ "objects": objects }))
            .map_err(|error| ClientError::Answer(error.to_string()))?;
        let taxii = ostrom_exchange::taxii::MEDIA_TYPE;
        let path = format!("/taxii2/api/collections/{collection}/objects/");
        let reply = self.ask_as(Method::POST, &path, Some(body), Some(taxii), taxii).await?;
        let status: Status = super::read(&reply.body)?;
        match status.failures.into_iter().next() {
            None => Ok(()),
            Some(failed) => {
                let detail = failed.message.unwrap_or_else(|| "it does not say why".to_owned());
                Err(ClientError::Refused { status: 422, detail, retry_after: None })
            }
        }
    }

    /// The keys of everybody who may read it, and of the organisation itself.
    async fn keys_of(
        &self,
        draft: &SealedDraft,
        own: OrgId,
    ) -> Result<(Vec<RecipientKey>, Vec<(Digest, String)>), ClientError> {
        let known = self.sealing_keys().await?;
        let mut wanted: BTreeSet<Party> = BTreeSet::new();
        for party in &draft.audience {
            match party {
                Party::Group(group) => wanted.extend(self.group(*group).await?),
                other => drop(wanted.insert(*other)),
            }
        }
        let mut chosen: Vec<&PublicSealingKey> = Vec::new();
        for party in &wanted {
            // TLP:RED is for persons: an organisation's key, which colleagues hold, does not open it.
            let of = |key: &&PublicSealingKey| match party {
                Party::Organisation(organisation) => {
                    key.organisation == *organisation && draft.tlp < Tlp::Red
                }
                Party::Person(person) => key.person == Some(*person),
                Party::Group(_) => false,
            };
            let before = chosen.len();
            chosen.extend(known.iter().filter(of));
            if chosen.len() == before {
                let who = match party {
                    Party::Organisation(id) if draft.tlp == Tlp::Red => {
                        return Err(ClientError::Seal(format!(
                            "TLP:RED is sealed to persons: name them with --to person:ID instead of organisation:{id}"
                        )));
                    }
                    Party::Organisation(id) => format!("organisation:{id}"),
                    Party::Person(id) => format!("person:{id}"),
                    Party::Group(id) => format!("group:{id}"),
                };
                return Err(ClientError::Seal(format!(
                    "{who} has given out no key: ask them to run `ostrom seal-key new` and to register it, or give their key with --to-key"
                )));
            }
        }
        if draft.tlp < Tlp::Red {
            chosen.extend(known.iter().filter(|key| key.organisation == own));
        }
        // Whoever is named in several ways, as one of the sender's own organisation is, has it once.
        let mut once = BTreeSet::new();
        chosen.retain(|key| once.insert(key.key_id));
        let mut keys = Vec::new();
        for key in &chosen {
            let key = key
                .public_key
                .parse()
                .map_err(|_| ClientError::Answer(format!("the key {} of the node's list is none", key.id)))?;
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(ClientError::Seal(
                "nobody to seal to: name recipients with --to, or give your organisation a key with `ostrom seal-key new FILE --register`"
                    .to_owned(),
            ));
        }
        Ok((keys, chosen.into_iter().map(|key| (key.key_id, key.label.clone())).collect()))
    }

    async fn group(&self, group: GroupId) -> Result<BTreeSet<Party>, ClientError> {
        let members: Members = self.get(&format!("/api/v1/groups/{group}")).await?;
        let organisations = members.organisations.into_iter().map(Party::Organisation);
        Ok(organisations.chain(members.persons.into_iter().map(Party::Person)).collect())
    }
}
