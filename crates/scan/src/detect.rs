//! Which formats the bytes are in. Content decides; the name only says what a loader would make of bytes that have no
//! mark of their own.

use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;
use crate::{archive, data, graph, keras, pickle, rules, tensor, text};

/// How many bytes from the beginning detection looks at.
const HEAD: usize = 4096;

/// One format: what it is called, how it is known, and who examines it.
pub(crate) struct Format {
    /// For people, and for passports: `pickle`, `zip`, `safetensors`.
    pub(crate) name: &'static str,
    pub(crate) detect: fn(probe: &Probe<'_>) -> Result<Match, Trouble>,
    pub(crate) examine: fn(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble>,
}

/// What detection goes by.
pub(crate) struct Probe<'a> {
    /// The first bytes, at most 4,096.
    pub(crate) head: &'a [u8],
    /// All bytes, for marks that lie elsewhere.
    pub(crate) view: &'a View,
    /// The name of the file or member, with its folders.
    pub(crate) name: &'a str,
    /// Whether it is known that somebody loads the bytes, as a pickle if they are nothing else.
    pub(crate) loaded: bool,
}

impl Probe<'_> {
    /// The name's last extension in lower case, without the dot.
    pub(crate) fn extension(&self) -> String {
        let name = self.name.rsplit(['/', '\\']).next().unwrap_or_default();
        name.rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.to_ascii_lowercase())
    }
}

/// How sure it is that the bytes are of a format. Whatever matches is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// They are not.
    No,
    /// A loader of the format would take them, and so may others: text, or a format without a mark.
    Weak,
    /// They carry its mark. Two of these are a polyglot.
    Strong,
}

impl From<bool> for Match {
    fn from(is: bool) -> Self {
        if is { Self::Strong } else { Self::No }
    }
}

const FORMATS: [&[Format]; 7] = [
    pickle::FORMATS,
    archive::FORMATS,
    tensor::FORMATS,
    graph::FORMATS,
    keras::FORMATS,
    text::FORMATS,
    data::FORMATS,
];

/// Extensions under which loaders look for models. What has one is not taken for just a text.
pub(crate) const MODEL_EXTENSIONS: [&str; 32] = [
    "bin",
    "ckpt",
    "data",
    "dill",
    "dump",
    "ggml",
    "gguf",
    "h5",
    "hdf5",
    "joblib",
    "keras",
    "mar",
    "model",
    "msgpack",
    "npy",
    "npz",
    "onnx",
    "ot",
    "pb",
    "pickle",
    "pkl",
    "pt",
    "pt2",
    "pth",
    "ptl",
    "rda",
    "rdata",
    "rds",
    "safetensors",
    "skops",
    "t7",
    "tflite",
];

/// Examines bytes in every format that they are in.
pub(crate) fn examine(view: &View, scan: &mut Examination<'_>) {
    let result = try_examine(view, scan, None);
    scan.settle(result);
}

/// Examines bytes in those formats that are named, as far as they are in them.
pub(crate) fn examine_as(formats: &[&str], view: &View, scan: &mut Examination<'_>) {
    let result = try_examine(view, scan, Some(formats));
    scan.settle(result);
}

fn try_examine(view: &View, scan: &mut Examination<'_>, only: Option<&[&str]>) -> Result<(), Trouble> {
    let head = view.bytes(0, HEAD)?;
    let name = scan.name().to_owned();
    let probe = Probe { head: &head, view, name: &name, loaded: scan.is_loaded() };
    let mut found = Vec::new();
    let wanted = |format: &&Format| only.is_none_or(|only| only.contains(&format.name));
    for format in FORMATS.into_iter().flatten().filter(wanted) {
        match (format.detect)(&probe)? {
            Match::No => {}
            sure => found.push((format, sure)),
        }
    }
    let strong: Vec<_> =
        found.iter().filter(|(_, sure)| *sure == Match::Strong).map(|(format, _)| format.name).collect();
    if strong.len() > 1 {
        scan.report(rules::POLYGLOT, None, format!("is {} at once", strong.join(" and ")));
    }
    let loads = |format: &Format| {
        [pickle::FORMATS, archive::FORMATS].into_iter().flatten().any(|known| known.name == format.name)
    };
    if found.iter().any(|(format, _)| loads(format)) {
        scan.loads();
    }
    if found.is_empty() && view.len() > 0 && only.is_none() && !scan.is_raw() {
        let what = format!("{} bytes in no known format, not examined", view.len());
        scan.report(if scan.is_in_git() { rules::GIT_STORE } else { rules::UNKNOWN }, None, what);
    }
    // What is in another format too is examined as that.
    if !found.is_empty() && found.iter().all(|(format, _)| text::is_told_by_its_beginning(format.name)) {
        let result = text::check_the_rest(view, scan);
        scan.settle(result);
    }
    for (format, _) in found {
        scan.is(format.name);
        let result = (format.examine)(view, scan);
        scan.settle(result);
    }
    Ok(())
}
