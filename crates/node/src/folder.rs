//! The data folder: only the node's user may look into it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::StartError;
use crate::sign_in::secret::random;

fn wrong(path: &Path) -> impl Fn(std::io::Error) -> StartError + '_ {
    move |source| StartError::Folder { path: path.to_owned(), source }
}

/// Makes the folder and those in it, if they are not there.
pub(crate) fn make(data: &Path) -> Result<(), StartError> {
    for folder in [data.to_owned(), data.join("keys")] {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(wrong(&folder))?;
    }
    Ok(())
}

/// A secret of 32 bytes in a file, made if it is not there.
pub(crate) fn secret(path: &Path) -> Result<[u8; 32], StartError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let bytes = random::<32>().map_err(|error| StartError::State(error.to_string()))?;
            file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(wrong(path))?;
            Ok(bytes)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let bytes = fs::read(path).map_err(wrong(path))?;
            let length = || {
                std::io::Error::new(
                    ErrorKind::InvalidData,
                    "not 32 bytes: remove it, and people sign in again",
                )
            };
            <[u8; 32]>::try_from(bytes).map_err(|_| wrong(path)(length()))
        }
        Err(error) => Err(wrong(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_stays_the_same_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        make(&data).unwrap();
        let path = data.join("keys/forms.key");
        assert_eq!(secret(&path).unwrap(), secret(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(&path, b"short").unwrap();
        assert!(secret(&path).is_err());
    }
}
