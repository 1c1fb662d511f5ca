//! TensorFlow: SavedModel, MetaGraph, GraphDef (binary and text), Keras metadata beside a SavedModel, checkpoints.

mod checkpoint;
mod detect;
mod keras;
mod paths;
mod reach;
#[cfg(test)]
mod tests;
mod text;
mod walk;

pub(crate) use checkpoint::{detect_data, detect_index, examine_index};
pub(crate) use detect::{detect_fingerprint, detect_graph, detect_keras, detect_meta, detect_saved};
pub(crate) use keras::examine as examine_keras;
pub(crate) use text::{detect as detect_text, examine as examine_text};
pub(crate) use walk::{examine_graph, examine_meta, examine_saved};

use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

/// For files of numbers, which hold nothing to examine: the format is known, and that is all.
#[expect(clippy::unnecessary_wraps, reason = "the table of formats has one type of examiner")]
pub(crate) fn examine_nothing(_: &View, _: &mut Examination<'_>) -> Result<(), Trouble> {
    Ok(())
}
