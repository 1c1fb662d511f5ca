//! Lines of bounded length.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// A line that is skipped may be this many times as long as the longest that is read.
const PATIENCE: usize = 16;
/// Bytes at each end of a line that is skipped which are kept.
const ENDS: usize = 256;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end; it is in [`Lines::text`].
    Text,
    /// A line longer than the limit; it was skipped, but for its [`Lines::ends`].
    TooLong,
    /// A line that does not end.
    Endless,
    /// Nothing more.
    End,
}

/// Reads lines. [`Lines::next`] may be dropped and called again without losing anything.
pub(super) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    limit: usize,
    skipped: usize,
    /// Of the line that is skipped, or was last.
    head: Vec<u8>,
    tail: Vec<u8>,
    done: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, line: Vec::new(), limit, skipped: 0, head: Vec::new(), tail: Vec::new(), done: false }
    }

    /// The line that was read last.
    pub(super) fn text(&self) -> &[u8] {
        &self.line
    }

    /// The first and the last bytes of the line that was skipped last.
    pub(super) fn ends(&self) -> (&[u8], &[u8]) {
        (&self.head, &self.tail)
    }

    pub(super) async fn next(&mut self) -> io::Result<Line> {
        if std::mem::take(&mut self.done) {
            self.line.clear();
            // A single huge line does not keep its memory for ever.
            self.line.shrink_to(1 << 20);
        }
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(Line::End);
            }
            let (part, used, ended) = match chunk.iter().position(|b| *b == b'\n') {
                Some(at) => (chunk.get(..at).unwrap_or_default(), at.saturating_add(1), true),
                None => (chunk, chunk.len(), false),
            };
            if self.skipped > 0 || self.line.len().saturating_add(part.len()) > self.limit {
                if self.skipped == 0 {
                    self.head.clear();
                    self.tail.clear();
                }
                let room = ENDS.saturating_sub(self.head.len());
                self.head.extend(self.line.iter().chain(part).take(room));
                let last = |bytes: &[u8]| bytes.len().saturating_sub(ENDS);
                for bytes in [self.line.as_slice(), part] {
                    self.tail.extend_from_slice(bytes.get(last(bytes)..).unwrap_or_default());
                }
                self.tail.drain(..last(&self.tail));
                self.skipped = self.skipped.saturating_add(self.line.len()).saturating_add(part.len()).max(1);
                self.line.clear();
            } else {
                self.line.extend_from_slice(part);
            }
            self.reader.consume(used);
            if ended {
                self.done = true;
                return Ok(if std::mem::take(&mut self.skipped) > 0 { Line::TooLong } else { Line::Text });
            }
            if self.skipped > self.limit.saturating_mul(PATIENCE) {
                return Ok(Line::Endless);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    fn read(bytes: &[u8], buffer: usize, limit: usize) -> Vec<Result<String, Line>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut lines = Lines::new(BufReader::with_capacity(buffer, bytes), limit);
            let mut all = Vec::new();
            loop {
                match lines.next().await.unwrap() {
                    Line::End => return all,
                    Line::Text => all.push(Ok(String::from_utf8_lossy(lines.text()).into_owned())),
                    Line::Endless => {
                        all.push(Err(Line::Endless));
                        return all;
                    }
                    other => all.push(Err(other)),
                }
            }
        })
    }

    #[test]
    fn a_long_line_is_skipped_and_the_next_one_is_read() {
        let expect = vec![Ok("ab".to_owned()), Err(Line::TooLong), Ok(String::new()), Ok("cd".to_owned())];
        for buffer in [1, 3, 100] {
            assert_eq!(read(b"ab\nabcdefgh\n\ncd\nrest", buffer, 4), expect, "{buffer}");
        }
    }

    #[test]
    fn a_line_without_end_is_told() {
        assert_eq!(read(&[b'x'; 1000], 10, 4), [Err(Line::Endless)]);
    }

    #[test]
    fn both_ends_of_a_line_that_is_skipped_are_kept() {
        for (buffer, length) in [(1, 210), (7, 300), (100, 700), (9_000, 2_000)] {
            let long: Vec<u8> = (0..length).map(|at| b'a' + u8::try_from(at % 26).unwrap()).collect();
            let text = [[b'b'; 250].as_slice(), b"\n", &long, b"\nx\n"].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut lines = Lines::new(BufReader::with_capacity(buffer, text.as_slice()), 200);
                for _ in 0..2 {
                    assert_eq!(lines.next().await.unwrap(), Line::TooLong);
                }
                let kept = length.min(ENDS);
                assert_eq!(lines.ends(), (&long[..kept], &long[length - kept..]));
                assert_eq!(lines.next().await.unwrap(), Line::Text);
            });
        }
    }

    proptest! {
        #[test]
        fn how_the_bytes_arrive_makes_no_difference(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..100),
            buffer in 1usize..20,
        ) {
            prop_assert_eq!(read(&bytes, buffer, 10), read(&bytes, 200, 10));
        }
    }
}
