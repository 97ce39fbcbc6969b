//! Sandbar: a whole edge Kubernetes cluster on a laptop in seconds.
//!
//! Data goes one way: arguments and cluster file → `ClusterSpec` → `Plan` → engine → node → kubeconfig, and comes back
//! as one report. The library never reads the environment, the home directory or the terminal; a `Context` built in
//! `main` carries them. Rust programs that want a cluster for their tests have [`Cluster`].

pub mod artifact;
pub mod cli;
pub mod cluster;
pub mod context;
pub mod device;
pub mod doctor;
pub mod engine;
pub mod env;
pub mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod image;
pub mod kubeconfig;
mod library;
pub mod node;
pub mod platform;
pub mod process;
pub mod report;
pub mod spec;
pub mod store;
mod tls;
pub mod ui;
mod yaml;

pub use self::library::Cluster;
