use super::{NewObject, Outcome};
use crate::db::{Arg, Db};
use crate::{Error, Writing};

pub(crate) async fn insert(
    _db: &mut Db<'_>,
    _table: &'static str,
    _columns: usize,
    _rows: Vec<Vec<Arg>>,
) -> Result<(), Error> {
    Err(Error::Refused("not yet".to_owned()))
}

impl Writing {
    /// Takes a batch of objects: all that are not there already, at one time of this node's strictly increasing time. The outcomes stand in the order of the objects.
    ///
    /// # Errors
    /// [`Error::Missing`] for an unknown collection, [`Error::Refused`] beyond a limit; nothing of the batch is kept then.
    pub async fn put(&mut self, _objects: Vec<NewObject>) -> Result<Vec<Outcome>, Error> {
        Err(Error::Refused("not yet".to_owned()))
    }
}
