//! Bundles in other people's formats.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int32Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::json;

use crate::bundle::{Bundle, BundleError};
use crate::metrics::Rate;
use crate::trial::{Item, Trial, Verdict};

mod garak;

pub use garak::garak;

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The bundle cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The result cannot be written.
    #[error("the export cannot be written: {0}")]
    Io(#[from] io::Error),
    /// Parquet.
    #[error("the export cannot be written: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}

/// The columns of the table exports, in order.
const COLUMNS: [&str; 15] = [
    "id",
    "arm",
    "repeat",
    "family",
    "scenario",
    "task",
    "technique",
    "mechanism",
    "intent",
    "goal",
    "channel",
    "transforms",
    "success",
    "utility",
    "error",
];

/// One trial as a row of texts; `None` is empty.
fn row(item: Item<'_>, trial: &Trial) -> [Option<String>; 15] {
    let case = match item {
        Item::Case(case, _) => Some(case),
        Item::Twin(_) => None,
    };
    let (family, cluster) = match item {
        Item::Case(case, _) => (case.family, case.cluster()),
        Item::Twin(twin) => (twin.family, twin.id.as_str()),
    };
    let (scenario, task) = cluster.split_once('.').unwrap_or((cluster, ""));
    let outcome = trial.outcome();
    let error = match &trial.verdict {
        Verdict::Failed(error) => Some(error.clone()),
        Verdict::Outcome(_) => None,
    };
    let transforms =
        case.map(|case| case.transforms.iter().map(ToString::to_string).collect::<Vec<_>>().join("+"));
    [
        Some(trial.id.clone()),
        Some(trial.arm.as_str().to_owned()),
        Some(trial.repeat.to_string()),
        Some(family.as_str().to_owned()),
        Some(scenario.to_owned()),
        Some(task.to_owned()),
        case.map(|case| case.technique.to_string()),
        case.map(|case| case.mechanism.to_string()),
        case.map(|case| case.intent.to_string()),
        case.and_then(|case| case.goal.as_ref()).map(ToString::to_string),
        case.map(|case| case.channel.to_string()),
        transforms,
        outcome.and_then(|outcome| outcome.success).map(|success| success.to_string()),
        outcome.and_then(|outcome| outcome.utility).map(|utility| utility.to_string()),
        error,
    ]
}

fn each(
    bundle: &Bundle,
    mut visit: impl FnMut(Item<'_>, Trial) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut failure = None;
    bundle.trials(|index, trial| {
        if let (Some((item, _)), None) = (bundle.plan.get(index), &failure) {
            failure = visit(item, trial).err();
        }
        Ok(())
    })?;
    failure.map_or(Ok(()), Err)
}

/// One line a trial, RFC 4180. Cells that a spreadsheet would take for a formula are quoted with an apostrophe.
///
/// # Errors
/// If the bundle cannot be read or `out` not written.
pub fn csv(bundle: &Bundle, out: &mut dyn Write) -> Result<(), ExportError> {
    writeln!(out, "{}\r", COLUMNS.join(","))?;
    each(bundle, |item, trial| {
        let cells = row(item, &trial).map(|cell| csv_cell(&cell.unwrap_or_default()));
        writeln!(out, "{}\r", cells.join(","))?;
        Ok(())
    })
}

fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// One row a trial, with the last reply.
///
/// # Errors
/// If the bundle cannot be read or the file not written.
pub fn parquet(bundle: &Bundle, file: File) -> Result<(), ExportError> {
    const GROUP: usize = 20_000;
    let text = |name: &str| {
        Type::primitive_type_builder(name, PhysicalType::BYTE_ARRAY)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(Some(LogicalType::String))
            .build()
    };
    let mut fields = Vec::new();
    for name in COLUMNS {
        let field = match name {
            "repeat" => Type::primitive_type_builder(name, PhysicalType::INT32)
                .with_repetition(Repetition::REQUIRED)
                .build()?,
            "success" | "utility" => Type::primitive_type_builder(name, PhysicalType::BOOLEAN)
                .with_repetition(Repetition::OPTIONAL)
                .build()?,
            name => text(name)?,
        };
        fields.push(Arc::new(field));
    }
    fields.push(Arc::new(text("reply")?));
    let schema = Arc::new(Type::group_type_builder("trial").with_fields(fields).build()?);
    let properties = Arc::new(WriterProperties::builder().set_compression(Compression::UNCOMPRESSED).build());
    let mut writer = SerializedFileWriter::new(file, schema, properties)?;
    let mut rows: Vec<Vec<Option<String>>> = Vec::new();
    each(bundle, |item, trial| {
        let mut cells = row(item, &trial).to_vec();
        cells.push(trial.calls.last().map(|call| call.reply.clone()));
        rows.push(cells);
        if rows.len() == GROUP {
            write_group(&mut writer, &rows)?;
            rows.clear();
        }
        Ok(())
    })?;
    if !rows.is_empty() {
        write_group(&mut writer, &rows)?;
    }
    writer.close()?;
    Ok(())
}

fn write_group(
    writer: &mut SerializedFileWriter<File>,
    rows: &[Vec<Option<String>>],
) -> Result<(), ExportError> {
    let mut group = writer.next_row_group()?;
    for column in 0.. {
        let Some(mut out) = group.next_column()? else { break };
        let cells: Vec<Option<&str>> =
            rows.iter().map(|row| row.get(column).and_then(|cell| cell.as_deref())).collect();
        let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
        let present = cells.iter().flatten();
        match COLUMNS.get(column).copied() {
            Some("repeat") => {
                let values: Vec<i32> = present.map(|cell| cell.parse().unwrap_or_default()).collect();
                out.typed::<Int32Type>().write_batch(&values, None, None)?;
            }
            Some("success" | "utility") => {
                let values: Vec<bool> = present.map(|&cell| cell == "true").collect();
                out.typed::<BoolType>().write_batch(&values, Some(&levels), None)?;
            }
            _ => {
                let values: Vec<ByteArray> = present.map(|&cell| ByteArray::from(cell)).collect();
                out.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
            }
        }
        out.close()?;
    }
    group.close()?;
    Ok(())
}

/// An AVID report (data model 0.2): one JSON object that a vulnerability database takes. Failed trials are counted in
/// every figure.
///
/// # Errors
/// If it cannot be written.
pub fn avid(bundle: &Bundle, out: &mut dyn Write) -> Result<(), ExportError> {
    let metrics = &bundle.metrics;
    let rate = |rate: &Rate| {
        json!({"successes": rate.successes, "trials": rate.trials, "failed": rate.failed,
                                   "interval95": [rate.low, rate.high]})
    };
    let target = bundle.manifest.target.name();
    let report = json!({
        "data_type": "AVID",
        "data_version": "0.2",
        "affects": {
            "developer": [],
            "deployer": [],
            "artifacts": [{"type": "Model", "name": target}],
        },
        "problemtype": {
            "classof": "LLM Evaluation",
            "type": "Measurement",
            "description": {"lang": "eng", "value": format!("Susceptibility of {target} to prompt injection")},
        },
        "metrics": [{
            "name": "attack success rate",
            "detection_method": {"type": "Significance Test", "name": "paired negative controls, cluster-robust Wilson interval"},
            "results": {"attack_success": rate(&metrics.attack_success), "control_success": rate(&metrics.control_success),
                        "benign_utility": rate(&metrics.benign_utility),
                        "utility_under_attack": rate(&metrics.utility_under_attack)},
        }],
        "references": [{"type": "source", "label": "Ostrom bundle", "url": format!("urn:sha256:{}", bundle.digest)}],
        "description": {"lang": "eng", "value": format!(
            "Suite {} {} ({}), {} trials, of which {} failed. Figures can be re-derived from the signed bundle.",
            bundle.manifest.suite, bundle.manifest.suite_version, bundle.manifest.suite_digest, metrics.planned,
            metrics.failed)},
        "impact": {"avid": {"vuln_id": null, "risk_domain": ["Security"],
                            "sep_view": ["S0403: Adversarial Example"], "lifecycle_view": ["L05: Evaluation"],
                            "taxonomy_version": "0.2"}},
        "credit": [],
    });
    serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::csv_cell;

    #[test]
    fn cells_that_would_break_a_spreadsheet() {
        assert_eq!(csv_cell("plain"), "plain");
        assert_eq!(csv_cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(csv_cell("=1+1"), "'=1+1");
    }
}
