//! A reader of JSON that bounds the strings in it, and sees what a parser passes over.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// What was seen, for whoever gave the reader away.
#[derive(Clone, Default)]
pub(super) struct Watched(Rc<Seen>);

#[derive(Default)]
struct Seen {
    too_long: Cell<bool>,
    odd_padding: Cell<bool>,
}

impl Watched {
    /// Whether reading stopped at a string that is too long.
    pub(super) fn too_long(&self) -> bool {
        self.0.too_long.get()
    }

    /// Whether the value is followed by something other than spaces.
    pub(super) fn odd_padding(&self) -> bool {
        self.0.odd_padding.get()
    }
}

/// The reader.
pub(super) struct Watch<R> {
    inner: R,
    watched: Watched,
    longest: usize,
    string: Option<usize>,
    escaped: bool,
    depth: usize,
    begun: bool,
}

impl<R> Watch<R> {
    /// Reads `inner`, and fails at strings of more than `longest` bytes.
    pub(super) fn new(inner: R, watched: Watched, longest: usize) -> Self {
        Self { inner, watched, longest, string: None, escaped: false, depth: 0, begun: false }
    }

    fn see(&mut self, byte: u8) -> bool {
        if let Some(length) = self.string {
            if self.escaped {
                self.escaped = false;
            } else if byte == b'\\' {
                self.escaped = true;
            } else if byte == b'"' {
                self.string = None;
                return true;
            }
            self.string = Some(length.saturating_add(1));
            return length < self.longest;
        }
        if self.begun && self.depth == 0 && byte != b' ' {
            self.watched.0.odd_padding.set(true);
        }
        match byte {
            b'"' => self.string = Some(0),
            b'{' | b'[' => {
                self.begun = true;
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        true
    }
}

impl<R: Read> Read for Watch<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for byte in buffer.iter().take(count) {
            if !self.see(*byte) {
                self.watched.0.too_long.set(true);
                return Err(io::Error::other("a string is too long"));
            }
        }
        Ok(count)
    }
}
