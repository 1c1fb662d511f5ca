//! The life of a node.

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use ostrom_http::Connections;

use crate::ticks::Ticks;
use crate::web::{doors, listen, secure, visit};
use crate::{App, BaseUrl, Config, Failure, StartError};

/// A node that listens already and serves once it runs.
#[derive(Debug)]
pub struct Node {
    app: App,
    listener: Connections,
    first: Option<String>,
}

impl Node {
    /// Opens the data folder and listens.
    ///
    /// # Errors
    /// If others could reach it and nobody chose how, or something that it needs cannot be had.
    pub async fn start(mut config: Config) -> Result<Self, StartError> {
        let listener = listen(&config).await?;
        config.listen = listener.address();
        let base = config.base.clone().unwrap_or_else(|| BaseUrl::local(config.listen.port()));
        let app = App::open(config, base).await?;
        let first = app.first_link().await?;
        Ok(Self { app, listener, first })
    }

    /// The address, with the port that was given if any was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Its state.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// The one-time link for the first administrator, while there is none.
    #[must_use]
    pub fn first_link(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// Serves until `stop`.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let router = router(&self.app);
        let ticks = Ticks::start(&self.app);
        self.listener.run(router, |what| eprintln!("ostrom node: {what}"), stop).await;
        drop(ticks);
        self.app.close().await;
    }
}

/// Runs a node until the process is told to end (SIGINT, SIGTERM). `started` is called once it listens.
///
/// # Errors
/// If it cannot start.
pub async fn serve(config: Config, started: impl FnOnce(&Node)) -> Result<(), StartError> {
    let node = Node::start(config).await?;
    started(&node);
    node.run(ended()).await;
    Ok(())
}

async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without handlers the process ends as it always does.
        _ => std::future::pending().await,
    }
}

/// All routes with all that goes before and after them.
pub(crate) fn router(app: &App) -> Router {
    let pages =
        crate::ui::routes(app).merge(crate::sign_in::routes()).layer(from_fn_with_state(app.clone(), visit));
    Router::new()
        .merge(pages)
        .merge(crate::api::routes(app))
        .merge(crate::log::routes())
        .merge(crate::taxii::routes())
        .merge(crate::federation::routes())
        .fallback(nothing)
        .layer(from_fn(no_nul))
        .layer(from_fn_with_state(app.clone(), doors))
        .layer(from_fn_with_state(app.clone(), secure))
        .with_state(app.clone())
}

async fn nothing() -> Failure {
    Failure::NotFound
}

/// No path of ours holds a NUL; databases and file systems take it badly. Queries are looked at where they are read.
async fn no_nul(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    use axum::response::IntoResponse as _;
    if request.uri().path().contains("%00") {
        return Failure::NotFound.into_response();
    }
    next.run(request).await
}
