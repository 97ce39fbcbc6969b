//! `doctor`: what it finds, what helps, and what it mends.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use insta::assert_snapshot;
use sandbar::engine::fake::{Connect, Script};

use crate::sandbox::Sandbox;

/// Checks whose results are the same on each machine.
const SAME: [&str; 8] =
    ["kubeconfig", "data", "proxy", "engine-reachable", "container-starts", "cgroups", "inotify", "clock"];

fn doctor<'a>(checks: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [&["doctor"], checks, more].concat()
}

fn finds(sandbox: &Sandbox, code: &str, result: &str, message: &str) {
    sandbox.behave(|behaviour| {
        behaviour.node.findings.insert(code.to_owned(), (result.to_owned(), message.to_owned()));
    });
}

#[test]
fn a_fit_machine_is_said_to_be_fit_and_nothing_is_left() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&doctor(&SAME, &[])), @r"
    CHECK  RESULT  FOUND
    kubeconfig  passed  ~/.kube/config can be changed
    data  passed  ~/.local/share/sandbar can be written
    proxy  passed  no proxy is set
    engine-reachable  passed  fake 1.0.0 at fake:~/engine (none needed)
    container-starts  passed  started in fake (none needed)
    cgroups  passed  writable, v2
    inotify  passed  enough instances and watches
    clock  passed  the same as this machine's

    8 passed, 0 with a warning, 0 failed, 0 skipped
    ----- exit code 0
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
    let all = sandbox.json(&["doctor"]);
    assert_eq!((&all["schemaVersion"], &all["engine"]["kind"]), (&1.into(), &"fake".into()));
    let codes: Vec<_> = all["checks"].as_array().unwrap().iter().map(|check| check["code"].as_str().unwrap()).collect();
    let listed = sandbox.succeed(&["doctor", "--list", "--output", "name"]);
    assert_eq!(codes, listed.lines().collect::<Vec<_>>());
}

#[test]
fn what_failed_is_told_with_why_and_what_helps() {
    let sandbox = Sandbox::new();
    finds(&sandbox, "cgroups", "failed", "remount /sys/fs/cgroup: operation not permitted");
    finds(
        &sandbox,
        "inotify",
        "warning",
        "fs.inotify.max_user_instances is 128, below 512, and a node may not raise it",
    );
    sandbox.behave(|behaviour| behaviour.node.clock_ahead_seconds = -7_000);
    let output = sandbox.run(&doctor(&["cgroups", "inotify", "clock"], &[]));
    // The superuser needs no sudo.
    assert_snapshot!(output.replace("`sudo ", "`").replace("| sudo ", "| "), @r#"
    CHECK  RESULT  FOUND
    cgroups  failed  remount /sys/fs/cgroup: operation not permitted
    inotify  warning  fs.inotify.max_user_instances is 128, below 512, and a node may not raise it
    clock  failed  the clock of containers is 116 min behind this machine's

    cgroups
      why  kubelet does not start where it cannot limit the memory and processes of pods
      help  where the engine runs in a container or CI job, give that one everything (`--privileged`); on a Raspberry Pi add `cgroup_enable=memory cgroup_memory=1` to the kernel's command line

    inotify
      why  kubelet, containerd and many applications watch files; when there are no more instances they fail with "too many open files"
      fix  `sysctl -w fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=65536`
      fix  `printf 'fs.inotify.max_user_instances=512\nfs.inotify.max_user_watches=65536\n' | tee /etc/sysctl.d/60-sandbar.conf`

    clock
      why  certificates count from an hour before a node's start; a clock that is further off makes them invalid, and tokens too
      help  a virtual machine that slept is put right by a restart: `podman machine stop && podman machine start`, or Docker Desktop's own; elsewhere `timedatectl set-ntp true`

    0 passed, 1 with a warning, 2 failed, 0 skipped
    ----- stderr:
    error: this machine is not fit for a cluster: cgroups, clock
    ----- exit code 3
    "#);
    assert_snapshot!(sandbox.run(&doctor(&["cgroups"], &["--output", "json"])), @r#"
    {
      "schemaVersion": 1,
      "fit": false,
      "engine": {
        "kind": "fake",
        "version": "1.0.0",
        "endpoint": "fake:~/engine",
        "rootless": false,
        "privilege": "none needed"
      },
      "checks": [
        {
          "code": "cgroups",
          "title": "Control groups",
          "result": "failed",
          "message": "remount /sys/fs/cgroup: operation not permitted",
          "why": "kubelet does not start where it cannot limit the memory and processes of pods",
          "hints": [
            "where the engine runs in a container or CI job, give that one everything (`--privileged`); on a Raspberry Pi add `cgroup_enable=memory cgroup_memory=1` to the kernel's command line"
          ],
          "fix": null
        }
      ]
    }
    ----- stderr:
    error: this machine is not fit for a cluster: cgroups
    ----- exit code 3
    "#);
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn a_container_that_does_not_start_is_told_in_the_engines_words() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        let stderr = "sandbarctl: exec format error\n".to_owned();
        behaviour.node.verbs.insert("host-check".to_owned(), Script { stderr, exit_code: 1, ..Script::default() });
    });
    assert_snapshot!(sandbox.run(&["doctor", "container-starts", "veth"]), @r"
    CHECK  RESULT  FOUND
    container-starts  failed  the container ended without a report: sandbarctl: exec format error
    veth  skipped  see container-starts

    0 passed, 0 with a warning, 1 failed, 1 skipped
    ----- stderr:
    error: this machine is not fit for a cluster: container-starts
    ----- exit code 3
    ");
}

#[test]
fn without_image_or_engine_the_rest_is_checked() {
    let sandbox = Sandbox::without_image();
    assert_snapshot!(sandbox.run(&["doctor", "proxy", "container-starts", "veth"]), @r"
    CHECK  RESULT  FOUND
    proxy  passed  no proxy is set
    container-starts  skipped  image localhost/sandbar-node:0.1.0 is not in fake's store
    veth  skipped  see container-starts

    container-starts
      why  a node is a machine with containers of its own, so that it needs more than an application does
      help  `sandbar up` brings it there

    1 passed, 0 with a warning, 0 failed, 2 skipped
    ----- exit code 0
    ");
    sandbox.behave(|behaviour| behaviour.connect = Connect::NotInstalled);
    assert_snapshot!(sandbox.run(&["doctor", "proxy", "engine-reachable", "container-starts", "veth"]), @r"
    CHECK  RESULT  FOUND
    proxy  passed  no proxy is set
    engine-reachable  failed  no container engine is installed (looked for podman, docker)
    container-starts  skipped  no engine answers
    veth  skipped  see container-starts

    engine-reachable
      why  a cluster is a container of Podman or Docker
      help  install Podman (`sudo apt-get install podman`, or https://podman.io) or Docker (https://docs.docker.com/engine/install)

    1 passed, 0 with a warning, 1 failed, 2 skipped
    ----- stderr:
    error: this machine is not fit for a cluster: engine-reachable
    ----- exit code 3
    ");
}

#[test]
fn an_older_node_image_knows_no_check() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        let stderr = "sandbarctl: there is no command \"host-check\"; see `sandbarctl help`\n".to_owned();
        behaviour.node.verbs.insert("host-check".to_owned(), Script { stderr, exit_code: 2, ..Script::default() });
    });
    assert_snapshot!(sandbox.run(&["doctor", "container-starts"]), @r"
    CHECK  RESULT  FOUND
    container-starts  skipped  image localhost/sandbar-node:0.1.0 is older than this check

    container-starts
      why  a node is a machine with containers of its own, so that it needs more than an application does
      help  `make image` builds a newer one

    0 passed, 0 with a warning, 0 failed, 1 skipped
    ----- exit code 0
    ");
}

#[test]
fn unknown_checks_are_mistakes() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["doctor", "cgroup"]), @r"
    stderr:
    error: invalid value 'cgroup' for '[CHECK]...': there is no such check; did you mean `cgroups`?

    For more information, try '--help'.
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["doctor", "--list", "dns", "veth"]), @r"
    CHECK  WHAT  WHY
    dns  *.localhost leads to this machine  the ingress is reached at NAME.CLUSTER.localhost; browsers and curl know that by themselves, other programs ask the system
    veth  Networks of pods  each pod has a network namespace and a pair of interfaces
    ----- exit code 0
    ");
}

#[test]
fn proxies_that_would_be_used_for_this_machine_are_named() {
    let sandbox = Sandbox::new();
    let run = |no_proxy: &str| {
        let mut command = sandbox.command(&["doctor", "proxy"]);
        command.env("https_proxy", "http://me:secret@proxy:3128").env("HTTP_PROXY", "http://proxy:3128");
        sandbox.show(&command.env("NO_PROXY", no_proxy).output().unwrap())
    };
    assert_snapshot!(run("example.com,localhost"), @r#"
    CHECK  RESULT  FOUND
    proxy  warning  HTTP_PROXY and https_proxy set, and NO_PROXY does not exempt 127.0.0.1

    proxy
      why  a proxy cannot reach the clusters of this machine, so that programs which use it for *.localhost get its error page
      help  `export NO_PROXY="${NO_PROXY:+$NO_PROXY,}localhost,127.0.0.1,.localhost" no_proxy="$NO_PROXY"`, also in your shell's profile

    0 passed, 1 with a warning, 0 failed, 0 skipped
    ----- exit code 0
    "#);
    assert_snapshot!(run("127.0.0.1,localhost"), @r"
    CHECK  RESULT  FOUND
    proxy  passed  HTTP_PROXY and https_proxy set, and not used for this machine

    1 passed, 0 with a warning, 0 failed, 0 skipped
    ----- exit code 0
    ");
}

#[test]
fn a_kubeconfig_that_does_not_parse_is_told_as_up_tells_it() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path(".kube")).unwrap();
    sandbox.write(".kube/config", "clusters: [\n");
    let doctor = sandbox.run(&["doctor", "kubeconfig"]);
    assert_snapshot!(doctor, @r"
    CHECK  RESULT  FOUND
    kubeconfig  failed  kubeconfig ~/.kube/config was left as it is: line 1, column 11: unclosed bracket '['

    kubeconfig
      why  `up` puts the cluster's context there; a file that does not parse, is read-only or locked is left as it is
      help  mend the file, or use another one with --kubeconfig FILE

    0 passed, 0 with a warning, 1 failed, 0 skipped
    ----- stderr:
    error: this machine is not fit for a cluster: kubeconfig
    ----- exit code 3
    ");
    let up = sandbox.run(&["up"]);
    let hint = "mend the file, or use another one with --kubeconfig FILE";
    assert!(doctor.contains(hint) && up.contains(hint) && up.ends_with("exit code 3"), "{up}");
}

#[test]
fn a_lock_that_was_left_is_removed_after_asking() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path(".kube")).unwrap();
    sandbox.write(".kube/config.lock", "");
    // Somebody may have it.
    assert!(sandbox.run(&["doctor", "kubeconfig"]).contains("warning"));
    let lock = std::fs::File::options().write(true).open(sandbox.path(".kube/config.lock")).unwrap();
    lock.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
    assert_snapshot!(sandbox.run(&["doctor", "kubeconfig"]), @r"
    CHECK  RESULT  FOUND
    kubeconfig  failed  kubeconfig is locked: ~/.kube/config.lock exists, 60 min old

    kubeconfig
      why  `up` puts the cluster's context there; a file that does not parse, is read-only or locked is left as it is
      fix  `rm ~/.kube/config.lock`
      help  if no kubectl or sandbar runs, remove it: rm ~/.kube/config.lock

    0 passed, 0 with a warning, 1 failed, 0 skipped
    ----- stderr:
    error: this machine is not fit for a cluster: kubeconfig
    hint: `sandbar doctor --fix` mends what it can, after asking
    ----- exit code 3
    ");
    assert_snapshot!(sandbox.run(&["doctor", "kubeconfig", "--fix"]), @r"
    stderr:
    error: this would be run:
    kubeconfig: rm ~/.kube/config.lock
    hint: `--yes` does it without asking
    ----- exit code 2
    ");
    assert!(sandbox.path(".kube/config.lock").exists());
    sandbox.link("/bin/rm");
    assert_snapshot!(sandbox.run(&["doctor", "kubeconfig", "--fix", "--yes"]), @r"
    CHECK  RESULT  FOUND
    kubeconfig  passed  ~/.kube/config can be changed

    1 passed, 0 with a warning, 0 failed, 0 skipped
    ----- stderr:
    kubeconfig: rm ~/.kube/config.lock done
    ----- exit code 0
    ");
    assert!(!sandbox.path(".kube/config.lock").exists());
}

#[test]
fn a_kubeconfig_that_others_may_read_is_made_private() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path(".kube")).unwrap();
    sandbox.write(".kube/config", "apiVersion: v1\nkind: Config\n");
    let mode = || std::fs::metadata(sandbox.path(".kube/config")).unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(sandbox.path(".kube/config"), std::fs::Permissions::from_mode(0o644)).unwrap();
    // A command that fails is a failure, and nothing is mended.
    let failed = sandbox.run(&["doctor", "kubeconfig", "--fix", "--yes"]);
    let expected = "error: `chmod 600 ~/.kube/config` ended with exit code 127\n----- exit code 1";
    assert!(failed.ends_with(expected), "{failed}");
    assert_eq!(mode(), 0o644);
    sandbox.link("/bin/chmod");
    assert_snapshot!(sandbox.run(&["doctor", "kubeconfig", "--fix", "--yes"]), @r"
    CHECK  RESULT  FOUND
    kubeconfig  passed  ~/.kube/config can be changed

    1 passed, 0 with a warning, 0 failed, 0 skipped
    ----- stderr:
    kubeconfig: chmod 600 ~/.kube/config done
    ----- exit code 0
    ");
    assert_eq!(mode(), 0o600);
}

#[test]
fn damaged_records_are_told() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path(".local/share/sandbar/clusters/edge");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("cluster.json"), "{").unwrap();
    assert_snapshot!(sandbox.run(&["doctor", "data"]), @r"
    CHECK  RESULT  FOUND
    data  warning  ~/.local/share/sandbar/clusters/edge/cluster.json is damaged: EOF while parsing an object at line 1 column 1

    data
      why  what clusters there are is written down before anything is made
      help  move the file away; the cluster itself is found in the engine

    0 passed, 1 with a warning, 0 failed, 0 skipped
    ----- exit code 0
    ");
}
