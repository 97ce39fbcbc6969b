//! Networks for pods and services that are in nobody's way. Pure.

use std::net::Ipv4Addr;

use crate::spec::{Cidr, ClusterSpec};
use crate::store::Networks;

/// The networks of a new cluster: those asked for, or else the first pair that overlaps nothing in `taken`.
/// None when every pair does.
#[must_use]
pub(super) fn choose(spec: &ClusterSpec, taken: &[Cidr]) -> Option<Networks> {
    // A route to everything says nothing about who is where.
    let taken: Vec<Cidr> = taken.iter().copied().filter(|network| network.prefix() > 0).collect();
    let free =
        |network: Cidr, other: Option<Cidr>| !taken.iter().chain(other.as_ref()).any(|taken| taken.overlaps(network));
    let asked = spec.cluster_network;
    let mut candidates = pairs().map(|(pods, _)| pods);
    let cluster = asked.or_else(|| candidates.find(|network| free(*network, spec.service_network)))?;
    // The service network beside the pods' one where that is free.
    let beside = pairs().find(|(pods, _)| *pods == cluster).map(|(_, service)| service);
    let mut candidates = beside.into_iter().chain(pairs().map(|(_, service)| service));
    let service = spec.service_network.or_else(|| candidates.find(|network| free(*network, Some(cluster))))?;
    Some(Networks { cluster, service })
}

/// Pairs for pods and services, best first: MicroShift's own, then the rest of 10.0.0.0/8, 172.16.0.0/12 and the shared
/// address space of RFC 6598, which VPNs that take all of RFC 1918 leave alone.
fn pairs() -> impl Iterator<Item = (Cidr, Cidr)> {
    let pair = |first: u8, second: u8| {
        let network = |second| Cidr::new(Ipv4Addr::new(first, second, 0, 0), 16);
        (network(second), network(second + 1))
    };
    let tens = (42..=254).step_by(2).chain((0..42).step_by(2)).map(move |second| pair(10, second));
    let others = (16..=30).step_by(2).map(move |second| pair(172, second));
    let shared = (64..=126).step_by(2).map(move |second| pair(100, second));
    tens.chain(others).chain(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(spec: &ClusterSpec, taken: &[&str]) -> Option<(String, String)> {
        let taken: Vec<Cidr> = taken.iter().map(|network| network.parse().unwrap()).collect();
        choose(spec, &taken).map(|networks| (networks.cluster.to_string(), networks.service.to_string()))
    }

    fn pair(cluster: &str, service: &str) -> (String, String) {
        (cluster.to_owned(), service.to_owned())
    }

    #[test]
    fn the_usual_networks_are_moved_out_of_the_way() {
        let spec = ClusterSpec::with_defaults("default".parse().unwrap());
        assert_eq!(chosen(&spec, &[]), Some(pair("10.42.0.0/16", "10.43.0.0/16")));
        assert_eq!(chosen(&spec, &["0.0.0.0/0", "192.168.1.0/24"]), Some(pair("10.42.0.0/16", "10.43.0.0/16")));
        assert_eq!(chosen(&spec, &["10.42.7.0/24"]), Some(pair("10.44.0.0/16", "10.45.0.0/16")));
        assert_eq!(chosen(&spec, &["10.43.1.1/32"]), Some(pair("10.42.0.0/16", "10.45.0.0/16")));
        assert_eq!(chosen(&spec, &["10.0.0.0/8"]), Some(pair("172.16.0.0/16", "172.17.0.0/16")));
        assert_eq!(chosen(&spec, &["10.0.0.0/8", "172.16.0.0/12"]), Some(pair("100.64.0.0/16", "100.65.0.0/16")));
        assert_eq!(chosen(&spec, &["10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10"]), None);
    }

    #[test]
    fn what_is_asked_for_is_taken_even_where_it_overlaps_a_route() {
        let name = "default".parse().unwrap();
        let asked = ClusterSpec { cluster_network: "10.42.0.0/16".parse().ok(), ..ClusterSpec::with_defaults(name) };
        assert_eq!(chosen(&asked, &["10.0.0.0/8"]), Some(pair("10.42.0.0/16", "172.17.0.0/16")));
        let asked = ClusterSpec { service_network: "10.42.0.0/16".parse().ok(), cluster_network: None, ..asked };
        assert_eq!(chosen(&asked, &[]), Some(pair("10.44.0.0/16", "10.42.0.0/16")));
    }
}
