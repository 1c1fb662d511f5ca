//! From a server to the endpoints of its authorization server.

use std::net::IpAddr;

use reqwest::Url;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use super::challenge::Challenge;
use super::{OAuth, Registration};
use crate::back::Fault;
use crate::back::clean::quote;
use crate::back::http::{address, cause, is_loopback, read};

/// The largest document that is read.
const BYTES: usize = 256 << 10;
/// Authorization servers that are looked at.
const SERVERS: usize = 8;

/// What is needed of a protected resource's metadata (RFC 9728).
#[derive(Deserialize)]
struct Resource {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    scopes_supported: Option<Vec<String>>,
}

/// What is needed of an authorization server's metadata (RFC 8414, OpenID Connect Discovery).
#[derive(Deserialize)]
struct Issuer {
    issuer: String,
    #[serde(deserialize_with = "address_of")]
    authorization_endpoint: Url,
    #[serde(deserialize_with = "address_of")]
    token_endpoint: Url,
    #[serde(default, deserialize_with = "some_address_of")]
    registration_endpoint: Option<Url>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    client_id_metadata_document_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

fn address_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    Url::parse(&text).map_err(|_| D::Error::custom("an endpoint is no URL"))
}

fn some_address_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| Url::parse(&text).map_err(|_| D::Error::custom("an endpoint is no URL"))).transpose()
}

/// Where to obtain a token for what.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) resource: String,
    pub(super) scopes: Option<String>,
    pub(super) issuer: String,
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) registration: Option<Url>,
    /// Whether it promises to name itself in its answer (RFC 9207).
    pub(super) names_itself: bool,
    /// Whether it knows clients by their documents.
    pub(super) takes_documents: bool,
    /// Whether a client's secret goes into the form rather than into a header.
    pub(super) secret_in_form: bool,
}

/// The only authorization server that may be used, if there is one.
pub(super) fn wanted(config: &OAuth) -> Option<&str> {
    match &config.registration {
        Registration::Client { issuer, .. } => issuer.as_deref(),
        Registration::Document(_) | Registration::Dynamic => None,
    }
}

impl Places {
    /// Finds them.
    pub(super) async fn discover(
        client: &reqwest::Client,
        server: &Url,
        challenge: &Challenge,
        config: &OAuth,
    ) -> Result<Self, Fault> {
        let resource = resource(client, server, challenge).await?;
        let scopes = resource.scopes_supported.map(|scopes| scopes.join(" "));
        let wanted = wanted(config);
        let chosen = resource.authorization_servers.iter().take(SERVERS);
        let mut chosen = chosen.filter(|issuer| wanted.is_none_or(|wanted| wanted == *issuer));
        let Some(name) = chosen.next() else {
            return Err(unauthorized(match wanted {
                Some(_) => "it does not name the authorization server at which the guard is registered",
                None => "its metadata name no authorization server",
            }));
        };
        let found = issuer(client, server, name).await?;
        for url in [&found.authorization_endpoint, &found.token_endpoint]
            .into_iter()
            .chain(&found.registration_endpoint)
        {
            permitted(url, server)?;
        }
        if !found.code_challenge_methods_supported.iter().any(|method| method == "S256") {
            return Err(unauthorized("its authorization server does not say that it supports PKCE (S256)"));
        }
        let methods = found.token_endpoint_auth_methods_supported;
        let secret_in_form = methods.is_some_and(|methods| {
            methods.iter().any(|method| method == "client_secret_post")
                && !methods.iter().any(|method| method == "client_secret_basic")
        });
        Ok(Self {
            resource: resource.resource,
            scopes,
            issuer: found.issuer,
            authorization: found.authorization_endpoint,
            token: found.token_endpoint,
            registration: found.registration_endpoint,
            names_itself: found.authorization_response_iss_parameter_supported,
            takes_documents: found.client_id_metadata_document_supported,
            secret_in_form,
        })
    }
}

fn unauthorized(text: &str) -> Fault {
    Fault::Unauthorized(text.to_owned())
}

/// Whether an address that was named on behalf of a server may be used: https, and not to a private address unless the server has
/// one itself; or plain http on this machine, if the server is there too.
pub(super) fn permitted(url: &Url, server: &Url) -> Result<(), Fault> {
    let quoted = || quote(url.host_str().unwrap_or("an address without a host"));
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(Fault::Unauthorized(
            "its metadata hold an address with a password or a fragment".to_owned(),
        ));
    }
    let local = is_loopback(server);
    match url.scheme() {
        "http" if local && is_loopback(url) => return Ok(()),
        "https" => {}
        _ => {
            return Err(Fault::Unauthorized(format!(
                "its metadata lead to {}, which is not https; they are not followed",
                quoted()
            )));
        }
    }
    let hidden = |url: &Url| is_loopback(url) || url.host_str().and_then(address).is_some_and(is_private);
    if hidden(url) && !hidden(server) {
        return Err(Fault::Unauthorized(format!(
            "its metadata lead to {}, an address of a private network; they are not followed",
            quoted()
        )));
    }
    Ok(())
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_link_local() || v4.is_loopback() || v4.is_unspecified() || v4.is_broadcast()
                // Shared between a provider and its customers (RFC 6598).
                || matches!(v4.octets(), [100, 64..=127, _, _])
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(IpAddr::V4(v4)),
            None => {
                v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local()
            }
        },
    }
}

/// Whether a resource identifier stands for this server: the same origin, and a path above or at its own.
pub(super) fn covers(resource: &str, server: &Url) -> bool {
    let Ok(resource) = Url::parse(resource) else { return false };
    if resource.origin() != server.origin() || resource.fragment().is_some() || resource.query().is_some() {
        return false;
    }
    let (above, own) = (resource.path().trim_end_matches('/'), server.path());
    own.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

async fn resource(client: &reqwest::Client, server: &Url, challenge: &Challenge) -> Result<Resource, Fault> {
    let candidates = match &challenge.resource_metadata {
        Some(named) => {
            vec![Url::parse(named).map_err(|_| unauthorized("the address of its metadata is no URL"))?]
        }
        None => {
            let own = well_known(server, "oauth-protected-resource", server.path());
            let root = well_known(server, "oauth-protected-resource", "");
            own.into_iter().chain(root).collect()
        }
    };
    for url in candidates {
        permitted(&url, server)?;
        if let Some(found) = get::<Resource>(client, &url).await? {
            if !covers(&found.resource, server) {
                return Err(unauthorized("its metadata are those of another server"));
            }
            return Ok(found);
        }
    }
    Err(unauthorized("it says nowhere how to obtain a token (RFC 9728); configure one"))
}

async fn issuer(client: &reqwest::Client, server: &Url, name: &str) -> Result<Issuer, Fault> {
    let base =
        Url::parse(name).map_err(|_| unauthorized("the name of its authorization server is no URL"))?;
    if base.query().is_some() {
        return Err(unauthorized("the name of its authorization server has a query"));
    }
    for url in issuer_candidates(&base) {
        permitted(&url, server)?;
        if let Some(found) = get::<Issuer>(client, &url).await? {
            // RFC 8414 section 3.3: else one authorization server could pose as another.
            if found.issuer != name {
                return Err(unauthorized("its authorization server's metadata are those of another one"));
            }
            return Ok(found);
        }
    }
    Err(unauthorized("its authorization server has no metadata (RFC 8414)"))
}

/// In the order that MCP wants.
fn issuer_candidates(base: &Url) -> Vec<Url> {
    let path = base.path().trim_end_matches('/');
    let mut urls: Vec<Url> = ["oauth-authorization-server", "openid-configuration"]
        .into_iter()
        .filter_map(|suffix| well_known(base, suffix, path))
        .collect();
    if !path.is_empty() {
        let mut appended = base.clone();
        appended.set_path(&format!("{path}/.well-known/openid-configuration"));
        urls.push(appended);
    }
    urls
}

fn well_known(base: &Url, suffix: &str, path: &str) -> Option<Url> {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(&format!("/.well-known/{suffix}{}", path.trim_end_matches('/')));
    Some(url)
}

/// A document; `None` if there is none at this address.
async fn get<T: DeserializeOwned>(client: &reqwest::Client, url: &Url) -> Result<Option<T>, Fault> {
    let mut request = reqwest::Request::new(reqwest::Method::GET, url.clone());
    request.headers_mut().insert(http::header::ACCEPT, http::HeaderValue::from_static("application/json"));
    *request.timeout_mut() = Some(std::time::Duration::from_secs(20));
    let host = quote(url.host_str().unwrap_or_default());
    let response = client.execute(request).await.map_err(|error| {
        Fault::Unauthorized(format!("its metadata at {host} cannot be read: {}", cause(&error)))
    })?;
    if response.status() != http::StatusCode::OK {
        return Ok(None);
    }
    let body = read(response, BYTES)
        .await
        .map_err(|fault| Fault::Unauthorized(format!("its metadata at {host} cannot be read: {fault}")))?;
    serde_json::from_slice(&body).map(Some).map_err(|error| {
        Fault::Unauthorized(format!(
            "its metadata at {host} are not understood: {}",
            quote(&error.to_string())
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn metadata_lead_nowhere_but_to_https_or_from_here_to_here() {
        let check = |to: &str, server: &str, fine: bool| {
            assert_eq!(permitted(&url(to), &url(server)).is_ok(), fine, "{to} for {server}");
        };
        let (public, local) = ("https://mcp.example/mcp", "http://127.0.0.1:8080/mcp");
        check("https://auth.example/x", public, true);
        check("http://auth.example/x", public, false);
        check("http://127.0.0.1/x", public, false);
        check("https://127.0.0.1/x", public, false);
        check("https://localhost/x", public, false);
        check("https://10.1.2.3/x", public, false);
        check("https://169.254.169.254/latest/meta-data", public, false);
        check("https://[::ffff:10.0.0.1]/x", public, false);
        check("https://[fd00::1]/x", public, false);
        check("https://100.64.0.1/x", public, false);
        check("https://user:x@auth.example/x", public, false);
        check("file:///etc/passwd", public, false);
        check("http://localhost:9/x", local, true);
        check("https://auth.example/x", local, true);
        check("http://auth.example/x", local, false);
        check("https://10.1.2.3/x", "https://10.1.2.4/mcp", true);
    }

    #[test]
    fn metadata_of_another_server_do_not_count() {
        let server = url("https://a.example/team/mcp");
        for fine in [
            "https://a.example",
            "https://a.example/",
            "https://a.example/team",
            "https://A.example/team/mcp",
        ] {
            assert!(covers(fine, &server), "{fine}");
        }
        for other in [
            "https://b.example/team/mcp",
            "https://a.example/team/mcp2",
            "https://a.example/te",
            "http://a.example/team/mcp",
            "https://a.example:444/team/mcp",
            "https://a.example/team/mcp/deeper",
            "a.example",
        ] {
            assert!(!covers(other, &server), "{other}");
        }
    }

    #[test]
    fn an_issuers_metadata_are_looked_for_in_the_order_of_the_specification() {
        let shown = |base: &str| -> Vec<String> {
            issuer_candidates(&url(base)).iter().map(|u| u.to_string()).collect()
        };
        assert_eq!(
            shown("https://a.example/tenant1"),
            [
                "https://a.example/.well-known/oauth-authorization-server/tenant1",
                "https://a.example/.well-known/openid-configuration/tenant1",
                "https://a.example/tenant1/.well-known/openid-configuration"
            ]
        );
        assert_eq!(
            shown("https://a.example"),
            [
                "https://a.example/.well-known/oauth-authorization-server",
                "https://a.example/.well-known/openid-configuration"
            ]
        );
    }
}
