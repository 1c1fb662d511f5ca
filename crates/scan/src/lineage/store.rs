//! A folder of signed statements, one file each, named by digest.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ostrom_core::Digest;
use ostrom_trust::{CanonicalError, Envelope, PublicKey};

use super::record::{MAX_RECORD, Record};
use crate::examination::escape;

/// Beginning of the names of files that are being written.
const UNFINISHED: &str = ".new-";
/// More than anybody keeps.
const MAX_RECORDS: usize = 200_000;

/// The place of the records.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// What was read from a store.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// Sound records by id, those of unknown signers among them.
    pub records: Vec<Record>,
    /// What lies there and could not be used. Any of it may have been a revocation.
    pub problems: Vec<Problem>,
}

/// A file that is not a sound record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name, escaped.
    pub name: String,
    /// What is wrong with it.
    pub what: String,
}

/// Why a store cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system gave an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Too many files.
    #[error("{}: more than {MAX_RECORDS} files", .0.display())]
    TooMany(PathBuf),
    /// Too many edges in all lineage records together.
    #[error("the records have more than {0} edges")]
    TooManyEdges(usize),
    /// The record is longer than would be read again.
    #[error("the statement is longer than {MAX_RECORD} bytes")]
    TooLong,
    /// The envelope cannot be written.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl Store {
    /// The store in `folder`, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a record so that it is there wholly or not at all, and on the disk when this returns. Gives its id.
    ///
    /// # Errors
    /// If it cannot be written, or is too long to be read again.
    pub fn add(&self, envelope: &Envelope) -> Result<Digest, StoreError> {
        let bytes = envelope.to_json()?;
        if bytes.len() > MAX_RECORD {
            return Err(StoreError::TooLong);
        }
        let id = Digest::of(&bytes);
        let path = self.folder.join(format!("{id}.json"));
        self.write(&path, &bytes).map_err(|source| StoreError::Io { path, source })?;
        Ok(id)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        // A record of this name has this content, so replacing it changes nothing.
        file.persist(path).map_err(|error| error.error)?;
        #[cfg(unix)]
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// Reads all records. A folder that does not exist has none.
    ///
    /// # Errors
    /// If the folder cannot be read. A single file that cannot be read is a [`Problem`].
    pub fn load(&self, trusted: &[PublicKey]) -> Result<Records, StoreError> {
        let fail = |source| StoreError::Io { path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Records::default()),
            entries => entries.map_err(fail)?,
        };
        let mut found = Records::default();
        for (count, entry) in entries.enumerate() {
            if count >= MAX_RECORDS {
                return Err(StoreError::TooMany(self.folder.clone()));
            }
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(UNFINISHED) {
                continue;
            }
            match read(&entry.path(), &name, trusted) {
                Ok(record) => found.records.push(record),
                Err(what) => found.problems.push(Problem { name: escape(&name, 200), what }),
            }
        }
        found.records.sort_by_key(|record| record.id);
        found.problems.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

fn read(path: &Path, name: &str, trusted: &[PublicKey]) -> Result<Record, String> {
    let named: Digest = name
        .strip_suffix(".json")
        .and_then(|stem| stem.parse().ok())
        .ok_or("not named as records are (SHA-256.json)")?;
    let metadata = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_RECORD as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    let record = Record::from_slice(&bytes, trusted).map_err(|error| escape(&error.to_string(), 500))?;
    if record.id != named {
        return Err("its content does not have the digest that it is named by: it was changed".to_owned());
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use ostrom_trust::SecretKey;

    use super::*;
    use crate::lineage::Relation;
    use crate::lineage::edge::tests::edge;

    #[test]
    fn records_come_back_as_they_were_written() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(place.path().join("data/lineage"));
        assert!(store.load(&[]).unwrap().records.is_empty());
        let key = SecretKey::generate().unwrap();
        let statement = edge("a", "b", Relation::FineTune).to_statement().unwrap();
        let envelope = Envelope::sign(&statement, &key).unwrap();
        let id = store.add(&envelope).unwrap();
        assert_eq!(store.add(&envelope).unwrap(), id, "writing twice is one record");
        let read = store.load(&[key.public()]).unwrap();
        assert_eq!((read.records.len(), read.problems.len()), (1, 0));
        assert_eq!((read.records[0].id, &read.records[0].statement), (id, &statement));
        let names: Vec<_> = fs::read_dir(store.folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [std::ffi::OsString::from(format!("{id}.json"))]);
    }

    #[test]
    fn broken_files_are_reported_and_do_not_hide_the_others() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(place.path());
        let key = SecretKey::generate().unwrap();
        let sign = |name: &str| {
            Envelope::sign(&edge(name, "b", Relation::FineTune).to_statement().unwrap(), &key).unwrap()
        };
        store.add(&sign("good")).unwrap();
        let cut = store.add(&sign("cut")).unwrap();
        let path = place.path().join(format!("{cut}.json"));
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        // A whole record under the name of another.
        fs::write(place.path().join(format!("{}.json", Digest::of(b"x"))), &bytes).unwrap();
        fs::write(place.path().join("notes.txt"), "hello").unwrap();
        fs::create_dir(place.path().join(format!("{}.json", Digest::of(b"y")))).unwrap();
        fs::write(place.path().join(".new-abc"), "half a rec").unwrap();
        let large = format!("{}.json", Digest::of(b"z"));
        fs::write(place.path().join(large), vec![b' '; MAX_RECORD + 1]).unwrap();
        let read = store.load(&[key.public()]).unwrap();
        assert_eq!(read.records.len(), 1);
        assert_eq!(read.problems.len(), 5, "{:?}", read.problems);
    }
}
