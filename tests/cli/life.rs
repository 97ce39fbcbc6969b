//! The life of clusters, from `up` to `rm`.

use std::time::{Duration, Instant};

use insta::assert_snapshot;
use sandbar::engine::fake::{Action, Component, Connect, Failpoint};

use crate::sandbox::Sandbox;

#[test]
fn a_cluster_is_made_found_stopped_started_and_removed() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["up"]), @r"
    ✓ cluster default is ready after TIME

      node  default in fake 1.0.0
      kubernetes  v1.37.2
      context  sandbar-default, current (~/.kube/config)
      api  https://127.0.0.1:PORT
      http  http://*.default.localhost
      https  https://*.default.localhost
      phases  engine TIME, image TIME, container TIME, node TIME, laptop TIME

    next: sandbar kubectl get nodes
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["ls"]), @r"
    NAME  STATE  KUBERNETES  ENGINE  API  HTTP  AGE
    default  running  v1.37.2  fake  https://127.0.0.1:PORT  http://*.default.localhost  AGE
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["status"]), @r"
    cluster default is healthy

      engine  fake 1.0.0 (none needed)
      context  sandbar-default
      api  https://127.0.0.1:PORT
      http  http://*.default.localhost
      https  https://*.default.localhost
      memory  200 MiB
      kubernetes  v1.37.2
      storage  TIME GiB of TIME GiB free

    COMPONENT  STATE  SINCE  RESTARTS  DETAIL
    init  ready  AGE  0
    containerd  ready  AGE  0
    haproxy  ready  AGE  0
    etcd  ready  AGE  0
    kube-apiserver  ready  AGE  0
    kubelet  ready  AGE  0
    coredns  ready  AGE  0
    ingress  ready  AGE  0
    storage  ready  AGE  0
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["up"]), @r"
    ✓ cluster default is ready, nothing had to be done

      node  default in fake 1.0.0
      kubernetes  v1.37.2
      context  sandbar-default, current (~/.kube/config)
      api  https://127.0.0.1:PORT
      http  http://*.default.localhost
      https  https://*.default.localhost
      phases  engine TIME, image TIME, node TIME, laptop TIME

    next: sandbar kubectl get nodes
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["stop"]), @r"
    cluster default is stopped
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["stop"]), @r"
    cluster default was stopped already
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["status"]), @r"
    cluster default is stopped

      engine  fake 1.0.0 (none needed)
      context  sandbar-default
      api  https://127.0.0.1:PORT
      http  http://*.default.localhost
      https  https://*.default.localhost
    ----- stderr:
    error: cluster default is not healthy: it is stopped
    hint: `sandbar start default` starts it
    ----- exit code 1
    ");
    assert_snapshot!(sandbox.run(&["start"]), @r"
    ✓ cluster default was started and is ready after TIME

      node  default in fake 1.0.0
      kubernetes  v1.37.2
      context  sandbar-default, current (~/.kube/config)
      api  https://127.0.0.1:PORT
      http  http://*.default.localhost
      https  https://*.default.localhost
      phases  engine TIME, image TIME, container TIME, node TIME, laptop TIME

    next: sandbar kubectl get nodes
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["restart", "--output", "name"]), @r"
    default
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["rm"]), @r"
    cluster default is removed
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["rm"]), @r"
    stderr:
    there is no cluster default, nothing to remove
    ----- exit code 0
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn clusters_stand_side_by_side_and_keep_their_ports() {
    let sandbox = Sandbox::new();
    let first = sandbox.json(&["up"]);
    let second = sandbox.json(&["up", "edge"]);
    let ports = |report: &serde_json::Value| {
        ["api", "http", "https"].map(|key| report["addresses"][key].as_str().unwrap().to_owned())
    };
    assert!(ports(&first).iter().zip(ports(&second)).all(|(first, second)| *first != second));
    sandbox.succeed(&["stop"]);
    let third = sandbox.json(&["up", "third"]);
    assert!(ports(&first)[0] != ports(&third)[0], "the ports of a stopped cluster are its own");
    assert_eq!(ports(&sandbox.json(&["start"])), ports(&first));
    let names = sandbox.succeed(&["ls", "--output", "name"]);
    assert_eq!(names, "default\nedge\nthird\n");
    assert_snapshot!(sandbox.run(&["rm", "--all"]), @r"
    stderr:
    error: this would be removed, with all its data:
    cluster default
    cluster edge
    cluster third
    hint: `--yes` does it without asking
    ----- exit code 2
    ");
    sandbox.succeed(&["rm", "--all", "--yes"]);
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn clusters_made_at_the_same_time_get_ports_of_their_own() {
    let sandbox = Sandbox::new();
    let names = ["a", "b", "c", "d", "e"];
    let running = names.map(|name| {
        let mut command = sandbox.command(&["up", name, "--output", "json"]);
        command.stdout(std::process::Stdio::piped()).spawn().unwrap()
    });
    let mut ports: Vec<String> = Vec::new();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", sandbox.show(&output));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        ports.extend(["api", "http", "https"].map(|key| report["addresses"][key].as_str().unwrap().to_owned()));
    }
    let api_ports: Vec<&str> = ports.iter().filter_map(|url| url.strip_prefix("https://127.0.0.1:")).collect();
    assert_eq!(api_ports.len(), names.len());
    for (index, port) in api_ports.iter().enumerate() {
        assert!(!api_ports[..index].contains(port), "{ports:?}");
    }
    for name in names {
        sandbox.succeed(&["stop", name]);
        sandbox.succeed(&["start", name]);
    }
}

#[test]
fn other_settings_need_recreate_which_keeps_the_data() {
    let sandbox = Sandbox::new();
    let first = sandbox.json(&["up", "--memory", "1Gi"]);
    assert_snapshot!(sandbox.run(&["up", "--memory", "2Gi", "--label", "tier=edge"]), @r"
    stderr:
    error: cluster default exists with other settings
    hint: what would change:
          labels.tier: not set → edge
          memory: 1Gi → 2Gi
    hint: `sandbar up default --recreate` makes the node anew with them and keeps its data
    ----- exit code 2
    ");
    assert_eq!(sandbox.json(&["up"])["outcome"], "unchanged", "what it has needs no flag");
    let second = sandbox.json(&["up", "--memory", "2Gi", "--label", "tier=edge", "--recreate"]);
    assert_eq!(second["outcome"], "recreated");
    assert_eq!(second["clusterId"], first["clusterId"], "the volume is the same");
    assert_eq!(second["addresses"], first["addresses"]);
    assert_eq!(sandbox.json(&["up", "--memory", "2Gi"])["outcome"], "unchanged");
    assert_snapshot!(sandbox.run(&["up", "--cluster-network", "10.60.0.0/16", "--recreate"]), @r"
    stderr:
    error: cluster default cannot change its cluster network: a cluster keeps it for its life
    hint: `sandbar rm default` and `sandbar up` make a new one, without what is in it now
    ----- exit code 2
    ");
}

#[test]
fn the_cluster_file_of_the_folder_is_used_and_said() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["init", "--name", "edge", "--memory", "1Gi"]);
    assert_snapshot!(sandbox.run(&["init"]), @r"
    stderr:
    error: sandbar.yaml exists already
    hint: `--force` replaces it, `--file` writes another one
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["up", "--output", "name"]), @r"
    edge
    ----- stderr:
    using cluster file ./sandbar.yaml
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["stop", "--output", "name"]), @r"
    edge
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["up", "other", "--output", "name"]), @r"
    other
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["up", "other", "--file", "sandbar.yaml"]), @r"
    stderr:
    error: the cluster file is for cluster edge, the command line says other
    hint: leave the name out, or use another file with --file
    ----- exit code 2
    ");
}

#[test]
fn a_killed_node_is_healed_by_start_and_a_lost_one_by_up() {
    let sandbox = Sandbox::new();
    let id = sandbox.json(&["up"])["clusterId"].clone();
    let engine = &sandbox.engine;
    crate::sandbox::runtime().block_on(async {
        sandbar::engine::Engine::kill_node(engine, "sandbar-default", "SIGKILL").await.unwrap();
    });
    assert_eq!(sandbox.json(&["start"])["outcome"], "started");
    crate::sandbox::runtime().block_on(async {
        let node = sandbar::engine::ResourceKind::Node;
        sandbar::engine::Engine::remove(engine, &node, "sandbar-default").await.unwrap();
    });
    assert!(sandbox.succeed(&["ls"]).contains("missing"));
    let report = sandbox.json(&["up"]);
    assert_eq!(report["clusterId"], id, "its volume was still there");
}

#[test]
fn the_next_command_works_also_where_the_program_is_not_on_the_path() {
    let sandbox = Sandbox::new();
    let up = |folder: &std::path::Path| {
        let output = sandbox.command(&["up"]).env("PATH", "/nowhere").current_dir(folder).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().last().unwrap().to_owned()
    };
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_sandbar"));
    assert_eq!(up(&sandbox.path("")), format!("next: {} kubectl get nodes", program.display()));
    let above = program.parent().and_then(std::path::Path::parent).unwrap();
    let below = program.strip_prefix(above).unwrap();
    assert_eq!(up(above), format!("next: {} kubectl get nodes", below.display()));
}

#[test]
fn a_node_whose_processes_went_unnoticed_is_made_anew_on_its_volume() {
    let sandbox = Sandbox::new();
    let first = sandbox.json(&["up"]);
    sandbox.engine.lose("sandbar-default").unwrap();
    assert!(sandbox.succeed(&["ls"]).contains("stopped"));
    let again = sandbox.json(&["start"]);
    assert_eq!(again["outcome"], "recreated");
    assert_eq!((&again["clusterId"], &again["addresses"]), (&first["clusterId"], &first["addresses"]));
    sandbox.engine.lose("sandbar-default").unwrap();
    sandbox.succeed(&["rm", "--yes"]);
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn progress_is_json_lines_for_programs() {
    let sandbox = Sandbox::new();
    let output = sandbox.output(&["up", "--events", "json", "--output", "json"]);
    assert!(output.status.success());
    let events: Vec<serde_json::Value> =
        String::from_utf8(output.stderr).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let phases: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == "phaseFinished")
        .map(|event| event["phase"].as_str().unwrap())
        .collect();
    assert_eq!(phases, ["engine", "image", "container", "node", "laptop"]);
    let etcd = events.iter().find(|event| event["event"] == "component" && event["name"] == "etcd").unwrap();
    assert_eq!((etcd["startMillis"].as_u64(), etcd["readyMillis"].as_u64()), (Some(0), Some(0)));
    assert!(events.iter().all(|event| event["time"].is_string()));

    let output = sandbox.output(&["status", "nosuch", "--events", "json"]);
    let failed: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((failed["event"].as_str(), failed["exitCode"].as_i64()), (Some("failed"), Some(5)));
}

#[test]
fn a_second_command_waits_and_says_for_whom() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        behaviour.delays_millis.insert("start_node".to_owned(), 1500);
    });
    let mut first = sandbox.command(&["up"]).spawn().unwrap();
    let lock = sandbox.path(".local/share/sandbar/locks/default.lock");
    let begun = Instant::now();
    while std::fs::read_to_string(&lock).unwrap_or_default().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the first never took the lock");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_snapshot!(sandbox.run(&["up", "--output", "name"]), @r"
    default
    ----- stderr:
    waiting for `sandbar up` (process PID), which changes cluster default
    ----- exit code 0
    ");
    assert!(first.wait().unwrap().success());
}

#[test]
fn a_lock_is_not_waited_for_longer_than_asked() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        behaviour.delays_millis.insert("create_network".to_owned(), 60_000);
    });
    let mut first = sandbox.command(&["up"]).spawn().unwrap();
    let lock = sandbox.path(".local/share/sandbar/locks/default.lock");
    while std::fs::read_to_string(&lock).unwrap_or_default().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = sandbox.output(&["rm", "--timeout", "100ms"]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("error: cluster default is being changed by `sandbar up` (process "), "{words}");
}

#[test]
fn what_is_not_healthy_is_not_called_healthy() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    sandbox.behave(|behaviour| {
        behaviour.node.components.push(Component {
            name: "dns".to_owned(),
            ready_millis: None,
            state: "degraded".to_owned(),
            reason: "no upstream answers".to_owned(),
            ..Component::default()
        });
    });
    assert_snapshot!(sandbox.run(&["status"]), @r"
    cluster default is not healthy

      engine  fake 1.0.0 (none needed)
      context  sandbar-default
      api  https://127.0.0.1:PORT
      http  http://*.default.localhost
      https  https://*.default.localhost
      memory  200 MiB
      kubernetes  v1.37.2
      storage  TIME GiB of TIME GiB free

    COMPONENT  STATE  SINCE  RESTARTS  DETAIL
    init  ready  AGE  0
    containerd  ready  AGE  0
    haproxy  ready  AGE  0
    etcd  ready  AGE  0
    kube-apiserver  ready  AGE  0
    kubelet  ready  AGE  0
    coredns  ready  AGE  0
    ingress  ready  AGE  0
    storage  ready  AGE  0
    dns  degraded  AGE  0  no upstream answers
    ----- stderr:
    error: cluster default is not healthy: waiting for dns (degraded: no upstream answers)
    hint: `sandbar logs --cluster default` shows what its components say
    ----- exit code 1
    ");
}

#[test]
fn what_is_wrong_in_the_configuration_is_said_of_the_users_files() {
    let sandbox = Sandbox::new();
    sandbox.write("extra.yaml", "dns:\n  baseDomain: a.example\n");
    sandbox.write(
        "sandbar.yaml",
        "apiVersion: sandbar.dev/v1alpha1\nkind: Cluster\nspec:\n  config:\n    - extra.yaml\n    - dns:\n        baseDomain: b\n",
    );
    sandbox.succeed(&["up"]);
    let problems = [
        "/etc/sandbar/config.d/10-extra.yaml:2: dns.baseDomian: unknown key (did you mean baseDomain?)",
        "/etc/sandbar/config.d/11-inline.yaml:3: dns.baseDomain: must not be empty",
    ];
    sandbox.behave(|behaviour| {
        let warning = |message| serde_json::json!({"code": "ConfigInvalid", "message": message, "hint": ""});
        behaviour.node.warnings = problems.map(warning).into();
        behaviour.node.unhealthy = true;
    });
    let warnings = sandbox.run(&["status"]);
    let warnings: Vec<&str> = warnings.lines().filter(|line| line.starts_with("warning:")).collect();
    assert_snapshot!(warnings.join("\n"), @r"
    warning: ~/extra.yaml, line 2: unknown key `dns.baseDomian` (did you mean `baseDomain`?)
    warning: sandbar.yaml, line 7: `dns.baseDomain` must not be empty
    ");
}

#[test]
fn a_cluster_is_reached_where_it_was_made() {
    let sandbox = Sandbox::new();
    let first = sandbox.json(&["up"]);
    let elsewhere = format!("fake:{}", sandbox.path("elsewhere").display());
    let run = |arguments: &[&str]| {
        let output = sandbox.command(arguments).env("SANDBAR_ENGINE", &elsewhere).output().unwrap();
        sandbox.show(&output)
    };
    assert_snapshot!(run(&["ls", "--output", "name"]), @r"
    default
    ----- exit code 0
    ");
    assert!(run(&["up", "--output", "json"]).contains(first["clusterId"].as_str().unwrap()), "it is the same cluster");

    sandbox.behave(|behaviour| behaviour.connect = Connect::Unreachable("connection refused".to_owned()));
    insta::allow_duplicates! {
        for command in [&["rm"][..], &["up"], &["status"], &["stop"]] {
            assert_snapshot!(run(command), @r"
            stderr:
            error: fake is installed, but its API at fake:~/engine does not answer: connection refused
            hint: cluster default was made there, and nothing of it was changed
            ----- exit code 3
            ");
        }
    }
    assert_snapshot!(run(&["ls"]), @r"
    NAME  STATE  KUBERNETES  ENGINE  API  HTTP  AGE
    default  unknown  v1.37.2  fake  https://127.0.0.1:PORT  http://*.default.localhost  AGE
    ----- stderr:
    warning: fake is installed, but its API at fake:~/engine does not answer: connection refused
    ----- exit code 0
    ");
    assert!(sandbox.kubeconfig().contains("sandbar-default"));

    sandbox.behave(|behaviour| behaviour.connect = Connect::Fine);
    assert_snapshot!(run(&["rm"]), @r"
    cluster default is removed
    ----- exit code 0
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn what_was_begun_in_another_engine_is_collected_there() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        behaviour.failpoints =
            vec![Failpoint { operation: Some("start_node".to_owned()), at: 1, action: Action::Kill }];
    });
    assert!(!sandbox.output(&["up"]).status.success());
    let elsewhere = format!("fake:{}", sandbox.path("elsewhere").display());
    let collect = || sandbox.command(&["gc", "--yes"]).env("SANDBAR_ENGINE", &elsewhere).output().unwrap();
    sandbox.behave(|behaviour| behaviour.connect = Connect::Unreachable("connection refused".to_owned()));
    assert_eq!(collect().status.code(), Some(3));
    sandbox.behave(|behaviour| behaviour.connect = Connect::Fine);
    assert_eq!(sandbox.remains().len(), 5, "{:?}", sandbox.remains());
    assert_snapshot!(sandbox.show(&collect()), @r"
    cluster default removed: its first `up` was interrupted
    ----- exit code 0
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn a_node_image_that_was_built_anew_is_told_of_and_used_by_recreate() {
    let sandbox = Sandbox::new();
    let first = sandbox.json(&["up"]);
    assert_eq!(first["warnings"], serde_json::json!([]));
    sandbox.add_node_image('3');
    assert_snapshot!(sandbox.run(&["up", "--output", "name"]), @r"
    default
    ----- stderr:
    warning: image localhost/sandbar-node:0.1.0 is another one than this node was made from (`sandbar up default --recreate` uses it and keeps the data)
    ----- exit code 0
    ");
    assert_eq!(sandbox.json(&["up"])["warnings"][0]["code"], "ImageChanged");
    let report = sandbox.json(&["up", "--recreate"]);
    assert_eq!((&report["outcome"], &report["clusterId"]), (&"recreated".into(), &first["clusterId"]));
    assert_eq!(sandbox.json(&["up"])["warnings"], serde_json::json!([]));
}

/// The configuration that the node was made with.
fn node_config(sandbox: &Sandbox) -> serde_json::Value {
    let path = sandbox.path("engine/nodes/sandbar-default/root/etc/sandbar/config.yaml");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn networks_are_moved_out_of_the_way_and_kept_also_without_a_record() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| behaviour.foreign_subnets = vec!["10.42.7.0/24".to_owned(), "fd00::/64".to_owned()]);
    sandbox.succeed(&["up"]);
    let networks = node_config(&sandbox)["network"].clone();
    let moved = |key: &str, usual: &str| networks[key][0].as_str().unwrap() != usual;
    assert!(moved("clusterNetwork", "10.42.0.0/16") && moved("serviceNetwork", "10.43.0.0/16"), "{networks}");
    sandbox.behave(|behaviour| behaviour.foreign_subnets.clear());
    let forget = || std::fs::remove_dir_all(sandbox.path(".local/share/sandbar/clusters")).unwrap();

    forget();
    assert_eq!(sandbox.json(&["up"])["outcome"], "unchanged");
    forget();
    sandbox.succeed(&["up", "--recreate", "--memory", "1Gi"]);
    assert_eq!(node_config(&sandbox)["network"], networks, "the node still knew");
    forget();
    crate::sandbox::runtime().block_on(async {
        let node = sandbar::engine::ResourceKind::Node;
        sandbar::engine::Engine::remove(&sandbox.engine, &node, "sandbar-default").await.unwrap();
    });
    sandbox.succeed(&["up"]);
    assert_eq!(node_config(&sandbox)["network"], networks, "the volume still knew");
}

#[test]
fn an_up_that_was_killed_can_be_completed_with_other_networks() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        behaviour.failpoints =
            vec![Failpoint { operation: Some("start_node".to_owned()), at: 1, action: Action::Kill }];
    });
    assert!(!sandbox.output(&["up"]).status.success());
    sandbox.succeed(&["up", "--cluster-network", "10.60.0.0/16"]);
    assert_eq!(node_config(&sandbox)["network"]["clusterNetwork"][0], "10.60.0.0/16");
    assert_eq!(sandbox.json(&["up"])["outcome"], "unchanged");
}

#[test]
fn verbose_shows_phases_and_components_with_their_times() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        let etcd = Component { name: "etcd".to_owned(), ..Component::default() };
        let kubelet = Component { name: "kubelet".to_owned(), ready_millis: Some(150), ..Component::default() };
        behaviour.node.components = vec![etcd, kubelet];
    });
    assert_snapshot!(sandbox.run(&["up", "--verbose"]), @r"
    ✓ cluster default is ready after TIME

      node  default in fake 1.0.0
      kubernetes  v1.37.2
      context  sandbar-default, current (~/.kube/config)
      api  https://127.0.0.1:PORT
      http  http://*.default.localhost
      https  https://*.default.localhost
      phases  engine TIME, image TIME, container TIME, node TIME, laptop TIME
      components  etcd TIME to TIME, kubelet TIME to TIME

    next: sandbar kubectl get nodes
    ----- stderr:
    ✓ Engine answers  TIME
    node image: taken from fake's store: sha256:1111111111111111111111111111111111111111111111111111111111111111
    ✓ Node image and settings fit  TIME
    ✓ Container starts  TIME
      etcd is ready  TIME
      kubelet is ready  TIME
    ✓ Node becomes healthy  TIME
    ✓ Laptop reaches the cluster  TIME
    ----- exit code 0
    ");
}

#[test]
fn quiet_shows_results_and_errors_alone() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["init"]);
    assert_snapshot!(sandbox.run(&["up", "--quiet", "--output", "name"]), @r"
    default
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["rm", "--quiet"]), @r"
    cluster default is removed
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["rm", "--quiet"]), @"exit code 0");
    assert_snapshot!(sandbox.run(&["status", "--quiet"]), @r"
    stderr:
    error: there is no cluster default
    hint: `sandbar up` makes one
    ----- exit code 5
    ");
}
