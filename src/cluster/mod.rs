//! What a cluster is and how it becomes that: lifecycle, plan, journaled transaction, removal.
//!
//! Everything here goes through the traits [`Engine`], [`Node`](crate::node::Node) and [`Prober`](probe::Prober), and
//! through the [`Store`]. Nothing here knows a terminal, a command line or a concrete engine.

mod addresses;
mod carry;
mod changes;
mod cluster_file;
mod config_problem;
mod ephemeral;
mod error;
mod failure_report;
mod host;
mod image_source;
mod inputs;
mod inventory;
mod kubeconfig;
mod lease;
mod lifecycle;
mod list;
pub(crate) mod networks;
mod next;
pub(crate) mod node_image;
mod node_path;
mod node_spec;
mod pause;
mod plan;
mod port_change;
mod ports;
pub mod probe;
mod remove;
mod report;
mod stop;
mod undo;
mod up;
mod wait;

pub use self::addresses::Addresses;
pub use self::carry::{Carried, CarryError, carry};
pub use self::cluster_file::{read_users_file, write_cluster_file};
pub use self::config_problem::{ClusterFileText, ConfigProblem, of_users_files};
pub use self::ephemeral::Ephemeral;
pub use self::error::ClusterError;
pub use self::host::{EngineSource, Host, node_of};
pub use self::inputs::{InputError, InputFile, read_inputs};
pub use self::inventory::{Inventory, OwnedResource, inventory};
pub use self::kubeconfig::{ContextPlace, certificate_warning, context_place, merge_kubeconfig, unmerge_kubeconfig};
pub use self::lease::{Lease, NoLease, Renewed, renew};
pub use self::lifecycle::Lifecycle;
pub use self::list::{ClusterSummary, Found, find, list};
pub use self::next::next_commands;
pub use self::pause::{find_awake, pause, unpause};
pub use self::plan::{Goal, Observed, Step, plan};
pub use self::port_change::{PortChange, change_ports, forwarded_ports};
pub use self::remove::{Leftover, Removed, gc, leftovers, remove};
pub use self::report::report;
pub use self::stop::{StopRequest, Stopped, start, stop};
pub use self::up::{RequestFile, UpReport, UpRequest, up};
pub use self::wait::{PhaseTime, waiting_for};
