//! Podman and Docker through their API, the only module that knows bollard.
//!
//! A container is touched by its ID alone, after its labels were seen once: an ID never means another container, and
//! labels never change, so nothing that is not ours is ever touched, and no look costs a second call.

mod afar;
mod capabilities;
mod connect;
mod create;
mod description;
mod docker_context;
mod endpoint;
mod exec;
mod failure;
mod find;
mod limits;
mod local_exec;
mod lost;
mod ports;
mod save;
mod service;
mod ssh;
mod state;
mod tls;
mod transport;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error;
use bollard::exec::ResizeExecOptions;
use bollard::models::{ExecConfig, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters as query;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio_util::io::{ReaderStream, StreamReader};

use self::capabilities::Capabilities;
pub use self::connect::{ConnectOptions, EngineChoice};
use self::endpoint::Endpoint;
use self::failure::Attempt;
use self::ssh::Line;
use crate::platform::look::{Look, look};
use crate::process::Program;

use super::{
    Engine, EngineError, EngineInfo, ExecRequest, ExecSession, ImageInfo, LABEL_CLUSTER, Labels, NodeSpec, NodeState,
    NodeStats, PortForward, Purpose, Reader, Resource, ResourceKind, RunState, TerminalSize,
};

/// For calls that only look or change a record.
const QUICK: Duration = Duration::from_secs(30);
/// For calls that start or remove something.
const SLOW: Duration = Duration::from_secs(90);
/// For an answer that begins only when an image was packed.
const PACK: Duration = Duration::from_mins(10);
/// For the next piece of something that flows.
const STALL: Duration = Duration::from_mins(2);

/// A Podman or Docker that answers.
#[derive(Clone)]
pub struct ContainerEngine {
    inner: Arc<Inner>,
}

struct Inner {
    docker: Docker,
    endpoint: Endpoint,
    info: EngineInfo,
    /// The same Podman as a program, where it is this user's own.
    local: Option<Program>,
    /// The connection to it, where it is behind SSH.
    line: Option<Arc<Line>>,
    /// IDs of containers that are known to be ours, by name.
    ours: Mutex<HashMap<String, String>>,
    /// What was made here and not started yet, by name.
    made: Mutex<HashMap<String, NodeSpec>>,
}

impl ContainerEngine {
    fn new(
        docker: Docker,
        endpoint: Endpoint,
        info: EngineInfo,
        local: Option<Program>,
        line: Option<Arc<Line>>,
    ) -> Self {
        let (ours, made) = (Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { docker, endpoint, info, local, line, ours, made }) }
    }

    /// The same, once it said whether it runs as an ordinary user.
    fn with_rootless(&self, rootless: bool) -> Self {
        let Inner { docker, endpoint, info, local, line, .. } = self.inner.as_ref();
        let privilege = create::Privilege::of(rootless).words().to_owned();
        let info = EngineInfo { rootless, privilege, ..info.clone() };
        Self::new(docker.clone(), endpoint.clone(), info, local.clone(), line.clone())
    }

    fn docker(&self) -> &Docker {
        &self.inner.docker
    }

    fn is_podman(&self) -> bool {
        self.inner.info.kind == "podman"
    }

    fn attempt<'a>(&'a self, operation: &'a str, what: &'static str, name: &'a str) -> Attempt<'a> {
        let info = &self.inner.info;
        Attempt {
            engine: &info.kind,
            endpoint: &info.endpoint,
            rootless: info.rootless,
            operation,
            what,
            name,
            ports: &[],
        }
    }

    /// Waits for one of bollard's calls, up to a deadline.
    async fn within<T>(
        &self,
        deadline: Duration,
        attempt: Attempt<'_>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, EngineError> {
        match tokio::time::timeout(deadline, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(attempt.failed(&error)),
            Err(_) => Err(attempt.timed_out(deadline)),
        }
    }

    /// The same where "there is no such thing" is an answer.
    async fn within_optional<T>(
        &self,
        deadline: Duration,
        attempt: Attempt<'_>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, EngineError> {
        match self.within(deadline, attempt, call).await {
            Ok(value) => Ok(Some(value)),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The container of that name as the engine describes it, ours or not.
    async fn container(&self, name: &str) -> Result<Option<state::Container>, EngineError> {
        let attempt = self.attempt("inspect the node", "node", name);
        let path = format!("/containers/{name}/json");
        match tokio::time::timeout(QUICK, self.inner.endpoint.get::<state::Container>(&path)).await {
            Err(_) => Err(attempt.timed_out(QUICK)),
            // An ID or the beginning of one is not a name.
            Ok(Ok(container)) if container.name.trim_start_matches('/') != name => Ok(None),
            Ok(Ok(container)) => Ok(Some(container)),
            Ok(Err(error)) => match attempt.call_failed(&error) {
                EngineError::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    /// The ID of a container of ours.
    async fn id(&self, name: &str) -> Result<String, EngineError> {
        if let Some(id) = self.known(name) {
            return Ok(id);
        }
        let missing = || EngineError::NotFound { what: "node", name: name.to_owned() };
        let container = self.container(name).await?.ok_or_else(missing)?;
        if !is_ours(container.labels()) {
            return Err(foreign("node", name));
        }
        self.remember(name, &container.id);
        Ok(container.id)
    }

    fn known(&self, name: &str) -> Option<String> {
        self.inner.ours.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn remember(&self, name: &str, id: &str) {
        self.inner.ours.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), id.to_owned());
    }

    fn forget(&self, name: &str) {
        self.inner.ours.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Does something with a container of ours. One that was replaced since it was seen is looked up once more.
    async fn with_node<T, F>(
        &self,
        deadline: Duration,
        attempt: Attempt<'_>,
        call: impl Fn(String) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let cached = self.known(attempt.name).is_some();
        let id = self.id(attempt.name).await?;
        match self.within(deadline, attempt, call(id)).await {
            Err(EngineError::NotFound { what: "node", .. }) if cached => {
                self.forget(attempt.name);
                let id = self.id(attempt.name).await?;
                self.within(deadline, attempt, call(id)).await
            }
            result => result,
        }
    }

    async fn volume_labels(&self, name: &str) -> Result<Option<Labels>, EngineError> {
        let attempt = self.attempt("inspect the volume", "volume", name);
        let volume = self.within_optional(QUICK, attempt, self.docker().inspect_volume(name)).await?;
        Ok(volume.map(|volume| volume.labels.into_iter().collect()))
    }

    async fn network_labels(&self, name: &str) -> Result<Option<Labels>, EngineError> {
        let attempt = self.attempt("inspect the network", "network", name);
        let call = self.docker().inspect_network(name, None::<query::InspectNetworkOptions>);
        let network = self.within_optional(QUICK, attempt, call).await?;
        Ok(network.map(|network| network.labels.unwrap_or_default().into_iter().collect()))
    }

    /// Makes the container of a node, with these capabilities or else those that its engine seems to have.
    async fn send_create(&self, spec: &NodeSpec, capabilities: Option<Capabilities>) -> Result<String, EngineError> {
        let there = self.inner.line.as_ref().map(|_| ports::spec_there(spec));
        let spec = there.as_ref().unwrap_or(spec);
        let mut attempt = self.attempt("create the node", "node", &spec.name);
        attempt.ports = &spec.ports;
        let process = self.inner.endpoint.process().await;
        let limits = limits::of_engine(process);
        let privilege = create::Privilege::of(self.inner.info.rootless);
        let api = self.docker().client_version();
        let capabilities = capabilities.unwrap_or_else(|| capabilities::of_engine(process, api));
        let body = create::docker(spec, &limits, create::docker_security(privilege, &capabilities));
        let options = query::CreateContainerOptionsBuilder::new().name(&spec.name).build();
        let created = if self.is_podman() {
            // bollard's call and transport, with the request of Podman's own API in place of the Docker API's.
            let own = create::podman(spec, &limits, privilege).to_string();
            let version = self.inner.info.version.clone();
            let docker = self.docker().clone().with_request_modifier(move |request| {
                let (mut parts, _) = request.into_parts();
                parts.uri = connect::libpod_uri(&parts.uri, &version, "/containers/create");
                bollard::BollardRequest::from_parts(parts, bollard::body_full(own.clone().into()))
            });
            self.within(SLOW, attempt, docker.create_container(Some(options), body)).await
        } else {
            self.within(SLOW, attempt, self.docker().create_container(Some(options), body)).await
        };
        match created {
            Ok(created) => Ok(created.id),
            Err(EngineError::NotFound { what: "image", .. }) => {
                Err(EngineError::NotFound { what: "image", name: spec.image.clone() })
            }
            Err(error) => Err(error),
        }
    }

    async fn create_container(
        &self,
        spec: &NodeSpec,
        capabilities: Option<Capabilities>,
        files: Vec<u8>,
    ) -> Result<(), EngineError> {
        let name = spec.name.as_str();
        let id = match self.send_create(spec, capabilities).await {
            Err(EngineError::AlreadyExists { what: "node", .. }) => {
                // Says that it is foreign, if it is.
                self.id(name).await?;
                return Err(EngineError::AlreadyExists { what: "node", name: name.to_owned() });
            }
            created => created?,
        };
        self.remember(name, &id);
        if spec.files.is_empty() {
            return Ok(());
        }
        let placed = self.copy_in(name, "/", Box::pin(std::io::Cursor::new(files))).await;
        if placed.is_err() {
            // Half a node is none; its failure to go says less than the one before.
            let _ = self.remove(&ResourceKind::Node, name).await;
        }
        placed
    }

    /// Refuses ports that somebody holds before Podman does: it would keep those that it opened before the one that it
    /// could not, as long as its service runs and no garbage is collected (seen with 4.3).
    async fn look_at_ports(&self, name: &str) -> Result<(), EngineError> {
        if !self.is_podman() || !matches!(self.inner.endpoint, Endpoint::Unix(_)) {
            return Ok(());
        }
        let Some(container) = self.container(name).await? else { return Ok(()) };
        if container.process().is_some() || container.is_paused() {
            return Ok(());
        }
        let held = |forward: &PortForward| look(forward.host_address, forward.host_port) == Look::Held;
        match container.forwards().into_iter().find(held) {
            Some(forward) => Err(EngineError::PortTaken { port: forward.host_port, address: forward.host_address }),
            None => Ok(()),
        }
    }

    async fn resize_exec(&self, id: &str, size: TerminalSize, attempt: Attempt<'_>) -> Result<(), EngineError> {
        let options = ResizeExecOptions { width: size.columns, height: size.rows };
        self.within(QUICK, attempt, self.docker().resize_exec(id, options)).await
    }

    /// A stream of bollard's as a reader, its first piece awaited, so that "no such thing" is an error here.
    async fn flow(
        &self,
        attempt: Attempt<'_>,
        first: Duration,
        stream: impl Stream<Item = Result<bytes::Bytes, Error>> + Send + 'static,
    ) -> Result<Reader, EngineError> {
        let mut stream = Box::pin(stream);
        let begin = match tokio::time::timeout(first, stream.next()).await {
            Err(_) => return Err(attempt.timed_out(first)),
            Ok(None) => None,
            Ok(Some(Err(error))) => return Err(attempt.failed(&error)),
            Ok(Some(Ok(piece))) => Some(Ok(piece)),
        };
        let rest = futures_util::stream::try_unfold(stream, async |mut stream| {
            match tokio::time::timeout(STALL, stream.next()).await {
                Err(_) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "the engine sent nothing more")),
                Ok(None) => Ok(None),
                Ok(Some(piece)) => piece.map(|piece| Some((piece, stream))).map_err(std::io::Error::other),
            }
        });
        Ok(Box::pin(StreamReader::new(Box::pin(futures_util::stream::iter(begin).chain(rest)))))
    }
}

#[async_trait]
impl Engine for ContainerEngine {
    fn info(&self) -> &EngineInfo {
        &self.inner.info
    }

    async fn create_network(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
        let attempt = self.attempt("create the network", "network", name);
        check_ours(attempt, labels)?;
        match self.network_labels(name).await? {
            Some(other) if is_ours(&other) => {
                return Err(EngineError::AlreadyExists { what: "network", name: name.to_owned() });
            }
            Some(_) => return Err(foreign("network", name)),
            None => {}
        }
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".into()),
            labels: Some(labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        self.within(QUICK, attempt, self.docker().create_network(request)).await.map(drop)
    }

    async fn create_volume(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
        let attempt = self.attempt("create the volume", "volume", name);
        check_ours(attempt, labels)?;
        match self.volume_labels(name).await? {
            Some(other) if is_ours(&other) => return Ok(()),
            Some(_) => return Err(foreign("volume", name)),
            None => {}
        }
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        self.within(QUICK, attempt, self.docker().create_volume(request)).await.map(drop)
    }

    async fn create_node(&self, spec: &NodeSpec) -> Result<(), EngineError> {
        let name = spec.name.as_str();
        check_ours(self.attempt("create the node", "node", name), &spec.labels)?;
        let files = create::archive(spec)?;
        // Both engines would make a missing volume by themselves, without our labels.
        let (network, volume) = tokio::try_join!(self.network_labels(name), self.volume_labels(name))?;
        let needed = [("network", network), ("volume", volume)];
        for (what, labels) in needed.into_iter().skip(usize::from(spec.purpose != Purpose::Node)) {
            match labels {
                None => return Err(EngineError::NotFound { what, name: name.to_owned() }),
                Some(labels) if !is_ours(&labels) => return Err(foreign(what, name)),
                Some(_) => {}
            }
        }
        self.create_container(spec, None, files).await?;
        self.inner.made.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), spec.clone());
        Ok(())
    }

    async fn start_node(&self, name: &str) -> Result<(), EngineError> {
        let mut attempt = self.attempt("start the node", "node", name);
        self.look_at_ports(name).await?;
        let call =
            |id: String| async move { self.docker().start_container(&id, None::<query::StartContainerOptions>).await };
        let mut started = self.with_node(SLOW, attempt, call).await;
        let made = self.inner.made.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let (Err(error @ EngineError::PrivilegeRefused { .. }), Some(spec)) = (&started, &made)
            && self.create_with_what_there_is(spec, error).await?
        {
            started = self.with_node(SLOW, attempt, call).await;
        }
        match started {
            // Which port it is stands in the words alone, to be held against those of the node.
            Err(EngineError::Refused { reason, .. }) => {
                let ports = self.container(name).await?.map(|container| container.forwards()).unwrap_or_default();
                attempt.ports = &ports;
                Err(attempt.refused(500, &reason))
            }
            Err(error) => Err(error),
            Ok(()) => match self.bring_ports(name).await {
                Ok(()) => Ok(()),
                Err(error) => {
                    // A node that nobody reaches is not started; why it may not stop says less.
                    if let Err(error) = self.kill_node(name, "SIGKILL").await {
                        tracing::debug!(%error, name, "runs without its ports");
                    }
                    Err(error)
                }
            },
        }
    }

    async fn reach_node(&self, name: &str) -> Result<(), EngineError> {
        self.bring_ports(name).await
    }

    async fn stop_node(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
        let attempt = self.attempt("stop the node", "node", name);
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = query::StopContainerOptionsBuilder::new().t(seconds).build();
        let deadline = grace.saturating_add(SLOW);
        let call = |id: String| {
            let options = options.clone();
            async move { self.docker().stop_container(&id, Some(options)).await }
        };
        if let Some(line) = &self.inner.line {
            line.cancel(name).await;
        }
        match self.with_node(deadline, attempt, call).await {
            Err(error @ EngineError::Refused { .. }) => {
                // Podman does not stop what is paused.
                if self.container(name).await?.is_none_or(|container| !container.is_paused()) {
                    return Err(error);
                }
                self.unpause_node(name).await?;
                self.with_node(deadline, attempt, call).await
            }
            result => result,
        }
    }

    async fn kill_node(&self, name: &str, signal: &str) -> Result<(), EngineError> {
        let attempt = self.attempt("send the signal", "node", name);
        let options = query::KillContainerOptionsBuilder::new().signal(signal).build();
        let call = |id: String| {
            let options = options.clone();
            async move { self.docker().kill_container(&id, Some(options)).await }
        };
        self.with_node(QUICK, attempt, call).await
    }

    async fn pause_node(&self, name: &str) -> Result<(), EngineError> {
        let attempt = self.attempt("pause the node", "node", name);
        let result = self.with_node(QUICK, attempt, |id| async move { self.docker().pause_container(&id).await }).await;
        match result {
            Err(EngineError::Refused { .. }) if self.container(name).await?.is_some_and(|c| c.is_paused()) => Ok(()),
            result => result,
        }
    }

    async fn unpause_node(&self, name: &str) -> Result<(), EngineError> {
        let attempt = self.attempt("unpause the node", "node", name);
        self.with_node(QUICK, attempt, |id| async move { self.docker().unpause_container(&id).await }).await
    }

    async fn remove(&self, kind: &ResourceKind, name: &str) -> Result<(), EngineError> {
        let (what, operation) = match kind {
            ResourceKind::Node => ("node", "remove the node"),
            ResourceKind::Volume => ("volume", "remove the volume"),
            ResourceKind::Network => ("network", "remove the network"),
        };
        let attempt = self.attempt(operation, what, name);
        if let (ResourceKind::Node, Some(line)) = (kind, &self.inner.line) {
            line.cancel(name).await;
        }
        let labels = match kind {
            ResourceKind::Node => self.container(name).await?.map(|container| container.labels().clone()),
            ResourceKind::Volume => self.volume_labels(name).await?,
            ResourceKind::Network => self.network_labels(name).await?,
        };
        match labels {
            None => return Ok(()),
            Some(labels) if !is_ours(&labels) => return Err(foreign(what, name)),
            Some(_) => {}
        }
        let removed = match kind {
            ResourceKind::Node => {
                // Podman waits ten seconds for a container that it removes by force; its end is meant here.
                match self.kill_node(name, "SIGKILL").await {
                    Ok(()) | Err(EngineError::NotRunning { .. } | EngineError::NotFound { .. }) => {}
                    Err(error @ (EngineError::Unreachable { .. } | EngineError::Foreign { .. })) => return Err(error),
                    Err(error) => tracing::debug!(%error, name, "not killed before its removal"),
                }
                let options = query::RemoveContainerOptionsBuilder::new().force(true).build();
                let call = |id: String| {
                    let options = options.clone();
                    async move { self.docker().remove_container(&id, Some(options)).await }
                };
                let mut removed = self.with_node(SLOW, attempt, call).await;
                if let Err(error @ EngineError::Refused { .. }) = &removed {
                    // Podman waits five seconds for the word of a monitor that was killed, complains, and then knows.
                    tracing::debug!(%error, name, "removed once more");
                    removed = self.with_node(SLOW, attempt, call).await;
                }
                self.forget(name);
                removed
            }
            ResourceKind::Volume => {
                let call = self.docker().remove_volume(name, None::<query::RemoveVolumeOptions>);
                self.within(QUICK, attempt, call).await
            }
            ResourceKind::Network => self.within(QUICK, attempt, self.docker().remove_network(name)).await,
        };
        match removed {
            Err(EngineError::NotFound { .. }) => Ok(()),
            result => result,
        }
    }

    async fn inspect_node(&self, name: &str) -> Result<Option<NodeState>, EngineError> {
        match self.container(name).await? {
            None => Ok(None),
            Some(container) if !is_ours(container.labels()) => Err(foreign("node", name)),
            Some(container) => {
                self.remember(name, &container.id);
                let gone = self.is_lost(&container).await;
                let state = container.into_state();
                Ok(Some(if gone { NodeState { run: RunState::Gone, ..state } } else { state }))
            }
        }
    }

    async fn describe(&self, kind: &ResourceKind, name: &str) -> Result<Option<serde_json::Value>, EngineError> {
        let (what, path) = match kind {
            ResourceKind::Node => ("node", format!("/containers/{name}/json")),
            ResourceKind::Volume => ("volume", format!("/volumes/{name}")),
            ResourceKind::Network => ("network", format!("/networks/{name}")),
        };
        let attempt = self.attempt("describe what is there", what, name);
        let call = tokio::time::timeout(QUICK, self.inner.endpoint.get::<serde_json::Value>(&path)).await;
        let described = match call.map_err(|_| attempt.timed_out(QUICK))? {
            Ok(described) => described,
            Err(error) => {
                return match attempt.call_failed(&error) {
                    EngineError::NotFound { .. } => Ok(None),
                    error => Err(error),
                };
            }
        };
        let labels = if *kind == ResourceKind::Node { &described["Config"]["Labels"] } else { &described["Labels"] };
        if labels.get(LABEL_CLUSTER).is_none() {
            return Err(foreign(what, name));
        }
        Ok(Some(described))
    }

    async fn list_nodes(&self) -> Result<Vec<NodeState>, EngineError> {
        let attempt = self.attempt("list the nodes", "node", "");
        let path = format!("/containers/json?all=1&filters=%7B%22label%22%3A%5B%22{LABEL_CLUSTER}%22%5D%7D");
        let call = tokio::time::timeout(QUICK, self.inner.endpoint.get::<Vec<state::Listed>>(&path));
        let (answer, gone) = tokio::join!(call, self.lost());
        let list = answer.map_err(|_| attempt.timed_out(QUICK))?.map_err(|error| attempt.call_failed(&error))?;
        let mut nodes = Vec::new();
        for listed in list {
            match listed.into_state() {
                Ok(node) if gone.contains(&node.name) => nodes.push(NodeState { run: RunState::Gone, ..node }),
                Ok(node) => nodes.push(node),
                // What ended has more to say than a list tells; what is gone by now has nothing.
                Err(name) => nodes.extend(self.inspect_node(&name).await?),
            }
        }
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        self.keep_ports_of(&nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>()).await;
        Ok(nodes)
    }

    async fn list_resources(&self) -> Result<Vec<Resource>, EngineError> {
        let ours = HashMap::from([("label", vec![LABEL_CLUSTER])]);
        let attempt = self.attempt("list what is there", "node", "");
        let volumes = query::ListVolumesOptionsBuilder::new().filters(&ours).build();
        let volumes = self.within(QUICK, attempt, self.docker().list_volumes(Some(volumes)));
        let networks = query::ListNetworksOptionsBuilder::new().filters(&ours).build();
        let networks = self.within(QUICK, attempt, self.docker().list_networks(Some(networks)));
        let (nodes, volumes, networks) = tokio::try_join!(self.list_nodes(), volumes, networks)?;
        let nodes = nodes.into_iter().map(|node| (ResourceKind::Node, node.name, node.labels));
        let volumes = volumes.volumes.unwrap_or_default().into_iter();
        let volumes = volumes.map(|volume| (ResourceKind::Volume, volume.name, volume.labels.into_iter().collect()));
        let networks = networks.into_iter().filter_map(|network| {
            Some((ResourceKind::Network, network.name?, network.labels.unwrap_or_default().into_iter().collect()))
        });
        let all = nodes.chain(volumes).chain(networks).map(|(kind, name, labels)| Resource { kind, name, labels });
        Ok(all.filter(|resource| is_ours(&resource.labels)).collect())
    }

    async fn exec(&self, name: &str, request: ExecRequest) -> Result<ExecSession, EngineError> {
        let attempt = self.attempt("run a program in the node", "node", name);
        let terminal = request.terminal;
        if let Some(podman) = &self.inner.local
            && local_exec::fits(&request)
            // What cannot run anything is told by the API, in its own words.
            && self.inspect_node(name).await?.is_some_and(|node| node.run == RunState::Running)
            && let Some(session) = local_exec::session(podman, &self.id(name).await?, &request)
        {
            return Ok(session);
        }
        let config = ExecConfig {
            attach_stdin: Some(request.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(terminal.is_some()),
            env: Some(request.environment),
            cmd: Some(request.command),
            ..ExecConfig::default()
        };
        let call = |id: String| {
            let config = config.clone();
            async move { self.docker().create_exec(&id, config).await }
        };
        let id = self.with_node(QUICK, attempt, call).await?.id;
        let body = serde_json::json!({ "Detach": false, "Tty": terminal.is_some() });
        let path = format!("/exec/{id}/start");
        let connection = tokio::time::timeout(QUICK, self.inner.endpoint.take_over(&path, &body)).await;
        let connection = connection.map_err(|_| attempt.timed_out(QUICK))?;
        let connection = connection.map_err(|error| attempt.call_failed(&error))?;
        let control = exec::ContainerControl::new(self.clone(), name, id.clone(), terminal.is_some());
        if let Some(size) = terminal {
            // Only a program that runs has a terminal; one that is over already needs no size.
            if let Err(error) = self.resize_exec(&id, size, attempt).await {
                tracing::debug!(%error, name, "the terminal kept its size");
            }
        }
        Ok(exec::session(connection, request.stdin, terminal.is_some(), control))
    }

    async fn copy_in(&self, name: &str, directory: &str, archive: Reader) -> Result<(), EngineError> {
        let attempt = self.attempt("copy into the node", "node", name);
        let id = self.id(name).await?;
        if self.is_podman() && directory != "/" {
            // Podman would make the folder, Docker does not.
            let options = query::ContainerArchiveInfoOptionsBuilder::new().path(directory).build();
            let looked = self.docker().get_container_archive_info(&id, Some(options));
            let looked = self.within(QUICK, attempt, looked).await;
            self.missing_path(looked, name, directory).await?;
        }
        let options = query::UploadToContainerOptionsBuilder::new().path(directory).build();
        let body = bollard::body_try_stream(ReaderStream::with_capacity(archive, 64 * 1024));
        let copied = self.within(PACK, attempt, self.docker().upload_to_container(&id, Some(options), body)).await;
        self.missing_path(copied, name, directory).await
    }

    async fn copy_out(&self, name: &str, path: &str) -> Result<Reader, EngineError> {
        let attempt = self.attempt("copy out of the node", "node", name);
        let id = self.id(name).await?;
        let options = query::DownloadFromContainerOptionsBuilder::new().path(path).build();
        let flow = self.flow(attempt, SLOW, self.docker().download_from_container(&id, Some(options))).await;
        self.missing_path(flow, name, path).await
    }

    async fn logs(&self, name: &str, follow: bool, tail: Option<u32>) -> Result<Reader, EngineError> {
        let attempt = self.attempt("read the node's log", "node", name);
        let id = self.id(name).await?;
        let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = query::LogsOptionsBuilder::new().stdout(true).stderr(true).follow(follow).tail(&tail).build();
        let lines = self.docker().logs(&id, Some(options)).map_ok(bollard::container::LogOutput::into_bytes);
        if !follow {
            return self.flow(attempt, QUICK, lines.fuse()).await;
        }
        // Whoever follows waits for what may never be said.
        Ok(Box::pin(StreamReader::new(lines.map_err(std::io::Error::other))))
    }

    async fn stats(&self, name: &str) -> Result<NodeStats, EngineError> {
        let attempt = self.attempt("measure the node", "node", name);
        let options = query::StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let call = |id: String| {
            let options = options.clone();
            async move { self.docker().stats(&id, Some(options)).next().await.transpose() }
        };
        let stats = self.with_node(QUICK, attempt, call).await?;
        let not_running = || EngineError::NotRunning { name: name.to_owned() };
        state::stats(&stats.ok_or_else(not_running)?).ok_or_else(not_running)
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        let attempt = self.attempt("inspect the image", "image", reference);
        let image = self.within_optional(QUICK, attempt, self.docker().inspect_image(reference)).await?;
        Ok(image.map(state::image))
    }

    async fn export_image(&self, reference: &str) -> Result<Reader, EngineError> {
        let attempt = self.attempt("export the image", "image", reference);
        if let Some(podman) = &self.inner.local {
            let image = self.inspect_image(reference).await?;
            let image = image.ok_or_else(|| EngineError::NotFound { what: "image", name: reference.to_owned() })?;
            if let Some(archive) = save::save(podman, reference, &image).await {
                return Ok(archive);
            }
        }
        let stream = Box::pin(export(self.docker().clone(), reference.to_owned()));
        self.flow(attempt, PACK, stream).await
    }

    async fn import_image(&self, archive: Reader) -> Result<Vec<String>, EngineError> {
        let attempt = self.attempt("import the image", "image", "");
        let body = bollard::body_try_stream(ReaderStream::with_capacity(archive, 256 * 1024));
        let options = query::ImportImageOptionsBuilder::new().build();
        let answer = self.docker().import_image(options, body, None);
        let lines = self.within(PACK, attempt, answer.try_collect::<Vec<_>>()).await?;
        let lines: Vec<_> = lines.into_iter().filter_map(|line| line.stream).collect();
        Ok(state::imported(&lines.concat()))
    }

    async fn pull_image(&self, reference: &str, progress: &(dyn Fn(String) + Sync)) -> Result<(), EngineError> {
        let attempt = self.attempt("pull the image", "image", reference);
        let options = query::CreateImageOptionsBuilder::new().from_image(reference).build();
        let mut pieces = std::pin::pin!(self.docker().create_image(Some(options), None, None));
        loop {
            let piece = tokio::time::timeout(STALL, pieces.next()).await.map_err(|_| attempt.timed_out(STALL))?;
            let Some(piece) = piece else { return Ok(()) };
            if let Some(words) = piece.map_err(|error| attempt.failed(&error))?.status {
                progress(words);
            }
        }
    }

    async fn architecture(&self) -> Result<String, EngineError> {
        let attempt = self.attempt("tell its architecture", "node", "");
        let version = self.within(QUICK, attempt, self.docker().version()).await?;
        // Docker and Podman both say it as Go does, which is as images do.
        version.arch.ok_or_else(|| attempt.refused(0, "it does not say"))
    }

    async fn subnets(&self) -> Result<Vec<String>, EngineError> {
        let attempt = self.attempt("list the networks", "network", "");
        let call = self.docker().list_networks(None::<query::ListNetworksOptions>);
        let networks = self.within(QUICK, attempt, call).await?;
        let pools = networks.into_iter().filter_map(|network| network.ipam?.config).flatten();
        let subnets = pools.filter_map(|pool| pool.subnet);
        // IPv6 never meets pods and services.
        Ok(subnets.filter(|subnet| !subnet.contains(':')).collect())
    }
}

impl ContainerEngine {
    /// "No such thing" of a copy means the path, when the container is there.
    async fn missing_path<T>(&self, copied: Result<T, EngineError>, name: &str, path: &str) -> Result<T, EngineError> {
        let lacks_path =
            |reason: &str| ["no such file", "No such file", "could not be found"].iter().any(|w| reason.contains(w));
        match copied {
            Err(EngineError::NotFound { what: "node", .. }) if self.container(name).await?.is_some() => {
                Err(EngineError::NotFound { what: "path", name: path.to_owned() })
            }
            Err(EngineError::Refused { reason, .. }) if lacks_path(&reason) => {
                Err(EngineError::NotFound { what: "path", name: path.to_owned() })
            }
            result => result,
        }
    }
}

/// The export as a stream that owns what it needs.
fn export(docker: Docker, reference: String) -> impl Stream<Item = Result<bytes::Bytes, Error>> + Send {
    let (send, receive) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        let mut pieces = std::pin::pin!(docker.export_image(&reference));
        while let Some(piece) = pieces.next().await {
            if send.send(piece).await.is_err() {
                break;
            }
        }
    });
    futures_util::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)))
}

fn is_ours(labels: &Labels) -> bool {
    labels.contains_key(LABEL_CLUSTER)
}

fn check_ours(attempt: Attempt<'_>, labels: &Labels) -> Result<(), EngineError> {
    if is_ours(labels) { Ok(()) } else { Err(attempt.refused(0, &format!("the label {LABEL_CLUSTER} is missing"))) }
}

fn foreign(what: &'static str, name: &str) -> EngineError {
    EngineError::Foreign { what, name: name.to_owned() }
}
