//! Waiting until a cluster works: the node by its own reports, then the laptop's side by probes.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde::Serialize;

use super::config_problem::ConfigProblem;
use super::host::{Host, node_of};
use super::probe::{ApiTrust, ProbeError, Prober};
use super::{Addresses, ClusterError};
use crate::engine::{Engine, EngineError, RunState};
use crate::kubeconfig::Entry;
use crate::node::{ComponentReport, Node, NodeError, StatusReport, WarningReport};
use crate::spec::ClusterName;
use crate::ui::reporter::{self, Event};

/// How long after a failed probe the next one follows.
const AGAIN: Duration = Duration::from_millis(50);
/// How long one probe may take.
const PROBE: Duration = Duration::from_secs(3);
/// How long after a broken watch the next one follows: the node may be starting again.
const REWATCH: Duration = Duration::from_millis(300);

/// Exit code of `sandbarctl` for usage and for a wrong configuration, as the contract has it.
const BAD_CONFIGURATION: i64 = 2;

/// One phase of `up` and how long it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseTime {
    /// Its name.
    pub name: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// A cluster that works.
pub(super) struct Ready {
    pub status: StatusReport,
    pub entry: Entry,
    pub phases: Vec<PhaseTime>,
}

/// A deadline, and how long it was to begin with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    until: Instant,
    whole: Duration,
}

impl Limit {
    pub(super) fn new(whole: Duration) -> Self {
        Self { until: Instant::now() + whole, whole }
    }

    pub(super) fn left(self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// What is waited for.
pub(super) struct Wait<'a> {
    pub host: &'a Host<'a>,
    pub engine: &'a Arc<dyn Engine>,
    pub prober: &'a dyn Prober,
    pub name: &'a ClusterName,
    pub addresses: &'a Addresses,
    pub limit: Limit,
    /// Whether everything ran already, and goes on from where it was.
    pub goes_on: bool,
}

impl Wait<'_> {
    /// Waits until node and laptop's side work. `last` keeps the node's latest report, also when this fails.
    pub(super) async fn until_ready(&self, last: &mut Option<StatusReport>) -> Result<Ready, ClusterError> {
        self.engine.reach_node(&self.name.resource()).await?;
        let node = reporter::phase(self.host.reporter, "node", "Node becomes healthy");
        if self.goes_on {
            self.api_first().await;
        }
        let healthy = self.healthy(&node, last);
        let (status, entry) = tokio::try_join!(healthy, self.entry())?;
        let mut phases = vec![took("node", node.done())];

        let laptop = reporter::phase(self.host.reporter, "laptop", "Laptop reaches the cluster");
        let mut client = entry.client_certificate()?;
        client.extend_from_slice(b"\n");
        client.extend(entry.client_key()?);
        let trust = ApiTrust { ca: entry.certificate_authority()?, client: Some(client) };
        let id = status.node.cluster_id.as_str();
        let (http, https) = (self.addresses.http_place(), self.addresses.https_place());
        let (api, http, https) = tokio::try_join!(
            self.probe(self.limit, |deadline| self.prober.api(&self.addresses.api, Some(&trust), deadline)),
            self.probe(self.limit, |deadline| self.prober.ingress(&http, false, id, deadline)),
            self.probe(self.limit, |deadline| self.prober.ingress(&https, true, id, deadline)),
        )?;
        // All have the same deadline: the first in this order is the one to name.
        if let Some(unanswered) = api.or(http).or(https) {
            return Err(self.timed_out(unanswered));
        }
        phases.push(took("laptop", laptop.done()));
        Ok(Ready { status, entry, phases })
    }

    /// Gives the API server its first moments for itself. Looking at the node starts programs in it, which in a machine under
    /// emulation are translated for as long as the API takes to answer, and keep it from that.
    async fn api_first(&self) {
        let moment = Limit::new(PROBE.min(self.limit.left()));
        let answered = self.probe(moment, |deadline| self.prober.api(&self.addresses.api, None, deadline)).await;
        // Why it does not, the node says.
        if !matches!(answered, Ok(None)) {
            tracing::debug!(?answered, "the API does not answer at once");
        }
    }

    async fn healthy(
        &self,
        phase: &reporter::Phase<'_>,
        last: &mut Option<StatusReport>,
    ) -> Result<StatusReport, ClusterError> {
        loop {
            let error = match self.watch(phase, last).await {
                Ok(report) => return Ok(report),
                Err(error) => wrong_configuration(error, last.as_ref())?,
            };
            match error {
                NodeError::TimedOut { .. } => return Err(self.timed_out(waited_for(last.as_ref()))),
                NodeError::Malformed { .. } | NodeError::Contract { .. } | NodeError::Input(_) => {
                    return Err(error.into());
                }
                NodeError::Engine(_) | NodeError::Failed { .. } | NodeError::NotReachable { .. } => {}
            }
            if self.limit.left().is_zero() {
                return Err(self.timed_out(waited_for(last.as_ref())));
            }
            self.explain_end(error).await?;
            tokio::time::sleep(REWATCH.min(self.limit.left())).await;
        }
    }

    /// One watch to its end.
    async fn watch(
        &self,
        phase: &reporter::Phase<'_>,
        last: &mut Option<StatusReport>,
    ) -> Result<StatusReport, NodeError> {
        let left = self.limit.left();
        let watch = async {
            let mut reports = node_of(self.engine, self.name).watch_until_healthy(left).await?;
            while let Some(report) = reports.next().await {
                let report = report?;
                self.tell(phase, last.as_ref(), &report);
                let healthy = report.healthy;
                *last = Some(report.clone());
                if healthy {
                    return Ok(report);
                }
            }
            Err(NodeError::NotReachable { message: "its reports ended before it was healthy".to_owned() })
        };
        // The node has the same deadline; ours is for a node that does not keep it.
        let outer = left + Duration::from_secs(2);
        tokio::time::timeout(outer, watch).await.unwrap_or_else(|_| {
            Err(NodeError::TimedOut { command: "sandbarctl status".to_owned(), message: String::new() })
        })
    }

    /// After a broken watch: an error if the node ended for good, fine if it may come back.
    async fn explain_end(&self, error: NodeError) -> Result<(), ClusterError> {
        let state = self.engine.inspect_node(&self.name.resource()).await?;
        match state.map(|state| state.run) {
            Some(RunState::Exited { code, out_of_memory }) => {
                Err(ClusterError::NodeEnded { name: self.name.clone(), code, out_of_memory })
            }
            Some(RunState::Running | RunState::Other { .. }) => match error {
                // What the node itself refuses it will refuse again.
                NodeError::Failed { code: BAD_CONFIGURATION, .. } => Err(error.into()),
                NodeError::Engine(EngineError::Unreachable { .. } | EngineError::PrivilegeRefused { .. }) => {
                    Err(error.into())
                }
                _ => Ok(()),
            },
            _ => Err(error.into()),
        }
    }

    async fn entry(&self) -> Result<Entry, ClusterError> {
        loop {
            let name = self.name.resource();
            let left = self.limit.left();
            match node_of(self.engine, self.name).kubeconfig(&self.addresses.api, &name, left).await {
                Ok(text) => return Ok(Entry::parse(&text)?),
                Err(NodeError::TimedOut { .. }) => return Err(self.timed_out("the cluster's kubeconfig".to_owned())),
                // An engine that is gone does not come back by itself.
                Err(error @ NodeError::Engine(EngineError::Unreachable { .. })) => return Err(error.into()),
                // The watch beside this one explains why; this one only has to come back.
                Err(NodeError::NotReachable { .. } | NodeError::Engine(_)) if !left.is_zero() => {
                    tokio::time::sleep(REWATCH.min(left)).await;
                }
                Err(error) => return Err(wrong_configuration(error, None)?.into()),
            }
        }
    }

    /// Asks until there is an answer; what did not answer in time is returned in words.
    async fn probe<F>(&self, limit: Limit, ask: impl Fn(Duration) -> F) -> Result<Option<String>, ClusterError>
    where
        F: Future<Output = Result<(), ProbeError>>,
    {
        loop {
            let left = limit.left();
            match ask(PROBE.min(left.max(AGAIN))).await {
                Ok(()) => return Ok(None),
                Err(error @ ProbeError::SomeoneElse { .. }) => return Err(error.into()),
                Err(ProbeError::NoAnswer { target, reason }) if left.is_zero() => {
                    return Ok(Some(format!("{target} ({reason})")));
                }
                Err(ProbeError::NoAnswer { .. }) => tokio::time::sleep(AGAIN.min(left)).await,
            }
        }
    }

    fn timed_out(&self, waiting_for: String) -> ClusterError {
        ClusterError::TimedOut { name: self.name.clone(), after: self.limit.whole, waiting_for }
    }

    fn tell(&self, phase: &reporter::Phase<'_>, before: Option<&StatusReport>, now: &StatusReport) {
        for component in &now.components {
            let known = before.and_then(|report| report.components.iter().find(|old| old.name == component.name));
            if known.is_none_or(|old| old.state != component.state) {
                let times = now.phases.iter().find(|phase| phase.name == component.name);
                self.host.reporter.report(&Event::Component {
                    name: component.name.clone(),
                    state: component.state.clone(),
                    reason: component.reason.clone(),
                    start_millis: times.map(|phase| phase.start_millis),
                    ready_millis: times.and_then(|phase| phase.ready_millis),
                });
            }
        }
        if !now.healthy {
            let names: Vec<&str> = unready(now).map(|component| component.name.as_str()).collect();
            let ready = now.components.len() - names.len();
            let known = format!("{ready} of {} ready", now.components.len());
            // The node may have components yet to come.
            phase.detail(if names.is_empty() { known } else { format!("{known}, waiting for {}", names.join(", ")) });
        }
    }
}

/// What the node refuses because its configuration is wrong, in the node's words; any other error is given back.
fn wrong_configuration(error: NodeError, last: Option<&StatusReport>) -> Result<NodeError, ClusterError> {
    let NodeError::Failed { code: BAD_CONFIGURATION, message, .. } = &error else { return Ok(error) };
    let warnings = last.iter().flat_map(|report| &report.warnings);
    let warnings = warnings.map(|warning| (warning.code.as_str(), warning.message.as_str()));
    let problems = ConfigProblem::all(warnings, message);
    if problems.is_empty() { Ok(error) } else { Err(ClusterError::ConfigInvalid { problems }) }
}

pub(super) fn took(name: &str, took: Duration) -> PhaseTime {
    PhaseTime { name: name.to_owned(), millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) }
}

fn unready(report: &StatusReport) -> impl Iterator<Item = &ComponentReport> {
    report.components.iter().filter(|component| component.state != "ready")
}

/// What a node waits for, in words, by its last report if it gave one.
pub(super) fn waited_for(report: Option<&StatusReport>) -> String {
    report.map_or_else(|| "the node's first report".to_owned(), waiting_for)
}

/// What a node that is not healthy waits for, in words.
#[must_use]
pub fn waiting_for(report: &StatusReport) -> String {
    let component = |component: &ComponentReport| {
        let why = [component.reason.as_str(), component.last_error.as_str()];
        let why = why.into_iter().find(|text| !text.is_empty());
        let waits = (!component.waiting_for.is_empty()).then(|| format!("for {}", component.waiting_for.join(", ")));
        let details: Vec<String> =
            [Some(component.state.clone()), waits, why.map(str::to_owned)].into_iter().flatten().collect();
        format!("{} ({})", component.name, details.join(": "))
    };
    let components: Vec<String> = unready(report).map(component).collect();
    if !components.is_empty() {
        return components.join(", ");
    }
    let words =
        |warning: &WarningReport| [&warning.message, &warning.code].into_iter().find(|text| !text.is_empty()).cloned();
    let warnings: Vec<String> = report.warnings.iter().filter_map(words).collect();
    if warnings.is_empty() { "the Node to be Ready".to_owned() } else { warnings.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_named_with_its_reason() {
        let component = |name: &str, state: &str, reason: &str, waiting_for: &[&str]| ComponentReport {
            name: name.into(),
            state: state.into(),
            reason: reason.into(),
            waiting_for: waiting_for.iter().map(|&name| name.to_owned()).collect(),
            ..ComponentReport::default()
        };
        let mut report = StatusReport {
            schema_version: 1,
            contract_version: 1,
            healthy: false,
            node: crate::node::NodeReport::default(),
            components: vec![
                component("etcd", "ready", "", &[]),
                component("kubelet", "starting", "no container runtime", &[]),
                component("ingress", "waiting", "", &["kubelet"]),
            ],
            phases: Vec::new(),
            network: crate::node::NetworkReport::default(),
            ingress: crate::node::IngressReport::default(),
            storage: crate::node::StorageReport::default(),
            memory: None,
            warnings: Vec::new(),
        };
        assert_eq!(waiting_for(&report), "kubelet (starting: no container runtime), ingress (waiting: for kubelet)");
        report.components.truncate(1);
        assert_eq!(waiting_for(&report), "the Node to be Ready");
        report.warnings = vec![WarningReport { message: "the volume is full".into(), ..WarningReport::default() }];
        assert_eq!(waiting_for(&report), "the volume is full");
        report.warnings = vec![WarningReport { code: "DiskFull".to_owned(), ..WarningReport::default() }];
        assert_eq!(waiting_for(&report), "DiskFull");
        report.warnings = vec![WarningReport::default()];
        assert_eq!(waiting_for(&report), "the Node to be Ready");
        assert_eq!(waited_for(None), "the node's first report");
    }
}
