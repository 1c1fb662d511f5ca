//! Bundles as one file: `.tar.zst`.

use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::path::Path;

use super::read::malformed;
use super::{BundleError, FILES, KEY, MANIFEST, REPORT, STATEMENT};

/// The most that an archive may unpack to, in bytes.
const MAX_UNPACKED: u64 = 16 << 30;

/// Packs a bundle's folder into `archive`. The same bundle always makes the same bytes.
///
/// # Errors
/// If something cannot be read or written.
pub fn pack(folder: &Path, archive: &Path) -> Result<(), BundleError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::Io { path, source }
    };
    let temporary = tempfile::tempfile().map_err(io(archive))?;
    let mut builder = tar::Builder::new(temporary);
    for name in FILES.into_iter().chain([MANIFEST, STATEMENT, KEY, REPORT]) {
        let path = folder.join(name);
        if name == REPORT && !path.is_file() {
            continue;
        }
        let mut file = File::open(&path).map_err(io(&path))?;
        let mut header = tar::Header::new_ustar();
        header.set_size(file.metadata().map_err(io(&path))?.len());
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        builder.append_data(&mut header, name, &mut file).map_err(io(&path))?;
    }
    let mut tar = builder.into_inner().map_err(io(archive))?;
    std::io::Seek::rewind(&mut tar).map_err(io(archive))?;
    let part = archive.with_extension("part");
    let out = File::create(&part).map_err(io(&part))?;
    let mut out = std::io::BufWriter::new(out);
    ruzstd::encoding::compress(BufReader::new(tar), &mut out, ruzstd::encoding::CompressionLevel::Fastest);
    out.flush().map_err(io(&part))?;
    out.get_ref().sync_all().map_err(io(&part))?;
    std::fs::rename(&part, archive).map_err(io(archive))
}

/// Unpacks an archive into an empty folder. Only a bundle's own files are taken, by name; anything else is an error.
///
/// # Errors
/// If the archive is damaged, holds something else, or is larger than any bundle.
pub fn unpack(archive: &Path, folder: &Path) -> Result<(), BundleError> {
    let io = |source| BundleError::Io { path: archive.to_owned(), source };
    let name = archive.display().to_string();
    let file = BufReader::new(File::open(archive).map_err(io)?);
    let decoder =
        ruzstd::decoding::StreamingDecoder::new(file).map_err(|error| malformed(name.clone(), error))?;
    let mut tar = tar::Archive::new(decoder.take(MAX_UNPACKED));
    let mut seen = Vec::new();
    for entry in tar.entries().map_err(|error| malformed(name.clone(), error))? {
        let mut entry = entry.map_err(|error| malformed(name.clone(), error))?;
        let path = entry.path().map_err(|error| malformed(name.clone(), error))?.into_owned();
        let known =
            FILES.iter().chain(&[MANIFEST, STATEMENT, KEY, REPORT]).find(|known| path == Path::new(known));
        let Some(known) = known.filter(|_| entry.header().entry_type() == tar::EntryType::Regular) else {
            return Err(malformed(
                name,
                format!("it holds {}, which is no part of a bundle", path.display()),
            ));
        };
        if seen.contains(known) {
            return Err(malformed(name, format!("it holds {known} twice")));
        }
        seen.push(known);
        let target = folder.join(known);
        let mut out =
            File::create(&target).map_err(|source| BundleError::Io { path: target.clone(), source })?;
        std::io::copy(&mut entry, &mut out).map_err(|error| malformed(name.clone(), error))?;
    }
    Ok(())
}
