//! What a node outlives: faults of all kinds, made for real in a cluster on Podman, while objects are written through its
//! forwarded port. A machine that has not what a fault takes skips it, with the reason.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test without the test harness, and its own way to run programs"
)]

#[path = "faults/api.rs"]
mod api;
#[path = "faults/application.rs"]
mod application;
#[path = "support/dockerd.rs"]
mod dockerd;
#[path = "walk/engine.rs"]
#[allow(dead_code, reason = "it is Podman here")]
mod engine;
#[path = "faults/memory.rs"]
mod memory;
#[path = "faults/network.rs"]
mod network;
#[path = "faults/processes.rs"]
mod processes;
#[path = "support/random.rs"]
mod random;
#[path = "support/required.rs"]
mod required;
#[path = "faults/storm.rs"]
mod storm;
#[path = "walk/suite.rs"]
#[allow(dead_code, reason = "the walk needs more of it")]
mod suite;
#[path = "faults/writer.rs"]
mod writer;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use sandbar::platform::native;

use suite::{Outcome, Suite};

/// Name of the cluster, and so of nothing that a user has.
const CLUSTER: &str = "sandbar-faults";
/// Name of its container, network and volume.
const NODE: &str = "sandbar-sandbar-faults";
/// The engine.
const ENGINE: &str = "podman";

/// A fault: its name and what is done.
type Fault = (&'static str, fn(&Suite) -> Outcome);

/// All of them; each leaves its cluster as it found it.
const FAULTS: [Fault; 3] = [
    ("a_network_that_goes_and_comes_back_heals", network::down_and_up),
    ("a_storm_of_kills_loses_nothing_acknowledged", storm::storm),
    ("a_memory_limit_that_is_reached_loses_nothing_acknowledged", memory::exhausted),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let asked =
        FAULTS.iter().any(|(name, _)| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str())));
    let suite = match (asked && !arguments.list, native().is_superuser()) {
        (false, _) => Err("not asked for".to_owned()),
        (_, false) => Err("only the superuser reaches into a node from outside".to_owned()),
        _ => Suite::new(ENGINE),
    };
    let mut trials = Vec::new();
    if let (true, Err(reason)) = (asked && !arguments.list, &suite) {
        eprintln!("skipped: {reason}");
        trials.extend(required::failure(ENGINE, reason));
    }
    let suite = suite.ok().map(Arc::new);
    for (name, fault) in FAULTS {
        let left_out = suite.is_none() && !arguments.list;
        let suite = suite.clone();
        let run = move || suite.map_or(Ok(()), |suite| suite.step(fault)).map_err(Failed::from);
        trials.push(Trial::test(name, run).with_ignored_flag(left_out));
    }
    drop(suite);
    libtest_mimic::run(&arguments, trials).exit_code()
}
