//! A second cluster beside the first, with everything in its cluster file that one can have.

use std::fs;

use crate::CLUSTER;
use crate::suite::{Outcome, Suite, get, json, path, text};

/// Name of the second cluster.
fn other() -> String {
    format!("{CLUSTER}-2")
}

/// What it is to be like; the ports are the walk's own.
fn cluster_file(label: &str) -> String {
    format!(
        "apiVersion: sandbar.dev/v1alpha1\nkind: Cluster\nmetadata: {{name: {}}}\nspec:\n  ports:\n    extra:\n    - \
         {{host: 28473, node: 30473}}\n  resources: {{cpus: 1.5, memory: 1Gi}}\n  labels: {{{label}}}\n  network: \
         {{clusterNetwork: 10.52.0.0/16}}\n  config:\n  - drop-in.yaml\n  manifests:\n  - web\n",
        other()
    )
}

/// A manifest that is applied at the start: it takes a port of the node.
const MANIFEST: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 80, nodePort: 30473}]
";

/// The second cluster is the user's as he wrote it, and nothing of the first.
pub fn side_by_side(suite: &Suite) -> Outcome {
    let folder = suite.folder("second")?;
    fs::create_dir_all(folder.join("web")).unwrap();
    fs::write(folder.join("web/kustomization.yaml"), "resources: [service.yaml]\n").unwrap();
    fs::write(folder.join("web/service.yaml"), MANIFEST).unwrap();
    fs::write(folder.join("drop-in.yaml"), "debugging: {logLevel: Debug}\n").unwrap();
    fs::write(folder.join("sandbar.yaml"), cluster_file("stage: first, kept: same")).unwrap();
    let made = walk(suite, &folder);
    suite.sandbar(["rm", &other(), "--yes"])?;
    made?;
    // The context that was current before comes back.
    assert_eq!(suite.kubectl(["config", "current-context"])?.trim(), format!("sandbar-{CLUSTER}"));
    Ok(())
}

fn walk(suite: &Suite, folder: &std::path::Path) -> Outcome {
    let first = suite.up()?;
    let file = path(&folder.join("sandbar.yaml"));
    let up = |more: &[&str]| {
        let fixed = ["up", "--file", &file, "--output", "json", "--timeout", "3m"];
        suite.sandbar(fixed.iter().chain(more).copied()).and_then(|text| json(&text))
    };
    let second = up(&[])?;
    for what in ["/addresses/api", "/clusterId", "/context"] {
        assert_ne!(text(first, what)?, text(&second, what)?, "{what}");
    }
    let context = format!("--context=sandbar-{}", other());
    let kubectl =
        |arguments: &[&str]| suite.kubectl(std::iter::once(context.as_str()).chain(arguments.iter().copied()));
    assert_eq!(kubectl(&["get", "--raw", "/readyz"])?, "ok");
    // What is in one is not in the other.
    assert!(kubectl(&["get", "deployment", "hello"]).is_err());
    suite.kubectl([&format!("--context=sandbar-{CLUSTER}"), "get", "deployment", "hello"])?;

    let label = |key: &str| kubectl(&["get", "nodes", "-o", &format!("jsonpath={{.items[0].metadata.labels.{key}}}")]);
    assert_eq!((label("stage")?.as_str(), label("kept")?.as_str()), ("first", "same"));
    assert_eq!(kubectl(&["get", "nodes", "-o", "jsonpath={.items[0].spec.podCIDR}"])?, "10.52.0.0/24");
    assert_eq!(kubectl(&["get", "service", "web", "-o", "name"])?, "service/web\n");
    let node = format!("sandbar-{}", other());
    let limits = suite.client_ok(["inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", &node])?;
    assert_eq!(limits.trim(), "1073741824 1500000000");
    let config = suite.client_ok(["exec", &node, "/usr/bin/sandbarctl", "config"])?;
    assert!(config.contains("logLevel: Debug"), "{config}");
    // Nobody is behind the service; that the node refuses is its answer.
    let refused = get(([127, 0, 0, 1], 28473).into(), "any").unwrap_err();
    assert!(!refused.contains("timed out"), "{refused}");

    // Other settings are told of, and come with another node on the same data.
    fs::write(folder.join("sandbar.yaml"), cluster_file("stage: second")).unwrap();
    let told = suite.sandbar_output(["up", "--file", &file])?;
    let words = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(!told.status.success() && words.contains("--recreate"), "{words}");
    let again = up(&["--recreate"])?;
    assert_eq!((text(&again, "/outcome")?, &again["clusterId"]), ("recreated", &second["clusterId"]));
    suite.kubectl([&context, "wait", "--for=jsonpath={.metadata.labels.stage}=second", "node", "--all"])?;
    assert_eq!(label("kept")?, "");

    // A file of the user's own has the context, and the default one does not.
    let mine = path(&folder.join("mine.yaml"));
    suite.sandbar(["up", "--file", &file, "--kubeconfig", &mine, "--quiet"])?;
    assert_eq!(suite.kubectl(["--kubeconfig", &mine, "get", "--raw", "/readyz"])?, "ok");
    Ok(())
}
