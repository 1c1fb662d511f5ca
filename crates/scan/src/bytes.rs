//! Bytes that are in memory already.

use crate::Limits;
use crate::examination::{Examination, Outcome, escape};
use crate::report::FileReport;
use crate::source::View;

/// Examines `bytes` as a file of this name: an upload that was never written down, a file out of somebody else's archive.
/// The name is a hint only, as it is in [`crate::scan`]; no file is read. What only a folder as a whole shows is not looked
/// for.
pub fn scan_bytes(name: &str, bytes: Vec<u8>, limits: &Limits) -> FileReport {
    let view = View::new(bytes);
    let Outcome { findings, unkept, formats, facts: _ } = Examination::run(limits, name, &view);
    FileReport {
        path: escape(name, 1024),
        size: view.len(),
        sha256: None,
        formats: formats.into_iter().map(str::to_owned).collect(),
        findings,
        unkept,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Options, scan};

    const PICKLE: &[u8] = b"\x80\x04cos\nsystem\n(S'true'\ntR.";

    #[test]
    fn bytes_in_memory_are_found_to_be_what_the_same_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pkl");
        fs::write(&path, PICKLE).unwrap();
        let files = scan(&path, &Options::default(), &()).unwrap().files;
        let report = scan_bytes("model.pkl", PICKLE.to_vec(), &Limits::default());
        assert_eq!(files, [report.clone()]);
        assert_eq!(report.formats, ["pickle"]);
        assert!(report.findings.iter().any(|finding| finding.severity == ostrom_core::Severity::Critical));
    }

    #[test]
    fn a_name_from_a_stranger_is_escaped() {
        let report = scan_bytes("a\u{202e}b\x1b.bin", PICKLE.to_vec(), &Limits::default());
        assert_eq!(report.path, "a\\u{202e}b\\u{1b}.bin");
        assert!(report.findings.iter().all(|finding| finding.place.starts_with(&report.path)));
    }
}
