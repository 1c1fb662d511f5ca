//! Files that only their owner may read.

use std::io::{self, Write as _};
use std::path::Path;

/// Writes a new file (mode 0600) that is there wholly or not at all, whoever looks meanwhile and whatever kills the process;
/// one that exists is left as it is. Half a key would be taken for a broken one, and never be made anew.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // `tempfile` gives nobody else access, and removes what was not given its name.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map(drop).map_err(|error| error.error)
}
