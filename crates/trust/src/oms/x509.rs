//! What is read of an X.509 certificate. Paths are built and signatures checked by `webpki`; see `certificate`.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef};
use der::{DateTime, Decode as _, Encode as _, Tag, TagNumber, Tagged as _};

use super::certificate::date;
use super::key::EcPublicKey;
use super::show::show;

const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// What is understood of a root, so that it may be critical.
const UNDERSTOOD: [ObjectIdentifier; 5] =
    [KEY_USAGE, SUBJECT_ALT_NAME, BASIC_CONSTRAINTS, NAME_CONSTRAINTS, EXTENDED_KEY_USAGE];
/// Bounds what a stranger's certificate costs.
const MAX_CERTIFICATE: usize = 64 << 10;

/// An extension, its value undecoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) id: ObjectIdentifier,
    critical: bool,
    /// The whole extension in DER.
    der: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// A certificate's parts, in DER where they are not decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    /// The fields of the TBSCertificate before the extensions.
    fields: Vec<Vec<u8>>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    pub(super) public_key: Vec<u8>,
    /// Seconds since 1970, both ends included.
    pub(super) not_before: u64,
    pub(super) not_after: u64,
    pub(super) extensions: Vec<Extension>,
}

/// Who a certificate says its holder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AltName {
    Email(String),
    Uri(String),
    /// An `otherName` of this type, if its value is a UTF8String.
    Other(ObjectIdentifier, String),
}

type Parsed<T> = Result<T, der::Error>;

fn parts<'a>(der: &'a [u8]) -> Parsed<Vec<AnyRef<'a>>> {
    Vec::<AnyRef<'a>>::from_der(der)
}

/// The members of a SEQUENCE (or a constructed value whose content is members).
fn members<'a>(value: &AnyRef<'a>) -> Parsed<Vec<AnyRef<'a>>> {
    let mut rest = value.value();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (member, after) = AnyRef::from_der_partial(rest)?;
        found.push(member);
        rest = after;
    }
    Ok(found)
}

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, String> {
        if der.len() > MAX_CERTIFICATE {
            return Err("it is longer than 64 KiB".to_owned());
        }
        Self::parse(der).map_err(|error| format!("not an X.509 certificate ({error})"))
    }

    fn parse(der: &[u8]) -> Parsed<Self> {
        let malformed = || der::Error::from(der::ErrorKind::Failed);
        let certificate = parts(der)?;
        let [tbs, _, _] = certificate.as_slice() else { return Err(malformed()) };
        tbs.tag().assert_eq(Tag::Sequence)?;
        let mut fields = members(tbs)?;
        let explicit = |number| Tag::ContextSpecific { constructed: true, number };
        let mut extensions = Vec::new();
        if fields.last().map(AnyRef::tag) == Some(explicit(TagNumber(3))) {
            let list = fields.pop().ok_or_else(malformed)?;
            let [list] = members(&list)?.try_into().map_err(|_| malformed())?;
            for extension in members(&list)? {
                let extension = Extension::parse(&extension)?;
                // RFC 5280 section 4.2: readers differ in which of two they take.
                if extensions.iter().any(|other: &Extension| other.id == extension.id) {
                    return Err(malformed());
                }
                extensions.push(extension);
            }
        }
        let mut rest = fields.iter().peekable();
        rest.next_if(|field| field.tag() == explicit(TagNumber(0)));
        let [_serial, _algorithm, issuer, validity, subject, key] =
            std::array::from_fn(|_| rest.next().copied());
        let validity = members(&validity.ok_or_else(malformed)?)?;
        let [not_before, not_after] = validity.as_slice() else { return Err(malformed()) };
        let encode = |field: Option<AnyRef<'_>>| field.ok_or_else(malformed)?.to_der();
        Ok(Self {
            der: der.to_vec(),
            issuer: encode(issuer)?,
            subject: encode(subject)?,
            public_key: encode(key)?,
            not_before: time(not_before)?,
            not_after: time(not_after)?,
            fields: fields.iter().map(AnyRef::to_der).collect::<Parsed<_>>()?,
            extensions,
        })
    }

    /// Checks that this time, in seconds since 1970, lies within its validity.
    pub(super) fn check_time(&self, time: u64) -> Result<(), String> {
        if self.is_valid_at(time) {
            return Ok(());
        }
        Err(format!(
            "{} is valid from {} to {}, but the time that counts is {}",
            show(&self.subject_name()),
            date(self.not_before),
            date(self.not_after),
            date(time)
        ))
    }

    /// Whether this time, in seconds since 1970, lies within its validity.
    pub(super) fn is_valid_at(&self, time: u64) -> bool {
        (self.not_before..=self.not_after).contains(&time)
    }

    /// Whether it names itself as its issuer.
    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// The key, if it is one of the format's kinds.
    pub(super) fn ec_key(&self) -> Option<EcPublicKey> {
        EcPublicKey::from_spki(&self.public_key)
    }

    pub(super) fn extension(&self, id: ObjectIdentifier) -> Option<&[u8]> {
        self.extensions
            .iter()
            .find(|extension| extension.id == id)
            .map(|extension| extension.value.as_slice())
    }

    /// A bit of the key usage extension; nothing if there is none.
    fn key_usage(&self, bit: usize) -> Option<bool> {
        let value = self.extension(KEY_USAGE)?;
        let set = BitStringRef::from_der(value).is_ok_and(|bits| bits.bits().nth(bit) == Some(true));
        Some(set)
    }

    /// Whether a signature by its key may count: `digitalSignature`, or no key usage and `codeSigning`; and where
    /// purposes are listed, `codeSigning` among them.
    pub(super) fn may_sign_code(&self) -> bool {
        match (self.key_usage(0), self.lists_code_signing()) {
            (_, Some(false)) | (Some(false), _) | (None, None) => false,
            (Some(true), None | Some(true)) | (None, Some(true)) => true,
        }
    }

    /// Whether code signing is among its purposes; nothing if it lists none.
    fn lists_code_signing(&self) -> Option<bool> {
        self.extension(EXTENDED_KEY_USAGE).map(|value| {
            Vec::<ObjectIdentifier>::from_der(value).is_ok_and(|purposes| purposes.contains(&CODE_SIGNING))
        })
    }

    /// How many authorities may stand between it and a signer; nothing if it is no authority at all. One of version 1
    /// has no extensions to say it with, and is one.
    pub(super) fn path_length(&self) -> Option<u64> {
        let Some(value) = self.extension(BASIC_CONSTRAINTS) else {
            let is_first_version = self.fields.first().is_none_or(|field| field.first() != Some(&0xa0));
            return is_first_version.then_some(u64::MAX);
        };
        let constraints = parts(value).ok()?;
        let (is_authority, length) = match constraints.as_slice() {
            [is_authority] => (is_authority, u64::MAX),
            [is_authority, length] => (is_authority, length.decode_as().ok()?),
            _ => return None,
        };
        is_authority.decode_as::<bool>().ok().filter(|is| *is).map(|_| length)
    }

    /// Why paths cannot end at it, as `webpki` asks nothing of a root but a name and a key; nothing if they can.
    pub(super) fn unfit_as_root(&self, time: u64) -> Option<&'static str> {
        let unknown = |extension: &Extension| extension.critical && !UNDERSTOOD.contains(&extension.id);
        let objections = [
            (!self.is_valid_at(time), "is not valid at the time that counts"),
            (self.path_length().is_none(), "is not an authority (basic constraints)"),
            (!self.may_sign_certificates(), "may not sign certificates (key usage)"),
            (self.lists_code_signing() == Some(false), "is for other purposes than signing code"),
            (self.extensions.iter().any(unknown), "has a critical extension that is not understood"),
        ];
        objections.into_iter().find(|(holds, _)| *holds).map(|(_, why)| why)
    }

    /// Whether it restricts the names in the certificates below it.
    pub(super) fn constrains_names(&self) -> bool {
        self.extension(NAME_CONSTRAINTS).is_some()
    }

    /// Whether name constraints could pass over the common name, which is what people are shown: it looks like the
    /// name of a host or a mail address, and is none of the alternative names, which the constraints are held against.
    pub(super) fn common_name_escapes_constraints(&self) -> bool {
        let Some(common) = self.common_name().filter(|name| name.contains(['.', '@'])) else { return false };
        let names = self.extension(SUBJECT_ALT_NAME).unwrap_or_default();
        let Ok(names) = AnyRef::from_der(names).and_then(|list| members(&list)) else { return true };
        // Mail addresses, hosts and URIs.
        let is_common = |name: &AnyRef<'_>| {
            matches!(name.tag(), Tag::ContextSpecific { number, .. } if matches!(number.value(), 1 | 2 | 6))
                && name.value().eq_ignore_ascii_case(common.as_bytes())
        };
        !names.iter().any(is_common)
    }

    /// Whether it may sign certificates, as far as the key usage says.
    pub(super) fn may_sign_certificates(&self) -> bool {
        self.key_usage(5).unwrap_or(true)
    }

    /// Whether code signing is among the listed purposes.
    pub(super) fn is_for_code_signing(&self) -> bool {
        self.may_sign_code() && self.extension(EXTENDED_KEY_USAGE).is_some()
    }

    /// The common name, or else the DER of the subject in hexadecimal digits.
    pub(super) fn subject_name(&self) -> String {
        self.common_name().unwrap_or_else(|| super::show::hex(&self.subject))
    }

    fn common_name(&self) -> Option<String> {
        for set in parts(&self.subject).ok()? {
            for attribute in members(&set).ok()? {
                if let [id, value] = members(&attribute).ok()?.as_slice()
                    && id.decode_as::<ObjectIdentifier>().ok() == Some(COMMON_NAME)
                {
                    return std::str::from_utf8(value.value()).ok().map(str::to_owned);
                }
            }
        }
        None
    }

    /// The alternative names of the kinds that identify signers. Nothing if one of them cannot be read.
    pub(super) fn alt_names(&self) -> Option<Vec<AltName>> {
        let Some(value) = self.extension(SUBJECT_ALT_NAME) else { return Some(Vec::new()) };
        let mut names = Vec::new();
        for name in AnyRef::from_der(value).and_then(|list| members(&list)).ok()? {
            let Tag::ContextSpecific { number, .. } = name.tag() else { return None };
            match number.value() {
                0 => {
                    let other = members(&name).ok()?;
                    let [id, value] = other.as_slice() else { return None };
                    let id = id.decode_as::<ObjectIdentifier>().ok()?;
                    if let [text] = members(value).ok()?.as_slice()
                        && text.tag() == Tag::Utf8String
                    {
                        names.push(AltName::Other(id, utf8(text.value())?));
                    }
                }
                1 => names.push(AltName::Email(utf8(name.value())?)),
                6 => names.push(AltName::Uri(utf8(name.value())?)),
                _ => {}
            }
        }
        Some(names)
    }

    /// The TBSCertificate as it was before this extension was put in (RFC 6962, section 3.2).
    pub(super) fn tbs_without(&self, id: ObjectIdentifier) -> Option<Vec<u8>> {
        let kept: Vec<u8> = self
            .extensions
            .iter()
            .filter(|extension| extension.id != id)
            .flat_map(|e| e.der.clone())
            .collect();
        let list = wrap(0x30, &kept)?;
        let mut content: Vec<u8> = self.fields.concat();
        content.extend(wrap(0xa3, &list)?);
        wrap(0x30, &content)
    }
}

impl Extension {
    fn parse(extension: &AnyRef<'_>) -> Parsed<Self> {
        let members = members(extension)?;
        let (id, critical, value) = match members.as_slice() {
            [id, value] => (id, false, value),
            [id, critical, value] => (id, critical.decode_as()?, value),
            _ => return Err(der::ErrorKind::Failed.into()),
        };
        let value = value.decode_as::<&OctetStringRef>()?;
        Ok(Self { id: id.decode_as()?, critical, der: extension.to_der()?, value: value.as_bytes().to_vec() })
    }
}

fn utf8(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn time(value: &AnyRef<'_>) -> Parsed<u64> {
    let time: DateTime = match value.tag() {
        Tag::UtcTime => value.decode_as::<der::asn1::UtcTime>()?.to_date_time(),
        _ => value.decode_as::<der::asn1::GeneralizedTime>()?.to_date_time(),
    };
    Ok(time.unix_duration().as_secs())
}

/// A DER value from its tag and content.
fn wrap(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![tag];
    out.extend(der::Length::try_from(content.len()).ok()?.to_der().ok()?);
    out.extend_from_slice(content);
    Some(out)
}
