//! What happens to the user's kubeconfig.

use insta::assert_snapshot;

use crate::sandbox::Sandbox;

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
