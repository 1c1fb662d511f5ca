//! Forms with files (`multipart/form-data`, RFC 7578), read strictly from a body that is in memory already.

use bytes::Bytes;

use crate::Failure;

/// The most parts of a form.
const MOST: usize = 200;
/// The longest head of a part, in bytes.
const HEAD: usize = 4 << 10;
/// The longest boundary (RFC 2046, section 5.1.1).
const BOUNDARY: usize = 70;

/// A form that was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Multipart {
    /// The fields without a file, in their order.
    pub fields: Vec<(String, String)>,
    /// The files, by the names of their fields. What they were called where they come from does not matter.
    pub files: Vec<(String, Bytes)>,
}

impl Multipart {
    /// Reads a form. `kind` is the request's media type, with the boundary.
    ///
    /// # Errors
    /// If it is none, or a field is not in UTF-8.
    pub fn read(kind: Option<&str>, body: &Bytes) -> Result<Self, Failure> {
        let boundary = kind.and_then(boundary).ok_or(Failure::MediaType("multipart/form-data"))?;
        parts(body, boundary)
            .ok_or_else(|| Failure::BadRequest("the form is not multipart/form-data".to_owned()))
    }

    /// The one file of this field, if it was chosen.
    pub fn file(&self, name: &str) -> Option<&Bytes> {
        let mut found = self.files.iter().filter(|(field, bytes)| field == name && !bytes.is_empty());
        found.next().filter(|_| found.next().is_none()).map(|(_, bytes)| bytes)
    }
}

/// The boundary that a media type names.
fn boundary(kind: &str) -> Option<&str> {
    let mut parts = kind.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
    })?;
    let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let fine =
        (1..=BOUNDARY).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
    fine.then_some(value)
}

fn parts(body: &Bytes, boundary: &str) -> Option<Multipart> {
    let (first, between) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
    let mut form = Multipart::default();
    // Browsers send nothing before the first boundary.
    let mut at = body.starts_with(first.as_bytes()).then_some(first.len())?;
    for _ in 0..=MOST {
        let rest = body.get(at..)?;
        if rest.starts_with(b"--") {
            return Some(form);
        }
        let rest = rest.strip_prefix(b"\r\n")?;
        let head = find(rest.get(..rest.len().min(HEAD))?, b"\r\n\r\n")?;
        let (name, is_file) = disposition(std::str::from_utf8(rest.get(..head)?).ok()?)?;
        let content = rest.get(head.checked_add(4)?..)?;
        let length = find(content, between.as_bytes())?;
        let start = body.len().checked_sub(content.len())?;
        let end = start.checked_add(length)?;
        if is_file {
            form.files.push((name, body.slice(start..end)));
        } else {
            form.fields.push((name, std::str::from_utf8(body.get(start..end)?).ok()?.to_owned()));
        }
        at = end.checked_add(between.len())?;
    }
    None
}

/// The field's name, and whether it is a file's.
fn disposition(head: &str) -> Option<(String, bool)> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let mut parts = value.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("form-data") {
        return None;
    }
    // A file's name may hold semicolons; what comes after the field's own name does not matter but for being there.
    let name = parts.find_map(|part| part.strip_prefix("name=\"")?.strip_suffix('"'))?;
    let fine = (1..=100).contains(&name.len()) && !name.contains(['"', '\\', '%']);
    fine.then(|| (name.to_owned(), parts.any(|part| part.starts_with("filename"))))
}

/// Where `needle` begins.
fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.iter().position(|byte| *byte == first)?;
        if text.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at.checked_add(1)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIND: &str = "multipart/form-data; boundary=\"--x\"";

    fn written(parts: &[(&str, Option<&str>, &[u8])]) -> Bytes {
        let mut body = Vec::new();
        for (name, file, content) in parts {
            let file =
                file.map_or_else(String::new, |file| format!("; filename=\"{file}\"\r\nContent-Type: x/y"));
            body.extend(
                format!("----x\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes(),
            );
            body.extend(*content);
            body.extend(b"\r\n");
        }
        body.extend(b"----x--\r\n");
        body.into()
    }

    #[test]
    fn fields_and_files_are_what_was_sent() {
        let body = written(&[
            ("csrf", None, b"t"),
            ("bundle", Some("a;b.tar.zst"), b"\r\n--\0\xff\r\n--"),
            ("to", None, b"a"),
            ("to", None, b"b"),
        ]);
        let form = Multipart::read(Some(KIND), &body).unwrap();
        let fields: Vec<(&str, &str)> = form.fields.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(fields, [("csrf", "t"), ("to", "a"), ("to", "b")]);
        assert_eq!(form.file("bundle").unwrap().as_ref(), b"\r\n--\0\xff\r\n--");
        assert_eq!(form.file("csrf"), None);
        // No file was chosen; or two were.
        assert_eq!(
            Multipart::read(Some(KIND), &written(&[("bundle", Some(""), b"")])).unwrap().file("bundle"),
            None
        );
        let two = written(&[("bundle", Some("a"), b"1"), ("bundle", Some("b"), b"2")]);
        assert_eq!(Multipart::read(Some(KIND), &two).unwrap().file("bundle"), None);
    }

    #[test]
    fn what_is_no_such_form_is_refused() {
        let body = written(&[("csrf", None, b"t")]);
        for kind in [
            None,
            Some("text/plain"),
            Some("multipart/form-data"),
            Some("multipart/form-data; boundary="),
            Some("multipart/form-data; boundary=a b"),
        ] {
            assert!(matches!(Multipart::read(kind, &body), Err(Failure::MediaType(_))), "{kind:?}");
        }
        let many: Vec<(&str, Option<&str>, &[u8])> = vec![("a", None, b"b"); MOST + 2];
        let long = "n".repeat(HEAD);
        for bad in [
            written(&many),
            written(&[(&long, None, b"")]),
            written(&[("a", None, b"\xff")]),
            written(&[("", None, b"")]),
            Bytes::from_static(b""),
            Bytes::from_static(b"----x"),
            Bytes::from_static(b"----x\r\n\r\n\r\n----x--"),
            body.slice(..body.len() - 6),
        ] {
            assert!(matches!(Multipart::read(Some(KIND), &bad), Err(Failure::BadRequest(_))), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn cut_and_changed_forms_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), content in prop::collection::vec(any::<u8>(), 0..200)) {
            let good = written(&[("csrf", None, b"t"), ("bundle", Some("x"), &content)]);
            let mut changed = good.to_vec();
            let at = at.index(changed.len());
            changed[at] = byte;
            let _ = Multipart::read(Some(KIND), &changed.into());
            prop_assert!(at + 6 >= good.len() || Multipart::read(Some(KIND), &good.slice(..at)).is_err());
            let _ = Multipart::read(Some(KIND), &content.into());
        }
    }
}
