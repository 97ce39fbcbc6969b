//! Taking back everything of a cluster: engine, kubeconfig, record.

use std::sync::Arc;
use std::time::Duration;

use super::host::Host;
use super::{ClusterError, kubeconfig};
use crate::engine::{Engine, LABEL_CLUSTER, Labels, Resource, ResourceKind};
use crate::spec::ClusterName;
use crate::store::Record;

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

/// Removes what the engine has of a cluster: nodes before the volumes and networks that they use.
async fn remove_resources(
    host: &Host<'_>,
    engine: &Arc<dyn Engine>,
    name: &ClusterName,
) -> Result<Vec<Resource>, ClusterError> {
    let mut resources = engine.list_resources().await?;
    let of_cluster = |labels: &Labels| labels.get(LABEL_CLUSTER).is_some_and(|label| label == name.as_str());
    resources.retain(|resource| of_cluster(&resource.labels) && host.is_own(&resource.labels));
    let order = |kind: &ResourceKind| match kind {
        ResourceKind::Node => 0,
        ResourceKind::Network => 1,
        ResourceKind::Volume => 2,
    };
    resources.sort_by_key(|resource| order(&resource.kind));
    for resource in &resources {
        engine.remove(&resource.kind, &resource.name).await?;
    }
    Ok(resources)
}
