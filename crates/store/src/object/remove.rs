use crate::{Error, Writing};
use ostrom_core::{CollectionId, ObjectId, Timestamp};

impl Writing {
    /// Removes a version of an object from a collection, or all its versions there, and leaves tombstones that the same readers see. Returns how many.
    ///
    /// What referred to it stays as strict as it was.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn remove(
        &mut self,
        _collection: CollectionId,
        _id: &ObjectId,
        _version: Option<Timestamp>,
        _why: Option<&str>,
    ) -> Result<u64, Error> {
        Err(Error::Refused("not yet".to_owned()))
    }
}
