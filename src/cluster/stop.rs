//! Stopping a cluster, and starting it again as it was.

use std::time::Duration;

use super::host::{Host, node_of};
use super::up::{UpReport, UpRequest, up};
use super::{ClusterError, Lease, list};
use crate::engine::{EngineError, Keeping, Kept, RunState};
use crate::node::Node;
use crate::spec::{ClusterName, Flags};
use crate::store::OperationKind;
use crate::ui::reporter::Event;

/// What the node needs to end beside the grace of its pods.
const OWN_GRACE: Duration = Duration::from_secs(20);

/// How a cluster is stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StopRequest {
    /// How long its pods may take to end, where not as long as usual. What is given time to end is not kept.
    pub grace: Option<Duration>,
    /// Whether its state is not kept where it could be.
    pub shutdown: bool,
}

/// What a stop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Whether it ran.
    pub ran: bool,
    /// The state that its next start goes on from.
    pub kept: Option<Kept>,
}

/// Stops a cluster, as it runs where its engine can do that.
pub async fn stop(host: &Host<'_>, name: &ClusterName, request: StopRequest) -> Result<Stopped, ClusterError> {
    let _lock = host.lock(name).await?;
    let found = list::find(host, name).await?;
    let StopRequest { grace, shutdown } = request;
    let shutdown = shutdown || grace.is_some();
    let Some(node) = found.node else {
        return Err(ClusterError::Engine(EngineError::NotFound { what: "node", name: name.resource() }));
    };
    match node.run {
        // Its next start is to be one from nothing.
        RunState::Created | RunState::Exited { .. } if request.shutdown && node.kept.is_some() => {
            found.engine.stop_node(&name.resource(), OWN_GRACE).await?;
            return Ok(Stopped { ran: false, kept: None });
        }
        RunState::Created | RunState::Exited { .. } | RunState::Gone => {
            return Ok(Stopped { ran: false, kept: node.kept });
        }
        // What is frozen cannot end.
        RunState::Paused => found.engine.unpause_node(&name.resource()).await?,
        RunState::Running | RunState::Other { .. } => {}
    }
    if !shutdown {
        match found.engine.keep_node(&name.resource()).await? {
            Keeping::Kept(kept) => return Ok(Stopped { ran: true, kept: Some(kept) }),
            Keeping::Unsupported => {}
            Keeping::Refused { reason } => {
                let text = format!("cluster {name} is shut down, its state cannot be kept: {reason}");
                host.reporter.report(&Event::Note { text });
            }
        }
    }
    if let Some(grace) = grace {
        // It begins to end with that grace; the engine's stop then finds it ending or ended.
        node_of(&found.engine, name).stop(grace).await?;
    }
    found.engine.stop_node(&name.resource(), grace.unwrap_or_default() + OWN_GRACE).await?;
    Ok(Stopped { ran: true, kept: None })
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
