//! The states a cluster can be in, and which of them follow from what is known.

use serde::Serialize;

use crate::engine::{NodeState, RunState};
use crate::store::{OperationKind, Record};

/// Where a cluster is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// Its first `up` was interrupted; the next one completes it.
    Interrupted,
    /// Its node's first process runs.
    Running,
    /// It is frozen.
    Paused,
    /// Its node is there and does not run.
    Stopped,
    /// Its node is gone and its record is not; `up` makes it anew on its volume.
    Missing,
    /// Its removal was interrupted; the next `rm` completes it.
    Removing,
    /// Its engine cannot be asked.
    Unknown,
    /// It is in the engine and has no record here.
    Orphaned,
}

impl Lifecycle {
    /// The state that follows from a record and from what the engine says of the node.
    #[must_use]
    pub fn of(record: Option<&Record>, node: Option<&NodeState>) -> Option<Self> {
        let operation = record.and_then(|record| record.operation.as_ref()).map(|operation| operation.kind);
        match (record, operation, node) {
            (None, _, None) => None,
            (None, _, Some(_)) => Some(Self::Orphaned),
            (Some(_), Some(OperationKind::Remove), _) => Some(Self::Removing),
            (Some(_), Some(OperationKind::Create), _) => Some(Self::Interrupted),
            (Some(_), _, None) => Some(Self::Missing),
            (Some(_), _, Some(node)) => Some(match node.run {
                RunState::Running => Self::Running,
                RunState::Paused => Self::Paused,
                RunState::Created | RunState::Exited { .. } | RunState::Gone => Self::Stopped,
                RunState::Other { .. } => Self::Unknown,
            }),
        }
    }

    /// One word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Missing => "missing",
            Self::Removing => "removing",
            Self::Unknown => "unknown",
            Self::Orphaned => "orphaned",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ClusterSpec;
    use crate::store::Operation;

    fn node(run: RunState) -> NodeState {
        NodeState {
            name: "sandbar-default".into(),
            labels: crate::engine::Labels::new(),
            run,
            ports: Vec::new(),
            image_id: String::new(),
            created: String::new(),
            address: None,
            kept: None,
        }
    }

    #[test]
    fn record_and_node_together_give_the_state() {
        let mut record =
            Record::new(ClusterSpec::with_defaults("default".parse().unwrap()), jiff::Timestamp::UNIX_EPOCH);
        let running = node(RunState::Running);
        assert_eq!(Lifecycle::of(None, None), None);
        assert_eq!(Lifecycle::of(None, Some(&running)), Some(Lifecycle::Orphaned));
        assert_eq!(Lifecycle::of(Some(&record), None), Some(Lifecycle::Missing));
        for (run, state) in [
            (RunState::Running, Lifecycle::Running),
            (RunState::Paused, Lifecycle::Paused),
            (RunState::Created, Lifecycle::Stopped),
            (RunState::Exited { code: 137, out_of_memory: false }, Lifecycle::Stopped),
            (RunState::Other { text: "stopping".into() }, Lifecycle::Unknown),
        ] {
            assert_eq!(Lifecycle::of(Some(&record), Some(&node(run))), Some(state));
        }
        for (kind, state) in [
            (OperationKind::Create, Lifecycle::Interrupted),
            (OperationKind::Recreate, Lifecycle::Running),
            (OperationKind::Remove, Lifecycle::Removing),
        ] {
            record.operation = Some(Operation { kind, since: jiff::Timestamp::UNIX_EPOCH });
            assert_eq!(Lifecycle::of(Some(&record), Some(&running)), Some(state));
        }
    }
}
