//! How a cluster is reached from the laptop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::spec::ClusterName;
use crate::store::Ports;

/// The URLs of a cluster on the laptop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    /// Of the API.
    pub api: String,
    /// Of an application `NAME`, plain.
    pub http: String,
    /// Of an application `NAME`, TLS.
    pub https: String,
    #[serde(skip)]
    host: String,
    #[serde(skip)]
    ports: Ports,
}

impl Addresses {
    /// Those of a cluster that listens on that address of this machine, or else of `host`.
    #[must_use]
    pub fn new(name: &ClusterName, host: Option<&str>, listen: IpAddr, ports: Ports) -> Self {
        // Whoever listens everywhere is reached through loopback, too.
        let here = match listen {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            other => other,
        };
        let at = host.map_or_else(|| here.to_string(), str::to_owned);
        let at = if at.contains(':') { format!("[{at}]") } else { at };
        // Names below `localhost` lead to this machine, wherever they are looked up.
        let ingress = if host.is_some() { at.clone() } else { format!("*.{name}.localhost") };
        let with = |port: u16, usual: u16| if port == usual { String::new() } else { format!(":{port}") };
        Self {
            api: format!("https://{at}:{}", ports.api),
            http: format!("http://{ingress}{}", with(ports.http, 80)),
            https: format!("https://{ingress}{}", with(ports.https, 443)),
            host: at,
            ports,
        }
    }

    /// The ingress's plain port, as `HOST:PORT`.
    #[must_use]
    pub fn http_place(&self) -> String {
        format!("{}:{}", self.host, self.ports.http)
    }

    /// The ingress's TLS port, as `HOST:PORT`.
    #[must_use]
    pub fn https_place(&self) -> String {
        format!("{}:{}", self.host, self.ports.https)
    }

    /// The URL of one host behind the ingress.
    #[must_use]
    pub fn of_host(&self, host: &str) -> String {
        if self.ports.http == 80 { format!("http://{host}") } else { format!("http://{host}:{}", self.ports.http) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_ports_are_left_out_and_everywhere_is_reached_through_loopback() {
        let name = "edge".parse().unwrap();
        let usual = Addresses::new(&name, None, "0.0.0.0".parse().unwrap(), Ports { api: 6443, http: 80, https: 443 });
        assert_eq!(usual.api, "https://127.0.0.1:6443");
        assert_eq!(
            (usual.http.as_str(), usual.https.as_str()),
            ("http://*.edge.localhost", "https://*.edge.localhost")
        );
        let other = Addresses::new(&name, None, "::1".parse().unwrap(), Ports { api: 1, http: 8080, https: 8443 });
        assert_eq!(other.api, "https://[::1]:1");
        assert_eq!(other.http, "http://*.edge.localhost:8080");
        assert_eq!(other.of_host("hello.default.localhost"), "http://hello.default.localhost:8080");
    }
}
