//! Where tensors lie: inside the data, one after the other, sharing nothing, leaving nothing out.

use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

use ostrom_core::Severity;

use super::{HOLE, OVERLAP, TRAILING};

/// Up to how many tensors have their names kept for messages. Files have thousands; hostile ones have millions.
pub(super) const NAMED: usize = 20_000;
/// The most tensors whose places are held, 40 bytes each.
const MOST: usize = 300_000;
/// Up to how many bytes of a gap are read to tell whether they are zero.
const PEEK: usize = 64 << 10;

/// A stretch of the file.
struct Extent {
    begin: u64,
    end: u64,
    name: Option<Box<str>>,
}

impl Extent {
    fn name(&self) -> String {
        self.name.as_ref().map_or_else(String::new, |name| format!(" ({name:?})"))
    }
}

/// The places of all tensors of a file.
pub(super) struct Layout {
    extents: Vec<Extent>,
}

impl Layout {
    pub(super) fn new() -> Self {
        Self { extents: Vec::new() }
    }

    /// Adds a tensor at bytes `begin..end` of the file. Empty ones take no place.
    pub(super) fn add(&mut self, name: &str, begin: u64, end: u64) -> Result<(), Trouble> {
        if begin >= end {
            return Ok(());
        }
        if self.extents.len() >= MOST {
            return Err(Trouble::Limit(format!("more than {MOST} tensors")));
        }
        let name = (self.extents.len() < NAMED).then(|| name.chars().take(80).collect::<String>().into());
        self.extents.push(Extent { begin, end, name });
        Ok(())
    }

    /// Reports overlaps, gaps and what follows the last tensor.
    ///
    /// `data` is where the data begin, and each tensor may be followed by up to `alignment - 1` zero bytes.
    pub(super) fn report(
        mut self,
        view: &View,
        data: u64,
        alignment: u64,
        scan: &mut Examination<'_>,
    ) -> Result<(), Trouble> {
        self.extents.sort_by_key(|extent| (extent.begin, extent.end));
        let mut end = data;
        let mut last: Option<&Extent> = None;
        for extent in &self.extents {
            if extent.begin < end {
                let before = last.map_or_else(String::new, Extent::name);
                scan.report(
                    OVERLAP,
                    Some(extent.begin),
                    format!(
                        "bytes {}..{}{} overlap those before{before}, which end at {end}",
                        extent.begin,
                        extent.end,
                        extent.name()
                    ),
                );
            } else {
                gap(view, end, extent.begin, alignment, scan)?;
            }
            if extent.end > end {
                end = extent.end;
                last = Some(extent);
            }
        }
        let rest = view.len().saturating_sub(end);
        if rest == 0 {
            return Ok(());
        }
        let zero = is_zero(view, end, rest)?;
        if rest < alignment && zero == Zero::Yes && alignment <= PEEK as u64 {
            return Ok(());
        }
        let before = if last.is_some() {
            "follow the last tensor"
        } else {
            "follow the header, which names no tensor"
        };
        scan.report_as(
            severity(alignment),
            TRAILING,
            Some(end),
            format!("{rest} bytes {before}{}", zero.words()),
        );
        Ok(())
    }
}

/// Without alignment there is no reason for a gap, and the format's own library refuses the file.
fn severity(alignment: u64) -> Severity {
    if alignment <= 1 { Severity::High } else { Severity::Medium }
}

/// Reports a gap, unless it is what alignment needs and is empty.
fn gap(view: &View, from: u64, to: u64, alignment: u64, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    if from >= to {
        return Ok(());
    }
    let zero = is_zero(view, from, to - from)?;
    let is_padding =
        to - from < alignment && to.checked_rem(alignment) == Some(0) && alignment <= PEEK as u64;
    if !(is_padding && zero == Zero::Yes) {
        let what = format!("{} bytes belong to no tensor{}", to - from, zero.words());
        scan.report_as(severity(alignment), HOLE, Some(from), what);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Zero {
    Yes,
    No,
    /// There are more than are looked at, and the first are zero.
    Begins,
}

impl Zero {
    fn words(self) -> &'static str {
        match self {
            Self::Yes => "; all are zero",
            Self::No => "; they are not zero",
            Self::Begins => "; the first of them are zero",
        }
    }
}

fn is_zero(view: &View, from: u64, len: u64) -> Result<Zero, Trouble> {
    let peek = usize::try_from(len).unwrap_or(usize::MAX).min(PEEK);
    let bytes = view.bytes(from, peek)?;
    Ok(if bytes.iter().any(|byte| *byte != 0) {
        Zero::No
    } else if bytes.len() as u64 == len {
        Zero::Yes
    } else {
        Zero::Begins
    })
}
