//! Putting a cluster that exists into the user's kubeconfig and taking it out, beside `up` and `rm`.

use std::time::Duration;

use super::host::{Host, node_of};
use super::{ClusterError, list};
use crate::kubeconfig::{self, Entry, MergeOptions, Merged, Unmerged};
use crate::node::Node;
use crate::spec::ClusterName;

/// Merges a running cluster into the kubeconfig and makes its context the current one.
pub async fn merge_kubeconfig(host: &Host<'_>, name: &ClusterName, limit: Duration) -> Result<Merged, ClusterError> {
    let _lock = host.lock(name).await?;
    let found = list::find(host, name).await?;
    let node = node_of(&found.engine, name);
    let entry = Entry::parse(&node.kubeconfig(&found.addresses.api, &name.resource(), limit).await?)?;
    let locations = host.locations()?;
    if let Some(mut record) = found.record {
        let current = kubeconfig::current_context(locations)?;
        record.kubeconfig.note(locations.files(), current, &name.resource());
        host.store.save(&record)?;
    }
    let options = MergeOptions { make_current: true, timeout: limit };
    let mut waiting = |waiting: &kubeconfig::Waiting| host.tell_kubeconfig_lock(waiting);
    Ok(kubeconfig::merge(locations, &entry, options, &mut waiting)?)
}

/// Takes a cluster out of the kubeconfig, whether it still exists or not.
pub async fn unmerge_kubeconfig(host: &Host<'_>, name: &ClusterName) -> Result<Unmerged, ClusterError> {
    let _lock = host.lock(name).await?;
    let record = host.store.load(name)?;
    super::undo::unmerge(host, name, record.as_ref())
}
