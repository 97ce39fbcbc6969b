//! The client of the node contract: the reports as types, and the trait [`Node`] through which clusters speak to a node.

mod client;
mod host_report;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

pub use self::client::NodeClient;
#[cfg(any(test, fuzzing))]
pub(crate) use self::client::parse_status;
pub use self::host_report::{HostCheck, HostReport, HostResult};
use crate::engine::{EngineError, Reader};

/// Newest contract version that this CLI speaks; it speaks the one before, too.
pub const CONTRACT_VERSION: u32 = 1;

/// Answer of `sandbarctl version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionReport {
    /// Version of the node contract.
    pub contract_version: u32,
    /// Version of the node image.
    pub version: String,
    /// Such as `v1.37.2`.
    pub kubernetes_version: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Architectures whose programs run there through an emulator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emulated: Vec<String>,
}

/// Answer of `sandbarctl status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// Version of this report's form.
    pub schema_version: u32,
    /// Version of the node contract.
    pub contract_version: u32,
    /// Whether everything works.
    pub healthy: bool,
    /// The node.
    pub node: NodeReport,
    /// Its components.
    #[serde(default)]
    pub components: Vec<ComponentReport>,
    /// Phases of the start.
    #[serde(default)]
    pub phases: Vec<PhaseReport>,
    /// Networks of the cluster.
    #[serde(default)]
    pub network: NetworkReport,
    /// What the ingress serves.
    #[serde(default)]
    pub ingress: IngressReport,
    /// Room on the volume.
    #[serde(default)]
    pub storage: StorageReport,
    /// What it has of its memory, where it can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryReport>,
    /// What the user should know.
    #[serde(default)]
    pub warnings: Vec<WarningReport>,
}

/// The node's identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeReport {
    /// Name of the Node object.
    pub name: String,
    /// Stable identity of the cluster.
    pub cluster_id: String,
    /// Name of the cluster.
    pub cluster_name: String,
    /// Version of the node image.
    pub version: String,
    /// Such as `v1.37.2`.
    pub kubernetes_version: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// When it was started, RFC 3339.
    pub started: String,
    /// Its address on the engine's network.
    pub address: String,
}

/// One component of the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ComponentReport {
    /// Its name, such as `etcd`.
    pub name: String,
    /// `waiting`, `starting`, `ready`, `degraded`, `failed` or `stopped`.
    pub state: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Names of the components that it waits for.
    pub waiting_for: Vec<String>,
    /// Why it is in that state.
    pub reason: String,
    /// The last error that it had.
    pub last_error: String,
    /// How often it was started again.
    pub restarts: u32,
}

/// One phase of the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// When it began, milliseconds after `sandbar-init`.
    pub start_millis: u64,
    /// When it was ready, milliseconds after `sandbar-init`; none while it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_millis: Option<u64>,
}

/// Networks of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkReport {
    /// Networks of pods, CIDRs.
    pub cluster_network: Vec<String>,
    /// Networks of services, CIDRs.
    pub service_network: Vec<String>,
    /// Address of the cluster's DNS.
    pub dns: String,
    /// Domain under which the cluster's own names are.
    pub base_domain: String,
}

/// What the ingress serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressReport {
    /// Domains under which hosts get names.
    pub domains: Vec<String>,
    /// Hosts that have a route.
    pub hosts: Vec<String>,
}

/// Room on the volume, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageReport {
    /// Where the volume is in the node.
    pub path: String,
    /// Its size.
    pub capacity_bytes: u64,
    /// What is free.
    pub available_bytes: u64,
}

/// Memory of the node's processes and pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryReport {
    /// What they have, without what the kernel would give back at once.
    pub used_bytes: u64,
    /// What they may have; 0 where there is no limit.
    pub limit_bytes: u64,
}

/// Something that the user should know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WarningReport {
    /// One word that stays the same.
    pub code: String,
    /// What is so.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// One image that the node holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeImage {
    /// Its names.
    pub names: Vec<String>,
    /// Digest of its configuration.
    pub id: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Digests of its uncompressed layers.
    pub diff_ids: Vec<String>,
    /// Whether the node keeps it for itself.
    pub pinned: bool,
}

/// One image that a node took in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImportedImage {
    /// Its name.
    pub name: String,
    /// Digest of its configuration.
    pub id: String,
    /// Layers that came.
    pub layers_moved: u64,
    /// Layers that were there.
    pub layers_present: u64,
    /// Bytes that came, of layers.
    pub bytes_moved: u64,
}

/// Why a node could not answer.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The engine could not run the call.
    #[error("the engine could not reach the node")]
    Engine(#[from] EngineError),
    /// It failed, in its own words.
    #[error("`{command}` in the node failed with exit code {code}: {message}")]
    Failed {
        /// The call, such as `sandbarctl status`.
        command: String,
        /// Its exit code.
        code: i64,
        /// Its last words on stderr.
        message: String,
    },
    /// `sandbar-node` cannot be reached inside the node.
    #[error("the node's control program does not answer: {message}")]
    NotReachable {
        /// The last words of `sandbarctl`.
        message: String,
    },
    /// A deadline passed in the node.
    #[error("`{command}` in the node timed out: {message}")]
    TimedOut {
        /// The call.
        command: String,
        /// Its last words on stderr.
        message: String,
    },
    /// What was to be sent to it could not be read.
    #[error("what was to be sent to the node cannot be read")]
    Input(#[source] std::io::Error),
    /// Its answer cannot be understood.
    #[error("`{command}` in the node gave an answer that cannot be understood: {reason}")]
    Malformed {
        /// The call.
        command: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It speaks a contract that this CLI does not.
    #[error("the node speaks contract version {found}, this sandbar speaks {}{newest}", if *.newest > 1 { format!("{} and ", .newest - 1) } else { String::new() })]
    Contract {
        /// What the node speaks.
        found: u32,
        /// The newest that this CLI speaks.
        newest: u32,
    },
}

/// The node contract, as a cluster needs it. A value speaks to one node.
#[async_trait]
pub trait Node: Send + Sync {
    /// What it is; also without `sandbar-node` running.
    async fn version(&self) -> Result<VersionReport, NodeError>;
    /// Its status now, healthy or not.
    async fn status(&self) -> Result<StatusReport, NodeError>;
    /// A report at each change until it is healthy, then the end of the stream. When it is not healthy within
    /// `timeout`, the last item is [`NodeError::TimedOut`].
    async fn watch_until_healthy(
        &self,
        timeout: Duration,
    ) -> Result<BoxStream<'static, Result<StatusReport, NodeError>>, NodeError>;
    /// The administrator's kubeconfig for `server`, its names `name`; waits up to `timeout` for the PKI.
    async fn kubeconfig(&self, server: &str, name: &str, timeout: Duration) -> Result<String, NodeError>;
    /// Images that it holds.
    async fn images(&self) -> Result<Vec<NodeImage>, NodeError>;
    /// Which of these digests, of layers or blobs, it does not hold.
    async fn image_missing(&self, digests: &[String]) -> Result<Vec<String>, NodeError>;
    /// Gives names to an image that it holds whole, by the digest of its configuration.
    async fn image_tag(&self, id: &str, names: &[String]) -> Result<(), NodeError>;
    /// Takes in a docker-archive or an OCI layout as tar, from which layers that it holds may be left out. Names, if
    /// any, replace those in the archive. An archive that cannot be read is [`NodeError::Input`]. There is no deadline
    /// while bytes flow.
    async fn image_import(&self, archive: Reader, names: &[String]) -> Result<Vec<ImportedImage>, NodeError>;
    /// Removes names; what no image needs any more is collected.
    async fn image_remove(&self, names: &[String]) -> Result<(), NodeError>;
    /// Lines of its logs, of all components without a name.
    async fn logs(&self, component: Option<&str>, follow: bool, tail: Option<u32>) -> Result<Reader, NodeError>;
    /// Asks it to end with that grace for pods, before the engine's stop.
    async fn stop(&self, grace: Duration) -> Result<(), NodeError>;
}
