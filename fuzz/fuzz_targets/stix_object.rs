//! STIX objects, bundles, marking definitions and imports from strangers. The bytes stay as they came; what is of one of our types is
//! written as a valid object again; a policy of marks that cannot be read lets nobody read.
#![no_main]

use std::collections::BTreeMap;

use ostrom_core::handling::{Handling, Reader, Tlp};
use ostrom_core::{OrgId, Timestamp, Uuid};
use ostrom_exchange::import::{Manner, avid, bundle, genai_incidents};
use ostrom_exchange::stix::marking::{self, Definition, Marker};
use ostrom_exchange::stix::{Envelope, Limits, Object, check, observable_id};
use ostrom_exchange::taxii::Query;
use ostrom_exchange::types::Record;
use ostrom_fuzz::fuzz_target;

const LIMITS: Limits = Limits { object: 1 << 16, envelope: 1 << 18, objects: 1000, depth: 32 };

fuzz_target!(|data: &[u8]| {
    let owner = OrgId::new(Uuid::from_u128(1));
    let mut objects: Vec<Object> = Object::read(data, &LIMITS).into_iter().collect();
    if let Ok(envelope) = Envelope::read(data, &LIMITS) {
        for (item, bytes) in envelope.items(&LIMITS).zip(&envelope.objects) {
            if let Ok(object) = item.object {
                assert_eq!(object.bytes(), *bytes);
                objects.push(object);
            }
        }
    }
    let known: BTreeMap<_, _> = objects.iter().map(|object| (object.id().clone(), marking::definition(object))).collect();
    for object in &objects {
        let defects = check(object);
        let _ = observable_id(object.map());
        if let Ok(record) = Record::parse(object)
            && defects.is_empty()
        {
            record.write().expect("what was valid stays so");
        }
        let marker = Marker { owner, author: None };
        let policy = marking::policy(object, marker, &Handling::new(owner, Tlp::Clear), &known);
        let is_odd = object.facts().marks_malformed
            || object.facts().marks.iter().any(|id| match known.get(id) {
                Some(definition) => matches!(definition, Definition::Unknown(_)),
                None => marking::fixed_tlp(id).is_none(),
            });
        if is_odd {
            let reader = Reader { organisation: Some(owner), ..Reader::anonymous(true) };
            assert!(!policy.allows(&reader, Timestamp::EPOCH), "read in spite of a mark that is not understood");
        }
    }
    let manner = Manner { by: owner, tlp: Tlp::Clear };
    let _ = genai_incidents(data, manner, &LIMITS);
    let _ = avid(data, manner, &LIMITS, Timestamp::EPOCH);
    let _ = bundle("fuzz", data, &LIMITS);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Query::parse(text);
    }
});
