//! A report of the walk's cluster: what was planted in it is nowhere in the archive.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::suite::{Outcome, Suite, eventually, json, path};
use crate::{CLUSTER, NODE};

/// Planted in a Secret, and printed by a pod in several forms.
const PASSWORD: &str = "walk/secret+in&object-7";
/// Planted in the environment and the arguments of a pod.
const TOKEN: &str = "walk-token-of-pod-7";
/// Planted in the environment of the command.
const PROXY: &str = "walk-proxy-pa55";

const OBJECTS: &str = "
apiVersion: v1
kind: Secret
metadata: {name: planted}
stringData: {password: \"walk/secret+in&object-7\"}
---
apiVersion: v1
kind: Pod
metadata: {name: planted, annotations: {note: '{\"clientSecret\":\"walk-token-of-pod-7\"}'}}
spec:
  restartPolicy: Never
  containers:
  - name: planted
    image: localhost/hello:1
    env:
    - {name: API_TOKEN, value: walk-token-of-pod-7}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: planted, key: password}}}
    args: [--token, walk-token-of-pod-7]
";

/// Plants secrets in the running cluster, lets a pod's log have them, and looks for them in a report.
pub fn nothing_private(suite: &Suite) -> Outcome {
    suite.up()?;
    let folder = suite.folder("report")?;
    let objects = folder.join("planted.yaml");
    fs::write(&objects, OBJECTS).map_err(|error| error.to_string())?;
    suite.kubectl(["apply", "-f", &path(&objects)])?;
    let base64 = STANDARD.encode(PASSWORD);
    // A log of a pod, as a program that knows them would write it: kubelet's folder of a pod that is gone by now.
    let log = "/var/log/pods/default_planted_0/planted";
    let line = format!("2026-01-01T00:00:00Z stdout F {PASSWORD} {base64} {TOKEN} walk%2Fsecret%2Bin%26object-7");
    let script = format!("mkdir -p {log} && echo '{line}' > {log}/0.log");
    suite.client_ok(["exec", NODE, "/bin/sh", "-c", &script])?;
    eventually("the pod is known to the API server", || suite.kubectl(["get", "pod", "planted"]))?;

    let archive = folder.join("report.tar.gz");
    let mut command = suite.command(env!("CARGO_BIN_EXE_sandbar"));
    command.args(["report", CLUSTER, "-o", &path(&archive), "--output", "json"]);
    command.env("HTTPS_PROXY", format!("http://me:{PROXY}@proxy.corp.example:3128")).env("USER", "walk-user");
    let output = command.output().map_err(|error| error.to_string())?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    let report = json(&String::from_utf8_lossy(&output.stdout))?;
    assert_eq!(report["missing"], serde_json::json!([]), "{words}");

    let files = unpack(&archive)?;
    let kubeconfig = fs::read_to_string(suite.kubeconfig()).map_err(|error| error.to_string())?;
    let keys = kubeconfig.lines().filter_map(|line| line.split_once("-data: ")).map(|(_, data)| data.to_owned());
    let address = suite.kubectl(["get", "node", "--output", "jsonpath={.items[0].status.addresses[0].address}"])?;
    let mut planted: Vec<String> = keys.collect();
    assert!(planted.len() >= 3, "{kubeconfig}");
    for secret in [PASSWORD, TOKEN, PROXY] {
        planted.extend([secret.to_owned(), STANDARD.encode(secret)]);
    }
    let names = ["walk%2Fsecret%2Bin%26object-7", "walk-user", "proxy.corp.example", "PRIVATE KEY-----\nM", &address];
    planted.extend(names.map(str::to_owned));
    for (path, text) in &files {
        for secret in &planted {
            assert!(!text.contains(secret.as_str()), "{path} has {secret}");
        }
    }
    let map = fs::read_to_string(folder.join("report-map.json")).map_err(|error| error.to_string())?;
    let map = json(&map)?;
    let tokens = map["tokens"].as_object().ok_or("the map has no tokens")?;
    let token = tokens.iter().find(|(_, original)| **original == address.as_str()).ok_or("no token for the node")?.0;
    for path in ["resources/node.yaml", "engine/container.json", "status.json"] {
        let text = files.get(path).ok_or_else(|| format!("no {path} in {:?}", files.keys()))?;
        assert!(text.contains(&format!("{token}\"")) || text.contains(&format!("{token}\n")), "{path} lacks {token}");
    }
    for path in ["pods/default_planted_0/planted/0.log", "resources/secret.yaml", "events.txt", "logs/components.log"] {
        assert!(files.contains_key(path), "no {path} in {:?}", files.keys());
    }
    suite.kubectl(["delete", "-f", &path(&objects), "--grace-period=1"])?;
    suite.client_ok(["exec", NODE, "/bin/rm", "-rf", "/var/log/pods/default_planted_0"]).map(drop)
}

fn unpack(archive: &std::path::Path) -> Outcome<BTreeMap<String, String>> {
    let words = |error: std::io::Error| error.to_string();
    let file = fs::File::open(archive).map_err(words)?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut files = BTreeMap::new();
    for entry in archive.entries().map_err(words)? {
        let mut entry = entry.map_err(words)?;
        let path: std::path::PathBuf = entry.path().map_err(words)?.components().skip(1).collect();
        let mut text = Vec::new();
        entry.read_to_end(&mut text).map_err(words)?;
        files.insert(path.display().to_string(), String::from_utf8_lossy(&text).into_owned());
    }
    Ok(files)
}
