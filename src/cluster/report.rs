//! Finding what a report is about. What is gone or does not answer is left out: then above all somebody wants a report.

use std::sync::Arc;
use std::time::Duration;

use super::ClusterError;
use super::host::Host;
use crate::engine::{Engine, NodeState};
use crate::report::{Options, Packed, Subject, make};
use crate::spec::{ClusterName, EngineChoice};
use crate::store::{Record, StoreError};
use crate::ui::reporter;

/// Makes a report of a cluster, or fails with [`ClusterError::NoSuchCluster`] where neither a record nor a node is known.
pub async fn report(host: &Host<'_>, name: &ClusterName, options: &Options) -> Result<Packed, ClusterError> {
    let (record, damage) = match host.store.load(name) {
        Ok(record) => (record, None),
        // A record that cannot be understood is something to report.
        Err(error @ (StoreError::Damaged { .. } | StoreError::Newer { .. })) => (None, Some(error)),
        Err(error) => return Err(error.into()),
    };
    let phase = reporter::phase(host.reporter, "report", "Report is gathered");
    let engine = match tokio::time::timeout(options.limit, connect(host, record.as_ref())).await {
        Ok(connected) => connected,
        Err(_) => Err(format!("it did not answer within {:?}", options.limit)),
    };
    let found = match &engine {
        Ok(engine) => node(engine, name, options.limit).await.filter(|node| host.is_own(&node.labels)),
        Err(_) => None,
    };
    if record.is_none() && damage.is_none() && found.is_none() {
        return Err(ClusterError::NoSuchCluster { name: name.clone(), known: host.store.names()? });
    }
    let mut subject = subject(host, name, engine, record);
    subject.node = found;
    subject.failure = damage.map(|error| serde_json::json!({ "record": error.to_string() }));
    let packed = make(&subject, options, Some(&phase)).await?;
    phase.done();
    Ok(packed)
}

async fn connect(host: &Host<'_>, record: Option<&Record>) -> Result<Arc<dyn Engine>, String> {
    let connected = match record {
        Some(record) => host.engine_of(record, false).await,
        None => host.engines.connect(EngineChoice::Auto, None, false).await.map_err(ClusterError::from),
    };
    connected.map(|(engine, _)| engine).map_err(|error| error.to_string())
}

/// The node, if the engine says so in time.
pub(super) async fn node(engine: &Arc<dyn Engine>, name: &ClusterName, limit: Duration) -> Option<NodeState> {
    let inspected = tokio::time::timeout(limit, engine.inspect_node(&name.resource())).await;
    // Why not is told by the parts that need it.
    inspected.ok()?.ok()?
}

/// What a report is about, but for the node.
pub(super) fn subject<'a>(
    host: &'a Host<'_>,
    name: &'a ClusterName,
    engine: Result<Arc<dyn Engine>, String>,
    record: Option<Record>,
) -> Subject<'a> {
    let mut kubeconfigs = host.kubeconfig.as_ref().map_or_else(|_| Vec::new(), |all| all.files().to_vec());
    kubeconfigs.extend(record.iter().flat_map(|record| record.kubeconfig.files.iter().cloned()));
    kubeconfigs.push(host.store.private_kubeconfig(name));
    let (store, platform, env) = (host.store, host.platform, host.env);
    Subject { name, engine, record, node: None, failure: None, store, platform, env, kubeconfigs }
}
