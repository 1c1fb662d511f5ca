//! Views that persons saved in the web pages.

use ostrom_core::{PersonId, Timestamp};

use crate::db::args;
use crate::{Error, Store, Writing};

/// A saved view: a query of the web pages under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedView {
    /// Its name, unique for the person.
    pub name: String,
    /// The query: any text, not interpreted here.
    pub query: String,
    /// Since when.
    pub created: Timestamp,
}

impl Store {
    /// A person's saved views, by name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn saved_views(&self, person: PersonId) -> Result<Vec<SavedView>, Error> {
        let sql = "SELECT name, query, created FROM saved_view WHERE person = $1 ORDER BY name";
        let rows = self.fetch(sql, args![person]).await?;
        rows.iter()
            .map(|row| Ok(SavedView { name: row.text(0)?, query: row.text(1)?, created: row.time(2)? }))
            .collect()
    }
}

impl Writing {
    /// Saves a view, or changes the one of that name.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such person.
    pub async fn save_view(&mut self, person: PersonId, name: &str, query: &str) -> Result<(), Error> {
        let sql = "INSERT INTO saved_view (person, name, query, created) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (person, name) DO UPDATE SET query = $3";
        let now = self.now();
        self.execute(sql, args![person, name, query, now]).await?;
        Ok(())
    }

    /// Forgets a saved view.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove_view(&mut self, person: PersonId, name: &str) -> Result<bool, Error> {
        let sql = "DELETE FROM saved_view WHERE person = $1 AND name = $2";
        Ok(self.execute(sql, args![person, name]).await? > 0)
    }
}
