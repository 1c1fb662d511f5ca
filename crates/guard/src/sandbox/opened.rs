//! Files under the very names that were looked up when the sandbox was prepared.
//!
//! *Invariant:* no link is followed on the way. Prepared paths have none, so one that is met was put there since, by
//! somebody who may rename what lies there: perhaps the server itself, which would choose what it is granted.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, fstat, open, openat};

/// Folders on the way need only be passed through.
#[cfg(target_os = "linux")]
const THROUGH: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const THROUGH: OFlags = OFlags::RDONLY;

/// Opens `path`, which must be absolute.
///
/// # Errors
/// What the system said; for a link, what to do about it.
pub(super) fn unfollowed(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let within = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut found = open("/", THROUGH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut components = path.components().skip_while(|part| *part == Component::RootDir).peekable();
    while let Some(part) = components.next() {
        let Component::Normal(name) = part else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a resolved path"));
        };
        let flags = if components.peek().is_some() { THROUGH | OFlags::DIRECTORY } else { flags };
        found = match openat(&found, name, flags | within, Mode::empty()) {
            // A link on the way is no folder.
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => return Err(changed()),
            other => other?,
        };
    }
    // Without reading or writing, a link itself can be opened.
    if FileType::from_raw_mode(fstat(&found)?.st_mode) == FileType::Symlink {
        return Err(changed());
    }
    Ok(found)
}

fn changed() -> io::Error {
    io::Error::other(
        "it leads through a link, and did not when the sandbox was prepared; somebody has put it there since. Put \
         back what was there, or start the guard again if you have changed it",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_is_followed_on_the_way_nor_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        fs::create_dir(base.join("a")).unwrap();
        fs::write(base.join("a/file"), "text").unwrap();
        symlink(base.join("a"), base.join("way")).unwrap();
        symlink(base.join("a/file"), base.join("a/end")).unwrap();
        for flags in [THROUGH, OFlags::RDONLY] {
            for good in ["a", "a/file"] {
                unfollowed(&base.join(good), flags).unwrap();
            }
            unfollowed(Path::new("/"), flags).unwrap();
            for bad in ["way", "way/file", "a/end"] {
                let error = unfollowed(&base.join(bad), flags).unwrap_err().to_string();
                assert!(error.contains("leads through a link"), "{bad}: {error}");
            }
            let missing = unfollowed(&base.join("a/nothing"), flags).unwrap_err();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
            assert!(unfollowed(&base.join("a/../a/file"), flags).is_err());
        }
    }
}
