//! Bundles as one file: `.tar.zst`.

use std::fs::File;
use std::io::{BufReader, Read, Write};
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
    let written = compress(BufReader::new(tar), &mut out)
        .and_then(|()| out.flush())
        .and_then(|()| out.get_ref().sync_all())
        .and_then(|()| std::fs::rename(&part, archive));
    written.map_err(|source| {
        // What is there of it is of no use to anybody, and may be what filled the disk.
        let _ = std::fs::remove_file(&part);
        io(archive)(source)
    })
}

/// A reader or writer whose first error ends what it does quietly and is kept. The encoder takes its reader and writer to
/// be infallible, and panics where they are not.
struct Kept<T> {
    inner: T,
    error: Option<std::io::Error>,
}

impl<T> Kept<T> {
    fn new(inner: T) -> Self {
        Self { inner, error: None }
    }
}

impl<R: Read> Read for &mut Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.error.is_none() {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => self.error = Some(error),
                Ok(length) => return Ok(length),
            }
        }
        Ok(0)
    }
}

impl<W: Write> Write for &mut Kept<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.error.is_none() {
            self.error = self.inner.write_all(bytes).err();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn compress(source: impl Read, drain: impl Write) -> std::io::Result<()> {
    let (mut source, mut drain) = (Kept::new(source), Kept::new(drain));
    ruzstd::encoding::compress(&mut source, &mut drain, ruzstd::encoding::CompressionLevel::Fastest);
    source.error.or(drain.error).map_or(Ok(()), Err)
}

/// Unpacks an archive into an empty folder. Only a bundle's own files are taken, by name; anything else is an error.
///
/// # Errors
/// If the archive is damaged, holds something else, or is larger than any bundle.
pub fn unpack(archive: &Path, folder: &Path) -> Result<(), BundleError> {
    unpack_within(archive, folder, MAX_UNPACKED)
}

/// The same, for who has not as much room: what unpacks to more than `most` bytes is an error.
///
/// # Errors
/// As for [`unpack`].
pub fn unpack_within(archive: &Path, folder: &Path, most: u64) -> Result<(), BundleError> {
    let io = |source| BundleError::Io { path: archive.to_owned(), source };
    let name = archive.display().to_string();
    let file = BufReader::new(File::open(archive).map_err(io)?);
    let decoder =
        ruzstd::decoding::StreamingDecoder::new(file).map_err(|error| malformed(name.clone(), error))?;
    let mut tar = tar::Archive::new(decoder.take(most));
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
    nothing_behind(tar.into_inner()).map_err(|error| malformed(name, error))
}

/// Other programs go on reading where this one stops: what they would find there nobody has checked.
fn nothing_behind(mut rest: std::io::Take<impl Decoder>) -> std::io::Result<()> {
    let behind = |what| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    let mut piece = [0; 4096];
    loop {
        let read = rest.read(&mut piece)?;
        if read == 0 {
            break;
        }
        if piece.iter().take(read).any(|byte| *byte != 0) {
            return Err(behind("there is something behind the end of the archive"));
        }
    }
    if rest.limit() == 0 {
        return Err(behind("it is larger than any bundle"));
    }
    match rest.into_inner().source().read(&mut piece)? {
        0 => Ok(()),
        _ => Err(behind("there is something behind the compressed data")),
    }
}

/// What decompresses, and what it reads.
trait Decoder: Read {
    fn source(self) -> impl Read;
}

impl<R: Read> Decoder for ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder> {
    fn source(self) -> impl Read {
        self.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes and then says that the disk is full; or gives so many and then breaks.
    struct Broken(usize);

    impl Write for Broken {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::ErrorKind::ConnectionReset.into());
            }
            let given = buffer.len().min(self.0);
            self.0 -= given;
            Ok(given)
        }
    }

    #[test]
    fn a_full_disk_or_a_broken_source_is_an_error_and_no_panic() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        for room in [0, 1, 9, 5_000, 200_000] {
            let error = compress(&*text, Broken(room)).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{room}");
            let error = compress(Broken(room), Vec::new()).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{room}");
        }
        assert!(compress(&*text, Vec::new()).is_ok());
    }

    #[test]
    fn what_other_programs_would_read_behind_the_end_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (archive, out) = (folder.path().join("a.tar.zst"), folder.path().join("out"));
        std::fs::create_dir(&out).unwrap();
        let frame = |tar: &[u8]| {
            let mut packed = Vec::new();
            compress(tar, &mut packed).unwrap();
            packed
        };
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        builder.append_data(&mut header, MANIFEST, &b"x"[..]).unwrap();
        let whole = builder.into_inner().unwrap();
        let (file, end) = whole.split_at(1_024);
        for (bytes, sound) in [
            (frame(&whole), true),
            ([frame(file), frame(&whole)].concat(), false),
            ([frame(&whole), frame(&whole)].concat(), false),
            ([frame(&whole), b"x".to_vec()].concat(), false),
            (frame(&[file, end, file].concat()), false),
        ] {
            std::fs::write(&archive, bytes).unwrap();
            assert_eq!(unpack(&archive, &out).is_ok(), sound);
        }
    }
}
