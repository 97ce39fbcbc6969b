//! What a cluster is, compared with what it should be. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{LABEL_CLUSTER, NodeState};
use crate::spec::{API_NODE_PORT, Change, ClusterSpec, HTTP_NODE_PORT, HTTPS_NODE_PORT};
use crate::store::{Networks, Ports, Record};

/// The record of a node that is in the engine and not in the store: its ports are what it has.
pub(super) fn adopt(record: &mut Record, node: &NodeState) {
    let port = |node_port: u16| {
        node.ports.iter().find(|forward| forward.node_port == node_port).map_or(0, |forward| forward.host_port)
    };
    record.ports = Ports { api: port(API_NODE_PORT), http: port(HTTP_NODE_PORT), https: port(HTTPS_NODE_PORT) };
    record.image_id.clone_from(&node.image_id);
    debug_assert!(node.labels.contains_key(LABEL_CLUSTER), "engines show nothing without the label");
}

/// The specification with the ports and networks that the cluster got.
pub(super) fn effective(spec: &ClusterSpec, ports: Ports, networks: Networks) -> ClusterSpec {
    let mut spec = spec.clone();
    spec.api_port = spec.api_port.or(Some(ports.api));
    spec.http_port = spec.http_port.or(Some(ports.http));
    spec.https_port = spec.https_port.or(Some(ports.https));
    spec.cluster_network = Some(networks.cluster);
    spec.service_network = Some(networks.service);
    spec
}

/// What would change in a finished cluster.
pub(super) fn changes(record: &Record, spec: &ClusterSpec, files: &BTreeMap<String, String>) -> Vec<Change> {
    let is_file = |key: &str| key.starts_with("config[") || key.starts_with("manifests[");
    let old = effective(&record.spec, record.ports, record.networks);
    let new = effective(spec, record.ports, record.networks);
    let mut changes = old.changes(&new);
    // Of how its machine first started, nothing is left.
    changes.retain(|change| change.key != "engine" && change.key != "cold" && !is_file(&change.key));
    let paths: BTreeSet<&String> = record.files.keys().chain(files.keys()).collect();
    changes.extend(paths.into_iter().filter(|path| record.files.get(*path) != files.get(*path)).map(|path| Change {
        key: path.clone(),
        from: record.files.get(path).map(|_| "as it was".to_owned()),
        to: files.get(path).map(|_| "as it is now".to_owned()),
    }));
    changes
}

/// Whether it is one of a further port, for which some engines need not make the node anew.
pub(super) fn is_extra_port(change: &Change) -> bool {
    change.key.starts_with("extraPorts[")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_got_is_no_change_when_it_is_asked_for() {
        let spec = ClusterSpec::with_defaults("default".parse().unwrap());
        let mut record = Record::new(spec.clone(), jiff::Timestamp::UNIX_EPOCH);
        record.ports = Ports { api: 6443, http: 80, https: 443 };
        record.files = [("/etc/a".to_owned(), "1".to_owned())].into();
        let same = record.files.clone();
        let asked = ClusterSpec { http_port: Some(80), cluster_network: "10.42.0.0/16".parse().ok(), ..spec.clone() };
        assert_eq!(changes(&record, &asked, &same), []);
        let cold = ClusterSpec { cold: true, ..asked.clone() };
        assert_eq!(changes(&record, &cold, &same), [], "how it first started is over");
        record.spec = asked;
        assert_eq!(changes(&record, &spec, &same), [], "and none when it is no longer asked for");

        let other = ClusterSpec { http_port: Some(8080), ..spec };
        let files = [("/etc/a".to_owned(), "2".to_owned()), ("/etc/b".to_owned(), "1".to_owned())].into();
        let words: Vec<String> = changes(&record, &other, &files).iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            ["httpPort: 80 → 8080", "/etc/a: as it was → as it is now", "/etc/b: not set → as it is now"]
        );
    }
}
