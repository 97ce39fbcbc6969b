//! Clusters that are stopped as they run: what `stop` says, what is told of them, and how they start again.

use insta::assert_snapshot;
use sandbar::engine::fake::Keep;

use crate::sandbox::Sandbox;

/// A cluster whose engine keeps what runs.
fn keeping() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| behaviour.keep = Keep::Kept(381 << 20));
    sandbox.succeed(&["up"]);
    sandbox
}

#[test]
fn a_cluster_is_stopped_as_it_runs_and_goes_on() {
    let sandbox = keeping();
    assert_snapshot!(sandbox.run(&["stop"]), @r"
    cluster default is stopped; its state is kept (381 MiB)
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["stop"]), @r"
    cluster default was stopped already; its state is kept (381 MiB)
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["ls"]), @r"
    NAME  STATE  KUBERNETES  ENGINE  API  HTTP  AGE  KEPT STATE
    default  stopped  v1.37.2  fake  https://127.0.0.1:PORT  http://*.default.localhost  AGE  381 MiB
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["status"]), @r"
    cluster default is stopped

      engine  fake 1.0.0 (none needed)
      context  sandbar-default
      api  https://127.0.0.1:PORT
      http  http://*.default.localhost
      https  https://*.default.localhost
      kept state  381 MiB, AGE old; `sandbar start default` goes on from it
    ----- stderr:
    error: cluster default is not healthy: it is stopped
    hint: `sandbar start default` starts it
    ----- exit code 1
    ");
    assert_eq!(sandbox.json(&["ls"])["clusters"][0]["kept"]["bytes"], 381 << 20);
    sandbox.succeed(&["start"]);
    assert_eq!(sandbox.json(&["status"])["kept"], serde_json::Value::Null);
    assert_eq!(sandbox.json(&["stop"])["kept"]["bytes"], 381 << 20);
}

#[test]
fn a_state_that_does_not_fit_is_dropped_with_a_note() {
    let sandbox = keeping();
    sandbox.succeed(&["stop"]);
    sandbox.behave(|behaviour| behaviour.kept_is_unfit = Some("it was kept by sandbar 0.0.9".to_owned()));
    assert_snapshot!(sandbox.run(&["start", "--output", "name"]), @r"
    default
    ----- stderr:
    the machine's kept state is dropped: it was kept by sandbar 0.0.9
    ----- exit code 0
    ");
}

#[test]
fn a_shutdown_keeps_nothing() {
    let sandbox = keeping();
    for arguments in [&["stop", "--shutdown"][..], &["stop", "--grace", "1s"]] {
        assert_eq!(sandbox.json(arguments)["kept"], serde_json::Value::Null, "{arguments:?}");
        sandbox.succeed(&["start"]);
    }
    // Also one that was kept is dropped, and a restart is a new start.
    sandbox.succeed(&["stop"]);
    sandbox.behave(|behaviour| behaviour.kept_is_unfit = Some("it would not fit".to_owned()));
    assert_snapshot!(sandbox.run(&["stop", "--shutdown"]), @r"
    cluster default was stopped already
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["restart", "--output", "name"]), @r"
    default
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["restart", "--output", "name"]), @r"
    default
    ----- exit code 0
    ");
}

#[test]
fn what_cannot_be_kept_is_shut_down_and_said() {
    let sandbox = keeping();
    sandbox.behave(|behaviour| behaviour.keep = Keep::Refused("the accelerator cannot save it".to_owned()));
    assert_snapshot!(sandbox.run(&["stop"]), @r"
    cluster default is stopped
    ----- stderr:
    cluster default is shut down, its state cannot be kept: the accelerator cannot save it
    ----- exit code 0
    ");
}

#[test]
fn recreating_drops_what_was_kept() {
    let sandbox = keeping();
    sandbox.succeed(&["stop"]);
    sandbox.behave(|behaviour| behaviour.kept_is_unfit = Some("it would not fit".to_owned()));
    assert_snapshot!(sandbox.run(&["up", "--recreate", "--output", "name"]), @r"
    default
    ----- exit code 0
    ");
}
