//! How often and how long something is tried over a network.

use std::time::Duration;

/// How long somebody waits for a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, and for the next bytes of what comes. How long all of it takes does not matter.
    pub stall: Duration,
    /// Before the second try; each further pause is twice as long, up to fifteen times this.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { stall: Duration::from_secs(30), pause: Duration::from_secs(1) }
    }
}

/// Tries without any progress after which it is over, once something has come.
const MOST: u32 = 6;
/// The same while nothing has come yet: a network that is not there should be said soon.
const MOST_AT_FIRST: u32 = 3;

/// Counts what failed.
#[derive(Debug, Default)]
pub(super) struct Tries {
    failed: u32,
}

impl Tries {
    /// Counts one that failed; `moved` says whether it brought anything, `began` whether any did. Returns the pause before the
    /// next, or none when it is over.
    pub fn next(&mut self, moved: bool, began: bool, patience: &Patience) -> Option<Duration> {
        self.failed = if moved { 1 } else { self.failed + 1 };
        let most = if began { MOST } else { MOST_AT_FIRST };
        (self.failed < most).then(|| patience.pause * (1 << (self.failed - 1)).min(15))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_gives_new_patience_and_a_network_that_is_not_there_is_said_soon() {
        let patience = Patience::default();
        let pauses = |moved: &[bool], began| -> Vec<Option<u64>> {
            let mut tries = Tries::default();
            moved.iter().map(|moved| tries.next(*moved, began, &patience).map(|pause| pause.as_secs())).collect()
        };
        assert_eq!(pauses(&[false; 3], false), [Some(1), Some(2), None]);
        assert_eq!(pauses(&[false; 6], true), [Some(1), Some(2), Some(4), Some(8), Some(15), None]);
        assert_eq!(pauses(&[true, false, true, true], true), [Some(1), Some(2), Some(1), Some(1)]);
    }
}
