//! The authorization code flow, and refreshing.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderValue, Method, StatusCode, header};
use reqwest::{Request, Url};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, timeout};

use super::metadata::Places;
use super::store::Grant;
use super::{OAuth, Registration, now};
use crate::back::clean::quote;
use crate::back::http::{cause, read};
use crate::back::{Fault, Secret};

/// The largest answer of a token or registration endpoint.
const BYTES: usize = 64 << 10;
/// The largest request at the redirect listener.
const REQUEST: usize = 16 << 10;
/// Connections to the redirect listener that are listened to; browsers open some for nothing.
const CONNECTIONS: usize = 256;

/// The guard as a client of an authorization server.
struct Client {
    id: String,
    secret: Option<Secret>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

fn unauthorized(text: impl Into<String>) -> Fault {
    Fault::Unauthorized(text.into())
}

/// Lets a person allow the guard, and obtains a grant.
pub(super) async fn authorize(
    http: &reqwest::Client,
    config: &OAuth,
    places: &Places,
    scopes: Option<String>,
    show: &(dyn Fn(&Url) + Send + Sync),
) -> Result<Grant, Fault> {
    let listener = TcpListener::bind(("127.0.0.1", config.redirect_port)).await.map_err(|error| {
        unauthorized(format!("the redirect listener cannot use port {}: {error}", config.redirect_port))
    })?;
    let port = listener.local_addr().map_err(|error| unauthorized(error.to_string()))?.port();
    let redirect = format!("http://127.0.0.1:{port}/callback");
    let client = client(http, config, places, &redirect).await?;
    let (verifier, state) = (random()?, random()?);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let mut page = places.authorization.clone();
    {
        let mut query = page.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", &redirect)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("state", &state)
            .append_pair("resource", &places.resource);
        if let Some(scopes) = &scopes {
            query.append_pair("scope", scopes);
        }
    }
    show(&page);
    let code = timeout(config.patience, callback(&listener, &state, places))
        .await
        .map_err(|_| unauthorized("nobody allowed it in time"))??;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", &redirect),
        ("code_verifier", &verifier),
        ("resource", &places.resource),
    ];
    let token = match token(http, &places.token, &client, places.secret_in_form, &form).await? {
        Ok(token) => token,
        Err(refusal) => return Err(unauthorized(refusal)),
    };
    grant(token, places, client, scopes)
}

fn grant(token: Token, places: &Places, client: Client, scopes: Option<String>) -> Result<Grant, Fault> {
    Ok(Grant {
        resource: places.resource.clone(),
        issuer: places.issuer.clone(),
        token_endpoint: places.token.to_string(),
        client_id: client.id,
        client_secret: client.secret,
        secret_in_form: places.secret_in_form,
        access_token: access(&token)?,
        refresh_token: refresh_token(&token)?,
        expires_at: token.expires_in.map(|seconds| now().saturating_add(seconds)),
        scope: token.scope.or(scopes),
    })
}

/// Renews a grant with its refresh token; `None` if it is no longer good.
pub(super) async fn refresh(http: &reqwest::Client, old: &Grant) -> Result<Option<Grant>, Fault> {
    let Some(refresh) = &old.refresh_token else { return Ok(None) };
    let endpoint =
        Url::parse(&old.token_endpoint).map_err(|_| unauthorized("the stored grant is damaged"))?;
    let client = Client { id: old.client_id.clone(), secret: old.client_secret.clone() };
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.expose()),
        ("resource", old.resource.as_str()),
    ];
    match token(http, &endpoint, &client, old.secret_in_form, &form).await? {
        Err(_) => Ok(None),
        Ok(token) => Ok(Some(Grant {
            access_token: access(&token)?,
            // Without a new one, the old one stays good.
            refresh_token: refresh_token(&token)?.or_else(|| old.refresh_token.clone()),
            expires_at: token.expires_in.map(|seconds| now().saturating_add(seconds)),
            scope: token.scope.or_else(|| old.scope.clone()),
            ..old.clone()
        })),
    }
}

fn access(token: &Token) -> Result<Secret, Fault> {
    if !token.token_type.eq_ignore_ascii_case("bearer") {
        return Err(unauthorized("its authorization server gives tokens that are no bearer tokens"));
    }
    Secret::new(&token.access_token)
        .ok_or_else(|| unauthorized("its authorization server gave an unusable token"))
}

fn refresh_token(token: &Token) -> Result<Option<Secret>, Fault> {
    let unusable = || unauthorized("its authorization server gave an unusable refresh token");
    token.refresh_token.as_deref().map(|text| Secret::new(text).ok_or_else(unusable)).transpose()
}

/// 256 random bits as text.
fn random() -> Result<String, Fault> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| unauthorized(format!("no random numbers: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

async fn client(
    http: &reqwest::Client,
    config: &OAuth,
    places: &Places,
    redirect: &str,
) -> Result<Client, Fault> {
    match &config.registration {
        Registration::Client { id, secret, .. } => Ok(Client { id: id.clone(), secret: secret.clone() }),
        Registration::Document(url) if places.takes_documents => {
            Ok(Client { id: url.to_string(), secret: None })
        }
        Registration::Document(_) => Err(unauthorized(
            "its authorization server does not take client metadata documents; register a client and configure its id",
        )),
        Registration::Dynamic => {
            let endpoint = places.registration.as_ref().ok_or_else(|| {
                unauthorized("its authorization server registers nobody; register a client by hand and configure its id")
            })?;
            let body = json!({
                "client_name": "Ostrom guard",
                "application_type": "native",
                "redirect_uris": [redirect],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
            });
            let mut request = Request::new(Method::POST, endpoint.clone());
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.to_string().into());
            let (status, body) = send(http, request).await?;
            if !status.is_success() {
                return Err(unauthorized(format!(
                    "its authorization server registers no client: {}",
                    refusal(status, &body)
                )));
            }
            let registered: Registered = serde_json::from_slice(&body)
                .map_err(|_| unauthorized("its authorization server's registration is not understood"))?;
            let secret = registered.client_secret.as_deref().and_then(Secret::new);
            Ok(Client { id: registered.client_id, secret })
        }
    }
}

async fn send(http: &reqwest::Client, mut request: Request) -> Result<(StatusCode, Vec<u8>), Fault> {
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    *request.timeout_mut() = Some(Duration::from_secs(30));
    let response = http.execute(request).await.map_err(|error| {
        unauthorized(format!("its authorization server cannot be reached: {}", cause(&error)))
    })?;
    let status = response.status();
    let body = read(response, BYTES)
        .await
        .map_err(|fault| unauthorized(format!("its authorization server {fault}")))?;
    Ok((status, body))
}

/// Asks the token endpoint; the inner error is its refusal in words.
async fn token(
    http: &reqwest::Client,
    endpoint: &Url,
    client: &Client,
    secret_in_form: bool,
    form: &[(&str, &str)],
) -> Result<Result<Token, String>, Fault> {
    let mut pairs: Vec<(&str, &str)> = form.to_vec();
    let mut request = Request::new(Method::POST, endpoint.clone());
    match &client.secret {
        Some(secret) if !secret_in_form => {
            // RFC 6749 section 2.3.1: both are form-encoded first.
            let text = format!("{}:{}", encoded(&client.id), encoded(secret.expose()));
            let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text)))
                .map_err(|_| unauthorized("the client's secret cannot stand in a header"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        Some(secret) => pairs.extend([("client_id", client.id.as_str()), ("client_secret", secret.expose())]),
        None => pairs.push(("client_id", &client.id)),
    }
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, form);
    *request.body_mut() = Some(form_of(&pairs).into());
    let (status, body) = send(http, request).await?;
    if status.is_success() {
        // The reader's message could quote a token.
        let token = serde_json::from_slice(&body);
        return token.map(Ok).map_err(|_| unauthorized("its authorization server's token is not understood"));
    }
    if status.is_server_error() {
        return Err(unauthorized(format!("its authorization server failed: {}", refusal(status, &body))));
    }
    let secrets = pairs
        .iter()
        .filter(|(name, _)| matches!(*name, "code" | "refresh_token" | "client_secret" | "code_verifier"));
    let text = secrets.fold(refusal(status, &body), |text, (_, secret)| text.replace(secret, "***"));
    Ok(Err(format!("its authorization server gives no token: {text}")))
}

fn refusal(status: StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { error, error_description }) => {
            quote(&format!("{error} {}", error_description.unwrap_or_default()))
        }
        Err(_) => format!("HTTP status {}", status.as_u16()),
    }
}

fn form_of(pairs: &[(&str, &str)]) -> String {
    let mut url = match Url::parse("form:/") {
        Ok(url) => url,
        Err(_) => return String::new(),
    };
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

fn encoded(text: &str) -> String {
    form_of(&[("", text)]).trim_start_matches('=').to_owned()
}

/// Waits for the browser to come back, and gives the code.
async fn callback(listener: &TcpListener, state: &str, places: &Places) -> Result<String, Fault> {
    for _ in 0..CONNECTIONS {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let Ok(Some(url)) = timeout(Duration::from_secs(5), request_url(&mut stream)).await else { continue };
        let outcome = (url.path() == "/callback").then(|| judge(&url, state, places)).flatten();
        let (status, text) = match &outcome {
            None => ("404 Not Found", "There is nothing here."),
            Some(Ok(_)) => ("200 OK", "The guard may now use the server. You can close this page."),
            Some(Err(_)) => {
                ("400 Bad Request", "This did not work; the guard says why. You can close this page.")
            }
        };
        let page = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\r\n{text}",
            text.len()
        );
        // Whether the page is shown does not matter.
        let _shown = timeout(Duration::from_secs(5), stream.write_all(page.as_bytes())).await;
        let _closed = timeout(Duration::from_secs(5), stream.shutdown()).await;
        if let Some(outcome) = outcome {
            return outcome;
        }
    }
    Err(unauthorized("too many connections to the redirect listener"))
}

/// The address in a request.
async fn request_url(stream: &mut TcpStream) -> Option<Url> {
    let mut head = Vec::new();
    let mut chunk = [0u8; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut chunk).await.ok()?;
        if count == 0 || head.len().saturating_add(count) > REQUEST {
            return None;
        }
        head.extend_from_slice(chunk.get(..count)?);
    }
    target(&head)
}

fn target(head: &[u8]) -> Option<Url> {
    let line = head.split(|b| *b == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let path = line.strip_prefix("GET ")?.split(' ').next()?;
    path.starts_with('/').then(|| Url::parse(&format!("http://127.0.0.1{path}")).ok()).flatten()
}

/// What came back. `None` if it does not belong to this flow, so that nobody else can end it.
fn judge(url: &Url, state: &str, places: &Places) -> Option<Result<String, Fault>> {
    let once = |name: &str| -> Result<Option<Cow<'_, str>>, Fault> {
        let mut values = url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(unauthorized("its authorization server's answer says something twice")),
            (first, None) => Ok(first),
        }
    };
    match once("state") {
        Ok(Some(found)) if found == state => {}
        _ => return None,
    }
    Some((|| {
        // RFC 9207: before anything else in it is believed, errors included.
        match once("iss")? {
            Some(issuer) if issuer != places.issuer.as_str() => {
                return Err(unauthorized("the answer is that of another authorization server (iss)"));
            }
            None if places.names_itself => {
                return Err(unauthorized(
                    "its authorization server does not name itself in its answer (iss)",
                ));
            }
            _ => {}
        }
        if let Some(error) = once("error")? {
            return Err(unauthorized(format!("it was not allowed: {}", quote(&error))));
        }
        match once("code")? {
            Some(code) if !code.is_empty() => Ok(code.into_owned()),
            _ => Err(unauthorized("its authorization server's answer has no code")),
        }
    })())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(names_itself: bool) -> Places {
        let url = Url::parse("https://b.example/x").unwrap();
        Places {
            resource: "https://a.example/mcp".to_owned(),
            scopes: None,
            issuer: "https://b.example".to_owned(),
            authorization: url.clone(),
            token: url,
            registration: None,
            names_itself,
            takes_documents: false,
            secret_in_form: false,
        }
    }

    #[track_caller]
    fn check(query: &str, names_itself: bool, expect: Option<Result<&str, &str>>) {
        let url = Url::parse(&format!("http://127.0.0.1/callback?{query}")).unwrap();
        match (judge(&url, "s1", &places(names_itself)), expect) {
            (None, None) => {}
            (Some(Ok(code)), Some(Ok(expect))) => assert_eq!(code, expect),
            (Some(Err(fault)), Some(Err(expect))) => assert!(fault.to_string().contains(expect), "{fault}"),
            (found, _) => panic!("{query}: {found:?}"),
        }
    }

    #[test]
    fn an_answer_counts_only_with_its_state_and_from_its_issuer() {
        check("code=c&state=s1", false, Some(Ok("c")));
        check("code=c&state=s2", false, None);
        check("code=c", false, None);
        check("code=c&state=s1&state=s1", false, None);
        check("code=c&state=s1&iss=https%3A%2F%2Fb.example", true, Some(Ok("c")));
        check("code=c&state=s1", true, Some(Err("iss")));
        check("code=c&state=s1&iss=https%3A%2F%2Fevil.example", false, Some(Err("iss")));
        // No normalisation.
        check("code=c&state=s1&iss=https%3A%2F%2Fb.example%2F", false, Some(Err("iss")));
        check("error=access_denied&state=s1&iss=https%3A%2F%2Fevil.example", false, Some(Err("iss")));
        check("error=access_denied&state=s1", false, Some(Err("access_denied")));
        check("code=c&code=d&state=s1", false, Some(Err("twice")));
        check("code=&state=s1", false, Some(Err("no code")));
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(form_of(&[("a b", "c&d=é"), ("e", "")]), "a+b=c%26d%3D%C3%A9&e=");
        assert_eq!(encoded("a:b c"), "a%3Ab+c");
    }

    proptest! {
        #[test]
        fn no_request_makes_the_listener_panic(head in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _either = target(&head);
            let _either = target(&[b"GET /", head.as_slice()].concat());
        }
    }
}
