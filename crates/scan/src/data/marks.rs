//! Formats that are known by a mark, and in which nothing acts on whoever reads them.

use super::ROWS;
use crate::detect::{Match, Probe};
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

/// Pictures, sound, films, fonts, pages: by their first bytes.
const MEDIA: [&[u8]; 22] = [
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"8BPS\0\x01",
    b"\xff\x0a",
    b"\0\0\0\x0cJXL \r\n\x87\n",
    b"\0\0\0\x0cjP  \r\n\x87\n",
    b"fLaC",
    b"OggS",
    b"ID3",
    b"MThd\0\0\0\x06",
    b"\x1a\x45\xdf\xa3",
    b"FLV\x01",
    b"wOFF",
    b"wOF2",
    b"OTTO",
    b"ttcf",
    b"%PDF-",
    b"\0\0\0\x01Bud1",
];

/// What stands four bytes behind `RIFF` and a length.
const RIFF: [&[u8]; 3] = [b"WAVE", b"WEBP", b"AVI "];

/// What may follow the length of an ISO base media file's first box.
const BRANDS: [&[u8]; 14] = [
    b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4A ", b"M4V ", b"qt  ",
    b"avif", b"heic", b"mif1",
];

pub(super) fn detect_media(probe: &Probe<'_>) -> Result<Match, Trouble> {
    let head = probe.head;
    let at = |place: usize, mark: &[u8]| head.get(place..).is_some_and(|rest| rest.starts_with(mark));
    let marked = MEDIA.iter().any(|mark| head.starts_with(mark))
        || at(0, b"RIFF") && RIFF.iter().any(|mark| at(8, mark))
        || at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC"))
        || at(4, b"ftyp") && BRANDS.iter().any(|mark| at(8, mark))
        || is_bitmap(probe);
    // Without a mark that is long enough, the name has to agree.
    let named = match probe.extension().as_str() {
        "mp3" => matches!(head, [0xff, 0xe2..=0xff, ..]),
        "ttf" => at(0, b"\0\x01\0\0"),
        "ico" => at(0, b"\0\0\x01\0"),
        _ => false,
    };
    Ok(if marked || named { Match::Strong } else { Match::No })
}

/// A Windows bitmap says how long it is.
fn is_bitmap(probe: &Probe<'_>) -> bool {
    let len = probe.head.get(2..6).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    probe.head.starts_with(b"BM") && len.is_some_and(|len| u64::from(len) == probe.view.len())
}

pub(super) fn is_sqlite(probe: &Probe<'_>) -> bool {
    probe.head.starts_with(b"SQLite format 3\0")
}

pub(super) fn examine_rows(_: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    scan.report(ROWS, None, "the rows of its tables were not looked at");
    Ok(())
}

/// Models that are numbers and names alone, as the libraries write them that read them: XGBoost's universal binary JSON,
/// CatBoost's.
pub(super) fn detect_numbers(probe: &Probe<'_>) -> Result<Match, Trouble> {
    let ubjson = matches!(probe.head, [b'{', b'L', 0, 0, 0, 0, 0, 0, 0, 1..=64, b'a'..=b'z', ..]);
    let catboost = probe.head.starts_with(b"CBM1");
    Ok(if ubjson || catboost { Match::Weak } else { Match::No })
}

#[cfg(test)]
mod tests {
    use crate::data::columns::tests::verdict;

    #[test]
    fn pictures_are_known_and_what_is_glued_to_them_is_found() {
        assert_eq!(verdict("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"), (vec!["media"], vec![]));
        assert_eq!(verdict("a.wav", b"RIFF\x10\0\0\0WAVEfmt "), (vec!["media"], vec![]));
        assert_eq!(verdict("a.mp4", b"\0\0\0\x18ftypisom\0\0"), (vec!["media"], vec![]));
        assert_eq!(verdict("a.bmp", b"BM\x0a\0\0\0\0\0\0\0"), (vec!["media"], vec![]));
        // A pickle that begins as a picture: `G` takes eight bytes as a number.
        let (formats, found) = verdict("a.gif", b"GIF89a\0\0\0cos\nsystem\n(S'x'\ntR.");
        assert!(
            formats.contains(&"pickle") && found.contains(&"pickle-dangerous-call".to_owned()),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_in_no_known_format_is_said_and_fails() {
        for name in ["weights.xyz", "noname", "a.pdparams", "b.config"] {
            assert_eq!(
                verdict(name, b"\x01\x02\x03\xfe\xff\0\0\x07"),
                (vec![], vec!["unknown-format".to_owned()]),
                "{name}"
            );
        }
        // git's own store is no model, and nobody loads from it.
        assert_eq!(verdict(".git/index", b"DIRC\0\0\0\x02\0\0\0\0\xff").1, ["git-store"]);
        assert_eq!(verdict("a.git/index", b"DIRC\0\0\0\x02\0\0\0\0\xff").1, ["unknown-format"]);
        assert!(verdict("empty.xyz", b"").1.is_empty());
    }
}
