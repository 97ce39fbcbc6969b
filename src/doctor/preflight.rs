//! The checks that run before `up` makes anything: those that take milliseconds and that nothing else of `up` does.
//!
//! `up` itself reads and locks the kubeconfig, reaches the engine, looks at ports and chooses networks that are free, in the
//! same words as the checks of those names.

use tokio::task::JoinHandle;

use super::check::{CheckReport, Outcome, find};
use super::finding::Finding;
use super::{container, files};
use crate::cluster::Host;
use crate::platform::Platform;

/// That this machine is not fit for a cluster.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct Unfit(pub Box<CheckReport>);

/// The checks, which run while something else is done.
pub struct Preflight(JoinHandle<Option<CheckReport>>);

/// Starts them. Needs a running tokio.
#[must_use]
pub fn preflight(host: &Host<'_>) -> Preflight {
    let (data, platform) = (host.store.dirs().data.clone(), host.platform);
    Preflight(tokio::task::spawn_blocking(move || {
        let found = [("data", files::room(&data)), ("memory", memory(platform))];
        found.into_iter().find(|(_, finding)| finding.outcome == Outcome::Failed).and_then(report)
    }))
}

impl Preflight {
    /// What they found.
    pub async fn done(self) -> Result<(), Unfit> {
        match self.0.await {
            Ok(None) => Ok(()),
            Ok(Some(report)) => Err(Unfit(Box::new(report))),
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        }
    }
}

fn report((code, finding): (&str, Finding)) -> Option<CheckReport> {
    find(code).map(|check| CheckReport::new(check, finding))
}

/// What this system itself says of its memory, where it runs the containers.
fn memory(platform: &dyn Platform) -> Finding {
    match platform.available_memory() {
        Some(available) => container::memory(available, platform),
        None => Finding::skipped("containers run in a virtual machine"),
    }
}
