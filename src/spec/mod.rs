//! The cluster file, flags and defaults, resolved into one [`ClusterSpec`].
//!
//! Everything here is a value or a pure function: reading the file is the caller's job, as is everything that needs the
//! host or an engine. What a user can write wrong is found here, with the words that tell him where.

mod file;
mod image;
mod line;
mod name;
mod nearest;
mod network;
mod quantity;
mod releases;
mod resolve;
mod schema;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::engine::machine::architecture::Architecture;

pub use self::file::{
    API_VERSION, ClusterFile, ConfigEntry, ExtraPort, FileError, FileMetadata, FileNetwork, FilePorts, FileResources,
    FileSpec, KIND, parse_file,
};
pub use self::image::{ImageReference, ImageReferenceError, NodeImage};
pub use self::line::line_of_config_key;
pub use self::name::{ClusterName, NameError};
pub use self::nearest::nearest;
pub use self::network::{Cidr, CidrError};
pub use self::quantity::{Cpus, Memory, QuantityError};
pub use self::releases::{ReleasesUrl, ReleasesUrlError, without_password};
pub use self::resolve::{Flags, SpecError, name as resolve_name, resolve};
pub use self::schema::cluster_file_schema;

/// Memory below which a node does not work: its own processes need about half of it, pods the rest.
pub const MINIMUM_MEMORY_BYTES: u64 = 512 * 1024 * 1024;
/// Ports that a cluster takes on the host when they are free.
pub const PREFERRED_PORTS: [u16; 3] = [API_NODE_PORT, HTTP_NODE_PORT, HTTPS_NODE_PORT];
/// Port of the API in the node.
pub const API_NODE_PORT: u16 = 6443;
/// Port of the ingress in the node, plain.
pub const HTTP_NODE_PORT: u16 = 80;
/// Port of the ingress in the node, TLS.
pub const HTTPS_NODE_PORT: u16 = 443;
/// Name of a cluster where none is given.
pub const DEFAULT_NAME: &str = "default";

/// Which engine a user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// The one that fits on this host.
    #[default]
    Auto,
    /// Podman.
    Podman,
    /// Docker.
    Docker,
    /// A machine of QEMU, which needs neither.
    Machine,
}

/// A cluster as the user wants it, every default filled in but what only the host can tell (free ports and networks).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// Its name.
    pub name: ClusterName,
    /// The engine that runs it.
    pub engine: EngineChoice,
    /// The device that its machine plays, as its profile was when the cluster was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Box<Device>>,
    /// Whether programs of another architecture run in it, through an emulator in its machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emulate_binaries: bool,
    /// Whether its machine is first started from nothing, even where the state of one of its kind is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cold: bool,
    /// The node image.
    pub image: NodeImage,
    /// Address on the host at which its ports are.
    pub listen_address: IpAddr,
    /// Host port of the API; none picks one.
    pub api_port: Option<u16>,
    /// Host port of the ingress, plain; none picks one.
    pub http_port: Option<u16>,
    /// Host port of the ingress, TLS; none picks one.
    pub https_port: Option<u16>,
    /// Further ports.
    pub extra_ports: Vec<ExtraPort>,
    /// CPU limit; none is unlimited.
    pub cpus: Option<Cpus>,
    /// Memory limit; none is unlimited.
    pub memory: Option<Memory>,
    /// Labels of the Node object.
    pub labels: BTreeMap<String, String>,
    /// Network of pods; none picks one.
    pub cluster_network: Option<Cidr>,
    /// Network of services; none picks one.
    pub service_network: Option<Cidr>,
    /// Configuration drop-ins, in their order.
    pub config: Vec<ConfigEntry>,
    /// Manifests that are applied at each start: files or folders.
    pub manifests: Vec<PathBuf>,
}

impl ClusterSpec {
    /// A cluster of that name with every default.
    #[must_use]
    pub fn with_defaults(name: ClusterName) -> Self {
        Self {
            name,
            engine: EngineChoice::Auto,
            device: None,
            emulate_binaries: false,
            cold: false,
            image: NodeImage::default(),
            listen_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            api_port: None,
            http_port: None,
            https_port: None,
            extra_ports: Vec::new(),
            cpus: None,
            memory: None,
            labels: BTreeMap::new(),
            cluster_network: None,
            service_network: None,
            config: Vec::new(),
            manifests: Vec::new(),
        }
    }

    /// The architecture of its node, where it is not the engine's.
    #[must_use]
    pub fn architecture(&self) -> Option<Architecture> {
        self.device.as_ref().map(|device| device.architecture)
    }

    /// Labels of the Node object: the user's before the device's.
    #[must_use]
    pub fn node_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.device.as_ref().map(|device| device.node_labels()).unwrap_or_default();
        labels.extend(self.labels.clone());
        labels
    }

    /// What differs between this and `other`, as the keys of the cluster file with both values, in the keys' order.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
        flatten("", &serde_json::to_value(self).unwrap_or_default(), &mut old);
        flatten("", &serde_json::to_value(other).unwrap_or_default(), &mut new);
        let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        keys.into_iter()
            .filter(|key| old.get(*key) != new.get(*key))
            .map(|key| Change { key: key.clone(), from: old.get(key).cloned(), to: new.get(key).cloned() })
            .collect()
    }
}

/// One difference between two specifications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Its key.
    pub key: String,
    /// The value it has.
    pub from: Option<String>,
    /// The value it should get.
    pub to: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        write!(f, "{}: {} → {}", self.key, show(&self.from), show(&self.to))
    }
}

/// Leaves of `value` by their dotted path; nulls are left out, as they mean "not set".
fn flatten(path: &str, value: &serde_json::Value, into: &mut BTreeMap<String, String>) {
    use serde_json::Value;
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Null => {}
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(&below(key), value, into)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| flatten(&format!("{path}[{index}]"), value, into));
        }
        Value::String(text) => {
            into.insert(path.to_owned(), text.clone());
        }
        other => {
            into.insert(path.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_name_keys_and_both_values() {
        let name: ClusterName = "default".parse().unwrap();
        let old = ClusterSpec { memory: Some("1Gi".parse().unwrap()), ..ClusterSpec::with_defaults(name.clone()) };
        let new = ClusterSpec {
            memory: Some("2Gi".parse().unwrap()),
            http_port: Some(8080),
            labels: [("tier".to_owned(), "edge".to_owned())].into(),
            ..ClusterSpec::with_defaults(name)
        };
        let words: Vec<String> = old.changes(&new).iter().map(ToString::to_string).collect();
        assert_eq!(words, ["httpPort: not set → 8080", "labels.tier: not set → edge", "memory: 1Gi → 2Gi"]);
        assert!(old.changes(&old).is_empty());
    }
}
