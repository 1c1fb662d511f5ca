//! Signed certificate timestamps: that a log of certificates promised to show the certificate.
//!
//! Source: RFC 6962, sections 3.2 and 3.3.

use der::Decode as _;
use der::asn1::{ObjectIdentifier, OctetStringRef};
use sha2::{Digest as _, Sha256};

use super::super::error::OmsError;
use super::super::x509::Certificate;
use super::refuse;
use super::trusted_root::TrustedRoot;

/// The extension with the timestamps.
pub(super) const SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");

/// SHA-256 (4) with ECDSA (3), in the numbers of TLS 1.2.
const SHA256_ECDSA: [u8; 2] = [4, 3];

/// More than any certificate has.
const MAX_TIMESTAMPS: usize = 16;

/// Reads big-endian numbers and byte strings from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// A byte string after its length of two bytes.
    fn string(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number(2)?).ok()?;
        self.take(len)
    }
}

struct Timestamp<'a> {
    log_id: &'a [u8],
    milliseconds: u64,
    extensions: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Timestamp<'a> {
    /// `None` for other versions and signature algorithms: no log of ours makes them.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.number(1)? != 0 {
            return None;
        }
        let log_id = reader.take(32)?;
        let milliseconds = reader.number(8)?;
        let extensions = reader.string()?;
        if reader.take(2)? != SHA256_ECDSA {
            return None;
        }
        let signature = reader.string()?;
        reader.0.is_empty().then_some(Self { log_id, milliseconds, extensions, signature })
    }
}

/// What a log signs for a precertificate. `tbs` is without the timestamps.
pub(super) fn signed_data(
    issuer_key: &[u8],
    tbs: &[u8],
    milliseconds: u64,
    extensions: &[u8],
) -> Option<Vec<u8>> {
    let len = u32::try_from(tbs.len()).ok().filter(|len| *len < 1 << 24)?.to_be_bytes();
    let mut data = vec![0, 0];
    data.extend(milliseconds.to_be_bytes());
    data.extend([0, 1]);
    data.extend_from_slice(&Sha256::digest(issuer_key));
    data.extend_from_slice(len.get(1..)?);
    data.extend_from_slice(tbs);
    data.extend(u16::try_from(extensions.len()).ok()?.to_be_bytes());
    data.extend_from_slice(extensions);
    Some(data)
}

/// Checks that at least one trusted log signed a timestamp for the certificate, and that none of the timestamps in a
/// trusted log's name is false.
pub(super) fn verify(leaf: &Certificate, issuer: &Certificate, root: &TrustedRoot) -> Result<(), OmsError> {
    let malformed = || refuse("the certificate's timestamps (SCTs) cannot be read");
    let value = leaf
        .extension(SCT_LIST)
        .ok_or_else(|| refuse("the certificate has no timestamp of a certificate transparency log (SCT)"))?;
    let list = <&OctetStringRef>::from_der(value).map_err(|_| malformed())?;
    let mut reader = Reader(list.as_bytes());
    let mut items = Reader(reader.string().filter(|_| reader.0.is_empty()).ok_or_else(malformed)?);
    let tbs = leaf.tbs_without(SCT_LIST).ok_or_else(malformed)?;
    let mut vouched = false;
    for _ in 0..MAX_TIMESTAMPS {
        if items.0.is_empty() {
            break;
        }
        let item = items.string().ok_or_else(malformed)?;
        let Some(timestamp) = Timestamp::parse(item) else { continue };
        let Some(log) = root.certificate_logs.iter().find(|log| log.id == timestamp.log_id) else { continue };
        let data = signed_data(&issuer.public_key, &tbs, timestamp.milliseconds, timestamp.extensions)
            .ok_or_else(malformed)?;
        if !log.period.includes(timestamp.milliseconds / 1000) || !log.key.verify(&data, timestamp.signature)
        {
            return Err(refuse("a timestamp (SCT) of the certificate is not by the log that it names"));
        }
        vouched = true;
    }
    if vouched {
        Ok(())
    } else {
        Err(refuse("no trusted certificate transparency log vouches for the certificate (SCT)"))
    }
}
