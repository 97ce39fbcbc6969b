//! How long a cluster is wanted, and whether it still is.

use std::time::Duration;

use jiff::Timestamp;

use super::ClusterError;
use super::host::Host;
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
                record.ephemeral = false;
            }
            Self::Unlimited => {
                record.expires = None;
                record.ephemeral = false;
            }
            Self::Owned => record.ephemeral = true,
        }
    }
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
            (record.expires.map(Timestamp::as_second), record.ephemeral)
        };
        assert_eq!(after(Lease::AsItIs), (None, false));
        assert_eq!(after(Lease::For(Duration::from_mins(1))), (Some(60), false));
        assert_eq!(after(Lease::AsItIs), (Some(60), false));
        assert_eq!(after(Lease::For(Duration::from_secs(90))), (Some(90), false));
        assert_eq!(after(Lease::Unlimited), (None, false));
        assert_eq!(after(Lease::Owned), (None, true));
        assert_eq!(after(Lease::AsItIs), (None, true));
        assert_eq!(after(Lease::For(Duration::MAX)), (None, false));
    }
}
