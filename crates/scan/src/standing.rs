//! What is on record against what was scanned.

use ostrom_core::{Finding, Severity};

use crate::Limits;
use crate::examination::Examination;
use crate::lineage::{Artifact, ArtifactError, FileDigest, Graph, inner_folders, is_beside};
use crate::report::Report;
use crate::revocation::{Revocations, Revoked, Standing};

crate::rules::declare! {
    REVOKED = "revoked",
    DESCENDS = "descends-from-revoked",
    SUSPECTED = "revocation-by-unknown-key",
    RECORDS = "record-unusable",
}

/// Adds to a report what the records say against the files in it, taken together (as `name`, a folder or a single file), folder
/// by folder, and one by one. The report must have been made with digests. A file without one could not be read, which the report says.
///
/// # Errors
/// If the paths make no folder.
pub fn judge(
    report: &mut Report,
    name: &str,
    is_folder: bool,
    graph: &Graph,
    revocations: &Revocations,
) -> Result<(), ArtifactError> {
    let mut files: Vec<FileDigest> = report
        .files
        .iter()
        .filter_map(|file| {
            Some(FileDigest { path: file.path.clone(), size: file.size, sha256: file.sha256? })
        })
        .collect();
    let mut found = Vec::new();
    if is_folder {
        // A model may lie in a folder within, and `.git` of another folder is no version control of this one.
        for (path, digest) in inner_folders(&files) {
            found.extend(finding(&path, &revocations.standing(graph, &[digest])));
        }
        files.retain(|file| !is_beside(&file.path));
        if !files.is_empty() {
            let whole = Artifact::of_files(name.to_owned(), files, Vec::new())?;
            found.extend(finding(name, &revocations.standing(graph, &[whole.digest])));
        }
    }
    // What is not part of the artifact is there all the same: a name like a signature's hides nothing.
    for (path, digest) in report.files.iter().filter_map(|file| Some((&file.path, file.sha256?))) {
        found.extend(finding(path, &revocations.standing(graph, &[digest])));
    }
    for problem in revocations.problems().iter().chain(graph.problems()) {
        found.extend(one(name, RECORDS, None, &format!("{}: {}", problem.name, problem.what)));
    }
    found.sort();
    found.dedup();
    report.folder.extend(found);
    Ok(())
}

fn finding(place: &str, standing: &Standing) -> Vec<Finding> {
    let say = |revoked: &Revoked| {
        let instead = match &revoked.replacement {
            Some((name, digest)) => format!("; use {name} (sha256:{digest}) instead"),
            None => String::new(),
        };
        format!("{} (sha256:{}): {}{instead}", revoked.name, revoked.digest.short(), revoked.reason)
    };
    match standing {
        Standing::Clear => Vec::new(),
        Standing::Revoked(revoked) => one(place, REVOKED, Some(revoked.severity), &say(revoked)),
        Standing::Affected(revoked, chain) => {
            let steps =
                if chain.len() == 1 { "one step".to_owned() } else { format!("{} steps", chain.len()) };
            let what = format!("{steps} from {}", say(revoked));
            one(place, DESCENDS, Some(revoked.severity), &what)
        }
        Standing::Suspected(revoked, _) => one(place, SUSPECTED, None, &say(revoked)),
    }
}

fn one(place: &str, id: &str, severity: Option<Severity>, what: &str) -> Vec<Finding> {
    let limits = Limits::default();
    let mut scan = Examination::new(&limits, place);
    match severity {
        Some(severity) => scan.report_as(severity, id, None, what),
        None => scan.report(id, None, what),
    }
    scan.end().findings
}

#[cfg(test)]
mod tests {
    use ostrom_core::Digest;
    use ostrom_trust::{Envelope, SecretKey};

    use super::*;
    use crate::lineage::{Basis, Lineage, Relation, Store, folder_digest};
    use crate::report::FileReport;
    use crate::revocation::Revocation;

    fn file(path: &str, content: &[u8]) -> FileReport {
        FileReport {
            path: path.to_owned(),
            size: content.len() as u64,
            sha256: Some(Digest::of(content)),
            formats: Vec::new(),
            findings: Vec::new(),
            unkept: 0,
        }
    }

    /// The findings for a folder of three files, of which a trusted key (or another) has said something.
    fn check(revoked: &[u8], edge: Option<(&[u8], &[u8])>, trusted: bool) -> Vec<(String, String, Severity)> {
        check_digest(Digest::of(revoked), edge, trusted)
    }

    fn check_digest(
        revoked: Digest,
        edge: Option<(&[u8], &[u8])>,
        trusted: bool,
    ) -> Vec<(String, String, Severity)> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let key = SecretKey::generate().unwrap();
        let revocation = Revocation {
            artifacts: vec![("bad".to_owned(), revoked)],
            reason: "poisoned".to_owned(),
            severity: Severity::High,
            replacement: None,
            recorded_unix: 0,
        };
        store.add(&Envelope::sign(&revocation.to_statement().unwrap(), &key).unwrap()).unwrap();
        if let Some((child, parent)) = edge {
            let lineage = Lineage {
                children: vec![("child".to_owned(), Digest::of(child))],
                parents: vec![("parent".to_owned(), Digest::of(parent))],
                relation: Relation::FineTune,
                basis: Basis::signer_says(),
                recorded_unix: 0,
            };
            store.add(&Envelope::sign(&lineage.to_statement().unwrap(), &key).unwrap()).unwrap();
        }
        let keys = if trusted { vec![key.public()] } else { Vec::new() };
        let records = store.load(&keys).unwrap();
        let files = vec![file("a", b"a"), file("model.sig", b"s"), file("sub/model/w", b"w")];
        let mut report = Report { files, folder: Vec::new() };
        judge(&mut report, "folder", true, &Graph::new(&records).unwrap(), &Revocations::new(&records))
            .unwrap();
        report.folder.into_iter().map(|f| (f.place, f.rule.to_string(), f.severity)).collect()
    }

    fn said(place: &str, rule: &str, severity: Severity) -> Vec<(String, String, Severity)> {
        vec![(place.to_owned(), rule.to_owned(), severity)]
    }

    #[test]
    fn revocations_reach_files_and_what_descends() {
        assert_eq!(check(b"a", None, true), said("a", "revoked", Severity::High));
        assert_eq!(check(b"x", Some((b"a", b"x")), true), said("a", "descends-from-revoked", Severity::High));
        assert_eq!(check(b"x", None, true), []);
        assert_eq!(check(b"a", None, false), said("a", "revocation-by-unknown-key", Severity::Medium));
        // A signature is not part of the model, but a revoked file may bear its name.
        assert_eq!(check(b"s", None, true), said("model.sig", "revoked", Severity::High));
    }

    #[test]
    fn a_revoked_folder_is_found_within_another() {
        let model = folder_digest([("w", Digest::of(b"w"))]).unwrap();
        assert_eq!(check_digest(model, None, true), said("sub/model", "revoked", Severity::High));
        let outer = folder_digest([("model/w", Digest::of(b"w"))]).unwrap();
        assert_eq!(check_digest(outer, None, true), said("sub", "revoked", Severity::High));
        let whole = folder_digest([("a", Digest::of(b"a")), ("sub/model/w", Digest::of(b"w"))]).unwrap();
        assert_eq!(check_digest(whole, None, true), said("folder", "revoked", Severity::High));
    }
}
