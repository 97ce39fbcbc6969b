//! Networks, volumes and nodes are made, and a node is started.

use std::sync::PoisonError;

use bollard::models::{NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters as query;

use super::call::{QUICK, SLOW};
use super::capabilities::{self, Capabilities};
use super::endpoint::Endpoint;
use super::ours::{check_ours, foreign, is_ours};
use super::{ContainerEngine, connect, create, limits, ports};
use crate::engine::{EngineError, Labels, NodeSpec, PortForward, Purpose, ResourceKind};
use crate::platform::look::{Look, look};

impl ContainerEngine {
    pub(super) async fn make_network(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
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

    pub(super) async fn make_volume(&self, name: &str, labels: &Labels) -> Result<(), EngineError> {
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

    pub(super) async fn make_node(&self, spec: &NodeSpec) -> Result<(), EngineError> {
        let name = spec.name.as_str();
        check_ours(self.attempt("create the node", "node", name), &spec.labels)?;
        let files = create::archive(spec)?;
        // Both engines would make a missing volume by themselves, Podman without our labels.
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

    pub(super) async fn create_container(
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
        let placed = self.put(name, "/", Box::pin(std::io::Cursor::new(files))).await;
        if placed.is_err() {
            // Half a node is none; its failure to go says less than the one before.
            let _ = self.remove_ours(&ResourceKind::Node, name).await;
        }
        placed
    }

    /// Makes the container of a node, with these capabilities or else those that its engine seems to have.
    pub(super) async fn send_create(
        &self,
        spec: &NodeSpec,
        capabilities: Option<Capabilities>,
    ) -> Result<String, EngineError> {
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

    pub(super) async fn start(&self, name: &str) -> Result<(), EngineError> {
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
                    if let Err(error) = self.kill(name, "SIGKILL").await {
                        tracing::debug!(%error, name, "runs without its ports");
                    }
                    Err(error)
                }
            },
        }
    }

    /// Refuses ports that somebody holds before Podman does: it would keep those that it opened before the one that it
    /// could not, as long as its service runs and no garbage is collected (seen with 4.3).
    pub(super) async fn look_at_ports(&self, name: &str) -> Result<(), EngineError> {
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
}
