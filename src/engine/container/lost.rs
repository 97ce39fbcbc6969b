//! Containers whose processes are gone without Podman knowing.
//!
//! Podman learns of a container's end from the container's monitor (conmon). Where both are killed, it goes on saying that
//! the container runs: a start does nothing, programs in it fail, a stop leaves it "stopping" for ever, and its ports lead
//! nowhere. What it says is held against the system's processes, where those can be seen.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::call::QUICK;
use super::state::Container;
use super::{ContainerEngine, connect};
use crate::engine::LABEL_CLUSTER;

/// One of Podman's own list, which has the processes that the Docker API's leaves out.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    pid: i64,
}

impl ContainerEngine {
    /// Whether the container is one of these.
    pub(super) async fn is_lost(&self, container: &Container) -> bool {
        let Some(process) = container.process().filter(|_| self.is_podman()) else { return false };
        self.sees_processes().await && !exists(process)
    }

    /// Names of all that run as far as Podman knows and are lost: one more call for a whole list.
    pub(super) async fn lost(&self) -> BTreeSet<String> {
        if !self.is_podman() || !self.sees_processes().await {
            return BTreeSet::new();
        }
        let filter = format!("%7B%22label%22%3A%5B%22{LABEL_CLUSTER}%22%5D%2C%22status%22%3A%5B%22running%22%5D%7D");
        let path = format!("{}/containers/json?filters={filter}", connect::libpod(&self.inner.info.version));
        match tokio::time::timeout(QUICK, self.inner.endpoint.get::<Vec<Listed>>(&path)).await {
            Ok(Ok(running)) => {
                let lost = running.into_iter().filter(|listed| listed.pid > 0 && !exists(listed.pid));
                lost.flat_map(|listed| listed.names).collect()
            }
            // Then the list says what Podman believes; whoever looks closer is told.
            Ok(Err(error)) => {
                tracing::debug!(?error, "the list does not tell which containers are lost");
                BTreeSet::new()
            }
            Err(_) => BTreeSet::new(),
        }
    }

    /// Whether the engine's containers are processes of this system: only where its own process is, they are, too.
    async fn sees_processes(&self) -> bool {
        self.inner.endpoint.process().await.is_some_and(|engine| exists(engine.into()))
    }
}

fn exists(process: i64) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}
