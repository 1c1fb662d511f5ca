//! garak's report lines, which its own tools read (`bench/export/lab.sh` has them do it).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Value, json};

use super::{ExportError, each};
use crate::bundle::Bundle;
use crate::suite::Case;
use crate::trial::{Arm, Item, Trial, Verdict};

/// The version of garak whose format this is.
const FORMAT: &str = "0.17.1";
/// garak's words for an attempt that has begun, and for one that is scored.
const STARTED: u8 = 1;
const SCORED: u8 = 2;

/// Attacks of one mechanism.
#[derive(Default)]
struct Tally {
    hits: u64,
    scored: u64,
    failed: u64,
}

/// Writes the attacks as `attempt` entries and, for each mechanism, an `eval` entry. As in garak's own reports, every
/// attempt has a line for its beginning and one for its end; a failed trial has the first only, with the reason in its
/// notes, and counts among `nones` and `total_processed`. Benign twins and negative controls have no place in the format;
/// the first line says so, and how many of their trials failed.
///
/// # Errors
/// If the bundle cannot be read or `out` not written.
pub fn garak(bundle: &Bundle, out: &mut dyn Write) -> Result<(), ExportError> {
    let target = bundle.manifest.target.name();
    let mut line = |value: &Value| -> Result<(), ExportError> {
        serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
        writeln!(out)?;
        Ok(())
    };
    let cases = bundle.plan.iter().filter_map(|(item, _)| match item {
        Item::Case(case, Arm::Attack) => Some(case),
        _ => None,
    });
    let probes: BTreeSet<String> = cases.map(probe).collect();
    let failed = bundle.failed_trials()?;
    let elsewhere = failed.iter().filter(|trial| trial.arm != Arm::Attack).count();
    line(&json!({
        "entry_type": "start_run setup", "_config.version": FORMAT, "plugins.target_type": "ostrom",
        "plugins.target_name": target, "transient.active_probes": probes,
        "ostrom.note": format!(
            "exported by ostrom {} from bundle {}; benign twins and negative controls have no place in this format \
             ({elsewhere} of their trials failed)", env!("CARGO_PKG_VERSION"), bundle.digest),
    }))?;
    line(&json!({"entry_type": "init", "garak_version": FORMAT, "run": bundle.digest.to_string(),
                 "start_time": "in the bundle's signed statement"}))?;
    let about = |probe: &String| {
        let mechanism = probe.trim_start_matches("ostrom.");
        let about = json!({"description": format!("Prompt injection by {mechanism}"), "tags": ["owasp:llm01"],
                           "tier": 2});
        (format!("probes.{probe}"), about)
    };
    line(&json!({"entry_type": "plugin_cache", "plugin_cache": {
        "version": FORMAT, "probes": probes.iter().map(about).collect::<BTreeMap<_, _>>(),
        "detectors": {"detectors.ostrom.Rule": {"description": "The case's success rule, by code and not by a model"}},
    }}))?;
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    each(bundle, |item, trial| {
        let Item::Case(case, Arm::Attack) = item else { return Ok(()) };
        let tally = tallies.entry(probe(case)).or_default();
        line(&attempt(case, &trial, STARTED))?;
        match &trial.verdict {
            Verdict::Failed(_) => tally.failed += 1,
            Verdict::Outcome(outcome) => {
                tally.scored += 1;
                tally.hits += u64::from(outcome.success == Some(true));
                line(&attempt(case, &trial, SCORED))?;
            }
        }
        Ok(())
    })?;
    for (probe, Tally { hits, scored, failed }) in tallies {
        line(
            &json!({"entry_type": "eval", "probe": probe, "detector": "ostrom.Rule", "passed": scored - hits,
                     "fails": hits, "nones": failed, "total_evaluated": scored, "total_processed": scored + failed}),
        )?;
    }
    line(&json!({"entry_type": "completion", "run": bundle.digest.to_string()}))
}

fn probe(case: &Case) -> String {
    format!("ostrom.{}", case.mechanism)
}

fn attempt(case: &Case, trial: &Trial, status: u8) -> Value {
    let message = |text: &str| json!({"text": text, "lang": "*"});
    let last = trial.calls.last();
    let turns: Vec<_> = last.map_or_else(Vec::new, |call| {
        let turn =
            |m: &ostrom_models::Message| json!({"role": m.role.as_str(), "content": message(&m.content)});
        call.messages.iter().map(turn).collect()
    });
    let (outputs, scores, notes) = match (&trial.verdict, status) {
        (Verdict::Outcome(outcome), SCORED) => {
            let hit = if outcome.success == Some(true) { 1.0 } else { 0.0 };
            (vec![last.map(|call| message(&call.reply))], json!({"ostrom.Rule": [hit]}), json!({}))
        }
        (Verdict::Failed(reason), _) => (vec![None], json!({}), json!({"failed": reason})),
        _ => (Vec::new(), json!({}), json!({})),
    };
    json!({
        "entry_type": "attempt", "uuid": format!("{}#{}", trial.id, trial.repeat), "seq": 0, "status": status,
        "probe_classname": probe(case),
        "probe_params": {"technique": case.technique, "channel": case.channel, "transforms": case.transforms},
        "targets": [], "prompt": {"turns": turns, "notes": {}}, "outputs": outputs, "detector_results": scores,
        "notes": notes, "goal": case.intent, "conversations": [], "reverse_translation_outputs": [], "intent": null,
    })
}
