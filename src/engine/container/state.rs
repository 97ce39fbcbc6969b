//! What an engine says of containers and images, read tolerantly, as the values of the trait.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bollard::models::{ContainerStatsResponse, ImageInspect};
use serde::{Deserialize, Deserializer};

use crate::engine::{ImageInfo, Labels, NodeState, NodeStats, PortForward, RunState};

/// Answer of `GET /containers/NAME/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    pub id: String,
    pub name: String,
    created: String,
    image: String,
    state: ContainerState,
    config: Config,
    host_config: HostConfig,
    #[serde(default)]
    network_settings: NetworkSettings,
    #[serde(default, deserialize_with = "or_default")]
    mounts: Vec<Mounted>,
}

/// Something of a container's mounts; only volumes have names.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mounted {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerState {
    status: String,
    #[serde(default)]
    exit_code: i64,
    #[serde(default, rename = "OOMKilled")]
    oom_killed: bool,
    #[serde(default)]
    pid: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default, deserialize_with = "or_default")]
    labels: Labels,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default, deserialize_with = "or_default")]
    port_bindings: BTreeMap<String, Option<Vec<Binding>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    host_port: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default, deserialize_with = "or_default")]
    networks: BTreeMap<String, Network>,
}

#[derive(Debug, Deserialize)]
struct Network {
    #[serde(default, rename = "IPAddress")]
    address: String,
}

/// Answer of Podman's `GET /libpod/volumes/NAME/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Volume {
    created_at: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: Labels,
    #[serde(default, deserialize_with = "or_default")]
    options: BTreeMap<String, String>,
}

/// One of `GET /containers/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    names: Vec<String>,
    #[serde(rename = "ImageID")]
    image_id: String,
    created: i64,
    state: String,
    #[serde(default, deserialize_with = "or_default")]
    labels: Labels,
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<ListedPort>,
    #[serde(default)]
    network_settings: NetworkSettings,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPort {
    #[serde(default, rename = "IP")]
    address: String,
    private_port: u16,
    #[serde(default)]
    public_port: u16,
}

impl Container {
    pub fn labels(&self) -> &Labels {
        &self.config.labels
    }

    pub fn is_paused(&self) -> bool {
        self.state.status == "paused"
    }

    /// When it was made, if the engine says so in the usual form.
    pub fn made(&self) -> Option<jiff::Timestamp> {
        self.created.parse().ok()
    }

    /// Whether it has that volume.
    pub fn mounts(&self, volume: &str) -> bool {
        self.mounts.iter().any(|mounted| mounted.name == volume)
    }

    /// Number of its first process, if it runs or ends as far as the engine knows.
    pub fn process(&self) -> Option<i64> {
        (["running", "stopping"].contains(&self.state.status.as_str()) && self.state.pid > 0).then_some(self.state.pid)
    }

    /// The forwards it was created with.
    pub fn forwards(&self) -> Vec<PortForward> {
        let mut forwards = Vec::new();
        for (port, bindings) in &self.host_config.port_bindings {
            let Some(node_port) = port.strip_suffix("/tcp").and_then(|port| port.parse().ok()) else { continue };
            for binding in bindings.iter().flatten() {
                let Ok(host_port) = binding.host_port.parse() else { continue };
                forwards.push(PortForward { host_address: address(&binding.host_ip), host_port, node_port });
            }
        }
        sorted(forwards)
    }

    pub fn into_state(self) -> NodeState {
        let ports = self.forwards();
        let run = run_state(&self.state.status, self.state.exit_code, self.state.oom_killed);
        NodeState {
            name: self.name.trim_start_matches('/').to_owned(),
            labels: self.config.labels,
            run,
            ports,
            image_id: with_algorithm(self.image),
            created: self.created,
            address: self.network_settings.address(),
            kept: None,
        }
    }
}

impl Volume {
    /// When it was made, if the engine says so in the usual form.
    pub fn made(&self) -> Option<jiff::Timestamp> {
        self.created_at.parse().ok()
    }

    /// Whether nobody said anything of it.
    pub fn is_nobodys(&self) -> bool {
        self.labels.is_empty() && self.options.is_empty()
    }
}

impl Listed {
    /// What runs is told by the list as a whole; of anything else the name is returned, for a closer look.
    pub fn into_state(self) -> Result<NodeState, String> {
        let name = self.names.first().map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default();
        if self.state != "running" {
            return Err(name);
        }
        let forward = |port: &ListedPort| PortForward {
            host_address: address(&port.address),
            host_port: port.public_port,
            node_port: port.private_port,
        };
        let created = jiff::Timestamp::from_second(self.created).map(|time| time.to_string());
        Ok(NodeState {
            name,
            labels: self.labels,
            run: RunState::Running,
            ports: sorted(self.ports.iter().filter(|port| port.public_port != 0).map(forward).collect()),
            image_id: with_algorithm(self.image_id),
            created: created.unwrap_or_default(),
            address: self.network_settings.address(),
            kept: None,
        })
    }
}

impl NetworkSettings {
    fn address(&self) -> Option<IpAddr> {
        self.networks.values().find_map(|network| network.address.parse().ok())
    }
}

/// The engine's words for a state.
fn run_state(status: &str, code: i64, out_of_memory: bool) -> RunState {
    match status {
        "created" | "configured" | "initialized" => RunState::Created,
        "running" => RunState::Running,
        "paused" => RunState::Paused,
        "exited" | "stopped" | "dead" => RunState::Exited { code, out_of_memory },
        other => RunState::Other { text: other.to_owned() },
    }
}

/// An empty address is every one.
fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

fn sorted(mut forwards: Vec<PortForward>) -> Vec<PortForward> {
    forwards.sort_by_key(|forward| (forward.node_port, forward.host_address, forward.host_port));
    forwards
}

/// Podman leaves out the algorithm in some answers.
fn with_algorithm(id: String) -> String {
    if id.contains(':') { id } else { format!("sha256:{id}") }
}

/// Go writes empty maps and lists as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// An image of the engine's store.
pub(super) fn image(image: ImageInspect) -> ImageInfo {
    let labels = image.config.and_then(|config| config.labels).unwrap_or_default();
    ImageInfo {
        id: with_algorithm(image.id.unwrap_or_default()),
        names: image.repo_tags.unwrap_or_default(),
        labels: labels.into_iter().collect(),
        diff_ids: image.root_fs.and_then(|root| root.layers).unwrap_or_default(),
        architecture: image.architecture.unwrap_or_default(),
        size_bytes: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
    }
}

/// Names in the words of an import: `Loaded image: a`, `Loaded image(s): a,b`.
pub(super) fn imported(words: &str) -> Vec<String> {
    let lists = words.lines().filter_map(|line| {
        let line = line.trim();
        ["Loaded image: ", "Loaded image(s): ", "Loaded image ID: "].iter().find_map(|before| line.strip_prefix(before))
    });
    lists.flat_map(|list| list.split(',')).map(|name| name.trim().to_owned()).collect()
}

/// What a container consumes; none when the engine has no figures, as for one that ended.
pub(super) fn stats(stats: &ContainerStatsResponse) -> Option<NodeStats> {
    let memory = stats.memory_stats.as_ref()?;
    let details = memory.stats.as_ref();
    // cgroup v2, then v1: file pages that go when they are in the way.
    let reclaimable = ["inactive_file", "total_inactive_file"].iter().find_map(|key| details?.get(*key).copied());
    let usage = memory.usage.filter(|usage| *usage > 0)?;
    Some(NodeStats {
        memory_bytes: usage.saturating_sub(reclaimable.unwrap_or_default()),
        cpu_nanos: stats.cpu_stats.as_ref()?.cpu_usage.as_ref()?.total_usage.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_state_is_not_an_error() {
        let text = r#"{"Names":["/sandbar-a"],"ImageID":"4903","Created":1795432276,"State":"stopping","Labels":null,
            "Ports":null}"#;
        let listed: Listed = serde_json::from_str(text).unwrap();
        assert_eq!(listed.into_state(), Err("sandbar-a".into()));
        assert_eq!(run_state("stopping", 0, false), RunState::Other { text: "stopping".into() });
        assert_eq!(run_state("exited", 137, true), RunState::Exited { code: 137, out_of_memory: true });
    }

    #[test]
    fn a_list_of_podman_is_understood() {
        let text = r#"{"Id":"43a1","Names":["/sandbar-a"],"Image":"localhost/c2-probe:1","ImageID":"sha256:4903",
            "Created":1795432276,"Ports":[{"IP":"127.0.0.1","PrivatePort":6443,"PublicPort":16443,"Type":"tcp"}],
            "Labels":{"dev.sandbar.cluster":"a"},"State":"running",
            "NetworkSettings":{"Networks":{"sandbar-a":{"IPAddress":"10.89.0.10"}}}}"#;
        let listed: Listed = serde_json::from_str(text).unwrap();
        let node = listed.into_state().unwrap();
        assert_eq!(node.address, Some(IpAddr::from([10, 89, 0, 10])));
        assert_eq!(
            node.ports,
            [PortForward { host_address: [127, 0, 0, 1].into(), host_port: 16443, node_port: 6443 }]
        );
        assert_eq!(node.created, "2026-11-23T11:11:16Z");
    }

    #[test]
    fn the_names_of_an_import_are_found() {
        assert_eq!(imported("Loaded image: localhost/a:1\n"), ["localhost/a:1"]);
        assert_eq!(imported("Loaded image(s): localhost/a:1,localhost/b:2"), ["localhost/a:1", "localhost/b:2"]);
        assert_eq!(imported("Loaded image ID: sha256:12\n"), ["sha256:12"]);
        assert_eq!(imported("Getting image source signatures\n"), [""; 0]);
    }
}
