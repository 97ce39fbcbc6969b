//! Machines of QEMU: the node without any container engine.
//!
//! A machine is a folder with its record and the disk of its data; while it runs, a supervisor owns its QEMU
//! ([`supervisor`]). The engine asks that one, and runs programs over the machine's SSH server.

pub mod accelerator;
pub mod architecture;
pub mod arguments;
pub mod control;
pub mod device_tree;
pub mod folder;
mod forwards;
pub mod image_set;
pub mod kept;
pub mod keys;
mod log;
pub mod migration;
pub mod overlay;
pub mod programs;
pub mod qmp;
mod random;
pub mod speed;
pub mod ssh;
mod state_file;
pub mod supervisor;
mod template;
pub mod wire;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::io::SyncIoBridge;

use self::architecture::Architecture;
use self::arguments::Accelerator;
use self::control::BootFile;
pub use self::folder::Places;
use self::folder::{MachineFolder, MachineRecord, Meant, Owned, Powered};
use self::image_set::{ImageSet, SetError};
use self::keys::Keys;
use self::overlay::Format;
use self::programs::Programs;
use self::speed::{Kind, Speeds};
use self::ssh::{Ssh, SshError};
use self::supervisor::save::SAVE;
use self::wire::{CallError, Request, State, Status};
use super::{
    Engine, EngineError, EngineInfo, ExecRequest, ExecSession, ImageInfo, Keeping, LABEL_CLUSTER, Labels,
    MachineReport, NodeSpec, NodeState, NodeStats, PortForward, Purpose, Reader, Resource, ResourceKind, RunState,
    Started,
};
use crate::platform::Platform;
use crate::process::Program;

/// The engine's name.
pub const KIND: &str = "machine";

/// For questions to a supervisor.
const QUICK: Duration = Duration::from_secs(30);
/// Until programs can be run in a machine that is translated.
const START: Duration = Duration::from_mins(5);
/// For a connection to its SSH server.
const CONNECT: Duration = Duration::from_mins(1);
/// How long a supervisor may take to answer after it was started.
const SUPERVISOR: Duration = Duration::from_secs(10);
/// How often that is tried; it has no way to tell.
const AGAIN: Duration = Duration::from_millis(5);
/// What a machine writes to its disk until it is healthy, and some: below it, its start would end in the middle.
const ROOM: u64 = 512 << 20;
/// The oldest QEMU that will do, and why.
const QEMU: (u64, &str, &str) = (9, "9.0", "which can keep a machine's memory in a file (mapped-ram)");
/// Cores of a machine of which nobody said how many: as many as the smallest edge device has.
const CORES: u32 = 2;
/// Memory of a machine of which nobody said how much, in MiB.
const MEMORY_MIB: u64 = 2048;
/// The size of the disk for data, which takes no more of the host's than is written to it.
const DISK: u64 = 20 << 30;

/// QEMU's machines of this user.
#[derive(Clone)]
pub struct MachineEngine {
    inner: Arc<Inner>,
}

struct Inner {
    info: EngineInfo,
    places: Places,
    programs: Programs,
    /// This program, which is started as a supervisor.
    program: PathBuf,
    /// The word that makes it one.
    word: &'static str,
    /// What it is started with so that it finds the same folders.
    environment: Vec<(String, String)>,
    platform: &'static dyn Platform,
    /// A connection to each machine that programs were run in.
    connections: tokio::sync::Mutex<HashMap<String, Arc<Ssh>>>,
}

/// The name of QEMU's program for this host's architecture.
#[must_use]
pub fn host_program() -> &'static str {
    host_architecture().program()
}

/// This host's own architecture; that of most where QEMU has no machine of it.
fn host_architecture() -> Architecture {
    Architecture::parse(crate::artifact::host_architecture()).unwrap_or(Architecture::Amd64)
}

/// What a connection to the engine needs.
pub struct MachineOptions {
    /// Where machines are.
    pub places: Places,
    /// Where QEMU's programs are.
    pub programs: Programs,
    /// This program.
    pub program: PathBuf,
    /// The word with which it is started as a supervisor, before the machine's name.
    pub word: &'static str,
    /// The environment of its supervisors.
    pub environment: Vec<(String, String)>,
    /// The system.
    pub platform: &'static dyn Platform,
}

impl MachineEngine {
    /// The engine, once QEMU has said which version it is.
    pub async fn connect(options: MachineOptions) -> Result<Self, EngineError> {
        let qemu = options.programs.any()?;
        let unreachable = |reason: String| EngineError::Unreachable {
            engine: "QEMU".to_owned(),
            endpoint: qemu.display().to_string(),
            reason,
        };
        let said = Program::new(&qemu).arg("--version").output().await;
        let said = said.map_err(|error| unreachable(error.to_string()))?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.split_whitespace().nth(3).unwrap_or_default().to_owned();
        check_version(&version)?;
        let MachineOptions { places, programs, program, word, environment, platform } = options;
        let info = EngineInfo {
            kind: KIND.to_owned(),
            version,
            endpoint: format!("{KIND}:{}", places.machines.display()),
            rootless: false,
            privilege: "a machine of its own".to_owned(),
            host: None,
        };
        let connections = tokio::sync::Mutex::default();
        Ok(Self {
            inner: Arc::new(Inner { info, places, programs, program, word, environment, platform, connections }),
        })
    }

    fn folder(&self, name: &str) -> MachineFolder {
        self.inner.places.machine(name)
    }

    fn record(&self, name: &str) -> Result<Option<MachineRecord>, EngineError> {
        folder::read(&self.folder(name).node()).map_err(|error| refused("read what the machine is", error))
    }

    fn known(&self, name: &str) -> Result<MachineRecord, EngineError> {
        self.record(name)?.ok_or_else(|| missing("node", name))
    }

    /// What its supervisor says; none where there is none.
    async fn ask(&self, name: &str, request: &Request, deadline: Duration) -> Result<Option<Status>, EngineError> {
        let operation = "ask the machine's supervisor";
        let channel = self.folder(name).supervisor(self.inner.platform).map_err(|error| refused(operation, error))?;
        match wire::call(self.inner.platform, &channel, request, deadline).await {
            Ok(status) => Ok(Some(status)),
            Err(CallError::Absent(_) | CallError::Gone) => Ok(None),
            Err(CallError::TimedOut(after)) => Err(timed_out(operation, after)),
            Err(CallError::Taken(taken)) => Err(EngineError::PortTaken { port: taken.port, address: taken.address }),
            Err(CallError::Failed(reason)) => Err(refused(operation, reason)),
        }
    }

    /// Starts its supervisor, and waits until it answers.
    async fn supervise(&self, name: &str) -> Result<Status, EngineError> {
        let operation = "start the machine's supervisor";
        let folder = self.folder(name);
        folder.create(self.inner.platform).map_err(|error| refused(operation, error))?;
        let log = std::fs::OpenOptions::new().append(true).create(true).open(folder.log());
        let log = log.map_err(|error| refused(operation, error))?;
        let variables = self.inner.environment.iter().map(|(name, value)| (name, value));
        let program = Program::new(&self.inner.program).args([self.inner.word, name]).envs(variables);
        program.detached(log).map_err(|error| refused(operation, error))?;
        let begun = tokio::time::Instant::now();
        loop {
            if let Some(status) = self.ask(name, &Request::Status, QUICK).await? {
                return Ok(status);
            }
            if begun.elapsed() > SUPERVISOR {
                return Err(timed_out(operation, SUPERVISOR));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Whether this host has room for a machine that is about to run. What does not say how much it has is believed to have
    /// enough.
    fn check_room(&self, record: &MachineRecord) -> Result<(), EngineError> {
        let platform = self.inner.platform;
        let lacking = |what, needed, available: Option<u64>| match available {
            Some(available) if available < needed => {
                Err(EngineError::NotEnough { what, name: record.name.clone(), needed, available })
            }
            _ => Ok(()),
        };
        lacking("memory", record.memory_mib << 20, platform.available_memory())?;
        let space = platform.free_space(&self.inner.places.machines);
        lacking("disk space", ROOM, space.map_err(|error| refused("see how much room there is", error))?)
    }

    /// How a machine runs.
    async fn run_state(&self, record: &MachineRecord) -> Result<RunState, EngineError> {
        if let Some(status) = self.ask(&record.name, &Request::Status, QUICK).await? {
            return Ok(match status.state {
                State::Starting | State::Running | State::Stopping => RunState::Running,
                State::Paused => RunState::Paused,
                State::Ended { code, .. } => RunState::Exited { code, out_of_memory: false },
            });
        }
        Ok(match record.meant {
            Meant::Created => RunState::Created,
            Meant::Ended { code } => RunState::Exited { code, out_of_memory: false },
            // Its supervisor is gone; QEMU may run on, and is taken over at the next start.
            Meant::Running if self.is_powered(&record.name).await => RunState::Running,
            Meant::Running => RunState::Exited { code: supervisor::KILLED, out_of_memory: false },
        })
    }

    /// Whether a QEMU runs that has no supervisor.
    async fn is_powered(&self, name: &str) -> bool {
        let folder = self.folder(name);
        let Ok(Some(_)) = folder::read::<Powered>(&folder.powered()) else { return false };
        let Ok(qmp) = folder.qmp(self.inner.platform) else { return false };
        self.inner.platform.call(&qmp).await.is_ok()
    }

    async fn state(&self, record: MachineRecord) -> Result<NodeState, EngineError> {
        let run = self.run_state(&record).await?;
        let address = (run == RunState::Running).then(|| control::GUEST.into());
        let stands = matches!(run, RunState::Created | RunState::Exited { .. });
        let kept = stands.then(|| kept::summary(&self.folder(&record.name).kept())).flatten();
        Ok(NodeState {
            name: record.name,
            labels: record.labels,
            run,
            ports: record.ports,
            image_id: record.image_id,
            created: record.created.to_string(),
            address,
            kept,
        })
    }

    /// Waits until programs can be run in a machine that starts.
    async fn ready(&self, name: &str) -> Result<Started, EngineError> {
        let operation = "start the machine";
        let record = self.known(name)?;
        let patience = self.speeds().scaled(START, self.kind(&record));
        let status = self.ask(name, &Request::Ready, patience).await?;
        let Some(status) = status else { return Err(refused(operation, "its supervisor went away")) };
        match (status.state, status.taken) {
            (State::Ended { .. }, Some(taken)) => {
                Err(EngineError::PortTaken { port: taken.port, address: taken.address })
            }
            (State::Ended { reason, .. }, None) => {
                Err(refused(operation, reason.unwrap_or_else(|| "it was stopped".to_owned())))
            }
            _ => Ok(Started { note: status.note }),
        }
    }

    /// A connection to its SSH server.
    async fn connection(&self, name: &str) -> Result<Arc<Ssh>, EngineError> {
        let mut connections = self.inner.connections.lock().await;
        if let Some(ssh) = connections.get(name).filter(|ssh| !ssh.is_closed()) {
            return Ok(Arc::clone(ssh));
        }
        let status = self.ask(name, &Request::Status, QUICK).await?;
        let not_running = || EngineError::NotRunning { name: name.to_owned() };
        let status = status.ok_or_else(not_running)?;
        match status.state {
            State::Running => {}
            State::Paused => return Err(refused("run a program in the machine", "it is paused")),
            _ => return Err(not_running()),
        }
        let keys = Keys::read(&self.folder(name).keys()).map_err(|error| refused("connect to the machine", error))?;
        let patience = self.speeds().scaled(CONNECT, self.kind(&self.known(name)?));
        let ssh = Ssh::connect(status.ssh.ok_or_else(not_running)?, &keys, patience).await;
        let ssh = Arc::new(ssh.map_err(|error| lost("connect to the machine", &error))?);
        connections.insert(name.to_owned(), Arc::clone(&ssh));
        Ok(ssh)
    }

    fn speeds(&self) -> Speeds {
        Speeds::read(&self.inner.places, self.inner.platform)
    }

    fn kind(&self, record: &MachineRecord) -> Kind<'_> {
        Kind { architecture: record.architecture, qemu: &self.inner.info.version, cores: record.cores }
    }

    async fn forget(&self, name: &str) {
        self.inner.connections.lock().await.remove(name);
    }

    fn make_owned(&self, file: &Path, folder: &MachineFolder, labels: &Labels) -> Result<(), EngineError> {
        let operation = "make the machine's folder";
        check_ours(labels)?;
        folder.create(self.inner.platform).map_err(|error| refused(operation, error))?;
        folder::write(file, &Owned { labels: labels.clone() }).map_err(|error| refused(operation, error))
    }

    fn owned(&self, kind: &ResourceKind, name: &str) -> Result<Option<Labels>, EngineError> {
        let folder = self.folder(name);
        let failed = |error| refused("read what is there", error);
        Ok(match kind {
            ResourceKind::Node => self.record(name)?.map(|record| record.labels),
            ResourceKind::Volume => folder::read::<Owned>(&folder.volume()).map_err(failed)?.map(|owned| owned.labels),
            ResourceKind::Network => {
                folder::read::<Owned>(&folder.network()).map_err(failed)?.map(|owned| owned.labels)
            }
        })
    }

    /// The set of that digest, or that of that name and architecture.
    fn set(&self, reference: &str, architecture: Architecture) -> Result<Option<ImageSet>, EngineError> {
        let all =
            ImageSet::all(&self.inner.places).map_err(|error| refused("look for what machines start from", error))?;
        Ok(all.into_iter().find(|set| {
            let is_named = set.info().names.iter().any(|name| name == reference);
            set.manifest.digest == reference || (is_named && set.manifest.architecture == architecture)
        }))
    }
}

#[async_trait]
impl Engine for MachineEngine {
    fn info(&self) -> &EngineInfo {
        &self.inner.info
    }

    async fn create_network(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
        if self.owned(&ResourceKind::Network, name)?.is_some() {
            return Err(EngineError::AlreadyExists { what: "network", name: name.to_owned() });
        }
        let folder = self.folder(name);
        self.make_owned(&folder.network(), &folder, labels)
    }

    async fn create_volume(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
        check_ours(labels)?;
        if self.owned(&ResourceKind::Volume, name)?.is_some() {
            return Ok(());
        }
        let folder = self.folder(name);
        self.make_owned(&folder.volume(), &folder, labels)
    }

    async fn create_node(&self, spec: &NodeSpec) -> Result<(), EngineError> {
        let operation = "make the machine";
        let name = spec.name.as_str();
        check_ours(&spec.labels)?;
        if spec.purpose != Purpose::Node {
            return Err(refused(operation, "a machine needs no look at what a node would find"));
        }
        for (what, kind) in [("network", ResourceKind::Network), ("volume", ResourceKind::Volume)] {
            self.owned(&kind, name)?.ok_or_else(|| missing(what, name))?;
        }
        if self.record(name)?.is_some() {
            return Err(EngineError::AlreadyExists { what: "node", name: name.to_owned() });
        }
        let hardware = spec.hardware.as_ref();
        let architecture = hardware.map_or_else(host_architecture, |hardware| hardware.architecture);
        let set = self.set(&spec.image, architecture)?.ok_or_else(|| missing("image", &spec.image))?;
        let folder = self.folder(name);
        let failed = |error: io::Error| refused(operation, error);
        let untouched = !folder.disk().exists();
        if untouched {
            let size = hardware.map_or(DISK, |hardware| hardware.disk_bytes);
            overlay::create(&folder.disk(), size, &set.data(), Format::Raw).map_err(failed)?;
        }
        if !folder.keys().exists() {
            let keys = Keys::generate().and_then(|keys| keys.to_file()).map_err(|error| refused(operation, error))?;
            crate::store::write_atomic(&folder.keys(), &keys).map_err(|error| refused(operation, error))?;
        }
        let files = spec
            .files
            .iter()
            .map(|(path, mode, content)| BootFile::new(path.to_string_lossy().replace('\\', "/"), *mode, content));
        let record = MachineRecord {
            schema_version: 1,
            name: name.to_owned(),
            hostname: spec.hostname.clone(),
            image_id: set.manifest.digest,
            architecture: set.manifest.architecture,
            hardware: spec.hardware.clone(),
            emulate_binaries: spec.emulate_binaries,
            cold: spec.cold,
            untouched,
            labels: spec.labels.clone(),
            ports: spec.ports.clone(),
            environment: spec.environment.clone(),
            cores: spec.cpu_millis.map_or(CORES, |millis| millis.div_ceil(1000)),
            memory_mib: spec.memory_bytes.map_or(MEMORY_MIB, |bytes| bytes >> 20),
            files: files.collect(),
            created: Timestamp::now(),
            meant: Meant::Created,
        };
        folder::write(&folder.node(), &record).map_err(failed)
    }

    async fn start_node(&self, name: &str) -> Result<Started, EngineError> {
        let mut record = self.known(name)?;
        match self.run_state(&record).await? {
            RunState::Running => {
                self.reach_node(name).await?;
                return self.ready(name).await;
            }
            RunState::Paused => return self.unpause_node(name).await.map(|()| Started::default()),
            _ => {}
        }
        self.check_room(&record)?;
        record.meant = Meant::Running;
        folder::write(&self.folder(name).node(), &record).map_err(|error| refused("start the machine", error))?;
        self.supervise(name).await?;
        self.ready(name).await
    }

    async fn reach_node(&self, name: &str) -> Result<(), EngineError> {
        // A supervisor that was killed is replaced; QEMU did not notice.
        if self.ask(name, &Request::Status, QUICK).await?.is_none() && self.is_powered(name).await {
            self.supervise(name).await?;
        }
        Ok(())
    }

    async fn set_ports(&self, name: &str, ports: &[PortForward], labels: &Labels) -> Result<(), EngineError> {
        check_ours(labels)?;
        let mut record = self.known(name)?;
        self.reach_node(name).await?;
        let request = Request::SetPorts { ports: ports.to_vec(), labels: labels.clone() };
        if self.ask(name, &request, QUICK).await?.is_none() {
            record.ports = ports.to_vec();
            record.labels.clone_from(labels);
            folder::write(&self.folder(name).node(), &record).map_err(|error| refused("change its ports", error))?;
        }
        Ok(())
    }

    async fn keep_node(&self, name: &str) -> Result<Keeping, EngineError> {
        self.known(name)?;
        self.reach_node(name).await?;
        // A state that is dropped later leaves what the disk has; and what the disk has need not be kept in memory.
        let command = ["sh", "-c", "sync && echo 3 >/proc/sys/vm/drop_caches"].map(str::to_owned).to_vec();
        let synced = match self.exec(name, ExecRequest { command, ..ExecRequest::default() }).await {
            Ok(session) => end_of(session).await,
            Err(error) => Err(error),
        };
        match synced {
            Ok(None) => {}
            // A machine that runs no programs is not worth being kept as it is.
            Ok(Some(words)) => return Ok(Keeping::Refused { reason: format!("it does not write its files: {words}") }),
            Err(error) => return Ok(Keeping::Refused { reason: format!("no program runs in it: {error}") }),
        }
        self.forget(name).await;
        let operation = "keep the machine's state";
        let folder = self.folder(name);
        let channel = folder.supervisor(self.inner.platform).map_err(|error| refused(operation, error))?;
        let away = || Keeping::Refused { reason: "its supervisor went away".to_owned() };
        match wire::call(self.inner.platform, &channel, &Request::Keep, 2 * SAVE).await {
            Ok(_) => Ok(kept::summary(&folder.kept()).map_or_else(away, Keeping::Kept)),
            Err(CallError::Failed(reason)) => Ok(Keeping::Refused { reason }),
            Err(CallError::Absent(_) | CallError::Gone | CallError::Taken(_)) => Ok(away()),
            Err(CallError::TimedOut(after)) => Err(timed_out(operation, after)),
        }
    }

    async fn stop_node(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
        self.known(name)?;
        self.forget(name).await;
        self.reach_node(name).await?;
        let grace_millis = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        if self.ask(name, &Request::Stop { grace_millis }, grace + START).await?.is_none() {
            let discarded = kept::discard(&self.folder(name).kept(), self.inner.platform);
            discarded.map_err(|error| refused("drop the machine's kept state", error))?;
        }
        Ok(())
    }

    async fn kill_node(&self, name: &str, signal: &str) -> Result<(), EngineError> {
        let record = self.known(name)?;
        self.forget(name).await;
        if !matches!(self.run_state(&record).await?, RunState::Running | RunState::Paused) {
            return Err(EngineError::NotRunning { name: name.to_owned() });
        }
        self.reach_node(name).await?;
        match signal {
            "SIGKILL" | "KILL" => self.ask(name, &Request::Kill, QUICK).await.map(drop),
            "SIGTERM" | "TERM" => self.stop_node(name, Duration::ZERO).await,
            _ => Err(refused("send the signal", "a machine is stopped (SIGTERM) or killed (SIGKILL)")),
        }
    }

    async fn pause_node(&self, name: &str) -> Result<(), EngineError> {
        let record = self.known(name)?;
        match self.run_state(&record).await? {
            RunState::Paused => return Ok(()),
            RunState::Running => {}
            _ => return Err(EngineError::NotRunning { name: name.to_owned() }),
        }
        self.reach_node(name).await?;
        self.ask(name, &Request::Pause, QUICK).await.map(drop)
    }

    async fn unpause_node(&self, name: &str) -> Result<(), EngineError> {
        let record = self.known(name)?;
        match self.run_state(&record).await? {
            RunState::Paused => {}
            RunState::Running => return Err(refused("thaw the machine", "it is not paused")),
            _ => return Err(EngineError::NotRunning { name: name.to_owned() }),
        }
        self.reach_node(name).await?;
        let status = self.ask(name, &Request::Unpause, QUICK).await?;
        status.map(drop).ok_or_else(|| EngineError::NotRunning { name: name.to_owned() })
    }

    async fn remove(&self, kind: &ResourceKind, name: &str) -> Result<(), EngineError> {
        let operation = "remove what is there";
        let failed = |error: io::Error| refused(operation, error);
        let folder = self.folder(name);
        if self.owned(kind, name)?.is_none() {
            return folder.remove_if_empty().map_err(failed);
        }
        if *kind != ResourceKind::Node && self.record(name)?.is_some() {
            return Err(refused(operation, format!("the machine {name} uses it")));
        }
        match kind {
            ResourceKind::Node => {
                match self.kill_node(name, "SIGKILL").await {
                    Ok(()) | Err(EngineError::NotRunning { .. } | EngineError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
                kept::discard(&folder.kept(), self.inner.platform).map_err(failed)?;
                for file in [folder.node(), folder.console(), folder.node_log(), folder.log(), folder.keys()] {
                    folder::remove(&file).map_err(failed)?;
                }
            }
            ResourceKind::Volume => {
                folder::remove(&folder.disk()).map_err(failed)?;
                folder::remove(&folder.volume()).map_err(failed)?;
            }
            ResourceKind::Network => folder::remove(&folder.network()).map_err(failed)?,
        }
        folder.remove_if_empty().map_err(failed)
    }

    async fn inspect_node(&self, name: &str) -> Result<Option<NodeState>, EngineError> {
        match self.record(name)? {
            Some(record) => self.state(record).await.map(Some),
            None => Ok(None),
        }
    }

    async fn describe(&self, kind: &ResourceKind, name: &str) -> Result<Option<serde_json::Value>, EngineError> {
        let failed = |error: serde_json::Error| refused("describe what is there", error);
        match kind {
            ResourceKind::Node => {
                let Some(mut record) = self.record(name)? else { return Ok(None) };
                // What is in them may be secret.
                record.files.iter_mut().for_each(|file| file.content.clear());
                let status = self.ask(name, &Request::Status, QUICK).await?;
                Ok(Some(serde_json::json!({
                    "machine": serde_json::to_value(record).map_err(failed)?,
                    "status": serde_json::to_value(status).map_err(failed)?,
                    "kept": serde_json::to_value(kept::read(&self.folder(name).kept()).ok()).map_err(failed)?,
                })))
            }
            _ => Ok(self.owned(kind, name)?.map(|labels| serde_json::json!({ "labels": labels }))),
        }
    }

    async fn list_nodes(&self) -> Result<Vec<NodeState>, EngineError> {
        let names = self.inner.places.names().map_err(|error| refused("list the machines", error))?;
        let mut nodes = Vec::new();
        for name in names {
            nodes.extend(self.inspect_node(&name).await?);
        }
        Ok(nodes)
    }

    async fn list_resources(&self) -> Result<Vec<Resource>, EngineError> {
        let names = self.inner.places.names().map_err(|error| refused("list the machines", error))?;
        let mut all = Vec::new();
        for kind in [ResourceKind::Node, ResourceKind::Volume, ResourceKind::Network] {
            for name in &names {
                let labels = self.owned(&kind, name)?;
                all.extend(labels.map(|labels| Resource { kind: kind.clone(), name: name.clone(), labels }));
            }
        }
        Ok(all)
    }

    async fn exec(&self, name: &str, request: ExecRequest) -> Result<ExecSession, EngineError> {
        self.known(name)?;
        let ssh = self.connection(name).await?;
        match ssh.exec(&request, QUICK).await {
            Ok(session) => Ok(session),
            // The machine was started anew since: once more over a new connection.
            Err(_) if ssh.is_closed() => {
                self.forget(name).await;
                let ssh = self.connection(name).await?;
                ssh.exec(&request, QUICK).await.map_err(|error| lost("run a program in the machine", &error))
            }
            Err(error) => Err(lost("run a program in the machine", &error)),
        }
    }

    async fn copy_in(&self, name: &str, directory: &str, archive: Reader) -> Result<(), EngineError> {
        let command = ["tar", "-x", "-p", "-C", directory].map(str::to_owned).to_vec();
        let mut archive = archive;
        let mut session = self.exec(name, ExecRequest { command, stdin: true, ..ExecRequest::default() }).await?;
        let operation = "copy into the machine";
        if let Some(mut stdin) = session.stdin.take() {
            // Where tar ended before, its words say why.
            if let Err(error) = tokio::io::copy(&mut archive, &mut stdin).await {
                tracing::debug!(%error, "tar took no more");
            }
        }
        let words = end_of(session).await?;
        match words {
            None => Ok(()),
            Some(words) if words.contains("No such file") => Err(missing("path", directory)),
            Some(words) => Err(refused(operation, words)),
        }
    }

    async fn copy_out(&self, name: &str, path: &str) -> Result<Reader, EngineError> {
        let (folder, base) = path.rsplit_once('/').unwrap_or(("/", path));
        let folder = if folder.is_empty() { "/" } else { folder };
        let test = ExecRequest { command: vec!["test".into(), "-e".into(), path.into()], ..ExecRequest::default() };
        if end_of(self.exec(name, test).await?).await?.is_some() {
            return Err(missing("path", path));
        }
        let command = ["tar", "-c", "-C", folder, "--", base].map(str::to_owned).to_vec();
        Ok(self.exec(name, ExecRequest { command, ..ExecRequest::default() }).await?.stdout)
    }

    async fn logs(&self, name: &str, follow: bool, tail: Option<u32>) -> Result<Reader, EngineError> {
        self.known(name)?;
        log::reader(&self.folder(name).node_log(), follow, tail).map_err(|error| refused("read the node's log", error))
    }

    async fn stats(&self, name: &str) -> Result<NodeStats, EngineError> {
        self.known(name)?;
        let not_running = || EngineError::NotRunning { name: name.to_owned() };
        let status = self.ask(name, &Request::Status, QUICK).await?.ok_or_else(not_running)?;
        let process = status.process.ok_or_else(not_running)?;
        let usage = self.inner.platform.usage(process).map_err(|error| refused("measure the machine", error))?;
        Ok(NodeStats { memory_bytes: usage.memory_bytes, cpu_nanos: usage.cpu_nanos })
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        Ok(self.set(reference, host_architecture())?.map(|set| set.info()))
    }

    async fn inspect_image_of(&self, reference: &str, architecture: &str) -> Result<Option<ImageInfo>, EngineError> {
        let Some(architecture) = Architecture::parse(architecture) else { return Ok(None) };
        Ok(self.set(reference, architecture)?.map(|set| set.info()))
    }

    async fn can_run(&self, architecture: &str) -> Result<(), EngineError> {
        let known = Architecture::parse(architecture);
        let known = known.ok_or_else(|| refused("run the machine", format!("there are none of {architecture}")))?;
        self.inner.programs.of(known).map(drop)
    }

    async fn machine(&self, name: &str) -> Result<Option<MachineReport>, EngineError> {
        let Some(record) = self.record(name)? else { return Ok(None) };
        let status = self.ask(name, &Request::Status, QUICK).await?;
        let status = status.filter(|status| !matches!(status.state, State::Ended { .. }));
        let accelerator = status.as_ref().and_then(|status| status.accelerator);
        // What is known is how long it takes from nothing.
        let shorter = status.iter().flat_map(|status| &status.phases).any(|(name, _)| name == "template");
        let expected = self.speeds().whole_start(self.kind(&record));
        let expected = expected.filter(|_| accelerator == Some(Accelerator::Tcg) && !shorter);
        let console =
            log::last_line(&self.folder(name).console()).map_err(|error| refused("read its console", error))?;
        Ok(Some(MachineReport {
            architecture: record.architecture.name().to_owned(),
            cpu: record.hardware.and_then(|hardware| hardware.cpu),
            cores: record.cores,
            memory_bytes: record.memory_mib << 20,
            accelerator: accelerator.map(|accelerator| accelerator.name().to_owned()),
            because: status.as_ref().map(|status| status.because.clone()).unwrap_or_default(),
            phases: status.map(|status| status.phases).unwrap_or_default(),
            console,
            expected_millis: expected.and_then(|expected| u64::try_from(expected.as_millis()).ok()),
        }))
    }

    async fn note_start(&self, name: &str, took: Duration) -> Result<(), EngineError> {
        let record = self.known(name)?;
        let status = self.ask(name, &Request::Status, QUICK).await?;
        // What began with the guest's first word, and not in the middle of a life before.
        let is_cold = |status: &Status| status.phases.iter().any(|(name, _)| name == "hello");
        if !status.is_some_and(|status| status.accelerator == Some(Accelerator::Tcg) && is_cold(&status)) {
            return Ok(());
        }
        let noted = self.speeds().note_healthy(self.kind(&record), took, &self.inner.places);
        noted.map_err(|error| refused("remember how long it took", error))
    }

    async fn export_image(&self, reference: &str) -> Result<Reader, EngineError> {
        let words = "machines have no store of images; give an archive, or an image of Podman or Docker";
        let _ = reference;
        Err(refused("export the image", words))
    }

    async fn import_image(&self, archive: Reader) -> Result<Vec<String>, EngineError> {
        let places = self.inner.places.clone();
        let bridge = SyncIoBridge::new(archive);
        let imported = tokio::task::spawn_blocking(move || ImageSet::import(&places, bridge)).await;
        let operation = "take in what machines start from";
        let imported = imported.map_err(|error| refused(operation, error))?;
        match imported {
            Ok(set) => Ok(vec![set.manifest.digest]),
            Err(SetError::System(error)) => Err(refused(operation, error)),
            Err(error) => Err(refused(operation, error)),
        }
    }

    async fn pull_image(&self, reference: &str, _progress: &(dyn Fn(String) + Sync)) -> Result<(), EngineError> {
        let _ = reference;
        Err(refused("pull the image", "machines are started from archives, not from images of a registry"))
    }

    async fn architecture(&self) -> Result<String, EngineError> {
        Ok(crate::artifact::host_architecture().to_owned())
    }

    async fn subnets(&self) -> Result<Vec<String>, EngineError> {
        // That of QEMU's user-mode network.
        Ok(vec!["10.0.2.0/24".to_owned()])
    }
}

/// What a program says on its standard error, where it fails.
async fn end_of(mut session: ExecSession) -> Result<Option<String>, EngineError> {
    let mut words = Vec::new();
    let mut rest = tokio::io::sink();
    let outputs = tokio::join!(
        tokio::io::copy(&mut session.stdout, &mut rest),
        tokio::io::AsyncReadExt::read_to_end(&mut session.stderr, &mut words)
    );
    outputs.0.and(outputs.1.map(|_| 0)).map_err(|error| refused("run a program in the machine", error))?;
    let status = session.control.wait().await?;
    Ok((status != 0).then(|| String::from_utf8_lossy(&words).trim().to_owned()))
}

/// Refuses a QEMU that lacks what machines need. One that does not say its version has to show it.
fn check_version(found: &str) -> Result<(), EngineError> {
    let (least, needed, because) = QEMU;
    match found.split('.').next().unwrap_or_default().parse::<u64>() {
        Ok(major) if major < least => Err(EngineError::QemuTooOld { found: found.to_owned(), needed, because }),
        _ => Ok(()),
    }
}

fn check_ours(labels: &Labels) -> Result<(), EngineError> {
    if labels.contains_key(LABEL_CLUSTER) {
        Ok(())
    } else {
        Err(refused("make something", format!("the label {LABEL_CLUSTER} is missing")))
    }
}

fn missing(what: &'static str, name: &str) -> EngineError {
    EngineError::NotFound { what, name: name.to_owned() }
}

#[expect(clippy::needless_pass_by_value, reason = "it is used up, and most are made for it")]
fn refused(operation: &str, reason: impl ToString) -> EngineError {
    EngineError::Refused { engine: KIND.to_owned(), operation: operation.to_owned(), reason: reason.to_string() }
}

fn timed_out(operation: &str, after: Duration) -> EngineError {
    EngineError::TimedOut { engine: KIND.to_owned(), operation: operation.to_owned(), after }
}

fn lost(operation: &str, error: &SshError) -> EngineError {
    match error {
        SshError::TimedOut { after } => timed_out(operation, *after),
        error => refused(operation, error),
    }
}
