//! Bytes to examine, read where and when they are needed: a file, a member of a container, an unpacked stream.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use crate::trouble::Trouble;

/// Bytes that can be read at any place.
pub(crate) trait Source: Send + Sync {
    /// How many there are.
    fn len(&self) -> u64;

    /// Reads some bytes at `offset` into `buffer` and says how many; 0 only at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Source for Vec<u8> {
    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
}

/// A file, as long as it was when it was opened.
pub(crate) struct OpenFile {
    file: File,
    len: u64,
}

impl OpenFile {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }
}

/// Whether a file that says it is empty gives bytes all the same.
pub(crate) fn has_more(file: &File) -> io::Result<bool> {
    let mut byte = [0];
    let mut file = file;
    Ok(file.read(&mut byte)? > 0)
}

impl Source for OpenFile {
    fn len(&self) -> u64 {
        self.len
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.file, buffer, offset)
    }
}

/// A stretch of a source. Cheap to copy and to cut.
#[derive(Clone)]
pub(crate) struct View {
    source: Arc<dyn Source>,
    start: u64,
    len: u64,
}

impl View {
    /// All of `source`.
    pub(crate) fn new(source: impl Source + 'static) -> Self {
        let len = source.len();
        Self { source: Arc::new(source), start: 0, len }
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The part of `len` bytes at `offset`; `None` if any of it lies outside.
    pub(crate) fn part(&self, offset: u64, len: u64) -> Option<Self> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then(|| Self { source: Arc::clone(&self.source), start: self.start + offset, len })
    }

    /// Reads some bytes at `offset`, as [`Source::read_at`].
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        match buffer.get_mut(..count) {
            Some(buffer) if count > 0 => self.source.read_at(self.start + offset, buffer),
            _ => Ok(0),
        }
    }

    /// Up to `len` bytes at `offset`: fewer only where the view ends. Allocates no more than there is.
    ///
    /// # Errors
    /// If they cannot be read, or the file has become shorter since it was opened.
    pub(crate) fn bytes(&self, offset: u64, len: usize) -> Result<Vec<u8>, Trouble> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(left)];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(offset + filled as u64, rest) {
                Ok(0) => return Err(Trouble::Changed),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::Read(error)),
            }
        }
        Ok(bytes)
    }

    /// Exactly `len` bytes at `offset`.
    ///
    /// # Errors
    /// [`Trouble::Malformed`] if the view ends before, and as [`View::bytes`].
    pub(crate) fn exactly(&self, offset: u64, len: usize) -> Result<Vec<u8>, Trouble> {
        let bytes = self.bytes(offset, len)?;
        if bytes.len() < len {
            return Err(Trouble::malformed(offset, format!("ends {} bytes early", len - bytes.len())));
        }
        Ok(bytes)
    }

    /// A reader from the beginning. Wrap it in a buffer for small reads.
    pub(crate) fn reader(&self) -> ViewReader {
        ViewReader { view: self.clone(), position: 0 }
    }
}

/// Reads a view from its beginning to its end; an early end is an error, not an end.
pub(crate) struct ViewReader {
    view: View,
    position: u64,
}

impl Read for ViewReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.view.read_at(self.position, buffer)?;
        if count == 0 && self.position < self.view.len && !buffer.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was read",
            ));
        }
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stay_inside() {
        let view = View::new(b"0123456789".to_vec());
        let part = view.part(2, 5).unwrap();
        assert_eq!(part.bytes(0, 100).unwrap(), b"23456");
        assert_eq!(part.part(1, 2).unwrap().exactly(0, 2).unwrap(), b"34");
        assert!(part.part(1, 5).is_none() && part.part(u64::MAX, 2).is_none());
        assert!(part.exactly(3, 3).is_err());
        assert!(part.bytes(9, 3).unwrap().is_empty());
        let mut all = String::new();
        part.reader().read_to_string(&mut all).unwrap();
        assert_eq!(all, "23456");
    }

    #[test]
    fn a_file_that_shrinks_is_noticed() {
        use std::io::Write as _;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 100]).unwrap();
        let view = View::new(OpenFile::new(file.try_clone().unwrap()).unwrap());
        file.set_len(50).unwrap();
        assert_eq!(view.bytes(0, 50).unwrap().len(), 50);
        assert!(matches!(view.bytes(0, 100), Err(Trouble::Changed)));
        assert!(view.reader().read_to_end(&mut Vec::new()).is_err());
    }
}
