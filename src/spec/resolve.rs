//! Flags, the cluster file and what a cluster has already, resolved into one [`ClusterSpec`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{
    Cidr, ClusterFile, ClusterName, ClusterSpec, ConfigEntry, Cpus, DEFAULT_NAME, EngineChoice, ExtraPort,
    MINIMUM_MEMORY_BYTES, Memory, NodeImage,
};
use crate::device::Device;

/// What the command line says of a cluster, already parsed. Whatever is none or empty was not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// The name, as an argument.
    pub name: Option<ClusterName>,
    /// `--engine`
    pub engine: Option<EngineChoice>,
    /// The profile that `--device` names, else the cluster file
    pub device: Option<Box<Device>>,
    /// `--emulate-binaries`
    pub emulate_binaries: Option<bool>,
    /// `--cold`
    pub cold: bool,
    /// `--node-image`, its path absolute
    pub image: Option<NodeImage>,
    /// `--listen-address`
    pub listen_address: Option<IpAddr>,
    /// `--api-port`
    pub api_port: Option<u16>,
    /// `--http-port`
    pub http_port: Option<u16>,
    /// `--https-port`
    pub https_port: Option<u16>,
    /// `--port`
    pub extra_ports: Vec<ExtraPort>,
    /// Ports of the host that are forwarded no more
    pub fewer_ports: Vec<u16>,
    /// `--cpus`
    pub cpus: Option<Cpus>,
    /// `--memory`
    pub memory: Option<Memory>,
    /// `--label`
    pub labels: Vec<(String, String)>,
    /// `--cluster-network`
    pub cluster_network: Option<Cidr>,
    /// `--service-network`
    pub service_network: Option<Cidr>,
    /// `--config`, absolute
    pub config: Vec<PathBuf>,
    /// `--manifest`, absolute
    pub manifests: Vec<PathBuf>,
}

/// Why flags and file do not make a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The name on the command line is not the one in the file.
    #[error("the cluster file is for cluster {file}, the command line says {flag}")]
    OtherName {
        /// The file's.
        file: ClusterName,
        /// The command line's.
        flag: ClusterName,
    },
    /// A device is a machine, and another engine is asked for.
    #[error("{device} is played by a machine, but the engine that was asked for is {engine}")]
    DeviceNeedsMachine {
        /// The device.
        device: String,
        /// The other engine.
        engine: &'static str,
    },
    /// Programs are emulated in a machine, and another engine is asked for.
    #[error("programs of another architecture are emulated in machines, but the engine that was asked for is {engine}")]
    EmulationNeedsMachine {
        /// The other engine.
        engine: &'static str,
    },
    /// The memory limit is below what a node needs.
    #[error("a memory limit of {memory} is below the {} MiB that a node needs", MINIMUM_MEMORY_BYTES >> 20)]
    TooLittleMemory {
        /// What was asked.
        memory: Memory,
    },
    /// A port is 0.
    #[error("{what} cannot be port 0; leave it out to have one picked")]
    PortZero {
        /// Which one.
        what: &'static str,
    },
    /// The same host port twice.
    #[error("port {port} is given twice, for {first} and for {second}")]
    SamePort {
        /// The port.
        port: u16,
        /// What has it first.
        first: String,
        /// What has it again.
        second: String,
    },
    /// The two networks overlap.
    #[error("the cluster network {cluster} and the service network {service} overlap")]
    NetworksOverlap {
        /// Of pods.
        cluster: Cidr,
        /// Of services.
        service: Cidr,
    },
    /// A network is too small or too large.
    #[error("{network} cannot be the {what}: its prefix has to be from /{least} to /{most}")]
    NetworkSize {
        /// `cluster network` or `service network`.
        what: &'static str,
        /// The network.
        network: Cidr,
        /// Shortest prefix.
        least: u8,
        /// Longest prefix.
        most: u8,
    },
    /// Kubernetes would not take the label.
    #[error("`{key}={value}` cannot be a label of a node: {reason}")]
    Label {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
        /// Why not.
        reason: &'static str,
    },
}

/// Resolves what the user said: flags win over the file, the file over what the cluster has, that over defaults.
///
/// `existing` is what a cluster of that name was made with; a file replaces it altogether, since a file says all that a
/// cluster is. `file` comes with the folder to which its paths are relative.
pub fn resolve(
    flags: &Flags,
    file: Option<(&ClusterFile, &Path)>,
    existing: Option<&ClusterSpec>,
) -> Result<ClusterSpec, SpecError> {
    let mut spec = match (file, existing) {
        (Some((file, folder)), _) => from_file(file, folder, flags)?,
        (None, Some(existing)) => existing.clone(),
        (None, None) => ClusterSpec::with_defaults(flags.name.clone().unwrap_or_else(default_name)),
    };
    apply(flags, &mut spec);
    imply_machine(&mut spec)?;
    check(&spec)?;
    Ok(spec)
}

/// The name that flags and file give, by the same rule as in [`resolve`].
#[must_use]
pub fn name(flags: Option<&ClusterName>, file: Option<&ClusterFile>) -> ClusterName {
    flags.or_else(|| file.and_then(|file| file.metadata.name.as_ref())).cloned().unwrap_or_else(default_name)
}

fn default_name() -> ClusterName {
    DEFAULT_NAME.parse().unwrap_or_else(|_| unreachable!("the default name is a DNS label"))
}

fn from_file(file: &ClusterFile, folder: &Path, flags: &Flags) -> Result<ClusterSpec, SpecError> {
    if let (Some(in_file), Some(flag)) = (&file.metadata.name, &flags.name)
        && in_file != flag
    {
        return Err(SpecError::OtherName { file: in_file.clone(), flag: flag.clone() });
    }
    let spec = file.spec.clone();
    let defaults = ClusterSpec::with_defaults(name(flags.name.as_ref(), Some(file)));
    let absolute = |entry: ConfigEntry| match entry {
        ConfigEntry::File(path) => ConfigEntry::File(folder.join(path)),
        inline @ ConfigEntry::Inline(_) => inline,
    };
    Ok(ClusterSpec {
        engine: spec.engine.unwrap_or_default(),
        emulate_binaries: spec.emulate_binaries.unwrap_or_default(),
        image: spec.image.unwrap_or_default().below(folder),
        listen_address: spec.ports.listen_address.unwrap_or(defaults.listen_address),
        api_port: spec.ports.api,
        http_port: spec.ports.http,
        https_port: spec.ports.https,
        extra_ports: spec.ports.extra,
        cpus: spec.resources.cpus,
        memory: spec.resources.memory,
        labels: spec.labels,
        cluster_network: spec.network.cluster_network,
        service_network: spec.network.service_network,
        config: spec.config.into_iter().map(absolute).collect(),
        manifests: spec.manifests.into_iter().map(|path| folder.join(path)).collect(),
        ..defaults
    })
}

fn apply(flags: &Flags, spec: &mut ClusterSpec) {
    fn set<T: Clone>(target: &mut T, flag: Option<&T>) {
        if let Some(value) = flag {
            *target = value.clone();
        }
    }
    fn fill<T: Clone>(target: &mut Option<T>, flag: Option<&T>) {
        if let Some(value) = flag {
            *target = Some(value.clone());
        }
    }
    set(&mut spec.engine, flags.engine.as_ref());
    fill(&mut spec.device, flags.device.as_ref());
    set(&mut spec.emulate_binaries, flags.emulate_binaries.as_ref());
    spec.cold = flags.cold;
    set(&mut spec.image, flags.image.as_ref());
    set(&mut spec.listen_address, flags.listen_address.as_ref());
    fill(&mut spec.api_port, flags.api_port.as_ref());
    fill(&mut spec.http_port, flags.http_port.as_ref());
    fill(&mut spec.https_port, flags.https_port.as_ref());
    fill(&mut spec.cpus, flags.cpus.as_ref());
    fill(&mut spec.memory, flags.memory.as_ref());
    fill(&mut spec.cluster_network, flags.cluster_network.as_ref());
    fill(&mut spec.service_network, flags.service_network.as_ref());
    spec.extra_ports.retain(|port| !flags.fewer_ports.contains(&port.host));
    for port in &flags.extra_ports {
        spec.extra_ports.retain(|other| other.node != port.node);
        spec.extra_ports.push(*port);
    }
    spec.labels.extend(flags.labels.iter().cloned());
    for path in &flags.config {
        let entry = ConfigEntry::File(path.clone());
        if !spec.config.contains(&entry) {
            spec.config.push(entry);
        }
    }
    for path in &flags.manifests {
        if !spec.manifests.contains(path) {
            spec.manifests.push(path.clone());
        }
    }
}

/// A device is played by a machine, and by nothing else; and in containers it is for the host to emulate programs.
fn imply_machine(spec: &mut ClusterSpec) -> Result<(), SpecError> {
    if spec.device.is_none() && !spec.emulate_binaries {
        return Ok(());
    }
    let engine = match spec.engine {
        EngineChoice::Auto | EngineChoice::Machine => {
            spec.engine = EngineChoice::Machine;
            return Ok(());
        }
        EngineChoice::Podman => "podman",
        EngineChoice::Docker => "docker",
    };
    Err(match &spec.device {
        Some(device) => SpecError::DeviceNeedsMachine { device: device.title.clone(), engine },
        None => SpecError::EmulationNeedsMachine { engine },
    })
}

fn check(spec: &ClusterSpec) -> Result<(), SpecError> {
    if let Some(memory) = spec.memory.as_ref().filter(|memory| memory.bytes() < MINIMUM_MEMORY_BYTES) {
        return Err(SpecError::TooLittleMemory { memory: memory.clone() });
    }
    check_ports(spec)?;
    check_network("cluster network", spec.cluster_network, 8, 23)?;
    check_network("service network", spec.service_network, 8, 24)?;
    if let (Some(cluster), Some(service)) = (spec.cluster_network, spec.service_network)
        && cluster.overlaps(service)
    {
        return Err(SpecError::NetworksOverlap { cluster, service });
    }
    spec.node_labels().iter().try_for_each(|(key, value)| match label_problem(key, value) {
        Some(reason) => Err(SpecError::Label { key: key.clone(), value: value.clone(), reason }),
        None => Ok(()),
    })
}

fn check_ports(spec: &ClusterSpec) -> Result<(), SpecError> {
    let named = [("the API", spec.api_port), ("HTTP", spec.http_port), ("HTTPS", spec.https_port)];
    let mut taken: BTreeMap<u16, String> = BTreeMap::new();
    let named = named.into_iter().filter_map(|(what, port)| Some((what, what.to_owned(), port?)));
    let extra = spec.extra_ports.iter().map(|port| ("an extra port", format!("the node's {}", port.node), port.host));
    for (what, name, port) in named.chain(extra) {
        if port == 0 {
            return Err(SpecError::PortZero { what });
        }
        if let Some(first) = taken.insert(port, name.clone()) {
            return Err(SpecError::SamePort { port, first, second: name });
        }
    }
    if spec.extra_ports.iter().any(|port| port.node == 0) {
        return Err(SpecError::PortZero { what: "a port of the node" });
    }
    Ok(())
}

fn check_network(what: &'static str, network: Option<Cidr>, least: u8, most: u8) -> Result<(), SpecError> {
    match network {
        Some(network) if !(least..=most).contains(&network.prefix()) => {
            Err(SpecError::NetworkSize { what, network, least, most })
        }
        _ => Ok(()),
    }
}

/// Why Kubernetes would not take a label, by its rules for keys and values:
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>.
fn label_problem(key: &str, value: &str) -> Option<&'static str> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let word = |text: &str| {
        text.len() <= 63
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let domain = |text: &str| {
        text.len() <= 253 && !text.is_empty() && text.split('.').all(|label| word(label) && !label.contains(['_']))
    };
    if !word(name) || !prefix.is_none_or(domain) {
        return Some("a key is letters, digits, `-`, `_` and `.`, with a domain and `/` before it if you like");
    }
    if !value.is_empty() && !word(value) {
        return Some("a value is at most 63 letters, digits, `-`, `_` and `.`");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse_file;

    fn file(body: &str) -> ClusterFile {
        parse_file(&format!("apiVersion: sandbar.dev/v1alpha1\nkind: Cluster\n{body}")).unwrap()
    }

    #[test]
    fn without_anything_everything_has_its_default() {
        let spec = resolve(&Flags::default(), None, None).unwrap();
        assert_eq!(spec.name.as_str(), "default");
        assert_eq!(spec.listen_address.to_string(), "127.0.0.1");
        assert_eq!(spec.image.to_string(), concat!("localhost/sandbar-node:", env!("CARGO_PKG_VERSION")));
        assert_eq!((spec.api_port, spec.memory), (None, None));
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_what_was() {
        let was = resolve(
            &Flags { memory: Some("1Gi".parse().unwrap()), http_port: Some(8080), ..Flags::default() },
            None,
            None,
        )
        .unwrap();
        let file =
            file("spec:\n  resources:\n    memory: 2Gi\n  labels: {a: b}\n  manifests: [m]\n  config: [c.yaml]\n");
        let flags = Flags { memory: Some("3Gi".parse().unwrap()), ..Flags::default() };
        let spec = resolve(&flags, Some((&file, Path::new("/home/me"))), Some(&was)).unwrap();
        assert_eq!(spec.memory.unwrap().to_string(), "3Gi");
        assert_eq!(spec.http_port, None, "a file says all that a cluster is");
        assert_eq!(spec.labels["a"], "b");
        assert_eq!(spec.manifests, [Path::new("/home/me/m")]);
        assert_eq!(spec.config, [ConfigEntry::File("/home/me/c.yaml".into())]);

        let again = resolve(&Flags { cpus: Some("2".parse().unwrap()), ..Flags::default() }, None, Some(&was)).unwrap();
        assert_eq!(again.http_port, Some(8080), "without a file what was stays");
        assert_eq!(again.cpus.unwrap().millis(), 2000);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let words = |flags: Flags| resolve(&flags, None, None).unwrap_err().to_string();
        let memory = Some("256Mi".parse().unwrap());
        assert_eq!(
            words(Flags { memory, ..Flags::default() }),
            "a memory limit of 256Mi is below the 512 MiB that a node needs"
        );
        assert_eq!(
            words(Flags { api_port: Some(8443), https_port: Some(8443), ..Flags::default() }),
            "port 8443 is given twice, for the API and for HTTPS"
        );
        let extra_ports = vec![ExtraPort { host: 8443, node: 30000 }];
        assert_eq!(
            words(Flags { api_port: Some(8443), extra_ports, ..Flags::default() }),
            "port 8443 is given twice, for the API and for the node's 30000"
        );
        assert_eq!(
            words(Flags { http_port: Some(0), ..Flags::default() }),
            "HTTP cannot be port 0; leave it out to have one picked"
        );
        let networks = |cluster: &str, service: &str| Flags {
            cluster_network: Some(cluster.parse().unwrap()),
            service_network: Some(service.parse().unwrap()),
            ..Flags::default()
        };
        assert_eq!(
            words(networks("10.0.0.0/8", "10.43.0.0/16")),
            "the cluster network 10.0.0.0/8 and the service network 10.43.0.0/16 overlap"
        );
        assert!(words(networks("10.42.0.0/28", "10.43.0.0/16")).contains("from /8 to /23"));
        let label = |key: &str, value: &str| {
            words(Flags { labels: vec![(key.to_owned(), value.to_owned())], ..Flags::default() })
        };
        assert!(label("a b", "c").contains("`a b=c` cannot be a label of a node"));
        assert!(label("-a", "c").contains("cannot be a label"));
        assert!(label("a", "c c").contains("a value is"));
        assert!(label("ex_ample.com/a", "c").contains("a key is"));
    }

    #[test]
    fn labels_as_kubernetes_takes_them_are_fine() {
        let labels = [("a", ""), ("example.com/a.b_c-d", "1.0_x-y"), ("a/b", "c")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        resolve(&Flags { labels, ..Flags::default() }, None, None).unwrap();
    }

    #[test]
    fn a_device_is_played_by_a_machine() {
        let device = crate::device::find("jetson-tx1").unwrap().device();
        let flags = |engine| Flags { device: Some(Box::new(device.clone())), engine, ..Flags::default() };
        let spec = resolve(&flags(None), None, None).unwrap();
        assert_eq!((spec.engine, spec.architecture().unwrap().name()), (EngineChoice::Machine, "arm64"));
        assert_eq!(spec.node_labels()["sandbar.dev/device"], "jetson-tx1");
        let again = resolve(&Flags::default(), None, Some(&spec)).unwrap();
        assert_eq!(again, spec, "a cluster stays the device that it is");
        resolve(&flags(Some(EngineChoice::Machine)), None, None).unwrap();
        let error = resolve(&flags(Some(EngineChoice::Podman)), None, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "NVIDIA Jetson TX1 Developer Kit is played by a machine, but the engine that was asked for is podman"
        );
        let mut labels = device.clone();
        labels.labels.insert("a b".to_owned(), "c".to_owned());
        let wrong = Flags { device: Some(Box::new(labels)), ..Flags::default() };
        assert!(matches!(resolve(&wrong, None, None), Err(SpecError::Label { .. })));
    }

    #[test]
    fn binaries_are_emulated_in_machines() {
        let flags = |emulate_binaries| Flags { emulate_binaries, ..Flags::default() };
        let spec = resolve(&flags(Some(true)), None, None).unwrap();
        assert_eq!((spec.engine, spec.emulate_binaries), (EngineChoice::Machine, true));
        assert_eq!(resolve(&flags(None), None, Some(&spec)).unwrap(), spec, "a cluster keeps it");
        assert!(!resolve(&flags(Some(false)), None, Some(&spec)).unwrap().emulate_binaries);
        let file = file("spec:\n  emulateBinaries: true\n");
        assert!(resolve(&flags(None), Some((&file, Path::new("/"))), None).unwrap().emulate_binaries);
        assert!(!resolve(&flags(Some(false)), Some((&file, Path::new("/"))), None).unwrap().emulate_binaries);
        let podman = Flags { engine: Some(EngineChoice::Podman), ..flags(Some(true)) };
        assert!(matches!(resolve(&podman, None, None), Err(SpecError::EmulationNeedsMachine { engine: "podman" })));
    }

    #[test]
    fn two_names_contradict() {
        let file = file("metadata:\n  name: edge\n");
        let flags = Flags { name: Some("other".parse().unwrap()), ..Flags::default() };
        let error = resolve(&flags, Some((&file, Path::new("/"))), None).unwrap_err();
        assert_eq!(error.to_string(), "the cluster file is for cluster edge, the command line says other");
    }
}
