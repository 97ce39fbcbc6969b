//! Commands beside a cluster's life: help, completions, paths, programs in the node.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use insta::assert_snapshot;
use sandbar::engine::fake::Script;

use crate::sandbox::{Sandbox, interrupt};

#[test]
fn version_and_paths_need_nothing() {
    let sandbox = Sandbox::without_image();
    assert_snapshot!(sandbox.run(&["version"]), @r"
    sandbar 0.1.0 (node contract 1)
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["version", "--output", "json"]), @r#"
    {
      "contractVersion": 1,
      "schemaVersion": 1,
      "version": "0.1.0"
    }
    ----- exit code 0
    "#);
    assert_snapshot!(sandbox.run(&["paths"]), @r"
    config  ~/.config/sandbar
    data  ~/.local/share/sandbar
    cache  ~/.cache/sandbar
    state  ~/.local/state/sandbar
    runtime  ~/.local/share/sandbar/run
    kubeconfig  ~/.kube/config
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["ls"]), @r"
    there are no clusters; `sandbar up` makes one
    ----- exit code 0
    ");
}

#[test]
fn help_has_examples() {
    let sandbox = Sandbox::without_image();
    assert_snapshot!(sandbox.run(&["--help"]), @r"
    A whole edge Kubernetes cluster on a laptop in seconds

    Usage: sandbar [OPTIONS] <COMMAND>

    Commands:
      init  Write a cluster file, with a comment for each key
      up  Make a cluster, start it, or find that nothing is to be done
      stop  Stop a cluster; its data, ports and context stay
      start  Start a stopped cluster as it was
      restart  Stop a cluster and start it again
      pause  Freeze a cluster: it keeps its memory and takes no CPU time
      unpause  Let a paused cluster go on
      renew  Say anew how long a cluster is wanted, before `sandbar gc` removes it
      rm  Remove clusters with everything of them: container, network, volume, kubeconfig
                   entries [alias: down]
      ls  List clusters [alias: list]
      status  Show how a cluster is: its components, addresses, warnings
      logs  Show what the node's components say
      report  Write one archive to show to somebody else: logs, resources, versions
      shell  Open a shell in the node
      exec  Run a program in the node; its exit code is this one's
      kubectl  Run kubectl for a cluster: this machine's own where its version fits, otherwise the
                   node's
      kubeconfig  Print a cluster's kubeconfig, or put it into yours and take it out
      image  Images in the node
      port  Ports of this machine that lead into a cluster
      cache  What was downloaded: node images of releases
      device  Devices that a cluster's machine can play: boards such as a Raspberry Pi, on any
                   laptop
      doctor  Check whether this machine and its engine are fit for a cluster, by trying
      paths  Show where Sandbar's own files are
      gc  Remove what nobody wants any more: clusters whose time is over, what interrupted
                   commands left, what has no record here
      completions  Print the completions of a shell
      schema  Print the JSON Schema of the cluster file, for editors
      version  Show the version of this program and of the node contract that it speaks
      help  Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Options of every command:
      -f, --file <FILE>
              Cluster file; `./sandbar.yaml` is used where there is one

          --engine <ENGINE>
              Engine that runs the node

              Possible values:
              - auto:  The one that fits on this host
              - podman:  Podman
              - docker:  Docker
              - machine: A machine of QEMU, which needs neither

      -o, --output <FORMAT>
              Form of the result

              Possible values:
              - table: For people
              - json:  For programs
              - yaml:  For programs and people
              - name:  Names alone, one a line
              
              [default: table]

          --events <FORMAT>
              Form of the progress on stderr

              Possible values:
              - json: For programs: one JSON object a line on stderr

      -q, --quiet
              Nothing but results and errors

      -v, --verbose
              More of what happens

      -y, --yes
              Yes to every question

          --timeout <TIME>
              How long to wait, such as AGE or 5m; 2m where it is left out

          --kubeconfig <FILE>
              Kubeconfig to use in place of KUBECONFIG and ~/.kube/config

    Examples:
      sandbar up  make the cluster `default`, or start it
      sandbar up edge --memory 2Gi  a second one, limited to 2 GiB
      sandbar image load hello:1  bring an image from the engine into the cluster
      sandbar kubectl get pods -A  kubectl, also where none is installed
      sandbar rm  remove the cluster with everything of it
    ----- exit code 0
    ");
    assert_has_examples(&sandbar::cli::definition());
}

fn assert_has_examples(command: &clap::Command) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    assert!(help.contains("Example"), "{} has no example", command.get_name());
    command.get_subcommands().for_each(assert_has_examples);
}

#[test]
fn completions_in_the_repository_are_current() {
    let sandbox = Sandbox::without_image();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    for (shell, file) in [("bash", "sandbar.bash"), ("zsh", "_sandbar"), ("fish", "sandbar.fish")] {
        let current = sandbox.succeed(&["completions", shell]);
        let kept = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        assert!(kept == current, "completions/{file} is not current; `make completions` writes it");
    }
    assert_snapshot!(sandbox.run(&["completions"]), @r"
    stderr:
    error: which shell? SHELL does not name one that is known
    hint: name it: bash, elvish, fish, powershell or zsh
    ----- exit code 2
    ");
}

#[test]
fn programs_in_the_node_have_this_ones_streams_and_exit_code() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        let script = Script { stdout: "out\n".into(), stderr: "err\n".into(), exit_code: 7, ..Script::default() };
        behaviour.programs.insert("tool".to_owned(), script);
        let kubectl = Script { stdout: "pods\n".into(), ..Script::default() };
        behaviour.programs.insert("kubectl".to_owned(), kubectl);
    });
    sandbox.succeed(&["up"]);
    assert_snapshot!(sandbox.run(&["exec", "--", "tool", "--flag"]), @r"
    out
    ----- stderr:
    err
    ----- exit code 7
    ");
    assert_snapshot!(sandbox.run(&["kubectl", "get", "pods", "-A"]), @r"
    pods
    ----- exit code 0
    ");
    sandbox.succeed(&["stop"]);
    assert_snapshot!(sandbox.run(&["exec", "--", "tool"]), @r"
    stderr:
    error: node sandbar-default is not running
    hint: `sandbar start` starts it
    ----- exit code 1
    ");
}

#[test]
fn a_kubectl_of_this_machine_is_used_when_its_version_fits() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    for (version, own) in [("v1.36.4", true), ("v1.38.0", true), ("v1.35.9", false)] {
        sandbox.install_kubectl(version);
        let output = sandbox.output(&["kubectl", "get", "nodes"]);
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(words == "own: --context sandbar-default get nodes\n", own, "{version}: {words}");
        let next = if own { "next: kubectl get nodes\n" } else { "next: sandbar kubectl get nodes\n" };
        assert!(sandbox.succeed(&["up"]).ends_with(next), "{version}");
    }
}

#[test]
fn a_kubectl_of_this_machine_is_told_which_file_has_the_context() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        let script = Script { stdout: "the node's\n".into(), ..Script::default() };
        behaviour.programs.insert("kubectl".to_owned(), script);
    });
    sandbox.install_kubectl("v1.37.0");
    let up = sandbox.succeed(&["up", "--kubeconfig", "my files/mine.yaml"]);
    assert!(up.ends_with("next: kubectl --kubeconfig 'my files/mine.yaml' get nodes\n"), "{up}");
    assert_snapshot!(sandbox.run(&["kubectl", "get", "nodes"]), @r"
    own: --kubeconfig ~/my files/mine.yaml --context sandbar-default get nodes
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["kubectl", "--kubeconfig", "my files/mine.yaml", "get", "nodes"]), @r"
    own: --kubeconfig ~/my files/mine.yaml --context sandbar-default get nodes
    ----- exit code 0
    ");
    sandbox.succeed(&["kubeconfig", "unmerge"]);
    assert_snapshot!(sandbox.run(&["kubectl", "get", "nodes"]), @r"
    the node's
    ----- exit code 0
    ");
    sandbox.succeed(&["kubeconfig", "merge"]);
    assert_snapshot!(sandbox.run(&["kubectl", "get", "nodes"]), @r"
    own: --context sandbar-default get nodes
    ----- exit code 0
    ");
}

#[test]
fn logs_are_those_of_the_node_or_of_its_first_process() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    assert!(sandbox.output(&["logs", "etcd"]).status.success());
    // `-f` follows here, and the cluster file still has its long name, wherever it stands.
    assert_eq!(sandbox.output(&["logs", "-f", "etcd", "--cluster", "missing"]).status.code(), Some(5));
    let elsewhere = sandbox.run(&["logs", "--file", "missing.yaml", "etcd"]);
    assert!(elsewhere.contains("missing.yaml"), "{elsewhere}");
    sandbox.succeed(&["stop"]);
    assert_snapshot!(sandbox.run(&["logs"]), @r"
    sandbar-init: started
    ----- stderr:
    cluster default does not run its own log; this is what its first process printed
    ----- exit code 0
    ");
}

#[test]
fn what_was_left_behind_is_shown_and_removed_on_request() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    assert_snapshot!(sandbox.run(&["gc"]), @r"
    nothing was left behind
    ----- exit code 0
    ");
    std::fs::remove_dir_all(sandbox.path(".local/share/sandbar/clusters")).unwrap();
    assert_snapshot!(sandbox.run(&["ls", "--output", "name"]), @r"
    default
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["gc"]), @r"
    stderr:
    error: this would be removed:
    container sandbar-default would be removed: no record of its cluster is here
    volume sandbar-default would be removed: no record of its cluster is here
    network sandbar-default would be removed: no record of its cluster is here
    hint: `--yes` does it without asking; `--dry-run` only shows it
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["gc", "--yes"]), @r"
    container sandbar-default removed: no record of its cluster is here
    volume sandbar-default removed: no record of its cluster is here
    network sandbar-default removed: no record of its cluster is here
    ----- exit code 0
    ");
    assert!(!sandbox.remains().iter().any(|found| found != "kubeconfig"));
}

#[test]
fn what_another_home_made_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    let elsewhere = |arguments: &[&str]| {
        let output = sandbox.command(arguments).env("SANDBAR_HOME", sandbox.path("elsewhere")).output().unwrap();
        sandbox.show(&output)
    };
    assert_snapshot!(elsewhere(&["ls"]), @r"
    there are no clusters; `sandbar up` makes one
    ----- exit code 0
    ");
    assert_snapshot!(elsewhere(&["status"]), @r"
    stderr:
    error: there is no cluster default
    hint: `sandbar up` makes one
    ----- exit code 5
    ");
    assert_snapshot!(elsewhere(&["up"]), @r"
    stderr:
    error: cluster default is in the engine already, made by another user or with another SANDBAR_HOME
    hint: give this one another name: `sandbar up NAME`
    ----- exit code 3
    ");
    assert_snapshot!(elsewhere(&["gc", "--yes"]), @r"
    nothing was left behind
    ----- exit code 0
    ");
    assert_snapshot!(elsewhere(&["rm", "--all", "--yes"]), @r"
    stderr:
    there is nothing to remove
    ----- exit code 0
    ");
    assert_snapshot!(elsewhere(&["rm"]), @r"
    stderr:
    there is no cluster default, nothing to remove
    ----- exit code 0
    ");
    assert!(sandbox.kubeconfig().contains("current-context: sandbar-default"));
    assert_eq!(sandbox.json(&["up"])["outcome"], "unchanged");
    assert!(elsewhere(&["up", "other", "--output", "name"]).starts_with("other\n"));
    assert_eq!(sandbox.succeed(&["ls", "--output", "name"]), "default\n");
}

#[test]
fn the_schema_is_json() {
    let sandbox = Sandbox::without_image();
    let schema: serde_json::Value = serde_json::from_str(&sandbox.succeed(&["schema"])).unwrap();
    assert_eq!(schema["properties"]["kind"]["const"], "Cluster");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = Sandbox::without_image();
    let mut child = sandbox.command(&["schema"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    let mut child = sandbox.command(&["version"]).stdin(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(b"ignored");
    assert!(child.wait().unwrap().success());
}

#[test]
fn files_that_the_nodes_kubectl_reads_are_taken_away_again() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    sandbox.write("secret.yaml", "kind: Secret\n");
    let carried = || {
        let root = std::fs::read_dir(sandbox.path("engine/nodes/sandbar-default/root")).unwrap();
        root.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("sandbar-")).count()
    };
    let behave = |script: Script| {
        sandbox.behave(|behaviour| _ = behaviour.programs.insert("kubectl".to_owned(), script));
    };
    behave(Script { stdout: "created\n".into(), exit_code: 3, ..Script::default() });
    assert_snapshot!(sandbox.run(&["kubectl", "apply", "-fsecret.yaml"]), @r"
    created
    ----- exit code 3
    ");
    assert_eq!(carried(), 0);

    behave(Script { stdout: "created\n".into(), hangs: true, ..Script::default() });
    let mut command = sandbox.command(&["kubectl", "apply", "-f", "secret.yaml"]);
    let mut kubectl = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 8];
    std::io::Read::read_exact(kubectl.stdout.as_mut().unwrap(), &mut line).unwrap();
    assert_eq!((&line, carried()), (b"created\n", 1));
    interrupt(&kubectl);
    assert_snapshot!(sandbox.show(&kubectl.wait_with_output().unwrap()), @r"
    stderr:
    error: interrupted
    ----- exit code 130
    ");
    assert_eq!(carried(), 0);
}
