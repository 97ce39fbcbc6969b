//! The clock of the machine that runs containers, held against this one's.

use jiff::{SignedDuration, Timestamp};

use super::finding::Finding;

/// From when on the difference is worth a word.
const NOTICED: SignedDuration = SignedDuration::from_secs(10);
/// By how much certificates are made valid in the past (`backdate` of the node's `internal/pki`).
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// What a time says that was taken there between two of this machine's.
pub(super) fn check(there: Timestamp, before: Timestamp, after: Timestamp) -> Finding {
    let off = if there < before {
        before.duration_since(there)
    } else if there > after {
        there.duration_since(after)
    } else {
        SignedDuration::ZERO
    };
    let words = format!(
        "the clock of containers is {} {} this machine's",
        if off < SignedDuration::from_mins(2) {
            format!("{} s", off.as_secs())
        } else {
            format!("{} min", off.as_mins())
        },
        if there < before { "behind" } else { "ahead of" }
    );
    let finding = if off > BACKDATED {
        Finding::failed(words)
    } else if off > NOTICED {
        Finding::warning(words)
    } else {
        return Finding::passed("the same as this machine's");
    };
    finding.hint(
        "a virtual machine that slept is put right by a restart: `podman machine stop && podman machine start`, or Docker \
         Desktop's own; elsewhere `sudo timedatectl set-ntp true`",
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::Outcome;
    use super::*;

    #[test]
    fn a_clock_is_off_when_its_time_cannot_have_been() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (there, outcome, words) in [
            (100, Outcome::Passed, "the same"),
            (101, Outcome::Passed, "the same"),
            (91, Outcome::Passed, "the same"),
            (80, Outcome::Warning, "the clock of containers is 20 s behind this machine's"),
            (1_000, Outcome::Warning, "14 min ahead of"),
            (100_000, Outcome::Failed, "1664 min ahead of"),
        ] {
            let found = check(at(there), at(100), at(102));
            assert_eq!(found.outcome, outcome, "{there}");
            assert!(found.message.contains(words), "{}", found.message);
        }
    }
}
