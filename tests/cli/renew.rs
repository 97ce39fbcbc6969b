//! Clusters that are given time anew, also while `gc` looks for those whose time is over.

use std::process::{Child, Stdio};

use insta::assert_snapshot;
use jiff::Timestamp;
use sandbar::engine::fake::{Action, Failpoint};

use crate::sandbox::Sandbox;

/// Starts a command and waits until the engine was asked to do that once more than before.
fn start(sandbox: &Sandbox, arguments: &[&str], operation: &str) -> Child {
    let asked = || sandbox.engine.calls().unwrap().get(operation).copied().unwrap_or_default();
    let before = asked();
    let child = sandbox.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = std::time::Instant::now();
    while asked() == before {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "it never came to {operation}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child
}

fn delay(sandbox: &Sandbox, operation: &str, millis: u64) {
    sandbox.behave(|behaviour| _ = behaviour.delays_millis.insert(operation.to_owned(), millis));
}

fn show(sandbox: &Sandbox, child: Child) -> String {
    sandbox.show(&child.wait_with_output().unwrap())
}

fn expires(report: &serde_json::Value) -> Option<Timestamp> {
    Some(report["expires"].as_str()?.parse().unwrap())
}

#[test]
fn a_cluster_is_given_time_without_its_engine() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up", "edge", "--ttl", "2h"]);
    let before = expires(&sandbox.json(&["status", "edge"])).unwrap();
    let calls = sandbox.engine.calls().unwrap();
    assert_snapshot!(sandbox.run(&["renew", "edge"]), @r"
    cluster edge expires in 2h
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["renew", "edge", "--ttl", "30m"]), @r"
    cluster edge expires in 30m
    ----- exit code 0
    ");
    let report = sandbox.json(&["renew", "edge"]);
    assert_eq!((&report["schemaVersion"], &report["name"]), (&1.into(), &"edge".into()));
    let renewed = expires(&report).unwrap();
    assert!(renewed < before, "the half hour was said last: {before}, {renewed}");
    assert_eq!(sandbox.succeed(&["renew", "edge", "-o", "name"]), "edge\n");
    assert_eq!(sandbox.engine.calls().unwrap(), calls, "the engine was not asked");
    let shown = sandbox.json(&["ls"])["clusters"][0].clone();
    assert!(expires(&shown).unwrap() >= renewed, "{shown}");

    assert_snapshot!(sandbox.run(&["renew", "edge", "--ttl", "never"]), @r"
    cluster edge stays until it is removed
    ----- exit code 0
    ");
    assert_eq!(sandbox.json(&["ls"])["clusters"][0]["expires"], serde_json::Value::Null);
    assert_snapshot!(sandbox.run(&["renew", "edge"]), @r"
    stderr:
    error: cluster edge cannot be renewed: it is there until it is removed
    hint: `sandbar renew edge --ttl 1h` gives it an hour from now on
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["renew", "edge", "--ttl", "soon"]), @r"
    stderr:
    error: invalid value 'soon' for '--ttl <TIME>': `soon` is not a length of time (such as AGE, 5m or 500ms)

    For more information, try '--help'.
    ----- exit code 2
    ");
}

#[test]
fn only_a_cluster_that_stays_has_a_time() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["renew", "edge", "--ttl", "1h"]), @r"
    stderr:
    error: there is no cluster edge
    hint: `sandbar up` makes one
    ----- exit code 5
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
    let killed_in = |operation: &str| {
        sandbox.behave(|behaviour| {
            let operation = Some(operation.to_owned());
            behaviour.failpoints = vec![Failpoint { operation, at: 0, action: Action::Kill }];
        });
    };
    killed_in("start_node");
    assert!(!sandbox.output(&["up", "edge"]).status.success());
    sandbox.behave(|behaviour| behaviour.failpoints.clear());
    assert_snapshot!(sandbox.run(&["renew", "edge", "--ttl", "1h"]), @r"
    stderr:
    error: cluster edge cannot be renewed: its first `up` was interrupted
    hint: `sandbar up edge` completes it, with `--ttl` for a time
    ----- exit code 2
    ");
    sandbox.succeed(&["up", "edge"]);
    killed_in("remove");
    assert!(!sandbox.output(&["rm", "edge"]).status.success());
    sandbox.behave(|behaviour| behaviour.failpoints.clear());
    assert_snapshot!(sandbox.run(&["renew", "edge", "--ttl", "1h"]), @r"
    stderr:
    error: cluster edge cannot be renewed: its removal was interrupted
    hint: `sandbar rm edge` completes that
    ----- exit code 2
    ");
    sandbox.succeed(&["rm", "edge"]);
    // In a cluster that is there for one command.
    let script = format!("{} renew --ttl 1h", env!("CARGO_BIN_EXE_sandbar"));
    let mut command = sandbox.command(&["up", "edge", "--ephemeral", "--quiet", "--", "/bin/sh", "-c", &script]);
    assert_snapshot!(sandbox.show(&command.output().unwrap()), @r"
    stderr:
    error: cluster edge cannot be renewed: it is there for one command and goes with that
    ----- exit code 2
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn what_is_renewed_while_gc_looks_stays() {
    let sandbox = Sandbox::new();
    for name in ["old", "wanted"] {
        sandbox.succeed(&["up", name, "--ttl", "1ms"]);
    }
    // It has read that the time of both is over, and asks the engine.
    delay(&sandbox, "list_resources", 1500);
    let gc = start(&sandbox, &["gc", "--yes"], "list_resources");
    assert_snapshot!(sandbox.run(&["renew", "wanted", "--ttl", "1h"]), @r"
    cluster wanted expires in 1h
    ----- exit code 0
    ");
    assert_snapshot!(show(&sandbox, gc), @r"
    cluster old removed: its time is over
    ----- exit code 0
    ");
    delay(&sandbox, "list_resources", 0);
    sandbox.succeed(&["status", "wanted"]);
    assert_eq!(sandbox.succeed(&["ls", "-o", "name"]), "wanted\n");
}

#[test]
fn what_gc_has_begun_to_remove_is_not_renewed() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up", "edge", "--ttl", "1ms"]);
    delay(&sandbox, "remove", 300);
    let gc = start(&sandbox, &["gc", "--yes"], "remove");
    assert_snapshot!(sandbox.run(&["renew", "edge", "--ttl", "1h"]), @r"
    stderr:
    waiting for `sandbar gc` (process PID), which changes cluster edge
    error: there is no cluster edge
    hint: `sandbar up` makes one
    ----- exit code 5
    ");
    assert_snapshot!(show(&sandbox, gc), @r"
    cluster edge removed: its time is over
    ----- exit code 0
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}
