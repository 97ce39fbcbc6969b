//! What operations on clusters need of their surroundings.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::ClusterError;
use super::probe::Prober;
use crate::artifact::Network;
use crate::engine::{Engine, EngineError, LABEL_HOME, Labels};
use crate::env::Env;
use crate::kubeconfig::{KubeconfigError, Locations};
use crate::node::NodeClient;
use crate::platform::{Interruption, Interruptions, Platform, Waiting};
use crate::spec::{ClusterName, EngineChoice};
use crate::store::{ClusterLock, Record, Store};
use crate::ui::reporter::{Event, Reporter};

/// Finds engines. The one implementation for real ones is in the context.
#[async_trait]
pub trait EngineSource: Send + Sync {
    /// The engine of that choice, and how to probe its nodes. `endpoint` is where a cluster's engine is: that one alone
    /// will do, whatever the environment says by now. `will_create` refuses an engine that cannot run nodes.
    async fn connect(
        &self,
        choice: EngineChoice,
        endpoint: Option<&str>,
        will_create: bool,
    ) -> Result<(Arc<dyn Engine>, Arc<dyn Prober>), EngineError>;

    /// The container engine in whose store the images are that the user builds, for nodes whose own engine has no store.
    async fn image_store(&self) -> Result<Arc<dyn Engine>, EngineError>;
}

/// What operations on clusters need of their surroundings; made by the context.
pub struct Host<'a> {
    /// Sandbar's own files.
    pub store: &'a Store,
    /// Finds engines.
    pub engines: &'a dyn EngineSource,
    /// Is told what happens.
    pub reporter: &'a dyn Reporter,
    /// The system.
    pub platform: &'static dyn Platform,
    /// How the network is reached.
    pub network: &'a Network,
    /// Where the environment says that releases are.
    pub releases: Option<&'a str>,
    /// The user's kubeconfig, or why it cannot be found.
    pub kubeconfig: Result<Locations, KubeconfigError>,
    /// The environment of this process: what in it is private is masked in reports.
    pub env: &'a Env,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// The command, to say who holds a lock.
    pub command: &'a str,
    /// How long to wait for a lock.
    pub patience: Duration,
    /// Whether the user said how long something may take; else what is slow on this host may take longer than usual.
    pub has_deadline: bool,
    /// Whether requests to end this program (Ctrl-C, SIGTERM) end what is being done. A program that this is a library of
    /// has its own way with them.
    pub heeds_signals: bool,
}

impl Host<'_> {
    /// Whether a resource with these labels is known to this folder of Sandbar's own files, or to none in particular.
    pub(super) fn is_own(&self, labels: &Labels) -> bool {
        labels.get(LABEL_HOME).is_none_or(|home| *home == self.store.home_id())
    }

    /// The same but for the kubeconfig.
    pub(super) fn with_kubeconfig(&self, locations: Locations) -> Host<'_> {
        Host { kubeconfig: Ok(locations), ..*self }
    }

    /// Takes a cluster's lock and tells whom it waits for.
    pub(crate) async fn lock(&self, name: &ClusterName) -> Result<ClusterLock, ClusterError> {
        let reporter = self.reporter;
        let mut waiting = |holder: &str| {
            reporter.report(&Event::Waiting { text: format!("{holder}, which changes cluster {name}") });
        };
        Ok(self.store.lock(name, self.command, self.patience, &mut waiting).await?)
    }

    /// The engine of a record.
    pub(super) async fn engine_of(
        &self,
        record: &Record,
        will_create: bool,
    ) -> Result<(Arc<dyn Engine>, Arc<dyn Prober>), ClusterError> {
        match self.engine_at(&record.engine, &record.endpoint, record.spec.engine, will_create).await {
            Err(
                source @ (EngineError::Unreachable { .. }
                | EngineError::Tls { .. }
                | EngineError::Ssh { .. }
                | EngineError::NotInstalled { .. }
                | EngineError::NoQemu { .. }
                | EngineError::QemuTooOld { .. }),
            ) => Err(ClusterError::EngineAway { name: record.name.clone(), source }),
            connected => Ok(connected?),
        }
    }

    /// The engine of that kind at that endpoint, both as records have them; `choice` where they do not say.
    pub(super) async fn engine_at(
        &self,
        kind: &str,
        endpoint: &str,
        choice: EngineChoice,
        will_create: bool,
    ) -> Result<(Arc<dyn Engine>, Arc<dyn Prober>), EngineError> {
        let choice = match kind {
            "podman" => EngineChoice::Podman,
            "docker" => EngineChoice::Docker,
            "machine" => EngineChoice::Machine,
            _ => choice,
        };
        let at = Some(endpoint).filter(|endpoint| !endpoint.is_empty());
        match self.engines.connect(choice, at, will_create).await {
            // An address alone does not say what should answer there.
            Err(EngineError::Unreachable { endpoint, reason, .. }) if at.is_some() => {
                Err(EngineError::Unreachable { engine: kind.to_owned(), endpoint, reason })
            }
            Err(EngineError::Tls { endpoint, problem, .. }) if at.is_some() => {
                Err(EngineError::Tls { engine: kind.to_owned(), endpoint, problem })
            }
            connected => connected,
        }
    }

    /// The user's kubeconfig.
    pub(crate) fn locations(&self) -> Result<&Locations, ClusterError> {
        match &self.kubeconfig {
            Ok(locations) => Ok(locations),
            Err(_) => Err(KubeconfigError::NoLocation.into()),
        }
    }

    /// Tells whom a kubeconfig's lock is waited for.
    pub(super) fn tell_kubeconfig_lock(&self, waiting: &crate::kubeconfig::Waiting) {
        let holder = waiting.holder.as_deref().map(|holder| format!(", held by {holder}")).unwrap_or_default();
        self.reporter.report(&Event::Waiting { text: format!("lock {}{holder}", waiting.path.display()) });
    }

    /// Requests to end this program.
    pub(crate) fn interruptions(&self) -> Result<Box<dyn Interruptions>, ClusterError> {
        if !self.heeds_signals {
            return Ok(Box::new(Never));
        }
        self.platform.interruptions().map_err(|source| {
            ClusterError::Store(crate::store::StoreError::Io {
                action: "listen to signals for",
                path: self.store.dirs().data.clone(),
                source,
            })
        })
    }
}

/// No request ever.
struct Never;

impl Interruptions for Never {
    fn next(&mut self) -> Waiting<'_, Interruption> {
        Box::pin(std::future::pending())
    }
}

/// The client of a cluster's node.
#[must_use]
pub fn node_of(engine: &Arc<dyn Engine>, name: &ClusterName) -> NodeClient {
    NodeClient::new(Arc::clone(engine), name.resource())
}
