//! Nodes are stopped, killed, paused; what is there is removed.

use std::time::Duration;

use bollard::query_parameters as query;

use super::ContainerEngine;
use super::call::{QUICK, SLOW};
use super::ours::{foreign, is_ours};
use crate::engine::{EngineError, ResourceKind};

impl ContainerEngine {
    pub(super) async fn stop(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
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
                self.unpause(name).await?;
                self.with_node(deadline, attempt, call).await
            }
            result => result,
        }
    }

    pub(super) async fn kill(&self, name: &str, signal: &str) -> Result<(), EngineError> {
        let attempt = self.attempt("send the signal", "node", name);
        let options = query::KillContainerOptionsBuilder::new().signal(signal).build();
        let call = |id: String| {
            let options = options.clone();
            async move { self.docker().kill_container(&id, Some(options)).await }
        };
        self.with_node(QUICK, attempt, call).await
    }

    pub(super) async fn pause(&self, name: &str) -> Result<(), EngineError> {
        let attempt = self.attempt("pause the node", "node", name);
        let result = self.with_node(QUICK, attempt, |id| async move { self.docker().pause_container(&id).await }).await;
        match result {
            Err(EngineError::Refused { .. }) if self.container(name).await?.is_some_and(|c| c.is_paused()) => Ok(()),
            result => result,
        }
    }

    pub(super) async fn unpause(&self, name: &str) -> Result<(), EngineError> {
        let attempt = self.attempt("unpause the node", "node", name);
        self.with_node(QUICK, attempt, |id| async move { self.docker().unpause_container(&id).await }).await
    }

    pub(super) async fn remove_ours(&self, kind: &ResourceKind, name: &str) -> Result<(), EngineError> {
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
                match self.kill(name, "SIGKILL").await {
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
}
