//! `sandbar port`, on an engine whose nodes keep the ports that they were made with.

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

#[test]
fn ports_are_listed_and_changed_with_a_new_node() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    assert_snapshot!(sandbox.run(&["port", "ls"]), @r"
    PURPOSE  HERE  IN THE NODE
    api  127.0.0.1:PORT  6443
    http  127.0.0.1:PORT  80
    https  127.0.0.1:PORT  443
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["port", "add", "28081:30080"]), @r"
    stderr:
    error: cluster default keeps the ports that fake made it with
    hint: the same with --recreate makes the node anew with other ports and keeps its data
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["port", "add", "28081:30080", "--recreate"]), @r"
    ✓ cluster default was made anew with its data and is ready after TIME

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
    assert!(sandbox.succeed(&["port", "ls", "--output", "name"]).ends_with("\n28081\n"));
    let ports = sandbox.json(&["port", "ls"]);
    let expected =
        serde_json::json!({"purpose": "extra", "hostAddress": "127.0.0.1", "hostPort": 28081, "nodePort": 30080});
    assert_eq!(ports["ports"][3], expected, "{ports}");
    assert_snapshot!(sandbox.run(&["port", "rm", "28082"]), @r"
    stderr:
    error: port 28082 is none of the further ports of cluster default
    hint: there is: 28081
    ----- exit code 2
    ");
    sandbox.succeed(&["port", "rm", "28081", "--recreate"]);
    assert_snapshot!(sandbox.run(&["port", "rm", "28081"]), @r"
    stderr:
    error: port 28081 is none of the further ports of cluster default
    hint: it has no further ports; `sandbar port ls` lists all
    ----- exit code 2
    ");
}

#[test]
fn ports_that_make_no_sense_are_refused() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["port", "ls"]), @r"
    stderr:
    error: there is no cluster default
    hint: `sandbar up` makes one
    ----- exit code 5
    ");
    sandbox.succeed(&["up"]);
    assert_snapshot!(sandbox.run(&["port", "add", "6443:x"]), @r"
    stderr:
    error: invalid value '6443:x' for '<HOST:NODE>...': `6443:x` is not HOST:NODE or PORT, with ports from 1 to 65535

    For more information, try '--help'.
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["port", "add", "28081:1", "28081:2"]), @r"
    stderr:
    error: port 28081 is given twice, for the node's 1 and for the node's 2
    ----- exit code 2
    ");
    sandbox.succeed(&["stop"]);
    assert_snapshot!(sandbox.run(&["port", "add", "28081"]), @r"
    stderr:
    error: node sandbar-default is not running
    hint: `sandbar start` starts it
    ----- exit code 1
    ");
}
