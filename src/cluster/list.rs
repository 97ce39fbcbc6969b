//! Which clusters there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::host::Host;
use super::probe::Prober;
use super::{Addresses, ClusterError, Lifecycle};
use crate::engine::{Engine, EngineInfo, Kept, LABEL_CLUSTER, NodeState, RunState};
use crate::spec::{API_NODE_PORT, ClusterName, EngineChoice, HTTP_NODE_PORT, HTTPS_NODE_PORT};
use crate::store::{Ports, Record};
use crate::ui::reporter::Event;

/// One line of the list of clusters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSummary {
    /// Its name.
    pub name: ClusterName,
    /// Where it is in its life.
    pub state: Lifecycle,
    /// The engine that has it.
    pub engine: String,
    /// The device that its machine plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Kubernetes' version, once it was healthy.
    pub kubernetes_version: Option<String>,
    /// Its kubeconfig context.
    pub context: String,
    /// How it is reached.
    pub addresses: Addresses,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Until when it is wanted; none: until somebody removes it.
    pub expires: Option<Timestamp>,
    /// Whether it is wanted only as long as the command that it was made for runs.
    pub ephemeral: bool,
    /// The state that its next start goes on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// Kind and endpoint of an engine, as records have them.
type Place = (String, String);

fn place_of(record: &Record) -> Place {
    (record.engine.clone(), record.endpoint.clone())
}

/// Lists all clusters: one look at the records, one call to each engine that they name.
pub async fn list(host: &Host<'_>) -> Result<Vec<ClusterSummary>, ClusterError> {
    let (records, broken) = host.store.list()?;
    for error in broken {
        host.reporter.report(&Event::Warning { text: error.to_string() });
    }
    let mut engines: BTreeSet<Place> = records.iter().map(place_of).collect();
    if engines.is_empty() {
        engines.insert(Place::default());
    }
    // Two engines can have a cluster of the same name each.
    let mut nodes: BTreeMap<(Place, String), (EngineInfo, NodeState)> = BTreeMap::new();
    let mut silent = Vec::new();
    for place in engines {
        let listed = match host.engine_at(&place.0, &place.1, EngineChoice::Auto, false).await {
            Ok((engine, _)) => engine.list_nodes().await.map(|nodes| (engine.info().clone(), nodes)),
            Err(error) => Err(error),
        };
        match listed {
            Ok((info, list)) => {
                for node in list.into_iter().filter(|node| host.is_own(&node.labels)) {
                    if let Some(name) = node.labels.get(LABEL_CLUSTER) {
                        nodes.insert((place.clone(), name.clone()), (info.clone(), node));
                    }
                }
            }
            // Without an engine there is nothing to list but what is remembered.
            Err(_) if records.is_empty() => return Ok(Vec::new()),
            Err(error) => {
                host.reporter.report(&Event::Warning { text: error.to_string() });
                silent.push(place);
            }
        }
    }
    let mut summaries: Vec<ClusterSummary> = Vec::new();
    for record in &records {
        let place = place_of(record);
        let is_silent = silent.contains(&place);
        let node = nodes.remove(&(place, record.name.to_string())).map(|(_, node)| node);
        let state = if is_silent { Some(Lifecycle::Unknown) } else { Lifecycle::of(Some(record), node.as_ref()) };
        summaries.extend(state.map(|state| ClusterSummary {
            name: record.name.clone(),
            state,
            engine: record.engine.clone(),
            device: record.spec.device.as_ref().map(|device| device.name.clone()),
            kubernetes_version: record.kubernetes_version.clone(),
            context: record.name.resource(),
            addresses: Addresses::new(&record.name, record.host.as_deref(), record.spec.listen_address, record.ports),
            created: Some(record.created),
            expires: record.expires,
            ephemeral: record.ephemeral,
            kept: node.as_ref().and_then(|node| node.kept),
        }));
    }
    for ((_, name), (info, node)) in nodes {
        let Ok(name) = name.parse::<ClusterName>() else { continue };
        summaries.push(ClusterSummary {
            state: Lifecycle::Orphaned,
            addresses: addresses_of(&name, info.host.as_deref(), &node),
            engine: info.kind,
            device: None,
            kubernetes_version: None,
            context: name.resource(),
            created: node.created.parse().ok(),
            expires: None,
            ephemeral: false,
            kept: node.kept,
            name,
        });
    }
    summaries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(summaries)
}

/// A cluster that exists, with its engine.
pub struct Found {
    /// Its record, unless it is in the engine alone.
    pub record: Option<Record>,
    /// Its node, unless that is gone.
    pub node: Option<NodeState>,
    /// Its engine.
    pub engine: Arc<dyn Engine>,
    /// Probes its node from the laptop.
    pub prober: Arc<dyn Prober>,
    /// Where it is in its life.
    pub state: Lifecycle,
    /// How it is reached.
    pub addresses: Addresses,
}

/// The cluster of that name, or [`ClusterError::NoSuchCluster`].
pub async fn find(host: &Host<'_>, name: &ClusterName) -> Result<Found, ClusterError> {
    let record = host.store.load(name)?;
    let missing = || -> Result<ClusterError, ClusterError> {
        Ok(ClusterError::NoSuchCluster { name: name.clone(), known: host.store.names()? })
    };
    let connected = match &record {
        Some(record) => host.engine_of(record, false).await,
        None => host.engines.connect(EngineChoice::Auto, None, false).await.map_err(ClusterError::from),
    };
    let (engine, prober) = match connected {
        Ok(connected) => connected,
        // Nobody remembers it and nobody can be asked: then it does not exist here.
        Err(_) if record.is_none() => return Err(missing()?),
        Err(error) => return Err(error),
    };
    let node = engine.inspect_node(&name.resource()).await?.filter(|node| host.is_own(&node.labels));
    let Some(state) = Lifecycle::of(record.as_ref(), node.as_ref()) else { return Err(missing()?) };
    let addresses = match (&record, &node) {
        (Some(record), _) => Addresses::new(name, record.host.as_deref(), record.spec.listen_address, record.ports),
        (None, Some(node)) => addresses_of(name, engine.info().host.as_deref(), node),
        (None, None) => return Err(missing()?),
    };
    if node.as_ref().is_some_and(|node| node.run == RunState::Running)
        && let Err(error) = engine.reach_node(&name.resource()).await
    {
        // The node can be asked, stopped and removed all the same.
        let text = format!("the ports of cluster {name} do not lead to it: {error}");
        host.reporter.report(&Event::Warning { text });
    }
    Ok(Found { record, node, engine, prober, state, addresses })
}

fn addresses_of(name: &ClusterName, host: Option<&str>, node: &NodeState) -> Addresses {
    let find = |node_port: u16| node.ports.iter().find(|forward| forward.node_port == node_port);
    let port = |node_port: u16| find(node_port).map_or(0, |forward| forward.host_port);
    let listen = find(API_NODE_PORT).map_or(std::net::Ipv4Addr::LOCALHOST.into(), |forward| forward.host_address);
    let ports = Ports { api: port(API_NODE_PORT), http: port(HTTP_NODE_PORT), https: port(HTTPS_NODE_PORT) };
    Addresses::new(name, host, listen, ports)
}
