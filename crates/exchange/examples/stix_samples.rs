//! Writes bundles with one object of each of Ostrom's types, and with generated ones, into a folder: what `bench/stix/validate.sh` gives to
//! the OASIS validator.
//!
//!     cargo run -p ostrom-exchange --example stix_samples -- FOLDER [HOW-MANY]

use std::error::Error;
use std::path::Path;

use ostrom_core::handling::{Embargo, Handling, Iep, Obligation, Party, Tlp};
use ostrom_core::{Digest, GroupId, ObjectId, OrgId, PersonId, Timestamp, Uuid};
use ostrom_exchange::seal::OpeningKey;
use ostrom_exchange::sealed;
use ostrom_exchange::stix::marking;
use ostrom_exchange::types::{
    Advisory, Affected, BundleFacts, Common, Disclosure, DisclosureState, Evaluation, Flaw, Incident, Lesson,
    Mechanism, Mitigation, Opinion, Phase, Rate, Record, Reference, Relation, Severity, Sighting, Suite,
    Technique, Transfer, View, definitions, identity,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// A UUID of version 4 with these bits.
fn uuid(bits: u128) -> Uuid {
    Uuid::from_u128((bits & !(0xf << 76) & !(0x3 << 62)) | (4 << 76) | (2 << 62))
}

/// What is drawn for one set of objects.
#[derive(Debug, Clone)]
struct Draw {
    bits: u128,
    name: String,
    text: String,
    when: i64,
    successes: u64,
    trials: u64,
    tlp: usize,
    flags: u8,
}

fn draws() -> impl Strategy<Value = Draw> {
    let texts = ("[\\PC&&[^\\s]]\\PC{0,60}", "[\\PC&&[^\\s]]\\PC{0,300}");
    (any::<u128>(), texts, 0i64..4_000_000_000_000, 0u64..1000, 1u64..1000, 0usize..5, any::<u8>()).prop_map(
        |(bits, (name, text), millis, successes, more, tlp, flags)| Draw {
            bits,
            name,
            text,
            when: millis,
            successes,
            trials: successes + more,
            tlp,
            flags,
        },
    )
}

impl Draw {
    fn flag(&self, bit: u8) -> bool {
        self.flags >> bit & 1 == 1
    }

    fn handling(&self, org: OrgId) -> Handling {
        let tlp = Tlp::ALL.get(self.tlp).copied().unwrap_or(Tlp::Red);
        let party = |n: u128| uuid(self.bits ^ n);
        let audience = [
            Party::Organisation(OrgId::new(party(1))),
            Party::Person(PersonId::new(party(2))),
            Party::Group(GroupId::new(party(3))),
        ];
        let now = self.now();
        Handling {
            audience: if self.flag(0) { audience.into() } else { [].into() },
            embargo: self.flag(1).then(|| Embargo { until: now, parties: audience.into() }),
            iep: self.flag(2).then(|| Iep {
                name: self.name.clone(),
                start: Some(now),
                end: None,
                encrypt_in_transit: Obligation::Must,
                permitted_actions: "none".to_owned(),
                affected_party_notifications: Obligation::May,
                attribution: Obligation::MustNot,
                unmodified_resale: Obligation::MustNot,
            }),
            ..Handling::new(org, tlp)
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.when * 1000).unwrap_or(Timestamp::EPOCH)
    }

    fn objects(&self) -> Fallible<Vec<Value>> {
        let org = OrgId::new(uuid(self.bits ^ 4));
        let now = self.now();
        let marks = marking::marks(&self.handling(org))?;
        let common = |kind: &str, n: u128| -> Fallible<Common> {
            let mut common = Common::new(kind, uuid(self.bits ^ n), now, Some(org))?;
            common.mark(&marks);
            common.labels = vec!["prompt-injection".to_owned()];
            common.confidence = Some(self.flags % 101);
            common.external_references = vec![
                Reference::id("cve", "CVE-2026-12345"),
                Reference::url("vendor", "https://example.org/advisory?a=1"),
            ];
            Ok(common)
        };
        let rate = Rate::wilson(self.successes, self.trials)?;
        let affected = Affected {
            vendor: Some(self.name.clone()),
            version: Some("2026-08".to_owned()),
            weights_sha256: Some(Digest::of(self.name.as_bytes())),
            endpoint: Some("https://api.example.org/v1".to_owned()),
            valid_from: Some(now),
            valid_until: Some(now.plus_seconds(60)),
            ..Affected::model(&self.name)
        };
        let mut flaw = Flaw::new(common("vulnerability", 10)?, &self.name);
        flaw.description = Some(self.text.clone());
        let ai = &mut flaw.extensions.ai;
        ai.affected = vec![affected.clone()];
        ai.attack_success = vec![rate.clone().of("indirect prompt injection")];
        ai.transfer = vec![Transfer { to: Affected::model("other"), success: rate.clone() }];
        ai.disclosure = Some(Disclosure {
            state: DisclosureState::ALL.get(self.tlp).copied().unwrap_or(DisclosureState::Received),
            since: Some(now),
            case: Some(uuid(self.bits ^ 5).to_string().parse()?),
        });
        let ai = flaw.extensions.ai.clone();
        let about = vec![flaw.common.id().clone()];
        let hidden = Record::Flaw(Flaw::new(common("vulnerability", 19)?, "Sealed report"));
        let hidden = hidden.write()?;
        let secret = json!({ "name": self.name, "description": self.text });
        let secret = secret.as_object().ok_or("no dictionary")?;
        let sender = OpeningKey::generate()?;
        let sender = Some(&sender).filter(|_| self.bits.is_multiple_of(2));
        let sealed = sealed::seal(hidden.map(), secret, &[OpeningKey::generate()?.public()], sender)?;
        let mut technique = Technique::new(common("attack-pattern", 11)?, &self.name);
        technique.aliases = vec![self.text.clone()];
        technique.kill_chain_phases = vec![Phase {
            kill_chain_name: "mitre-atlas".to_owned(),
            phase_name: "initial-access".to_owned(),
        }];
        technique.extensions.ai = ai.clone();
        let mut incident = Incident::new(common("incident", 12)?, &self.name);
        incident.extensions.ai.incident_severity = Severity::ALL.get(self.tlp).copied();
        incident.extensions.ai.occurred = Some(now);
        incident.extensions.ai.affected = vec![affected.clone()];
        if let Some(core) = &mut incident.extensions.core {
            core.criticality = Some(self.flags % 101);
            core.detection_methods = vec!["user-reporting".to_owned()];
            core.incident_types = vec!["data-exfiltration".to_owned()];
            core.impacted_entity_counts.insert("individual".to_owned(), json!(self.successes));
        }
        let mut mitigation = Mitigation::new(common("course-of-action", 13)?, &self.name);
        mitigation.extensions.ai.attack_success = vec![rate.clone()];
        let lesson = Lesson::new(common("note", 14)?, &self.name, &self.text, about.clone());
        let draft = Advisory::draft(common("grouping", 15)?, &self.name, about.clone());
        let report = draft.publish(now)?;
        let mut sighting = Sighting::new(common("sighting", 16)?, flaw.common.id().clone());
        (sighting.first_seen, sighting.last_seen) = (Some(now), Some(now.plus_seconds(1)));
        sighting.count = Some(1);
        sighting.where_sighted_refs = vec![ObjectId::new("identity", org.uuid())?];
        let relation = Relation::new(
            common("relationship", 17)?,
            mitigation.common.id().clone(),
            "mitigates",
            flaw.common.id().clone(),
        );
        let mut opinion = Opinion::new(common("opinion", 18)?, View::Agree, about);
        opinion.extensions.ai.attack_success = vec![rate.clone()];
        let facts = BundleFacts {
            suite: Suite { name: self.name.clone(), sha256: Digest::of(b"suite") },
            model: affected,
            mechanisms: vec![Mechanism { name: "canary".to_owned(), success: rate.clone() }],
            benign_utility: Some(rate.clone()),
            utility_under_attack: Some(rate),
            bundle: Digest::of(&self.bits.to_be_bytes()),
            signer: "key".to_owned(),
            signed: now,
        };
        let (mut evaluation, software) = Evaluation::from_bundle(facts, now, Some(org))?;
        evaluation.common.mark(&marks);
        let records = [
            Record::Flaw(flaw),
            Record::Technique(technique),
            Record::Incident(incident),
            Record::Mitigation(mitigation),
            Record::Lesson(lesson),
            Record::Advisory(draft),
            Record::Advisory(report),
            Record::Sighting(sighting),
            Record::Relation(relation),
            Record::Opinion(opinion),
            Record::Evaluation(evaluation),
        ];
        let mut objects = vec![identity(org, &self.name, &["government-national".to_owned()], now), software];
        objects.push(serde_json::from_slice(&sealed)?);
        objects.extend(marks.definitions);
        for record in &records {
            objects.push(serde_json::from_slice(record.write()?.bytes())?);
        }
        Ok(objects)
    }
}

fn main() -> Fallible<()> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("say into which folder")?;
    let count: usize = args.next().map_or(Ok(50), |text| text.parse())?;
    std::fs::create_dir_all(&folder)?;
    // The same objects every time.
    let mut runner = TestRunner::deterministic();
    let strategy = draws();
    let mut written = 0;
    for number in 0..=count {
        let mut objects = if number == 0 { definitions() } else { Vec::new() };
        if number == 0 {
            objects.extend(Tlp::ALL.map(marking::tlp_definition));
        } else {
            let draw = strategy.new_tree(&mut runner).map_err(|error| error.to_string())?.current();
            objects.extend(draw.objects()?);
        }
        written += objects.len();
        let id = format!("bundle--{}", uuid(number as u128));
        let bundle = json!({ "type": "bundle", "id": id, "objects": objects });
        std::fs::write(Path::new(&folder).join(format!("{number:04}.json")), bundle.to_string())?;
    }
    println!("{written} objects in {} bundles", count + 1);
    Ok(())
}
