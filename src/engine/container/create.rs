//! What is asked of an engine for a node: pure functions from [`NodeSpec`] to requests.
//!
//! Podman gets the request of its own API: its Docker-compatible one ignores `CgroupnsMode` on cgroup v1, and then two
//! clusters would share `/kubepods`. Docker gets the Docker API's.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions, PortBinding, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use serde_json::{Value, json};

use super::capabilities::Capabilities;
use super::limits::Limit;
use crate::engine::{EngineError, NodeSpec, Purpose};

/// Where the volume is in a node (the node contract, "Files").
pub(super) const VOLUME: &str = "/var/lib/sandbar";
/// Folders of a node that are memory, with their mode (the node contract, "Image").
const IN_MEMORY: [(&str, &str); 2] = [("/run", "755"), ("/tmp", "1777")];
/// Bytes of the first process' output that the engine keeps.
const LOG_BYTES: i64 = 10 << 20;
/// Length of a scheduling period in microseconds, cgroups(7).
const CPU_PERIOD_MICROS: u64 = 100_000;

/// How far a node is privileged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privilege {
    /// All capabilities and no filters, but none of the host's devices: a privileged pod does not see its disks.
    AllCapabilities,
    /// All that an engine calls privileged.
    Privileged,
}

impl Privilege {
    /// What a node gets from an engine. Only one of root may set rules for devices that are not there.
    pub fn of(rootless: bool) -> Self {
        if rootless { Self::Privileged } else { Self::AllCapabilities }
    }

    /// For reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::AllCapabilities => "all capabilities",
            Self::Privileged => "privileged",
        }
    }
}

/// The request of Podman's own API (`POST /libpod/containers/create`, a `SpecGenerator`).
pub(super) fn podman(spec: &NodeSpec, limits: &[Limit], privilege: Privilege) -> Value {
    let ports = spec.ports.iter().map(|port| {
        json!({
            "host_ip": port.host_address, "host_port": port.host_port, "container_port": port.node_port,
            "protocol": "tcp",
        })
    });
    let in_memory = IN_MEMORY.map(|(path, mode)| {
        let options = ["rw", "nosuid", "nodev", "exec", &format!("mode={mode}")].map(str::to_owned);
        json!({ "destination": path, "type": "tmpfs", "source": "tmpfs", "options": options })
    });
    let limits = limits.iter().map(|limit| json!({ "type": limit.name, "soft": limit.value, "hard": limit.value }));
    // Pods are processes of this container: the engine's limit of 2,048 is one for an application.
    let mut resources = json!({ "pids": { "limit": -1 } });
    if let Some(bytes) = spec.memory_bytes {
        resources["memory"] = json!({ "limit": bytes, "swap": bytes });
    }
    if let Some(millis) = spec.cpu_millis {
        let quota = u64::from(millis) * CPU_PERIOD_MICROS / 1000;
        resources["cpu"] = json!({ "quota": quota, "period": CPU_PERIOD_MICROS });
    }
    let mut request = json!({
        "name": spec.name, "hostname": spec.hostname, "image": spec.image, "labels": spec.labels,
        "env": spec.environment, "cgroupns": { "nsmode": "private" }, "init": false,
        "systemd": "false", "stop_signal": 15, "restart_policy": "unless-stopped",
        "netns": { "nsmode": "bridge" }, "networks": { (spec.name.as_str()): {} },
        "portmappings": ports.collect::<Vec<_>>(), "mounts": in_memory,
        "volumes": [{ "Name": spec.name, "Dest": VOLUME, "Options": ["rw", "exec", "dev", "suid"] }],
        "r_limits": limits.collect::<Vec<_>>(), "resource_limits": resources,
        "log_configuration": { "driver": "k8s-file", "size": LOG_BYTES },
    });
    let check = match &spec.purpose {
        Purpose::Node => json!({}),
        Purpose::Check { command } => json!({
            "entrypoint": command, "command": [], "restart_policy": "no", "netns": { "nsmode": "none" }, "networks": {},
        }),
    };
    let more = match privilege {
        Privilege::Privileged => json!({ "privileged": true }),
        // The node makes its cgroups writable by itself. Privileged pods make device nodes, as the kernel lets them.
        Privilege::AllCapabilities => json!({
            "cap_add": ["all"], "seccomp_profile_path": "unconfined", "apparmor_profile": "unconfined",
            "selinux_opts": ["disable"], "unmask": ["ALL"],
            "device_cgroup_rule": [{ "allow": true, "type": "a", "access": "rwm" }],
        }),
    };
    if let (Value::Object(request), Value::Object(check), Value::Object(more)) = (&mut request, check, more) {
        request.extend(check);
        request.extend(more);
    }
    request
}

/// The request of the Docker API.
pub(super) fn docker(spec: &NodeSpec, limits: &[Limit], security: HostConfig) -> ContainerCreateBody {
    let mut bindings = HashMap::<String, Option<Vec<PortBinding>>>::new();
    for port in &spec.ports {
        let binding =
            PortBinding { host_ip: Some(port.host_address.to_string()), host_port: Some(port.host_port.to_string()) };
        bindings.entry(format!("{}/tcp", port.node_port)).or_default().get_or_insert_default().push(binding);
    }
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let ulimit = |limit: &Limit| ResourcesUlimits {
        name: Some(limit.name.into()),
        soft: Some(number(limit.value)),
        hard: Some(number(limit.value)),
    };
    let in_memory = IN_MEMORY.map(|(path, mode)| (path.to_owned(), format!("rw,nosuid,nodev,exec,mode={mode}")));
    let log = [("max-size", "10m"), ("max-file", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let (restart, network, program) = match &spec.purpose {
        Purpose::Node => (RestartPolicyNameEnum::UNLESS_STOPPED, spec.name.clone(), None),
        Purpose::Check { command } => (RestartPolicyNameEnum::NO, "none".to_owned(), Some(command.clone())),
    };
    ContainerCreateBody {
        hostname: Some(spec.hostname.clone()),
        cmd: program.as_ref().map(|_| Vec::new()),
        entrypoint: program,
        image: Some(spec.image.clone()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        env: Some(spec.environment.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        exposed_ports: Some(bindings.keys().cloned().collect()),
        stop_signal: Some("SIGTERM".into()),
        host_config: Some(HostConfig {
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            init: Some(false),
            restart_policy: Some(RestartPolicy { name: Some(restart), maximum_retry_count: None }),
            network_mode: Some(network),
            port_bindings: Some(bindings),
            mounts: Some(vec![Mount {
                typ: Some(MountType::VOLUME),
                source: Some(spec.name.clone()),
                target: Some(VOLUME.into()),
                // It is there, but for one that is removed at this moment, and that would come back as nobody's.
                volume_options: Some(MountVolumeOptions {
                    labels: Some(spec.labels.clone().into_iter().collect()),
                    ..MountVolumeOptions::default()
                }),
                ..Mount::default()
            }]),
            tmpfs: Some(in_memory.into()),
            ulimits: Some(limits.iter().map(ulimit).collect()),
            pids_limit: Some(-1),
            memory: spec.memory_bytes.map(number),
            memory_swap: spec.memory_bytes.map(number),
            nano_cpus: spec.cpu_millis.map(|millis| i64::from(millis) * 1_000_000),
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".into()), config: Some(log.into()) }),
            ..security
        }),
        ..ContainerCreateBody::default()
    }
}

/// The part of that request which says what the node may do.
pub(super) fn docker_security(privilege: Privilege, capabilities: &Capabilities) -> HostConfig {
    if privilege == Privilege::Privileged {
        return HostConfig { privileged: Some(true), ..HostConfig::default() };
    }
    let (drop, add) = match capabilities {
        Capabilities::All => (None, vec!["ALL".to_owned()]),
        Capabilities::Named(names) => (Some(vec!["ALL".to_owned()]), names.iter().map(|&name| name.into()).collect()),
    };
    let unconfined = ["seccomp=unconfined", "apparmor=unconfined", "label=disable"];
    HostConfig {
        cap_drop: drop,
        cap_add: Some(add),
        security_opt: Some(unconfined.map(str::to_owned).into()),
        // Left out, these are the engine's own lists.
        masked_paths: Some(Vec::new()),
        readonly_paths: Some(Vec::new()),
        // The node makes its cgroups writable by itself. Privileged pods make device nodes, as the kernel lets them.
        device_cgroup_rules: Some(vec!["a *:* rwm".to_owned()]),
        ..HostConfig::default()
    }
}

/// The files of a node as a tar archive for its root folder, owned by root.
pub(super) fn archive(spec: &NodeSpec) -> Result<Vec<u8>, EngineError> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, content) in &spec.files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        let relative = path.strip_prefix("/").unwrap_or(path);
        builder.append_data(&mut header, relative, content.as_slice()).map_err(|error| refused(&error))?;
    }
    builder.into_inner().map_err(|error| refused(&error))
}

fn refused(error: &std::io::Error) -> EngineError {
    EngineError::Refused {
        engine: "sandbar".into(),
        operation: "pack the node's files".into(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use super::*;
    use crate::engine::PortForward;

    fn spec() -> NodeSpec {
        NodeSpec {
            purpose: Purpose::Node,
            name: "sandbar-blue".into(),
            hostname: "blue".into(),
            image: "localhost/sandbar-node:0.1.0".into(),
            labels: [("dev.sandbar.cluster".to_owned(), "blue".to_owned())].into(),
            ports: vec![PortForward { host_address: Ipv4Addr::LOCALHOST.into(), host_port: 8080, node_port: 80 }],
            environment: BTreeMap::from([("SANDBAR_STOP_GRACE".to_owned(), "3s".to_owned())]),
            cpu_millis: Some(1500),
            memory_bytes: Some(1 << 30),
            hardware: None,
            emulate_binaries: false,
            cold: false,
            files: vec![("/etc/sandbar/config.yaml".into(), 0o600, b"a: b\n".to_vec())],
        }
    }

    #[test]
    fn podman_is_asked_for_what_the_contract_says() {
        let request = podman(&spec(), &[Limit { name: "nofile", value: 20_000 }], Privilege::AllCapabilities);
        let text = serde_json::to_string_pretty(&request).unwrap();
        insta::assert_snapshot!(text);
        let request = podman(&spec(), &[], Privilege::Privileged);
        assert_eq!((&request["privileged"], &request["cap_add"]), (&Value::Bool(true), &Value::Null));
    }

    #[test]
    fn docker_is_asked_for_what_the_contract_says() {
        // Through a value, which sorts what a hash map would not.
        let security = docker_security(Privilege::AllCapabilities, &Capabilities::All);
        let limits = [Limit { name: "nofile", value: 20_000 }];
        let request = serde_json::to_value(docker(&spec(), &limits, security)).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&request).unwrap());
        let named = docker_security(Privilege::AllCapabilities, &Capabilities::Named(vec!["CHOWN", "KILL"]));
        let list = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!((named.cap_drop, named.cap_add), (list(&["ALL"]), list(&["CHOWN", "KILL"])));
        let privileged = docker_security(Privilege::Privileged, &Capabilities::All);
        assert_eq!((privileged.privileged, privileged.cap_add), (Some(true), None));
    }

    #[test]
    fn a_check_is_made_like_a_node_but_for_its_program_its_network_and_its_end() {
        let command = ["sandbarctl", "host-check"].map(str::to_owned).to_vec();
        let check = NodeSpec { purpose: Purpose::Check { command: command.clone() }, ..spec() };
        let differ = |of_node: Value, of_check: Value| -> Vec<String> {
            let (Value::Object(node), Value::Object(check)) = (of_node, of_check) else { panic!("two requests") };
            let other = check.iter().filter(|(key, value)| node.get(*key) != Some(value));
            other.map(|(key, value)| format!("{key} {value}")).collect()
        };
        let podman = |spec: &NodeSpec| podman(spec, &[], Privilege::AllCapabilities);
        let expected = [
            "command []",
            r#"entrypoint ["sandbarctl","host-check"]"#,
            r#"netns {"nsmode":"none"}"#,
            "networks {}",
            r#"restart_policy "no""#,
        ];
        assert_eq!(differ(podman(&spec()), podman(&check)), expected);
        let docker = |spec: &NodeSpec| {
            let security = docker_security(Privilege::AllCapabilities, &Capabilities::All);
            serde_json::to_value(docker(spec, &[], security)).unwrap()
        };
        let (of_node, of_check) = (docker(&spec()), docker(&check));
        let host = differ(of_node["HostConfig"].clone(), of_check["HostConfig"].clone());
        assert_eq!(host, [r#"NetworkMode "none""#, r#"RestartPolicy {"Name":"no"}"#]);
        assert_eq!((&of_check["Entrypoint"], &of_check["Cmd"]), (&json!(command), &json!([])));
    }

    #[test]
    fn files_are_packed_with_their_modes() {
        let packed = archive(&spec()).unwrap();
        let mut read = tar::Archive::new(packed.as_slice());
        let entries: Vec<_> = read.entries().unwrap().map(Result::unwrap).collect();
        let [entry] = &entries[..] else { panic!("one file") };
        assert_eq!(entry.path().unwrap().to_str(), Some("etc/sandbar/config.yaml"));
        assert_eq!(entry.header().mode().unwrap(), 0o600);
    }
}
