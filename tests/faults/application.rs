//! The cluster of the suite with an application that answers through its ingress: the example, with two pods and a volume.

use std::fs;

use crate::CLUSTER;
use crate::suite::{Outcome, Suite, eventually, path};

/// Kubernetes waits longer from one death of a container to the next, up to five minutes. That is meant for applications that
/// end by themselves, and here the shortest wait that there is.
const DROP_IN: &str = "kubelet: {crashLoopBackOff: {maxContainerRestartPeriod: 1s}}\n";
/// The application is asked each second whether it is ready, in place of each five.
const PATCH: &str =
    r#"{"spec": {"template": {"spec": {"containers": [{"name": "hello", "readinessProbe": {"periodSeconds": 1}}]}}}}"#;
/// Its image.
const IMAGE: &str = "localhost/hello:1";
/// Where it answers.
pub const HOST: &str = "hello.default.localhost";

/// Makes the cluster of the suite, and the application in it, unless they are there.
pub fn deploy(suite: &Suite) -> Outcome {
    if suite.kubectl(["get", "deployment", "hello"]).is_ok() {
        return Ok(());
    }
    let folder = suite.folder("cluster")?;
    fs::write(folder.join("drop-in.yaml"), DROP_IN).unwrap();
    let file = folder.join("sandbar.yaml");
    let name = format!("apiVersion: sandbar.dev/v1alpha1\nkind: Cluster\nmetadata: {{name: {CLUSTER}}}\n");
    fs::write(&file, name + "spec: {config: [drop-in.yaml]}\n").unwrap();
    fs::create_dir_all(suite.kubeconfig().parent().unwrap()).unwrap();
    suite.up_as(&["--file", &path(&file)])?;
    suite.build_hello(IMAGE)?;
    suite.sandbar(["image", "load", IMAGE, "--cluster", CLUSTER])?;
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hello");
    suite.kubectl(["apply", "-k", &path(&example)])?;
    suite.kubectl(["patch", "deployment", "hello", "--patch", PATCH])?;
    suite.kubectl(["rollout", "status", "deployment/hello", "--timeout=120s"])?;
    eventually("the pods of before the change are gone", || {
        let pods = suite.kubectl(["get", "pod", "--selector", "app.kubernetes.io/name=hello", "--output", "name"])?;
        if pods.lines().count() == 2 { Ok(()) } else { Err(pods) }
    })
}
