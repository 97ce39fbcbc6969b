//! What bad input gets: the exact words and exit codes.

use std::net::TcpListener;

use insta::assert_snapshot;
use sandbar::engine::ResourceKind;
use sandbar::engine::fake::{Action, Component, Connect, Failpoint, Probes, Script};

use crate::sandbox::Sandbox;

#[test]
fn no_engine() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| behaviour.connect = Connect::NotInstalled);
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: no container engine is installed (looked for podman, docker)
    hint: install Podman (`sudo apt-get install podman`, or https://podman.io) or Docker (https://docs.docker.com/engine/install)
    ----- exit code 3
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn an_engine_that_does_not_answer() {
    let sandbox = Sandbox::new();
    let reason = "permission denied".to_owned();
    sandbox.behave(|behaviour| behaviour.connect = Connect::Unreachable(reason));
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: fake is installed, but its API at fake:~/engine does not answer: permission denied
    hint: `podman info` says more; where Podman has a machine, `podman machine start` starts it
    ----- exit code 3
    ");
    assert_snapshot!(sandbox.run(&["ls"]), @r"
    there are no clusters; `sandbar up` makes one
    ----- exit code 0
    ");
}

#[test]
fn an_engine_that_cannot_run_nodes() {
    let sandbox = Sandbox::new();
    let reason = "cgroup controller memory is not delegated to this user".to_owned();
    sandbox.behave(|behaviour| behaviour.connect = Connect::PrivilegeRefused(reason));
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: fake cannot run privileged containers: cgroup controller memory is not delegated to this user
    hint: Podman as root works: `sudo sandbar up`; or give this user cgroup v2 delegation
    ----- exit code 3
    ");
}

#[test]
fn an_engine_of_root_that_cannot_run_nodes() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        let action = Action::RefusePrivilege("error setting rlimit type 7: operation not permitted".to_owned());
        behaviour.failpoints = vec![Failpoint { operation: Some("start_node".to_owned()), at: 1, action }];
    });
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: fake cannot run privileged containers: error setting rlimit type 7: operation not permitted
    hint: fake itself lacks a capability or a limit that a node needs; where it runs in a container, that one has to be privileged
    hint: the cluster was removed again, as it was never finished
    ----- exit code 3
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn an_engine_without_the_node_image() {
    let sandbox = Sandbox::without_image();
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    downloading http://127.0.0.1:PORT/v0.1.0/sandbar-node-0.1.0-amd64.tar.zst
    error: http://127.0.0.1:PORT/v0.1.0/SHA256SUMS cannot be reached: Connection refused (os error 111)
    hint: behind a proxy: `HTTPS_PROXY=http://HOST:PORT sandbar up`; SANDBAR_RELEASES, or `releases:` in sandbar.yaml, says where releases are
    hint: without a network: download it elsewhere, then `sandbar up --node-image FILE`
    ----- exit code 3
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn a_name_that_is_no_dns_label() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["up", "My_Cluster"]), @r"
    stderr:
    error: invalid value 'My_Cluster' for '[NAME]': `My_Cluster` is not a cluster's name: `M` cannot be in a DNS label (use a-z, 0-9 and -; begin and end with a letter or digit)

    For more information, try '--help'.
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["rm", "../../etc"]), @r"
    stderr:
    error: invalid value '../../etc' for '[NAMES]...': `../../etc` is not a cluster's name: `.` cannot be in a DNS label (use a-z, 0-9 and -; begin and end with a letter or digit)

    For more information, try '--help'.
    ----- exit code 2
    ");
}

#[test]
fn a_mistyped_cluster_file() {
    let sandbox = Sandbox::new();
    let head = "apiVersion: sandbar.dev/v1alpha1\nkind: Cluster\n";
    sandbox.write("sandbar.yaml", &format!("{head}spec:\n  ports:\n    htpp: 8080\n"));
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: sandbar.yaml, line 5: unknown key `htpp`
    hint: did you mean `http`?
    ----- exit code 2
    ");
    sandbox.write("sandbar.yaml", &format!("{head}spec:\n  replicas: 3\n"));
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: sandbar.yaml, line 4: unknown key `replicas`
    hint: keys that can be there: engine, device, emulateBinaries, image, releases, ports, resources, labels, network, config, manifests
    ----- exit code 2
    ");
    sandbox.write("other.yaml", &format!("{head}spec:\n  resources:\n    memory: lots\n"));
    assert_snapshot!(sandbox.run(&["up", "--file", "other.yaml"]), @r"
    stderr:
    error: other.yaml, line 5: `lots` is not an amount of memory (such as 2Gi, 1500Mi or 2G)
    hint: `sandbar schema` prints all keys and their values
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["up", "--file", "gone.yaml"]), @r"
    stderr:
    error: cannot read cluster file gone.yaml
      because: there is no such file
    hint: `sandbar init` writes one
    ----- exit code 2
    ");
    sandbox.write("sandbar.yaml", "kind: Deployment\napiVersion: apps/v1\n");
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: sandbar.yaml, line 2: apiVersion is `apps/v1`, this sandbar knows `sandbar.dev/v1alpha1`
    hint: `sandbar schema` prints all keys and their values
    ----- exit code 2
    ");
}

#[test]
fn a_mistyped_command_line() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["pu"]), @r"
    stderr:
    error: unrecognized subcommand 'pu'

      tip: a similar subcommand exists: 'pause'

    Usage: sandbar [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["up", "--memory", "lots"]), @r"
    stderr:
    error: invalid value 'lots' for '--memory <MEMORY>': `lots` is not an amount of memory (such as 2Gi, 1500Mi or 2G)

    For more information, try '--help'.
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["up", "--htpp-port", "80"]), @r"
    stderr:
    error: unexpected argument '--htpp-port' found

      tip: a similar argument exists: '--http-port'
      tip: to pass '--htpp-port' as a value, use '-- --htpp-port'

    Usage: sandbar up --http-port <PORT> [NAME] [-- <COMMAND>...]

    For more information, try '--help'.
    ----- exit code 2
    ");
}

#[test]
fn a_port_that_someone_holds() {
    let sandbox = Sandbox::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    // The system keeps 15 characters of a program's name.
    let own: String =
        std::env::current_exe().unwrap().file_name().unwrap().to_string_lossy().chars().take(15).collect();
    let shown = sandbox.run(&["up", "--http-port", &port]).replace(&port, "HELD").replace(&own, "THIS TEST");
    assert_snapshot!(shown, @r"
    stderr:
    error: port HELD on 127.0.0.1 is taken by THIS TEST (process PID)
    hint: end that program, or choose another port with --api-port, --http-port, --https-port or --port (for a cluster that exists: together with --recreate)
    hint: the cluster was removed again, as it was never finished
    ----- exit code 3
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn a_usual_port_that_someone_holds_is_replaced() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| behaviour.held_ports = vec![80, 443, 6443]);
    let report = sandbox.json(&["up"]);
    for (key, usual) in [("api", ":6443"), ("http", "localhost"), ("https", "localhost")] {
        assert!(!report["addresses"][key].as_str().unwrap().ends_with(usual), "{report}");
    }
}

#[test]
fn too_little_memory() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["up", "--memory", "256Mi"]), @r"
    stderr:
    error: a memory limit of 256Mi is below the 512 MiB that a node needs
    hint: give it at least 512Mi; 1Gi leaves room for pods
    ----- exit code 2
    ");
}

#[test]
fn a_cluster_that_does_not_exist() {
    let sandbox = Sandbox::new();
    for command in [&["status", "nosuch"][..], &["stop", "nosuch"], &["start", "nosuch"], &["shell", "nosuch"]] {
        let output = sandbox.output(command);
        assert_eq!(output.status.code(), Some(5), "{command:?}");
    }
    sandbox.succeed(&["up"]);
    assert_snapshot!(sandbox.run(&["status", "nosuch"]), @r"
    stderr:
    error: there is no cluster nosuch
    hint: there is: default
    ----- exit code 5
    ");
}

#[test]
fn a_node_that_never_becomes_healthy() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        behaviour.node.components.push(Component {
            name: "kubelet".to_owned(),
            ready_millis: None,
            reason: "the container runtime does not answer".to_owned(),
            ..Component::default()
        });
    });
    assert_snapshot!(sandbox.run(&["up", "--timeout", "300ms"]), @r"
    stderr:
    error: cluster default was not ready within 300ms; still waiting for kubelet (starting: the container runtime does not answer)
    hint: `--timeout 5m` waits longer
    hint: a report with its logs is kept in ~/.local/state/sandbar/failures/default-WHEN
    hint: the cluster was removed again, as it was never finished
    ----- exit code 4
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
    let failures: Vec<_> = std::fs::read_dir(sandbox.path(".local/state/sandbar/failures")).unwrap().collect();
    let report = crate::report::unpack(&failures[0].as_ref().unwrap().path().join("report.tar.gz"));
    assert!(report["logs/console.log"].contains("sandbar-init: started"));
    assert!(report["status.json"].contains("the container runtime does not answer"));
    assert!(report["failure.json"].contains("was not ready within 300ms"));
}

#[test]
fn a_node_that_ends_while_it_starts() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        behaviour.node.components[0].ready_millis = None;
        behaviour.node.exits_after_millis = Some(200);
        behaviour.node.exit_code = 70;
    });
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: the node of cluster default ended while it was starting: exit code 70
    hint: a report with its logs is kept in ~/.local/state/sandbar/failures/default-WHEN
    hint: the cluster was removed again, as it was never finished
    ----- exit code 1
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn a_laptops_side_that_does_not_work() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        behaviour.probes = Probes { ingress_fails: Some("connection refused".to_owned()), ..Probes::default() };
    });
    assert_snapshot!(sandbox.run(&["up", "--timeout", "300ms"]), @r"
    stderr:
    error: cluster default was not ready within 300ms; still waiting for http://127.0.0.1:PORT (connection refused)
    hint: `--timeout 5m` waits longer
    hint: a report with its logs is kept in ~/.local/state/sandbar/failures/default-WHEN
    hint: the cluster was removed again, as it was never finished
    ----- exit code 4
    ");
    sandbox.behave(|behaviour| {
        let words = Some("it is the ingress of cluster other".to_owned());
        behaviour.probes = Probes { ingress_is_foreign: words, ..Probes::default() };
    });
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: http://127.0.0.1:PORT is answered by something else: it is the ingress of cluster other
    hint: another program answers on that port; choose another one with --http-port and --https-port
    hint: a report with its logs is kept in ~/.local/state/sandbar/failures/default-WHEN
    hint: the cluster was removed again, as it was never finished
    ----- exit code 3
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn a_container_of_somebody_else_in_the_way() {
    let sandbox = Sandbox::new();
    sandbox.engine.add_foreign(&ResourceKind::Network, "sandbar-default").unwrap();
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: network sandbar-default exists and was not made by Sandbar
    hint: remove it (`podman network rm sandbar-default` or `docker network rm sandbar-default`), or give the cluster another name
    ----- exit code 3
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn a_wrong_key_inside_the_configuration() {
    let sandbox = Sandbox::new();
    let head = "apiVersion: sandbar.dev/v1alpha1\nkind: Cluster\nspec:\n";
    sandbox
        .write("sandbar.yaml", &format!("{head}  config:\n    - dns:\n        # mine\n        baseDomian: example\n"));
    let says = |sandbox: &Sandbox, problems: &[&str]| {
        let warnings: Vec<_> =
            problems.iter().map(|text| serde_json::json!({"code": "ConfigInvalid", "message": text})).collect();
        let report = serde_json::json!({
            "schemaVersion": 1, "contractVersion": 1, "healthy": false, "node": {}, "warnings": warnings
        });
        let stderr = format!("sandbarctl: invalid configuration: {}\n", problems.join("; "));
        let script = Script { stdout: format!("{report}\n"), stderr, exit_code: 2, ..Script::default() };
        sandbox.behave(|behaviour| _ = behaviour.node.verbs.insert("status".to_owned(), script));
    };
    let unknown = "dns.baseDomian: unknown key (did you mean baseDomain?)";
    says(&sandbox, &[&format!("/etc/sandbar/config.d/10-inline.yaml:3: {unknown}")]);
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    using cluster file ./sandbar.yaml
    error: sandbar.yaml, line 7: unknown key `dns.baseDomian`
    hint: did you mean `baseDomain`?
    hint: the cluster was removed again, as it was never finished
    ----- exit code 2
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());

    sandbox.write("mine.yaml", "dns: {baseDomian: example}\nnode: 1\n");
    let of_file = |line: u32, words: &str| format!("/etc/sandbar/config.d/10-mine.yaml:{line}: {words}");
    says(&sandbox, &[&of_file(1, unknown), &of_file(2, "node: must be a mapping, not 1")]);
    std::fs::remove_file(sandbox.path("sandbar.yaml")).unwrap();
    assert_snapshot!(sandbox.run(&["up", "--config", "mine.yaml"]), @r"
    stderr:
    error: the configuration has 2 mistakes:
      ~/mine.yaml, line 1: unknown key `dns.baseDomian` (did you mean `baseDomain`?)
      ~/mine.yaml, line 2: `node` must be a mapping, not 1
    hint: the cluster was removed again, as it was never finished
    ----- exit code 2
    ");
}
