//! Tar archives, read by our own reader: it is bounded, and sees what readers disagree about.

mod header;

use ostrom_core::Severity;

use self::header::{BLOCK, Header, Pax};
use super::names::Names;
use super::{DEVICE, HIDDEN_BYTES, READINGS_DIFFER, UNSUPPORTED};
use crate::detect::{Match, Probe};
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

/// The longest name or set of pax records that is read.
const TEXT: u64 = 1 << 20;

/// The largest size that a header's octal digits can say.
const OCTAL_MAX: u64 = 0o77_777_777_777;

/// Whether the beginning is a tar header with a checksum that fits.
pub(super) fn is(head: &[u8]) -> bool {
    head.get(..BLOCK).is_some_and(|block| Header::parse(block).is_some() && !is_empty(block))
}

pub(super) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    if probe.head.get(257..262) == Some(b"ustar") {
        return Ok(Match::Strong);
    }
    Ok(if is(probe.head) { Match::Weak } else { Match::No })
}

/// How much room content of `size` bytes takes.
fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64)
}

fn is_empty(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    Tar { view, at: 0, names: Names::default(), next: Pax::default(), long: Long::default() }.run(scan)
}

/// Names that GNU puts in front of a member.
#[derive(Default)]
struct Long {
    name: Option<String>,
    target: Option<String>,
}

struct Tar<'a> {
    view: &'a View,
    /// Where the next header is.
    at: u64,
    names: Names,
    next: Pax,
    long: Long,
}

impl Tar<'_> {
    fn run(mut self, scan: &mut Examination<'_>) -> Result<(), Trouble> {
        let mut ended = false;
        while self.at < self.view.len() {
            let at = self.at;
            let block = self.view.bytes(at, BLOCK)?;
            if is_empty(&block) {
                ended = true;
                self.at = self.at.saturating_add(BLOCK as u64);
                continue;
            }
            let Some(header) = Header::parse(&block) else {
                if !ended {
                    return Err(Trouble::malformed(
                        at,
                        "no tar header, or one that does not fit its checksum",
                    ));
                }
                let what = format!("{} bytes follow the archive's end", self.view.len() - at);
                scan.report(HIDDEN_BYTES, Some(at), what);
                return Ok(());
            };
            if ended {
                // `tar` stops at the zeros, Python's `ignore_zeros` and loaders of joined archives go on.
                scan.report(
                    READINGS_DIFFER,
                    Some(at),
                    "members follow the archive's end; some readers take them",
                );
                ended = false;
            }
            self.at = at.saturating_add(BLOCK as u64);
            self.member(&header, at, scan)?;
        }
        Ok(())
    }

    fn member(&mut self, header: &Header, at: u64, scan: &mut Examination<'_>) -> Result<(), Trouble> {
        let said = header.size().ok_or_else(|| Trouble::malformed(at, "the size is not a number"))?;
        match header.kind() {
            b'x' | b'X' => {
                let bytes = self.text(said)?;
                self.next = Pax::parse(&bytes, at)?;
                return Ok(());
            }
            b'g' => {
                let bytes = self.text(said)?;
                let pax = Pax::parse(&bytes, at)?;
                if pax.path.is_some() || pax.target.is_some() || pax.size.is_some() {
                    let what = "gives all members one name or size; few readers follow that";
                    scan.report(READINGS_DIFFER, Some(at), what);
                }
                return Ok(());
            }
            b'L' => {
                self.long.name = Some(self.long_text(said)?);
                return Ok(());
            }
            b'K' => {
                self.long.target = Some(self.long_text(said)?);
                return Ok(());
            }
            _ => {}
        }
        let (pax, long) = (std::mem::take(&mut self.next), std::mem::take(&mut self.long));
        let name = self.name(header, &pax, &long, at, scan);
        let target = pax.target.clone().or(long.target).unwrap_or_else(|| header.target());
        let size = pax.size.unwrap_or(said);
        // Writers leave the header's size at zero, or cut it off, only where it has no room.
        if size != said && said != 0 && size <= OCTAL_MAX {
            let what = format!("{name:?} has {said} bytes by its header and {size} by its pax records");
            scan.report(READINGS_DIFFER, Some(at), what);
        }
        let kind = match header.kind() {
            // The old format marks a directory by its name only.
            0 | b'0' if name.ends_with('/') => b'5',
            kind => kind,
        };
        self.check(&name, kind, &target, at, scan);
        let is_file = !matches!(kind, b'1'..=b'6');
        if !is_file && size > 0 {
            // Readers disagree about whether such a member has content, and so about where the next header is.
            let what = format!("{name:?} has a size, which such members do not have");
            let severity = if kind == b'5' { Severity::Medium } else { Severity::High };
            scan.report_as(severity, READINGS_DIFFER, Some(at), what);
            if !self.has_content(size)? {
                return Ok(());
            }
        }
        if kind == b'S' {
            self.skip_holes(header)?;
        }
        let content = self.view.part(self.at, size);
        let content =
            content.ok_or_else(|| Trouble::malformed(at, format!("{name:?} runs past the file's end")))?;
        self.at = self.at.saturating_add(padded(size));
        if pax.sparse || matches!(kind, b'S' | b'M') {
            scan.report(UNSUPPORTED, Some(at), format!("{name:?} is stored with holes or in parts"));
        } else if size > 0 {
            // Types that nobody knows are files, says POSIX.
            scan.descend(&name, &content);
        }
        Ok(())
    }

    fn check(&mut self, name: &str, kind: u8, target: &str, at: u64, scan: &mut Examination<'_>) {
        let is_file = !matches!(kind, b'1'..=b'6');
        // Tar has no checksums of contents, so each member counts as different.
        self.names.check(name, is_file.then_some(at), at, scan);
        match kind {
            b'1' | b'2' => self.names.check_link(name, target, kind == b'2', at, scan),
            b'3' | b'4' | b'6' => scan.report(DEVICE, Some(at), format!("{name:?} is a special file")),
            _ => {}
        }
    }

    /// Whether `size` bytes of content follow rather than the next header.
    fn has_content(&self, size: u64) -> Result<bool, Trouble> {
        let behind = self.at.saturating_add(padded(size));
        Ok(Header::parse(&self.view.bytes(self.at, BLOCK)?).is_none()
            && Header::parse(&self.view.bytes(behind, BLOCK)?).is_some())
    }

    /// Leaves out the blocks that list a sparse file's holes.
    fn skip_holes(&mut self, header: &Header) -> Result<(), Trouble> {
        let mut go_on = header.holes_go_on();
        while go_on {
            let block = self.view.exactly(self.at, BLOCK)?;
            go_on = block.get(504).is_some_and(|byte| *byte != 0);
            self.at = self.at.saturating_add(BLOCK as u64);
        }
        Ok(())
    }

    /// The name by which most readers know the member.
    fn name(&self, header: &Header, pax: &Pax, long: &Long, at: u64, scan: &mut Examination<'_>) -> String {
        let short = header.name();
        let name = match (&pax.path, &long.name) {
            (Some(path), _) => {
                // Readers without pax see the header's name, which stands for the other only where it has no room for it.
                let fits = path.is_ascii() && path.len() <= 100;
                if fits && path.trim_end_matches('/') != short.trim_end_matches('/') && !pax.sparse {
                    let what = format!("{path:?} is {short:?} to readers without pax records");
                    scan.report(READINGS_DIFFER, Some(at), what);
                }
                path
            }
            (None, Some(long)) => {
                if long.is_ascii() && !long.starts_with(&short) {
                    let what = format!("{long:?} is {short:?} to readers without long names");
                    scan.report(READINGS_DIFFER, Some(at), what);
                }
                long
            }
            (None, None) => &short,
        };
        name.clone()
    }

    /// Takes the content of a member that only describes the next.
    fn text(&mut self, size: u64) -> Result<Vec<u8>, Trouble> {
        if size > TEXT {
            return Err(Trouble::Limit(format!("a name or its records have {size} bytes")));
        }
        let bytes = self.view.exactly(self.at, usize::try_from(size).unwrap_or(usize::MAX))?;
        self.at = self.at.saturating_add(padded(size));
        Ok(bytes)
    }

    fn long_text(&mut self, size: u64) -> Result<String, Trouble> {
        let bytes = self.text(size)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Ok(String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned())
    }
}
