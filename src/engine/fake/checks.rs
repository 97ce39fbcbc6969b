//! What a fake engine refuses, and the words in which it does.

use std::collections::BTreeMap;

use super::state::{Node, Run};
use crate::engine::{EngineError, LABEL_CLUSTER, Labels, NodeSpec, PortForward, Purpose};

pub(super) fn check_spec(spec: &NodeSpec) -> Result<(), EngineError> {
    let refuse = |words: &str| Err(refused("create the node", words));
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if spec.name.is_empty() || !spec.name.chars().all(fits) || !spec.name.starts_with(|c: char| c.is_alphanumeric()) {
        return refuse("invalid name");
    }
    if spec.hostname.is_empty() || spec.hostname.len() > 64 {
        return refuse("invalid hostname");
    }
    if spec.ports.iter().any(|port| port.host_port == 0 || port.node_port == 0) {
        return refuse("port 0");
    }
    for (index, port) in spec.ports.iter().enumerate() {
        let twice = |other: &PortForward| (other.host_address, other.host_port) == (port.host_address, port.host_port);
        if spec.ports[..index].iter().any(twice) {
            return refuse("one host port twice");
        }
    }
    if spec.memory_bytes.is_some_and(|bytes| bytes < 6 << 20) {
        return refuse("minimum memory limit allowed is 6MB");
    }
    if spec.cpu_millis == Some(0) {
        return refuse("no CPU at all");
    }
    match &spec.purpose {
        Purpose::Check { command } if command.is_empty() => return refuse("no program given"),
        Purpose::Check { .. } if !spec.ports.is_empty() => return refuse("a port without a network"),
        Purpose::Check { .. } | Purpose::Node => {}
    }
    if spec.files.iter().any(|(path, ..)| !path.has_root()) {
        return refuse("a file whose path is not absolute");
    }
    Ok(())
}

pub(super) fn is_ours(labels: &Labels) -> bool {
    labels.contains_key(LABEL_CLUSTER)
}

pub(super) fn check_ours(operation: &str, labels: &Labels) -> Result<(), EngineError> {
    if is_ours(labels) { Ok(()) } else { Err(refused(operation, &format!("the label {LABEL_CLUSTER} is missing"))) }
}

pub(super) fn ours<'a>(nodes: &'a BTreeMap<String, Node>, name: &str) -> Result<&'a Node, EngineError> {
    match nodes.get(name) {
        None => Err(missing("node", name)),
        Some(node) if !is_ours(&node.labels) => Err(foreign("node", name)),
        Some(node) => Ok(node),
    }
}

pub(super) fn running<'a>(nodes: &'a BTreeMap<String, Node>, name: &str) -> Result<&'a Node, EngineError> {
    let node = ours(nodes, name)?;
    match node.run {
        Run::Running | Run::Paused => Ok(node),
        Run::Created | Run::Exited(_) | Run::Gone => Err(EngineError::NotRunning { name: name.to_owned() }),
    }
}

pub(super) fn missing(what: &'static str, name: &str) -> EngineError {
    EngineError::NotFound { what, name: name.to_owned() }
}

pub(super) fn exists(what: &'static str, name: &str) -> EngineError {
    EngineError::AlreadyExists { what, name: name.to_owned() }
}

pub(super) fn foreign(what: &'static str, name: &str) -> EngineError {
    EngineError::Foreign { what, name: name.to_owned() }
}

pub(super) fn refused(operation: &str, reason: &str) -> EngineError {
    EngineError::Refused { engine: "fake".into(), operation: operation.to_owned(), reason: reason.to_owned() }
}

/// The fake's own folder cannot be used.
pub(super) fn broken(error: &std::io::Error) -> EngineError {
    refused("keep its state", &error.to_string())
}
