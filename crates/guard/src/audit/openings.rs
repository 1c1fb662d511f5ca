//! What opens the commitments of a log. Deleting a file here redacts; the log stays whole.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostrom_core::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::AuditError;
use crate::gateway::commitment;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    salt: String,
    values: Map<String, Value>,
}

/// Writes openings, a file a day.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    day: u64,
    file: Option<File>,
}

impl Writer {
    /// Into `folder`; files older than `keep_days` are deleted.
    pub(super) fn new(folder: &Path, keep_days: Option<u64>, now: u64) -> Result<Self, AuditError> {
        let folder = folder.join("openings");
        let error = |source| AuditError::File { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(error)?;
        if let Some(days) = keep_days {
            let oldest = date((now / 86_400).saturating_sub(days));
            for entry in std::fs::read_dir(&folder).map_err(error)?.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.ends_with(".jsonl") && name.as_str() < oldest.as_str() {
                    std::fs::remove_file(entry.path()).map_err(error)?;
                }
            }
        }
        Ok(Self { folder, day: 0, file: None })
    }

    pub(super) fn write(&mut self, line: &[u8], now: u64) -> std::io::Result<()> {
        let day = now / 86_400;
        if self.file.is_none() || self.day != day {
            let path = self.folder.join(format!("{}.jsonl", date(day)));
            let cut = is_cut(&path)?;
            let mut file = private().open(path)?;
            if cut {
                file.write_all(b"\n")?;
            }
            self.file = Some(file);
            self.day = day;
        }
        // One write, so that two guards, or a crash, leave whole lines or a last one that is cut.
        let written = match &mut self.file {
            Some(file) => file.write_all(line),
            None => Err(std::io::Error::other("no file of openings")),
        };
        if written.is_err() {
            // Half a line may be there: the next one looks.
            self.file = None;
        }
        written
    }
}

/// Whether a file ends within a line, as a crash or a full disk leaves it. A line written behind that would be lost with it.
fn is_cut(path: &Path) -> std::io::Result<bool> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// What opens commitments is for the guard's owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// `YYYY-MM-DD` of a day since 1970 (Howard Hinnant's `civil_from_days`).
pub(super) fn date(day: u64) -> String {
    let z = day.saturating_add(719_468);
    let era = z / 146_097;
    let of_era = z % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Values by their commitments.
#[derive(Debug, Default)]
pub struct Openings(HashMap<Digest, (String, Value)>);

impl Openings {
    /// Reads the openings beside the log in `folder`. Lines that open nothing are skipped: they prove nothing either way.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(folder: &Path) -> Result<Self, AuditError> {
        Self::read_if(folder, "", |_| true)
    }

    /// The same, of these commitments only, in files of days from `since` on.
    pub(super) fn of(folder: &Path, wanted: &HashSet<Digest>, since: u64) -> Result<Self, AuditError> {
        Self::read_if(folder, &date(since / 86_400), |commitment| wanted.contains(commitment))
    }

    fn read_if(folder: &Path, from: &str, wanted: impl Fn(&Digest) -> bool) -> Result<Self, AuditError> {
        let folder = folder.join("openings");
        let error = |source| AuditError::File { path: folder.clone(), source };
        let mut values = HashMap::new();
        if !folder.exists() {
            return Ok(Self::default());
        }
        for entry in std::fs::read_dir(&folder).map_err(error)?.flatten() {
            if entry.file_name().to_string_lossy().as_ref() < from {
                continue;
            }
            // Lines of bytes: one that was cut within a character is no text.
            for line in BufReader::new(File::open(entry.path()).map_err(error)?).split(b'\n') {
                let Ok(line) = serde_json::from_slice::<Line>(&line.map_err(error)?) else { continue };
                let Ok(salt) = STANDARD.decode(&line.salt) else { continue };
                for (name, value) in line.values {
                    let commitment = commitment(&salt, &name, &value);
                    if wanted(&commitment) {
                        values.insert(commitment, (name, value));
                    }
                }
            }
        }
        Ok(Self(values))
    }

    /// The value that was committed to, if it is still there.
    #[must_use]
    pub fn get(&self, commitment: &Digest) -> Option<&Value> {
        self.0.get(commitment).map(|(_, value)| value)
    }

    /// The same, with the name of the part that it is.
    #[must_use]
    pub fn named(&self, commitment: &Digest) -> Option<(&str, &Value)> {
        self.0.get(commitment).map(|(name, value)| (name.as_str(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date(20_454), "2026-01-01");
    }

    #[test]
    fn what_was_cut_off_takes_nothing_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let keep = |value: &str| {
            let (salt, value) = ([7; 32], Value::from(value));
            let values = Map::from_iter([("to".to_owned(), value.clone())]);
            let mut line = serde_json::to_vec(&Line { salt: STANDARD.encode(salt), values }).unwrap();
            line.push(b'\n');
            Writer::new(folder.path(), None, 0).unwrap().write(&line, 0).unwrap();
            commitment(&salt, "to", &value)
        };
        let first = keep("ana");
        // A crash, or a full disk, in the middle of a character.
        let path = folder.path().join("openings").join(format!("{}.jsonl", date(0)));
        private().open(&path).unwrap().write_all(b"{\"salt\":\"\xc3").unwrap();
        let second = keep("bo");
        let openings = Openings::read(folder.path()).unwrap();
        assert_eq!(openings.get(&first), Some(&Value::from("ana")));
        assert_eq!(openings.get(&second), Some(&Value::from("bo")));
    }
}
