//! What a Docker can that is on another machine, or in another container: none of its files can be read here.
//!
//! It is asked for all capabilities, which most have. One that lacks some cannot start a node with that, and says so; then a
//! container of the node's own image reads what the first process beside the daemon may have at most, which is the daemon
//! itself where it has a container of its own.

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters as query;
use futures_util::{StreamExt, TryStreamExt};

use super::call::SLOW;
use super::capabilities::{self, Capabilities};
use super::{ContainerEngine, create};
use crate::engine::{Engine, EngineError, NodeSpec, ResourceKind};

/// How runc says that it may not give a capability.
const REFUSED: &str = "unable to apply caps";

impl ContainerEngine {
    /// Makes a node anew whose engine refused to start it for want of capabilities that could not be looked up before.
    /// Returns whether it did; the engine's first word stands otherwise.
    pub(super) async fn create_with_what_there_is(
        &self,
        spec: &NodeSpec,
        refused: &EngineError,
    ) -> Result<bool, EngineError> {
        let known = self.is_podman() || self.inner.endpoint.process().await.is_some();
        if known || !refused.to_string().contains(REFUSED) {
            return Ok(false);
        }
        // Under the node's own name and labels, so that whoever removes what is left of an interrupted command finds it.
        self.remove(&ResourceKind::Node, &spec.name).await?;
        let looked = self.look(spec).await;
        self.remove(&ResourceKind::Node, &spec.name).await?;
        let named = match looked {
            Ok(named @ Capabilities::Named(_)) => Some(named),
            Ok(Capabilities::All) => None,
            Err(error) => {
                tracing::debug!(%error, "what the engine can is not known");
                None
            }
        };
        let found = named.is_some();
        self.create_container(spec, named, create::archive(spec)?).await?;
        Ok(found)
    }

    /// Reads what the engine's surroundings may have, in a container that is left for the caller to remove.
    async fn look(&self, spec: &NodeSpec) -> Result<Capabilities, EngineError> {
        let attempt = self.attempt("look at its capabilities", "node", &spec.name);
        let body = ContainerCreateBody {
            image: Some(spec.image.clone()),
            entrypoint: Some(["/bin/cat", "/proc/1/status"].map(str::to_owned).into()),
            cmd: Some(Vec::new()),
            labels: Some(spec.labels.clone().into_iter().collect()),
            host_config: Some(HostConfig {
                pid_mode: Some("host".into()),
                network_mode: Some("none".into()),
                // In the place of a volume that the image would have the engine make.
                tmpfs: Some([(create::VOLUME.to_owned(), String::new())].into()),
                cap_drop: Some(vec!["ALL".into()]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = query::CreateContainerOptionsBuilder::new().name(&spec.name).build();
        let id = self.within(SLOW, attempt, self.docker().create_container(Some(options), body)).await?.id;
        self.remember(&spec.name, &id);
        let start = self.docker().start_container(&id, None::<query::StartContainerOptions>);
        self.within(SLOW, attempt, start).await?;
        let mut end = self.docker().wait_container(&id, None::<query::WaitContainerOptions>);
        self.within(SLOW, attempt, async { end.next().await.transpose() }).await?;
        let options = query::LogsOptionsBuilder::new().stdout(true).build();
        let said = self.docker().logs(&id, Some(options)).map_ok(bollard::container::LogOutput::into_bytes);
        let said: Vec<_> = self.within(SLOW, attempt, said.try_collect()).await?;
        Ok(capabilities::needed(&String::from_utf8_lossy(&said.concat()), self.docker().client_version()))
    }
}
