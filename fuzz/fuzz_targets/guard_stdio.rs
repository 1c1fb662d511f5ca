//! What a client sends over standard input: framing, messages, both eras, questions and their answers.
//!
//! The first byte is the limit on a line, so that lines over it are found; the rest is the input. Whatever it is, the front must
//! come to its end, and each line that it writes must be one message.
#![no_main]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use libfuzzer_sys::fuzz_target;
use ostrom_guard::front::stdio::{Settings, serve};
use ostrom_guard::front::{Caller, Handler, Limits};
use ostrom_guard::relay::Relay;
use ostrom_guard::wire::{self, Notification, Request, RpcError};
use serde_json::{Map, Value};
use tokio::io::AsyncWrite;
use tokio::sync::broadcast;

/// A handler that asks the client before it answers a tool's call.
struct Asking(broadcast::Sender<Notification>);

impl Handler for Asking {
    fn open(&self, _principal: &str, _token: Option<&str>) -> Result<Option<Arc<str>>, RpcError> {
        Ok(None)
    }

    async fn discover(&self, _caller: &Caller) -> Map<String, Value> {
        Map::new()
    }

    async fn handle(
        &self,
        _caller: Arc<Caller>,
        request: Request,
        relay: Relay,
    ) -> Result<Map<String, Value>, RpcError> {
        assert!(!request.params.contains_key("requestState"));
        if request.method == "tools/call" {
            let (one, two) = tokio::join!(
                relay.ask("elicitation/create", Map::new()),
                relay.ask("roots/list", Map::new())
            );
            return one.or(two);
        }
        Ok(request.params)
    }

    fn changes(&self, _caller: &Caller) -> broadcast::Receiver<Notification> {
        self.0.subscribe()
    }
}

/// Output that is kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl AsyncWrite for Kept {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.0.lock().expect("nobody panics with it").extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((limit, input)) = data.split_first() else { return };
    let limits = Limits { bytes: 16 * usize::from(*limit) + 16, depth: 16, ..Limits::default() };
    let settings = Settings { limits, log: Arc::new(|_: &str| {}), ..Settings::new("user") };
    let (output, handler) = (Kept::default(), Arc::new(Asking(broadcast::Sender::new(1))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(serve(handler, input, output.clone(), settings)).expect("neither end fails");
    let written = output.0.lock().expect("nobody panics with it");
    for line in written.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        wire::parse(line, &wire::Limits::default()).expect("a message");
    }
});
