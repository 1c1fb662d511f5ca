//! A bounded channel that takes memory for what waits in it only.
//!
//! A call makes three, and most of them never carry anything. `tokio`'s takes room for 32 messages when it is made: several kilobytes
//! each here, which is more than all else that a call allocates.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Semaphore;

/// Makes a channel in which at most `capacity` messages wait.
pub(crate) fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { waiting: VecDeque::new(), senders: 1, closed: false, receiver: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), room: Semaphore::new(capacity) });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    /// A permit for each message that may still come.
    room: Semaphore,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    senders: usize,
    closed: bool,
    receiver: Option<Waker>,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while it holds this.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in what there is room for. Gives it back if nobody will take it out.
    fn put(&self, message: T) -> Result<(), T> {
        let waker = {
            let mut state = self.lock();
            if state.closed {
                return Err(message);
            }
            state.waiting.push_back(message);
            state.receiver.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

/// The end that messages go in at.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    /// Waits for room.
    ///
    /// # Errors
    /// The message, if nobody listens any more.
    pub(crate) async fn send(&self, message: T) -> Result<(), T> {
        match self.0.room.acquire().await {
            Ok(room) => room.forget(),
            Err(_closed) => return Err(message),
        }
        self.0.put(message)
    }

    /// # Errors
    /// The message, if there is no room or nobody listens any more.
    pub(crate) fn try_send(&self, message: T) -> Result<(), T> {
        match self.0.room.try_acquire() {
            Ok(room) => room.forget(),
            Err(_full_or_closed) => return Err(message),
        }
        self.0.put(message)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        let mut state = self.0.lock();
        state.senders = state.senders.saturating_add(1);
        drop(state);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.0.lock();
            state.senders = state.senders.saturating_sub(1);
            if state.senders > 0 {
                return;
            }
            state.receiver.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The end that messages come out at.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

impl<T> Receiver<T> {
    /// The next message; `None` once there is none and nobody is left to send one.
    pub(crate) fn poll_recv(&mut self, cx: &Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        if let Some(message) = state.waiting.pop_front() {
            drop(state);
            self.0.room.add_permits(1);
            return Poll::Ready(Some(message));
        }
        if state.senders == 0 {
            return Poll::Ready(None);
        }
        if !state.receiver.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            state.receiver = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The next message; `None` once there is none and nobody is left to send one. Nothing is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<T> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next message, if there is one already.
    pub fn try_recv(&mut self) -> Option<T> {
        let message = self.0.lock().waiting.pop_front()?;
        self.0.room.add_permits(1);
        Some(message)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let unread = {
            let mut state = self.0.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        // Whoever waits for room learns that nobody listens.
        self.0.room.close();
        drop(unread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_out_in_order_and_then_the_end() {
        let (sender, mut receiver) = channel(4);
        let other = sender.clone();
        sender.send(1).await.unwrap();
        other.send(2).await.unwrap();
        drop(sender);
        assert_eq!(
            (receiver.recv().await, receiver.try_recv(), receiver.try_recv()),
            (Some(1), Some(2), None)
        );
        let waiting = tokio::spawn(async move { receiver.recv().await });
        tokio::task::yield_now().await;
        drop(other);
        assert_eq!(waiting.await.unwrap(), None);
    }

    #[tokio::test]
    async fn no_more_than_the_capacity_waits_and_room_that_comes_back_is_used() {
        let (sender, mut receiver) = channel(2);
        sender.try_send(1).unwrap();
        sender.try_send(2).unwrap();
        assert_eq!(sender.try_send(3), Err(3));
        let late = tokio::spawn(async move { sender.send(4).await });
        tokio::task::yield_now().await;
        assert_eq!(receiver.0.lock().waiting.len(), 2);
        assert_eq!(receiver.recv().await, Some(1));
        assert_eq!(late.await.unwrap(), Ok(()));
        assert_eq!(
            (receiver.recv().await, receiver.recv().await, receiver.recv().await),
            (Some(2), Some(4), None)
        );
    }

    #[tokio::test]
    async fn nobody_waits_for_a_receiver_that_is_gone_and_what_it_had_not_read_is_dropped() {
        let (sender, receiver) = channel(1);
        let kept = Arc::new(());
        sender.try_send(Arc::clone(&kept)).unwrap();
        let blocked = tokio::spawn(async move {
            let second = sender.send(Arc::new(())).await.is_err();
            (second, sender.try_send(Arc::new(())).is_err())
        });
        tokio::task::yield_now().await;
        drop(receiver);
        assert_eq!(Arc::strong_count(&kept), 1);
        assert_eq!(blocked.await.unwrap(), (true, true));
    }
}
