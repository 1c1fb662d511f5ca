//! Lines of bounded length.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// A line that is skipped may be this many times as long as the longest that is read.
const PATIENCE: usize = 16;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end; it is in [`Lines::text`].
    Text,
    /// A line longer than the limit; it was skipped.
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
    done: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, line: Vec::new(), limit, skipped: 0, done: false }
    }

    /// The line that was read last.
    pub(super) fn text(&self) -> &[u8] {
        &self.line
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
