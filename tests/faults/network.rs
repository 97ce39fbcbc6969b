//! The node's network is taken away and given back, as when a laptop changes its networks.

use crate::application::{self, HOST};
use crate::suite::{Outcome, Suite, eventually, get, json, text};
use crate::{CLUSTER, NODE};

/// What is in the node goes on, the status says what is not reached, and all of it is reached again afterwards.
pub fn down_and_up(suite: &Suite) -> Outcome {
    application::deploy(suite)?;
    suite.healthy(NODE)?;
    let http = suite.http()?;
    eventually("the application answers", || get(http, HOST))?;
    let before = containers(suite)?;

    suite.client_ok(["network", "disconnect", NODE, NODE])?;
    let words = eventually("the status says it", || {
        let output = suite.sandbar_output(["status", CLUSTER])?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() == Some(1) { Ok(words) } else { Err(words) }
    })?;
    let begins = format!(
        "error: cluster {CLUSTER} is not healthy: waiting for network (degraded: nobody outside reaches the node, and it reaches \
         nobody: the address "
    );
    assert!(words.starts_with(&begins) && words.contains(&format!("hint: `sandbar restart {CLUSTER}` ")), "{words}");
    assert!(get(http, HOST).is_err(), "a node without a network answers");
    // Of the components it is the only one: the cluster inside goes on.
    let report = json(&String::from_utf8_lossy(&suite.sandbar_output(["status", CLUSTER, "-o", "json"])?.stdout))?;
    let parts = report["node"]["components"].as_array().ok_or("no components")?;
    let unwell: Vec<_> = parts.iter().filter(|part| part["state"] != "ready").map(|part| &part["name"]).collect();
    assert_eq!(unwell, ["network"], "{report}");
    suite.client_ok(["exec", NODE, "kubectl", "create", "configmap", "without-a-network"])?;
    names_outside(suite, text(&report, "/node/network/dns")?)?;
    assert_eq!(containers(suite)?, before, "pods were started again");

    suite.client_ok(["network", "connect", NODE, NODE])?;
    suite.healthy(NODE)?;
    eventually("the API answers this machine", || {
        suite.kubectl(["--request-timeout=5s", "get", "configmap", "without-a-network"])
    })?;
    eventually("the application answers", || get(http, HOST))?;
    // The API server reaches kubelet at the address that the node has now.
    eventually("logs are read", || suite.kubectl(["logs", "deployment/hello", "--tail=1"]))?;
    assert_eq!(containers(suite)?, before, "pods were started again");
    Ok(())
}

/// Names outside are not found, which the status knows once somebody has asked for some.
fn names_outside(suite: &Suite, server: &str) -> Outcome {
    for name in ["one.example.org", "two.example.org", "three.example.org"] {
        let asked = suite.client(["exec", NODE, "busybox", "nslookup", name, server])?;
        assert!(!asked.status.success(), "{name} is found: {asked:?}");
    }
    let output = suite.sandbar_output(["status", CLUSTER])?;
    let shown = String::from_utf8_lossy(&output.stdout);
    let begins = "warning: pods do not find names outside the cluster: the last ";
    let told = shown.lines().any(|line| line.starts_with(begins) && line.contains("(`sandbar doctor` tries "));
    if told { Ok(()) } else { Err(shown.into_owned()) }
}

/// The application's containers, asked for within the node.
fn containers(suite: &Suite) -> Outcome<String> {
    let form = "jsonpath={range .items[*].status.containerStatuses[*]}{.containerID} {.restartCount}{\"\\n\"}{end}";
    let selector = "app.kubernetes.io/name=hello";
    suite.client_ok(["exec", NODE, "kubectl", "get", "pod", "--selector", selector, "--output", form])
}
