//! Unpacked bytes: in memory up to a bound, beyond it in a temporary file that has no name.

use std::fs::File;
use std::io::{self, Write as _};

use flate2::Crc;

use crate::examination::Examination;
use crate::source::{OpenFile, View};
use crate::trouble::Trouble;

/// How many unpacked bytes stay in memory. One spill is open for each container on the way down to where the examination
/// is, so this times `Limits::depth` bounds what all of them hold.
const MEMORY: usize = 8 << 20;

/// Takes bytes as they are unpacked, each charged to the file's budget, and gives them back as a [`View`].
#[derive(Default)]
pub(crate) struct Spill {
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
    sum: Crc,
}

impl Spill {
    /// The CRC-32 of what was taken since it was last asked for; gzip has one for each of its members.
    pub(crate) fn take_sum(&mut self) -> u32 {
        let sum = self.sum.sum();
        self.sum.reset();
        sum
    }

    /// How many bytes it holds.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// If the file's budget is used up, or the temporary file cannot be written (a full disk). What was taken before
    /// stays.
    pub(crate) fn write(&mut self, bytes: &[u8], scan: &mut Examination<'_>) -> Result<(), Trouble> {
        scan.write(bytes.len() as u64)?;
        if self.file.is_none() && self.memory.len().saturating_add(bytes.len()) > MEMORY {
            let mut file = tempfile::tempfile().map_err(|error| cannot_keep(&error))?;
            file.write_all(&self.memory).map_err(|error| cannot_keep(&error))?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(|error| cannot_keep(&error))?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.sum.update(bytes);
        self.len = self.len.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// All that was taken.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(crate) fn finish(self) -> Result<View, Trouble> {
        let view = match self.file {
            Some(file) => View::new(OpenFile::new(file).map_err(|error| cannot_keep(&error))?),
            None => View::new(self.memory),
        };
        // A write that failed half-way may have left more in the file than was counted.
        view.part(0, self.len).ok_or(Trouble::Changed)
    }
}

fn cannot_keep(error: &io::Error) -> Trouble {
    Trouble::Read(io::Error::new(
        error.kind(),
        format!(
            "a temporary file for unpacked bytes failed ({error}): make room in {}, or name another folder with TMPDIR",
            std::env::temp_dir().display()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn what_is_taken_comes_back_from_memory_and_from_a_file() {
        for size in [0, 10, MEMORY, MEMORY + 1, 3 * MEMORY] {
            let limits = Limits::default();
            let mut scan = Examination::new(&limits, "x");
            let mut spill = Spill::default();
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            for chunk in bytes.chunks(100_000) {
                spill.write(chunk, &mut scan).unwrap();
            }
            assert!(spill.memory.len() <= MEMORY);
            assert_eq!(spill.file.is_some(), size > MEMORY);
            let view = spill.finish().unwrap();
            assert_eq!(view.bytes(0, size + 1).unwrap(), bytes);
        }
    }

    #[test]
    fn whoever_has_no_room_is_told_where_it_is_needed() {
        let said = cannot_keep(&io::ErrorKind::StorageFull.into()).to_string();
        let folder = std::env::temp_dir();
        assert!(said.contains("TMPDIR") && said.contains(&*folder.to_string_lossy()), "{said}");
    }

    #[test]
    fn the_budget_holds() {
        let limits = Limits { unpacked: 100, ..Limits::default() };
        let mut scan = Examination::new(&limits, "x");
        let mut spill = Spill::default();
        spill.write(&[0; 100], &mut scan).unwrap();
        assert!(matches!(spill.write(&[0; 1], &mut scan), Err(Trouble::Limit(_))));
        assert_eq!(spill.len(), 100);
    }
}
