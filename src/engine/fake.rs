//! An engine without containers: its state is a folder, its nodes are scripts.
//!
//! It is stricter than the real ones: it refuses whatever one of them might, it checks labels at each call, and it holds
//! the host's ports that are really bound. Several processes may use one folder at a time, so commands can be tested as
//! processes. It must not know more of what runs in a node than the node contract says.

mod behaviour;
mod check;
mod checks;
mod methods;
mod node;
mod program;
mod state;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Component as PathComponent, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::behaviour::{Action, Behaviour, Component, Connect, Failpoint, Keep, NodeBehaviour, Probes, Script};
use self::checks::{broken, refused};
pub use self::program::{Program, ProgramRun};
use self::state::{Folder, Network, Node, Run, State};
use super::{EngineError, EngineInfo, ImageInfo, Labels, Purpose, ResourceKind};

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
        let mut engine = Self::open(folder);
        let endpoint = engine.info.endpoint.clone();
        if engine.folder.look(|state, behaviour| is_dead(state, behaviour)).map_err(|error| broken(&error))? {
            return Err(engine.gone());
        }
        let behaviour = engine.behaviour()?;
        engine.info.host = behaviour.host;
        match behaviour.connect {
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
            host: None,
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

    /// Ends a node's processes without the engine knowing.
    pub fn lose(&self, name: &str) -> Result<(), EngineError> {
        let change = |state: &mut State, _: &Behaviour| match state.nodes.get_mut(name) {
            Some(node) => {
                node.run = Run::Gone;
                Ok(())
            }
            None => Err(checks::missing("node", name)),
        };
        self.folder.change(change).map_err(|error| broken(&error))?
    }

    /// How often each method was called since the folder was made; calls into nodes count as `sandbarctl VERB`.
    pub fn calls(&self) -> Result<BTreeMap<String, u64>, EngineError> {
        self.folder.look(|state, _| state.calls.clone()).map_err(|error| broken(&error))
    }

    /// The layers that the last archive announced that a node took in, first to last.
    pub fn announced(&self, node: &str) -> Result<Vec<String>, EngineError> {
        store::NodeImages::read(&self.folder, node).map(|all| all.announced).map_err(|error| broken(&error))
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
        if !inside.has_root() || inside.components().any(|part| part == PathComponent::ParentDir) {
            return Err(refused("copy", &format!("{path} is not an absolute path")));
        }
        let place = match inside.strip_prefix("/var/lib/sandbar") {
            Ok(rest) => self.folder.volume(name).join(rest),
            Err(_) => self.folder.node_root(name).join(inside.strip_prefix("/").unwrap_or(inside)),
        };
        Ok(place)
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

fn foreign_node() -> Node {
    Node {
        purpose: Purpose::Node,
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
        kept: None,
    }
}

fn free_subnet(state: &State) -> String {
    let taken = |subnet: &String| state.networks.values().any(|network| network.subnet == *subnet);
    let mut subnets = (0..=255_u8).map(|third| format!("10.89.{third}.0/24"));
    subnets.find(|subnet| !taken(subnet)).unwrap_or_else(|| "10.89.255.0/24".into())
}
