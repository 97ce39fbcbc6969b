//! What is there is removed.

use bollard::query_parameters as query;

use super::call::{QUICK, SLOW};
use super::ours::{foreign, is_ours};
use super::state::{self, Container};
use super::{ContainerEngine, connect};
use crate::engine::{EngineError, ResourceKind};

impl ContainerEngine {
    pub(super) async fn remove_ours(&self, kind: &ResourceKind, name: &str) -> Result<(), EngineError> {
        let removed = match kind {
            ResourceKind::Node => self.remove_node(name).await,
            ResourceKind::Volume => match self.volume_labels(name).await? {
                None => Ok(()),
                Some(labels) if !is_ours(&labels) => Err(foreign("volume", name)),
                Some(_) => self.remove_volume(name).await,
            },
            ResourceKind::Network => match self.network_labels(name).await? {
                None => Ok(()),
                Some(labels) if !is_ours(&labels) => Err(foreign("network", name)),
                Some(_) => {
                    let attempt = self.attempt("remove the network", "network", name);
                    self.within(QUICK, attempt, self.docker().remove_network(name)).await
                }
            },
        };
        match removed {
            Err(EngineError::NotFound { .. }) => Ok(()),
            result => result,
        }
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let attempt = self.attempt("remove the volume", "volume", name);
        let call = self.docker().remove_volume(name, None::<query::RemoveVolumeOptions>);
        self.within(QUICK, attempt, call).await
    }

    async fn remove_node(&self, name: &str) -> Result<(), EngineError> {
        let attempt = self.attempt("remove the node", "node", name);
        if let Some(line) = &self.inner.line {
            line.cancel(name).await;
        }
        let Some(container) = self.container(name).await? else { return Ok(()) };
        if !is_ours(container.labels()) {
            return Err(foreign("node", name));
        }
        let brought = self.brought_its_volume(name, &container).await?;
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
        match removed {
            Ok(()) | Err(EngineError::NotFound { .. }) if brought => self.remove_volume(name).await,
            removed => removed,
        }
    }

    /// Whether Podman made the volume of a node together with it. It does so where the volume was removed after it was told
    /// to make the node and before it did, and cannot be told to give the volume our labels then, as Docker can. What was
    /// there before the node is somebody's own.
    async fn brought_its_volume(&self, name: &str, container: &Container) -> Result<bool, EngineError> {
        if !self.is_podman() {
            return Ok(false);
        }
        let attempt = self.attempt("inspect the volume", "volume", name);
        // Its Docker API tells whole seconds.
        let path = format!("{}/volumes/{name}/json", connect::libpod(&self.inner.info.version));
        let volume = match tokio::time::timeout(QUICK, self.inner.endpoint.get::<state::Volume>(&path)).await {
            Err(_) => return Err(attempt.timed_out(QUICK)),
            Ok(Ok(volume)) => volume,
            Ok(Err(error)) => match attempt.call_failed(&error) {
                EngineError::NotFound { .. } => return Ok(false),
                error => return Err(error),
            },
        };
        let since = container.made().zip(volume.made()).is_some_and(|(node, volume)| volume >= node);
        Ok(volume.is_nobodys() && container.mounts(name) && since)
    }
}
