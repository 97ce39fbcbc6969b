//! Which host ports a cluster tries, in which order: pure, so that a cluster gets the same ones each time.
//!
//! Nothing is bound here to see whether it is free: between a look and the engine's own bind another program could take
//! the port. The engine's bind decides, and whoever is refused tries the next.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Whether listeners at two addresses are in each other's way at the same port: one at all IPv6 addresses takes IPv4's, too.
#[must_use]
pub fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let all = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    one == other || all(one, other) || all(other, one)
}

/// Where ports are looked for, best first. None of them is a port of a `NodePort` service (30000-32767), which would read like one.
const RANGES: [RangeInclusive<u16>; 3] = [20000..=29999, 61000..=65535, 10240..=19999];

/// All ports to try for one purpose of a cluster (such as `api`), each once, none of them in the range from which the
/// system takes ports of outgoing connections: one of those could be in use at any start.
pub fn candidates(cluster: &str, purpose: &str, ephemeral: &RangeInclusive<u16>) -> impl Iterator<Item = u16> + use<> {
    let start = hash(cluster, purpose);
    // A host whose outgoing connections may have any port leaves nothing else to take.
    let everything = RANGES.iter().all(|range| ephemeral.contains(range.start()) && ephemeral.contains(range.end()));
    let ephemeral = if everything { 0..=0 } else { ephemeral.clone() };
    RANGES.into_iter().flat_map(move |range| {
        let ports: Vec<u16> = range.filter(|port| !ephemeral.contains(port)).collect();
        let first = usize::try_from(start % u64::try_from(ports.len().max(1)).unwrap_or(1)).unwrap_or_default();
        let (before, after) = ports.split_at(first);
        [after, before].concat()
    })
}

/// FNV-1a, 64 bits: spreads names, the same on every system and in every version.
fn hash(cluster: &str, purpose: &str) -> u64 {
    let bytes = cluster.bytes().chain([0]).chain(purpose.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn listeners_are_in_the_way_of_the_same_address_and_of_all() {
        let [one, two, all, all6] = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::"].map(|a| a.parse::<IpAddr>().unwrap());
        for (one, other, expected) in [
            (one, one, true),
            (one, two, false),
            (all, one, true),
            (all6, one, true),
            (all, "::1".parse().unwrap(), false),
        ] {
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn the_order_is_a_clusters_own_and_stays() {
        let first = |cluster, purpose| candidates(cluster, purpose, &(32768..=60999)).next();
        assert_eq!(first("default", "api"), first("default", "api"));
        assert_ne!(first("default", "api"), first("default", "http"));
        assert_ne!(first("default", "api"), first("other", "api"));
        // Written down, because a cluster's address in bookmarks hangs on it.
        assert_eq!(first("default", "http"), Some(22386));
    }

    #[test]
    fn each_port_comes_once_and_never_from_the_ephemeral_range() {
        for ephemeral in [32768..=60999, 49152..=65535, 25000..=26000] {
            let all: Vec<u16> = candidates("default", "api", &ephemeral).collect();
            assert_eq!(all.len(), all.iter().collect::<BTreeSet<_>>().len());
            assert!(all.iter().all(|port| !ephemeral.contains(port) && *port >= 1024));
            assert!(all.iter().all(|port| !(30000..=32767).contains(port)));
        }
        assert_eq!(candidates("default", "api", &(1024..=65535)).count(), 10_000 + 4_535 + 9_760 + 1);
        assert!((20000..=29999).contains(&candidates("x", "api", &(32768..=60999)).next().unwrap()));
    }
}
