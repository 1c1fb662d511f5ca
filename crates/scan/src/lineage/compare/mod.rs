//! Whether two models have the same numbers in them, nearly the same, or others.

mod judge;
mod pair;
mod sample;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::edge::{Evidence, Method, Relation};
use super::weights::Weights;

/// How closely to look.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Chooses the rows that are compared. Whoever must not foresee them takes a random one.
    pub seed: u64,
    /// Which numbers of a tensor are compared. Equal samples in equal formats are always followed by a comparison of all bytes.
    pub sample: Sample,
}

/// Which numbers of a tensor are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// About so many, in rows spread over the tensor.
    About(u64),
    /// All.
    All,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 0x4f73_7472_6f6d, sample: Sample::About(65_536) }
    }
}

/// Why two models cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The system gave an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// The file is not sound, or there are too many.
    #[error("{}: {what}", path.display())]
    Unfit {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A tensor cannot be read.
    #[error("tensor {name}: {what}")]
    Tensor {
        /// Its common name, escaped.
        name: String,
        /// What is wrong.
        what: String,
    },
}

/// What came out for one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TensorVerdict {
    /// The same bytes, all of them compared.
    Identical,
    /// The same numbers, up to rounding to the coarser format.
    Same,
    /// Nearly the same direction: a fine-tune or a merge.
    Similar,
    /// The same numbers in another order, all of them compared.
    Reordered,
    /// More alike than chance allows, less than half.
    Trace,
    /// No more alike than any two tensors.
    Different,
    /// Other shapes, or a format that is not read.
    NotCompared,
}

/// The comparison of one tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TensorComparison {
    /// The common name, escaped.
    pub name: String,
    /// How each model writes it.
    pub formats: [String; 2],
    /// Its extents in the first model, slowest-running first.
    pub shape: Vec<u64>,
    /// Numbers that were compared.
    pub compared: u64,
    /// Cosine of the angle between the numbers, each less their mean. Absent where one side is constant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f64>,
    /// Root mean square of the difference, relative to the first model's numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_error: Option<f64>,
    /// Root mean square of the difference in steps of the two formats; 0.289 (1/√12) where rounding is all there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual: Option<f64>,
    /// What came out.
    pub verdict: TensorVerdict,
    /// What else is to be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
    /// A matrix whose numbers differ among themselves: only such say something about lineage.
    #[serde(skip)]
    pub(crate) telling: bool,
}

/// The comparison of the embedding tables, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Embeddings {
    /// Rows compared.
    pub rows: u64,
    /// Rows with a cosine of at least 0.9.
    pub shared: u64,
    /// The middle one of all rows' cosines.
    pub median_cosine: f64,
}

/// What came out for two models. It does not tell which of the two came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All tensors have the same bytes.
    Identical,
    /// All tensors are the same up to rounding: a quantisation or conversion.
    Same,
    /// Most tensors are similar: one was trained further from the other or merged with others, or both come from one model.
    Derived,
    /// Some tensors are similar, or traces are in most: parts were taken over, or mixed in.
    Partial,
    /// No more alike than any two models.
    Unrelated,
    /// Too little could be compared.
    Undecided,
}

/// The comparison of two models.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// What came out.
    pub verdict: Verdict,
    /// By name.
    pub tensors: Vec<TensorComparison>,
    /// Tensors that only one model has, escaped.
    pub only: [Vec<String>; 2],
    /// The embedding tables, where both have one of the same width.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embeddings: Option<Embeddings>,
    /// Share of parameters (of the smaller model's telling matrices) that could be compared.
    pub coverage: f64,
    /// Share of the compared ones that lie in identical, same, similar or reordered tensors.
    pub alike: f64,
}

/// Compares two models.
///
/// # Errors
/// If a tensor cannot be read.
pub fn compare(a: &Weights, b: &Weights, options: Options) -> Result<Comparison, CompareError> {
    judge::compare(a, b, options)
}

impl Comparison {
    /// Opens and compares two models.
    ///
    /// # Errors
    /// If a file is not sound.
    pub fn of_paths(a: &Path, b: &Path, options: Options) -> Result<Self, CompareError> {
        compare(&Weights::open(a)?, &Weights::open(b)?, options)
    }

    fn count(&self, verdict: TensorVerdict) -> usize {
        self.tensors.iter().filter(|tensor| tensor.verdict == verdict).count()
    }

    /// Tensors with the same numbers, up to rounding.
    fn exact(&self) -> usize {
        self.count(TensorVerdict::Identical) + self.count(TensorVerdict::Same)
    }

    /// The middle cosine of the telling matrices.
    pub fn median_cosine(&self) -> Option<f64> {
        let mut all: Vec<f64> =
            self.tensors.iter().filter(|tensor| tensor.telling).filter_map(|tensor| tensor.cosine).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    }

    /// The largest residual of the tensors that are the same up to rounding.
    pub fn largest_residual(&self) -> Option<f64> {
        let same = self.tensors.iter().filter(|tensor| tensor.verdict == TensorVerdict::Same);
        same.filter_map(|tensor| tensor.residual).max_by(f64::total_cmp)
    }

    /// In a sentence without its full stop.
    pub fn summary(&self) -> String {
        let all = self.tensors.len();
        let cosine = self.median_cosine().map_or(String::new(), |c| format!(", median cosine {c:.4}"));
        match self.verdict {
            Verdict::Identical if all == 1 => "the one tensor has the same bytes".to_owned(),
            Verdict::Identical => format!("all {all} tensors have the same bytes"),
            Verdict::Same => format!(
                "all {all} tensors are the same after rounding ({} in the same bytes{})",
                self.count(TensorVerdict::Identical),
                self.largest_residual()
                    .map_or(String::new(), |r| format!(", at most {r:.2} of a step apart elsewhere"))
            ),
            Verdict::Derived if self.exact() == all => format!(
                "all {all} tensors that both have are the same; {} and {} are in one model only",
                self.only[0].len(),
                self.only[1].len()
            ),
            Verdict::Derived => format!(
                "{:.0} % of the parameters compared are alike{cosine}, {} of {all} tensors the same: fine-tune, merge or \
                 common origin",
                self.alike * 100.0,
                self.exact()
            ),
            Verdict::Partial => format!(
                "{:.0} % of the parameters compared are alike, {} tensors show traces{cosine}",
                self.alike * 100.0,
                self.count(TensorVerdict::Trace)
            ),
            Verdict::Unrelated => format!("no tensor is more alike than chance allows{cosine}"),
            Verdict::Undecided => format!(
                "only {:.0} % of the parameters could be compared: other shapes or formats",
                self.coverage * 100.0
            ),
        }
    }

    /// As the basis of an edge of this relation; `None` if what came out does not show it. A copy has the same bytes; a
    /// quantisation and a conversion have the same numbers up to rounding; and no tensor says which data a model saw.
    pub fn evidence_for(&self, relation: Relation) -> Option<Evidence> {
        let shows = match relation {
            Relation::Copy => self.verdict == Verdict::Identical,
            Relation::Quantisation | Relation::Conversion => {
                matches!(self.verdict, Verdict::Identical | Verdict::Same)
            }
            Relation::FineTune | Relation::Adapter | Relation::Merge => true,
            Relation::TrainedOn => false,
        };
        if shows { self.evidence() } else { None }
    }

    /// As the basis of an edge; `None` if nothing was found that would make one.
    pub fn evidence(&self) -> Option<Evidence> {
        if matches!(self.verdict, Verdict::Unrelated | Verdict::Undecided) {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let number = |n: u64| n as f64;
        let compared = self.tensors.iter().fold(0_u64, |sum, tensor| sum.saturating_add(tensor.compared));
        let mut figures = BTreeMap::from([
            ("tensors".to_owned(), number(self.tensors.len() as u64)),
            ("numbersCompared".to_owned(), number(compared)),
            ("coverage".to_owned(), self.coverage),
            ("alike".to_owned(), self.alike),
        ]);
        let optional = [
            ("medianCosine", self.median_cosine()),
            ("largestResidual", self.largest_residual()),
            ("embeddingMedianCosine", self.embeddings.map(|embeddings| embeddings.median_cosine)),
        ];
        figures.extend(optional.into_iter().filter_map(|(name, figure)| Some((name.to_owned(), figure?))));
        figures.retain(|_, figure| figure.is_finite());
        Some(Evidence { method: Method::TensorComparison, result: self.summary(), figures })
    }
}
