//! What `ssh` says, as problems.

use crate::engine::SshProblem;

/// What the words of a connection that did not come about mean.
pub(super) fn problem(log: &str, host: &str) -> Option<SshProblem> {
    let says = |parts: &[&str]| parts.iter().any(|part| log.contains(part));
    let host = host.to_owned();
    Some(if says(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
        SshProblem::HostKeyChanged { host }
    } else if says(&["Host key verification failed"]) {
        SshProblem::HostKeyUnknown { host }
    } else if says(&["Permission denied", "Too many authentication failures"]) {
        SshProblem::PermissionDenied { host, words: last(log) }
    } else if says(&[
        "Could not resolve hostname",
        "Connection refused",
        "No route to host",
        "Network is unreachable",
        "timed out",
        "Connection reset",
        "Connection closed",
    ]) {
        SshProblem::NoConnection { words: last(log) }
    } else {
        return None;
    })
}

/// The last line.
pub(super) fn last(log: &str) -> String {
    log.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_openssh_are_understood() {
        let host = || "box".to_owned();
        let denied = "me@box: Permission denied (publickey).";
        let refused = "ssh: connect to host box port 22: Connection refused";
        for (log, expected) in [
            (
                "No ED25519 host key is known for box and you have requested strict checking.\r\nHost key verification failed.\r\n",
                Some(SshProblem::HostKeyUnknown { host: host() }),
            ),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n",
                Some(SshProblem::HostKeyChanged { host: host() }),
            ),
            (denied, Some(SshProblem::PermissionDenied { host: host(), words: denied.to_owned() })),
            (refused, Some(SshProblem::NoConnection { words: refused.to_owned() })),
            ("Bad configuration option: x", None),
        ] {
            assert_eq!(problem(log, "box"), expected, "{log}");
        }
        assert_eq!((last("a\nb \n\n"), last("")), ("b".to_owned(), String::new()));
    }
}
