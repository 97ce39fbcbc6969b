//! Ports of a cluster on the host: those asked for, the usual ones, or free ones. Pure; the engine's own bind decides.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::platform::ports::{candidates, overlap};
use crate::spec::{ClusterSpec, PREFERRED_PORTS};
use crate::store::{Ports, Record};

/// Purposes, in the order of [`PREFERRED_PORTS`].
const PURPOSES: [&str; 3] = ["api", "http", "https"];

/// Ports for a cluster: `had` where nothing speaks against it, else the usual ones, else its own candidates; none of
/// `avoid`, which has the ports of other clusters and those that the engine refused. The error is the purpose for which
/// no port is left.
pub(super) fn choose(
    spec: &ClusterSpec,
    had: Ports,
    avoid: &BTreeSet<u16>,
    ephemeral: &RangeInclusive<u16>,
) -> Result<Ports, &'static str> {
    let asked = [spec.api_port, spec.http_port, spec.https_port];
    let mut used: BTreeSet<u16> = asked.into_iter().flatten().collect();
    used.extend(spec.extra_ports.iter().map(|port| port.host));
    let mut chosen = [0; 3];
    for (index, purpose) in PURPOSES.into_iter().enumerate() {
        chosen[index] = if let Some(port) = asked[index] {
            port
        } else {
            let had = Some([had.api, had.http, had.https][index]).filter(|port| *port != 0);
            let mut all = had.into_iter().chain([PREFERRED_PORTS[index]]).chain(candidates(
                spec.name.as_str(),
                purpose,
                ephemeral,
            ));
            all.find(|port| !used.contains(port) && !avoid.contains(port)).ok_or(purpose)?
        };
        used.insert(chosen[index]);
    }
    Ok(Ports { api: chosen[0], http: chosen[1], https: chosen[2] })
}

/// Ports that other clusters have where `record`'s listens: they are theirs also while they are stopped.
pub(super) fn of_others(record: &Record, all: &[Record]) -> BTreeSet<u16> {
    let others = all.iter().filter(|other| {
        // Each host has ports of its own; on another one than this all clusters listen everywhere, or may.
        let at_one_place = record.host.is_some() || overlap(other.spec.listen_address, record.spec.listen_address);
        other.name != record.name && other.host == record.host && at_one_place
    });
    let ports = |other: &Record| {
        let extra: Vec<u16> = other.spec.extra_ports.iter().map(|port| port.host).collect();
        [other.ports.api, other.ports.http, other.ports.https].into_iter().chain(extra)
    };
    others.flat_map(ports).filter(|port| *port != 0).collect()
}

/// Whether the user asked for that port, so that no other will do.
pub(super) fn is_asked(spec: &ClusterSpec, port: u16) -> bool {
    [spec.api_port, spec.http_port, spec.https_port].contains(&Some(port))
        || spec.extra_ports.iter().any(|extra| extra.host == port)
}

/// Whether it is one of those ports.
pub(super) fn has(ports: Ports, port: u16) -> bool {
    [ports.api, ports.http, ports.https].contains(&port)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPHEMERAL: RangeInclusive<u16> = 32768..=60999;

    #[test]
    fn the_usual_ports_when_free_and_own_ones_when_not() {
        let spec = ClusterSpec::with_defaults("default".parse().unwrap());
        let usual = choose(&spec, Ports::default(), &BTreeSet::new(), &EPHEMERAL).unwrap();
        assert_eq!(usual, Ports { api: 6443, http: 80, https: 443 });
        let other = choose(&spec, Ports::default(), &[80, 6443].into(), &EPHEMERAL).unwrap();
        assert!(!EPHEMERAL.contains(&other.http) && other.http > 1024 && other.https == 443, "{other:?}");
        assert_eq!(choose(&spec, Ports::default(), &[80, 6443].into(), &EPHEMERAL).unwrap(), other, "the same again");
        let third = choose(&spec, Ports::default(), &[80, 6443, other.http].into(), &EPHEMERAL).unwrap();
        assert!(third.http != other.http && third.api == other.api);
    }

    #[test]
    fn ports_of_clusters_that_listen_at_the_same_address_are_avoided() {
        let record = |name: &str, listen: &str, api: u16, extra: u16| {
            let mut spec = ClusterSpec::with_defaults(name.parse().unwrap());
            spec.listen_address = listen.parse().unwrap();
            spec.extra_ports = vec![crate::spec::ExtraPort { host: extra, node: 30080 }];
            let mut record = Record::new(spec, jiff::Timestamp::UNIX_EPOCH);
            record.ports.api = api;
            record
        };
        let all = [record("a", "127.0.0.1", 1, 11), record("b", "0.0.0.0", 2, 12), record("c", "::1", 3, 13)];
        let avoided = |listen: &str| {
            let ports = of_others(&record("new", listen, 4, 14), &all);
            ports.into_iter().map(|port| port.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(avoided("127.0.0.1"), "1 2 11 12");
        assert_eq!(avoided("0.0.0.0"), "1 2 11 12");
        assert_eq!(avoided("::1"), "3 13");
        assert_eq!(avoided("::"), "1 2 3 11 12 13");
        assert_eq!(avoided("192.168.1.5"), "2 12");
        assert_eq!(of_others(&all[0], &all), [2, 12].into(), "not its own");
        let there =
            |name: &str, api: u16| Record { host: Some("docker".to_owned()), ..record(name, "127.0.0.1", api, 0) };
        let all = [record("a", "127.0.0.1", 1, 11), there("d", 4)];
        assert_eq!(of_others(&there("new", 5), &all), [4].into(), "another host has its own");
        assert_eq!(of_others(&record("new", "127.0.0.1", 5, 15), &all), [1, 11].into());
    }

    #[test]
    fn what_is_asked_for_is_taken_and_what_it_had_is_kept() {
        let name = "default".parse().unwrap();
        let spec = ClusterSpec { http_port: Some(6443), ..ClusterSpec::with_defaults(name) };
        let had = Ports { api: 20001, http: 20002, https: 20003 };
        let ports = choose(&spec, had, &[6443].into(), &EPHEMERAL).unwrap();
        assert_eq!(ports, Ports { api: 20001, http: 6443, https: 20003 });
        assert!(is_asked(&spec, 6443) && !is_asked(&spec, 20001));
        let everything = (1..=u16::MAX).collect();
        assert_eq!(choose(&spec, had, &everything, &EPHEMERAL), Err("api"));
    }
}
