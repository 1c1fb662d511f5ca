//! From where a request comes, and how its answer travels.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use ostrom_http::Peer;

use super::single;
use crate::{App, Config, Exposure, Failure};

/// From where a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The client's address; behind a proxy, what the proxy says.
    pub address: IpAddr,
    /// The answer travels encrypted, or does not leave the machine.
    pub encrypted: bool,
}

impl Caller {
    pub(super) fn new(connection: IpAddr, headers: &HeaderMap, config: &Config) -> Self {
        match config.exposure {
            Exposure::Loopback | Exposure::Insecure => {
                Self { address: connection, encrypted: connection.is_loopback() }
            }
            Exposure::Tls { .. } => Self { address: connection, encrypted: true },
            // The proxy writes the last entry; those before it are the client's word.
            Exposure::BehindProxy => {
                let said = headers.get_all("x-forwarded-for").iter().next_back();
                let said =
                    said.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
                Self { address: said.unwrap_or(connection), encrypted: true }
            }
        }
    }

    /// What limits are counted for: an address, or for IPv6 the network that one customer has.
    #[must_use]
    pub fn network(&self) -> [u8; 16] {
        match self.address.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => (u128::from(address) >> 64 << 64).to_be_bytes(),
        }
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let connection = parts.extensions.get::<Peer>();
        let connection = connection.ok_or_else(|| Failure::internal("a request without a connection"))?;
        Ok(Self::new(connection.0.ip(), &parts.headers, &app.config))
    }
}

/// Whether a page's request comes from a page of another origin, as far as the browser says.
pub(super) fn is_cross_site(headers: &HeaderMap, app: &App) -> bool {
    let loopback = app.config.exposure == Exposure::Loopback;
    let site = single(headers, "sec-fetch-site");
    let foreign_site = site.is_some_and(|site| site != "same-origin" && site != "none");
    let foreign_origin = headers.contains_key(http::header::ORIGIN)
        && !single(headers, "origin").is_some_and(|origin| app.base.is_origin(origin, loopback));
    foreign_site || foreign_origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(exposure: Exposure, forwarded: &str) -> Caller {
        let config = Config { exposure, ..Config::new("data") };
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        Caller::new("10.0.0.1".parse().unwrap(), &headers, &config)
    }

    #[test]
    fn only_the_proxys_own_word_counts_and_only_behind_one() {
        assert_eq!(from(Exposure::Insecure, "8.8.8.8").address.to_string(), "10.0.0.1");
        assert_eq!(from(Exposure::BehindProxy, "1.1.1.1, 8.8.8.8").address.to_string(), "8.8.8.8");
        assert_eq!(from(Exposure::BehindProxy, "nonsense").address.to_string(), "10.0.0.1");
        assert!(!from(Exposure::Insecure, "8.8.8.8").encrypted);
    }

    #[test]
    fn one_customers_ipv6_addresses_are_one_network() {
        let caller = |text: &str| Caller { address: text.parse().unwrap(), encrypted: true };
        assert_eq!(caller("2001:db8::1").network(), caller("2001:db8::2:3").network());
        assert_ne!(caller("2001:db8::1").network(), caller("2001:db8:0:1::1").network());
        assert_eq!(caller("192.0.2.1").network(), caller("::ffff:192.0.2.1").network());
    }
}
