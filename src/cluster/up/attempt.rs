//! One run of `up`, from what is there to a cluster that answers, or back to what was.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{UpReport, UpRequest};
use crate::cluster::changes::effective;
use crate::cluster::config_problem::ConfigProblem;
use crate::cluster::host::Host;
use crate::cluster::node_spec::digest;
use crate::cluster::plan::{Goal, Step, plan};
use crate::cluster::probe::Prober;
use crate::cluster::wait::{Limit, PhaseTime, Ready, Wait, took};
use crate::cluster::{Addresses, ClusterError, failure_report, kubeconfig, node_image, undo};
use crate::doctor;
use crate::engine::{Engine, EngineInfo};
use crate::kubeconfig::{Merged, current_context};
use crate::node::{StatusReport, WarningReport};
use crate::spec::{ClusterSpec, EngineChoice};
use crate::store::Record;
use crate::ui::reporter;

/// How many times longer than expected a machine may take.
const MARGIN: u32 = 4;
/// How long what is undone waits for the lock of a kubeconfig.
const KUBECONFIG_LOCK: Duration = Duration::from_secs(10);

/// One run of `up`, with what it knows so far.
pub(super) struct Attempt<'a> {
    pub(super) host: &'a Host<'a>,
    pub(super) request: &'a UpRequest,
    pub(super) spec: ClusterSpec,
    pub(super) record: Option<Record>,
    /// Whether the record of this run is on disk, so that there is something to undo.
    journaled: bool,
    /// Whether the cluster was never finished, so that a failure removes it.
    pub(super) fresh: bool,
    /// Whether a node that is there is made anew: now it is asked for, or it was when that was interrupted.
    pub(super) recreate: bool,
    pub(super) engine: Option<Arc<dyn Engine>>,
    /// What the engine is told to make a new node from.
    pub(super) image: String,
    pub(super) outcome: &'static str,
    pub(super) phases: Vec<PhaseTime>,
    /// What the user should know beside what the node says.
    pub(super) warnings: Vec<WarningReport>,
    last: Option<StatusReport>,
    /// Whether the user interrupted: no further step is begun.
    pub(super) cancelled: CancellationToken,
}

impl<'a> Attempt<'a> {
    /// One that knows what was asked for and what is on disk.
    pub(super) fn new(host: &'a Host<'a>, request: &'a UpRequest, spec: ClusterSpec, record: Option<Record>) -> Self {
        Self {
            host,
            request,
            spec,
            record,
            journaled: false,
            fresh: false,
            recreate: request.recreate,
            engine: None,
            image: String::new(),
            outcome: "unchanged",
            phases: Vec::new(),
            warnings: Vec::new(),
            last: None,
            cancelled: CancellationToken::new(),
        }
    }
}

impl Attempt<'_> {
    pub(super) async fn run(&mut self) -> Result<UpReport, ClusterError> {
        let preflight = doctor::preflight(self.host);
        // A kubeconfig that cannot be read or written would fail the end; better before anything is made.
        let locations = self.host.locations()?.clone();
        let current = current_context(&locations)?;
        kubeconfig::check(self.host, &self.spec.name, self.request.timeout, &self.cancelled).await?;

        let phase = reporter::phase(self.host.reporter, "engine", "Engine answers");
        let (engine, prober) = self.connect().await?;
        self.engine = Some(Arc::clone(&engine));
        let resource = self.spec.name.resource();
        // The image is needed for a new node, and for an old one to see whether it is still of the same.
        let (node, image) = tokio::join!(
            engine.inspect_node(&resource),
            node_image::named(engine.as_ref(), &self.spec.image, self.spec.architecture())
        );
        let node = node?;
        self.phases.push(took("engine", phase.done()));

        let (mut record, observed, inputs) = self.prepare(&engine, node.as_ref(), image).await?;
        record.kubeconfig.note(locations.files(), current, &self.spec.name.resource());
        let goal = self.goal(&record);
        let steps = plan(&goal, &observed);
        self.tell_missing_volume(&observed);
        self.check_cancelled()?;
        if !steps.is_empty() {
            preflight.done().await?;
        }
        if self.record.as_ref() != Some(&record) {
            self.host.store.save(&record)?;
        }
        self.journaled = true;
        self.record = Some(record.clone());
        if !steps.is_empty() {
            self.make(&engine, &mut record, &steps, &inputs).await?;
        }

        let addresses = Addresses::new(&self.spec.name, record.host.as_deref(), self.spec.listen_address, record.ports);
        let wait = Wait {
            host: self.host,
            engine: &engine,
            prober: prober.as_ref(),
            name: &self.spec.name,
            addresses: &addresses,
            limit: Limit::new(self.time(engine.as_ref()).await),
            goes_on: !steps.contains(&Step::RemoveNode) && node.is_some_and(|node| node.kept.is_some()),
        };
        let ready = tokio::select! {
            biased;
            () = self.cancelled.cancelled() => return Err(ClusterError::Interrupted { removed: false }),
            ready = wait.until_ready(&mut self.last) => ready.map_err(|error| self.of_users_files(error))?,
        };
        self.note_start(engine.as_ref(), &ready).await;
        let merged = kubeconfig::merge(self.host, &ready.entry, wait.limit.left(), &self.cancelled).await?;
        self.finish(record, &ready, &merged)?;
        Ok(self.report(engine.info().clone(), addresses, ready, merged))
    }

    /// How long it may take until everything works: what the user said, or as usual, or longer for a machine that this host is
    /// slow to translate.
    async fn time(&self, engine: &dyn Engine) -> Duration {
        let usual = self.request.timeout;
        if self.host.has_deadline {
            return usual;
        }
        match engine.machine(&self.spec.name.resource()).await {
            Ok(report) => {
                let expected = report.and_then(|report| report.expected_millis).unwrap_or_default();
                usual.max(Duration::from_millis(expected) * MARGIN)
            }
            Err(error) => {
                tracing::debug!(%error, "how long it takes here is not known");
                usual
            }
        }
    }

    /// What it took is what to expect of the next one.
    async fn note_start(&self, engine: &dyn Engine, ready: &Ready) {
        if !matches!(self.outcome, "created" | "recreated") {
            return;
        }
        let all = self
            .phases
            .iter()
            .chain(&ready.phases)
            .filter(|phase| ["container", "node"].contains(&phase.name.as_str()));
        let took = Duration::from_millis(all.map(|phase| phase.millis).sum());
        if let Err(error) = engine.note_start(&self.spec.name.resource(), took).await {
            tracing::debug!(%error, "how long it took is forgotten");
        }
    }

    /// What is wrong in the node's configuration is said of the files that the user wrote.
    fn of_users_files(&self, error: ClusterError) -> ClusterError {
        let ClusterError::ConfigInvalid { problems } = error else { return error };
        let source = self.request.file.as_ref().map(|file| &file.source);
        let of_user = |problem: ConfigProblem| problem.of_user(&self.spec.config, source);
        ClusterError::ConfigInvalid { problems: problems.into_iter().map(of_user).collect() }
    }

    async fn connect(&self) -> Result<(Arc<dyn Engine>, Arc<dyn Prober>), ClusterError> {
        let Some(record) = self.record.as_ref().filter(|record| !record.engine.is_empty()) else {
            let connected = self.host.engines.connect(self.spec.engine, None, true).await;
            return connected.map_err(|error| error.for_architecture(self.spec.architecture()).into());
        };
        let meant = match self.spec.engine {
            EngineChoice::Auto => true,
            EngineChoice::Podman => record.engine == "podman",
            EngineChoice::Docker => record.engine == "docker",
            EngineChoice::Machine => record.engine == "machine",
        };
        if !meant && self.request.flags.engine.is_some() {
            return Err(ClusterError::Immutable { name: self.spec.name.clone(), what: "engine" });
        }
        self.host.engine_of(record, true).await
    }

    pub(super) fn goal(&self, record: &Record) -> Goal {
        let spec = effective(&self.spec, record.ports, record.networks);
        let sets_ports = self.engine.as_ref().is_some_and(|engine| engine.info().changes_ports());
        Goal { digest: digest(&spec, &record.files), fresh: self.fresh, recreate: self.recreate, sets_ports }
    }

    pub(super) fn check_cancelled(&self) -> Result<(), ClusterError> {
        if self.cancelled.is_cancelled() { Err(ClusterError::Interrupted { removed: false }) } else { Ok(()) }
    }

    fn finish(&mut self, mut record: Record, ready: &Ready, merged: &Merged) -> Result<(), ClusterError> {
        record.operation = None;
        if let Some(before @ Some(_)) = &merged.switched_from {
            record.kubeconfig.note(&merged.files, before.clone(), &self.spec.name.resource());
        }
        record.kubernetes_version = Some(ready.status.node.kubernetes_version.clone());
        record.cluster_id = Some(ready.status.node.cluster_id.clone());
        if self.record.as_ref() != Some(&record) {
            self.host.store.save(&record)?;
        }
        self.record = Some(record);
        Ok(())
    }

    fn report(&self, engine: EngineInfo, addresses: Addresses, ready: Ready, merged: Merged) -> UpReport {
        let context = self.spec.name.resource();
        UpReport {
            schema_version: 1,
            name: self.spec.name.clone(),
            outcome: self.outcome,
            node: ready.status.node.name,
            cluster_id: ready.status.node.cluster_id,
            kubernetes_version: ready.status.node.kubernetes_version,
            engine,
            current: merged.current.as_ref() == Some(&context),
            context,
            kubeconfig: merged.files,
            addresses,
            expires: self.record.as_ref().and_then(|record| record.expires),
            phases: self.phases.iter().cloned().chain(ready.phases).collect(),
            node_phases: ready.status.phases,
            millis: 0,
            warnings: self.warnings.iter().cloned().chain(ready.status.warnings).collect(),
        }
    }

    /// After a failure: a report is kept, then what was begun is removed.
    pub(super) async fn fail(&mut self, error: ClusterError) -> ClusterError {
        let name = self.spec.name.clone();
        let (Some(engine), true) = (self.engine.clone(), self.journaled) else { return error };
        let interrupted = matches!(error, ClusterError::Interrupted { .. });
        let worth_a_report = matches!(
            error,
            ClusterError::TimedOut { .. }
                | ClusterError::NodeEnded { .. }
                | ClusterError::Node(_)
                | ClusterError::Probe(_)
        );
        let archive = if worth_a_report {
            let (record, last) = (self.record.as_ref(), self.last.as_ref());
            let failed = failure_report::Failed { name: &name, record, error: &error, last, phases: &self.phases };
            failure_report::keep(self.host, &engine, &failed).await
        } else {
            None
        };
        let error = match archive {
            Some(archive) => ClusterError::WithReport { source: Box::new(error), archive },
            None => error,
        };
        if !self.fresh {
            return error;
        }
        match undo::undo(self.host, &engine, &name, self.record.as_ref(), KUBECONFIG_LOCK).await {
            Err(undo) => ClusterError::NotUndone { source: Box::new(error), undo: Box::new(undo) },
            Ok(_) if interrupted => ClusterError::Interrupted { removed: true },
            Ok(removed) if removed.is_empty() => error,
            Ok(_) => ClusterError::Removed { source: Box::new(error) },
        }
    }
}
