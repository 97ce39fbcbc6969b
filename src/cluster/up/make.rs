//! The steps of a plan, carried out; a port that turns out to be taken is replaced where nobody asked for it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::Attempt;
use super::machine_progress;
use crate::cluster::inputs::InputFile;
use crate::cluster::node_spec::{forwards, labels, node_spec};
use crate::cluster::plan::{Observed, Step};
use crate::cluster::wait::took;
use crate::cluster::{ClusterError, ports};
use crate::engine::{Engine, EngineError, ResourceKind, RunState};
use crate::platform::look::{Look, look};
use crate::store::{Ports, Record};
use crate::ui::reporter::{self, Event};

/// How long an engine may take to stop a node that is made anew.
const STOP_GRACE: Duration = Duration::from_secs(20);

impl Attempt<'_> {
    /// Carries the steps out; a port that turns out to be taken is replaced where nobody asked for it.
    pub(super) async fn make(
        &mut self,
        engine: &Arc<dyn Engine>,
        record: &mut Record,
        steps: &[Step],
        inputs: &[InputFile],
    ) -> Result<(), ClusterError> {
        let what = if engine.info().takes_container_images() { "Container" } else { "Machine" };
        let (name, words) = if *steps == [Step::SetPorts] {
            ("ports", "Ports change".to_owned())
        } else {
            ("container", format!("{what} starts"))
        };
        let phase = reporter::phase(self.host.reporter, name, words);
        if self.outcome == "unchanged" {
            self.outcome = if name == "ports" { "changed" } else { "started" };
        }
        let mut refused = BTreeSet::new();
        for step in steps {
            self.check_cancelled()?;
            match self.step(engine, record, *step, inputs).await {
                Err(ClusterError::Engine(EngineError::PortTaken { port, address })) => {
                    return Err(self.taken(record, port, address));
                }
                done => done?,
            }
            if *step != Step::StartNode {
                continue;
            }
            loop {
                self.check_cancelled()?;
                let name = record.name.resource();
                let error = match machine_progress::start(engine.as_ref(), &name, &phase).await {
                    Ok(started) => {
                        if let Some(text) = started.note {
                            self.host.reporter.report(&Event::Note { text });
                        }
                        break;
                    }
                    Err(error) => error,
                };
                let (port, address) = match &error {
                    EngineError::PortTaken { port, address } | EngineError::PortPrivileged { port, address } => {
                        (*port, *address)
                    }
                    _ => return Err(error.into()),
                };
                if ports::is_asked(&self.spec, port) || !steps.contains(&Step::CreateNode) || port == 0 {
                    let EngineError::PortTaken { .. } = error else { return Err(error.into()) };
                    return Err(self.taken(record, port, address));
                }
                refused.insert(port);
                record.ports = self.choose_ports(record, false, &refused)?;
                self.host.store.save(record)?;
                self.record = Some(record.clone());
                engine.remove(&ResourceKind::Node, &record.name.resource()).await?;
                self.step(engine, record, Step::CreateNode, inputs).await?;
            }
        }
        self.phases.push(took(name, phase.done()));
        Ok(())
    }

    /// A port that somebody has, and who, where it is one of this machine.
    fn taken(&self, record: &Record, port: u16, address: IpAddr) -> ClusterError {
        let here = record.host.is_none();
        let holder = here.then(|| self.host.platform.port_holder(address, port)).flatten();
        ClusterError::PortTaken { port, address, holder }
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
            Step::SetPorts => {
                let forwards = forwards(&self.spec, record.host.as_deref(), record.ports);
                engine.set_ports(&name, &forwards, &labels()).await?;
            }
            Step::UnpauseNode => engine.unpause_node(&name).await?,
            Step::StartNode => {}
        }
        Ok(())
    }

    pub(super) fn choose_ports(
        &self,
        record: &Record,
        ours: bool,
        refused: &BTreeSet<u16>,
    ) -> Result<Ports, ClusterError> {
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

    pub(super) fn tell_missing_volume(&self, observed: &Observed) {
        if !self.fresh && !observed.volume {
            let text = format!("the volume of cluster {} is gone; it starts empty", self.spec.name);
            self.host.reporter.report(&Event::Warning { text });
        }
    }
}
