//! Ports of a cluster on the host: those asked for, the usual ones, or free ones. Pure; the engine's own bind decides.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::platform::ports::candidates;
use crate::spec::{ClusterSpec, PREFERRED_PORTS};
use crate::store::Ports;

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
