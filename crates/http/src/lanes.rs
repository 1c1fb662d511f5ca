//! Threads for connections, each with a scheduler of its own.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Threads that connections are spread over. One works on a connection from its first byte to its last, so what a request does is not handed from
/// thread to thread, which would cost more than most requests themselves. Dropping it ends the threads and whatever they work on.
#[derive(Debug)]
pub struct Lanes(Vec<Lane>);

#[derive(Debug)]
struct Lane {
    runtime: Handle,
    /// One more than the connections it has.
    load: Arc<()>,
    _running: oneshot::Sender<()>,
}

/// A connection's place in a lane.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) runtime: Handle,
    pub(crate) load: Arc<()>,
}

impl Lanes {
    /// Starts so many threads, at least one.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start(threads: usize) -> io::Result<Self> {
        (0..threads.max(1)).map(|_| Lane::start()).collect::<io::Result<_>>().map(Self)
    }

    /// Where there is least to do.
    pub(crate) fn place(&self) -> Option<Place> {
        let lane = self.0.iter().min_by_key(|lane| Arc::strong_count(&lane.load))?;
        Some(Place { runtime: lane.runtime.clone(), load: Arc::clone(&lane.load) })
    }
}

impl Lane {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel();
        std::thread::Builder::new().name("connections".to_owned()).spawn(move || {
            // It ends when the other half is dropped.
            let _ended = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, load: Arc::default(), _running: running })
    }
}
