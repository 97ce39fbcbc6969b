//! A pod that takes all the memory that its node may have.

use std::fs;
use std::time::Duration;

use crate::CLUSTER;
use crate::suite::{Outcome, Suite, eventually, json, path, text};
use crate::writer::Writer;

/// An image with a shell.
const IMAGE: &str = "localhost/tools:1";
/// A pod without a limit of its own, whose shell doubles a variable as long as it can.
const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: hungry}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  containers:
  - name: hungry
    image: localhost/tools:1
    command: [/bin/sh, -c, 'x=12345678; while :; do x=$x$x; done']
";
/// What the node may have at first.
const LIMIT: &str = "700Mi";
/// Who writes.
const WRITER: &str = "memory";

/// The node outlives it with every acknowledged write, says so, and what it tells to type helps.
pub fn exhausted(suite: &Suite) -> Outcome {
    let name = format!("{CLUSTER}-memory");
    let kubeconfig = suite.folder("memory")?.join("kubeconfig");
    let done = walk(suite, &name, &kubeconfig);
    suite.sandbar(["rm", &name, "--yes"])?;
    done
}

fn walk(suite: &Suite, name: &str, kubeconfig: &std::path::Path) -> Outcome {
    let file = path(kubeconfig);
    let kubectl = |arguments: &[&str]| {
        suite.kubectl(["--kubeconfig", file.as_str()].into_iter().chain(arguments.iter().copied()))
    };
    let up = ["up", name, "--kubeconfig", &file, "--timeout", "3m", "--output", "name"];
    suite.sandbar(up.iter().chain(&["--memory", LIMIT]))?;
    suite.build_tools(IMAGE)?;
    suite.sandbar(["image", "load", IMAGE, "--cluster", name])?;
    let status = || suite.sandbar_output(["status", name, "--output", "json"]);
    let warning = || {
        let output = status()?;
        let report = json(&String::from_utf8_lossy(&output.stdout))?;
        let warnings = report["node"]["warnings"].as_array().cloned().unwrap_or_default();
        Ok::<_, String>(warnings.into_iter().find(|warning| warning["code"] == "MemoryExhausted"))
    };
    assert_eq!(warning()?, None, "the limit was reached before anything happened");

    let writer = Writer::start(kubeconfig, WRITER)?;
    writer.awaits_acknowledgement()?;
    let manifest = suite.folder("memory")?.join("pod.yaml");
    fs::write(&manifest, POD).unwrap();
    kubectl(&["apply", "-f", &path(&manifest)])?;
    eventually("the kernel ends the pod's process", || {
        let form = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
        let code = kubectl(&["get", "pod", "hungry", "--output", form])?;
        if code == "137" { Ok(()) } else { Err(kubectl(&["get", "pod", "hungry", "--output", "yaml"])?) }
    })?;
    writer.awaits_acknowledgement()?;
    suite.healthy(&format!("sandbar-{name}"))?;
    let (acknowledged, failed) = writer.finish(kubeconfig, WRITER)?;
    eprintln!("{acknowledged} writes acknowledged, {failed} failed");

    let warning = warning()?.ok_or("the status says nothing of it")?;
    let message = text(&warning, "/message")?;
    let begins = "the node reached its memory limit of 700 MiB, and the kernel ended processes in it: ";
    assert!(message.starts_with(begins), "{message}");
    let hint = text(&warning, "/hint")?;
    let command = format!("sandbar up {name} --recreate --memory 1400Mi");
    assert_eq!(hint, format!("`{command}` gives it more and keeps its data"));
    // In the table, too; and it is typed as it stands there.
    assert!(suite.sandbar(["status", name])?.contains(&format!("({hint})")));
    let typed = command.split(' ').skip(1).chain(["--kubeconfig", &file, "--timeout", "3m"]);
    suite.sandbar(typed)?;
    assert_eq!(String::from_utf8_lossy(&status()?.stdout).matches("MemoryExhausted").count(), 0);
    let api = crate::api::Api::new(kubeconfig, Duration::from_secs(30))?;
    let first = api.get("/api/v1/namespaces/default/configmaps/memory-0")?;
    assert_eq!(first["data"]["number"], "0");
    Ok(())
}
