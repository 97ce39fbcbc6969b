//! What the engine is asked to make for a cluster. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::inputs::InputFile;
use crate::device::Device;
use crate::engine::{
    Hardware, LABEL_CLUSTER, LABEL_CONTRACT, LABEL_HOME, LABEL_NETWORKS, LABEL_SPEC, LABEL_VERSION, Labels, NodeSpec,
    PortForward, Purpose,
};
use crate::node::CONTRACT_VERSION;
use crate::spec::{API_NODE_PORT, ClusterSpec, Cpus, HTTP_NODE_PORT, HTTPS_NODE_PORT, Memory};
use crate::store::{Networks, Ports};

/// Mode of the files in the node: manifests may hold secrets.
const FILE_MODE: u32 = 0o600;

/// Digest of everything that a node is made from, to see whether it has to be made anew: the specification with the
/// ports and networks that it got, and its files. Not in it: which engine was meant.
#[must_use]
pub(super) fn digest(spec: &ClusterSpec, files: &BTreeMap<String, String>) -> String {
    let mut spec = serde_json::to_value(spec).unwrap_or_default();
    if let Some(keys) = spec.as_object_mut() {
        // Of files their content counts, not where they were.
        for key in ["engine", "config", "manifests"] {
            keys.remove(key);
        }
    }
    let mut hash = Sha256::new();
    hash.update(spec.to_string());
    for (path, digest) in files {
        hash.update(format!("\0{path}\0{digest}"));
    }
    hex(&hash.finalize())
}

/// Digest of each file, by its path in the node.
#[must_use]
pub(super) fn file_digests(inputs: &[InputFile]) -> BTreeMap<String, String> {
    let digest = |file: &InputFile| (file.path.display().to_string(), hex(&Sha256::digest(&file.content)));
    inputs.iter().map(digest).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().take(16).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Labels of a cluster's resources; `home` is [`Store::home_id`](crate::store::Store::home_id).
#[must_use]
pub(super) fn labels(spec: &ClusterSpec, networks: Networks, digest: &str, home: &str) -> Labels {
    [
        (LABEL_CLUSTER, spec.name.to_string()),
        (LABEL_VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        (LABEL_CONTRACT, CONTRACT_VERSION.to_string()),
        (LABEL_SPEC, digest.to_owned()),
        (LABEL_NETWORKS, format!("{},{}", networks.cluster, networks.service)),
        (LABEL_HOME, home.to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// The networks that [`labels`] wrote; none where they say nothing of them.
#[must_use]
pub(super) fn networks_of(labels: &Labels) -> Option<Networks> {
    let (cluster, service) = labels.get(LABEL_NETWORKS)?.split_once(',')?;
    Some(Networks { cluster: cluster.parse().ok()?, service: service.parse().ok()? })
}

/// What the engine is asked to make, from an image that it has; `host` is where its ports are, if that is not this machine.
#[must_use]
pub(super) fn node_spec(
    spec: &ClusterSpec,
    image: String,
    host: Option<&str>,
    ports: Ports,
    networks: Networks,
    inputs: &[InputFile],
    labels: Labels,
) -> NodeSpec {
    let mut files = vec![("/etc/sandbar/config.yaml".into(), FILE_MODE, config(spec, host, ports, networks))];
    files.extend(inputs.iter().map(|file| (file.path.clone(), FILE_MODE, file.content.clone())));
    let device = spec.device.as_deref();
    NodeSpec {
        purpose: Purpose::Node,
        name: spec.name.resource(),
        hostname: spec.name.to_string(),
        image,
        labels,
        ports: forwards(spec, host, ports),
        environment: BTreeMap::new(),
        cpu_millis: spec.cpus.as_ref().map(Cpus::millis).or(device.map(|device| device.cores * 1000)),
        memory_bytes: spec.memory.as_ref().or(device.map(|device| &device.memory.default)).map(Memory::bytes),
        hardware: device.map(hardware),
        emulate_binaries: spec.emulate_binaries,
        cold: spec.cold,
        files,
    }
}

/// The ports of the engine's host that lead into the node.
#[must_use]
pub(super) fn forwards(spec: &ClusterSpec, host: Option<&str>, ports: Ports) -> Vec<PortForward> {
    let host_address = listens_at(spec, host);
    let forward = |host_port, node_port| PortForward { host_address, host_port, node_port };
    let own = [(ports.api, API_NODE_PORT), (ports.http, HTTP_NODE_PORT), (ports.https, HTTPS_NODE_PORT)];
    let extra = spec.extra_ports.iter().map(|port| (port.host, port.node));
    own.into_iter().chain(extra).map(|(host, node)| forward(host, node)).collect()
}

/// What a machine has to be so that it plays a device.
fn hardware(device: &Device) -> Hardware {
    Hardware {
        device: device.name.clone(),
        architecture: device.architecture,
        cpu: device.cpu.as_ref().map(|cpu| cpu.model.clone()),
        model: device.model.clone(),
        disk_bytes: device.disk.size.bytes(),
        disk: device.disk.limits(),
        link: device.network.clone(),
    }
}

/// The address at which the engine's host listens. Its loopback cannot be reached from here, and what other addresses it
/// has, and keeps, only it knows.
fn listens_at(spec: &ClusterSpec, host: Option<&str>) -> IpAddr {
    match (host, spec.listen_address) {
        (Some(_), IpAddr::V4(address)) if address.is_loopback() => Ipv4Addr::UNSPECIFIED.into(),
        (Some(_), IpAddr::V6(address)) if address.is_loopback() => Ipv6Addr::UNSPECIFIED.into(),
        (_, address) => address,
    }
}

/// The node's configuration file. JSON, which is YAML.
fn config(spec: &ClusterSpec, host: Option<&str>, ports: Ports, networks: Networks) -> Vec<u8> {
    let mut config = json!({
        "node": {"hostnameOverride": spec.name},
        "dns": {"baseDomain": format!("{}.sandbar.internal", spec.name)},
        "network": {
            "clusterNetwork": [networks.cluster],
            "serviceNetwork": [networks.service],
        },
        "sandbar": {
            "clusterName": spec.name,
            "hostPorts": {"api": ports.api, "http": ports.http, "https": ports.https},
            "nodeLabels": spec.node_labels(),
        },
    });
    if let Some(device) = &spec.device {
        // A container's disk and memory are the laptop's; a device has its own, and makes room as it would.
        config["kubelet"] = json!(device.kubelet);
    }
    // Loopback is in the certificate anyway, and "everywhere" is no name.
    let address = Some(spec.listen_address).filter(|address| !address.is_loopback() && !address.is_unspecified());
    let names: Vec<String> = address.iter().map(ToString::to_string).chain(host.map(str::to_lowercase)).collect();
    if !names.is_empty() {
        config["apiServer"] = json!({"subjectAltNames": names});
    }
    let mut text = serde_json::to_vec_pretty(&config).unwrap_or_default();
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Record;

    fn spec() -> ClusterSpec {
        ClusterSpec::with_defaults("edge".parse().unwrap())
    }

    #[test]
    fn the_digest_follows_what_a_node_is_made_from_and_nothing_else() {
        let files = |content: &str| file_digests(&[InputFile { path: "/etc/x".into(), content: content.into() }]);
        let base = digest(&spec(), &files("a"));
        assert_eq!(base, digest(&ClusterSpec { manifests: vec!["/elsewhere".into()], ..spec() }, &files("a")));
        assert_ne!(base, digest(&spec(), &files("b")));
        assert_ne!(base, digest(&ClusterSpec { http_port: Some(8080), ..spec() }, &files("a")));
    }

    #[test]
    fn the_nodes_configuration_names_the_laptops_ports() {
        let networks = Record::new(spec(), jiff::Timestamp::UNIX_EPOCH).networks;
        let ports = Ports { api: 6443, http: 8080, https: 443 };
        let spec = ClusterSpec { listen_address: "192.168.1.5".parse().unwrap(), ..spec() };
        let made = node_spec(&spec, "image".to_owned(), None, ports, networks, &[], labels(&spec, networks, "d", "h"));
        insta::assert_snapshot!(String::from_utf8_lossy(&made.files[0].2), @r#"
        {
          "apiServer": {
            "subjectAltNames": [
              "192.168.1.5"
            ]
          },
          "dns": {
            "baseDomain": "edge.sandbar.internal"
          },
          "network": {
            "clusterNetwork": [
              "10.42.0.0/16"
            ],
            "serviceNetwork": [
              "10.43.0.0/16"
            ]
          },
          "node": {
            "hostnameOverride": "edge"
          },
          "sandbar": {
            "clusterName": "edge",
            "hostPorts": {
              "api": 6443,
              "http": 8080,
              "https": 443
            },
            "nodeLabels": {}
          }
        }
        "#);
        assert_eq!(made.ports.iter().map(|port| port.node_port).collect::<Vec<_>>(), [6443, 80, 443]);
        assert_eq!(made.name, "sandbar-edge");
        assert_eq!(made.ports[0].host_address, spec.listen_address);
        assert_eq!(networks_of(&made.labels), Some(networks));
        assert_eq!(networks_of(&Labels::new()), None);
    }

    #[test]
    fn a_device_has_its_own_cores_memory_labels_and_thresholds() {
        let networks = Record::new(spec(), jiff::Timestamp::UNIX_EPOCH).networks;
        let device = crate::device::find("raspberry-pi-4").unwrap().device();
        let made = |spec: &ClusterSpec| {
            node_spec(spec, "image".to_owned(), None, Ports::default(), networks, &[], Labels::new())
        };
        let spec = ClusterSpec { device: Some(Box::new(device)), ..spec() };
        let node = made(&spec);
        assert_eq!((node.cpu_millis, node.memory_bytes), (Some(4000), Some(4 << 30)));
        let hardware = node.hardware.unwrap();
        assert_eq!((hardware.cpu.as_deref(), hardware.disk.write_iops), (Some("cortex-a72"), Some(1200)));
        let config: serde_json::Value = serde_json::from_slice(&node.files[0].2).unwrap();
        assert_eq!(config["kubelet"]["evictionHard"]["memory.available"], "100Mi");
        assert_eq!(config["kubelet"]["imageGCHighThresholdPercent"], 85);
        assert_eq!(config["sandbar"]["nodeLabels"]["sandbar.dev/device"], "raspberry-pi-4");
        let less = ClusterSpec { cpus: "2".parse().ok(), memory: "3Gi".parse().ok(), ..spec };
        let node = made(&less);
        assert_eq!((node.cpu_millis, node.memory_bytes), (Some(2000), Some(3 << 30)));
    }

    #[test]
    fn an_engine_elsewhere_opens_the_ports_to_those_who_reach_it() {
        let networks = Record::new(spec(), jiff::Timestamp::UNIX_EPOCH).networks;
        let names_and_address = |listen: &str, host: Option<&str>| {
            let spec = ClusterSpec { listen_address: listen.parse().unwrap(), ..spec() };
            let made = node_spec(&spec, "image".to_owned(), host, Ports::default(), networks, &[], Labels::new());
            let config: serde_json::Value = serde_json::from_slice(&made.files[0].2).unwrap();
            (config["apiServer"]["subjectAltNames"].to_string(), made.ports[0].host_address.to_string())
        };
        let said = |names: &str, address: &str| (names.to_owned(), address.to_owned());
        assert_eq!(names_and_address("127.0.0.1", None), said("null", "127.0.0.1"));
        assert_eq!(names_and_address("127.0.0.1", Some("Docker")), said(r#"["docker"]"#, "0.0.0.0"));
        assert_eq!(names_and_address("::1", Some("fd00::1")), said(r#"["fd00::1"]"#, "::"));
        assert_eq!(names_and_address("10.0.0.2", Some("docker")), said(r#"["10.0.0.2","docker"]"#, "10.0.0.2"));
    }
}
