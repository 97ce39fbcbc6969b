//! An engine without containers: its state is a folder, its nodes are scripts.
//!
//! It is stricter than the real ones: it refuses whatever one of them might, it checks labels at each call, and it holds
//! the host's ports that are really bound. Several processes may use one folder at a time, so commands can be tested as
//! processes. It must not know more of what runs in a node than the node contract says.

mod behaviour;
mod node;
mod program;
mod state;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Component as PathComponent, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use self::behaviour::{Action, Behaviour, Component, Connect, Failpoint, NodeBehaviour, Probes, Script};
pub use self::program::{Program, ProgramRun};
use self::state::{Folder, Network, Node, Run, State};
use super::{
    Engine, EngineError, EngineInfo, ExecRequest, ExecSession, ImageInfo, LABEL_CLUSTER, Labels, NodeSpec, NodeState,
    NodeStats, Reader, Resource, ResourceKind,
};

/// Folders that every image has; a fake one has no content.
const IMAGE_FOLDERS: [&str; 6] = ["/", "/etc", "/run", "/tmp", "/usr", "/var"];

/// The stricter stand-in for Podman and Docker.
#[derive(Clone)]
pub struct FakeEngine {
    folder: Folder,
    info: EngineInfo,
    programs: BTreeMap<String, Arc<dyn Program>>,
}

impl FakeEngine {
    /// The fake engine of that folder, which is made at the first change; fails as its [`Behaviour::connect`] says.
    pub fn connect(folder: impl Into<PathBuf>) -> Result<Self, EngineError> {
        let engine = Self::open(folder);
        let endpoint = engine.info.endpoint.clone();
        if engine.folder.look(|state, behaviour| is_dead(state, behaviour)).map_err(|error| broken(&error))? {
            return Err(engine.gone());
        }
        match engine.behaviour()?.connect {
            Connect::Fine => Ok(engine),
            Connect::NotInstalled => Err(EngineError::NotInstalled { looked_for: "podman, docker".into() }),
            Connect::Unreachable(reason) => Err(EngineError::Unreachable { engine: "fake".into(), endpoint, reason }),
            Connect::PrivilegeRefused(reason) => {
                Err(EngineError::PrivilegeRefused { engine: "fake".into(), rootless: true, reason })
            }
        }
    }

    /// The fake engine of that folder without an attempt to reach it, to set it up.
    #[must_use]
    pub fn open(folder: impl Into<PathBuf>) -> Self {
        let folder = Folder::new(folder.into());
        let info = EngineInfo {
            kind: "fake".into(),
            version: "1.0.0".into(),
            endpoint: format!("fake:{}", folder.path().display()),
            rootless: false,
            privilege: "none needed".into(),
        };
        Self { folder, info, programs: BTreeMap::new() }
    }

    /// Adds a program that runs in this process for nodes of this value (not for those of other processes).
    #[must_use]
    pub fn with_program(mut self, name: &str, program: Arc<dyn Program>) -> Self {
        self.programs.insert(name.to_owned(), program);
        self
    }

    /// What it is told to do.
    pub fn behaviour(&self) -> Result<Behaviour, EngineError> {
        self.folder.behaviour().map_err(|error| broken(&error))
    }

    /// Tells it what to do from now on, in all processes.
    pub fn set_behaviour(&self, behaviour: &Behaviour) -> Result<(), EngineError> {
        self.folder.set_behaviour(behaviour).map_err(|error| broken(&error))
    }

    /// Puts an image into its store, without an archive.
    pub fn add_image(&self, image: ImageInfo) -> Result<(), EngineError> {
        let change = |state: &mut State, _: &Behaviour| {
            state.images.retain(|other| other.id != image.id);
            for other in &mut state.images {
                other.names.retain(|name| !image.names.contains(name));
            }
            state.images.push(image.into());
        };
        self.folder.change(change).map_err(|error| broken(&error))
    }

    /// Puts a container, volume or network of somebody else in the way, one without our labels.
    pub fn add_foreign(&self, kind: &ResourceKind, name: &str) -> Result<(), EngineError> {
        let change = |state: &mut State, _: &Behaviour| match kind {
            ResourceKind::Node => {
                state.nodes.insert(name.to_owned(), foreign_node());
            }
            ResourceKind::Volume => {
                state.volumes.insert(name.to_owned(), Labels::new());
            }
            ResourceKind::Network => {
                let network = Network { labels: Labels::new(), subnet: free_subnet(state) };
                state.networks.insert(name.to_owned(), network);
            }
        };
        self.folder.change(change).map_err(|error| broken(&error))
    }

    /// How often each method was called since the folder was made; calls into nodes count as `sandbarctl VERB`.
    pub fn calls(&self) -> Result<BTreeMap<String, u64>, EngineError> {
        self.folder.look(|state, _| state.calls.clone()).map_err(|error| broken(&error))
    }

    /// The node and its port behind a port of the host, if a running node forwards it.
    pub fn forwarded(&self, address: SocketAddr) -> Result<Option<(String, u16)>, EngineError> {
        let find = |state: &mut State, behaviour: &Behaviour| {
            settle(state, behaviour);
            state.nodes.iter().filter(|(_, node)| node.run == Run::Running).find_map(|(name, node)| {
                let matches = |at: IpAddr| at == address.ip() || at.is_unspecified();
                let hit = node.ports.iter().find(|p| p.host_port == address.port() && matches(p.host_address))?;
                Some((name.clone(), hit.node_port))
            })
        };
        self.folder.look(find).map_err(|error| broken(&error))
    }

    /// The `clusterId` of a node that was started once.
    #[must_use]
    pub fn cluster_id(&self, name: &str) -> Option<String> {
        fs_err::read_to_string(self.folder.volume(name).join("cluster-id")).ok()
    }

    /// Counts a call, waits as long as told, and lets happen what is told to happen before it.
    async fn begin(&self, operation: &str, changes: bool) -> Result<Option<Action>, EngineError> {
        let count = |state: &mut State, behaviour: &Behaviour| {
            let calls = state.calls.entry(operation.to_owned()).or_default();
            *calls += 1;
            let calls = *calls;
            state.changes += u64::from(changes);
            let all = state.changes;
            let hit = |point: &&Failpoint| match &point.operation {
                Some(name) => name == operation && (point.at == 0 || point.at == calls),
                None => changes && (point.at == 0 || point.at == all),
            };
            let delay = behaviour.delays_millis.get(operation).copied().unwrap_or_default();
            let action = behaviour.failpoints.iter().find(hit).map(|point| point.action.clone());
            (if is_dead(state, behaviour) { Some(Action::Die) } else { action }, delay)
        };
        let (action, delay) = self.folder.change(count).map_err(|error| broken(&error))?;
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        match action {
            Some(Action::Fail(words)) => Err(refused(operation, &words)),
            Some(Action::RefusePrivilege(reason)) => {
                Err(EngineError::PrivilegeRefused { engine: "fake".into(), rootless: self.info.rootless, reason })
            }
            Some(Action::Die) => Err(self.gone()),
            // No clean-up of the process runs, as under SIGKILL.
            Some(Action::Kill) => std::process::abort(),
            Some(Action::Hang) => std::future::pending().await,
            after => Ok(after),
        }
    }

    /// The error of an engine that was there and answers no more.
    fn gone(&self) -> EngineError {
        EngineError::Unreachable {
            engine: self.info.kind.clone(),
            endpoint: self.info.endpoint.clone(),
            reason: "connection refused".into(),
        }
    }

    /// Does `work` on the state as one call of `operation`.
    async fn call<T>(
        &self,
        operation: &str,
        changes: bool,
        work: impl FnOnce(&mut State, &Behaviour) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let after = self.begin(operation, changes).await?;
        let work = |state: &mut State, behaviour: &Behaviour| {
            settle(state, behaviour);
            work(state, behaviour)
        };
        let result = self.folder.change(work).map_err(|error| broken(&error))??;
        end(operation, after)?;
        Ok(result)
    }

    /// Where `path` of the node is in the folder.
    fn place(&self, name: &str, path: &str) -> Result<PathBuf, EngineError> {
        let inside = Path::new(path);
        if !inside.is_absolute() || inside.components().any(|part| part == PathComponent::ParentDir) {
            return Err(refused("copy", &format!("{path} is not an absolute path")));
        }
        let place = match inside.strip_prefix("/var/lib/sandbar") {
            Ok(rest) => self.folder.volume(name).join(rest),
            Err(_) => self.folder.node_root(name).join(inside.strip_prefix("/").unwrap_or(inside)),
        };
        Ok(place)
    }
}

#[async_trait]
impl Engine for FakeEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn create_network(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
        self.call("create_network", true, |state, _| {
            check_ours("create the network", labels)?;
            match state.networks.get(name) {
                Some(other) if is_ours(&other.labels) => Err(exists("network", name)),
                Some(_) => Err(foreign("network", name)),
                None => {
                    let network = Network { labels: labels.clone(), subnet: free_subnet(state) };
                    state.networks.insert(name.to_owned(), network);
                    Ok(())
                }
            }
        })
        .await
    }

    async fn create_volume(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
        self.call("create_volume", true, |state, _| {
            check_ours("create the volume", labels)?;
            match state.volumes.get(name) {
                Some(other) if is_ours(other) => Ok(()),
                Some(_) => Err(foreign("volume", name)),
                None => {
                    fs_err::create_dir_all(self.folder.volume(name)).map_err(|error| broken(&error))?;
                    state.volumes.insert(name.to_owned(), labels.clone());
                    Ok(())
                }
            }
        })
        .await
    }

    async fn create_node(&self, spec: &NodeSpec) -> Result<(), EngineError> {
        self.call("create_node", true, |state, _| {
            check_ours("create the node", &spec.labels)?;
            check_spec(spec)?;
            let name = &spec.name;
            match state.nodes.get(name) {
                Some(other) if is_ours(&other.labels) => return Err(exists("node", name)),
                Some(_) => return Err(foreign("node", name)),
                None => {}
            }
            let network = state.networks.get(name).ok_or_else(|| missing("network", name))?;
            let volume = state.volumes.get(name).ok_or_else(|| missing("volume", name))?;
            if !is_ours(&network.labels) {
                return Err(foreign("network", name));
            }
            if !is_ours(volume) {
                return Err(foreign("volume", name));
            }
            let image = store::find(&state.images, &spec.image).ok_or_else(|| missing("image", &spec.image))?;
            let node = Node {
                hostname: spec.hostname.clone(),
                labels: spec.labels.clone(),
                image_id: image.id.clone(),
                ports: spec.ports.clone(),
                environment: spec.environment.clone(),
                memory_bytes: spec.memory_bytes,
                created: state::rfc3339(state::now_millis()),
                run: Run::Created,
                started_millis: 0,
                starts: 0,
            };
            fs_err::create_dir_all(self.folder.node_root(name).join("etc")).map_err(|error| broken(&error))?;
            for (path, mode, content) in &spec.files {
                let place = self.place(name, &path.to_string_lossy())?;
                place_file(&place, *mode, content).map_err(|error| broken(&error))?;
            }
            state.nodes.insert(name.clone(), node);
            Ok(())
        })
        .await
    }

    async fn start_node(&self, name: &str) -> Result<(), EngineError> {
        self.call("start_node", true, |state, behaviour| {
            let node = ours(&state.nodes, name)?;
            match node.run {
                Run::Running => return Ok(()),
                Run::Paused => return Err(refused("start the node", "it is paused")),
                Run::Created | Run::Exited(_) => {}
            }
            for port in &node.ports {
                let taken = || EngineError::PortTaken { port: port.host_port, address: port.host_address };
                let clashes = |other: &Node| {
                    let runs = matches!(other.run, Run::Running | Run::Paused);
                    let same = |p: &super::PortForward| {
                        let all = p.host_address.is_unspecified() || port.host_address.is_unspecified();
                        p.host_port == port.host_port && (all || p.host_address == port.host_address)
                    };
                    runs && other.ports.iter().any(same)
                };
                if behaviour.held_ports.contains(&port.host_port) || state.nodes.values().any(clashes) {
                    return Err(taken());
                }
                // The listener goes at once: the fake forwards nothing, it only has to see what the host holds.
                if let Err(error) = TcpListener::bind((port.host_address, port.host_port)) {
                    return Err(match error.kind() {
                        std::io::ErrorKind::AddrInUse => taken(),
                        _ => refused(
                            "start the node",
                            &format!("bind {}:{}: {error}", port.host_address, port.host_port),
                        ),
                    });
                }
            }
            let started = state::now_millis();
            if let Some(node) = state.nodes.get_mut(name) {
                node.run = Run::Running;
                node.started_millis = started;
                node.starts += 1;
            }
            node::first_process_started(&self.folder, name, behaviour).map_err(|error| broken(&error))
        })
        .await
    }

    async fn stop_node(&self, name: &str, _grace: Duration) -> Result<(), EngineError> {
        self.call("stop_node", true, |state, behaviour| {
            ours(&state.nodes, name)?;
            if let Some(node) = state.nodes.get_mut(name) {
                match node.run {
                    Run::Running | Run::Paused => node.run = Run::Exited(behaviour.node.exit_code),
                    Run::Created | Run::Exited(_) => {}
                }
            }
            Ok(())
        })
        .await
    }

    async fn kill_node(&self, name: &str, signal: &str) -> Result<(), EngineError> {
        self.call("kill_node", true, |state, behaviour| {
            let node = running(&state.nodes, name)?;
            let (before, exit) = (node.run, behaviour.node.exit_code);
            let after = match signal.trim_start_matches("SIG") {
                "KILL" => Run::Exited(137),
                "TERM" | "INT" => Run::Exited(exit),
                "HUP" | "USR1" | "USR2" | "CHLD" | "CONT" | "WINCH" => before,
                other => return Err(refused("send the signal", &format!("invalid signal: {other}"))),
            };
            if let Some(node) = state.nodes.get_mut(name) {
                node.run = after;
            }
            Ok(())
        })
        .await
    }

    async fn pause_node(&self, name: &str) -> Result<(), EngineError> {
        self.call("pause_node", true, |state, _| {
            running(&state.nodes, name)?;
            if let Some(node) = state.nodes.get_mut(name) {
                node.run = Run::Paused;
            }
            Ok(())
        })
        .await
    }

    async fn unpause_node(&self, name: &str) -> Result<(), EngineError> {
        self.call("unpause_node", true, |state, _| {
            if ours(&state.nodes, name)?.run != Run::Paused {
                return Err(refused("unpause the node", "it is not paused"));
            }
            if let Some(node) = state.nodes.get_mut(name) {
                node.run = Run::Running;
            }
            Ok(())
        })
        .await
    }

    async fn remove(&self, kind: &ResourceKind, name: &str) -> Result<(), EngineError> {
        self.call("remove", true, |state, _| {
            let (what, labels) = match kind {
                ResourceKind::Node => ("node", state.nodes.get(name).map(|node| node.labels.clone())),
                ResourceKind::Volume => ("volume", state.volumes.get(name).cloned()),
                ResourceKind::Network => ("network", state.networks.get(name).map(|network| network.labels.clone())),
            };
            match labels {
                None => return Ok(()),
                Some(labels) if !is_ours(&labels) => return Err(foreign(what, name)),
                Some(_) => {}
            }
            let in_use = state.nodes.get(name).is_some_and(|node| is_ours(&node.labels));
            let gone = match kind {
                ResourceKind::Node => {
                    state.nodes.remove(name);
                    fs_err::remove_dir_all(self.folder.path().join("nodes").join(name))
                }
                _ if in_use => return Err(refused(&format!("remove the {what}"), "it is in use by the node")),
                ResourceKind::Volume => {
                    state.volumes.remove(name);
                    fs_err::remove_dir_all(self.folder.volume(name))
                }
                ResourceKind::Network => {
                    state.networks.remove(name);
                    Ok(())
                }
            };
            match gone {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(broken(&error)),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn inspect_node(&self, name: &str) -> Result<Option<NodeState>, EngineError> {
        self.call("inspect_node", false, |state, _| match ours(&state.nodes, name) {
            Ok(node) => Ok(Some(node_state(name, node))),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn list_nodes(&self) -> Result<Vec<NodeState>, EngineError> {
        self.call("list_nodes", false, |state, _| {
            let ours = state.nodes.iter().filter(|(_, node)| is_ours(&node.labels));
            Ok(ours.map(|(name, node)| node_state(name, node)).collect())
        })
        .await
    }

    async fn list_resources(&self) -> Result<Vec<Resource>, EngineError> {
        self.call("list_resources", false, |state, _| {
            let resource = |kind: ResourceKind, name: &String, labels: &Labels| Resource {
                kind,
                name: name.clone(),
                labels: labels.clone(),
            };
            let nodes = state.nodes.iter().map(|(name, node)| resource(ResourceKind::Node, name, &node.labels));
            let volumes = state.volumes.iter().map(|(name, labels)| resource(ResourceKind::Volume, name, labels));
            let networks =
                state.networks.iter().map(|(name, network)| resource(ResourceKind::Network, name, &network.labels));
            Ok(nodes.chain(volumes).chain(networks).filter(|resource| is_ours(&resource.labels)).collect())
        })
        .await
    }

    async fn exec(&self, name: &str, mut request: ExecRequest) -> Result<ExecSession, EngineError> {
        let operation = node::operation(&request.command);
        let after = self.begin(&operation, false).await?;
        let check = |state: &mut State, behaviour: &Behaviour| {
            settle(state, behaviour);
            match running(&state.nodes, name)?.run {
                Run::Paused => Err(refused("run a program in the node", "it is paused")),
                _ => Ok(running(&state.nodes, name)?.environment.clone()),
            }
        };
        let environment = self.folder.look(check).map_err(|error| broken(&error))??;
        let of_node = environment.into_iter().map(|(key, value)| format!("{key}={value}"));
        request.environment = of_node.chain(request.environment).collect();
        if request.command.is_empty() {
            return Err(refused("run a program in the node", "no program given"));
        }
        let session = program::start(&self.folder, name, request, &self.programs);
        end(&operation, after)?;
        Ok(session)
    }

    async fn copy_in(&self, name: &str, directory: &str, mut archive: Reader) -> Result<(), EngineError> {
        let place = self.place(name, directory)?;
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes).await.map_err(|error| refused("copy into the node", &error.to_string()))?;
        self.call("copy_in", true, |state, _| {
            ours(&state.nodes, name)?;
            let of_image = IMAGE_FOLDERS.contains(&directory);
            if !place.is_dir() && !of_image {
                return Err(missing("path", directory));
            }
            tar::Archive::new(bytes.as_slice())
                .unpack(&place)
                .map_err(|error| refused("copy into the node", &error.to_string()))
        })
        .await
    }

    async fn copy_out(&self, name: &str, path: &str) -> Result<Reader, EngineError> {
        let place = self.place(name, path)?;
        self.call("copy_out", false, |state, _| {
            ours(&state.nodes, name)?;
            let entry = Path::new(path).file_name().map_or_else(|| ".".into(), PathBuf::from);
            let mut builder = tar::Builder::new(Vec::new());
            let added = match fs_err::symlink_metadata(&place) {
                Ok(metadata) if metadata.is_dir() => builder.append_dir_all(entry, &place),
                Ok(_) => builder.append_path_with_name(&place, entry),
                Err(_) => return Err(missing("path", path)),
            };
            let archive = added.and_then(|()| builder.into_inner()).map_err(|error| broken(&error))?;
            Ok(Box::pin(std::io::Cursor::new(archive)) as Reader)
        })
        .await
    }

    async fn logs(&self, name: &str, follow: bool, tail: Option<u32>) -> Result<Reader, EngineError> {
        let text = self
            .call("logs", false, |state, _| {
                ours(&state.nodes, name)?;
                Ok(fs_err::read_to_string(self.folder.node_log(name)).unwrap_or_default())
            })
            .await?;
        let lines: Vec<&str> = text.lines().collect();
        let keep = tail.map_or(lines.len(), |tail| lines.len().min(tail as usize));
        let mut shown = lines[lines.len() - keep..].join("\n");
        if keep > 0 {
            shown.push('\n');
        }
        if !follow {
            return Ok(Box::pin(std::io::Cursor::new(shown.into_bytes())));
        }
        let (mut writer, reader) = tokio::io::duplex(64 * 1024);
        let (folder, name) = (self.folder.clone(), name.to_owned());
        tokio::spawn(async move {
            let mut seen = text.len();
            while writer.write_all(shown.as_bytes()).await.is_ok() {
                let ended = program::node_ended(&folder, &name).await;
                let all = fs_err::read_to_string(folder.node_log(&name)).unwrap_or_default();
                all.get(seen..).unwrap_or_default().clone_into(&mut shown);
                seen = all.len();
                if ended && shown.is_empty() {
                    break;
                }
            }
        });
        Ok(Box::pin(reader))
    }

    async fn stats(&self, name: &str) -> Result<NodeStats, EngineError> {
        self.call("stats", false, |state, _| {
            let node = running(&state.nodes, name)?;
            let millis = state::now_millis().saturating_sub(node.started_millis);
            Ok(NodeStats { memory_bytes: 200 << 20, cpu_nanos: millis * 10_000 })
        })
        .await
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        self.call("inspect_image", false, |state, _| {
            Ok(store::find(&state.images, reference).cloned().map(ImageInfo::from))
        })
        .await
    }

    async fn export_image(&self, reference: &str) -> Result<Reader, EngineError> {
        self.call("export_image", false, |state, _| {
            let image = store::find(&state.images, reference).ok_or_else(|| missing("image", reference))?;
            let archive = fs_err::read(self.folder.image_archive(&image.id))
                .map_err(|error| refused("export the image", &error.to_string()))?;
            Ok(Box::pin(std::io::Cursor::new(archive)) as Reader)
        })
        .await
    }

    async fn import_image(&self, mut archive: Reader) -> Result<Vec<String>, EngineError> {
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes).await.map_err(|error| refused("import the image", &error.to_string()))?;
        self.call("import_image", true, |state, _| {
            store::import(&self.folder, state, &bytes).map_err(|words| refused("import the image", &words))
        })
        .await
    }

    async fn subnets(&self) -> Result<Vec<String>, EngineError> {
        self.call("subnets", false, |state, behaviour| {
            let own = state.networks.values().map(|network| network.subnet.clone());
            Ok(own.chain(behaviour.foreign_subnets.iter().cloned()).collect())
        })
        .await
    }
}

/// Whether it has come to a point from which on nobody answers.
fn is_dead(state: &State, behaviour: &Behaviour) -> bool {
    behaviour.failpoints.iter().filter(|point| point.action == Action::Die).any(|point| {
        let calls = match &point.operation {
            Some(operation) => state.calls.get(operation).copied().unwrap_or_default(),
            None => state.changes,
        };
        calls >= point.at
    })
}

/// Lets happen what is told to happen after a call.
fn end(operation: &str, after: Option<Action>) -> Result<(), EngineError> {
    match after {
        Some(Action::FailAfter(words)) => Err(refused(operation, &words)),
        Some(Action::KillAfter) => std::process::abort(),
        _ => Ok(()),
    }
}

/// Lets first processes end whose time has come.
fn settle(state: &mut State, behaviour: &Behaviour) {
    let Some(life) = behaviour.node.exits_after_millis else { return };
    let now = state::now_millis();
    for node in state.nodes.values_mut() {
        if node.run == Run::Running && node.started_millis + life <= now {
            node.run = Run::Exited(behaviour.node.exit_code);
        }
    }
}

fn node_state(name: &str, node: &Node) -> NodeState {
    let runs = matches!(node.run, Run::Running | Run::Paused);
    NodeState {
        name: name.to_owned(),
        labels: node.labels.clone(),
        run: node.run.into(),
        ports: node.ports.clone(),
        image_id: node.image_id.clone(),
        created: node.created.clone(),
        address: runs.then_some(IpAddr::from([10, 89, 0, 2])),
    }
}

fn foreign_node() -> Node {
    Node {
        hostname: "foreign".into(),
        labels: Labels::new(),
        image_id: format!("sha256:{:064}", 0),
        ports: Vec::new(),
        environment: BTreeMap::new(),
        memory_bytes: None,
        created: state::rfc3339(state::now_millis()),
        run: Run::Exited(0),
        started_millis: 0,
        starts: 0,
    }
}

fn free_subnet(state: &State) -> String {
    let taken = |subnet: &String| state.networks.values().any(|network| network.subnet == *subnet);
    let mut subnets = (0..=255_u8).map(|third| format!("10.89.{third}.0/24"));
    subnets.find(|subnet| !taken(subnet)).unwrap_or_else(|| "10.89.255.0/24".into())
}

/// Writes a file with its mode, and the folders above it.
fn place_file(place: &Path, mode: u32, content: &[u8]) -> std::io::Result<()> {
    let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    fs_err::create_dir_all(folder)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    // An archive knows modes on every platform, as far as the platform does.
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, name, content)?;
    tar::Archive::new(archive.into_inner()?.as_slice()).unpack(folder)
}

fn check_spec(spec: &NodeSpec) -> Result<(), EngineError> {
    let refuse = |words: &str| Err(refused("create the node", words));
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if spec.name.is_empty() || !spec.name.chars().all(fits) || !spec.name.starts_with(|c: char| c.is_alphanumeric()) {
        return refuse("invalid name");
    }
    if spec.hostname.is_empty() || spec.hostname.len() > 64 {
        return refuse("invalid hostname");
    }
    if spec.ports.iter().any(|port| port.host_port == 0 || port.node_port == 0) {
        return refuse("port 0");
    }
    for (index, port) in spec.ports.iter().enumerate() {
        let twice =
            |other: &super::PortForward| (other.host_address, other.host_port) == (port.host_address, port.host_port);
        if spec.ports[..index].iter().any(twice) {
            return refuse("one host port twice");
        }
    }
    if spec.memory_bytes.is_some_and(|bytes| bytes < 6 << 20) {
        return refuse("minimum memory limit allowed is 6MB");
    }
    if spec.cpu_millis == Some(0) {
        return refuse("no CPU at all");
    }
    if spec.files.iter().any(|(path, ..)| !path.is_absolute()) {
        return refuse("a file whose path is not absolute");
    }
    Ok(())
}

fn is_ours(labels: &Labels) -> bool {
    labels.contains_key(LABEL_CLUSTER)
}

fn check_ours(operation: &str, labels: &Labels) -> Result<(), EngineError> {
    if is_ours(labels) { Ok(()) } else { Err(refused(operation, &format!("the label {LABEL_CLUSTER} is missing"))) }
}

fn ours<'a>(nodes: &'a BTreeMap<String, Node>, name: &str) -> Result<&'a Node, EngineError> {
    match nodes.get(name) {
        None => Err(missing("node", name)),
        Some(node) if !is_ours(&node.labels) => Err(foreign("node", name)),
        Some(node) => Ok(node),
    }
}

fn running<'a>(nodes: &'a BTreeMap<String, Node>, name: &str) -> Result<&'a Node, EngineError> {
    let node = ours(nodes, name)?;
    match node.run {
        Run::Running | Run::Paused => Ok(node),
        Run::Created | Run::Exited(_) => Err(EngineError::NotRunning { name: name.to_owned() }),
    }
}

fn missing(what: &'static str, name: &str) -> EngineError {
    EngineError::NotFound { what, name: name.to_owned() }
}

fn exists(what: &'static str, name: &str) -> EngineError {
    EngineError::AlreadyExists { what, name: name.to_owned() }
}

fn foreign(what: &'static str, name: &str) -> EngineError {
    EngineError::Foreign { what, name: name.to_owned() }
}

fn refused(operation: &str, reason: &str) -> EngineError {
    EngineError::Refused { engine: "fake".into(), operation: operation.to_owned(), reason: reason.to_owned() }
}

/// The fake's own folder cannot be used.
fn broken(error: &std::io::Error) -> EngineError {
    refused("keep its state", &error.to_string())
}
