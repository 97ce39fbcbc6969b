//! Further ports of a cluster that exists.

use std::time::Duration;

use super::host::Host;
use super::up::{UpReport, UpRequest, up};
use super::{ClusterError, Lease, list};
use crate::engine::{EngineError, PortForward, RunState};
use crate::spec::{ClusterName, ExtraPort, Flags};

/// What changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortChange {
    /// Ports to forward.
    pub add: Vec<ExtraPort>,
    /// Ports of the host that lead nowhere any more.
    pub remove: Vec<u16>,
}

/// The forwards of a cluster.
pub async fn forwarded_ports(host: &Host<'_>, name: &ClusterName) -> Result<Vec<PortForward>, ClusterError> {
    let found = list::find(host, name).await?;
    let node = found.node.ok_or_else(|| EngineError::NotFound { what: "node", name: name.resource() })?;
    Ok(node.ports)
}

/// Changes the ports of a cluster that runs; `recreate` makes a node anew whose engine cannot do otherwise.
pub async fn change_ports(
    host: &Host<'_>,
    name: &ClusterName,
    change: PortChange,
    recreate: bool,
    timeout: Duration,
) -> Result<UpReport, ClusterError> {
    let found = list::find(host, name).await?;
    // It would be started otherwise, which nobody asked for.
    if found.node.as_ref().is_none_or(|node| node.run != RunState::Running) {
        return Err(EngineError::NotRunning { name: name.resource() }.into());
    }
    let extra = found.record.map(|record| record.spec.extra_ports).unwrap_or_default();
    if let Some(port) = change.remove.iter().find(|port| extra.iter().all(|extra| extra.host != **port)) {
        let known = extra.iter().map(|extra| extra.host).collect();
        return Err(ClusterError::NotForwarded { name: name.clone(), port: *port, known });
    }
    let flags =
        Flags { name: Some(name.clone()), extra_ports: change.add, fewer_ports: change.remove, ..Flags::default() };
    let changed = up(host, &UpRequest { flags, file: None, recreate, lease: Lease::AsItIs, timeout }).await;
    changed.map_err(|error| match error {
        ClusterError::NeedsRecreate { name, .. } => {
            ClusterError::PortsFixed { name, engine: found.engine.info().kind.clone() }
        }
        error => error,
    })
}
