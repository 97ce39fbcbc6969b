//! What Sandbar remembers of one cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::spec::{Cidr, ClusterName, ClusterSpec};

/// Version of the record's form. Older ones are read; newer ones are left alone.
pub const RECORD_VERSION: u32 = 1;

/// What Sandbar remembers of one cluster: the intent, and what is being done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Version of this form.
    pub schema_version: u32,
    /// The cluster's name.
    pub name: ClusterName,
    /// What the user wants.
    pub spec: ClusterSpec,
    /// The engine it was made in: `podman`, `docker`, `fake`. Empty until one was found.
    #[serde(default)]
    pub engine: String,
    /// Where that engine's API was.
    #[serde(default)]
    pub endpoint: String,
    /// The host that its ports are on, where that is not this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The ports it has on the host.
    pub ports: Ports,
    /// The networks it has inside.
    pub networks: Networks,
    /// Digests of the files that it was made with (config drop-ins and manifests), by their path in the node.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The image that it was made from, as the engine's ID.
    #[serde(default)]
    pub image_id: String,
    /// When it was made.
    pub created: Timestamp,
    /// Kubernetes' version, once it was healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_version: Option<String>,
    /// The cluster's own identity, once it was healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// What was written to kubeconfigs.
    #[serde(default)]
    pub kubeconfig: KubeconfigRecord,
    /// Until when it is wanted; none: until somebody removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// For how long it was wanted when that was last said, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_millis: Option<u64>,
    /// Whether it is wanted only as long as its owner lives (`Store::own`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ephemeral: bool,
    /// What is being done, or was when it was interrupted. None: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// Ports of a cluster on the host; 0 until one is picked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ports {
    /// Of the API.
    pub api: u16,
    /// Of the ingress.
    pub http: u16,
    /// Of the ingress with TLS.
    pub https: u16,
}

/// Networks of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Networks {
    /// Of pods.
    pub cluster: Cidr,
    /// Of services.
    pub service: Cidr,
}

/// What was written to kubeconfigs, so that it can be taken out again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeconfigRecord {
    /// Files that may have the entries.
    pub files: Vec<PathBuf>,
    /// Contexts that were current before, latest first; empty text where a file said so itself.
    pub previous: Vec<String>,
}

impl KubeconfigRecord {
    /// Notes files that will have the entries and the context that is current before them.
    pub fn note(&mut self, files: &[PathBuf], current: Option<String>, own: &str) {
        for file in files {
            if !self.files.contains(file) {
                self.files.push(file.clone());
            }
        }
        if let Some(current) = current.filter(|current| current != own) {
            self.previous.retain(|other| *other != current);
            self.previous.insert(0, current);
        }
    }
}

/// Something that is being done to a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// What.
    pub kind: OperationKind,
    /// Since when.
    pub since: Timestamp,
}

/// What can be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OperationKind {
    /// The cluster is being made; it was never finished, nothing in it counts yet.
    Create,
    /// Its node is being made anew on its volume.
    Recreate,
    /// It is being removed.
    Remove,
}

impl Record {
    /// The record of a cluster that nothing is known of but what the user wants.
    #[must_use]
    pub fn new(spec: ClusterSpec, created: Timestamp) -> Self {
        Self {
            schema_version: RECORD_VERSION,
            name: spec.name.clone(),
            engine: String::new(),
            endpoint: String::new(),
            host: None,
            ports: Ports::default(),
            networks: Networks {
                cluster: Cidr::new([10, 42, 0, 0].into(), 16),
                service: Cidr::new([10, 43, 0, 0].into(), 16),
            },
            files: BTreeMap::new(),
            image_id: String::new(),
            created,
            kubernetes_version: None,
            cluster_id: None,
            kubeconfig: KubeconfigRecord::default(),
            expires: None,
            ttl_millis: None,
            ephemeral: false,
            operation: None,
            spec,
        }
    }

    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            schema_version: u32,
        }
        let damaged =
            |error: serde_json::Error| StoreError::Damaged { path: path.to_owned(), reason: error.to_string() };
        let version: Version = serde_json::from_slice(bytes).map_err(damaged)?;
        if version.schema_version > RECORD_VERSION {
            return Err(StoreError::Newer { path: path.to_owned(), found: version.schema_version });
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }
}
