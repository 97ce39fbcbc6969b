//! Removing clusters, and what was left behind by those that were not removed in order.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::host::Host;
use super::lease::why_unwanted;
use super::{ClusterError, inventory, undo};
use crate::engine::{Engine, LABEL_CLUSTER};
use crate::kubeconfig;
use crate::spec::{ClusterName, EngineChoice};
use crate::store::{Operation, OperationKind, Record};

/// What a removal did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The cluster.
    pub name: ClusterName,
    /// Whether there was anything to remove.
    pub existed: bool,
}

/// Removes a cluster with everything of it. Done twice, or after half of it was done, it is as good.
pub async fn remove(host: &Host<'_>, name: &ClusterName) -> Result<Removed, ClusterError> {
    let lock = host.lock(name).await?;
    let record = host.store.load(name)?;
    let existed = remove_locked(host, name, record.as_ref()).await?;
    lock.remove();
    Ok(Removed { name: name.clone(), existed })
}

pub(super) async fn remove_locked(
    host: &Host<'_>,
    name: &ClusterName,
    record: Option<&Record>,
) -> Result<bool, ClusterError> {
    let engine = match record {
        Some(record) => host.engine_of(record, false).await?.0,
        None => host.engines.connect(EngineChoice::Auto, None, false).await?.0,
    };
    // The context of that name belongs to whoever has the cluster.
    if record.is_none() && engine.inspect_node(&name.resource()).await?.is_some_and(|node| !host.is_own(&node.labels)) {
        return Ok(false);
    }
    if let Some(record) = record {
        let operation = Operation { kind: OperationKind::Remove, since: (host.now)() };
        host.store.save(&Record { operation: Some(operation), ..record.clone() })?;
    }
    let removed = undo::undo(host, &engine, name, record, host.patience).await?;
    Ok(record.is_some() || !removed.is_empty())
}

/// Something that belongs to no cluster that works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// What it is, in words.
    pub what: String,
    /// Its name or path.
    pub name: String,
    /// The cluster it was of.
    pub cluster: ClusterName,
    /// Why it is one.
    pub why: &'static str,
}

/// Finds what was left behind: clusters that nobody wants any more or that were never finished, and resources in the engine
/// without a record.
pub async fn leftovers(host: &Host<'_>, engine: &Arc<dyn Engine>) -> Result<Vec<Leftover>, ClusterError> {
    let (records, broken) = host.store.list()?;
    let mut found = Vec::new();
    for record in &records {
        if let Some(why) = why_unwanted(host, record)? {
            let cluster = record.name.clone();
            found.push(Leftover { what: "cluster".to_owned(), name: record.name.to_string(), cluster, why });
        }
    }
    // A record that cannot be read still says that somebody wants the cluster.
    let mut known: BTreeSet<String> = records.iter().map(|record| record.name.to_string()).collect();
    if !broken.is_empty() {
        known.extend(host.store.names()?.iter().map(ToString::to_string));
    }
    for resource in engine.list_resources().await? {
        if !host.is_own(&resource.labels) {
            continue;
        }
        let Some(label) = resource.labels.get(LABEL_CLUSTER).filter(|label| !known.contains(*label)) else { continue };
        // What says that it is of a cluster whose name is none is not Sandbar's.
        let Ok(cluster) = label.parse() else { continue };
        found.push(Leftover {
            what: inventory::word(&resource.kind).to_owned(),
            name: resource.name,
            cluster,
            why: "no record of its cluster is here",
        });
    }
    for name in host.store.names()? {
        if host.store.load(&name).is_ok_and(|record| record.is_none()) {
            let name_text = name.to_string();
            found.push(Leftover { what: "folder".to_owned(), name: name_text, cluster: name, why: "it has no record" });
        }
    }
    Ok(found)
}

/// Removes leftovers, cluster by cluster under its lock, and returns what it removed: a cluster that came to life or was
/// renewed in between is left alone. What has a record is removed where the record says it is, what has none from `engine`.
pub async fn gc(
    host: &Host<'_>,
    engine: &Arc<dyn Engine>,
    mut found: Vec<Leftover>,
) -> Result<Vec<Leftover>, ClusterError> {
    let clusters: BTreeSet<ClusterName> = found.iter().map(|leftover| leftover.cluster.clone()).collect();
    for name in clusters {
        let lock = host.lock(&name).await?;
        let record = host.store.load(&name)?;
        let wanted = match &record {
            Some(record) => why_unwanted(host, record)?.is_none(),
            None => false,
        };
        if wanted {
            found.retain(|leftover| leftover.cluster != name);
            continue;
        }
        let engine = match &record {
            Some(record) => host.engine_of(record, false).await?.0,
            None => Arc::clone(engine),
        };
        undo::undo(host, &engine, &name, record.as_ref(), host.patience).await?;
        lock.remove();
    }
    host.store.sweep_locks()?;
    // A command that was killed while it made sure that it can write there left no cluster.
    if let Ok(locations) = &host.kubeconfig {
        kubeconfig::clear(locations)?;
    }
    Ok(found)
}
