//! Probes over the network, as a browser and kubectl on the laptop would ask.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HOST;
use reqwest::{Certificate, Client, ClientBuilder, Identity, StatusCode};

use super::{ApiTrust, ProbeError, Prober};
use crate::tls;

/// The host that the ingress itself answers, as the node contract has it.
const HEALTH_HOST: &str = "healthz.sandbar.internal";
/// The header with which it says whose ingress it is.
const CLUSTER_HEADER: &str = "x-sandbar-cluster";

/// Asks over the network, never through a proxy.
#[derive(Debug, Clone, Copy)]
pub struct NetworkProber(());

impl NetworkProber {
    /// Makes ring the one provider of cryptography of this process.
    #[must_use]
    pub fn new() -> Self {
        // Refused only where it has been done before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self(())
    }
}

impl Default for NetworkProber {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Prober for NetworkProber {
    async fn api(&self, server: &str, trust: Option<&ApiTrust>, deadline: Duration) -> Result<(), ProbeError> {
        let target = format!("{server}/readyz");
        let fail = |error: reqwest::Error| failure(&target, &error);
        let mut builder = builder(deadline);
        if let Some(trust) = trust {
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&trust.ca).map_err(fail)?);
            if let Some(client) = &trust.client {
                builder = builder.identity(Identity::from_pem(client).map_err(fail)?);
            }
        } else {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let answer = builder.build().map_err(fail)?.get(&target).send().await.map_err(fail)?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            status => {
                let words = answer.text().await.unwrap_or_default();
                // `/readyz` lists its checks, `[-]NAME failed` for those that fail.
                let failed: Vec<&str> = words.lines().filter_map(|line| line.strip_prefix("[-]")).collect();
                Err(ProbeError::NoAnswer {
                    target,
                    reason: format!("{status} {}", failed.join(", ")).trim().to_owned(),
                })
            }
        }
    }

    async fn ingress(&self, place: &str, tls: bool, cluster_id: &str, deadline: Duration) -> Result<(), ProbeError> {
        let scheme = if tls { "https" } else { "http" };
        let target = format!("{scheme}://{place}");
        let fail = |error: reqwest::Error| failure(&target, &error);
        let address = resolve(place, deadline).await;
        let address = address.map_err(|reason| ProbeError::NoAnswer { target: target.clone(), reason })?;
        // Whose ingress it is says the header; the certificate may be the user's own.
        let builder = builder(deadline).tls_danger_accept_invalid_certs(true).resolve(HEALTH_HOST, address);
        let client = builder.build().map_err(fail)?;
        let url = format!("{scheme}://{HEALTH_HOST}:{}/", address.port());
        let answer = client.get(url).header(HOST, HEALTH_HOST).send().await.map_err(fail)?;
        let found = answer.headers().get(CLUSTER_HEADER).map(|value| value.to_str().unwrap_or("?").to_owned());
        match (answer.status(), found) {
            (StatusCode::OK, Some(found)) if found == cluster_id => Ok(()),
            (_, Some(found)) if found != cluster_id && !found.is_empty() => {
                Err(ProbeError::SomeoneElse { target, reason: format!("it is the ingress of cluster {found}") })
            }
            (status, _) => Err(ProbeError::NoAnswer { target, reason: status.to_string() }),
        }
    }
}

/// An address of `HOST:PORT`.
async fn resolve(place: &str, deadline: Duration) -> Result<SocketAddr, String> {
    match tokio::time::timeout(deadline, tokio::net::lookup_host(place)).await {
        Err(_) => Err("the name of the host is not resolved in time".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(mut found)) => found.next().ok_or_else(|| "the host has no address".to_owned()),
    }
}

fn builder(deadline: Duration) -> ClientBuilder {
    Client::builder().no_proxy().http1_only().timeout(deadline).redirect(reqwest::redirect::Policy::none())
}

/// Tells an answer with a wrong certificate from no answer.
fn failure(target: &str, error: &reqwest::Error) -> ProbeError {
    let target = target.to_owned();
    let certificate = match tls::cause(error) {
        Some(error @ rustls::Error::InvalidCertificate(_)) => Some(error.to_string()),
        _ => None,
    };
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    match certificate {
        Some(reason) => ProbeError::SomeoneElse { target, reason },
        None if error.is_timeout() => ProbeError::NoAnswer { target, reason: "timed out".to_owned() },
        None => ProbeError::NoAnswer { target, reason: innermost.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::header;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    async fn ingress(server: &MockServer) -> Result<(), ProbeError> {
        NetworkProber::new().ingress(&server.address().to_string(), false, "mine", DEADLINE).await
    }

    async fn answering(template: ResponseTemplate) -> MockServer {
        let server = MockServer::start().await;
        Mock::given(header("host", HEALTH_HOST)).respond_with(template).mount(&server).await;
        server
    }

    #[tokio::test]
    async fn the_ingress_is_known_by_the_clusters_id() {
        let mine = answering(ResponseTemplate::new(200).insert_header(CLUSTER_HEADER, "mine")).await;
        assert_eq!(ingress(&mine).await, Ok(()));
        let other = answering(ResponseTemplate::new(200).insert_header(CLUSTER_HEADER, "other")).await;
        assert!(matches!(ingress(&other).await, Err(ProbeError::SomeoneElse { .. })));
        let stranger = answering(ResponseTemplate::new(200)).await;
        assert!(matches!(ingress(&stranger).await, Err(ProbeError::NoAnswer { .. })));
    }

    #[tokio::test]
    async fn who_does_not_answer_is_named_with_the_systems_words() {
        let closed: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = NetworkProber::new().ingress(&closed.to_string(), false, "mine", DEADLINE).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("no answer from http://{closed}: ")), "{error}");
        assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
    }
}
