//! Lines of bounded length from bytes of any length.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How much is read at once.
const CHUNK: usize = 8 << 10;

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Its bytes, without the line's end.
    Whole(Bytes),
    /// It was longer than the limit and has been skipped.
    TooLong,
}

/// Cuts bytes into lines. What is kept is never more than the limit and what came in one piece.
#[derive(Debug)]
pub(super) struct Cutter {
    buffer: BytesMut,
    /// How much of the buffer has no line's end.
    searched: usize,
    limit: usize,
    /// Whether the rest of a line is being skipped.
    skipping: bool,
}

impl Cutter {
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, limit, skipping: false }
    }

    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next line, as far as it has come.
    pub(super) fn next(&mut self) -> Option<Line> {
        loop {
            let end =
                self.buffer.get(self.searched..).and_then(|new| new.iter().position(|byte| *byte == b'\n'));
            let length = end.map(|end| self.searched.saturating_add(end));
            if self.skipping {
                match length {
                    None => {
                        self.buffer.clear();
                        self.searched = 0;
                        return None;
                    }
                    Some(length) => {
                        self.cut(length);
                        self.skipping = false;
                        continue;
                    }
                }
            }
            match length {
                Some(length) if length <= self.limit => return Some(Line::Whole(self.cut(length))),
                Some(length) => {
                    self.cut(length);
                    return Some(Line::TooLong);
                }
                None if self.buffer.len() > self.limit => {
                    self.skipping = true;
                    self.buffer.clear();
                    self.searched = 0;
                    return Some(Line::TooLong);
                }
                None => {
                    self.searched = self.buffer.len();
                    return None;
                }
            }
        }
    }

    /// What is left when no more comes: a line without an end.
    pub(super) fn rest(&mut self) -> Option<Line> {
        let is_line = !self.skipping && !self.buffer.is_empty();
        is_line.then(|| Line::Whole(self.buffer.split().freeze()))
    }

    /// Takes the line of this length, and drops its end.
    fn cut(&mut self, length: usize) -> Bytes {
        let line = self.buffer.split_to(length.min(self.buffer.len())).freeze();
        self.buffer.advance(1.min(self.buffer.len()));
        self.searched = 0;
        line
    }
}

/// The lines of a reader.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    cutter: Cutter,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, cutter: Cutter::new(limit), ended: false }
    }

    /// The next line; none at the end. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.cutter.next() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(self.cutter.rest());
            }
            let buffer = self.cutter.buffer();
            buffer.reserve(CHUNK);
            // `read_buf` reads into what is free, which after a reservation may be more than was asked for.
            self.ended = self.reader.read_buf(buffer).await? == 0;
        }
    }
}

#[cfg(test)]
mod unit {
    use proptest::prelude::*;

    use super::*;

    fn cut(pieces: &[&[u8]], limit: usize) -> Vec<Line> {
        let mut cutter = Cutter::new(limit);
        let mut lines = Vec::new();
        for piece in pieces {
            cutter.buffer().extend_from_slice(piece);
            while let Some(line) = cutter.next() {
                lines.push(line);
            }
            assert!(cutter.buffer.len() <= limit, "more is kept than the limit");
        }
        lines.extend(cutter.rest());
        lines
    }

    fn whole(text: &str) -> Line {
        Line::Whole(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        assert_eq!(cut(&[b"ab", b"c\nde", b"\n\nf"], 10), [whole("abc"), whole("de"), whole(""), whole("f")]);
    }

    #[test]
    fn a_line_over_the_limit_is_told_once_and_skipped() {
        assert_eq!(cut(&[b"abcd", b"efgh", b"i\nok\n"], 4), [Line::TooLong, whole("ok")]);
        assert_eq!(cut(&[b"abcde\nok\n"], 4), [Line::TooLong, whole("ok")]);
        assert_eq!(cut(&[b"abcd\nok\n"], 4), [whole("abcd"), whole("ok")]);
        assert_eq!(cut(&[b"abcdefgh"], 4), [Line::TooLong]);
    }

    proptest! {
        #[test]
        fn how_bytes_arrive_does_not_matter(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200), size in 1usize..20, limit in 1usize..20) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(cut(&pieces, limit), cut(&[&bytes], limit));
        }
    }
}
