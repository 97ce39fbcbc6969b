//! What nodes print, held against the schemas of the node contract: the fake engine's, on which all other tests stand.

use std::collections::BTreeMap;

use sandbar::engine::{Engine, LABEL_CLUSTER, NodeSpec, Purpose};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::images::archive;
use crate::sandbox::{Sandbox, runtime};

/// In what a report is not as the schema of that name wants it.
fn misfits(schema: &str, report: &[u8]) -> Vec<String> {
    let path = format!("{}/contract/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let report: Value = serde_json::from_slice(report).unwrap();
    validator.iter_errors(&report).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn assert_fits(schema: &str, report: &[u8]) {
    assert_eq!(misfits(schema, report), Vec::<String>::new(), "{}", String::from_utf8_lossy(report));
}

#[test]
fn a_nodes_reports_fit_the_contract() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    let sandbarctl = |arguments: &[&str]| {
        let output = sandbox.output(&[&["exec", "--", "sandbarctl"], arguments].concat());
        (output.stdout, output.status.code())
    };
    assert_fits("version", &sandbarctl(&["version", "--output", "json"]).0);
    assert_fits("status", &sandbarctl(&["status", "--output", "json"]).0);

    std::fs::write(sandbox.path("tiny.tar"), archive("amd64")).unwrap();
    let mut import = sandbox.command(&["exec", "--", "sandbarctl", "image", "import", "--output", "json"]);
    let import = import.stdin(std::fs::File::open(sandbox.path("tiny.tar")).unwrap()).output().unwrap();
    assert_fits("import", &import.stdout);
    let (images, _) = sandbarctl(&["image", "ls", "--output", "json"]);
    assert!(String::from_utf8_lossy(&images).contains("localhost/tiny:1"));
    assert_fits("images", &images);

    sandbox.behave(|behaviour| {
        behaviour.node.components[4].ready_millis = None;
        behaviour.node.components[4].waiting_for = vec!["etcd".to_owned()];
        behaviour.node.components[4].state = "waiting".to_owned();
    });
    let (status, code) = sandbarctl(&["status", "--output", "json"]);
    assert_eq!(code, Some(1), "it is not healthy");
    assert_fits("status", &status);
}

#[test]
fn what_a_node_would_find_fits_the_contract() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        let finding = ("failed".to_owned(), "no such device".to_owned());
        behaviour.node.findings.insert("veth".to_owned(), finding);
    });
    let command = ["sandbarctl", "host-check", "--output", "json"].map(str::to_owned).to_vec();
    let spec = NodeSpec {
        purpose: Purpose::Check { command },
        name: "sandbar-check".to_owned(),
        hostname: "check".to_owned(),
        image: concat!("localhost/sandbar-node:", env!("CARGO_PKG_VERSION")).to_owned(),
        labels: [(LABEL_CLUSTER.to_owned(), "check".to_owned())].into(),
        ports: Vec::new(),
        environment: BTreeMap::new(),
        cpu_millis: None,
        memory_bytes: None,
        hardware: None,
        emulate_binaries: false,
        cold: false,
        files: Vec::new(),
    };
    let printed = runtime().block_on(async {
        let engine = &sandbox.engine;
        engine.create_volume(&spec.name, &spec.labels).await.unwrap();
        engine.create_node(&spec).await.unwrap();
        engine.start_node(&spec.name).await.unwrap();
        let mut printed = Vec::new();
        engine.logs(&spec.name, true, None).await.unwrap().read_to_end(&mut printed).await.unwrap();
        printed
    });
    assert_fits("host", &printed);
    assert!(String::from_utf8_lossy(&printed).contains("no such device"));
}

#[test]
fn a_report_that_lacks_something_does_not_fit() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    let status = sandbox.output(&["exec", "--", "sandbarctl", "status", "--output", "json"]).stdout;
    let mut report: Value = serde_json::from_slice(&status).unwrap();
    report["components"][0].as_object_mut().unwrap().remove("restarts");
    let expected = r#"/components/0: "restarts" is a required property"#;
    assert_eq!(misfits("status", report.to_string().as_bytes()), [expected]);
}
