//! Settings of the node: names and values.

use crate::db::args;
use crate::{Error, Store, Writing};

impl Store {
    /// A setting.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, Error> {
        let row = self.first("SELECT value FROM setting WHERE name = $1", args![name]).await?;
        row.map(|row| row.text(0)).transpose()
    }

    /// All settings, by name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn settings(&self) -> Result<Vec<(String, String)>, Error> {
        let rows = self.fetch("SELECT name, value FROM setting ORDER BY name", args![]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }
}

impl Writing {
    /// Sets a setting; `None` forgets it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), Error> {
        match value {
            Some(value) => {
                let sql = "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
                self.execute(sql, args![name, value]).await?;
            }
            None => {
                self.execute("DELETE FROM setting WHERE name = $1", args![name]).await?;
            }
        }
        Ok(())
    }
}
