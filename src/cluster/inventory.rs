//! Everything that Sandbar owns on this machine, to be shown and to be removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::host::Host;
use super::remove::{Leftover, Removed, gc, remove};
use super::{ClusterError, ClusterSummary, Lifecycle, list};
use crate::engine::{Engine, LABEL_CLUSTER, ResourceKind};
use crate::spec::EngineChoice;
use crate::store::Kept;
use crate::ui::reporter;

/// Everything that Sandbar owns on this machine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// The clusters.
    pub clusters: Vec<ClusterSummary>,
    /// What engines have, of these clusters and of none.
    pub resources: Vec<OwnedResource>,
    /// What is on disk beside the clusters.
    pub files: Vec<Kept>,
    /// The engines that have them, by their endpoints.
    #[serde(skip)]
    engines: BTreeMap<String, Arc<dyn Engine>>,
}

/// Something of Sandbar's in an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnedResource {
    /// `container`, `volume` or `network`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// The cluster that it is of, as its label says.
    pub cluster: String,
    /// The engine that has it.
    pub engine: String,
    /// Whether no record of its cluster is here.
    pub orphaned: bool,
    #[serde(skip)]
    endpoint: String,
}

impl Inventory {
    /// Whether there is nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty() && self.resources.is_empty() && self.files.is_empty()
    }

    /// What engines have of no cluster that is known here.
    pub fn orphans(&self) -> impl Iterator<Item = &OwnedResource> {
        self.resources.iter().filter(|resource| resource.orphaned)
    }

    /// Removes all of it, cluster by cluster, and says which clusters there were.
    pub async fn remove(&self, host: &Host<'_>) -> Result<Vec<Removed>, ClusterError> {
        let mut removed = Vec::new();
        for cluster in self.clusters.iter().filter(|cluster| cluster.state != Lifecycle::Orphaned) {
            let text = format!("Cluster {} is removed", cluster.name);
            let phase = reporter::phase(host.reporter, "remove", text);
            removed.push(remove(host, &cluster.name).await?);
            phase.done();
        }
        for (endpoint, engine) in &self.engines {
            let orphans = self.orphans().filter(|orphan| orphan.endpoint == *endpoint);
            let found: Vec<Leftover> = orphans.filter_map(OwnedResource::leftover).collect();
            gc(host, engine, found).await?;
        }
        host.store.purge()?;
        Ok(removed)
    }
}

impl OwnedResource {
    /// What `gc` knows it as; none where the name of its cluster is none.
    fn leftover(&self) -> Option<Leftover> {
        Some(Leftover {
            what: self.what.to_owned(),
            name: self.name.clone(),
            cluster: self.cluster.parse().ok()?,
            why: "no record of its cluster is here",
        })
    }
}

/// Looks for everything that Sandbar owns: in its own folders, in the engines that clusters were made in, and in the one
/// that a new cluster would be made in.
pub async fn inventory(host: &Host<'_>) -> Result<Inventory, ClusterError> {
    // It tells of engines that do not answer, too.
    let clusters = list(host).await?;
    let (records, _) = host.store.list()?;
    let names: BTreeSet<String> = host.store.names()?.iter().map(ToString::to_string).collect();
    let mut places: BTreeSet<(&str, &str)> =
        records.iter().map(|record| (record.engine.as_str(), record.endpoint.as_str())).collect();
    places.insert(("", ""));
    let mut engines = BTreeMap::new();
    for (kind, endpoint) in places {
        match host.engine_at(kind, endpoint, EngineChoice::Auto, false).await {
            Ok((engine, _)) => {
                engines.entry(engine.info().endpoint.clone()).or_insert(engine);
            }
            Err(error) => tracing::debug!(%error, kind, endpoint, "not asked for what it has"),
        }
    }
    let mut resources = Vec::new();
    for (endpoint, engine) in &engines {
        for resource in engine.list_resources().await? {
            let Some(cluster) = resource.labels.get(LABEL_CLUSTER).filter(|_| host.is_own(&resource.labels)) else {
                continue;
            };
            resources.push(OwnedResource {
                what: word(&resource.kind),
                orphaned: !names.contains(cluster),
                cluster: cluster.clone(),
                engine: engine.info().kind.clone(),
                endpoint: endpoint.clone(),
                name: resource.name,
            });
        }
    }
    resources.sort_by(|a, b| (&a.name, a.what).cmp(&(&b.name, b.what)));
    Ok(Inventory { clusters, resources, files: host.store.kept()?, engines })
}

/// What users call it.
pub(super) fn word(kind: &ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Node => "container",
        ResourceKind::Volume => "volume",
        ResourceKind::Network => "network",
    }
}
