//! Reports: what is in them, what is never in them, and that they are made also where little is left.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use insta::assert_snapshot;
use sandbar::engine::fake::{Action, Component, Connect, Failpoint, Script};
use serde_json::json;

use crate::sandbox::{Sandbox, runtime};

/// Secrets, and where each is planted.
const OF_SECRET: &str = "Secret/object+value&1";
const OF_ENV: &str = "env-of-pod-pa55";
const OF_ARGS: &str = "args-of-pod-pa55";
const OF_ANNOTATION: &str = "annotation-pa55";
const OF_LOG: &str = "log-next-to-name-pa55";
const OF_ENGINE: &str = "engine-env-pa55";
const OF_CONFIG: &str = "node-config-pa55";
const OF_KUBECONFIG: &str = "kubeconfig-token-pa55";
const OF_PROXY: &str = "proxy-pa55word";
const OF_VARIABLE: &str = "own-variable-pa55";
const SECRETS: [&str; 10] =
    [OF_SECRET, OF_ENV, OF_ARGS, OF_ANNOTATION, OF_LOG, OF_ENGINE, OF_CONFIG, OF_KUBECONFIG, OF_PROXY, OF_VARIABLE];
/// What else is nobody's business.
const NAMES: [&str; 6] = [
    "alice-the-user",
    "192.168.77.20",
    "proxy.corp.example",
    "shop.corp.example",
    "bob@corp.example",
    "02:42:ac:11:00:99",
];

/// A cluster that has secrets everywhere.
fn planted() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("extra.yaml", &format!("etcd:\n  memoryLimitMB: 256\nnote:\n  adminPassword: {OF_CONFIG}\n"));
    sandbox.behave(|behaviour| {
        behaviour.added_environment =
            vec![format!("HTTPS_PROXY=http://me:{OF_PROXY}@proxy.corp.example:3128"), format!("API_TOKEN={OF_ENGINE}")];
        behaviour.node.log = vec![
            format!("2026-01-01T00:00:00Z kubelet info password=\"{OF_LOG}\" from 192.168.77.20"),
            format!("2026-01-01T00:00:01Z kubelet info then {OF_LOG} alone, {}", STANDARD.encode(OF_SECRET)),
        ];
        behaviour.programs.insert("kubectl api-resources".to_owned(), said("pods\nsecrets\nevents\n"));
        behaviour.programs.insert("kubectl get".to_owned(), said(&objects().to_string()));
    });
    sandbox.succeed(&["up", "--config", "extra.yaml"]);
    let kubeconfig = sandbox.kubeconfig();
    let user = format!("users:\n- name: other\n  user:\n    token: {OF_KUBECONFIG}\n");
    sandbox.write(".kube/config", &kubeconfig.replacen("users:\n", &user, 1));
    let log = sandbox.path("engine/nodes/sandbar-default/root/var/log/pods/shop_web-1_uid/web");
    std::fs::create_dir_all(&log).unwrap();
    let lines = [
        format!("2026-01-01T00:00:02Z stdout F secret is {OF_SECRET}"),
        format!("2026-01-01T00:00:03Z stdout F {}", percent(OF_SECRET)),
        format!("2026-01-01T00:00:04Z stdout F {{\"a\":\"{OF_ENV} {OF_ARGS} {OF_ANNOTATION}\"}}"),
        format!("2026-01-01T00:00:05Z stdout F {OF_ENGINE} {OF_KUBECONFIG} {OF_VARIABLE} {OF_CONFIG}"),
        "2026-01-01T00:00:06Z stdout F alice-the-user at 192.168.77.20, 02:42:ac:11:00:99, bob@corp.example".to_owned(),
        format!("2026-01-01T00:00:07Z stdout F proxy.corp.example shop.corp.example {OF_PROXY}"),
        "2026-01-01T00:00:08Z stdout F -----BEGIN PRIVATE KEY-----".to_owned(),
        format!("2026-01-01T00:00:08Z stdout F {}", STANDARD.encode("this is the body of a key, whatever")),
        "2026-01-01T00:00:08Z stdout F -----END PRIVATE KEY-----".to_owned(),
    ];
    std::fs::write(log.join("0.log"), lines.join("\n") + "\n").unwrap();
    sandbox
}

fn said(stdout: &str) -> Script {
    Script { stdout: stdout.to_owned(), ..Script::default() }
}

fn objects() -> serde_json::Value {
    let applied = json!({ "stringData": { "password": OF_SECRET } }).to_string();
    json!({"kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"password": STANDARD.encode(OF_SECRET)},
            "metadata": {"name": "db", "namespace": "shop",
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}},
        {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web-1", "namespace": "shop", "annotations": {
                "last": json!({"clientSecret": OF_ANNOTATION}).to_string()}},
            "spec": {"containers": [{"name": "web", "image": "localhost/web:1",
                "env": [{"name": "DB_PASSWORD", "value": OF_ENV}], "args": ["--token", OF_ARGS]}]}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"rules": [{"host": "shop.corp.example"}]}},
        {"apiVersion": "v1", "kind": "Event", "lastTimestamp": "2026-01-01T00:00:00Z", "type": "Warning",
            "reason": "Failed", "message": format!("login with {OF_SECRET} from 192.168.77.20 failed"),
            "metadata": {"name": "e", "namespace": "shop"}, "involvedObject": {"kind": "Pod", "name": "web-1"}},
    ]})
}

fn percent(text: &str) -> String {
    text.replace('/', "%2F").replace('+', "%2B").replace('&', "%26")
}

/// Makes a report as a user that has a name and a proxy, and returns its files.
fn report(sandbox: &Sandbox, arguments: &[&str]) -> BTreeMap<String, String> {
    let mut all = vec!["report", "-o", "report.tar.gz"];
    all.extend(arguments);
    let output = sandbox
        .command(&all)
        .env("USER", "alice-the-user")
        .env("HTTPS_PROXY", format!("http://me:{OF_PROXY}@proxy.corp.example:3128"))
        .env("SANDBAR_API_TOKEN", OF_VARIABLE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", sandbox.show(&output));
    unpack(&sandbox.path("report.tar.gz"))
}

/// The files of an archive, by their paths in its one folder.
pub fn unpack(archive: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(archive).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path: std::path::PathBuf = entry.path().unwrap().components().skip(1).collect();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        files.insert(path.display().to_string(), text);
    }
    files
}

/// Fails where a text has a secret in any form.
fn assert_has_none(path: &str, text: &str, secrets: &[&str]) {
    for secret in secrets {
        let base64 = STANDARD.encode(secret);
        let forms = [
            (*secret).to_owned(),
            percent(secret),
            base64.trim_end_matches('=').to_owned(),
            URL_SAFE_NO_PAD.encode(secret),
        ];
        for form in forms {
            assert!(!text.contains(&form), "{path} has {secret} as {form}:\n{text}");
        }
    }
}

#[test]
fn nothing_that_is_private_is_in_a_report() {
    let sandbox = planted();
    let files = report(&sandbox, &[]);
    let keys = sandbox.kubeconfig();
    let keys: Vec<&str> = keys.lines().filter_map(|line| line.split_once("-data: ")).map(|(_, data)| data).collect();
    assert!(keys.len() >= 3, "{keys:?}");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let home = sandbox.path("").display().to_string();
    for (path, text) in &files {
        assert_has_none(path, text, &SECRETS);
        assert_has_none(path, text, &keys);
        for name in NAMES.iter().copied().chain([home.trim_end_matches('/')]) {
            assert!(!text.contains(name), "{path} has {name}:\n{text}");
        }
        // A host that is called as everybody's is told nothing of.
        assert!(host == "localhost" || !text.contains(&host), "{path} has {host}:\n{text}");
        assert!(!text.contains(&STANDARD.encode("this is the body")), "{path} has a key");
    }
    // What was planted was there to be found: the places of it are.
    let wanted = [
        "cluster.json",
        "engine/container.json",
        "engine/network.json",
        "engine/volume.json",
        "environment.txt",
        "events.txt",
        "host.json",
        "logs/components.log",
        "logs/console.log",
        "node/config.d/10-extra.yaml",
        "node/config.yaml",
        "pods/shop_web-1_uid/web/0.log",
        "report.json",
        "resources/ingress.networking.k8s.io.yaml",
        "resources/pod.yaml",
        "resources/secret.yaml",
        "status.json",
        "versions.json",
    ];
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), wanted);
    assert!(files["resources/secret.yaml"].contains("- password (21 bytes)"), "{}", files["resources/secret.yaml"]);
    assert!(files["resources/pod.yaml"].contains("DB_PASSWORD"), "{}", files["resources/pod.yaml"]);
}

#[test]
fn the_same_thing_is_the_same_token_and_the_map_is_kept_apart() {
    let sandbox = planted();
    let files = report(&sandbox, &[]);
    let map: serde_json::Value =
        serde_json::from_slice(&std::fs::read(sandbox.path("report-map.json")).unwrap()).unwrap();
    let tokens = map["tokens"].as_object().unwrap();
    let token = |original: &str| {
        let found = tokens.iter().find(|(_, value)| **value == original);
        found.map_or_else(|| panic!("no token for {original}: {map}"), |(token, _)| token.clone())
    };
    let address = token("192.168.77.20");
    for path in ["events.txt", "logs/components.log", "pods/shop_web-1_uid/web/0.log"] {
        assert!(files[path].contains(&address), "{path}: {}", files[path]);
    }
    let proxy = token("proxy.corp.example");
    assert!(files["environment.txt"].contains(&format!("@{proxy}:3128")), "{}", files["environment.txt"]);
    assert!(files["engine/container.json"].contains(&format!("@{proxy}:3128")));
    for name in ["alice-the-user", "shop.corp.example", "bob@corp.example", "02:42:ac:11:00:99"] {
        token(name);
    }
    for secret in SECRETS {
        assert!(!map.to_string().contains(secret), "the map has {secret}");
    }
    for name in ["report.tar.gz", "report-map.json"] {
        let mode = std::fs::metadata(sandbox.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn names_stay_readable_where_that_is_asked_for() {
    let sandbox = planted();
    let files = report(&sandbox, &["--keep-names"]);
    assert!(files["events.txt"].contains("192.168.77.20"));
    for (path, text) in &files {
        assert_has_none(path, text, &SECRETS);
    }
    assert!(!sandbox.path("report-map.json").exists());
}

#[test]
fn the_command_says_what_it_wrote() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    let output = sandbox.run(&["report", "-o", "report.tgz"]);
    let known = ["archive", "map", "masked"];
    let lines: Vec<&str> =
        output.lines().filter(|line| !known.iter().any(|key| line.trim().starts_with(key))).collect();
    let names: Vec<&str> = lines.iter().map(|line| line.split("  ").next().unwrap_or_default()).collect();
    assert_snapshot!(names.join("\n"), @r#"
    report of cluster default is written


    FILE
    cluster.json
    engine/container.json
    engine/network.json
    engine/volume.json
    environment.txt
    host.json
    logs/components.log
    logs/console.log
    node/config.yaml
    report.json
    status.json
    versions.json
    ----- stderr:
    warning: not in the report: resources (kubectl in the node ended with 127: exec: "kubectl": executable file not found in $PATH)
    ----- exit code 0
    "#);
    let report = sandbox.json(&["report"]);
    assert_eq!(report["schemaVersion"], 1);
    let archive = report["archive"].as_str().unwrap();
    assert!(archive.contains("/sandbar-report-default-2") && archive.ends_with("Z.tar.gz"), "{archive}");
    assert_eq!(unpack(Path::new(archive)).len(), report["files"].as_array().unwrap().len());
    assert_eq!(report["missing"][0]["what"], "resources");

    let output = sandbox.output(&["report", "-o", "-", "--quiet"]);
    assert!(output.status.success() && output.stdout.starts_with(&[0x1f, 0x8b]), "{}", sandbox.show(&output));
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["report"]), @r"
    stderr:
    error: there is no cluster default
    hint: `sandbar up` makes one
    ----- exit code 5
    ");
    assert_snapshot!(sandbox.run(&["report", "-o", "json"]), @r"
    stderr:
    error: `-o json` would write an archive of that name
    hint: `--output json` is the form of the result; `-o ./json` means the file
    ----- exit code 2
    ");
    sandbox.succeed(&["up"]);
    let words = sandbox.run(&["report", "-o", "nowhere/report.tgz"]);
    assert!(words.contains("error: cannot write into ~/nowhere"), "{words}");
    assert!(words.ends_with("exit code 1\n") || words.ends_with("exit code 1"), "{words}");
}

#[test]
fn logs_can_begin_at_a_time() {
    let sandbox = planted();
    let files = report(&sandbox, &["--since", "1h"]);
    assert!(!files.contains_key("pods/shop_web-1_uid/web/0.log"), "they are older");
    assert_eq!(files["logs/components.log"], "");
}

#[test]
fn a_report_is_made_of_what_is_left() {
    let sandbox = planted();
    sandbox.succeed(&["stop"]);
    let files = report(&sandbox, &[]);
    for path in ["cluster.json", "engine/container.json", "logs/console.log", "pods/shop_web-1_uid/web/0.log"] {
        assert!(files.contains_key(path), "{path} of a node that is down: {:?}", files.keys());
    }
    let missing = |files: &BTreeMap<String, String>| {
        let index: serde_json::Value = serde_json::from_str(&files["report.json"]).unwrap();
        let missing = index["missing"].as_array().unwrap().clone();
        let words =
            |one: &serde_json::Value| format!("{}: {}", one["what"].as_str().unwrap(), one["reason"].as_str().unwrap());
        missing.iter().map(words).collect::<Vec<_>>()
    };
    assert_eq!(missing(&files), ["resources: the node does not run"]);
    for (path, text) in &files {
        // Without its objects nobody knows what is in the cluster's Secrets; what has a name before it is masked all the same.
        assert_has_none(path, text, &[OF_LOG, OF_ENGINE, OF_KUBECONFIG, OF_PROXY, OF_VARIABLE]);
    }

    runtime().block_on(async {
        let node = sandbar::engine::ResourceKind::Node;
        sandbar::engine::Engine::remove(&sandbox.engine, &node, "sandbar-default").await.unwrap();
    });
    let files = report(&sandbox, &[]);
    assert!(files.contains_key("engine/volume.json") && files.contains_key("cluster.json"), "{:?}", files.keys());
    assert!(missing(&files).contains(&"console: the node's container is gone".to_owned()), "{:?}", missing(&files));

    sandbox.behave(|behaviour| behaviour.connect = Connect::Unreachable("connection refused".to_owned()));
    let files = report(&sandbox, &[]);
    assert_eq!(
        files.keys().map(String::as_str).collect::<Vec<_>>(),
        ["cluster.json", "environment.txt", "host.json", "report.json", "status.json", "versions.json"]
    );
    assert!(missing(&files)[0].contains("does not answer: connection refused"), "{:?}", missing(&files));
}

#[test]
fn a_part_that_hangs_is_left_out() {
    let sandbox = planted();
    sandbox.behave(|behaviour| {
        behaviour.failpoints = ["sandbarctl status", "sandbarctl logs", "logs", "exec"]
            .map(|operation| Failpoint { operation: Some(operation.to_owned()), at: 0, action: Action::Hang })
            .into();
    });
    let started = Instant::now();
    let files = report(&sandbox, &["--timeout", "1s"]);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(files.contains_key("engine/container.json") && !files.contains_key("status.json"), "{:?}", files.keys());
    assert!(files["report.json"].contains("it was not there within 1s"), "{}", files["report.json"]);
}

#[test]
fn a_failed_up_keeps_a_report_and_the_next_one_has_it() {
    let sandbox = planted();
    sandbox.succeed(&["stop"]);
    sandbox.behave(|behaviour| {
        behaviour.node.components.push(Component {
            name: "dns".to_owned(),
            ready_millis: None,
            reason: format!("no answer from 192.168.77.20 with token={OF_LOG}"),
            ..Component::default()
        });
    });
    let output = sandbox.output(&["start", "--timeout", "300ms"]);
    assert_eq!(output.status.code(), Some(4), "{}", sandbox.show(&output));
    let words = String::from_utf8(output.stderr).unwrap();
    let archive = words.lines().find_map(|line| line.strip_prefix("hint: a report with its logs is kept in ")).unwrap();
    let failed = unpack(Path::new(archive));
    assert!(failed["failure.json"].contains("was not ready within 300ms"), "{}", failed["failure.json"]);
    assert!(failed["pods/shop_web-1_uid/web/0.log"].contains("secret-"));
    for (path, text) in &failed {
        assert_has_none(path, text, &SECRETS.map(|secret| if secret == OF_VARIABLE { OF_LOG } else { secret }));
    }
    let files = report(&sandbox, &[]);
    assert!(files["last-failure/failure.json"].contains("was not ready within 300ms"), "{:?}", files.keys());
    let map = std::fs::read_to_string(sandbox.path("report-map.json")).unwrap();
    let map: serde_json::Value = serde_json::from_str(&map).unwrap();
    let tokens = map["tokens"].as_object().unwrap();
    let address = tokens.iter().find(|(_, value)| **value == "192.168.77.20").unwrap().0;
    assert!(
        files["last-failure/failure.json"].contains(&format!("from {address} with")),
        "{}",
        files["last-failure/failure.json"]
    );
}
