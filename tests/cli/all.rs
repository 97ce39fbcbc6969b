//! Everything that Sandbar owns on this machine: shown by `ls --all`, gone after `rm --all`.

use std::collections::BTreeSet;
use std::path::Path;

use insta::assert_snapshot;
use sandbar::engine::ResourceKind;
use sandbar::engine::fake::Component;

use crate::sandbox::Sandbox;

/// A running cluster, one without a record, logs of a failure and a file that was put aside; and things of others.
fn full() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.engine.add_foreign(&ResourceKind::Volume, "somebody-elses").unwrap();
    sandbox.succeed(&["up", "forgotten"]);
    std::fs::remove_dir_all(sandbox.path(".local/share/sandbar/clusters")).unwrap();
    sandbox.succeed(&["up"]);
    sandbox.behave(|behaviour| {
        let never = Component { name: "dns".to_owned(), ready_millis: None, ..Component::default() };
        behaviour.node.components.push(never);
    });
    assert_eq!(sandbox.output(&["up", "broken", "--timeout", "200ms"]).status.code(), Some(4));
    sandbox.behave(|behaviour| behaviour.node = sandbar::engine::fake::NodeBehaviour::default());
    std::fs::create_dir_all(sandbox.path(".cache/sandbar")).unwrap();
    sandbox.write(".cache/sandbar/image-x", "12345");
    sandbox
}

/// What the engine has: its resources and their folders, not how often it was asked.
fn engine(sandbox: &Sandbox) -> (serde_json::Value, BTreeSet<String>) {
    let state = std::fs::read(sandbox.path("engine/state.json")).unwrap();
    let mut state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    state.as_object_mut().unwrap().retain(|key, _| key != "calls" && key != "changes");
    let mut found = BTreeSet::new();
    for folder in ["engine/nodes", "engine/volumes"] {
        walk(&sandbox.path(folder), &mut |path, _| _ = found.insert(path.display().to_string()));
    }
    (state, found)
}

/// All files outside of the engine, and all folders of Sandbar's.
fn files(sandbox: &Sandbox) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let home = sandbox.path("");
    walk(&home, &mut |path, is_folder| {
        let name = path.strip_prefix(&home).unwrap().display().to_string();
        if !name.starts_with("engine") && (!is_folder || name.contains("sandbar")) {
            found.insert(name);
        }
    });
    found
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path, bool)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        visit(&path, path.is_dir());
        walk(&path, visit);
    }
}

#[test]
fn everything_is_listed() {
    let sandbox = full();
    assert_snapshot!(sandbox.run(&["ls", "--all"]), @r"
    WHAT  NAME  DETAIL
    cluster  default  running in fake
    cluster  forgotten  orphaned in fake
    container  sandbar-default  of default in fake
    network  sandbar-default  of default in fake
    volume  sandbar-default  of default in fake
    container  sandbar-forgotten  of forgotten in fake, of which there is no record here
    network  sandbar-forgotten  of forgotten in fake, of which there is no record here
    volume  sandbar-forgotten  of forgotten in fake, of which there is no record here
    failure log  ~/.local/state/sandbar/failures/broken-WHEN  TIME KiB
    cached file  ~/.cache/sandbar/image-x  5 B
    ----- exit code 0
    ");
    let report = sandbox.json(&["ls", "--all"]);
    assert_eq!(report["schemaVersion"], 1);
    assert_eq!(report["clusters"][0]["name"], "default");
    let orphans: Vec<&serde_json::Value> =
        report["resources"].as_array().unwrap().iter().filter(|resource| resource["orphaned"] == true).collect();
    assert_eq!(orphans.len(), 3, "{orphans:?}");
    assert_eq!(
        *orphans[0],
        serde_json::json!({
            "what": "container", "name": "sandbar-forgotten", "cluster": "forgotten", "engine": "fake", "orphaned": true
        })
    );
    let files: Vec<&str> =
        report["files"].as_array().unwrap().iter().map(|kept| kept["what"].as_str().unwrap()).collect();
    assert_eq!(files, ["failure log", "cached file"]);
    assert_eq!(report["files"][1]["bytes"], 5);
    assert_eq!(sandbox.succeed(&["ls", "--all", "--output", "name"]).lines().count(), 10);
}

#[test]
fn nothing_is_left_after_everything_was_removed() {
    let fresh = Sandbox::new();
    fresh.engine.add_foreign(&ResourceKind::Volume, "somebody-elses").unwrap();
    let sandbox = full();
    let before = (engine(&sandbox), files(&sandbox));
    assert_snapshot!(sandbox.run(&["rm", "--all"]), @r"
    stderr:
    error: this would be removed, with all its data:
    cluster default
    container sandbar-forgotten
    network sandbar-forgotten
    volume sandbar-forgotten
    failure log ~/.local/state/sandbar/failures/broken-WHEN
    cached file ~/.cache/sandbar/image-x
    hint: `--yes` does it without asking
    ----- exit code 2
    ");
    assert_eq!((engine(&sandbox), files(&sandbox)), before, "nobody has agreed");
    assert_snapshot!(sandbox.run(&["rm", "--all", "--yes"]), @r"
    cluster default is removed
    container sandbar-forgotten is removed
    network sandbar-forgotten is removed
    volume sandbar-forgotten is removed
    failure log ~/.local/state/sandbar/failures/broken-WHEN is removed
    cached file ~/.cache/sandbar/image-x is removed
    ----- exit code 0
    ");
    assert_eq!(engine(&sandbox), engine(&fresh));
    assert_eq!(files(&sandbox), files(&fresh));
    assert_snapshot!(sandbox.run(&["ls", "--all"]), @r"
    nothing here is Sandbar's
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["rm", "--all"]), @r"
    stderr:
    there is nothing to remove
    ----- exit code 0
    ");
    assert_eq!(files(&sandbox), files(&fresh));
}

#[test]
fn what_was_removed_is_told_to_programs() {
    let sandbox = full();
    let report = sandbox.json(&["rm", "--all", "--yes"]);
    assert_eq!(report["clusters"], serde_json::json!([{"name": "default", "existed": true}]));
    assert_eq!(report["resources"].as_array().unwrap().len(), 3);
    assert_eq!(report["files"].as_array().unwrap().len(), 2);
}
