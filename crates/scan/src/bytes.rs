//! Bytes that are in memory already.

use crate::Limits;
use crate::detect;
use crate::examination::{Examination, Outcome, escape};
use crate::report::FileReport;
use crate::source::View;

/// Examines `bytes` as a file of this name: an upload that was never written down, a file out of somebody else's archive.
/// The name is a hint only, as it is in [`crate::scan`]; no file is read. What only a folder as a whole shows is not looked
/// for.
pub fn scan_bytes(name: &str, bytes: Vec<u8>, limits: &Limits) -> FileReport {
    let view = View::new(bytes);
    report(name, &view, Examination::run(limits, name, &view))
}

/// The same, looking only for the formats named, as [`FileReport::formats`] names them; members and unpacked streams are
/// examined in every format. For whoever knows how the bytes will be loaded, and for fuzzing one parser. The report says
/// nothing of what other loaders make of the bytes: an empty [`FileReport::formats`] is not a clean file.
pub fn scan_bytes_as(formats: &[&str], name: &str, bytes: Vec<u8>, limits: &Limits) -> FileReport {
    let view = View::new(bytes);
    let mut scan = Examination::of(limits, name, &view);
    detect::examine_as(formats, &view, &mut scan);
    report(name, &view, scan.end())
}

fn report(name: &str, view: &View, outcome: Outcome) -> FileReport {
    let Outcome { findings, unkept, formats, facts: _ } = outcome;
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
        assert_eq!(files, std::slice::from_ref(&report));
        assert_eq!(report.formats, ["pickle"]);
        assert!(report.findings.iter().any(|finding| finding.severity == ostrom_core::Severity::Critical));
    }

    #[test]
    fn a_name_from_a_stranger_is_escaped() {
        let report = scan_bytes("a\u{202e}b\x1b.bin", PICKLE.to_vec(), &Limits::default());
        assert_eq!(report.path, "a\\u{202e}b\\u{1b}.bin");
        assert!(report.findings.iter().all(|finding| finding.place.starts_with(&report.path)));
    }

    #[test]
    fn only_the_formats_that_are_asked_for_are_looked_for() {
        // A gzip stream with a pickle in it: what lies inside is examined in every format.
        use std::io::Write as _;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(PICKLE).unwrap();
        let packed = packed.finish().unwrap();
        let scan = |formats: &[&str]| {
            scan_bytes_as(formats, "model.pkl.gz", packed.clone(), &Limits::default()).formats
        };
        assert_eq!(scan(&["gzip"]), ["gzip", "pickle"]);
        assert!(scan(&["zip", "hdf5"]).is_empty());
    }
}
