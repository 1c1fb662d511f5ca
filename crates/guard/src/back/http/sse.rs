//! Server-sent events, bounded (WHATWG HTML, section 9.2).

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::back) struct Event {
    /// Its data; lines are joined with a line feed.
    pub(in crate::back) data: Vec<u8>,
}

/// More bytes in one event than the limit.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::back) struct TooLarge;

/// Reads events from bytes as they arrive.
#[derive(Debug)]
pub(in crate::back) struct Parser {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// After a carriage return, a line feed belongs to it.
    after_return: bool,
    started: bool,
    limit: usize,
    /// The last id that the stream gave; with it, the stream can be taken up again.
    pub(in crate::back) last_id: Option<String>,
    /// How many milliseconds the server wants to be left alone before that.
    pub(in crate::back) retry: Option<u64>,
}

/// The longest event id that is kept: it goes into a header.
const ID: usize = 1024;

impl Parser {
    /// `limit` is for the data of one event, and for one line.
    pub(in crate::back) fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_return: false,
            started: false,
            limit,
            last_id: None,
            retry: None,
        }
    }

    /// Forgets an unfinished event; the id stays.
    pub(in crate::back) fn restart(&mut self) {
        self.line.clear();
        self.data.clear();
        (self.has_data, self.after_return, self.started) = (false, false, false);
    }

    /// Takes more bytes; adds the events that they complete.
    ///
    /// # Errors
    /// If an event is too large.
    pub(in crate::back) fn push(
        &mut self,
        mut bytes: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), TooLarge> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_return)
                && let Some(rest) = bytes.strip_prefix(b"\n")
            {
                bytes = rest;
                continue;
            }
            let Some(at) = bytes.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
                return self.extend(bytes);
            };
            let (part, rest) = bytes.split_at(at);
            self.extend(part)?;
            self.after_return = rest.first() == Some(&b'\r');
            bytes = rest.get(1..).unwrap_or_default();
            self.end_of_line(events)?;
        }
        Ok(())
    }

    fn extend(&mut self, part: &[u8]) -> Result<(), TooLarge> {
        // `data: ` stands in front of what the limit is for.
        if self.line.len().saturating_add(part.len()) > self.limit.saturating_add(8) {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_of_line(&mut self, events: &mut Vec<Event>) -> Result<(), TooLarge> {
        let mut line = std::mem::take(&mut self.line);
        let first = !std::mem::replace(&mut self.started, true);
        let text = if first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line };
        if text.is_empty() {
            if std::mem::take(&mut self.has_data) {
                events.push(Event { data: std::mem::take(&mut self.data) });
            }
        } else {
            let (name, value) = match text.iter().position(|b| *b == b':') {
                Some(at) => {
                    let (name, rest) = text.split_at(at);
                    let value = rest.get(1..).unwrap_or_default();
                    (name, value.strip_prefix(b" ").unwrap_or(value))
                }
                None => (text, &[][..]),
            };
            self.field(name, value)?;
        }
        line.clear();
        line.shrink_to(1 << 20);
        self.line = line;
        Ok(())
    }

    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), TooLarge> {
        match name {
            b"data" => {
                if self.data.len().saturating_add(value.len()) >= self.limit.saturating_add(1) {
                    return Err(TooLarge);
                }
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
            b"id" if value.len() <= ID && value.iter().all(|b| (0x20..0x7f).contains(b)) => {
                self.last_id = String::from_utf8(value.to_vec()).ok().filter(|id| !id.is_empty());
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]], limit: usize) -> (Vec<String>, Parser, bool) {
        let mut parser = Parser::new(limit);
        let mut events = Vec::new();
        let fine = chunks.iter().all(|chunk| parser.push(chunk, &mut events).is_ok());
        (events.iter().map(|e| String::from_utf8_lossy(&e.data).into_owned()).collect(), parser, fine)
    }

    #[test]
    fn events_are_read_whatever_ends_their_lines() {
        for text in [
            "\u{feff}: hello\nevent: message\nid: 7\ndata: {}\n\nretry: 20\ndata:a\ndata\ndata:  b\n\ndata: lost",
            "\u{feff}: hello\r\nevent: message\r\nid: 7\r\ndata: {}\r\n\r\nretry: 20\r\ndata:a\r\ndata\r\ndata:  b\r\n\r\n",
            ": hello\revent: message\rid: 7\rdata: {}\r\rretry: 20\rdata:a\rdata\rdata:  b\r\r",
        ] {
            let (events, parser, fine) = read(&[text.as_bytes()], 100);
            assert_eq!((events, fine), (vec!["{}".to_owned(), "a\n\n b".to_owned()], true), "{text:?}");
            assert_eq!((parser.last_id.as_deref(), parser.retry), (Some("7"), Some(20)));
        }
    }

    #[test]
    fn an_event_that_only_primes_has_empty_data() {
        let (events, parser, _) = read(&[b"id: 1\ndata:\n\n"], 100);
        assert_eq!(events, [""]);
        assert_eq!(parser.last_id.as_deref(), Some("1"));
    }

    #[test]
    fn limits_hold_for_lines_and_events() {
        assert!(!read(&[&[b'x'; 200]], 100).2);
        assert!(!read(&[&b"data: 0123456789\n".repeat(20)], 100).2);
        assert!(read(&[&b": a comment\n".repeat(1000)], 100).2);
    }

    #[test]
    fn ids_that_no_header_can_carry_are_ignored() {
        assert_eq!(read(&["id: a\u{7}b\n\n".as_bytes()], 100).1.last_id, None);
        assert_eq!(read(&[format!("id: {}\n\n", "x".repeat(2000)).as_bytes()], 4000).1.last_id, None);
    }

    proptest! {
        #[test]
        fn how_the_bytes_arrive_makes_no_difference(
            bytes in proptest::collection::vec(prop_oneof![
                Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd'), Just(b'a'), Just(b't'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..5),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            let (whole, parts) = (read(&[&bytes], 50), read(&chunks, 50));
            prop_assert_eq!(whole.0, parts.0);
            prop_assert_eq!(whole.2, parts.2);
        }
    }
}
