//! `up`: from what the user wants to a cluster that answers, as one transaction.
//!
//! The record is the journal: it is written before the first resource is made and says `Create` until everything works.
//! What fails before is undone; what is killed is completed by the next `up` or removed by `rm` and `gc`.

mod attempt;
mod machine_progress;
mod make;
mod prepare;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use self::attempt::Attempt;
use super::config_problem::ClusterFileText;
use super::host::Host;
use super::wait::PhaseTime;
use super::{Addresses, ClusterError, Lease, remove};
use crate::engine::EngineInfo;
use crate::node::WarningReport;
use crate::platform::Interruptions;
use crate::spec::{ClusterFile, ClusterName, Flags, resolve, resolve_name};
use crate::store::{OperationKind, Record};
use crate::ui::reporter::Event;

/// How long an engine may take to end what it is doing when the user interrupts.
const LAST_STEP: Duration = Duration::from_secs(5);

/// What `up` is asked for.
#[derive(Debug, Clone)]
pub struct UpRequest {
    /// The command line.
    pub flags: Flags,
    /// The cluster file.
    pub file: Option<RequestFile>,
    /// Whether a node with other settings is made anew on its volume.
    pub recreate: bool,
    /// For how long the cluster is wanted.
    pub lease: Lease,
    /// How long everything may take until it works.
    pub timeout: Duration,
}

/// A cluster file, read and as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestFile {
    /// What it says.
    pub file: ClusterFile,
    /// The folder to which its paths are relative.
    pub folder: PathBuf,
    /// Its text.
    pub source: ClusterFileText,
}

impl UpRequest {
    /// The cluster file with the folder to which its paths are relative.
    fn file(&self) -> Option<(&ClusterFile, &Path)> {
        self.file.as_ref().map(|found| (&found.file, found.folder.as_path()))
    }
}

/// What `up` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpReport {
    /// Version of this report's form.
    pub schema_version: u32,
    /// The cluster.
    pub name: ClusterName,
    /// `created`, `recreated`, `started`, `changed` (in its ports, as it runs) or `unchanged`.
    pub outcome: &'static str,
    /// Name of the Node object.
    pub node: String,
    /// Its identity.
    pub cluster_id: String,
    /// Such as `v1.37.2`.
    pub kubernetes_version: String,
    /// The engine.
    pub engine: EngineInfo,
    /// The kubeconfig context.
    pub context: String,
    /// The files that have it.
    pub kubeconfig: Vec<PathBuf>,
    /// Whether it is the current one.
    pub current: bool,
    /// How it is reached.
    pub addresses: Addresses,
    /// Until when it is wanted; none: until somebody removes it.
    pub expires: Option<Timestamp>,
    /// What took how long.
    pub phases: Vec<PhaseTime>,
    /// What the node's own components took, milliseconds after its start.
    pub node_phases: Vec<crate::node::PhaseReport>,
    /// How long everything took, in milliseconds.
    pub millis: u64,
    /// What the user should know.
    pub warnings: Vec<WarningReport>,
}

/// Makes a cluster, starts it or finds that nothing is to be done; returns when it answers.
pub async fn up(host: &Host<'_>, request: &UpRequest) -> Result<UpReport, ClusterError> {
    let started = Instant::now();
    let name = resolve_name(request.flags.name.as_ref(), request.file().map(|(file, _)| file));
    let mut interruptions = host.interruptions()?;
    let lock = tokio::select! {
        lock = host.lock(&name) => lock?,
        _ = interruptions.next() => return Err(ClusterError::Interrupted { removed: false }),
    };
    let result = up_locked(host, request, &name, interruptions.as_mut()).await;
    if result.is_err() && matches!(host.store.load(&name), Ok(None)) {
        lock.remove();
    }
    result.map(|mut report| {
        report.millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        report
    })
}

async fn up_locked(
    host: &Host<'_>,
    request: &UpRequest,
    name: &ClusterName,
    interruptions: &mut dyn Interruptions,
) -> Result<UpReport, ClusterError> {
    let mut existing = host.store.load(name)?;
    if let Some(record) = existing.as_ref().filter(|record| is(record, OperationKind::Remove)) {
        host.reporter.report(&Event::Note { text: format!("completing the removal of cluster {name} first") });
        remove::remove_locked(host, name, Some(record)).await?;
        existing = None;
    }
    if request.lease == Lease::Owned && existing.is_some() {
        return Err(ClusterError::Exists { name: name.clone() });
    }
    let spec = resolve(&request.flags, request.file(), existing.as_ref().map(|record| &record.spec))?;
    let mut attempt = Attempt::new(host, request, spec, existing);
    let cancelled = attempt.cancelled.clone();
    let result = {
        let run = attempt.run();
        tokio::pin!(run);
        tokio::select! {
            result = &mut run => result,
            _ = interruptions.next() => {
                cancelled.cancel();
                // What the engine is doing at the moment it ends also when nobody listens; undone is what is complete.
                tokio::select! {
                    result = &mut run => result,
                    _ = interruptions.next() => Err(ClusterError::Interrupted { removed: false }),
                    () = tokio::time::sleep(LAST_STEP) => Err(ClusterError::Interrupted { removed: false }),
                }
            }
        }
    };
    match result {
        Ok(report) => Ok(report),
        Err(error) => {
            tokio::select! {
                error = attempt.fail(error) => Err(error),
                // Asked twice: everything stays as it is, the record says how to go on.
                _ = interruptions.next() => Err(ClusterError::Interrupted { removed: false }),
            }
        }
    }
}

fn is(record: &Record, kind: OperationKind) -> bool {
    record.operation.as_ref().is_some_and(|operation| operation.kind == kind)
}
