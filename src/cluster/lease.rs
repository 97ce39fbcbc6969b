//! How long a cluster is wanted, and whether it still is.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::ClusterError;
use super::host::Host;
use crate::spec::ClusterName;
use crate::store::{OperationKind, Record};

/// What `up` does to the time for which a cluster is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lease {
    /// It stays what it is; a new cluster is wanted until somebody removes it.
    #[default]
    AsItIs,
    /// The cluster is wanted for so long from now on.
    For(Duration),
    /// The cluster is wanted until somebody removes it.
    Unlimited,
    /// The cluster is a new one, and wanted only as long as this process lives, which holds its owner's lock.
    Owned,
}

impl Lease {
    pub(super) fn apply(self, record: &mut Record, now: Timestamp) {
        match self {
            Self::AsItIs => {}
            Self::For(time) => {
                // What ends after the end of the calendar does not end.
                record.expires = now.checked_add(time).ok();
                record.ttl_millis = u64::try_from(time.as_millis()).ok();
                record.ephemeral = false;
            }
            Self::Unlimited => {
                record.expires = None;
                record.ttl_millis = None;
                record.ephemeral = false;
            }
            Self::Owned => record.ephemeral = true,
        }
    }
}

/// Why a cluster cannot be wanted for longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoLease {
    /// Nobody has ever said for how long it is wanted, so that this cannot be said again.
    #[error("it is there until it is removed")]
    Unlimited,
    /// It is wanted only as long as its owner lives.
    #[error("it is there for one command and goes with that")]
    Owned,
    /// Its first `up` was interrupted: nothing in it counts.
    #[error("its first `up` was interrupted")]
    Unfinished,
    /// Its removal was interrupted.
    #[error("its removal was interrupted")]
    Removing,
}

/// What [`renew`] did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewed {
    /// The cluster.
    pub name: ClusterName,
    /// Until when it is wanted; none: until somebody removes it.
    pub expires: Option<Timestamp>,
    /// When that was said.
    #[serde(skip)]
    pub now: Timestamp,
}

/// Says anew how long a cluster is wanted, counted from now on; [`Lease::AsItIs`] stands for as long as was said last. No
/// engine is asked. One that `gc` would take at the same moment is either renewed or gone: both hold its lock.
pub async fn renew(host: &Host<'_>, name: &ClusterName, lease: Lease) -> Result<Renewed, ClusterError> {
    // Without a record there is nothing to lock.
    let missing = || -> Result<ClusterError, ClusterError> {
        Ok(ClusterError::NoSuchCluster { name: name.clone(), known: host.store.names()? })
    };
    if host.store.load(name)?.is_none() {
        return Err(missing()?);
    }
    let lock = host.lock(name).await?;
    let Some(mut record) = host.store.load(name)? else {
        lock.remove();
        return Err(missing()?);
    };
    let no = |reason: NoLease| ClusterError::NoLease { name: name.clone(), reason };
    if record.ephemeral {
        return Err(no(NoLease::Owned));
    }
    match record.operation.as_ref().map(|operation| operation.kind) {
        Some(OperationKind::Create) => return Err(no(NoLease::Unfinished)),
        Some(OperationKind::Remove) => return Err(no(NoLease::Removing)),
        Some(OperationKind::Recreate) | None => {}
    }
    let lease = match (lease, record.ttl_millis) {
        (Lease::AsItIs, Some(millis)) => Lease::For(Duration::from_millis(millis)),
        (Lease::AsItIs, None) => return Err(no(NoLease::Unlimited)),
        (lease, _) => lease,
    };
    let now = (host.now)();
    lease.apply(&mut record, now);
    host.store.save(&record)?;
    Ok(Renewed { name: name.clone(), expires: record.expires, now })
}

/// Why nobody wants a cluster any more, if that is so.
pub(super) fn why_unwanted(host: &Host<'_>, record: &Record) -> Result<Option<&'static str>, ClusterError> {
    if record.ephemeral {
        let owned = host.store.is_owned(&record.name)?;
        return Ok((!owned).then_some("the command that it was made for is over"));
    }
    Ok(match record.operation.as_ref().map(|operation| operation.kind) {
        Some(OperationKind::Create) => Some("its first `up` was interrupted"),
        Some(OperationKind::Remove) => Some("its removal was interrupted"),
        Some(OperationKind::Recreate) | None => {
            record.expires.is_some_and(|expires| expires <= (host.now)()).then_some("its time is over")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ClusterSpec;

    #[test]
    fn a_lease_is_renewed_and_taken_away_and_stays_otherwise() {
        let spec = ClusterSpec::with_defaults("default".parse().unwrap());
        let now = Timestamp::UNIX_EPOCH;
        let mut record = Record::new(spec, now);
        let mut after = |lease: Lease| {
            lease.apply(&mut record, now);
            (record.expires.map(Timestamp::as_second), record.ttl_millis, record.ephemeral)
        };
        assert_eq!(after(Lease::AsItIs), (None, None, false));
        assert_eq!(after(Lease::For(Duration::from_mins(1))), (Some(60), Some(60_000), false));
        assert_eq!(after(Lease::AsItIs), (Some(60), Some(60_000), false));
        assert_eq!(after(Lease::For(Duration::from_secs(90))), (Some(90), Some(90_000), false));
        assert_eq!(after(Lease::Unlimited), (None, None, false));
        assert_eq!(after(Lease::Owned), (None, None, true));
        assert_eq!(after(Lease::AsItIs), (None, None, true));
        assert_eq!(after(Lease::For(Duration::MAX)), (None, None, false));
    }
}
