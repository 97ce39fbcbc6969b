//! Clusters whose engine is on another machine.

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

#[test]
fn a_cluster_elsewhere_is_reached_at_its_engines_host() {
    let sandbox = Sandbox::new();
    // A name whose ports are redacted.
    sandbox.behave(|behaviour| behaviour.host = Some("engine.localhost".to_owned()));
    assert_snapshot!(sandbox.run(&["up"]), @r"
    ✓ cluster default is ready after TIME

      node  default in fake 1.0.0
      kubernetes  v1.37.2
      context  sandbar-default, current (~/.kube/config)
      api  https://engine.localhost
      http  http://engine.localhost
      https  https://engine.localhost
      phases  engine TIME, image TIME, container TIME, node TIME, laptop TIME

    next: sandbar kubectl get nodes
    ----- stderr:
    the engine is on engine.localhost: the cluster's ports are open there to everyone who reaches engine.localhost (--listen-address narrows that to one of its addresses)
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["ls"]), @r"
    NAME  STATE  KUBERNETES  ENGINE  API  HTTP  AGE
    default  running  v1.37.2  fake  https://engine.localhost  http://engine.localhost  AGE
    ----- exit code 0
    ");
    let report = sandbox.json(&["status"]);
    assert_eq!(report["engine"]["host"], "engine.localhost");
    let api = report["addresses"]["api"].as_str().unwrap();
    assert!(api.starts_with("https://engine.localhost:"), "{api}");
    assert!(sandbox.kubeconfig().contains(&format!("server: {api}\n")), "{}", sandbox.kubeconfig());
    // The node's certificate has the name, and its ports are open to those who reach that host.
    let config =
        std::fs::read_to_string(sandbox.path("engine/nodes/sandbar-default/root/etc/sandbar/config.yaml")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["apiServer"]["subjectAltNames"], serde_json::json!(["engine.localhost"]));
    // It stays there, whatever happens to it.
    assert_eq!(sandbox.json(&["restart"])["addresses"]["api"], api);
    assert_eq!(sandbox.json(&["up", "--memory", "2Gi", "--recreate"])["addresses"]["api"], api);
    // Another one there has other ports; one here has the usual rules.
    let second = sandbox.json(&["up", "second"]);
    assert_ne!(second["addresses"]["api"], api);
    sandbox.succeed(&["rm", "--all", "--yes"]);
    assert_eq!(sandbox.remains(), [""; 0]);
}

#[test]
fn an_engine_behind_ssh_needs_ssh() {
    let sandbox = Sandbox::new();
    let output = sandbox.command(&["up"]).env("SANDBAR_ENGINE", "ssh://me@box").output().unwrap();
    assert_snapshot!(sandbox.show(&output), @r"
    stderr:
    error: the engine at ssh://me@box cannot be reached: ssh is not installed
    hint: install OpenSSH's client: `sudo apt-get install openssh-client`
    ----- exit code 3
    ");
    let output = sandbox.command(&["up"]).env("SANDBAR_ENGINE", "ssh://-oProxyCommand=x").output().unwrap();
    assert!(!output.status.success());
}
