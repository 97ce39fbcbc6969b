//! What a fake engine and its nodes are told to do: delays, failures, and how a node answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The script of a fake engine, kept as `behaviour.json` in its folder and read anew at every call.
///
/// Everything has a default under which all goes well at once, so a test says only what it is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Behaviour {
    /// What becomes of an attempt to reach the engine.
    pub connect: Connect,
    /// The host that its ports are on, as of an engine on another machine.
    pub host: Option<String>,
    /// Where it fails, kills its caller or hangs.
    pub failpoints: Vec<Failpoint>,
    /// Milliseconds by operation (`start_node`, `sandbarctl status`, …) before it begins.
    pub delays_millis: BTreeMap<String, u64>,
    /// Host ports that somebody else holds, beside those that really are.
    pub held_ports: Vec<u16>,
    /// Subnets of other networks of the engine.
    pub foreign_subnets: Vec<String>,
    /// Variables, as `NAME=VALUE`, that the engine says it added to a node by itself, as Podman does with its own proxies.
    pub added_environment: Vec<String>,
    /// Node images that a registry has: their IDs by name.
    pub registry: BTreeMap<String, String>,
    /// What becomes of a wish to stop a node as it runs.
    pub keep: Keep,
    /// Why a state that was kept is not used; none: it is.
    pub kept_is_unfit: Option<String>,
    /// How nodes behave.
    pub node: NodeBehaviour,
    /// Programs in the nodes beside `sandbarctl`, by name, or by name and first argument (`kubectl get`), with what they
    /// answer.
    pub programs: BTreeMap<String, Script>,
    /// How the laptop's side of forwarded ports answers; for a prober that goes with this engine.
    pub probes: Probes,
}

/// What becomes of an attempt to reach the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Connect {
    /// It answers.
    #[default]
    Fine,
    /// As if no engine were installed.
    NotInstalled,
    /// As if it were installed and did not answer, with the system's words.
    Unreachable(String),
    /// As if it answered and could not run what a node needs, with the engine's words.
    PrivilegeRefused(String),
}

/// What becomes of a wish to stop a node as it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Keep {
    /// As in a container engine, which cannot do that.
    #[default]
    Unsupported,
    /// The state takes so many bytes.
    Kept(u64),
    /// Refused with these words, the node runs on.
    Refused(String),
}

/// One place where something goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failpoint {
    /// The method of the engine (`create_node`), or `sandbarctl VERB` for a call into a node; none counts every
    /// method that changes something.
    #[serde(default)]
    pub operation: Option<String>,
    /// Which call since the folder was made, from 1; 0 is every call.
    pub at: u64,
    /// What happens then.
    pub action: Action,
}

/// What happens at a [`Failpoint`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Refused with these words, nothing done.
    Fail(String),
    /// Refused for want of privilege, with these words, nothing done.
    RefusePrivilege(String),
    /// Done, and then an error with these words, as when a connection is lost before the answer.
    FailAfter(String),
    /// The calling process is ended by SIGKILL, nothing done.
    Kill,
    /// Done, and then the calling process is ended by SIGKILL.
    KillAfter,
    /// Never answers.
    Hang,
    /// From here on nobody answers, neither this call nor any other, whatever it is; until there is no such failpoint.
    Die,
}

/// How the nodes of a fake engine behave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NodeBehaviour {
    /// `contractVersion` of the reports.
    pub contract_version: u32,
    /// Version of the node image.
    pub version: String,
    /// Such as `v1.37.2`.
    pub kubernetes_version: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Architectures whose programs it runs through an emulator.
    pub emulated: Vec<String>,
    /// The components and when each is ready.
    pub components: Vec<Component>,
    /// Warnings of the status report, as the contract has them.
    pub warnings: Vec<serde_json::Value>,
    /// Whether the report says unhealthy although every component is ready.
    pub unhealthy: bool,
    /// `sandbar-node` cannot be reached for so many milliseconds after the start; none means never reachable.
    pub reachable_after_millis: Option<u64>,
    /// The first process ends by itself after so many milliseconds, with [`NodeBehaviour::exit_code`].
    pub exits_after_millis: Option<u64>,
    /// Exit status of the first process, when it ends by itself or by SIGTERM.
    pub exit_code: i64,
    /// Verbs of `sandbarctl` (`status`, `image import`) that answer otherwise than a healthy node would.
    pub verbs: BTreeMap<String, Script>,
    /// Hosts that have a route.
    pub hosts: Vec<String>,
    /// Lines that the first process prints at each start.
    pub log: Vec<String>,
    /// What `sandbarctl host-check` finds otherwise than well: result and message by code.
    pub findings: BTreeMap<String, (String, String)>,
    /// By how much the clock of nodes is ahead of this machine's, in seconds.
    pub clock_ahead_seconds: i64,
}

impl NodeBehaviour {
    /// Its own architecture and those that it emulates.
    #[must_use]
    pub fn architectures(&self) -> Vec<String> {
        [&self.architecture].into_iter().chain(&self.emulated).cloned().collect()
    }
}

impl Default for NodeBehaviour {
    fn default() -> Self {
        let names =
            ["init", "containerd", "haproxy", "etcd", "kube-apiserver", "kubelet", "coredns", "ingress", "storage"];
        Self {
            contract_version: 1,
            version: "0.1.0".into(),
            kubernetes_version: "v1.37.2".into(),
            architecture: "amd64".into(),
            emulated: Vec::new(),
            components: names.map(|name| Component { name: name.into(), ..Component::default() }).into(),
            warnings: Vec::new(),
            unhealthy: false,
            reachable_after_millis: Some(0),
            exits_after_millis: None,
            exit_code: 0,
            verbs: BTreeMap::new(),
            hosts: Vec::new(),
            log: vec!["sandbar-init: started".into()],
            findings: BTreeMap::new(),
            clock_ahead_seconds: 0,
        }
    }
}

/// One component of a fake node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Milliseconds after the start at which it is ready; none is never.
    pub ready_millis: Option<u64>,
    /// Its state until then.
    pub state: String,
    /// What it waits for until then.
    pub waiting_for: Vec<String>,
    /// Why, until then.
    pub reason: String,
    /// Its last error.
    pub last_error: String,
}

impl Default for Component {
    fn default() -> Self {
        Self {
            name: String::new(),
            ready_millis: Some(0),
            state: "starting".into(),
            waiting_for: Vec::new(),
            reason: String::new(),
            last_error: String::new(),
        }
    }
}

/// What a program answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Script {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit status.
    pub exit_code: i64,
    /// Whether it runs on, after it has printed, until it is ended.
    pub hangs: bool,
}

/// How forwarded ports answer; the words of the failure, none when they answer as they should.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Probes {
    /// 6443 does not answer.
    pub api_fails: Option<String>,
    /// 80 and 443 do not answer.
    pub ingress_fails: Option<String>,
    /// 80 and 443 are answered by something else.
    pub ingress_is_foreign: Option<String>,
}
