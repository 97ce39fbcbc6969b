//! What happens to the user's kubeconfig.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use sandbar::engine::fake::Script;

use crate::sandbox::{Sandbox, interrupt};

const OTHER: &str = "\
# mine
apiVersion: v1
kind: Config
current-context: work
clusters:
- {name: work, cluster: {server: \"https://work.example\"}}
contexts:
- {name: work, context: {cluster: work, user: me}}
users:
- {name: me, user: {token: secret}}
";

#[test]
fn the_context_before_is_restored_and_the_rest_is_left_alone() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path(".kube")).unwrap();
    sandbox.write(".kube/config", OTHER);
    sandbox.succeed(&["up"]);
    assert!(sandbox.kubeconfig().contains("current-context: sandbar-default"), "{}", sandbox.kubeconfig());
    sandbox.succeed(&["up", "edge"]);
    assert!(sandbox.kubeconfig().contains("current-context: sandbar-edge"));
    sandbox.succeed(&["rm", "edge"]);
    assert!(sandbox.kubeconfig().contains("current-context: sandbar-default"));
    sandbox.succeed(&["rm"]);
    assert_eq!(sandbox.kubeconfig(), OTHER);
}

#[test]
fn another_file_leaves_the_default_one_alone() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up", "--kubeconfig", "mine.yaml"]);
    assert_eq!(sandbox.kubeconfig(), "");
    let mine = || std::fs::read_to_string(sandbox.path("mine.yaml")).unwrap_or_default();
    assert!(mine().contains("sandbar-default"));
    assert_snapshot!(sandbox.run(&["kubeconfig", "merge"]), @r"
    context sandbar-default is in ~/.kube/config
    ----- exit code 0
    ");
    assert!(sandbox.kubeconfig().contains("sandbar-default"));
    assert_snapshot!(sandbox.run(&["kubeconfig", "unmerge"]), @r"
    context sandbar-default is out of ~/.kube/config, ~/mine.yaml
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["kubeconfig", "unmerge"]), @r"
    no kubeconfig has context sandbar-default
    ----- exit code 0
    ");
    sandbox.succeed(&["up", "--kubeconfig", "mine.yaml"]);
    sandbox.succeed(&["rm"]);
    assert_eq!(mine(), "", "the record knows which files have it");
}

#[test]
fn a_file_that_cannot_be_read_fails_before_anything_is_made() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path(".kube")).unwrap();
    sandbox.write(".kube/config", "clusters: [\n");
    let output = sandbox.output(&["up"]);
    assert_eq!(output.status.code(), Some(3));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.starts_with("error: kubeconfig ") && words.contains("was left as it is"), "{words}");
    assert_eq!(sandbox.kubeconfig(), "clusters: [\n");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn a_clusters_own_kubeconfig_is_printed() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    let text = sandbox.succeed(&["kubeconfig", "print"]);
    assert!(text.contains("sandbar-default") && text.contains("https://127.0.0.1:"), "{text}");
}

/// Makes a file that its owner may only read.
fn write_read_only(sandbox: &Sandbox, name: &str, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    sandbox.write(name, content);
    std::fs::set_permissions(sandbox.path(name), std::fs::Permissions::from_mode(0o400)).unwrap();
}

#[test]
fn a_read_only_file_fails_before_anything_is_made() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path(".kube")).unwrap();
    write_read_only(&sandbox, ".kube/config", OTHER);
    assert_snapshot!(sandbox.run(&["up"]), @r"
    stderr:
    error: kubeconfig ~/.kube/config is read-only
    hint: make it writable, or use another one with --kubeconfig FILE
    ----- exit code 3
    ");
    assert_eq!(sandbox.engine.calls().unwrap().get("create_network"), None);
    assert_eq!(sandbox.remains(), Vec::<String>::new());
    assert_eq!(sandbox.kubeconfig(), OTHER);
}

#[test]
fn of_a_list_only_the_file_that_is_written_has_to_be_writable() {
    let sandbox = Sandbox::new();
    write_read_only(&sandbox, "work.yaml", OTHER);
    sandbox.write("mine.yaml", "kind: Config\n");
    let up =
        |list: &str| sandbox.show(&sandbox.command(&["up", "-o", "name"]).env("KUBECONFIG", list).output().unwrap());
    assert_snapshot!(up("work.yaml:mine.yaml"), @r"
    stderr:
    error: kubeconfig ~/work.yaml is read-only
    hint: make it writable, or use another one with --kubeconfig FILE
    ----- exit code 3
    ");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
    assert_snapshot!(up("mine.yaml:work.yaml"), @r"
    default
    ----- exit code 0
    ");
    let read = |name: &str| std::fs::read_to_string(sandbox.path(name)).unwrap();
    assert!(read("mine.yaml").contains("sandbar-default"));
    assert_eq!(read("work.yaml"), OTHER);
}

#[test]
fn a_held_lock_is_waited_for_before_anything_is_made() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path(".kube")).unwrap();
    sandbox.write(".kube/config.lock", "");
    assert_snapshot!(sandbox.run(&["up", "--timeout", "400ms"]), @r"
    stderr:
    waiting for lock ~/.kube/config.lock
    error: kubeconfig is locked: ~/.kube/config.lock exists; waited 400ms
    hint: if no kubectl or sandbar runs, remove it: rm ~/.kube/config.lock
    ----- exit code 4
    ");
    assert_eq!(sandbox.engine.calls().unwrap().get("create_network"), None);
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

/// An `up` that comes to its end while somebody holds the kubeconfig's lock, and has said that it waits for it.
fn up_that_waits_for_the_lock(sandbox: &Sandbox, more: &[&str]) -> (Child, BufReader<ChildStderr>) {
    std::fs::create_dir(sandbox.path(".kube")).unwrap();
    sandbox.behave(|behaviour| {
        behaviour.delays_millis.insert("start_node".to_owned(), 200);
    });
    let mut up = sandbox.command(&[&["up"], more].concat()).stderr(Stdio::piped()).spawn().unwrap();
    while !sandbox.engine.calls().unwrap().contains_key("start_node") {
        std::thread::sleep(Duration::from_millis(5));
    }
    sandbox.write(".kube/config.lock", "");
    let mut stderr = BufReader::new(up.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("waiting for lock "), "{line}");
    (up, stderr)
}

#[test]
fn a_lock_that_is_held_at_the_end_is_waited_for_in_vain() {
    let sandbox = Sandbox::new();
    let (mut up, mut stderr) = up_that_waits_for_the_lock(&sandbox, &["--timeout", "2s"]);
    let mut words = String::new();
    stderr.read_to_string(&mut words).unwrap();
    assert_eq!(up.wait().unwrap().code(), Some(4));
    assert!(words.starts_with("error: kubeconfig is locked: "), "{words}");
    assert!(words.ends_with("hint: the cluster was removed again, as it was never finished\n"), "{words}");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn ctrl_c_ends_the_wait_for_a_lock() {
    let sandbox = Sandbox::new();
    let (mut up, _stderr) = up_that_waits_for_the_lock(&sandbox, &[]);
    interrupt(&up);
    let begun = Instant::now();
    assert_eq!(up.wait().unwrap().code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(3), "it took {:?}", begun.elapsed());
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

#[test]
fn relative_files_of_a_list_are_found_from_another_folder() {
    let sandbox = Sandbox::new();
    let up = sandbox.command(&["up"]).env("KUBECONFIG", "mine.yaml").output().unwrap();
    assert!(up.status.success(), "{}", sandbox.show(&up));
    assert!(std::fs::read_to_string(sandbox.path("mine.yaml")).unwrap().contains("sandbar-default"));
    std::fs::create_dir(sandbox.path("elsewhere")).unwrap();
    let rm = sandbox.command(&["rm"]).current_dir(sandbox.path("elsewhere")).output().unwrap();
    assert!(rm.status.success(), "{}", sandbox.show(&rm));
    assert!(!sandbox.path("mine.yaml").exists(), "it held nothing else");
}

/// An authority and a certificate of its that ends in so many days, both base64 of PEM.
fn certificate_for(days: i64) -> (String, String) {
    use base64::Engine as _;
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    let encode = |pem: String| base64::engine::general_purpose::STANDARD.encode(pem);
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(vec!["cluster".to_owned()]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let mut user = CertificateParams::new(Vec::new()).unwrap();
    user.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(days * 24);
    user.not_after = std::time::SystemTime::from(end).into();
    let user = user.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().pem();
    (encode(pem), encode(user))
}

#[test]
fn a_certificate_that_ends_is_told_with_what_renews_it() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up", "edge"]);
    let good = sandbox.kubeconfig();
    let with = |days: i64| {
        let (authority, user) = certificate_for(days);
        let of_line = |line: &str| match line.split_once("-data: ") {
            Some((key, _)) if key.ends_with("certificate-authority") => format!("{key}-data: {authority}\n"),
            Some((key, _)) if key.ends_with("client-certificate") => format!("{key}-data: {user}\n"),
            _ => format!("{line}\n"),
        };
        sandbox.write(".kube/config", &good.lines().map(of_line).collect::<String>());
        let warning = |line: &&str| line.starts_with("warning:");
        let shown = sandbox.succeed(&["status", "edge"]);
        shown
            .lines()
            .filter(warning)
            .map(|line| line.split_once(" on ").map_or(line, |(before, _)| before).to_owned())
            .collect::<Vec<_>>()
    };
    let file = sandbox.path(".kube/config");
    let file = file.display();
    assert_eq!(with(31), Vec::<String>::new());
    assert_eq!(with(29), [format!("warning: the certificate in {file} ends")]);
    assert_eq!(with(-1), [format!("warning: the certificate in {file} ended")]);
    let report: serde_json::Value =
        serde_json::from_str(&sandbox.succeed(&["status", "edge", "--output", "json"])).unwrap();
    let warning = &report["node"]["warnings"][0];
    assert_eq!(warning["code"], "KubeconfigCertificateEnds");
    assert_eq!(warning["hint"], "`sandbar kubeconfig merge edge` puts a new one there");
    // What the hint says helps.
    sandbox.succeed(&["kubeconfig", "merge", "edge"]);
    assert_eq!(sandbox.kubeconfig(), good);
    assert!(!sandbox.succeed(&["status", "edge"]).contains("warning:"));
}

#[test]
fn a_context_that_somebody_else_took_out_is_missed() {
    let sandbox = Sandbox::new();
    sandbox.behave(|behaviour| {
        let answer = Script { stdout: "the node's\n".to_owned(), ..Script::default() };
        behaviour.programs.insert("kubectl".to_owned(), answer);
    });
    sandbox.install_kubectl("v1.37.0");
    std::fs::create_dir(sandbox.path(".kube")).unwrap();
    sandbox.write(".kube/config", OTHER);
    sandbox.succeed(&["up"]);
    let context = || {
        let status = sandbox.run(&["status"]);
        let line = status.lines().find(|line| line.trim_start().starts_with("context ")).unwrap().to_owned();
        (line, sandbox.json(&["status"])["kubeconfig"].clone())
    };
    let file = sandbox.path(".kube/config").display().to_string();
    assert_eq!(context(), ("  context  sandbar-default".to_owned(), file.as_str().into()));
    assert_snapshot!(sandbox.run(&["kubectl", "get", "pods"]), @r"
    own: --context sandbar-default get pods
    ----- exit code 0
    ");

    // As by a `kubectl config set-context` that had read the file before the cluster was in it.
    sandbox.write(".kube/config", OTHER);
    let missing = "  context  sandbar-default (in no kubeconfig; `sandbar kubeconfig merge default` puts it there)";
    assert_eq!(context(), (missing.to_owned(), serde_json::Value::Null));
    assert_snapshot!(sandbox.run(&["kubectl", "get", "pods"]), @r"
    the node's
    ----- stderr:
    warning: context sandbar-default is in no kubeconfig any more (`sandbar kubeconfig merge default` puts it back)
    ----- exit code 0
    ");
    sandbox.succeed(&["kubeconfig", "merge", "default"]);
    assert_eq!(context(), ("  context  sandbar-default".to_owned(), file.as_str().into()));
    assert_eq!(sandbox.succeed(&["kubectl", "get", "pods"]), "own: --context sandbar-default get pods\n");

    // Who took it out himself is not told again and again.
    sandbox.succeed(&["kubeconfig", "unmerge"]);
    assert_eq!(context(), (missing.to_owned(), serde_json::Value::Null));
    assert_snapshot!(sandbox.run(&["kubectl", "get", "pods"]), @r"
    the node's
    ----- exit code 0
    ");
    sandbox.succeed(&["rm"]);
    assert_eq!(sandbox.kubeconfig(), OTHER);
}
