//! The approval channels `web` and `webhook`: a listener of its own, on this machine only, that agents have no business with.
//!
//! *Invariant:* an answer counts only with something that never passes the front: the cookie of a session that was opened with a
//! link of the guard's owner, or a signature under the webhook's key. What the agent's client elicits is no answer.

mod page;
mod session;
#[cfg(test)]
pub(super) mod tests;
mod view;
mod webhook;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use reqwest::Url;

pub(super) use page::Page;

use self::webhook::{Key, Webhook};
use super::ServeError;
use super::servers::Log;
use crate::front::http::{Server, connections};
use crate::gateway::Gateway;
use crate::policy::config::{Channel, Config};

/// Where the webhook's service answers.
const ANSWER: &str = "/answer";
/// Connections at a time.
const CONNECTIONS: usize = 32;
/// The pause after the first try to reach the webhook's service.
const PAUSE: Duration = Duration::from_secs(2);

/// What is to be there.
struct Settings {
    listen: SocketAddr,
    web: bool,
    webhook: Option<webhook::Settings>,
}

/// What the listener answers with.
struct App {
    page: Option<Arc<Page>>,
    webhook: Option<Arc<Webhook>>,
}

/// The channels, listening.
pub(super) struct Approval {
    server: Server,
    page: Option<Arc<Page>>,
    webhook: Option<Arc<Webhook>>,
}

impl Approval {
    /// Opens the channels that are configured, and says where they are. `None` if there is neither of these two.
    pub(super) async fn start(
        config: &Config,
        gateway: &Arc<Gateway>,
        log: &Log,
    ) -> Result<Option<Self>, ServeError> {
        let Some(settings) = settings(config)? else { return Ok(None) };
        let this = Self::open(settings, gateway, log).await?;
        let address = this.server.address();
        if let Some(page) = &this.page {
            // Over stdio our log is the client's, which the agent may be able to read.
            if config.front.listen == "stdio" {
                log(&format!(
                    "the approval page is on http://{address}: ostrom guard approve --page prints the link that opens it"
                ));
            } else {
                let link = page.link().map_err(ServeError::Configuration)?;
                log(&format!(
                    "approval page: {link} (works once, within an hour; ostrom guard approve --page prints another)"
                ));
            }
        }
        if let Some(webhook) = &this.webhook {
            log(&format!("answers of {} are taken at http://{address}{ANSWER}", webhook.by()));
        }
        Ok(Some(this))
    }

    async fn open(settings: Settings, gateway: &Arc<Gateway>, log: &Log) -> Result<Self, ServeError> {
        let listen = settings.listen;
        if !listen.ip().is_loopback() {
            return Err(ServeError::Configuration(format!(
                "approval.web-listen = \"{listen}\" can be reached by others: write a loopback address such as 127.0.0.1:8932"
            )));
        }
        let failed =
            |source| ServeError::File { path: format!("approval.web-listen {listen}").into(), source };
        let connections = connections(listen, CONNECTIONS).await.map_err(failed)?;
        let address = connections.address();
        let page = settings.web.then(|| Arc::new(Page::new(gateway.clone(), address)));
        let webhook = match settings.webhook {
            None => None,
            Some(webhook) => {
                let answer_to = format!("http://{address}{ANSWER}");
                let webhook = Webhook::new(gateway.clone(), webhook, answer_to, log.clone());
                Some(Arc::new(webhook.map_err(ServeError::Configuration)?))
            }
        };
        let app = Arc::new(App { page: page.clone(), webhook: webhook.clone() });
        let router = Router::new().fallback(endpoint).with_state(app);
        let server = Server::of(connections, router, log.clone());
        Ok(Self { server, page, webhook })
    }

    /// The page, if there is one.
    pub(super) fn page(&self) -> Option<Arc<Page>> {
        self.page.clone()
    }

    /// Serves for as long as it is polled.
    pub(super) async fn run(self) {
        let asking = async {
            match self.webhook {
                Some(webhook) => webhook.run().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.server.run(pending()) => {}
            () = asking => {}
        }
    }
}

async fn endpoint(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let (Some(webhook), ANSWER) = (&app.webhook, parts.uri.path()) {
        // No check of the host: a proxy in between may have another, and no browser can make the signature.
        return webhook.answered(&parts, body).await;
    }
    match &app.page {
        Some(page) => page.handle(&parts, body).await,
        None => page::text(StatusCode::NOT_FOUND, "nothing is here"),
    }
}

/// From the configuration and the environment.
fn settings(config: &Config) -> Result<Option<Settings>, ServeError> {
    let approval = &config.approval;
    let has = |channel| approval.channels.contains(&channel);
    if !has(Channel::Web) && !has(Channel::Webhook) {
        return Ok(None);
    }
    let wrong = ServeError::Configuration;
    let listen = approval.web_listen.parse().map_err(|_| {
        wrong(format!("approval.web-listen = {:?} is not an address with a port", approval.web_listen))
    })?;
    let webhook = match &approval.webhook {
        Some(webhook) if has(Channel::Webhook) => {
            let variable = &webhook.secret_env;
            let given = config.servers.iter().find(|(_, server)| server.server.env.contains(variable));
            if let Some((name, _)) = given {
                return Err(wrong(format!(
                    "servers.{name}.env passes {variable} on, the key of approval.webhook: with it that server could answer"
                )));
            }
            let secret = std::env::var(variable).map_err(|_| {
                wrong(format!("the environment has no {variable}, which approval.webhook.secret-env names"))
            })?;
            let key = Key::new(&secret).map_err(wrong)?;
            Some(webhook::Settings { url: url(&webhook.url).map_err(wrong)?, key, pause: PAUSE })
        }
        _ => None,
    };
    Ok(Some(Settings { listen, web: has(Channel::Web), webhook }))
}

/// A URL that questions may be sent to.
fn url(text: &str) -> Result<Url, String> {
    let wrong = || format!("approval.webhook.url = {text:?}: write https://…, or http://… on this machine");
    let url = Url::parse(text).map_err(|_| wrong())?;
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        _ => Err(wrong()),
    }
}
