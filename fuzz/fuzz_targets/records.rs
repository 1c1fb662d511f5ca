//! Statements from strangers: lineage, revocation, passport. The input is statements, one after another with a NUL
//! between; the first byte says whether they come bare, to be put into envelopes here, or as envelopes.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostrom_fuzz::fuzz_target;
use ostrom_scan::lineage::{Direction, Graph, Record, Records};
use ostrom_scan::passport::{Passport, cyclonedx};
use ostrom_scan::revocation::Revocations;

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let mut all = Records::default();
    for part in rest.split(|byte| *byte == 0).take(16) {
        let envelope = if kind % 2 == 0 {
            let payload = STANDARD.encode(part);
            format!(
                r#"{{"payload":"{payload}","payloadType":"application/vnd.in-toto+json","signatures":[{{"keyid":"x","sig":""}}]}}"#
            )
            .into_bytes()
        } else {
            part.to_vec()
        };
        if let Ok(record) = Record::from_slice(&envelope, &[]) {
            assert!(!record.signers.is_trusted(), "nobody is trusted here");
            if let Ok(passport) = Passport::from_statement(&record.statement) {
                let _ = cyclonedx(&passport);
            }
            all.records.push(record);
        }
    }
    let revocations = Revocations::new(&all);
    assert_eq!(revocations.holding().count(), 0, "a revocation holds that nobody trusted has signed");
    let Ok(graph) = Graph::new(&all) else { return };
    let marks = revocations.marks(&graph);
    for edge in graph.edges() {
        for digest in [edge.child, edge.parent] {
            let walk = graph.affected_by(digest);
            assert!(walk.reached().len() <= 2 * graph.edges().len());
            let _ = revocations.standing(&graph, &[digest]);
            let _ = ostrom_scan::lineage::svg(&graph, digest, Direction::Ancestors, &marks);
        }
    }
});
