//! Containers whose processes are gone without Podman knowing.
//!
//! Podman learns of a container's end from the container's monitor (conmon). Where both are killed, it goes on saying that
//! the container runs: a start does nothing, programs in it fail, a stop leaves it "stopping" for ever, and its ports lead
//! nowhere. What it says is held against the system's processes, where those can be seen.

use std::path::Path;

use super::ContainerEngine;
use super::state::Container;

impl ContainerEngine {
    /// Whether the container is one of these.
    pub(super) async fn is_lost(&self, container: &Container) -> bool {
        let Some(process) = container.process().filter(|_| self.is_podman()) else { return false };
        // Only where the engine's own process is seen are its containers' seen, too.
        let Some(engine) = self.inner.endpoint.process().await else { return false };
        let exists = |process: i64| Path::new("/proc").join(process.to_string()).exists();
        exists(engine.into()) && !exists(process)
    }
}
