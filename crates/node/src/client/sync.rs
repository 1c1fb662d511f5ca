//! Where a copy of a collection goes on.

use ostrom_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Client, ClientError, Envelope};

/// Where a copy of a collection goes on: in the middle of a list of pages, or after the last object that there was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// After the objects that were added at this time.
    pub added: Option<Timestamp>,
    /// In the middle of a list: what to ask for the next page with.
    pub next: Option<String>,
}

impl Place {
    /// After this page. Within a list the time stays, since pages end in the middle of a batch, whose objects all have the same time.
    pub fn after(&mut self, page: &Envelope) {
        if !page.more {
            self.added = page.added_last.or(self.added);
        }
        self.next = page.next.clone();
    }
}

impl Client {
    /// The next page of a collection, and the place after it.
    ///
    /// # Errors
    /// If the node does not answer it.
    pub async fn sync_on(
        &self,
        collection: &str,
        place: &Place,
        limit: usize,
    ) -> Result<(Envelope, Place), ClientError> {
        let page = self.sync(collection, place.added, place.next.as_deref(), limit).await?;
        let mut after = place.clone();
        after.after(&page);
        Ok((page, after))
    }
}
