//! Keeping a report of what failed, before anything is rolled back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::host::Host;
use super::wait::PhaseTime;
use super::{ClusterError, report, wait};
use crate::engine::Engine;
use crate::node::StatusReport;
use crate::report::{Options, make};
use crate::spec::ClusterName;
use crate::store::Record;

/// How long any part of it may take: whoever failed may hang, too, and the user waits.
const LIMIT: Duration = Duration::from_secs(4);
/// How long the engine may take to say whether there is a node at all.
const LOOK: Duration = Duration::from_secs(1);
/// How many failures are kept, of all clusters.
const FAILURES: usize = 20;

/// What is known of a failure.
pub(super) struct Failed<'a> {
    pub name: &'a ClusterName,
    pub record: Option<&'a Record>,
    pub error: &'a ClusterError,
    /// The node's last report.
    pub last: Option<&'a StatusReport>,
    /// What was done before, and how long it took.
    pub phases: &'a [PhaseTime],
}

/// Writes what can be had into a new folder and returns the archive; none where not even the folder could be made.
pub(super) async fn keep(host: &Host<'_>, engine: &Arc<dyn Engine>, failed: &Failed<'_>) -> Option<PathBuf> {
    let folder = host.store.failure_folder(failed.name, (host.now)()).ok()?;
    let mut subject = report::subject(host, failed.name, Ok(Arc::clone(engine)), failed.record.cloned());
    subject.node = report::node(engine, failed.name, LOOK).await;
    subject.failure = Some(serde_json::json!({
        "error": chain(failed.error),
        "waitingFor": failed.last.map(wait::waiting_for),
        "lastStatus": failed.last,
        "phases": failed.phases,
    }));
    let options = Options { now: (host.now)(), since: None, keep_names: false, limit: LIMIT };
    let archive = folder.join(crate::report::FAILURE_ARCHIVE);
    let written = match make(&subject, &options, None).await {
        Ok(packed) => packed.write(&archive),
        Err(error) => Err(error),
    };
    prune(host);
    match written {
        Ok(_) => Some(archive),
        // The failure itself is what the user has to hear of, not that its report is missing.
        Err(error) => {
            tracing::warn!(%error, "no report of the failure is kept");
            // An empty folder would be listed as one.
            let _ = std::fs::remove_dir_all(&folder);
            None
        }
    }
}

/// An error with what caused it.
fn chain(error: &ClusterError) -> String {
    let mut words = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let cause_words = cause.to_string();
        if !words.ends_with(&cause_words) {
            words += &format!(": {cause_words}");
        }
        next = cause.source();
    }
    words
}

fn prune(host: &Host<'_>) {
    let Ok(failures) = host.store.failures() else { return };
    for old in failures.iter().rev().skip(FAILURES) {
        // Old reports that cannot be removed harm nobody.
        let _ = std::fs::remove_dir_all(old);
    }
}
