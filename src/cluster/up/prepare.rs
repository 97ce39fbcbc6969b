//! What the cluster should be, and how it differs from what it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::attempt::Attempt;
use super::is;
use crate::cluster::changes::{adopt, changes, effective, is_extra_port};
use crate::cluster::inputs::{InputFile, read_inputs};
use crate::cluster::node_image::{Provided, Wanted};
use crate::cluster::node_spec::{digest, file_digests, networks_of};
use crate::cluster::plan::Observed;
use crate::cluster::wait::took;
use crate::cluster::{ClusterError, Lease, networks, node_image};
use crate::engine::{Engine, EngineError, ImageInfo, LABEL_SPEC, NodeState, Resource, ResourceKind, RunState};
use crate::spec::ClusterSpec;
use crate::store::{Networks, Operation, OperationKind, Record};
use crate::ui::reporter::{self, Event};

impl Attempt<'_> {
    /// Decides what the cluster should be, compares it with what it is, and returns the record to work by.
    pub(super) async fn prepare(
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
        self.check_owner(node, &resources)?;
        let resource = self.spec.name.resource();
        let is_named = |it: &Resource| it.name == resource;
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
        if let Some(known) = known.as_ref().filter(|_| !self.fresh) {
            // Before anything is got for what cannot be.
            self.check_immutable(known)?;
        }
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
            let in_place = engine.info().changes_ports() && changes.iter().all(is_extra_port);
            if !self.recreate && node.is_some() && (differs || !(changes.is_empty() || in_place)) {
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
            self.tell_of_device();
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
            release: node_image::release(self.host, engine.as_ref(), self.request.file().map(|(file, _)| file))?,
            architecture: self.spec.architecture(),
            remembered: same.map(|record| record.image_id.as_str()),
            cancelled: &self.cancelled,
        };
        wanted.provide(named).await
    }

    /// What is there has to be this cluster's, and nothing may be there for one that is wanted for a command alone.
    fn check_owner(&self, node: Option<&NodeState>, resources: &[Resource]) -> Result<(), ClusterError> {
        let resource = self.spec.name.resource();
        let named = || resources.iter().filter(|it| it.name == resource);
        let labels = node.map(|node| &node.labels).into_iter().chain(named().map(|it| &it.labels));
        if labels.into_iter().any(|labels| !self.host.is_own(labels)) {
            return Err(ClusterError::OtherHome { name: self.spec.name.clone() });
        }
        if self.request.lease == Lease::Owned && (node.is_some() || named().next().is_some()) {
            return Err(ClusterError::Exists { name: self.spec.name.clone() });
        }
        Ok(())
    }

    fn check_immutable(&self, record: &Record) -> Result<(), ClusterError> {
        // What is on its disk is of its architecture.
        let device = |spec: &ClusterSpec| spec.device.as_ref().map(|device| (device.name.clone(), device.architecture));
        if !self.fresh && device(&self.spec) != device(&record.spec) {
            return Err(ClusterError::Immutable { name: self.spec.name.clone(), what: "device" });
        }
        let pairs = [
            ("cluster network", self.spec.cluster_network, record.networks.cluster),
            ("service network", self.spec.service_network, record.networks.service),
        ];
        match pairs.into_iter().find(|(_, asked, has)| asked.is_some_and(|asked| asked != *has)) {
            Some((what, ..)) => Err(ClusterError::Immutable { name: self.spec.name.clone(), what }),
            None => Ok(()),
        }
    }

    async fn choose_networks(&self, engine: &Arc<dyn Engine>) -> Result<Networks, ClusterError> {
        // Pods elsewhere never meet what this machine has routes to.
        let elsewhere = engine.info().is_elsewhere();
        let routes = if elsewhere { Ok(Vec::new()) } else { self.host.platform.routes() };
        let taken = networks::taken(&engine.subnets().await?, routes, self.host.reporter);
        networks::choose(&self.spec, &taken).ok_or(ClusterError::NoNetworkLeft)
    }

    /// What is asked for and no such board has.
    fn tell_of_device(&self) {
        let Some(device) = &self.spec.device else { return };
        let cores = self.spec.cpus.as_ref().map(|cpus| cpus.millis().div_ceil(1000));
        for text in device.remarks(cores, self.spec.memory.as_ref()) {
            self.host.reporter.report(&Event::Note { text });
        }
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
