//! Freezing a cluster, and letting it go on.

use std::time::Duration;

use super::ClusterError;
use super::host::Host;
use super::list::{self, Found};
use super::wait::{Limit, Wait};
use crate::engine::{EngineError, RunState};
use crate::spec::ClusterName;

/// Freezes a cluster that runs; one that is frozen is fine. Returns whether it ran.
pub async fn pause(host: &Host<'_>, name: &ClusterName) -> Result<bool, ClusterError> {
    let _lock = host.lock(name).await?;
    let found = list::find(host, name).await?;
    if run_state(&found, name)? == RunState::Paused {
        return Ok(false);
    }
    found.engine.pause_node(&name.resource()).await?;
    Ok(true)
}

/// Lets a frozen cluster go on and returns when it answers from the laptop, also where it was not frozen: the command
/// that thawed it may have been interrupted. Returns whether it was frozen.
pub async fn unpause(host: &Host<'_>, name: &ClusterName, timeout: Duration) -> Result<bool, ClusterError> {
    let _lock = host.lock(name).await?;
    let found = list::find(host, name).await?;
    let frozen = match run_state(&found, name)? {
        RunState::Paused => true,
        RunState::Running => false,
        _ => return Err(EngineError::NotRunning { name: name.resource() }.into()),
    };
    if frozen {
        found.engine.unpause_node(&name.resource()).await?;
    }
    let wait = Wait {
        host,
        engine: &found.engine,
        prober: found.prober.as_ref(),
        name,
        addresses: &found.addresses,
        limit: Limit::new(timeout),
        goes_on: true,
    };
    wait.until_ready(&mut None).await?;
    Ok(frozen)
}

/// The cluster of that name, as [`list::find`] has it, unless it is frozen: then it would not answer.
pub async fn find_awake(host: &Host<'_>, name: &ClusterName) -> Result<Found, ClusterError> {
    let found = list::find(host, name).await?;
    if found.node.as_ref().is_some_and(|node| node.run == RunState::Paused) {
        return Err(ClusterError::Paused { name: name.clone() });
    }
    Ok(found)
}

fn run_state(found: &Found, name: &ClusterName) -> Result<RunState, ClusterError> {
    let missing = || EngineError::NotFound { what: "node", name: name.resource() };
    Ok(found.node.as_ref().ok_or_else(missing)?.run.clone())
}
