//! Small numbers and strings, one after the other, without holding what lies between.

use crate::source::View;
use crate::trouble::Trouble;

const WINDOW: usize = 64 << 10;

/// A place in a view that moves forward, with a window of bytes around it.
pub(super) struct Input<'a> {
    view: &'a View,
    window: Vec<u8>,
    window_at: u64,
    position: u64,
    big_endian: bool,
}

impl<'a> Input<'a> {
    pub(super) fn new(view: &'a View) -> Self {
        Self { view, window: Vec::new(), window_at: 0, position: 0, big_endian: false }
    }

    pub(super) fn set_big_endian(&mut self) {
        self.big_endian = true;
    }

    /// The byte that comes next.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> u64 {
        self.view.len().saturating_sub(self.position)
    }

    /// Passes over bytes.
    pub(super) fn skip(&mut self, len: u64, what: &str) -> Result<(), Trouble> {
        self.claim(len, what)?;
        self.position = self.position.saturating_add(len);
        Ok(())
    }

    /// Bytes, as many as may be held.
    pub(super) fn bytes(&mut self, len: usize, what: &str) -> Result<Vec<u8>, Trouble> {
        self.claim(len as u64, what)?;
        let bytes =
            if len > WINDOW { self.view.exactly(self.position, len)? } else { self.windowed(len)?.to_vec() };
        self.position = self.position.saturating_add(len as u64);
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, Trouble> {
        let bytes = self.array::<4>(what)?;
        Ok(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, Trouble> {
        let bytes = self.array::<8>(what)?;
        Ok(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Trouble> {
        self.claim(N as u64, what)?;
        let position = self.position;
        let bytes = self.windowed(N)?.try_into().map_err(|_| Trouble::malformed(position, what))?;
        self.position = position.saturating_add(N as u64);
        Ok(bytes)
    }

    fn claim(&self, len: u64, what: &str) -> Result<(), Trouble> {
        if len > self.left() {
            let left = self.left();
            return Err(Trouble::malformed(
                self.position,
                format!("{what} needs {len} bytes, {left} are left"),
            ));
        }
        Ok(())
    }

    /// `len` bytes at the position, which are there and no more than the window holds.
    fn windowed(&mut self, len: usize) -> Result<&[u8], Trouble> {
        let held = |input: &Self| {
            let from = usize::try_from(input.position.checked_sub(input.window_at)?).ok()?;
            let to = from.checked_add(len)?;
            (to <= input.window.len()).then_some(from..to)
        };
        if held(self).is_none() {
            self.window = self.view.bytes(self.position, WINDOW)?;
            self.window_at = self.position;
        }
        let range = held(self).unwrap_or_default();
        self.window.get(range).ok_or(Trouble::Changed)
    }
}
