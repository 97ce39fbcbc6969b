//! `up` and `rm` interrupted at every step: nothing is left, or something that the next command completes.

use std::time::{Duration, Instant};

use sandbar::engine::fake::{Action, Behaviour, Failpoint, Script};

use crate::sandbox::{Sandbox, interrupt};

fn at(step: u64, action: Action) -> Behaviour {
    Behaviour { failpoints: vec![Failpoint { operation: None, at: step, action }], ..Behaviour::default() }
}

/// At the first call of that operation.
fn at_first(operation: &str, action: Action) -> Behaviour {
    let failpoint = Failpoint { operation: Some(operation.to_owned()), at: 1, action };
    Behaviour { failpoints: vec![failpoint], ..Behaviour::default() }
}

/// Runs `command` with a failpoint at each changing call in turn, until one run is through without reaching it.
fn at_each_step(prepare: impl Fn(&Sandbox), command: &[&str], action: &Action, check: impl Fn(&Sandbox, u64)) {
    for step in 1.. {
        assert!(step < 30, "no run was ever through");
        let sandbox = Sandbox::new();
        prepare(&sandbox);
        let before = changes(&sandbox);
        sandbox.engine.set_behaviour(&at(before + step, action.clone())).unwrap();
        let output = sandbox.output(command);
        sandbox.engine.set_behaviour(&Behaviour::default()).unwrap();
        if output.status.success() && changes(&sandbox) < before + step {
            assert!(step > 3, "{command:?} changes more than that");
            return;
        }
        check(&sandbox, step);
    }
}

fn changes(sandbox: &Sandbox) -> u64 {
    state(sandbox)["changes"].as_u64().unwrap()
}

/// What the engine knows.
fn state(sandbox: &Sandbox) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(sandbox.path("engine/state.json")).unwrap()).unwrap()
}

/// Waits until the engine was called for that; its folder has no events.
fn until_called(sandbox: &Sandbox, operation: &str) {
    let begun = Instant::now();
    while !sandbox.engine.calls().unwrap().contains_key(operation) {
        assert!(begun.elapsed() < Duration::from_secs(10), "it never came to {operation}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn completes(sandbox: &Sandbox, step: u64) {
    let report = sandbox.json(&["up"]);
    assert_eq!(report["name"], "default", "step {step}");
    assert_eq!(sandbox.succeed(&["ls", "--output", "name"]), "default\n");
    sandbox.succeed(&["status"]);
    sandbox.succeed(&["rm"]);
    assert_eq!(sandbox.remains(), Vec::<String>::new(), "step {step}");
}

#[test]
fn an_up_that_is_killed_is_completed_by_the_next() {
    at_each_step(|_| (), &["up"], &Action::Kill, completes);
    at_each_step(|_| (), &["up"], &Action::KillAfter, completes);
}

#[test]
fn an_up_that_is_killed_is_removed_by_rm_and_by_gc() {
    let removed = |sandbox: &Sandbox, step: u64| {
        sandbox.succeed(&["rm"]);
        assert_eq!(sandbox.remains(), Vec::<String>::new(), "step {step}");
    };
    at_each_step(|_| (), &["up"], &Action::KillAfter, removed);
    let collected = |sandbox: &Sandbox, step: u64| {
        sandbox.succeed(&["gc", "--yes"]);
        assert_eq!(sandbox.remains(), Vec::<String>::new(), "step {step}");
    };
    at_each_step(|_| (), &["up"], &Action::Kill, collected);
}

#[test]
fn a_doctor_that_is_killed_leaves_what_gc_removes() {
    let collected = |sandbox: &Sandbox, step: u64| {
        sandbox.succeed(&["gc", "--yes"]);
        assert_eq!(sandbox.remains(), Vec::<String>::new(), "step {step}");
    };
    at_each_step(|_| (), &["doctor", "container-starts"], &Action::Kill, collected);
    at_each_step(|_| (), &["doctor", "container-starts"], &Action::KillAfter, collected);
}

#[test]
fn a_doctor_whose_engine_fails_leaves_nothing() {
    let nothing = |sandbox: &Sandbox, step: u64| {
        // What could not be removed is told, and is for `gc`.
        sandbox.succeed(&["gc", "--yes"]);
        assert_eq!(sandbox.remains(), Vec::<String>::new(), "step {step}");
    };
    at_each_step(|_| (), &["doctor", "container-starts"], &Action::Fail("no space left on device".to_owned()), nothing);
}

#[test]
fn an_up_that_is_killed_can_be_completed_otherwise() {
    let otherwise = |sandbox: &Sandbox, step: u64| {
        let report = sandbox.json(&["up", "--memory", "2Gi", "--label", "a=b"]);
        assert_eq!(report["outcome"], "created", "step {step}");
        assert_eq!(sandbox.json(&["up"])["outcome"], "unchanged", "step {step}");
    };
    at_each_step(|_| (), &["up"], &Action::KillAfter, otherwise);
}

#[test]
fn an_up_that_fails_leaves_nothing() {
    let nothing = |sandbox: &Sandbox, step: u64| {
        assert_eq!(sandbox.remains(), Vec::<String>::new(), "step {step}");
    };
    at_each_step(|_| (), &["up"], &Action::Fail("no space left on device".to_owned()), nothing);
    at_each_step(|_| (), &["up"], &Action::FailAfter("connection reset".to_owned()), nothing);
}

#[test]
fn an_rm_that_is_killed_or_fails_is_completed_by_the_next() {
    let prepare = |sandbox: &Sandbox| {
        sandbox.succeed(&["up"]);
    };
    for action in [Action::Kill, Action::KillAfter, Action::Fail("busy".to_owned())] {
        let complete = |sandbox: &Sandbox, step: u64| {
            sandbox.succeed(&["rm"]);
            assert_eq!(sandbox.remains(), Vec::<String>::new(), "{action:?} at step {step}");
        };
        for step in 1..=3 {
            let sandbox = Sandbox::new();
            prepare(&sandbox);
            let behaviour = at(changes(&sandbox) + step, action.clone());
            sandbox.engine.set_behaviour(&behaviour).unwrap();
            assert!(!sandbox.output(&["rm"]).status.success(), "{action:?} at step {step}");
            sandbox.engine.set_behaviour(&Behaviour::default()).unwrap();
            assert!(sandbox.succeed(&["ls"]).contains("removing"));
            complete(&sandbox, step);
        }
    }
}

#[test]
fn a_recreation_that_is_interrupted_is_completed_by_the_next_up() {
    let prepare = |sandbox: &Sandbox| {
        sandbox.succeed(&["up"]);
    };
    let refused = Action::Fail("no space left on device".to_owned());
    for action in [Action::Kill, Action::KillAfter, refused, Action::FailAfter("connection reset".to_owned())] {
        for again in [&["up"][..], &["start"], &["up", "--memory", "1Gi"]] {
            let completed = |sandbox: &Sandbox, step: u64| {
                let volume = sandbox.path("engine/volumes/sandbar-default/cluster-id");
                let id = std::fs::read_to_string(&volume).unwrap();
                let report = sandbox.json(again);
                let memory = &state(sandbox)["nodes"]["sandbar-default"]["memoryBytes"];
                assert_eq!(*memory, 1 << 30, "{action:?} at step {step}, then {again:?}");
                assert_eq!(report["clusterId"], id, "{action:?} at step {step}, then {again:?}");
                assert_eq!(sandbox.json(&["up"])["outcome"], "unchanged", "{action:?} at step {step}, then {again:?}");
            };
            at_each_step(prepare, &["up", "--memory", "1Gi", "--recreate"], &action, completed);
        }
    }
}

#[test]
fn ctrl_c_removes_the_container_of_doctor() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        let hangs = Script { hangs: true, ..Script::default() };
        behaviour.node.verbs.insert("host-check".to_owned(), hangs);
    });
    let child = sandbox.command(&["doctor"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    until_called(&sandbox, "logs");
    assert!(!sandbox.remains().is_empty());
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    insta::assert_snapshot!(sandbox.show(&output), @r"
    stderr:
    error: interrupted; everything that was begun has been removed
    ----- exit code 130
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn ctrl_c_leaves_nothing_and_says_so() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        behaviour.failpoints =
            vec![Failpoint { operation: Some("start_node".to_owned()), at: 1, action: Action::Hang }];
    });
    let child = sandbox.command(&["up"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    until_called(&sandbox, "start_node");
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    insta::assert_snapshot!(sandbox.show(&output), @r"
    stderr:
    error: interrupted; everything that was begun has been removed
    ----- exit code 130
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn ctrl_c_during_whatever_call_leaves_nothing() {
    for operation in [
        "inspect_node",
        "inspect_image",
        "list_resources",
        "subnets",
        "create_network",
        "create_volume",
        "create_node",
        "start_node",
        "sandbarctl status",
        "sandbarctl kubeconfig",
    ] {
        let sandbox = Sandbox::new();
        sandbox.behave(|behaviour| _ = behaviour.delays_millis.insert(operation.to_owned(), 300));
        let mut up = sandbox.command(&["up"]).stderr(std::process::Stdio::null()).spawn().unwrap();
        until_called(&sandbox, operation);
        interrupt(&up);
        assert_eq!(up.wait().unwrap().code(), Some(130), "{operation}");
        assert_eq!(sandbox.remains(), Vec::<String>::new(), "{operation}");
    }
}

#[test]
fn an_up_that_is_killed_while_the_node_starts_is_completed_or_removed() {
    for operation in ["sandbarctl status", "sandbarctl kubeconfig"] {
        for then in [&["up"][..], &["rm"], &["gc", "--yes"]] {
            let sandbox = Sandbox::new();
            sandbox.engine.set_behaviour(&at_first(operation, Action::Kill)).unwrap();
            assert!(!sandbox.output(&["up"]).status.success(), "{operation}");
            sandbox.engine.set_behaviour(&Behaviour::default()).unwrap();
            sandbox.succeed(then);
            if then == ["up"] {
                completes(&sandbox, 0);
            }
            assert_eq!(sandbox.remains(), Vec::<String>::new(), "{operation}, then {then:?}");
        }
    }
}

#[test]
fn an_up_that_is_killed_after_the_kubeconfig_was_written_is_completed_or_removed() {
    for then in [&["up"][..], &["rm"], &["gc", "--yes"]] {
        let sandbox = Sandbox::new();
        sandbox.succeed(&["up"]);
        // What the record says until everything is done.
        let path = sandbox.path(".local/share/sandbar/clusters/default/cluster.json");
        let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        record["operation"] = serde_json::json!({"kind": "create", "since": record["created"]});
        record.as_object_mut().unwrap().retain(|key, _| key != "kubernetesVersion" && key != "clusterId");
        std::fs::write(&path, record.to_string()).unwrap();
        assert!(sandbox.succeed(&["ls"]).contains("interrupted"));
        sandbox.succeed(then);
        if then == ["up"] {
            completes(&sandbox, 0);
        }
        assert_eq!(sandbox.remains(), Vec::<String>::new(), "then {then:?}");
    }
}

#[test]
fn an_engine_that_dies_leaves_what_the_next_command_completes_or_removes() {
    at_each_step(|_| (), &["up"], &Action::Die, completes);
    for then in [&["rm"][..], &["gc", "--yes"]] {
        let removed = |sandbox: &Sandbox, step: u64| {
            sandbox.succeed(then);
            assert_eq!(sandbox.remains(), Vec::<String>::new(), "step {step}, then {then:?}");
        };
        at_each_step(|_| (), &["up"], &Action::Die, removed);
    }
    for operation in ["inspect_node", "list_resources", "sandbarctl status", "sandbarctl kubeconfig"] {
        let sandbox = Sandbox::new();
        sandbox.engine.set_behaviour(&at_first(operation, Action::Die)).unwrap();
        assert_eq!(sandbox.output(&["up"]).status.code(), Some(3), "{operation}");
        sandbox.engine.set_behaviour(&Behaviour::default()).unwrap();
        completes(&sandbox, 0);
    }
}

#[test]
fn what_could_not_be_undone_is_said() {
    let sandbox = Sandbox::new();
    sandbox.engine.set_behaviour(&at_first("start_node", Action::Die)).unwrap();
    insta::assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: fake is installed, but its API at fake:~/engine does not answer: connection refused
    hint: `podman info` says more; where Podman has a machine, `podman machine start` starts it
    hint: what was begun could not be removed (fake is installed, but its API at fake:~/engine does not answer: connection refused); `sandbar up` goes on with it, `sandbar rm` removes it
    ----- exit code 3
    ");
    insta::assert_snapshot!(sandbox.run(&["rm"]), @r"
    stderr:
    error: fake is installed, but its API at fake:~/engine does not answer: connection refused
    hint: cluster default was made there, and nothing of it was changed
    ----- exit code 3
    ");
}

#[test]
fn a_recreation_whose_engine_dies_is_completed_by_the_next_up() {
    let prepare = |sandbox: &Sandbox| {
        sandbox.succeed(&["up"]);
    };
    let completed = |sandbox: &Sandbox, step: u64| {
        sandbox.succeed(&["up"]);
        assert_eq!(state(sandbox)["nodes"]["sandbar-default"]["memoryBytes"], 1 << 30, "step {step}");
    };
    at_each_step(prepare, &["up", "--memory", "1Gi", "--recreate"], &Action::Die, completed);
}
