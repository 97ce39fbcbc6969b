//! Which limits to ask for, where an engine's own defaults would be refused.
//!
//! Podman asks for 1,048,576 open files and more processes than there can be. Where the kernel's capability
//! `CAP_SYS_RESOURCE` is missing, as in many virtual machines and CI jobs, nobody may raise a limit, and the container
//! fails with "error setting rlimit". There, what this process has is asked for; elsewhere the defaults stay.

use super::capabilities::bounding_set;

/// Bit of `CAP_SYS_RESOURCE` in a capability mask, capabilities(7).
const CAP_SYS_RESOURCE: u32 = 24;
/// Open files and processes that the engines ask for by themselves.
const DEFAULTS: [(&str, &str, u64); 2] =
    [("nofile", "Max open files", 1_048_576), ("nproc", "Max processes", 4_194_304)];

/// A limit to ask for: its name as in `ulimit` options, and the number, soft and hard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    pub name: &'static str,
    pub value: u64,
}

/// The limits that have to be asked for of an engine, by the number of its process where that is known; none where the
/// engine's defaults work.
pub(super) fn of_engine(process: Option<i32>) -> Vec<Limit> {
    let read = |path: &str| fs_err::read_to_string(path).ok();
    let of =
        |process: &str| Some((read(&format!("/proc/{process}/status"))?, read(&format!("/proc/{process}/limits"))?));
    // An engine in another process namespace or on another machine has none that can be read; this process is the
    // best guess for the former, and asking for less than the default harms neither.
    let found = process.and_then(|process| of(&process.to_string())).or_else(|| of("self"));
    let most_processes = read("/proc/sys/kernel/pid_max").and_then(|text| text.trim().parse().ok());
    found.map(|(status, limits)| needed(&status, &limits, most_processes)).unwrap_or_default()
}

/// The same, from what `/proc/PID/status`, `/proc/PID/limits` and `/proc/sys/kernel/pid_max` say (proc(5)). Podman
/// lowers its own limit of processes to the last one, so that no container can have more.
fn needed(status: &str, limits: &str, most_processes: Option<u64>) -> Vec<Limit> {
    if bounding_set(status).is_none_or(|mask| mask & (1 << CAP_SYS_RESOURCE) != 0) {
        return Vec::new();
    }
    let hard = |title: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(title))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let below = |(name, title, default): (&'static str, &str, u64)| {
        let most = if name == "nproc" { most_processes } else { None };
        let value = hard(title).into_iter().chain(most).min()?;
        (value < default).then_some(Limit { name, value })
    };
    DEFAULTS.into_iter().filter_map(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
        Max processes             96365                96365                processes \n\
        Max open files            1024                 20000                files     \n";

    #[test]
    fn limits_are_asked_for_only_where_they_cannot_be_raised() {
        let [lacking, having] = ["CapBnd:\t000001fffeffffff\n", "CapBnd:\t000001ffffffffff\n"];
        let ask = |nproc| [Limit { name: "nofile", value: 20_000 }, Limit { name: "nproc", value: nproc }];
        assert_eq!(needed(lacking, LIMITS, Some(32_768)), ask(32_768));
        assert_eq!(needed(lacking, LIMITS, Some(4_194_304)), ask(96_365));
        assert_eq!(needed(having, LIMITS, Some(32_768)), []);
        assert_eq!(needed("", LIMITS, None), [], "a system without such a file");
        let unlimited = LIMITS.replace("20000", "unlimited").replace("96365", "unlimited");
        assert_eq!(needed(lacking, &unlimited, None), []);
    }
}
