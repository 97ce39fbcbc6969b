//! Ports of this machine that a cluster would have.

use std::net::IpAddr;

use super::check::Outcome;
use super::finding::Finding;
use crate::cluster::ClusterError;
use crate::engine::EngineError;
use crate::error::Failure;
use crate::platform::look::{Look, look};
use crate::platform::{Platform, ports};
use crate::spec::{ClusterSpec, PREFERRED_PORTS};
use crate::store::Record;

/// The checks, in the order of [`PREFERRED_PORTS`].
pub(super) const CODES: [&str; 3] = ["port-api", "port-http", "port-https"];

/// Looks at the port of that check: the one that is asked for, or the usual one. `rootless` says whether the engine may open
/// no more than this user.
pub(super) fn check(
    index: usize,
    spec: &ClusterSpec,
    records: &[Record],
    rootless: bool,
    platform: &dyn Platform,
) -> Finding {
    let asked = [spec.api_port, spec.http_port, spec.https_port][index];
    let port = asked.unwrap_or(PREFERRED_PORTS[index]);
    let address = spec.listen_address;
    if let Some(owner) = records.iter().find(|record| has(record, index, port, address)) {
        return Finding::passed(format!("{port} on {address} is cluster {}'s", owner.name));
    }
    let failure: Failure = match look(address, port) {
        Look::Free => return Finding::passed(format!("{port} on {address} is free")),
        Look::Forbidden if !rootless => {
            return Finding::passed(format!("{port} on {address} is for the engine to open"));
        }
        Look::Forbidden => EngineError::PortPrivileged { port, address }.into(),
        Look::Held => ClusterError::PortTaken { port, address, holder: platform.port_holder(address, port) }.into(),
        Look::Astray => ClusterError::PortAstray { port, address }.into(),
    };
    if asked.is_some() {
        return Finding::of_failure(Outcome::Failed, failure);
    }
    Finding::of_failure(Outcome::Warning, failure)
        .hint("or leave it: a new cluster gets another port, and `up` says which")
}

/// Whether a cluster has that port for that purpose where this one would.
fn has(record: &Record, index: usize, port: u16, address: IpAddr) -> bool {
    let of_record = [record.ports.api, record.ports.http, record.ports.https][index];
    of_record == port && ports::overlap(record.spec.listen_address, address)
}
