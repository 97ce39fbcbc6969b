//! Networks for pods and services that are in nobody's way. Pure, but for what the user is told.

use std::net::Ipv4Addr;

use crate::platform::Route;
use crate::spec::{Cidr, ClusterSpec};
use crate::store::Networks;
use crate::ui::reporter::{Event, Reporter};

/// The networks of a new cluster: those asked for, or else the first pair that overlaps nothing in `taken`.
/// None when every pair does.
#[must_use]
pub(crate) fn choose(spec: &ClusterSpec, taken: &[Cidr]) -> Option<Networks> {
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

/// The networks that somebody has: the engine's own and those to which the host has routes. Where the host does not tell,
/// the engine's are what is known, and the user is told so.
#[must_use]
pub(super) fn taken(subnets: &[String], routes: std::io::Result<Vec<Route>>, reporter: &dyn Reporter) -> Vec<Cidr> {
    let routes = routes.unwrap_or_else(|error| {
        let text = format!("the routes of this host cannot be read ({error}); the networks of pods may overlap one");
        reporter.report(&Event::Warning { text });
        Vec::new()
    });
    let routes = routes.iter().map(|route| Cidr::new(route.network, route.prefix));
    // IPv6 never meets pods and services.
    subnets.iter().filter_map(|subnet| subnet.parse().ok()).chain(routes).collect()
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
    fn routes_that_cannot_be_read_are_told_of() {
        struct Told(std::sync::Mutex<Vec<String>>);
        impl Reporter for Told {
            fn report(&self, event: &Event) {
                self.0.lock().unwrap().push(format!("{event:?}"));
            }
        }
        let told = Told(std::sync::Mutex::default());
        let subnets = ["10.89.0.0/24".to_owned(), "fd00::/64".to_owned()];
        let route = Route { network: [192, 168, 1, 0].into(), prefix: 24, interface: "eth0".to_owned() };
        let cidr = |text: &str| text.parse::<Cidr>().unwrap();
        let all = taken(&subnets, Ok(vec![route]), &told);
        assert_eq!(all, [cidr("10.89.0.0/24"), cidr("192.168.1.0/24")]);
        assert!(told.0.lock().unwrap().is_empty());
        let all = taken(&subnets, Err(std::io::ErrorKind::PermissionDenied.into()), &told);
        assert_eq!(all, [cidr("10.89.0.0/24")]);
        let told = told.0.lock().unwrap().concat();
        assert!(told.starts_with("Warning") && told.contains("(permission denied)"), "{told}");
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
