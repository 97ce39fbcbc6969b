//! Logs and configuration: files of the node, which are there also while it is down.

use super::node::{self, Heard};
use super::since::{last, lines_since};
use super::{Content, Gathered, Options, PartError, Subject};
use crate::node::{Node, NodeClient};

/// How many lines of the components' log are asked for.
const LINES: u32 = 50_000;
/// Where the node keeps the logs of its children, as the contract has it.
const LOGS: &str = "/var/lib/sandbar/log";
/// Where kubelet keeps those of pods, also of containers that were started again
/// (<https://kubernetes.io/docs/concepts/cluster-administration/logging/>).
const POD_LOGS: &str = "/var/log/pods";
/// Where the node's configuration is, as the contract has it.
const CONFIG: &str = "/etc/sandbar";

/// What the components of the node say.
pub(super) async fn component_logs(subject: &Subject<'_>, options: &Options) -> Result<Gathered, PartError> {
    let mut gathered = Gathered::default();
    if let Ok((_, name)) = subject.running() {
        let client = NodeClient::new(subject.engine()?, name);
        let deadline = options.limit.mul_f32(0.4);
        let logs = tokio::time::timeout(deadline, client.logs(None, false, Some(LINES))).await;
        if let Ok(Ok(stream)) = logs {
            let Heard { bytes, cut } = node::hear(stream, deadline).await;
            if let Some(reason) = cut {
                gathered.lacks("some of the components' logs", reason);
            }
            if !bytes.is_empty() {
                let text = last(lines_since(bytes, options.since), 4 * node::MOST_OF_FILE);
                gathered.add("logs/components.log", Content::Text(text));
                return Ok(gathered);
            }
        }
    }
    // The files are there also where the node does not answer.
    let (engine, name) = subject.node()?;
    let (files, cut) = node::files(engine, &name, LOGS, options.limit.mul_f32(0.4)).await?;
    for (path, text) in files.into_iter().filter(|(path, _)| is_log(path)) {
        gathered.add(&format!("logs/{path}"), Content::Text(lines_since(text, options.since)));
    }
    if let Some(reason) = cut {
        gathered.lacks("some of the components' logs", reason);
    }
    Ok(gathered)
}

/// What the first process printed.
pub(super) async fn console(subject: &Subject<'_>, options: &Options) -> Result<Gathered, PartError> {
    let (engine, name) = subject.node()?;
    let stream = engine.logs(&name, false, Some(LINES)).await?;
    let Heard { bytes, cut } = node::hear(stream, options.limit.mul_f32(0.8)).await;
    let mut gathered = Gathered::default();
    gathered.add("logs/console.log", Content::Text(last(bytes, node::MOST_OF_FILE)));
    if let Some(reason) = cut {
        gathered.lacks("some of the console", reason);
    }
    Ok(gathered)
}

/// What pods print, now and before they were started again.
pub(super) async fn pod_logs(subject: &Subject<'_>, options: &Options) -> Result<Gathered, PartError> {
    let (engine, name) = subject.node()?;
    let (files, cut) = node::files(engine, &name, POD_LOGS, options.limit.mul_f32(0.8)).await?;
    let mut gathered = Gathered::default();
    for (path, text) in files.into_iter().filter(|(path, _)| is_log(path)) {
        let text = lines_since(text, options.since);
        if !text.is_empty() {
            gathered.add(&format!("pods/{path}"), Content::Text(text));
        }
    }
    if let Some(reason) = cut {
        gathered.lacks("some of the pods' logs", reason);
    }
    Ok(gathered)
}

/// The configuration that the node reads, without the manifests, which are objects of the cluster.
pub(super) async fn configuration(subject: &Subject<'_>, options: &Options) -> Result<Gathered, PartError> {
    let (engine, name) = subject.node()?;
    let (files, _) = node::files(engine, &name, CONFIG, options.limit.mul_f32(0.8)).await?;
    let mut gathered = Gathered::default();
    for (path, text) in files.into_iter().filter(|(path, _)| !path.starts_with("manifests.d/")) {
        if let Ok(config) = serde_saphyr::from_slice::<serde_json::Value>(&text) {
            gathered.learn.push(config);
        }
        gathered.add(&format!("node/{path}"), Content::Text(text));
    }
    Ok(gathered)
}

/// Whether a file is a log that is written now, and not an older one that was put aside.
fn is_log(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|extension| extension == "log")
}
