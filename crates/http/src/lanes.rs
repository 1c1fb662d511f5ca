//! Threads for connections, each with a scheduler of its own.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Threads that connections are spread over. One works on a connection from its first byte to its last, so what a request does is not handed from
/// thread to thread, which would cost more than most requests themselves. Dropping it ends the threads and whatever they work on, and waits a while
/// for what that leaves to do: a request that is given up may have to be recorded.
#[derive(Debug)]
pub struct Lanes(Vec<Lane>);

#[derive(Debug)]
struct Lane {
    runtime: Handle,
    /// One more than the connections it has.
    load: Arc<()>,
    /// `None` once the thread is to end.
    running: Option<oneshot::Sender<()>>,
    thread: JoinHandle<()>,
}

/// How long threads may take to end.
const PATIENCE: Duration = Duration::from_secs(2);

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
        let thread = std::thread::Builder::new().name("connections".to_owned()).spawn(move || {
            // It ends when the other half is dropped.
            let _ended = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, load: Arc::default(), running: Some(running), thread })
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        for lane in &mut self.0 {
            lane.running = None;
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && !self.0.iter().all(|lane| lane.thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Something that a request still does when it is dropped.
    struct LastWords(Arc<AtomicUsize>);

    impl Drop for LastWords {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(100));
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_under_way_when_lanes_end_has_been_dropped_when_they_have() {
        let said = Arc::new(AtomicUsize::new(0));
        let lanes = Lanes::start(2).unwrap();
        let (begun, begins) = std::sync::mpsc::channel();
        for lane in &lanes.0 {
            let (last, begun) = (LastWords(Arc::clone(&said)), begun.clone());
            lane.runtime.spawn(async move {
                let _last = last;
                begun.send(()).unwrap();
                std::future::pending::<()>().await;
            });
        }
        for _ in &lanes.0 {
            begins.recv().unwrap();
        }
        drop(lanes);
        assert_eq!(said.load(Ordering::SeqCst), 2);
    }
}
