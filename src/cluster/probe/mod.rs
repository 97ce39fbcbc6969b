//! Asking from the laptop's side whether a cluster answers.

mod fake;
mod network;

use std::time::Duration;

use async_trait::async_trait;

pub use self::fake::FakeProber;
pub use self::network::NetworkProber;

/// Why a probe did not succeed.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ProbeError {
    /// Nothing answered, or not in time; worth trying again while a node starts.
    #[error("no answer from {target}: {reason}")]
    NoAnswer {
        /// What was asked, a URL.
        target: String,
        /// The system's words.
        reason: String,
    },
    /// Something answered that is not this cluster; trying again does not help.
    #[error("{target} is answered by something else: {reason}")]
    SomeoneElse {
        /// What was asked, a URL.
        target: String,
        /// What gave it away.
        reason: String,
    },
}

/// Credentials and trust for the API server, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiTrust {
    /// The cluster's CA certificates.
    pub ca: Vec<u8>,
    /// Client certificate and key, one after the other; none asks anonymously.
    pub client: Option<Vec<u8>>,
}

/// Asks a cluster from the laptop's side. One implementation over the network, one for the fake engine.
#[async_trait]
pub trait Prober: Send + Sync {
    /// One `GET /readyz` at `server` (`https://127.0.0.1:6443`): fine when it says 200. Without trust it is told nothing, and may be
    /// anybody.
    async fn api(&self, server: &str, trust: Option<&ApiTrust>, deadline: Duration) -> Result<(), ProbeError>;
    /// One request for the health host at a forwarded ingress port (`HOST:PORT`); fine when the cluster's own ID comes back.
    async fn ingress(&self, place: &str, tls: bool, cluster_id: &str, deadline: Duration) -> Result<(), ProbeError>;
}
