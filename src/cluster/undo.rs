//! Taking back everything of a cluster: engine, kubeconfig, record.

use std::sync::Arc;
use std::time::Duration;

use super::host::Host;
use super::{ClusterError, kubeconfig};
use crate::engine::{Engine, EngineError, LABEL_CLUSTER, Labels, Resource, ResourceKind};
use crate::spec::ClusterName;
use crate::store::Record;

/// How often removal is tried where the engine refuses it, and after how long again.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_millis(300);

/// Removes everything of a cluster and says what there was. Whatever is gone already is fine. The lock of a kubeconfig is
/// waited for as long as `patience` says.
pub(super) async fn undo(
    host: &Host<'_>,
    engine: &Arc<dyn Engine>,
    name: &ClusterName,
    record: Option<&Record>,
    patience: Duration,
) -> Result<Vec<Resource>, ClusterError> {
    let removed = remove_resources(host, engine, name).await?;
    let noted = record.map(|record| record.kubeconfig.clone()).unwrap_or_default();
    kubeconfig::unmerge(host, name, noted, patience).await?;
    host.store.delete(name)?;
    Ok(removed)
}

/// Removes what the engine has of a cluster. What a killed command told the engine may be done only now: a node that comes to
/// be in between holds what is to go, and goes with the next try.
async fn remove_resources(
    host: &Host<'_>,
    engine: &Arc<dyn Engine>,
    name: &ClusterName,
) -> Result<Vec<Resource>, ClusterError> {
    let mut removed = Vec::new();
    for _ in 1..TRIES {
        match remove_listed(host, engine, name, &mut removed).await {
            Err((kind, error @ EngineError::Refused { .. })) if kind != ResourceKind::Node => {
                let holds = |resource: &Resource| resource.kind == ResourceKind::Node;
                if !listed(host, engine, name).await?.iter().any(holds) {
                    return Err(error.into());
                }
                tracing::debug!(%error, "a node came to be in between");
            }
            Err((_, error)) => return Err(error.into()),
            Ok(()) => return Ok(removed),
        }
        tokio::time::sleep(AGAIN).await;
    }
    remove_listed(host, engine, name, &mut removed).await.map_err(|(_, error)| error)?;
    Ok(removed)
}

/// What the engine lists of a cluster: nodes before the volumes and networks that they use.
async fn listed(host: &Host<'_>, engine: &Arc<dyn Engine>, name: &ClusterName) -> Result<Vec<Resource>, EngineError> {
    let mut resources = engine.list_resources().await?;
    let of_cluster = |labels: &Labels| labels.get(LABEL_CLUSTER).is_some_and(|label| label == name.as_str());
    resources.retain(|resource| of_cluster(&resource.labels) && host.is_own(&resource.labels));
    let order = |kind: &ResourceKind| match kind {
        ResourceKind::Node => 0,
        ResourceKind::Network => 1,
        ResourceKind::Volume => 2,
    };
    resources.sort_by_key(|resource| order(&resource.kind));
    Ok(resources)
}

/// Removes all of it, and notes what is gone; an error says at what it stopped.
async fn remove_listed(
    host: &Host<'_>,
    engine: &Arc<dyn Engine>,
    name: &ClusterName,
    removed: &mut Vec<Resource>,
) -> Result<(), (ResourceKind, EngineError)> {
    for resource in listed(host, engine, name).await.map_err(|error| (ResourceKind::Node, error))? {
        let ended = engine.remove(&resource.kind, &resource.name).await;
        ended.map_err(|error| (resource.kind.clone(), error))?;
        removed.push(resource);
    }
    Ok(())
}
