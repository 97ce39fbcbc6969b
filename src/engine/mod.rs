//! Where a node runs. The trait [`Engine`] and the values that pass through it.
//!
//! `container.rs` speaks to Podman and Docker (the only file that knows bollard), `fake.rs` is a stricter stand-in.
//! An engine knows nodes, volumes and networks, never clusters, kubeconfigs or what runs inside.
//! Every resource that an engine makes carries [`Labels`]; an engine refuses to touch any that lacks [`LABEL_CLUSTER`].

pub mod container;
pub mod fake;
pub mod machine;
mod streams;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// Label with the cluster's name; nothing without it is ever touched.
pub const LABEL_CLUSTER: &str = "dev.sandbar.cluster";
/// Label with the version of the CLI that made the resource.
pub const LABEL_VERSION: &str = "dev.sandbar.version";
/// Label with the integer of the node contract.
pub const LABEL_CONTRACT: &str = "dev.sandbar.contract";
/// Label with a digest of the resolved specification, to see whether `up` changes anything.
pub const LABEL_SPEC: &str = "dev.sandbar.spec";
/// Label with a digest of the folder of Sandbar's own files that knows the resource: users and CI jobs with files of
/// their own may share an engine, and none of them touches what the others made.
pub const LABEL_HOME: &str = "dev.sandbar.home";

/// Label with the networks of pods and services, `10.42.0.0/16,10.43.0.0/16`: a cluster keeps them for its life, also where
/// nothing else remembers them.
pub const LABEL_NETWORKS: &str = "dev.sandbar.networks";

/// Labels of a resource.
pub type Labels = BTreeMap<String, String>;
/// A stream of bytes out of an engine.
pub type Reader = Pin<Box<dyn AsyncRead + Send>>;
/// A stream of bytes into an engine.
pub type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// Which engine this is, for reports and messages.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineInfo {
    /// `podman`, `docker` or `fake`.
    pub kind: String,
    /// The engine's own version, such as `4.3.1`.
    pub version: String,
    /// Where its API is, such as `unix:///run/podman/podman.sock`.
    pub endpoint: String,
    /// Whether the engine runs as an ordinary user.
    pub rootless: bool,
    /// How far the node is privileged there, in words, such as `privileged` or `all capabilities`.
    pub privilege: String,
    /// The host that the ports of its nodes are on, a name or an address; none: this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl EngineInfo {
    /// Whether it is on another machine than this, however its ports are reached.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.host.is_some() || self.brings_ports()
    }

    /// Whether the ports of its nodes may be such that only the superuser may open.
    #[must_use]
    pub fn may_open_any_port(&self) -> bool {
        !self.rootless && !self.brings_ports()
    }

    /// Whether its nodes are made from container images; those of machines are made from sets of another form.
    #[must_use]
    pub fn takes_container_images(&self) -> bool {
        self.kind != machine::KIND
    }

    /// Whether a node's ports can be others without making it anew.
    #[must_use]
    pub fn changes_ports(&self) -> bool {
        self.kind == machine::KIND
    }

    /// Whether its ports are opened here by us, and not by the engine.
    #[must_use]
    pub fn brings_ports(&self) -> bool {
        self.endpoint.starts_with("ssh://")
    }
}

/// A port of the host that leads to a port of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortForward {
    /// Address on the host, loopback unless the user asked.
    pub host_address: IpAddr,
    /// Port on the host; never 0, Sandbar picks.
    pub host_port: u16,
    /// Port in the node (TCP).
    pub node_port: u16,
}

/// What a container is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// It is a node: on its network, and started again when its first process dies.
    #[default]
    Node,
    /// It is a look at what a node would find: it has all that a node gets, but runs this program in place of the node's
    /// own, once, and has no network but one of its own with nobody else in it.
    Check {
        /// Program and arguments.
        command: Vec<String>,
    },
}

/// Everything an engine needs to create a node. All names are Sandbar's (`sandbar-NAME`).
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSpec {
    /// What it is for.
    pub purpose: Purpose,
    /// Name of the container or machine, of its network and of its volume.
    pub name: String,
    /// Host name inside.
    pub hostname: String,
    /// Image reference or ID, present in the engine.
    pub image: String,
    /// Labels for the node, its network and its volume.
    pub labels: Labels,
    /// Ports to forward.
    pub ports: Vec<PortForward>,
    /// Environment of the first process. Never secrets.
    pub environment: BTreeMap<String, String>,
    /// CPU limit in thousandths of a core; none means unlimited.
    pub cpu_millis: Option<u32>,
    /// Memory limit in bytes; none means unlimited.
    pub memory_bytes: Option<u64>,
    /// What its machine is, where it plays a device; only machines can.
    pub hardware: Option<Hardware>,
    /// Whether programs of another architecture run in it; only machines can.
    pub emulate_binaries: bool,
    /// Whether its first start is from nothing, even where the state of a machine of its kind is kept; only machines keep any.
    pub cold: bool,
    /// Files to place before the first start: path inside, mode, content.
    pub files: Vec<(PathBuf, u32, Vec<u8>)>,
}

/// What the machine of a node is, where it plays a device.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hardware {
    /// The name of the device.
    pub device: String,
    /// The architecture.
    pub architecture: machine::architecture::Architecture,
    /// QEMU's model of the processor; none: the best that there is.
    pub cpu: Option<String>,
    /// What it says that it is; none: what QEMU's machine is.
    pub model: Option<String>,
    /// The size of the disk for data in bytes, a multiple of 512.
    pub disk_bytes: u64,
    /// How fast that is.
    #[serde(default)]
    pub disk: crate::device::DiskLimits,
    /// What its network is like.
    #[serde(default)]
    pub link: crate::device::Link,
}

/// What the machine of a node is and does.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineReport {
    /// The architecture.
    pub architecture: String,
    /// QEMU's model of its processor, where it is one in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Its cores.
    pub cores: u32,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// What runs its instructions, while it runs: `kvm`, `hvf`, `whpx` or `tcg`, which translates them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<String>,
    /// Why it is that one, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub because: String,
    /// What its start has come through, with milliseconds since power-on.
    #[serde(skip)]
    pub phases: Vec<(String, u64)>,
    /// The last line of its console.
    #[serde(skip)]
    pub console: String,
    /// How long such a machine takes on this host from power-on until everything is healthy, in milliseconds, as far as is
    /// known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_millis: Option<u64>,
}

/// What an engine says of a node's run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum RunState {
    /// Made and never started.
    Created,
    /// Its first process runs.
    Running,
    /// Frozen.
    Paused,
    /// Ended.
    #[serde(rename_all = "camelCase")]
    Exited {
        /// Exit status of the first process.
        code: i64,
        /// Whether the kernel ended it for want of memory.
        out_of_memory: bool,
    },
    /// Its processes are gone and the engine does not know; all that can be done is to remove it.
    Gone,
    /// The engine is between two states, or says something unknown; the text is the engine's.
    #[serde(rename_all = "camelCase")]
    Other {
        /// The engine's word.
        text: String,
    },
}

/// A node as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Whether it runs.
    pub run: RunState,
    /// The forwards it was created with.
    pub ports: Vec<PortForward>,
    /// Image it was created from (the engine's image ID).
    pub image_id: String,
    /// When it was created (RFC 3339).
    pub created: String,
    /// Address on the engine's network while it runs.
    pub address: Option<IpAddr>,
    /// The state that it was stopped with and goes on from at its next start.
    pub kept: Option<Kept>,
}

/// The state of a node that was stopped as it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Bytes that it takes on this machine's disk.
    pub bytes: u64,
    /// When it was kept.
    pub since: jiff::Timestamp,
}

/// What became of a wish to stop a node as it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeping {
    /// It is stopped, and its next start goes on from there.
    Kept(Kept),
    /// There is no such thing in this engine; the node runs on.
    Unsupported,
    /// It could not be done; the node runs on, unless it ended on its own.
    Refused {
        /// Why, in words.
        reason: String,
    },
}

/// A node that was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Started {
    /// What the user should know of how it was started.
    pub note: Option<String>,
}

/// One resource of ours in the engine, for `gc` and `rm`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResourceKind {
    /// A container or machine.
    Node,
    /// A volume.
    Volume,
    /// A network.
    Network,
}

/// A resource of ours that the engine lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
    /// Its labels; [`LABEL_CLUSTER`] is always among them.
    pub labels: Labels,
}

/// An image in the engine's own store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInfo {
    /// `sha256:` and the digest of its configuration.
    pub id: String,
    /// Its names, such as `localhost/hello:1`.
    pub names: Vec<String>,
    /// Its labels.
    pub labels: Labels,
    /// Digests of its uncompressed layers, first to last.
    pub diff_ids: Vec<String>,
    /// Such as `amd64`.
    pub architecture: String,
    /// Unpacked size in bytes.
    pub size_bytes: u64,
}

/// A program to run in a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Additional environment.
    pub environment: Vec<String>,
    /// Whether standard input is connected.
    pub stdin: bool,
    /// Whether so much will be written to it that the quickest way for bytes counts more than the quickest start.
    pub bulk: bool,
    /// Whether to give it a terminal; then `stderr` of the session is empty.
    pub terminal: Option<TerminalSize>,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Characters a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// A program that runs in a node.
pub struct ExecSession {
    /// Its standard input; closed when dropped or shut down. None unless asked for.
    pub stdin: Option<Writer>,
    /// Its standard output.
    pub stdout: Reader,
    /// Its standard error.
    pub stderr: Reader,
    /// What can be asked of it while it runs.
    pub control: Box<dyn ExecControl>,
}

/// Control of a running [`ExecSession`].
#[async_trait]
pub trait ExecControl: Send + Sync {
    /// Waits for the end, to be called once the outputs are at their end, and returns the exit status.
    async fn wait(&self) -> Result<i64, EngineError>;
    /// Tells the program that its terminal has another size.
    async fn resize(&self, size: TerminalSize) -> Result<(), EngineError>;
}

/// What an engine consumes for a node at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeStats {
    /// Memory in bytes, without reclaimable cache where the engine tells.
    pub memory_bytes: u64,
    /// CPU time used so far, in nanoseconds.
    pub cpu_nanos: u64,
}

/// Why a connection to an engine is not safe, so that there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    /// A file that it needs is not there.
    #[error("{} is missing", path.display())]
    MissingFile {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file does not have what it should.
    #[error("{} cannot be used: {reason}", path.display())]
    UnusableFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody who is trusted signed the engine's certificate.
    #[error("its certificate was not signed by {}", trusted(authority.as_deref()))]
    UnknownAuthority {
        /// The file with the authority that counts; none: those of this system.
        authority: Option<PathBuf>,
    },
    /// The engine's certificate has expired.
    #[error("its certificate has expired")]
    Expired,
    /// The engine's certificate is of the future.
    #[error("its certificate is not valid yet")]
    NotYetValid,
    /// The engine's certificate is for others.
    #[error("its certificate is not for {host}")]
    OtherName {
        /// The host that was asked.
        host: String,
    },
    /// The engine does not accept who calls.
    #[error("it does not accept the certificate of {} ({reason})", folder.display())]
    Refused {
        /// The folder with the certificate.
        folder: PathBuf,
        /// The name of the engine's alert.
        reason: String,
    },
    /// What answers speaks something else.
    #[error("what answers there does not speak TLS")]
    NotSpoken,
    /// What answers speaks TLS and was asked without.
    #[error("what answers there speaks TLS alone")]
    Demanded,
    /// Anything else.
    #[error("{reason}")]
    Failed {
        /// The words of the library or the system.
        reason: String,
    },
}

fn trusted(authority: Option<&std::path::Path>) -> String {
    authority.map_or_else(|| "an authority that this system trusts".to_owned(), |file| file.display().to_string())
}

/// Why there is no way through SSH to an engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshProblem {
    /// There is no `ssh`.
    #[error("ssh is not installed")]
    NotInstalled,
    /// This system's `ssh` keeps each connection to itself.
    #[error("this system's ssh cannot share a connection")]
    NotShared,
    /// Nothing is known of the host's key.
    #[error("the host key of {host} is not known")]
    HostKeyUnknown {
        /// The host.
        host: String,
    },
    /// The host has another key than before.
    #[error("{host} has another host key than it had before")]
    HostKeyChanged {
        /// The host.
        host: String,
    },
    /// The host does not let the user in.
    #[error("{host} does not let this user in: {words}")]
    PermissionDenied {
        /// The host.
        host: String,
        /// ssh's words.
        words: String,
    },
    /// The host cannot be reached.
    #[error("{words}")]
    NoConnection {
        /// ssh's words.
        words: String,
    },
    /// The host has no such socket.
    #[error("there is no socket {path} on that host")]
    NoSocket {
        /// Its path, or the paths where it could be.
        path: String,
    },
    /// The user may not use the socket.
    #[error("this user may not use {path} on that host")]
    SocketDenied {
        /// Its path.
        path: String,
    },
    /// Something is not forwarded.
    #[error("the connection forwards nothing: {words}")]
    Forward {
        /// ssh's words.
        words: String,
    },
    /// Anything else.
    #[error("{words}")]
    Failed {
        /// The words of ssh or the system.
        words: String,
    },
}

/// Why an engine could not do something. The text says what was tried; hints are added at the edge.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// No engine is installed.
    #[error("no container engine is installed (looked for {looked_for})")]
    NotInstalled {
        /// What was looked for, in words.
        looked_for: String,
    },
    /// No QEMU is installed that can be used.
    #[error("{program} is not installed")]
    NoQemu {
        /// The program that was looked for.
        program: &'static str,
    },
    /// QEMU lacks what machines need.
    #[error("QEMU {found} is too old: machines need {needed} or later, {because}")]
    QemuTooOld {
        /// The version that is installed.
        found: String,
        /// The oldest that will do.
        needed: &'static str,
        /// What the older ones lack.
        because: &'static str,
    },
    /// This host has not enough of something for a machine.
    #[error("this host has {} MiB of {what} to spare, machine {name} needs {} MiB", available >> 20, needed >> 20)]
    NotEnough {
        /// `memory` or `disk space`.
        what: &'static str,
        /// The machine.
        name: String,
        /// What it needs, in bytes.
        needed: u64,
        /// What there is, in bytes.
        available: u64,
    },
    /// An engine is installed, its API does not answer.
    #[error("{engine} is installed, but its API at {endpoint} does not answer: {reason}")]
    Unreachable {
        /// `podman` or `docker`.
        engine: String,
        /// Where it was tried.
        endpoint: String,
        /// The system's words.
        reason: String,
    },
    /// There is no safe connection to it.
    #[error("{engine}'s API at {endpoint} cannot be used with TLS: {problem}")]
    Tls {
        /// `podman` or `docker`.
        engine: String,
        /// Where it was tried.
        endpoint: String,
        /// Why not.
        problem: Box<TlsProblem>,
    },
    /// There is no way to it through SSH.
    #[error("the engine at {endpoint} cannot be reached: {problem}")]
    Ssh {
        /// Where it was tried.
        endpoint: String,
        /// Why not.
        problem: Box<SshProblem>,
    },
    /// The engine runs, but refuses what a node needs.
    #[error("{engine} cannot run privileged containers: {reason}")]
    PrivilegeRefused {
        /// `podman` or `docker`.
        engine: String,
        /// Whether it runs as an ordinary user; then the superuser's may do more.
        rootless: bool,
        /// The engine's words.
        reason: String,
    },
    /// A host port is held by someone else.
    #[error("port {port} on {address} is taken")]
    PortTaken {
        /// The port.
        port: u16,
        /// The host address.
        address: IpAddr,
    },
    /// A host port is one that only the superuser may open.
    #[error("port {port} on {address} may be opened by the superuser alone")]
    PortPrivileged {
        /// The port.
        port: u16,
        /// The host address.
        address: IpAddr,
    },
    /// There is no such node, image, volume or network.
    #[error("{what} {name} does not exist")]
    NotFound {
        /// `node`, `image`, …
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A resource of that name exists already.
    #[error("{what} {name} exists already")]
    AlreadyExists {
        /// `node`, `image`, …
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A resource of that name exists and is not Sandbar's.
    #[error("{what} {name} exists and was not made by Sandbar")]
    Foreign {
        /// `node`, `volume`, `network`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The node does not run.
    #[error("node {name} is not running")]
    NotRunning {
        /// Its name.
        name: String,
    },
    /// It did not answer in time.
    #[error("{engine} did not answer within {after:?} while it should {operation}")]
    TimedOut {
        /// The engine.
        engine: String,
        /// What it should do.
        operation: String,
        /// How long was waited.
        after: Duration,
    },
    /// Anything else that the engine said.
    #[error("{engine} could not {operation}: {reason}")]
    Refused {
        /// The engine.
        engine: String,
        /// What it should do, such as `create the node`.
        operation: String,
        /// The engine's words.
        reason: String,
    },
}

impl EngineError {
    /// The same for whoever wants a machine of that architecture: where there is no QEMU at all, its program is the one that is
    /// missed.
    #[must_use]
    pub fn for_architecture(self, architecture: Option<machine::architecture::Architecture>) -> Self {
        match (self, architecture) {
            (Self::NoQemu { .. }, Some(architecture)) => Self::NoQemu { program: architecture.program() },
            (error, _) => error,
        }
    }
}

/// Where a node runs: Podman, Docker, later a QEMU machine.
///
/// Every method has its own deadline inside; none waits for ever but [`Engine::logs`] with `follow` and a running exec.
/// Every removing method is idempotent: what is not there is not an error.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Which engine it is.
    fn info(&self) -> &EngineInfo;
    /// Makes the network for a node.
    async fn create_network(&self, name: &str, labels: &Labels) -> Result<(), EngineError>;
    /// Makes the volume for a node; one that exists with our label is kept, and that is fine.
    async fn create_volume(&self, name: &str, labels: &Labels) -> Result<(), EngineError>;
    /// Makes the node on its network and volume (both named like it), with its files in place, not started. One for
    /// [`Purpose::Check`] needs no network.
    async fn create_node(&self, spec: &NodeSpec) -> Result<(), EngineError>;
    /// Starts it; one that runs is fine. A taken port is [`EngineError::PortTaken`].
    async fn start_node(&self, name: &str) -> Result<Started, EngineError>;
    /// Sees to it that the ports of a running node are reached from this machine, where the engine does not do it.
    async fn reach_node(&self, name: &str) -> Result<(), EngineError> {
        let _ = name;
        Ok(())
    }
    /// Makes the forwards of a node these, running or not, and its labels; only where [`EngineInfo::changes_ports`] says that
    /// it is possible. A taken port is [`EngineError::PortTaken`], and leaves everything as it was.
    async fn set_ports(&self, name: &str, ports: &[PortForward], labels: &Labels) -> Result<(), EngineError> {
        let _ = (name, ports, labels);
        Err(EngineError::Refused {
            engine: self.info().kind.clone(),
            operation: "change the ports of a node".to_owned(),
            reason: "they are fixed when it is made".to_owned(),
        })
    }
    /// Stops it as it runs, so that its next start goes on from there.
    async fn keep_node(&self, name: &str) -> Result<Keeping, EngineError> {
        let _ = name;
        Ok(Keeping::Unsupported)
    }
    /// Stops it: SIGTERM, SIGKILL after `grace`; one that is stopped is fine, and loses the state that was kept of it.
    async fn stop_node(&self, name: &str, grace: Duration) -> Result<(), EngineError>;
    /// Sends a signal to its first process.
    async fn kill_node(&self, name: &str, signal: &str) -> Result<(), EngineError>;
    /// Freezes it.
    async fn pause_node(&self, name: &str) -> Result<(), EngineError>;
    /// Thaws it.
    async fn unpause_node(&self, name: &str) -> Result<(), EngineError>;
    /// Removes a resource of ours, running or not.
    async fn remove(&self, kind: &ResourceKind, name: &str) -> Result<(), EngineError>;
    /// The node of that name, or none.
    async fn inspect_node(&self, name: &str) -> Result<Option<NodeState>, EngineError>;
    /// A resource of ours in the engine's own words, for reports; none where there is none.
    async fn describe(&self, kind: &ResourceKind, name: &str) -> Result<Option<serde_json::Value>, EngineError>;
    /// All nodes of ours.
    async fn list_nodes(&self) -> Result<Vec<NodeState>, EngineError>;
    /// All resources of ours.
    async fn list_resources(&self) -> Result<Vec<Resource>, EngineError>;
    /// Runs a program in a running node.
    async fn exec(&self, name: &str, request: ExecRequest) -> Result<ExecSession, EngineError>;
    /// Unpacks a tar stream at `directory` in the node, running or not.
    async fn copy_in(&self, name: &str, directory: &str, archive: Reader) -> Result<(), EngineError>;
    /// A tar stream of `path` in the node, running or not.
    async fn copy_out(&self, name: &str, path: &str) -> Result<Reader, EngineError>;
    /// What its first process printed; `tail` limits to so many last lines.
    async fn logs(&self, name: &str, follow: bool, tail: Option<u32>) -> Result<Reader, EngineError>;
    /// What it consumes.
    async fn stats(&self, name: &str) -> Result<NodeStats, EngineError>;
    /// An image of the engine's own store, or none.
    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError>;
    /// The same where images of several architectures can have one name: the one of that architecture, or none. What is
    /// named by its ID is what it is.
    async fn inspect_image_of(&self, reference: &str, architecture: &str) -> Result<Option<ImageInfo>, EngineError> {
        let _ = architecture;
        self.inspect_image(reference).await
    }
    /// Fails where it cannot run nodes of that architecture.
    async fn can_run(&self, architecture: &str) -> Result<(), EngineError> {
        let own = self.architecture().await?;
        if own == architecture {
            return Ok(());
        }
        Err(EngineError::Refused {
            engine: self.info().kind.clone(),
            operation: format!("run a node of {architecture}"),
            reason: format!("it runs {own}"),
        })
    }
    /// What the machine of a node is and does, where it is one.
    async fn machine(&self, name: &str) -> Result<Option<MachineReport>, EngineError> {
        let _ = name;
        Ok(None)
    }
    /// Is told how long a new node took from its start until everything in it was healthy, to know what to expect of the next.
    async fn note_start(&self, name: &str, took: Duration) -> Result<(), EngineError> {
        let _ = (name, took);
        Ok(())
    }
    /// A docker-archive of an image, layers uncompressed.
    async fn export_image(&self, reference: &str) -> Result<Reader, EngineError>;
    /// Loads a docker-archive or OCI archive into the engine's store and returns the names it brought.
    async fn import_image(&self, archive: Reader) -> Result<Vec<String>, EngineError>;
    /// Gets an image from a registry into the engine's store; `progress` is told the engine's words.
    async fn pull_image(&self, reference: &str, progress: &(dyn Fn(String) + Sync)) -> Result<(), EngineError>;
    /// What the nodes' machine is, such as `amd64`.
    async fn architecture(&self) -> Result<String, EngineError>;
    /// IPv4 subnets of the engine's own networks, to keep pods and services out of their way.
    async fn subnets(&self) -> Result<Vec<String>, EngineError>;
}
