//! Containers: archives and compressed streams.
//!
//! Each is read by our own reader or by a decoder behind [`unpack`], which bounds what comes out and turns a decoder's
//! error or panic into a finding. What was unpacked before an error is examined all the same: loaders that stream run
//! the beginning before they notice.

mod fields;
mod frames;
mod gzip;
mod names;
mod streams;
mod tar;
#[cfg(test)]
mod tests;
mod unpack;
mod xz;
mod zip;
mod zlib;

use crate::detect::Format;
use crate::source::View;
use crate::trouble::Trouble;

/// The formats that are examined here.
pub(crate) const FORMATS: &[Format] = &[
    Format { name: "zip", detect: zip::detect, examine: zip::examine },
    Format { name: "tar", detect: tar::detect, examine: tar::examine },
    Format { name: "gzip", detect: |probe| Ok(gzip::is(probe.head).into()), examine: gzip::examine },
    Format { name: "zlib", detect: zlib::detect, examine: zlib::examine },
    Format {
        name: "joblib-zfile",
        detect: |probe| Ok(zlib::is_zfile(probe.head).into()),
        examine: zlib::examine_zfile,
    },
    Format {
        name: "bzip2",
        detect: |probe| Ok(streams::is_bzip2(probe.head).into()),
        examine: streams::examine_bzip2,
    },
    Format { name: "xz", detect: |probe| Ok(xz::is(probe.head).into()), examine: xz::examine },
    Format { name: "lzma", detect: |probe| Ok(streams::is_lzma(probe.head)), examine: streams::examine_lzma },
    Format {
        name: "zstd",
        detect: |probe| Ok(frames::is_zstd(probe)?.into()),
        examine: frames::examine_zstd,
    },
    Format {
        name: "lz4",
        detect: |probe| Ok(frames::is_lz4(probe.head).into()),
        examine: frames::examine_lz4,
    },
    Format {
        name: "unsupported-archive",
        detect: |probe| Ok(streams::unsupported(probe.head).is_some().into()),
        examine: streams::examine_unsupported,
    },
];

/// Where the end record of a zip stands, if the bytes end in one or nearly so.
pub(crate) fn zip_ends_at(view: &View) -> Result<Option<u64>, Trouble> {
    zip::ends_at(view)
}

crate::rules::declare! {
    READINGS_DIFFER = "archive-readings-differ",
    SEVERAL_DIRECTORIES = "archive-several-directories",
    UNLISTED_MEMBER = "archive-unlisted-member",
    HIDDEN_BYTES = "archive-hidden-bytes",
    OVERLAP = "archive-overlap",
    BOMB = "archive-bomb",
    DUPLICATE_NAME = "archive-duplicate-name",
    PATH_ESCAPE = "archive-path-escape",
    LINK = "archive-link",
    DEVICE = "archive-device",
    ODD_NAME = "archive-odd-name",
    CHECKSUM = "archive-checksum",
    ENCRYPTED = "archive-encrypted",
    UNSUPPORTED = "archive-unsupported",
}
