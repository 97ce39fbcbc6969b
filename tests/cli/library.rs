//! Clusters as values, for the integration tests of Rust programs.

use std::time::Duration;

use sandbar::Cluster;
use sandbar::engine::fake::{Action, Failpoint};
use sandbar::env::Env;
use sandbar::error::Failure;
use sandbar::spec::Flags;

use crate::sandbox::{Sandbox, runtime};

fn up(sandbox: &Sandbox, flags: Flags) -> Result<Cluster, Failure> {
    let env = Env::from_lookup(|name| match name {
        "HOME" => Some(sandbox.path("").into()),
        "SANDBAR_ENGINE" => Some(format!("fake:{}", sandbox.path("engine").display()).into()),
        _ => None,
    });
    runtime().block_on(Cluster::up_in(env, flags, Some(Duration::from_secs(30))))
}

fn named(name: &str) -> Flags {
    Flags { name: Some(name.parse().unwrap()), ..Flags::default() }
}

#[test]
fn a_cluster_is_there_as_long_as_its_value() {
    let sandbox = Sandbox::new();
    let first = up(&sandbox, Flags::default()).unwrap();
    let second = up(&sandbox, named("edge")).unwrap();
    assert!(first.name().as_str().starts_with("e-"));
    assert_ne!(first.addresses().api, second.addresses().api);
    let kubeconfig = std::fs::read_to_string(second.kubeconfig()).unwrap();
    assert!(kubeconfig.contains("current-context: sandbar-edge"), "{kubeconfig}");
    assert_eq!(sandbox.kubeconfig(), "");
    assert_eq!(sandbox.run(&["gc", "--yes"]), "nothing was left behind\n----- exit code 0");

    runtime().block_on(second.remove()).unwrap();
    assert_eq!(sandbox.succeed(&["ls", "--output", "name"]), format!("{}\n", first.name()));
    // Also in the middle of a runtime, where a failed assertion drops it.
    runtime().block_on(async { drop(first) });
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn a_cluster_that_is_kept_is_one_like_others() {
    let sandbox = Sandbox::new();
    let cluster = up(&sandbox, named("edge")).unwrap();
    assert_eq!(runtime().block_on(cluster.keep()).unwrap().as_str(), "edge");
    assert_eq!(sandbox.run(&["gc", "--yes"]), "nothing was left behind\n----- exit code 0");
    assert_eq!(sandbox.json(&["ls"])["clusters"][0]["ephemeral"], false);
    assert_eq!(sandbox.json(&["up", "edge"])["outcome"], "unchanged");
    sandbox.succeed(&["rm", "edge"]);
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn a_cluster_that_cannot_be_made_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up", "edge"]);
    let error = up(&sandbox, named("edge")).unwrap_err();
    assert_eq!(error.to_string(), "cluster edge exists already");
    sandbox.succeed(&["rm", "edge"]);
    sandbox.behave(|behaviour| {
        let action = Action::Fail("no space left on device".to_owned());
        behaviour.failpoints = vec![Failpoint { operation: Some("start_node".to_owned()), at: 0, action }];
    });
    let error = up(&sandbox, Flags::default()).unwrap_err();
    assert_eq!(error.to_string(), "fake could not start_node: no space left on device");
    sandbox.behave(|behaviour| behaviour.failpoints.clear());
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}
