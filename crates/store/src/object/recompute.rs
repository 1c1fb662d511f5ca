use crate::{Error, Writing};
impl Writing {
    pub(crate) async fn recompute_collection(&mut self, _key: i64) -> Result<(), Error> {
        Err(Error::Refused("not yet".to_owned()))
    }
}
