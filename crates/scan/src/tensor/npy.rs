//! numpy's `.npy`: a magic number, a header that is a Python literal, the data.
//!
//! Arrays of objects are pickles, and are examined as such.
//!
//! Source: `numpy.lib.format`, versions 1.0 to 3.0.

use crate::detect::{Match, Probe};
use crate::examination::{Examination, escape};
use crate::source::View;
use crate::trouble::Trouble;

use super::npy_header::{self, Content};
use super::{NUMPY_HEADER, NUMPY_OBJECTS, NUMPY_SEVERAL, OUTSIDE, SIZE, TRAILING, TYPE};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The longest header. numpy itself wants to be asked beyond 10,000 bytes; tables of many columns have more.
const MAX_HEADER: u32 = 1 << 20;
/// The most arrays in one file.
const MAX_ARRAYS: u64 = 100_000;

pub(super) fn detect(probe: &Probe<'_>) -> Result<Match, Trouble> {
    Ok(probe.head.starts_with(MAGIC).into())
}

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let mut at = 0;
    let mut arrays = 0u64;
    let mut second = None;
    loop {
        arrays = arrays.saturating_add(1);
        if arrays > MAX_ARRAYS {
            return Err(Trouble::Limit(format!("more than {MAX_ARRAYS} arrays in one file")));
        }
        let Some(end) = array(view, at, scan)? else { break };
        if end >= view.len() {
            break;
        }
        // `np.save` to an open file puts one array after another.
        if !view.bytes(end, MAGIC.len())?.starts_with(MAGIC) {
            let rest = view.len().saturating_sub(end);
            scan.report(TRAILING, Some(end), format!("{rest} bytes follow the array"));
            break;
        }
        second = second.or(Some(end));
        at = end;
    }
    if let Some(second) = second {
        scan.report(NUMPY_SEVERAL, Some(second), format!("{arrays} arrays in one file"));
    }
    Ok(())
}

/// Examines the array at `at`; gives where it ends, if that is known.
fn array(view: &View, at: u64, scan: &mut Examination<'_>) -> Result<Option<u64>, Trouble> {
    // INVARIANT: the magic number is there, so the sums stay below twice the file's length.
    let start = view.exactly(at, 8)?;
    let (Some(major), Some(minor)) = (start.get(6), start.get(7)) else { return Err(Trouble::Changed) };
    let length_at = at.saturating_add(8);
    let (length, width) = match major {
        1 => (
            view.exactly(length_at, 2)?.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes).into()),
            2,
        ),
        2 | 3 => (view.exactly(length_at, 4)?.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)), 4),
        _ => return Err(Trouble::malformed(at, format!("numpy format {major}.{minor} is not known"))),
    };
    if *minor != 0 {
        return Err(Trouble::malformed(at, format!("numpy format {major}.{minor} is not known")));
    }
    let header_at = length_at.saturating_add(width);
    if u64::from(length) > view.len().saturating_sub(header_at) {
        return Err(Trouble::malformed(
            length_at,
            format!("a header of {length} bytes does not fit in the file"),
        ));
    }
    if length > MAX_HEADER {
        return Err(Trouble::Limit(format!("a numpy header of {length} bytes")));
    }
    let bytes = view.exactly(header_at, usize::try_from(length).unwrap_or(usize::MAX))?;
    // Versions 1 and 2 are Latin-1, whose characters are the first 256.
    let text = if *major == 3 {
        String::from_utf8(bytes).map_err(|_| Trouble::malformed(header_at, "the header is not UTF-8"))?
    } else {
        bytes.iter().map(|byte| char::from(*byte)).collect()
    };
    let header = match npy_header::read(&text) {
        Ok(header) => header,
        Err(why) => {
            scan.report(NUMPY_HEADER, Some(header_at), format!("{why}: {}", escape(&text, 200)));
            return Ok(None);
        }
    };
    let data = header_at.saturating_add(u64::from(length));
    let left = view.len().saturating_sub(data);
    match header.content {
        Content::Objects => {
            scan.report(NUMPY_OBJECTS, Some(at), "an array of objects, which is a pickle");
            let rest = view.part(data, left).ok_or(Trouble::Changed)?;
            if left == 0 {
                scan.report(OUTSIDE, Some(data), "the pickle of the objects is missing");
            }
            scan.descend("objects.pkl", &rest);
            Ok(None)
        }
        Content::Unknown(kind) => {
            scan.report(TYPE, Some(header_at), format!("elements of the type {:?}", escape(&kind, 100)));
            Ok(None)
        }
        Content::Bytes(size) => {
            let Some(len) = header.elements.and_then(|elements| elements.checked_mul(size)) else {
                scan.report(SIZE, Some(header_at), format!("the shape is too large: {}", escape(&text, 200)));
                return Ok(None);
            };
            if len > left {
                scan.report(OUTSIDE, Some(data), format!("the array needs {len} bytes, {left} are there"));
                return Ok(None);
            }
            Ok(Some(data.saturating_add(len)))
        }
    }
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
