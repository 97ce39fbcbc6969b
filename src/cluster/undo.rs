//! Taking back everything of a cluster: engine, kubeconfig, record.

use std::sync::Arc;

use super::ClusterError;
use super::host::Host;
use crate::engine::{Engine, LABEL_CLUSTER, Labels, Resource, ResourceKind};
use crate::kubeconfig::{self, Unmerged};
use crate::spec::ClusterName;
use crate::store::Record;

/// How long to wait for the lock of a kubeconfig.
const KUBECONFIG_LOCK: std::time::Duration = std::time::Duration::from_secs(10);

/// Removes everything of a cluster and says what there was. Whatever is gone already is fine.
pub(super) async fn undo(
    host: &Host<'_>,
    engine: &Arc<dyn Engine>,
    name: &ClusterName,
    record: Option<&Record>,
) -> Result<Vec<Resource>, ClusterError> {
    let removed = remove_resources(host, engine, name).await?;
    unmerge(host, name, record)?;
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

/// Takes the cluster out of the kubeconfigs that may have it and restores the context that was current before.
pub(super) fn unmerge(host: &Host<'_>, name: &ClusterName, record: Option<&Record>) -> Result<Unmerged, ClusterError> {
    let noted = record.map(|record| record.kubeconfig.clone()).unwrap_or_default();
    let locations = match &host.kubeconfig {
        Ok(locations) => locations.with(&noted.files),
        // Without any location nothing was ever written.
        Err(_) => return Ok(Unmerged::default()),
    };
    let mut waiting = |waiting: &kubeconfig::Waiting| host.tell_kubeconfig_lock(waiting);
    Ok(kubeconfig::unmerge(&locations, &name.resource(), &noted.previous, KUBECONFIG_LOCK, &mut waiting)?)
}
