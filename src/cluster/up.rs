//! `up`: from what the user wants to a cluster that answers, as one transaction.
//!
//! The record is the journal: it is written before the first resource is made and says `Create` until everything works.
//! What fails before is undone; what is killed is completed by the next `up` or removed by `rm` and `gc`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::changes::{adopt, changes, effective};
use super::config_problem::{ClusterFileText, ConfigProblem};
use super::host::Host;
use super::inputs::{InputFile, read_inputs};
use super::node_image::{Provided, Wanted};
use super::node_spec::{digest, file_digests, labels, networks_of, node_spec};
use super::plan::{Goal, Observed, Step, plan};
use super::probe::Prober;
use super::wait::{Limit, PhaseTime, Ready, Wait, took};
use super::{Addresses, ClusterError, Lease, failure_report, kubeconfig, networks, node_image, ports, remove, undo};
use crate::doctor;
use crate::engine::{
    Engine, EngineError, EngineInfo, ImageInfo, LABEL_SPEC, Labels, NodeState, Resource, ResourceKind, RunState,
};
use crate::kubeconfig::{Merged, current_context};
use crate::node::{StatusReport, WarningReport};
use crate::platform::Interruptions;
use crate::platform::look::{Look, look};
use crate::spec::{ClusterFile, ClusterName, ClusterSpec, EngineChoice, Flags, resolve, resolve_name};
use crate::store::{Operation, OperationKind, Ports, Record};
use crate::ui::reporter::{self, Event};

/// How long an engine may take to stop a node that is made anew.
const STOP_GRACE: Duration = Duration::from_secs(20);

/// How long an engine may take to end what it is doing when the user interrupts.
const LAST_STEP: Duration = Duration::from_secs(5);

/// How long what is undone waits for the lock of a kubeconfig.
const KUBECONFIG_LOCK: Duration = Duration::from_secs(10);

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
    /// `created`, `recreated`, `started` or `unchanged`.
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
    let mut attempt = Attempt {
        host,
        request,
        spec,
        record: existing,
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
    };
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

/// The digest of what a node was made from.
fn spec_of(node: &NodeState) -> String {
    node.labels.get(LABEL_SPEC).cloned().unwrap_or_default()
}

/// Whether a node was to be made anew and was not: it is gone, or still the one from before.
fn recreation_is_due(record: &Record, node: Option<&NodeState>) -> bool {
    let wanted = digest(&effective(&record.spec, record.ports, record.networks), &record.files);
    is(record, OperationKind::Recreate)
        && node.is_none_or(|node| spec_of(node) != wanted || node.image_id != record.image_id)
}

/// One run of `up`, with what it knows so far.
struct Attempt<'a> {
    host: &'a Host<'a>,
    request: &'a UpRequest,
    spec: ClusterSpec,
    record: Option<Record>,
    /// Whether the record of this run is on disk, so that there is something to undo.
    journaled: bool,
    /// Whether the cluster was never finished, so that a failure removes it.
    fresh: bool,
    /// Whether a node that is there is made anew: now it is asked for, or it was when that was interrupted.
    recreate: bool,
    engine: Option<Arc<dyn Engine>>,
    /// What the engine is told to make a new node from.
    image: String,
    outcome: &'static str,
    phases: Vec<PhaseTime>,
    /// What the user should know beside what the node says.
    warnings: Vec<WarningReport>,
    last: Option<StatusReport>,
    /// Whether the user interrupted: no further step is begun.
    cancelled: CancellationToken,
}

impl Attempt<'_> {
    async fn run(&mut self) -> Result<UpReport, ClusterError> {
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
        let (node, image) =
            tokio::join!(engine.inspect_node(&resource), node_image::named(engine.as_ref(), &self.spec.image));
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
            limit: Limit::new(self.request.timeout),
        };
        let ready = tokio::select! {
            biased;
            () = self.cancelled.cancelled() => return Err(ClusterError::Interrupted { removed: false }),
            ready = wait.until_ready(&mut self.last) => ready.map_err(|error| self.of_users_files(error))?,
        };
        let merged = kubeconfig::merge(self.host, &ready.entry, wait.limit.left(), &self.cancelled).await?;
        self.finish(record, &ready, &merged)?;
        Ok(self.report(engine.info().clone(), addresses, ready, merged))
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
            return Ok(self.host.engines.connect(self.spec.engine, None, true).await?);
        };
        let meant = match self.spec.engine {
            EngineChoice::Auto => true,
            EngineChoice::Podman => record.engine == "podman",
            EngineChoice::Docker => record.engine == "docker",
        };
        if !meant && self.request.flags.engine.is_some() {
            return Err(ClusterError::Immutable { name: self.spec.name.clone(), what: "engine" });
        }
        self.host.engine_of(record, true).await
    }

    /// Decides what the cluster should be, compares it with what it is, and returns the record to work by.
    async fn prepare(
        &mut self,
        engine: &Arc<dyn Engine>,
        node: Option<&NodeState>,
        image: Result<Option<ImageInfo>, EngineError>,
    ) -> Result<(Record, Observed, Vec<InputFile>), ClusterError> {
        let phase = reporter::phase(self.host.reporter, "image", "Node image and settings fit");
        let resources = match node {
            Some(_) => Vec::new(),
            None => engine.list_resources().await?,
        };
        let foreign = |labels: &Labels| !self.host.is_own(labels);
        let resource = self.spec.name.resource();
        let is_named = |it: &Resource| it.name == resource;
        if node.is_some_and(|node| foreign(&node.labels))
            || resources.iter().any(|it| is_named(it) && foreign(&it.labels))
        {
            return Err(ClusterError::OtherHome { name: self.spec.name.clone() });
        }
        if self.request.lease == Lease::Owned && (node.is_some() || resources.iter().any(is_named)) {
            return Err(ClusterError::Exists { name: self.spec.name.clone() });
        }
        let has = |kind: ResourceKind| node.is_some() || resources.iter().any(|it| it.kind == kind && is_named(it));
        let observed = Observed {
            network: has(ResourceKind::Network),
            volume: has(ResourceKind::Volume),
            node: node.map(|node| (node.run.clone(), spec_of(node))),
        };
        let known = self.record.take();
        // Whatever was there before this cluster's first record holds somebody's data.
        self.fresh = match &known {
            Some(record) => is(record, OperationKind::Create),
            None => node.is_none() && !observed.volume,
        };
        self.recreate |= known.as_ref().is_some_and(|record| recreation_is_due(record, node));
        self.outcome = if self.fresh { "created" } else { "unchanged" };
        self.recreate |= node.is_some_and(|node| node.run == RunState::Gone);
        let makes_node = node.is_none() || self.recreate || self.fresh;
        let image = if makes_node {
            Some(self.provide(engine, image?, known.as_ref()).await?)
        } else {
            self.warnings.extend(node_image::other(&self.spec, node, image));
            None
        };
        let mut record = known.clone().unwrap_or_else(|| Record::new(self.spec.clone(), (self.host.now)()));
        record.engine.clone_from(&engine.info().kind);
        record.endpoint.clone_from(&engine.info().endpoint);

        let flags = &self.request.flags;
        let reread =
            makes_node || self.request.file.is_some() || !flags.config.is_empty() || !flags.manifests.is_empty();
        let inputs = if reread { read_inputs(&self.spec)? } else { Vec::new() };
        let files = if reread { file_digests(&inputs) } else { record.files.clone() };

        if known.is_none()
            && let Some(node) = node
        {
            adopt(&mut record, node);
        }
        if known.is_none() && !self.fresh {
            // What has the data says which networks are in them.
            let volume = resources.iter().find(|it| it.kind == ResourceKind::Volume && is_named(it));
            let labels = node.map(|node| &node.labels).or(volume.map(|volume| &volume.labels));
            record.networks = labels.and_then(networks_of).unwrap_or(record.networks);
        }
        if !self.fresh {
            self.check_immutable(&record)?;
            let changes = changes(&record, &self.spec, &files);
            let differs = known.is_none()
                && node.is_some_and(|node| {
                    spec_of(node) != digest(&effective(&self.spec, record.ports, record.networks), &files)
                });
            if !self.recreate && node.is_some() && (differs || !changes.is_empty()) {
                // Nothing was changed, so the record on disk stays what it is.
                self.record = known;
                return Err(ClusterError::NeedsRecreate { name: self.spec.name.clone(), changes });
            }
        }
        if self.fresh && (known.is_none() || self.check_immutable(&record).is_err()) {
            record.networks = self.choose_networks(engine).await?;
        }
        record.spec = self.spec.clone();
        record.files = files;
        self.request.lease.apply(&mut record, (self.host.now)());
        if makes_node || known.is_none() {
            record.host.clone_from(&engine.info().host);
        }
        if makes_node {
            self.tell_open_ports(&record);
            if let Some(Provided { info, reference }) = image {
                record.image_id = info.id;
                self.image = reference;
            }
            record.ports = self.choose_ports(&record, node.is_some(), &BTreeSet::new())?;
            let kind = if self.fresh { OperationKind::Create } else { OperationKind::Recreate };
            if self.fresh || node.is_some() {
                record.operation = Some(Operation { kind, since: (self.host.now)() });
            }
            if !self.fresh {
                self.outcome = "recreated";
            }
        }
        self.record = known;
        self.phases.push(took("image", phase.done()));
        Ok((record, observed, inputs))
    }

    /// Gets the image of a new node into the engine.
    async fn provide(
        &self,
        engine: &Arc<dyn Engine>,
        named: Option<ImageInfo>,
        known: Option<&Record>,
    ) -> Result<Provided, ClusterError> {
        let same = known.filter(|record| record.spec.image == self.spec.image && !record.image_id.is_empty());
        let wanted = Wanted {
            host: self.host,
            engine: engine.as_ref(),
            image: &self.spec.image,
            release: node_image::release(self.host, self.request.file().map(|(file, _)| file))?,
            remembered: same.map(|record| record.image_id.as_str()),
            cancelled: &self.cancelled,
        };
        wanted.provide(named).await
    }

    fn check_immutable(&self, record: &Record) -> Result<(), ClusterError> {
        let pairs = [
            ("cluster network", self.spec.cluster_network, record.networks.cluster),
            ("service network", self.spec.service_network, record.networks.service),
        ];
        match pairs.into_iter().find(|(_, asked, has)| asked.is_some_and(|asked| asked != *has)) {
            Some((what, ..)) => Err(ClusterError::Immutable { name: self.spec.name.clone(), what }),
            None => Ok(()),
        }
    }

    async fn choose_networks(&self, engine: &Arc<dyn Engine>) -> Result<crate::store::Networks, ClusterError> {
        // Pods elsewhere never meet what this machine has routes to.
        let elsewhere = engine.info().is_elsewhere();
        let routes = if elsewhere { Ok(Vec::new()) } else { self.host.platform.routes() };
        let taken = networks::taken(&engine.subnets().await?, routes, self.host.reporter);
        networks::choose(&self.spec, &taken).ok_or(ClusterError::NoNetworkLeft)
    }

    fn choose_ports(&self, record: &Record, ours: bool, refused: &BTreeSet<u16>) -> Result<Ports, ClusterError> {
        let (all, _) = self.host.store.list()?;
        let mut avoid = ports::of_others(record, &all);
        avoid.extend(refused);
        let ephemeral = self.host.platform.ephemeral_ports();
        loop {
            let chosen = ports::choose(&self.spec, record.ports, &avoid, &ephemeral)
                .map_err(|purpose| ClusterError::NoPortLeft { address: self.spec.listen_address, purpose })?;
            let mut others = [chosen.api, chosen.http, chosen.https].into_iter();
            let unfit = others.find_map(|port| {
                let known = (ours && ports::has(record.ports, port)) || record.host.is_some();
                let look = if known { Look::Free } else { self.look(port) };
                (look != Look::Free).then_some((port, look))
            });
            match unfit {
                None => return Ok(chosen),
                Some((port, Look::Astray)) if ports::is_asked(&self.spec, port) => {
                    return Err(ClusterError::PortAstray { port, address: self.spec.listen_address });
                }
                Some((port, _)) => avoid.insert(port),
            };
        }
    }

    /// A look that saves the engine a try; whether the port is free, the engine's own bind decides.
    fn look(&self, port: u16) -> Look {
        let asked = ports::is_asked(&self.spec, port);
        match look(self.spec.listen_address, port) {
            // Without the right to open it here, the engine may still have it.
            Look::Forbidden if self.engine.as_ref().is_none_or(|engine| engine.info().may_open_any_port()) => {
                Look::Free
            }
            // Who holds it is told when the engine was refused.
            Look::Held | Look::Forbidden if asked => Look::Free,
            look => look,
        }
    }

    fn goal(&self, record: &Record) -> Goal {
        let spec = effective(&self.spec, record.ports, record.networks);
        Goal { digest: digest(&spec, &record.files), fresh: self.fresh, recreate: self.recreate }
    }

    /// An engine elsewhere has to listen where this machine reaches it, and others may, too.
    fn tell_open_ports(&self, record: &Record) {
        if let Some(host) = record.host.as_ref().filter(|_| self.spec.listen_address.is_loopback()) {
            let text = format!(
                "the engine is on {host}: the cluster's ports are open there to everyone who reaches {host} \
                 (--listen-address narrows that to one of its addresses)"
            );
            self.host.reporter.report(&Event::Note { text });
        }
    }

    fn tell_missing_volume(&self, observed: &Observed) {
        if !self.fresh && !observed.volume {
            let text = format!("the volume of cluster {} is gone; it starts empty", self.spec.name);
            self.host.reporter.report(&Event::Warning { text });
        }
    }

    /// Carries the steps out; a port that turns out to be taken is replaced where nobody asked for it.
    async fn make(
        &mut self,
        engine: &Arc<dyn Engine>,
        record: &mut Record,
        steps: &[Step],
        inputs: &[InputFile],
    ) -> Result<(), ClusterError> {
        let phase = reporter::phase(self.host.reporter, "container", "Container starts");
        if self.outcome == "unchanged" {
            self.outcome = "started";
        }
        let mut refused = BTreeSet::new();
        for step in steps {
            self.check_cancelled()?;
            self.step(engine, record, *step, inputs).await?;
            if *step != Step::StartNode {
                continue;
            }
            loop {
                self.check_cancelled()?;
                let Err(error) = engine.start_node(&record.name.resource()).await else { break };
                let (port, address) = match &error {
                    EngineError::PortTaken { port, address } | EngineError::PortPrivileged { port, address } => {
                        (*port, *address)
                    }
                    _ => return Err(error.into()),
                };
                if ports::is_asked(&self.spec, port) || !steps.contains(&Step::CreateNode) || port == 0 {
                    let EngineError::PortTaken { .. } = error else { return Err(error.into()) };
                    let here = record.host.is_none();
                    let holder = here.then(|| self.host.platform.port_holder(address, port)).flatten();
                    return Err(ClusterError::PortTaken { port, address, holder });
                }
                refused.insert(port);
                record.ports = self.choose_ports(record, false, &refused)?;
                self.host.store.save(record)?;
                self.record = Some(record.clone());
                engine.remove(&ResourceKind::Node, &record.name.resource()).await?;
                self.step(engine, record, Step::CreateNode, inputs).await?;
            }
        }
        self.phases.push(took("container", phase.done()));
        Ok(())
    }

    fn check_cancelled(&self) -> Result<(), ClusterError> {
        if self.cancelled.is_cancelled() { Err(ClusterError::Interrupted { removed: false }) } else { Ok(()) }
    }

    async fn step(
        &self,
        engine: &Arc<dyn Engine>,
        record: &Record,
        step: Step,
        inputs: &[InputFile],
    ) -> Result<(), ClusterError> {
        let name = record.name.resource();
        let digest = self.goal(record).digest;
        let labels = || labels(&self.spec, record.networks, &digest, &self.host.store.home_id());
        match step {
            Step::RemoveNode => {
                // Pods get their grace and the datastore its end; what does not end in time is ended.
                let running = engine.inspect_node(&name).await?;
                if running.is_some_and(|node| matches!(node.run, RunState::Running | RunState::Paused)) {
                    engine.stop_node(&name, STOP_GRACE).await?;
                }
                engine.remove(&ResourceKind::Node, &name).await?;
            }
            Step::RemoveVolume => engine.remove(&ResourceKind::Volume, &name).await?,
            Step::CreateNetwork => engine.create_network(&name, &labels()).await?,
            Step::CreateVolume => engine.create_volume(&name, &labels()).await?,
            Step::CreateNode => {
                let (image, host) = (self.image.clone(), record.host.as_deref());
                let made = node_spec(&self.spec, image, host, record.ports, record.networks, inputs, labels());
                engine.create_node(&made).await?;
            }
            Step::UnpauseNode => engine.unpause_node(&name).await?,
            Step::StartNode => {}
        }
        Ok(())
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
    async fn fail(&mut self, error: ClusterError) -> ClusterError {
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
