//! The cluster file (`sandbar.yaml`) as the user writes it, and what is said when he mistypes it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cidr, ClusterName, Cpus, EngineChoice, Memory, NodeImage, ReleasesUrl, nearest};

/// `apiVersion` of the cluster file.
pub const API_VERSION: &str = "sandbar.dev/v1alpha1";
/// `kind` of the cluster file.
pub const KIND: &str = "Cluster";

/// A Sandbar cluster. Everything but apiVersion and kind may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterFile {
    /// The version of this file's form: sandbar.dev/v1alpha1.
    pub api_version: String,
    /// What this file describes: Cluster.
    pub kind: String,
    /// What the cluster is called.
    #[serde(default)]
    pub metadata: FileMetadata,
    /// What the cluster is like.
    #[serde(default)]
    pub spec: FileSpec,
}

/// What the cluster is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FileMetadata {
    /// Its name, `default` where it is left out.
    pub name: Option<ClusterName>,
}

/// What the cluster is like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FileSpec {
    /// The engine that runs the node; auto takes the one that fits.
    pub engine: Option<EngineChoice>,
    /// The device that a machine plays: the name of one (`sandbar device ls`), or the path of a profile, relative to this file.
    pub device: Option<String>,
    /// Whether containers of another architecture run, through an emulator in the machine: amd64's on arm64, arm64's on amd64.
    pub emulate_binaries: Option<bool>,
    /// The node image; the one of this version where it is left out.
    pub image: Option<NodeImage>,
    /// Where the node image of a release is downloaded from, when the engine does not have it.
    pub releases: Option<ReleasesUrl>,
    /// Where the cluster is reached from the laptop.
    pub ports: FilePorts,
    /// Limits of the whole node.
    pub resources: FileResources,
    /// Labels of the Node object.
    pub labels: BTreeMap<String, String>,
    /// Networks inside the cluster.
    pub network: FileNetwork,
    /// Configuration drop-ins, merged in this order: the path of a file (relative to this one) or the keys themselves.
    pub config: Vec<ConfigEntry>,
    /// Manifests applied at each start: files, or folders with a kustomization.yaml (relative to this file).
    pub manifests: Vec<PathBuf>,
}

/// Where the cluster is reached from the laptop. A port that is left out is the usual one when it is free, else another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FilePorts {
    /// The address that listens, 127.0.0.1 where it is left out.
    pub listen_address: Option<IpAddr>,
    /// The port of the API (6443 in the node).
    pub api: Option<u16>,
    /// The port of the ingress (80 in the node).
    pub http: Option<u16>,
    /// The port of the ingress with TLS (443 in the node).
    pub https: Option<u16>,
    /// Further ports, such as those of NodePort services.
    pub extra: Vec<ExtraPort>,
}

/// A further port of the laptop that leads into the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtraPort {
    /// The port of the laptop.
    pub host: u16,
    /// The port of the node.
    pub node: u16,
}

impl std::str::FromStr for ExtraPort {
    type Err = String;

    /// `HOST:NODE`, or `PORT` for the same on both sides.
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, node) = text.split_once(':').unwrap_or((text, text));
        let port = |part: &str| part.parse::<u16>().ok().filter(|port| *port != 0);
        match (port(host), port(node)) {
            (Some(host), Some(node)) => Ok(Self { host, node }),
            _ => Err(format!("`{text}` is not HOST:NODE or PORT, with ports from 1 to 65535")),
        }
    }
}

/// Limits of the whole node, with everything that runs in it. What is left out is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FileResources {
    /// CPUs, such as 2 or 1.5.
    pub cpus: Option<Cpus>,
    /// Memory, such as 2Gi; at least 512Mi.
    pub memory: Option<Memory>,
}

/// Networks inside the cluster. What is left out is chosen so that it is in nobody's way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FileNetwork {
    /// Network of the pods; it stays what it is for the cluster's life.
    pub cluster_network: Option<Cidr>,
    /// Network of the services; it stays what it is for the cluster's life.
    pub service_network: Option<Cidr>,
}

/// A configuration drop-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ConfigEntry {
    /// The path of a file.
    File(PathBuf),
    /// The keys themselves.
    Inline(serde_json::Map<String, serde_json::Value>),
}

/// What is wrong with a cluster file. The file's own name is added by the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A key that does not exist.
    #[error("line {line}: unknown key `{key}`")]
    UnknownKey {
        /// Where, from 1.
        line: u64,
        /// The key.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
        /// All keys that can be there.
        known: Vec<String>,
    },
    /// A value that does not fit.
    #[error("line {line}: {reason}")]
    Value {
        /// Where, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// It is for another program, or for a newer one.
    #[error("line {line}: {key} is `{found}`, this sandbar knows `{expected}`")]
    Kind {
        /// Where, from 1.
        line: u64,
        /// `apiVersion` or `kind`.
        key: &'static str,
        /// What stands there.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl FileError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownKey { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::UnknownKey { known, .. } => format!("keys that can be there: {}", known.join(", ")),
            Self::Value { .. } | Self::Kind { .. } => "`sandbar schema` prints all keys and their values".to_owned(),
        }
    }
}

/// Reads a cluster file's text.
pub fn parse_file(text: &str) -> Result<ClusterFile, FileError> {
    let file: ClusterFile = serde_saphyr::from_str(text).map_err(|error| from_yaml(&error))?;
    for (key, found, expected) in [("apiVersion", &file.api_version, API_VERSION), ("kind", &file.kind, KIND)] {
        if found != expected {
            let line = text.lines().position(|line| line.starts_with(key)).map_or(1, |index| index as u64 + 1);
            return Err(FileError::Kind { line, key, found: found.clone(), expected });
        }
    }
    Ok(file)
}

/// Words a parser's error with the line and, for keys, with the nearest one.
fn from_yaml(error: &serde_saphyr::Error) -> FileError {
    let line = error.location().map_or(1, |location| location.line());
    match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => FileError::UnknownKey {
            line,
            key: field.clone(),
            nearest: nearest(field, expected.iter().copied()).map(str::to_owned),
            known: expected.iter().map(|&key| key.to_owned()).collect(),
        },
        serde_saphyr::Error::SerdeMissingField { field, .. } => {
            FileError::Value { line, reason: format!("`{field}` is missing") }
        }
        serde_saphyr::Error::SerdeUnknownVariant { variant, expected, .. } => {
            FileError::Value { line, reason: format!("`{variant}` is not one of {}", expected.join(", ")) }
        }
        other => FileError::Value { line, reason: without_position(&other.to_string()) },
    }
}

/// The parser's words without its own "at line …", which is said before.
fn without_position(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    let rest = first.strip_prefix("error: ").unwrap_or(first);
    let rest = match rest.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((position, words)) if position.chars().all(|c| c.is_ascii_digit() || " column".contains(c)) => words,
        _ => rest,
    };
    rest.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: sandbar.dev/v1alpha1\nkind: Cluster\n";

    fn refused(body: &str) -> (String, String) {
        let error = parse_file(&format!("{HEAD}{body}")).unwrap_err();
        (error.to_string(), error.hint())
    }

    #[test]
    fn a_file_with_everything_is_read() {
        let text = format!(
            "{HEAD}metadata:\n  name: edge\nspec:\n  engine: podman\n  image: localhost/sandbar-node:dev\n  ports:\n    \
             listenAddress: 0.0.0.0\n    api: 16443\n    http: 8080\n    https: 8443\n    extra:\n      - host: 30080\n        \
             node: 30080\n  resources:\n    cpus: 2\n    memory: 2Gi\n  labels:\n    tier: edge\n  network:\n    \
             clusterNetwork: 10.50.0.0/16\n    serviceNetwork: 10.51.0.0/16\n  config:\n    - extra.yaml\n    - debugging:\n        \
             logLevel: Debug\n  manifests:\n    - manifests/\n"
        );
        let file = parse_file(&text).unwrap();
        assert_eq!(file.metadata.name.unwrap().as_str(), "edge");
        assert_eq!(file.spec.engine, Some(EngineChoice::Podman));
        assert_eq!(file.spec.resources.cpus.unwrap().millis(), 2000);
        assert_eq!(file.spec.resources.memory.unwrap().bytes(), 2 << 30);
        assert_eq!(file.spec.ports.extra, [ExtraPort { host: 30080, node: 30080 }]);
        assert_eq!(file.spec.config[0], ConfigEntry::File("extra.yaml".into()));
        let ConfigEntry::Inline(keys) = &file.spec.config[1] else { panic!("the second is inline") };
        assert_eq!(keys["debugging"]["logLevel"], "Debug");
    }

    #[test]
    fn a_file_with_only_its_kind_is_read() {
        assert_eq!(parse_file(HEAD).unwrap().spec, FileSpec::default());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest() {
        let (words, hint) = refused("spec:\n  ports:\n    htpp: 8080\n");
        assert_eq!((words.as_str(), hint.as_str()), ("line 5: unknown key `htpp`", "did you mean `http`?"));
        let (words, hint) = refused("sepc: {}\n");
        assert_eq!((words.as_str(), hint.as_str()), ("line 3: unknown key `sepc`", "did you mean `spec`?"));
        let (words, hint) = refused("spec:\n  replicas: 3\n");
        assert_eq!(words, "line 4: unknown key `replicas`");
        assert!(hint.starts_with("keys that can be there: engine, device, emulateBinaries, image"), "{hint}");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        for (body, expected) in [
            ("metadata:\n  name: My_Cluster\n", "line 4: `My_Cluster` is not a cluster's name: `M` cannot be in a DNS"),
            ("spec:\n  resources:\n    memory: lots\n", "line 5: `lots` is not an amount of memory"),
            ("spec:\n  engine: rkt\n", "line 4: `rkt` is not one of auto, podman, docker"),
            ("spec:\n  ports:\n    api: 70000\n", "line 5: "),
            ("spec:\n  network:\n    clusterNetwork: 10.42.1.0/16\n", "line 5: `10.42.1.0/16` has bits set"),
            ("spec:\n  - a\n", "line 4: "),
            ("spec: {}\nspec: {}\n", "line 4: "),
            ("spec: [\n", "line "),
        ] {
            let (words, _) = refused(body);
            assert!(words.starts_with(expected), "{body:?}: {words}");
            assert!(!words.contains('\n') && !words.contains("at line"), "{words}");
        }
    }

    #[test]
    fn a_file_for_something_else_is_refused() {
        let error = parse_file("kind: Cluster\napiVersion: sandbar.dev/v2\n").unwrap_err().to_string();
        assert_eq!(error, "line 2: apiVersion is `sandbar.dev/v2`, this sandbar knows `sandbar.dev/v1alpha1`");
        let error = parse_file("kind: Cluster\n").unwrap_err().to_string();
        assert!(error.contains("`apiVersion` is missing"), "{error}");
    }
}
