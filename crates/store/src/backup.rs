//! Copies of a database, and back.

use std::path::Path;

use crate::{Config, Error, Store};

impl Store {
    /// Copies the database to a new file while the node goes on. SQLite only: for PostgreSQL, the error says what to use.
    ///
    /// # Errors
    /// [`Error::Refused`] for PostgreSQL, [`Error::File`] if the file is there already.
    pub async fn backup(&self, to: &Path) -> Result<(), Error> {
        backup_file(self.location(), to).await
    }
}

/// Copies the database at `location` to a new file; a node may be using it.
///
/// # Errors
/// As for [`Store::backup`].
pub async fn backup_file(_location: &crate::Location, _to: &Path) -> Result<(), Error> {
    Err(Error::Refused("not yet".to_owned()))
}

/// Makes the database of `config` from a backup. The backup is checked first; a database that is there already is not overwritten.
///
/// # Errors
/// [`Error::Refused`] for PostgreSQL, [`Error::File`] if there is a database already, [`Error::Damaged`] or [`Error::NotOurs`] for a backup that is not one.
pub async fn restore(_from: &Path, _config: &Config) -> Result<(), Error> {
    Err(Error::Refused("not yet".to_owned()))
}
