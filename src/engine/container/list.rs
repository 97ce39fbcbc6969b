//! What is there: nodes, volumes and networks, each alone or all of them.

use std::collections::HashMap;

use bollard::query_parameters as query;

use super::call::QUICK;
use super::ours::{foreign, is_ours};
use super::{ContainerEngine, state};
use crate::engine::{EngineError, LABEL_CLUSTER, NodeState, Resource, ResourceKind, RunState};

impl ContainerEngine {
    pub(super) async fn inspect(&self, name: &str) -> Result<Option<NodeState>, EngineError> {
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

    pub(super) async fn nodes(&self) -> Result<Vec<NodeState>, EngineError> {
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
                Err(name) => nodes.extend(self.inspect(&name).await?),
            }
        }
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        self.keep_ports_of(&nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>()).await;
        Ok(nodes)
    }

    pub(super) async fn resources(&self) -> Result<Vec<Resource>, EngineError> {
        let ours = HashMap::from([("label", vec![LABEL_CLUSTER])]);
        let attempt = self.attempt("list what is there", "node", "");
        let volumes = query::ListVolumesOptionsBuilder::new().filters(&ours).build();
        let volumes = self.within(QUICK, attempt, self.docker().list_volumes(Some(volumes)));
        let networks = query::ListNetworksOptionsBuilder::new().filters(&ours).build();
        let networks = self.within(QUICK, attempt, self.docker().list_networks(Some(networks)));
        let (nodes, volumes, networks) = tokio::try_join!(self.nodes(), volumes, networks)?;
        let nodes = nodes.into_iter().map(|node| (ResourceKind::Node, node.name, node.labels));
        let volumes = volumes.volumes.unwrap_or_default().into_iter();
        let volumes = volumes.map(|volume| (ResourceKind::Volume, volume.name, volume.labels.into_iter().collect()));
        let networks = networks.into_iter().filter_map(|network| {
            Some((ResourceKind::Network, network.name?, network.labels.unwrap_or_default().into_iter().collect()))
        });
        let all = nodes.chain(volumes).chain(networks).map(|(kind, name, labels)| Resource { kind, name, labels });
        Ok(all.filter(|resource| is_ours(&resource.labels)).collect())
    }

    pub(super) async fn described(
        &self,
        kind: &ResourceKind,
        name: &str,
    ) -> Result<Option<serde_json::Value>, EngineError> {
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
}
