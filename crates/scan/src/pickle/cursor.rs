//! Reads opcodes and their arguments through a window onto the bytes; long strings are stepped over, not read.

use crate::source::View;
use crate::trouble::Trouble;

/// How much is read at once.
const WINDOW: usize = 256 << 10;

/// The longest line that is an argument of an import; longer ones name nothing that can be imported.
pub(crate) const MAX_NAME: usize = 4096;

/// A place in the bytes, from which they are read on.
#[derive(Clone)]
pub(crate) struct Cursor {
    view: View,
    window: Vec<u8>,
    /// Where the window begins.
    base: u64,
    /// Where in the window the next byte is; never past its end.
    at: usize,
}

/// A line of text in the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) start: u64,
    /// Without what ends it. Where the file ends first, loaders drop its last byte all the same.
    pub(crate) len: u64,
}

impl Cursor {
    pub(crate) fn new(view: View, position: u64) -> Self {
        Self { view, window: Vec::new(), base: position, at: 0 }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn position(&self) -> u64 {
        self.base.saturating_add(self.at as u64)
    }

    pub(crate) fn left(&self) -> u64 {
        self.view.len().saturating_sub(self.position())
    }

    /// Makes at least `count` bytes available in the window, where there are so many.
    #[cold]
    fn refill(&mut self, count: usize) -> Result<(), Trouble> {
        let position = self.position();
        self.window = self.view.bytes(position, WINDOW.max(count))?;
        self.base = position;
        self.at = 0;
        Ok(())
    }

    /// The next byte; `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<u8>, Trouble> {
        if let Some(byte) = self.window.get(self.at) {
            self.at += 1;
            return Ok(Some(*byte));
        }
        self.refill(1)?;
        let byte = self.window.first().copied();
        self.at += usize::from(byte.is_some());
        Ok(byte)
    }

    /// The next `N` bytes.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Trouble> {
        for _ in 0..2 {
            if let Some(bytes) = self.window.get(self.at..).and_then(|rest| rest.first_chunk::<N>()) {
                self.at += N;
                return Ok(*bytes);
            }
            self.refill(N)?;
        }
        Err(self.early_end())
    }

    fn early_end(&self) -> Trouble {
        Trouble::malformed(self.position(), "the pickle ends within an opcode")
    }

    /// The next bytes without going on: up to `count` of them, at most a window.
    pub(crate) fn peek(&mut self, count: usize) -> Result<&[u8], Trouble> {
        let count = count.min(WINDOW);
        let ends = self.base.saturating_add(self.window.len() as u64) >= self.view.len();
        if (self.window.is_empty() || !ends) && self.window.len().saturating_sub(self.at) < count {
            self.refill(count)?;
        }
        let rest = self.window.get(self.at..).unwrap_or_default();
        Ok(rest.get(..count).unwrap_or(rest))
    }

    /// Goes on by `count` bytes without reading them.
    #[inline]
    pub(crate) fn skip(&mut self, count: u64) -> Result<(), Trouble> {
        if let Ok(small) = usize::try_from(count)
            && small <= self.window.len().saturating_sub(self.at)
        {
            self.at += small;
            return Ok(());
        }
        if count > self.left() {
            return Err(self.early_end());
        }
        let position = self.position();
        self.window.clear();
        self.at = 0;
        self.base = position.saturating_add(count);
        Ok(())
    }

    /// Goes past the next line.
    pub(crate) fn line(&mut self) -> Result<Line, Trouble> {
        let start = self.position();
        loop {
            let rest = self.window.get(self.at..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                self.at += end + 1;
                let len = self.position().saturating_sub(start).saturating_sub(1);
                return Ok(Line { start, len });
            }
            self.at += rest.len();
            self.refill(1)?;
            if self.window.is_empty() {
                let len = self.position().saturating_sub(start);
                if len < 2 {
                    return Err(self.early_end());
                }
                return Ok(Line { start, len: len - 1 });
            }
        }
    }

    /// The bytes of a line or string that was passed before, at most `max` of them.
    pub(crate) fn text(&self, start: u64, len: u64, max: usize) -> Result<Vec<u8>, Trouble> {
        let len = usize::try_from(len).unwrap_or(max).min(max);
        if let Some(offset) = start.checked_sub(self.base).and_then(|offset| usize::try_from(offset).ok())
            && let Some(bytes) = offset.checked_add(len).and_then(|end| self.window.get(offset..end))
        {
            return Ok(bytes.to_vec());
        }
        self.view.bytes(start, len)
    }

    /// Reads on at another place.
    pub(crate) fn seek(&mut self, position: u64) {
        self.window.clear();
        self.at = 0;
        self.base = position;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_across_the_windows_end() {
        let mut bytes = vec![b'x'; WINDOW - 2];
        bytes.extend(b"12345678\nlast line");
        let mut cursor = Cursor::new(View::new(bytes), 0);
        assert_eq!(cursor.next().unwrap(), Some(b'x'));
        cursor.skip(WINDOW as u64 - 3).unwrap();
        assert_eq!(&cursor.array::<8>().unwrap(), b"12345678");
        assert_eq!(cursor.line().unwrap().len, 0);
        let last = cursor.line().unwrap();
        assert_eq!(last.len, 8);
        assert_eq!(cursor.text(last.start, last.len, 100).unwrap(), b"last lin");
        assert_eq!(cursor.next().unwrap(), None);
        assert!(cursor.skip(1).is_err());
        assert!(cursor.array::<4>().is_err());
    }
}
