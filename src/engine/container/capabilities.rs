//! Which capabilities to ask Docker for.
//!
//! Podman leaves out by itself what its own process lacks. Docker 20.10 does not: both `--privileged` and "all" ask the
//! kernel for capabilities that the daemon cannot give where it has less than all of them, as in many virtual machines
//! and CI jobs, and the container fails with "unable to apply caps". There, those of its bounding set are named.

use bollard::ClientVersion;

/// All of them by their bit, capabilities(7).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
/// How many of them Docker 20.10 knows; it refuses a request that names another one.
const KNOWN_TO_20_10: usize = 38;
/// The API of the first Docker that knows all of them, 23.0.
const KNOWS_ALL: (usize, usize) = (1, 42);

/// The capabilities that a node is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Capabilities {
    /// All there are.
    All,
    /// These, since the engine lacks the others itself.
    Named(Vec<&'static str>),
}

/// What to ask an engine for, by the number of its process where that is known.
pub(super) fn of_engine(process: Option<i32>, api: ClientVersion) -> Capabilities {
    // An engine in another process namespace or on another machine cannot be looked at; most of those have all.
    let status = process.and_then(|process| fs_err::read_to_string(format!("/proc/{process}/status")).ok());
    status.map_or(Capabilities::All, |status| needed(&status, api))
}

/// The same, from what `/proc/PID/status` says (proc(5)).
pub(super) fn needed(status: &str, api: ClientVersion) -> Capabilities {
    let Some(mask) = bounding_set(status) else { return Capabilities::All };
    let api = (api.major_version, api.minor_version);
    let known = if api < KNOWS_ALL { KNOWN_TO_20_10 } else { NAMES.len() };
    let has = |bit: usize| mask & (1 << bit) != 0;
    // What a kernel does not have yet is in nobody's set, and Docker leaves it out of "all" by itself.
    if (0..KNOWN_TO_20_10).all(has) {
        return Capabilities::All;
    }
    Capabilities::Named(
        NAMES.iter().take(known).enumerate().filter(|(bit, _)| has(*bit)).map(|(_, name)| *name).collect(),
    )
}

/// The capabilities that a process can have at all, a bit each.
pub(super) fn bounding_set(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };
    const NEW: ClientVersion = ClientVersion { major_version: 1, minor_version: 48 };

    #[test]
    fn an_engine_that_has_all_gives_all() {
        for status in ["CapBnd:\t000001ffffffffff\n", "CapBnd:\t0000003fffffffff\n", "", "CapBnd:\tnonsense\n"] {
            assert_eq!((needed(status, OLD), needed(status, NEW)), (Capabilities::All, Capabilities::All), "{status}");
        }
        assert_eq!(of_engine(None, OLD), Capabilities::All);
    }

    #[test]
    fn what_an_engine_lacks_is_not_asked_for() {
        let named = |api| match needed("Name:\tdockerd\nCapBnd:\t000001fffeffffff\n", api) {
            Capabilities::Named(names) => names,
            Capabilities::All => panic!("SYS_RESOURCE is missing"),
        };
        let (old, new) = (named(OLD), named(NEW));
        assert_eq!((old.len(), old.last()), (37, Some(&"AUDIT_READ")));
        assert_eq!((new.len(), new.last()), (40, Some(&"CHECKPOINT_RESTORE")));
        assert!(!old.contains(&"SYS_RESOURCE") && old.contains(&"SYS_ADMIN") && old.contains(&"SYS_TIME"));
    }
}
