//! Podman and Docker through their API, the only module that knows bollard.

mod afar;
mod call;
mod capabilities;
mod connect;
mod copy;
mod create;
mod description;
mod docker_context;
mod endpoint;
mod exec;
mod failure;
mod find;
mod images;
mod limits;
mod list;
mod local_exec;
mod lost;
mod make;
mod ours;
mod ports;
mod remove;
mod run;
mod save;
mod service;
mod ssh;
mod state;
mod stop;
mod tls;
mod transport;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::query_parameters as query;
use futures_util::{StreamExt, TryStreamExt};
use tokio_util::io::StreamReader;

use self::call::QUICK;
pub use self::connect::{ConnectOptions, EngineChoice};
use self::endpoint::Endpoint;
use self::ssh::Line;
use crate::process::Program;

use super::{
    Engine, EngineError, EngineInfo, ExecRequest, ExecSession, ImageInfo, Labels, NodeSpec, NodeState, NodeStats,
    Reader, Resource, ResourceKind, Started,
};

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
}

#[async_trait]
impl Engine for ContainerEngine {
    fn info(&self) -> &EngineInfo {
        &self.inner.info
    }

    async fn create_network(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
        self.make_network(name, labels).await
    }

    async fn create_volume(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
        self.make_volume(name, labels).await
    }

    async fn create_node(&self, spec: &NodeSpec) -> Result<(), EngineError> {
        self.make_node(spec).await
    }

    async fn start_node(&self, name: &str) -> Result<Started, EngineError> {
        self.start(name).await.map(|()| Started::default())
    }

    async fn reach_node(&self, name: &str) -> Result<(), EngineError> {
        self.bring_ports(name).await
    }

    async fn stop_node(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
        self.stop(name, grace).await
    }

    async fn kill_node(&self, name: &str, signal: &str) -> Result<(), EngineError> {
        self.kill(name, signal).await
    }

    async fn pause_node(&self, name: &str) -> Result<(), EngineError> {
        self.pause(name).await
    }

    async fn unpause_node(&self, name: &str) -> Result<(), EngineError> {
        self.unpause(name).await
    }

    async fn remove(&self, kind: &ResourceKind, name: &str) -> Result<(), EngineError> {
        self.remove_ours(kind, name).await
    }

    async fn inspect_node(&self, name: &str) -> Result<Option<NodeState>, EngineError> {
        self.inspect(name).await
    }

    async fn describe(&self, kind: &ResourceKind, name: &str) -> Result<Option<serde_json::Value>, EngineError> {
        self.described(kind, name).await
    }

    async fn list_nodes(&self) -> Result<Vec<NodeState>, EngineError> {
        self.nodes().await
    }

    async fn list_resources(&self) -> Result<Vec<Resource>, EngineError> {
        self.resources().await
    }

    async fn exec(&self, name: &str, request: ExecRequest) -> Result<ExecSession, EngineError> {
        self.run(name, request).await
    }

    async fn copy_in(&self, name: &str, directory: &str, archive: Reader) -> Result<(), EngineError> {
        self.put(name, directory, archive).await
    }

    async fn copy_out(&self, name: &str, path: &str) -> Result<Reader, EngineError> {
        self.get(name, path).await
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
        self.image(reference).await
    }

    async fn export_image(&self, reference: &str) -> Result<Reader, EngineError> {
        self.exported(reference).await
    }

    async fn import_image(&self, archive: Reader) -> Result<Vec<String>, EngineError> {
        self.imported(archive).await
    }

    async fn pull_image(&self, reference: &str, progress: &(dyn Fn(String) + Sync)) -> Result<(), EngineError> {
        self.pulled(reference, progress).await
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
