//! Doing checks, those at the same time that have nothing to do with each other.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::catalogue::CHECKS;
use super::check::{Check, CheckReport, Outcome, Place};
use super::finding::Finding;
use super::proxy::{self, Proxy};
use super::{engine, files, names};
use crate::cluster::{ClusterError, Host};
use crate::engine::EngineInfo;
use crate::kubeconfig::KubeconfigError;
use crate::spec::ClusterSpec;
use crate::ui::reporter;

/// What is to be checked.
pub struct Request {
    /// The checks.
    pub checks: Vec<&'static Check>,
    /// The cluster that they are done for.
    pub spec: ClusterSpec,
    /// What the environment says of proxies.
    pub proxy: Proxy,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of this report's form.
    pub schema_version: u32,
    /// Whether nothing failed.
    pub fit: bool,
    /// The engine, where one answers and was asked.
    pub engine: Option<EngineInfo>,
    /// The checks, in the order of [`CHECKS`].
    pub checks: Vec<CheckReport>,
}

impl Report {
    /// The checks with that result.
    pub fn with(&self, result: Outcome) -> impl Iterator<Item = &CheckReport> {
        self.checks.iter().filter(move |check| check.result == result)
    }
}

/// Does the checks. When the user interrupts, what was made for them is removed first.
pub async fn run(host: &Host<'_>, request: &Request) -> Result<Report, ClusterError> {
    let mut interruptions = host.interruptions()?;
    let cancelled = CancellationToken::new();
    let phase = reporter::phase(host.reporter, "doctor", "Checks are done");
    let work = async { tokio::join!(on_host(host, request), engine::check(host, request, &cancelled)) };
    tokio::pin!(work);
    let (of_host, of_engine) = tokio::select! {
        done = &mut work => done,
        _ = interruptions.next() => {
            cancelled.cancel();
            tokio::select! {
                _ = work => return Err(ClusterError::Interrupted { removed: true }),
                // Asked twice: `gc` removes what is left.
                _ = interruptions.next() => return Err(ClusterError::Interrupted { removed: false }),
            }
        }
    };
    let engine::Checked { engine, reports } = of_engine?;
    phase.done();
    let place = |report: &CheckReport| CHECKS.iter().position(|check| check.code == report.code);
    let mut checks: Vec<CheckReport> = of_host.into_iter().chain(reports).collect();
    checks.sort_by_key(place);
    let fit = checks.iter().all(|check| check.result != Outcome::Failed);
    Ok(Report { schema_version: 1, fit, engine, checks })
}

async fn on_host(host: &Host<'_>, request: &Request) -> Vec<CheckReport> {
    let mut reports = Vec::new();
    for check in request.checks.iter().copied().filter(|check| check.place == Place::Host) {
        reports.push(CheckReport::new(check, of_host(check.code, host, request).await));
    }
    reports
}

async fn of_host(code: &str, host: &Host<'_>, request: &Request) -> Finding {
    match code {
        "kubeconfig" => {
            let locations = host.kubeconfig.as_ref().map_err(|_| KubeconfigError::NoLocation);
            files::kubeconfig(locations, host.platform)
        }
        "data" => files::data(host.store),
        "dns" => names::check().await,
        "proxy" => proxy::check(&request.proxy),
        _ => Finding::skipped("this machine alone cannot say"),
    }
}
