//! The user's kubeconfig: putting a cluster that exists into it and taking it out, and waiting for its lock.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::host::{Host, node_of};
use super::{ClusterError, pause};
use crate::kubeconfig::{self, Entry, KubeconfigError, Locations, MergeOptions, Merged, Unmerged, Waiting};
use crate::node::{Node, WarningReport};
use crate::spec::ClusterName;
use crate::store::{KubeconfigRecord, Record};

/// How often a lock that is held is tried again: another program's lock file cannot be awaited.
const AGAIN: Duration = Duration::from_millis(15);
/// When the one who waits is told of it.
const PATIENCE: Duration = Duration::from_millis(300);
/// One try at a time: the waiting between them is here, where it can be interrupted.
const ONCE: MergeOptions = MergeOptions { make_current: true, timeout: Duration::ZERO };

/// The file that has a cluster's context, for a kubectl of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextPlace {
    /// One of the kubeconfig that counts at the moment.
    Here(PathBuf),
    /// Another one, where an earlier command put it.
    Elsewhere(PathBuf),
}

impl ContextPlace {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        let (Self::Here(file) | Self::Elsewhere(file)) = self;
        file
    }
}

/// Looks for the context of a cluster, first where it belongs at the moment, then where it was put before.
pub fn context_place(
    host: &Host<'_>,
    name: &ClusterName,
    noted: &KubeconfigRecord,
) -> Result<Option<ContextPlace>, ClusterError> {
    let locations = host.locations()?;
    if let Some(file) = kubeconfig::file_of(locations, &name.resource())? {
        return Ok(Some(ContextPlace::Here(file)));
    }
    Ok(kubeconfig::file_of(&locations.with(&noted.files), &name.resource())?.map(ContextPlace::Elsewhere))
}

/// How long before its end the certificate in a kubeconfig is told of.
const NEAR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A warning where the certificate in the kubeconfig lets its user in no more before long. What cannot be read says nothing.
#[must_use]
pub fn certificate_warning(
    host: &Host<'_>,
    name: &ClusterName,
    noted: &KubeconfigRecord,
    now: Timestamp,
) -> Option<WarningReport> {
    let locations = host.locations().ok()?.with(&noted.files);
    let (file, entry) = kubeconfig::entry_of(&locations, &name.resource()).ok()??;
    let end = kubeconfig::ends_before(&entry, now.checked_add(NEAR).ok()?)?;
    let verb = if end > now { "ends" } else { "ended" };
    let (file, date) = (file.display(), end.strftime("%F %H:%M UTC"));
    Some(WarningReport {
        code: "KubeconfigCertificateEnds".to_owned(),
        message: format!("the certificate in {file} {verb} on {date}, and kubectl is refused from then on"),
        hint: format!("`sandbar kubeconfig merge {name}` puts a new one there"),
    })
}

/// Merges a running cluster into the kubeconfig and makes its context the current one.
pub async fn merge_kubeconfig(host: &Host<'_>, name: &ClusterName, limit: Duration) -> Result<Merged, ClusterError> {
    let _lock = host.lock(name).await?;
    let found = pause::find_awake(host, name).await?;
    let node = node_of(&found.engine, name);
    let entry = Entry::parse(&node.kubeconfig(&found.addresses.api, &name.resource(), limit).await?)?;
    let locations = host.locations()?;
    if let Some(mut record) = found.record {
        let current = kubeconfig::current_context(locations)?;
        record.kubeconfig.note(locations.files(), current, &name.resource());
        host.store.save(&record)?;
    }
    merge(host, &entry, limit, &CancellationToken::new()).await
}

/// Takes a cluster out of the kubeconfig, whether it still exists or not.
pub async fn unmerge_kubeconfig(
    host: &Host<'_>,
    name: &ClusterName,
    limit: Duration,
) -> Result<Unmerged, ClusterError> {
    let _lock = host.lock(name).await?;
    let record = host.store.load(name)?;
    let noted = record.as_ref().map(|record| record.kubeconfig.clone()).unwrap_or_default();
    let unmerged = unmerge(host, name, noted, limit).await?;
    if let Some(record) = record {
        // Nobody misses a context that is not noted.
        host.store.save(&Record { kubeconfig: KubeconfigRecord::default(), ..record })?;
    }
    Ok(unmerged)
}

/// Makes sure that [`merge`] will be able to write, before anything is made that it would be for.
pub(super) async fn check(
    host: &Host<'_>,
    name: &ClusterName,
    limit: Duration,
    cancelled: &CancellationToken,
) -> Result<(), ClusterError> {
    let (locations, name) = (host.locations()?.clone(), name.resource());
    patiently(host, limit, cancelled, move || kubeconfig::check(&locations, &name, ONCE, &mut |_| {})).await
}

/// Merges an entry into the kubeconfig and makes its context the current one.
pub(super) async fn merge(
    host: &Host<'_>,
    entry: &Entry,
    limit: Duration,
    cancelled: &CancellationToken,
) -> Result<Merged, ClusterError> {
    let (locations, entry) = (host.locations()?.clone(), entry.clone());
    patiently(host, limit, cancelled, move || kubeconfig::merge(&locations, &entry, ONCE, &mut |_| {})).await
}

/// Takes a cluster out of the kubeconfigs that may have it and restores the context that was current before.
pub(super) async fn unmerge(
    host: &Host<'_>,
    name: &ClusterName,
    noted: KubeconfigRecord,
    limit: Duration,
) -> Result<Unmerged, ClusterError> {
    let locations: Locations = match &host.kubeconfig {
        Ok(locations) => locations.with(&noted.files),
        // Without any location nothing was ever written.
        Err(_) => return Ok(Unmerged::default()),
    };
    let name = name.resource();
    let attempt = move || kubeconfig::unmerge(&locations, &name, &noted.previous, ONCE.timeout, &mut |_| {});
    patiently(host, limit, &CancellationToken::new(), attempt).await
}

/// Does something with a kubeconfig, again and again for as long as somebody holds its lock. An attempt that was begun is
/// waited for, so that what it writes is written before anything else happens.
async fn patiently<T: Send + 'static>(
    host: &Host<'_>,
    limit: Duration,
    cancelled: &CancellationToken,
    attempt: impl Fn() -> Result<T, KubeconfigError> + Clone + Send + 'static,
) -> Result<T, ClusterError> {
    let started = Instant::now();
    let mut told = false;
    loop {
        let done = match tokio::task::spawn_blocking(attempt.clone()).await {
            Ok(done) => done,
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        };
        let waited = started.elapsed();
        match done {
            Err(KubeconfigError::Locked { path, holder, age, .. }) if waited >= limit => {
                return Err(KubeconfigError::Locked { path, holder, age, waited: limit }.into());
            }
            Err(KubeconfigError::Locked { path, holder, .. }) => {
                if !told && waited >= PATIENCE {
                    told = true;
                    host.tell_kubeconfig_lock(&Waiting { path, holder });
                }
            }
            done => return Ok(done?),
        }
        tokio::select! {
            () = cancelled.cancelled() => return Err(ClusterError::Interrupted { removed: false }),
            () = tokio::time::sleep(AGAIN.min(limit.saturating_sub(waited))) => {}
        }
    }
}
