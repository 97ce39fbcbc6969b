//! What is special about the fake; what it shares with the real engines is in the conformance suite.

use std::net::{Ipv4Addr, TcpListener};

use tokio::io::AsyncReadExt;

use super::*;
use crate::engine::{Engine, ExecRequest, LABEL_CLUSTER, NodeSpec, PortForward};

fn spec(name: &str, port: u16) -> NodeSpec {
    NodeSpec {
        purpose: crate::engine::Purpose::Node,
        name: name.into(),
        hostname: name.trim_start_matches("sandbar-").into(),
        image: "localhost/sandbar-node:test".into(),
        labels: Labels::from([(LABEL_CLUSTER.into(), "default".into())]),
        ports: vec![PortForward { host_address: Ipv4Addr::LOCALHOST.into(), host_port: port, node_port: 6443 }],
        environment: BTreeMap::new(),
        cpu_millis: None,
        memory_bytes: None,
        hardware: None,
        emulate_binaries: false,
        cold: false,
        files: vec![("/etc/sandbar/config.yaml".into(), 0o644, b"sandbar:\n  clusterName: blue\n".to_vec())],
    }
}

async fn create(engine: &FakeEngine, spec: &NodeSpec) {
    let image = ImageInfo {
        id: format!("sha256:{:064}", 7),
        names: vec!["localhost/sandbar-node:test".into()],
        labels: Labels::new(),
        diff_ids: Vec::new(),
        architecture: "amd64".into(),
        size_bytes: 1,
    };
    engine.add_image(image).unwrap();
    engine.create_network(&spec.name, &spec.labels).await.unwrap();
    engine.create_volume(&spec.name, &spec.labels).await.unwrap();
    engine.create_node(spec).await.unwrap();
}

/// A port that is free at the moment of asking; the test holds no claim on it.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn sandbarctl(engine: &FakeEngine, arguments: &[&str]) -> (String, String, i64) {
    let command = std::iter::once("sandbarctl").chain(arguments.iter().copied()).map(str::to_owned).collect();
    let mut session = engine.exec("sandbar-blue", ExecRequest { command, ..ExecRequest::default() }).await.unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    let (read_out, read_err) =
        tokio::join!(session.stdout.read_to_string(&mut out), session.stderr.read_to_string(&mut err));
    read_out.unwrap();
    read_err.unwrap();
    (out, err, session.control.wait().await.unwrap())
}

#[tokio::test]
async fn a_node_answers_what_its_configuration_and_script_say() {
    let folder = tempfile::tempdir().unwrap();
    let engine = FakeEngine::connect(folder.path()).unwrap();
    let port = free_port();
    create(&engine, &spec("sandbar-blue", port)).await;
    engine.start_node("sandbar-blue").await.unwrap();

    // Another process with the same folder sees the same node.
    let other = FakeEngine::connect(folder.path()).unwrap();
    let (out, _, code) = sandbarctl(&other, &["status", "--output", "json"]).await;
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["node"]["clusterName"]), (0, &"blue".into()));
    assert_eq!(report["node"]["clusterId"].as_str(), engine.cluster_id("sandbar-blue").as_deref());
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    assert_eq!(other.forwarded(at).unwrap(), Some(("sandbar-blue".into(), 6443)));

    let mut behaviour = Behaviour::default();
    behaviour.node.components[3].ready_millis = None;
    engine.set_behaviour(&behaviour).unwrap();
    let (out, err, code) = sandbarctl(&other, &["status", "--wait", "healthy", "--timeout", "30ms", "--watch"]).await;
    assert_eq!((code, err.as_str()), (4, "sandbarctl: timed out waiting for healthy\n"));
    assert!(out.lines().all(|line| line.contains(r#""healthy":false"#)), "{out}");
}

#[tokio::test]
async fn a_port_that_the_host_holds_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let engine = FakeEngine::connect(folder.path()).unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    create(&engine, &spec("sandbar-blue", port)).await;
    let refused = engine.start_node("sandbar-blue").await;
    assert!(matches!(refused, Err(EngineError::PortTaken { port: p, .. }) if p == port), "{refused:?}");
    drop(held);
    engine.start_node("sandbar-blue").await.unwrap();
}

#[tokio::test]
async fn failpoints_hit_the_call_they_name_before_or_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let engine = FakeEngine::connect(folder.path()).unwrap();
    let labels = Labels::from([(LABEL_CLUSTER.to_owned(), "default".to_owned())]);
    let fail = |operation: Option<&str>, at, action| Failpoint { operation: operation.map(str::to_owned), at, action };
    let failpoints = vec![
        fail(Some("create_volume"), 1, Action::Fail("disk full".into())),
        fail(None, 3, Action::FailAfter("connection lost".into())),
    ];
    engine.set_behaviour(&Behaviour { failpoints, ..Behaviour::default() }).unwrap();
    let first = engine.create_volume("a", &labels).await.unwrap_err();
    assert_eq!(first.to_string(), "fake could not create_volume: disk full");
    engine.create_volume("b", &labels).await.unwrap();
    engine.create_network("c", &labels).await.unwrap_err();
    let resources = engine.list_resources().await.unwrap();
    let names: Vec<_> = resources.into_iter().map(|resource| resource.name).collect();
    assert_eq!(names, ["b", "c"]);
}
