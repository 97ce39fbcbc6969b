//! Stopping a cluster, and starting it again as it was.

use std::time::Duration;

use super::host::{Host, node_of};
use super::up::{UpReport, UpRequest, up};
use super::{ClusterError, Lease, list};
use crate::engine::{EngineError, RunState};
use crate::node::Node;
use crate::spec::{ClusterName, Flags};
use crate::store::OperationKind;

/// What the node needs to end beside the grace of its pods.
const OWN_GRACE: Duration = Duration::from_secs(20);

/// Stops a cluster; `grace` is that of its pods where it is not the usual one. Returns whether it ran.
pub async fn stop(host: &Host<'_>, name: &ClusterName, grace: Option<Duration>) -> Result<bool, ClusterError> {
    let _lock = host.lock(name).await?;
    let found = list::find(host, name).await?;
    match found.node.map(|node| node.run) {
        None => return Err(ClusterError::Engine(EngineError::NotFound { what: "node", name: name.resource() })),
        Some(RunState::Created | RunState::Exited { .. } | RunState::Gone) => return Ok(false),
        // What is frozen cannot end.
        Some(RunState::Paused) => found.engine.unpause_node(&name.resource()).await?,
        Some(RunState::Running | RunState::Other { .. }) => {}
    }
    if let Some(grace) = grace {
        // It begins to end with that grace; the engine's stop then finds it ending or ended.
        node_of(&found.engine, name).stop(grace).await?;
    }
    found.engine.stop_node(&name.resource(), grace.unwrap_or_default() + OWN_GRACE).await?;
    Ok(true)
}

/// Starts a cluster that exists, as it was, and waits until it answers.
pub async fn start(host: &Host<'_>, name: &ClusterName, timeout: Duration) -> Result<UpReport, ClusterError> {
    let record = host.store.load(name)?;
    let unfinished = record.as_ref().and_then(|record| record.operation.as_ref()).map(|operation| operation.kind);
    if record.is_none() || unfinished == Some(OperationKind::Remove) {
        // Whoever exists in the engine alone is named by the search; `up` would make what does not exist.
        list::find(host, name).await?;
    }
    let flags = Flags { name: Some(name.clone()), ..Flags::default() };
    up(host, &UpRequest { flags, file: None, recreate: false, lease: Lease::AsItIs, timeout }).await
}
