//! What a report is made of. A new part is one function and one line in [`SOURCES`].

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use serde_json::json;

use super::{Gathered, Options, PartError, Subject, files, previous, resources};
use crate::engine::{Engine, ResourceKind, RunState};
use crate::node::{CONTRACT_VERSION, Node, NodeClient};

/// One part of a report.
pub(super) struct Source {
    /// What it is, for where it is missing.
    pub what: &'static str,
    pub gather: Gather,
}

type Gathering<'a> = Pin<Box<dyn Future<Output = Result<Gathered, PartError>> + Send + 'a>>;
type Gather = for<'a> fn(&'a Subject<'_>, &'a Options) -> Gathering<'a>;

/// Everything that a report has. They are gathered at the same time, each within the same limit.
pub(super) const SOURCES: &[Source] = &[
    Source { what: "versions", gather: |it, _| Box::pin(versions(it)) },
    Source { what: "facts of this machine", gather: |it, _| Box::pin(ready(Ok(host(it)))) },
    Source { what: "record", gather: |it, _| Box::pin(ready(record(it))) },
    Source { what: "status", gather: |it, _| Box::pin(status(it)) },
    Source { what: "components' logs", gather: |it, options| Box::pin(files::component_logs(it, options)) },
    Source { what: "console", gather: |it, options| Box::pin(files::console(it, options)) },
    Source { what: "pods' logs", gather: |it, options| Box::pin(files::pod_logs(it, options)) },
    Source { what: "node's configuration", gather: |it, options| Box::pin(files::configuration(it, options)) },
    Source { what: "resources", gather: |it, options| Box::pin(resources::gather(it, options)) },
    Source { what: "container, as the engine has it", gather: |it, _| Box::pin(inspect(it, ResourceKind::Node)) },
    Source { what: "volume, as the engine has it", gather: |it, _| Box::pin(inspect(it, ResourceKind::Volume)) },
    Source { what: "network, as the engine has it", gather: |it, _| Box::pin(inspect(it, ResourceKind::Network)) },
    Source { what: "failure", gather: |it, _| Box::pin(ready(Ok(failure(it)))) },
    Source { what: "report of the last failure", gather: |it, _| Box::pin(ready(previous::gather(it))) },
];

impl Subject<'_> {
    /// The engine, if it can be asked.
    pub(super) fn engine(&self) -> Result<Arc<dyn Engine>, PartError> {
        self.engine.clone().map_err(PartError::Unavailable)
    }

    /// The engine and the name of the node, if it is there.
    pub(super) fn node(&self) -> Result<(&dyn Engine, String), PartError> {
        let engine = self.engine.as_ref().map_err(|error| PartError::Unavailable(error.clone()))?;
        match &self.node {
            Some(_) => Ok((engine.as_ref(), self.name.resource())),
            None => Err(PartError::Unavailable("the node's container is gone".to_owned())),
        }
    }

    /// The same, if programs can be run in it.
    pub(super) fn running(&self) -> Result<(&dyn Engine, String), PartError> {
        let (engine, name) = self.node()?;
        match self.node.as_ref().map(|node| &node.run) {
            Some(RunState::Running) => Ok((engine, name)),
            _ => Err(PartError::Unavailable("the node does not run".to_owned())),
        }
    }
}

async fn versions(subject: &Subject<'_>) -> Result<Gathered, PartError> {
    let node = match subject.running() {
        Ok((_, name)) => Some(NodeClient::new(subject.engine()?, name).version().await),
        Err(_) => None,
    };
    let (node, problem) = match node {
        Some(Ok(version)) => (Some(version), None),
        Some(Err(error)) => (None, Some(error.to_string())),
        None => (None, None),
    };
    let engine = match &subject.engine {
        Ok(engine) => json!(engine.info()),
        Err(reason) => json!({ "unreachable": reason }),
    };
    let versions = json!({
        "sandbar": env!("CARGO_PKG_VERSION"), "contract": CONTRACT_VERSION, "engine": engine, "node": node,
        "nodeProblem": problem,
    });
    Ok(Gathered::json("versions.json", &versions))
}

/// Variables that decide how Sandbar and its engines behave, beside those of proxies; all others are nobody's business.
const VARIABLES: [&str; 3] = ["CONTAINER_HOST", "KUBECONFIG", "PATH"];
/// Beginnings of such variables.
const VARIABLES_OF: [&str; 3] = ["SANDBAR_", "DOCKER_", "XDG_"];

fn host(subject: &Subject<'_>) -> Gathered {
    let mut gathered = Gathered::json("host.json", &subject.platform.facts());
    let mut lines: Vec<String> = subject
        .env
        .all
        .iter()
        .map(|(name, value)| (name.to_string_lossy(), value.to_string_lossy()))
        .filter(|(name, _)| {
            let proxy = name.to_ascii_lowercase().ends_with("_proxy");
            proxy || VARIABLES.contains(&name.as_ref()) || VARIABLES_OF.iter().any(|begin| name.starts_with(begin))
        })
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    lines.sort();
    gathered.add("environment.txt", super::Content::Text(lines.concat().into_bytes()));
    gathered
}

fn record(subject: &Subject<'_>) -> Result<Gathered, PartError> {
    match &subject.record {
        Some(record) => Ok(Gathered::json("cluster.json", record)),
        None => Err(PartError::Unavailable("there is none".to_owned())),
    }
}

async fn status(subject: &Subject<'_>) -> Result<Gathered, PartError> {
    let state =
        subject.node.as_ref().map(|node| json!({"run": node.run, "ports": node.ports, "address": node.address}));
    let (report, problem) = match subject.running() {
        Ok((_, name)) => match NodeClient::new(subject.engine()?, name).status().await {
            Ok(report) => (Some(report), None),
            Err(error) => (None, Some(error.to_string())),
        },
        Err(error) => (None, Some(error.to_string())),
    };
    let status = json!({ "schemaVersion": 1, "engine": state, "node": report, "problem": problem });
    Ok(Gathered::json("status.json", &status))
}

async fn inspect(subject: &Subject<'_>, kind: ResourceKind) -> Result<Gathered, PartError> {
    let engine = subject.engine()?;
    let what = match kind {
        ResourceKind::Node => "container",
        ResourceKind::Volume => "volume",
        ResourceKind::Network => "network",
    };
    match engine.describe(&kind, &subject.name.resource()).await? {
        Some(described) => Ok(Gathered::json(&format!("engine/{what}.json"), &described)),
        None => Err(PartError::Unavailable("it is gone".to_owned())),
    }
}

fn failure(subject: &Subject<'_>) -> Gathered {
    subject.failure.as_ref().map_or_else(Gathered::default, |failure| Gathered::json("failure.json", failure))
}
