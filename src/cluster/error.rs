//! Why something could not be done to a cluster. Facts only; hints are added where commands are.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::config_problem::{self, ConfigProblem};
use super::inputs::InputError;
use super::lease::NoLease;
use super::probe::ProbeError;
use crate::artifact::ArtifactError;
use crate::doctor::Unfit;
use crate::engine::EngineError;
use crate::kubeconfig::{EntryError, KubeconfigError};
use crate::node::NodeError;
use crate::platform::PortHolder;
use crate::report::ReportError;
use crate::spec::{Change, ClusterName, ImageReference, NodeImage, SpecError};
use crate::store::StoreError;

/// Why something could not be done to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is none of that name.
    #[error("there is no cluster {name}")]
    NoSuchCluster {
        /// The name.
        name: ClusterName,
        /// Names that there are.
        known: Vec<ClusterName>,
    },
    /// There is one of that name, and it should be a new one.
    #[error("cluster {name} exists already")]
    Exists {
        /// The name.
        name: ClusterName,
    },
    /// It is frozen, and what was asked of it needs it awake.
    #[error("cluster {name} is paused")]
    Paused {
        /// The name.
        name: ClusterName,
    },
    /// It cannot be wanted for longer.
    #[error("cluster {name} cannot be renewed: {reason}")]
    NoLease {
        /// The name.
        name: ClusterName,
        /// Why not.
        reason: NoLease,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine that a cluster was made in does not answer.
    #[error("{source}")]
    EngineAway {
        /// The cluster.
        name: ClusterName,
        /// What became of the attempt to reach it.
        source: EngineError,
    },
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Sandbar's own files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user's kubeconfig.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// The node's kubeconfig.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// What the user wants makes no cluster.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A file that the cluster should be made with.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The node's configuration is wrong.
    #[error("{}", config_problem::words(problems))]
    ConfigInvalid {
        /// Everything that is, at least one thing.
        problems: Vec<ConfigProblem>,
    },
    /// A cluster of that name was made with other files of Sandbar's own.
    #[error("cluster {name} is in the engine already, made by another user or with another SANDBAR_HOME")]
    OtherHome {
        /// Its name.
        name: ClusterName,
    },
    /// This machine is not fit for a cluster.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The node image is not in the engine.
    #[error("{engine} has no image {image}")]
    NoImage {
        /// The engine.
        engine: String,
        /// The image.
        image: ImageReference,
    },
    /// What was named as the node image is none.
    #[error("node image {} cannot be used: {reason}", path.display())]
    ArchiveUnusable {
        /// The archive or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of a release.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The node image is for something else.
    #[error("image {image} is not a node image that this sandbar can run: {reason}")]
    ImageUnfit {
        /// The image.
        image: NodeImage,
        /// What is wrong with it.
        reason: String,
        /// The architecture of the device that it should be for, where that is what is wrong.
        of_device: Option<String>,
    },
    /// The cluster exists with other settings.
    #[error("cluster {name} exists with other settings")]
    NeedsRecreate {
        /// The cluster.
        name: ClusterName,
        /// What would change.
        changes: Vec<Change>,
    },
    /// Something would change that a cluster keeps for its life.
    #[error("cluster {name} cannot change its {what}: a cluster keeps it for its life")]
    Immutable {
        /// The cluster.
        name: ClusterName,
        /// `cluster network`, `service network`, `engine` or `device`.
        what: &'static str,
    },
    /// The node's engine gives it no other ports as it is.
    #[error("cluster {name} keeps the ports that {engine} made it with")]
    PortsFixed {
        /// The cluster.
        name: ClusterName,
        /// The engine.
        engine: String,
    },
    /// A port that should be forwarded no more is not.
    #[error("port {port} is none of the further ports of cluster {name}")]
    NotForwarded {
        /// The cluster.
        name: ClusterName,
        /// The port of this machine.
        port: u16,
        /// Those that there are.
        known: Vec<u16>,
    },
    /// A port that was asked for, or that the cluster has, is taken.
    #[error("port {port} on {address} is taken{}", holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default())]
    PortTaken {
        /// The port.
        port: u16,
        /// The address.
        address: IpAddr,
        /// Who has it, where the system says so.
        holder: Option<PortHolder>,
    },
    /// A port that was asked for leads elsewhere.
    #[error("port {port} on {address} is no good: a firewall rule of this machine leads its connections elsewhere")]
    PortAstray {
        /// The port.
        port: u16,
        /// The address.
        address: IpAddr,
    },
    /// No port is left.
    #[error("no port is free on {address} for {purpose}")]
    NoPortLeft {
        /// The address.
        address: IpAddr,
        /// `api`, `http` or `https`.
        purpose: &'static str,
    },
    /// No network is left.
    #[error("every private network that pods and services could have overlaps a route of this host")]
    NoNetworkLeft,
    /// It did not become healthy in time.
    #[error("cluster {name} was not ready within {after:?}; still waiting for {waiting_for}")]
    TimedOut {
        /// The cluster.
        name: ClusterName,
        /// How long was waited.
        after: Duration,
        /// For what.
        waiting_for: String,
    },
    /// The node's first process ended while it should have become healthy.
    #[error("the node of cluster {name} ended while it was starting: exit code {code}{}", if *.out_of_memory { ", out of memory" } else { "" })]
    NodeEnded {
        /// The cluster.
        name: ClusterName,
        /// Its exit code.
        code: i64,
        /// Whether the kernel ended it for want of memory.
        out_of_memory: bool,
    },
    /// The laptop's side is answered by something else.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The user interrupted.
    #[error("interrupted{}", if *.removed { "; everything that was begun has been removed" } else { "" })]
    Interrupted {
        /// Whether what was begun has been removed.
        removed: bool,
    },
    /// A report could not be made.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// It failed, and a report was kept.
    #[error("{source}")]
    WithReport {
        /// Why.
        source: Box<ClusterError>,
        /// The report's archive.
        archive: PathBuf,
    },
    /// It failed, and what was begun has been removed.
    #[error("{source}")]
    Removed {
        /// Why.
        source: Box<ClusterError>,
    },
    /// It failed, and what was begun could not be removed either.
    #[error("{source}")]
    NotUndone {
        /// Why it failed.
        source: Box<ClusterError>,
        /// Why it could not be undone.
        undo: Box<ClusterError>,
    },
}
