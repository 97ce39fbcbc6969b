//! Objects of the cluster: all kinds that its API has, without what is secret in them.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::node::{self, Said};
use super::{Content, Gathered, Options, PartError, Subject};

/// Asks the API server for everything it has.
pub(super) async fn gather(subject: &Subject<'_>, options: &Options) -> Result<Gathered, PartError> {
    let (engine, name) = subject.running()?;
    // Each call leaves time for the other.
    let limit = format!("--request-timeout={}s", (options.limit.as_secs() / 2).max(1));
    let kinds =
        node::run(engine, &name, &["kubectl", "api-resources", "--verbs=list", "--output=name", &limit]).await?;
    let text = String::from_utf8_lossy(&kinds.stdout);
    // Events are the same in both groups; component statuses are deprecated, and known from the node's own status.
    let skipped = ["events.events.k8s.io", "componentstatuses"];
    let names: Vec<&str> = text.split_whitespace().filter(|name| !skipped.contains(name)).collect();
    if names.is_empty() {
        return Err(PartError::Unavailable(failed(&kinds)));
    }
    let wanted = names.join(",");
    let get = ["kubectl", "get", &wanted, "--all-namespaces", "--ignore-not-found", "--output=json", &limit];
    let said = node::run(engine, &name, &get).await?;
    let mut gathered = Gathered::default();
    match serde_json::from_slice::<Value>(&said.stdout) {
        Ok(list) => sort(list, &mut gathered),
        Err(_) if said.code == 0 && said.stdout.trim_ascii().is_empty() => {}
        Err(_) => return Err(PartError::Unavailable(failed(&said))),
    }
    if said.code != 0 {
        gathered.lacks("some resources", failed(&said));
    }
    Ok(gathered)
}

fn failed(said: &Said) -> String {
    let words = said.stderr.lines().last().unwrap_or("it said nothing");
    format!("kubectl in the node ended with {}: {words}", said.code)
}

/// Objects by their kind, a file each.
fn sort(list: Value, gathered: &mut Gathered) {
    let items = match list {
        Value::Object(mut list) => match list.remove("items") {
            Some(Value::Array(items)) => items,
            _ => vec![Value::Object(list)],
        },
        _ => Vec::new(),
    };
    let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut events = Vec::new();
    for mut item in items {
        // Who changed what is long and says little.
        if let Some(metadata) = item.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        let (kind, version) = (word(&item, "/kind").to_owned(), word(&item, "/apiVersion"));
        let group = version.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
        match (kind.as_str(), group.as_str()) {
            ("Event", _) => events.push(item),
            ("Secret", "") => {
                gathered.secrets.extend(take_secrets(&mut item));
                kinds.entry("secret".to_owned()).or_default().push(item);
            }
            _ => kinds.entry(format!("{}{group}", kind.to_lowercase())).or_default().push(item),
        }
    }
    for (kind, mut objects) in kinds {
        objects.sort_by_key(|object| {
            (word(object, "/metadata/namespace").to_owned(), word(object, "/metadata/name").to_owned())
        });
        let values = Value::Array(objects);
        // Names of secrets and hosts are learned from the objects, not from their text.
        gathered.learn.push(values.clone());
        let Value::Array(objects) = values else { continue };
        let texts =
            objects.iter().map(|object| serde_saphyr::to_string(object).unwrap_or_else(|_| format!("{object:#}\n")));
        let text = texts.collect::<Vec<_>>().join("---\n");
        gathered.add(&format!("resources/{kind}.yaml"), Content::Text(text.into_bytes()));
    }
    if !events.is_empty() {
        gathered.add("events.txt", Content::Text(told(&events).into_bytes()));
    }
}

/// A line an event, the oldest first.
fn told(events: &[Value]) -> String {
    let mut lines: Vec<String> = events
        .iter()
        .map(|event| {
            let times = ["/lastTimestamp", "/eventTime", "/series/lastObservedTime", "/metadata/creationTimestamp"];
            let time = times.iter().map(|at| word(event, at)).find(|time| !time.is_empty()).unwrap_or_default();
            let object = format!("{}/{}", word(event, "/involvedObject/kind"), word(event, "/involvedObject/name"));
            let namespace = word(event, "/metadata/namespace");
            let mut line = format!("{time} {} {} {namespace} {object}: ", word(event, "/type"), word(event, "/reason"));
            line += word(event, "/message").trim();
            if let Some(count) = event.get("count").and_then(Value::as_u64).filter(|count| *count > 1) {
                // Writing to a text cannot fail.
                let _ = write!(line, " (x{count})");
            }
            line.replace('\n', " ") + "\n"
        })
        .collect();
    lines.sort();
    lines.concat()
}

/// Takes the values out of a Secret; its keys and the values' sizes stay.
fn take_secrets(secret: &mut Value) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    if let Some(annotations) = secret.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        // The whole object as it was applied, values and all.
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    let mut keys = Vec::new();
    for (member, encoded) in [("data", true), ("stringData", false)] {
        let taken = secret.as_object_mut().and_then(|object| object.remove(member));
        for (key, value) in taken.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let text = value.as_str().unwrap_or_default();
            let plain = if encoded { STANDARD.decode(text).unwrap_or_else(|_| text.into()) } else { text.into() };
            keys.push(format!("{key} ({} bytes)", plain.len()));
            values.push(plain);
        }
    }
    secret["keys"] = Value::from(keys);
    values
}

fn word<'a>(value: &'a Value, at: &str) -> &'a str {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_keep_their_keys_alone() {
        let mut secret = json!({
            "kind": "Secret", "data": {"password": "aHVudGVyMg=="}, "stringData": {"more": "x y"},
            "metadata": {"name": "db", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"stringData\":{\"password\":\"hunter2\"}}"
            }}
        });
        assert_eq!(take_secrets(&mut secret), [b"hunter2".to_vec(), b"x y".to_vec()]);
        let text = secret.to_string();
        assert!(
            text.contains("[\"password (7 bytes)\",\"more (3 bytes)\"]")
                && !text.contains("hunter2")
                && !text.contains("aHVu"),
            "{text}"
        );
    }

    #[test]
    fn objects_are_sorted_by_kind_and_events_by_time() {
        let mut gathered = Gathered::default();
        let object = |kind: &str, version: &str, name: &str| json!({"kind": kind, "apiVersion": version, "metadata": {"name": name, "managedFields": [1]}});
        let event = |time: &str, count: u64| {
            json!({"kind": "Event", "apiVersion": "v1", "lastTimestamp": time, "type": "Normal", "reason": "Pulled",
                "message": "is\nthere", "count": count, "metadata": {"namespace": "a"},
                "involvedObject": {"kind": "Pod", "name": "p"}})
        };
        let items = [
            object("Pod", "v1", "b"),
            object("Pod", "v1", "a"),
            object("Deployment", "apps/v1", "d"),
            event("2026-01-02T00:00:00Z", 3),
            event("2026-01-01T00:00:00Z", 1),
        ];
        sort(json!({"kind": "List", "items": items}), &mut gathered);
        let text = |path: &str| match &gathered.files[path] {
            Content::Text(text) => String::from_utf8(text.clone()).unwrap(),
            Content::Json(_) => unreachable!("it is text"),
        };
        assert_eq!(
            gathered.files.keys().collect::<Vec<_>>(),
            ["events.txt", "resources/deployment.apps.yaml", "resources/pod.yaml"]
        );
        assert!(text("resources/pod.yaml").find("name: a") < text("resources/pod.yaml").find("name: b"));
        assert!(!text("resources/pod.yaml").contains("managedFields"));
        insta::assert_snapshot!(text("events.txt"), @r"
        2026-01-01T00:00:00Z Normal Pulled a Pod/p: is there
        2026-01-02T00:00:00Z Normal Pulled a Pod/p: is there (x3)
        ");
    }
}
