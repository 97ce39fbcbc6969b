//! Clusters for one command, and clusters whose time ends.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use sandbar::engine::fake::{Action, Failpoint};

use crate::sandbox::Sandbox;

/// The program with the system's own programs on its path, away from the terminal that the tests may have.
fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    command.env("PATH", "/usr/bin:/bin").process_group(0);
    command
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> String {
    sandbox.show(&command(sandbox, arguments).output().unwrap())
}

/// Starts `up --ephemeral` with a line of shell, and waits until that has written `started`.
fn start(sandbox: &Sandbox, script: &str) -> Child {
    let script = format!("touch started; {script}");
    let mut command = command(sandbox, &["up", "edge", "--ephemeral", "--", "sh", "-c", &script]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until(|| sandbox.path("started").exists());
    child
}

fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never came to that");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn nothing_remains(sandbox: &Sandbox) {
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn a_command_has_a_cluster_of_its_own() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    let before = sandbox.kubeconfig();
    let script = "echo \"$SANDBAR_CLUSTER\"; grep -c sandbar-default \"$KUBECONFIG\"; grep current \"$KUBECONFIG\"; \
                  stat -c %a \"$KUBECONFIG\"; cat";
    let mut child = command(&sandbox, &["up", "edge", "--ephemeral", "--", "sh", "-c", script]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"its input\n").unwrap();
    assert_snapshot!(sandbox.show(&child.wait_with_output().unwrap()), @r"
    edge
    0
    current-context: sandbar-edge
    600
    its input
    ----- stderr:
    cluster edge is ready after TIME
    cluster edge is removed
    ----- exit code 0
    ");
    assert_eq!(sandbox.kubeconfig(), before);
    sandbox.succeed(&["rm"]);
    nothing_remains(&sandbox);
}

#[test]
fn without_a_name_it_gets_a_free_one_and_commands_in_it_mean_that() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["init", "--name", "edge", "--memory", "1Gi"]);
    let script = format!("{} status --output name", env!("CARGO_BIN_EXE_sandbar"));
    let output = command(&sandbox, &["up", "--ephemeral", "--quiet", "--", "sh", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", sandbox.show(&output));
    let name = String::from_utf8(output.stdout).unwrap();
    assert!(name.starts_with("e-") && name.trim().len() == 8, "{name}");
    assert_eq!(output.stderr, b"", "it is quiet");
    nothing_remains(&sandbox);
    let output = sandbox.command(&["status"]).env("SANDBAR_CLUSTER", "No").output().unwrap();
    assert_snapshot!(sandbox.show(&output), @r"
    stderr:
    error: SANDBAR_CLUSTER: `No` is not a cluster's name: `N` cannot be in a DNS label (use a-z, 0-9 and -; begin and end with a letter or digit)
    ----- exit code 2
    ");
}

#[test]
fn its_exit_code_is_that_of_the_command() {
    let sandbox = Sandbox::new();
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)] {
        let output = command(&sandbox, &["up", "--ephemeral", "--", "sh", "-c", script]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{script}");
        nothing_remains(&sandbox);
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_made() {
    let sandbox = Sandbox::new();
    assert_snapshot!(run(&sandbox, &["up", "--ephemeral", "--", "no-such-program"]), @r"
    stderr:
    error: there is no program no-such-program
    hint: the program comes first after `--`; `sh -c '…'` runs a line of shell
    ----- exit code 2
    ");
    assert_snapshot!(run(&sandbox, &["up", "--ephemeral", "--kubeconfig", "mine", "--", "true"]), @r"
    stderr:
    error: --kubeconfig cannot be used with --ephemeral: the cluster gets one of its own
    hint: the command finds it in KUBECONFIG
    ----- exit code 2
    ");
    for arguments in [
        &["up", "--ephemeral"][..],
        &["up", "--", "true"],
        &["up", "--ephemeral", "--recreate", "--", "true"],
        &["up", "--ephemeral", "--ttl", "1h", "--", "true"],
    ] {
        assert_eq!(sandbox.output(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert!(!sandbox.path(".local").exists());

    sandbox.succeed(&["up", "edge"]);
    insta::allow_duplicates! {
        for forget in [false, true] {
            if forget {
                std::fs::remove_dir_all(sandbox.path(".local/share/sandbar/clusters")).unwrap();
            }
            assert_snapshot!(run(&sandbox, &["up", "edge", "--ephemeral", "--", "true"]), @r"
            stderr:
            error: cluster edge exists already
            hint: leave the name out to have a free one picked, or remove it first: `sandbar rm edge`
            ----- exit code 2
            ");
        }
    }
    sandbox.succeed(&["status", "edge"]);
}

#[test]
fn a_name_is_taken_while_another_command_has_it() {
    let sandbox = Sandbox::new();
    let mut child = start(&sandbox, "while [ ! -e end ]; do sleep 0.02; done");
    assert!(run(&sandbox, &["up", "edge", "--ephemeral", "--", "true"]).contains("edge exists already"));
    sandbox.write("end", "");
    assert!(child.wait().unwrap().success());
    nothing_remains(&sandbox);
}

#[test]
fn a_cluster_that_fails_to_start_is_removed_and_the_command_is_not_run() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        let action = Action::Fail("no space left on device".to_owned());
        behaviour.failpoints = vec![Failpoint { operation: Some("start_node".to_owned()), at: 0, action }];
    });
    assert_snapshot!(run(&sandbox, &["up", "edge", "--ephemeral", "--", "touch", "was-run"]), @r"
    stderr:
    error: fake could not start_node: no space left on device
    hint: make room where fake keeps its images: `fake system df` shows what is there
    hint: the cluster was removed again, as it was never finished
    ----- exit code 3
    ");
    assert!(!sandbox.path("was-run").exists());
    nothing_remains(&sandbox);
}

#[test]
fn a_signal_is_passed_on_and_then_the_cluster_is_removed() {
    for (signal, name) in [(Signal::INT, "INT"), (Signal::TERM, "TERM")] {
        let sandbox = Sandbox::new();
        let script = format!("trap 'echo got {name}; exit 3' {name}; while :; do sleep 0.02; done");
        let child = start(&sandbox, &script);
        // The trap is set soon after the file is there.
        std::thread::sleep(Duration::from_millis(100));
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("got {name}\n"));
        assert_eq!(output.status.code(), Some(3));
        nothing_remains(&sandbox);
    }
}

#[test]
fn a_second_signal_ends_a_command_that_ignores_the_first() {
    let sandbox = Sandbox::new();
    let child = start(&sandbox, "trap 'touch ignored' TERM; while :; do sleep 0.02; done");
    std::thread::sleep(Duration::from_millis(100));
    send(&child, Signal::TERM);
    until(|| sandbox.path("ignored").exists());
    send(&child, Signal::TERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(137), "{}", sandbox.show(&output));
    nothing_remains(&sandbox);
}

#[test]
fn a_signal_while_the_cluster_is_made_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| _ = behaviour.delays_millis.insert("start_node".to_owned(), 300));
    let mut up = command(&sandbox, &["up", "--ephemeral", "--", "touch", "was-run"]);
    let up = up.stderr(Stdio::piped()).spawn().unwrap();
    until(|| sandbox.engine.calls().unwrap().contains_key("start_node"));
    send(&up, Signal::TERM);
    assert_snapshot!(sandbox.show(&up.wait_with_output().unwrap()), @r"
    stderr:
    error: interrupted; everything that was begun has been removed
    ----- exit code 130
    ");
    assert!(!sandbox.path("was-run").exists());
    nothing_remains(&sandbox);
}

#[test]
fn a_cluster_whose_owner_was_killed_is_collected_and_not_before() {
    let sandbox = Sandbox::new();
    let mut child = start(&sandbox, "while [ ! -e end ]; do sleep 0.02; done");
    assert_snapshot!(sandbox.run(&["gc", "--yes"]), @r"
    nothing was left behind
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["ls"]), @r"
    NAME  STATE  KUBERNETES  ENGINE  API  HTTP  AGE  EXPIRES
    edge  running  v1.37.2  fake  https://127.0.0.1:PORT  http://*.edge.localhost  AGE  with its command
    ----- exit code 0
    ");
    assert_eq!(sandbox.json(&["ls"])["clusters"][0]["ephemeral"], true);
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.write("end", "");
    assert_snapshot!(sandbox.run(&["gc", "--yes"]), @r"
    cluster edge removed: the command that it was made for is over
    ----- exit code 0
    ");
    nothing_remains(&sandbox);
}

#[test]
fn a_cluster_that_was_not_removed_is_said_and_collected() {
    let sandbox = Sandbox::new();
    let fail = |code: i32| {
        let script = format!("touch started; while [ ! -e end ]; do sleep 0.02; done; exit {code}");
        for file in ["started", "end"] {
            let _ = std::fs::remove_file(sandbox.path(file));
        }
        let child = start(&sandbox, &script);
        sandbox.behave(|behaviour| {
            let action = Action::Fail("busy".to_owned());
            behaviour.failpoints = vec![Failpoint { operation: Some("remove".to_owned()), at: 0, action }];
        });
        sandbox.write("end", "");
        let shown = sandbox.show(&child.wait_with_output().unwrap());
        sandbox.behave(|behaviour| behaviour.failpoints.clear());
        sandbox.succeed(&["gc", "--yes"]);
        nothing_remains(&sandbox);
        shown
    };
    assert_snapshot!(fail(0), @r"
    stderr:
    cluster edge is ready after TIME
    error: fake could not remove: busy
    hint: `sandbar gc` removes what is left of the cluster
    ----- exit code 1
    ");
    assert_snapshot!(fail(5), @r"
    stderr:
    cluster edge is ready after TIME
    warning: cluster edge was not removed: fake could not remove: busy (`sandbar gc` removes what is left of it)
    ----- exit code 5
    ");
}

#[test]
fn a_cluster_whose_time_is_over_is_collected() {
    let sandbox = Sandbox::new();
    let report = sandbox.json(&["up", "--ttl", "1h"]);
    let expires = |value: &serde_json::Value| value["expires"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let first = expires(&report);
    let in_an_hour = first.as_second() - jiff::Timestamp::now().as_second();
    assert!((3590..=3600).contains(&in_an_hour), "{first}");
    assert_eq!(expires(&sandbox.json(&["ls"])["clusters"][0]), first);
    assert_eq!(expires(&sandbox.json(&["status"])), first);
    assert_eq!(expires(&sandbox.json(&["up"])), first, "an `up` without it leaves it as it is");
    assert!(expires(&sandbox.json(&["up", "--ttl", "150m"])) > first, "it is renewed");
    assert!(sandbox.succeed(&["up"]).contains("  expires     in 2h\n"));
    assert!(sandbox.succeed(&["ls"]).contains("in 2h"));
    assert_eq!(sandbox.run(&["gc"]), "nothing was left behind\n----- exit code 0");

    assert_eq!(sandbox.json(&["up", "--ttl", "1ms"])["outcome"], "unchanged");
    assert!(sandbox.succeed(&["ls"]).contains("over"));
    assert_snapshot!(sandbox.run(&["gc"]), @r"
    stderr:
    error: this would be removed:
    cluster default would be removed: its time is over
    hint: `--yes` does it without asking; `--dry-run` only shows it
    ----- exit code 2
    ");
    assert_eq!(sandbox.json(&["up", "--ttl", "never"])["expires"], serde_json::Value::Null);
    assert_eq!(sandbox.run(&["gc"]), "nothing was left behind\n----- exit code 0");

    sandbox.succeed(&["up", "--ttl", "1ms"]);
    assert_snapshot!(sandbox.run(&["gc", "--yes"]), @r"
    cluster default removed: its time is over
    ----- exit code 0
    ");
    nothing_remains(&sandbox);
}
