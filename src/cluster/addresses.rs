//! How a cluster is reached from the laptop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
    host: IpAddr,
    #[serde(skip)]
    ports: Ports,
}

impl Addresses {
    /// Those of a cluster that listens on that address.
    #[must_use]
    pub fn new(name: &ClusterName, listen: IpAddr, ports: Ports) -> Self {
        // Whoever listens everywhere is reached through loopback, too.
        let host = match listen {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            other => other,
        };
        let with = |port: u16, usual: u16| if port == usual { String::new() } else { format!(":{port}") };
        Self {
            api: format!("https://{}", SocketAddr::new(host, ports.api)),
            http: format!("http://*.{name}.localhost{}", with(ports.http, 80)),
            https: format!("https://*.{name}.localhost{}", with(ports.https, 443)),
            host,
            ports,
        }
    }

    /// The ingress's plain port.
    #[must_use]
    pub fn http_socket(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.ports.http)
    }

    /// The ingress's TLS port.
    #[must_use]
    pub fn https_socket(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.ports.https)
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
        let usual = Addresses::new(&name, "0.0.0.0".parse().unwrap(), Ports { api: 6443, http: 80, https: 443 });
        assert_eq!(usual.api, "https://127.0.0.1:6443");
        assert_eq!(
            (usual.http.as_str(), usual.https.as_str()),
            ("http://*.edge.localhost", "https://*.edge.localhost")
        );
        let other = Addresses::new(&name, "::1".parse().unwrap(), Ports { api: 1, http: 8080, https: 8443 });
        assert_eq!(other.api, "https://[::1]:1");
        assert_eq!(other.http, "http://*.edge.localhost:8080");
        assert_eq!(other.of_host("hello.default.localhost"), "http://hello.default.localhost:8080");
    }
}
