//! Clusters that are frozen: what they say, who thaws them, and who asks for that.

use insta::assert_snapshot;
use sandbar::engine::fake::{Behaviour, Probes};

use crate::sandbox::Sandbox;

fn paused() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    sandbox.succeed(&["pause"]);
    sandbox
}

#[test]
fn a_cluster_is_paused_and_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    assert_snapshot!(sandbox.run(&["pause"]), @r"
    cluster default is paused
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["pause"]), @r"
    cluster default was paused already
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["ls"]), @r"
    NAME  STATE  KUBERNETES  ENGINE  API  HTTP  AGE
    default  paused  v1.37.2  fake  https://127.0.0.1:PORT  http://*.default.localhost  AGE
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["status"]), @r"
    cluster default is paused

      engine  fake 1.0.0 (none needed)
      context  sandbar-default
      api  https://127.0.0.1:PORT
      http  http://*.default.localhost
      https  https://*.default.localhost
    ----- stderr:
    error: cluster default is not healthy: it is paused
    hint: `sandbar unpause default` lets it go on
    ----- exit code 1
    ");
    assert_snapshot!(sandbox.run(&["unpause"]), @r"
    cluster default goes on and answers
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["unpause"]), @r"
    cluster default was not paused
    ----- exit code 0
    ");
    sandbox.succeed(&["status"]);
    assert_eq!(
        sandbox.json(&["pause"]),
        serde_json::json!({
            "schemaVersion": 1, "name": "default", "state": "paused", "ran": true
        })
    );
    assert_eq!(
        sandbox.json(&["unpause"]),
        serde_json::json!({
            "schemaVersion": 1, "name": "default", "state": "running", "paused": true
        })
    );
}

#[test]
fn what_needs_a_cluster_awake_says_how_to_wake_it() {
    let sandbox = paused();
    let commands: [&[&str]; 7] = [
        &["kubectl", "get", "pods"],
        &["exec", "--", "ls"],
        &["shell"],
        &["logs"],
        &["image", "ls"],
        &["kubeconfig", "print"],
        &["kubeconfig", "merge"],
    ];
    insta::allow_duplicates! {
        for command in commands {
            assert_snapshot!(sandbox.run(command), @r"
            stderr:
            error: cluster default is paused
            hint: `sandbar unpause default` lets it go on
            ----- exit code 1
            ");
        }
    }
}

#[test]
fn up_and_start_thaw_a_cluster() {
    for command in [&["up"][..], &["start"], &["restart"]] {
        let sandbox = paused();
        assert_eq!(sandbox.json(command)["outcome"], "started", "{command:?}");
        sandbox.succeed(&["status"]);
    }
    let sandbox = paused();
    assert_eq!(sandbox.json(&["up", "--memory", "1Gi", "--recreate"])["outcome"], "recreated");
}

#[test]
fn a_paused_cluster_is_stopped_and_removed_like_another() {
    let sandbox = paused();
    assert_snapshot!(sandbox.run(&["stop"]), @r"
    cluster default is stopped
    ----- exit code 0
    ");
    insta::allow_duplicates! {
        for command in ["pause", "unpause"] {
            assert_snapshot!(sandbox.run(&[command]), @r"
            stderr:
            error: node sandbar-default is not running
            hint: `sandbar start` starts it
            ----- exit code 1
            ");
        }
    }
    let sandbox = paused();
    sandbox.succeed(&["rm"]);
    assert_eq!(sandbox.remains(), Vec::<String>::new());
    assert_eq!(sandbox.output(&["pause"]).status.code(), Some(5));
    assert_eq!(sandbox.output(&["unpause"]).status.code(), Some(5));
}

#[test]
fn unpause_is_not_done_before_the_cluster_answers() {
    let sandbox = paused();
    let silent = Probes { api_fails: Some("connection refused".to_owned()), ..Probes::default() };
    sandbox.engine.set_behaviour(&Behaviour { probes: silent, ..Behaviour::default() }).unwrap();
    // Also the second time, when it is not paused any more.
    insta::allow_duplicates! {
        for _ in 0..2 {
            assert_snapshot!(sandbox.run(&["unpause", "--timeout", "300ms"]), @r"
            stderr:
            error: cluster default was not ready within 300ms; still waiting for https://127.0.0.1:PORT/readyz (connection refused)
            hint: `--timeout 5m` waits longer
            ----- exit code 4
            ");
        }
    }
    sandbox.engine.set_behaviour(&Behaviour::default()).unwrap();
    sandbox.succeed(&["unpause"]);
}
