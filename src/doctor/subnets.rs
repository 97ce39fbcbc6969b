//! Networks of pods and services, held against those of this machine and of the engine.

use super::check::Outcome;
use super::finding::Finding;
use crate::cluster::{ClusterError, networks};
use crate::platform::Route;
use crate::spec::{Cidr, ClusterSpec};
use crate::store::Record;

/// Sees whether clusters that there are overlap a network, and whether a new one would find any that are free.
pub(super) fn check(
    spec: &ClusterSpec,
    records: &[Record],
    subnets: &[String],
    routes: std::io::Result<Vec<Route>>,
) -> Finding {
    let routes = match routes {
        Ok(routes) => routes,
        Err(error) => return Finding::warning(format!("the routes of this machine cannot be read: {error}")),
    };
    let of_routes = routes
        .iter()
        .map(|route| (Cidr::new(route.network, route.prefix), format!("the route {route} of {}", route.interface)));
    let of_engine =
        subnets.iter().filter_map(|text| Some((text.parse().ok()?, format!("the engine's network {text}"))));
    let taken: Vec<(Cidr, String)> = of_routes.chain(of_engine).collect();
    let overlapping = |network: Cidr| taken.iter().find(|(other, _)| other.overlaps(network)).map(|(_, words)| words);
    for record in records {
        for (what, network) in [("pods", record.networks.cluster), ("services", record.networks.service)] {
            if let Some(words) = overlapping(network) {
                let name = &record.name;
                return Finding::warning(format!("the {what} of cluster {name} have {network}, which overlaps {words}"))
                    .hint(format!(
                        "a cluster keeps its networks for its life: `sandbar rm {name}` and `sandbar up {name}` make a new one \
                         with others, without what is in it now"
                    ));
            }
        }
    }
    let networks: Vec<Cidr> = taken.iter().map(|(network, _)| *network).collect();
    let Some(chosen) = networks::choose(spec, &networks) else {
        return Finding::of_failure(Outcome::Failed, ClusterError::NoNetworkLeft);
    };
    let asked = [("clusterNetwork", spec.cluster_network), ("serviceNetwork", spec.service_network)];
    for (key, network) in asked {
        if let Some((network, words)) = network.and_then(|network| Some((network, overlapping(network)?))) {
            return Finding::warning(format!("{key} is {network}, which overlaps {words}"))
                .hint(format!("choose another one, or leave {key} out and have one chosen that is free"));
        }
    }
    Finding::passed(format!("a new cluster gets {} for pods and {} for services", chosen.cluster, chosen.service))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Route {
        let (network, prefix) = text.split_once('/').unwrap();
        Route { network: network.parse().unwrap(), prefix: prefix.parse().unwrap(), interface: "tun0".to_owned() }
    }

    #[test]
    fn what_overlaps_is_named() {
        let spec = ClusterSpec::with_defaults("default".parse().unwrap());
        let record = Record::new(spec.clone(), jiff::Timestamp::UNIX_EPOCH);
        let found = |spec: &ClusterSpec, records: &[Record], subnets: &[&str], routes: &[&str]| {
            let subnets: Vec<String> = subnets.iter().map(|&subnet| subnet.to_owned()).collect();
            check(spec, records, &subnets, Ok(routes.iter().map(|text| route(text)).collect()))
        };
        let fine = found(&spec, std::slice::from_ref(&record), &["10.89.0.0/24", "fd00::/64"], &["192.168.1.0/24"]);
        assert_eq!(fine.message, "a new cluster gets 10.42.0.0/16 for pods and 10.43.0.0/16 for services");
        let moved = found(&spec, &[], &[], &["10.42.0.0/16"]);
        assert_eq!(moved.message, "a new cluster gets 10.44.0.0/16 for pods and 10.45.0.0/16 for services");
        let existing = found(&spec, &[record], &[], &["10.43.5.0/24"]);
        let words = "the services of cluster default have 10.43.0.0/16, which overlaps the route 10.43.5.0/24 of tun0";
        assert_eq!((existing.outcome, existing.message.as_str()), (Outcome::Warning, words));
        let asked = ClusterSpec { cluster_network: "10.89.0.0/16".parse().ok(), ..spec.clone() };
        let asked = found(&asked, &[], &["10.89.0.0/24"], &[]);
        assert_eq!(asked.message, "clusterNetwork is 10.89.0.0/16, which overlaps the engine's network 10.89.0.0/24");
        let none = found(&spec, &[], &[], &["10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10"]);
        assert_eq!(none.outcome, Outcome::Failed);
        assert!(none.hints[0].contains("--cluster-network"), "{:?}", none.hints);
        let error = check(&spec, &[], &[], Err(std::io::ErrorKind::PermissionDenied.into()));
        assert_eq!(error.outcome, Outcome::Warning);
    }
}
