//! Names below `localhost`, as the system resolves them.

use std::net::SocketAddr;
use std::time::Duration;

use super::finding::Finding;

/// Such as a cluster's ingress has.
const NAME: &str = "doctor.default.localhost";
/// How long the system may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the system for such a name.
pub(super) async fn check() -> Finding {
    match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((NAME, 80))).await {
        Err(_) => judge(Err(format!("it did not answer within {PATIENCE:?}"))),
        Ok(Err(error)) => judge(Err(error.to_string())),
        Ok(Ok(addresses)) => judge(Ok(addresses.collect())),
    }
}

fn judge(answer: Result<Vec<SocketAddr>, String>) -> Finding {
    let elsewhere = |addresses: &[SocketAddr]| addresses.iter().find(|a| !a.ip().is_loopback()).map(SocketAddr::ip);
    let words = match answer {
        Ok(addresses) => match elsewhere(&addresses) {
            None => return Finding::passed(format!("{NAME} is this machine")),
            Some(address) => format!("the system says that {NAME} is {address}"),
        },
        Err(reason) => format!("the system does not know {NAME}: {reason}"),
    };
    Finding::warning(words).hint(
        "curl and browsers need nothing; for other programs install a resolver that knows RFC 6761: `sudo apt-get install \
         libnss-myhostname`, or add the names that you use to /etc/hosts",
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::Outcome;
    use super::*;

    #[test]
    fn only_loopback_will_do() {
        let answer = |addresses: &[&str]| {
            judge(Ok(addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 80)).collect()))
        };
        assert_eq!(answer(&["127.0.0.1", "::1"]).outcome, Outcome::Passed);
        let hijacked = answer(&["127.0.0.1", "203.0.113.7"]);
        assert_eq!(hijacked.message, "the system says that doctor.default.localhost is 203.0.113.7");
        assert_eq!((hijacked.outcome, judge(Err("no".into())).outcome), (Outcome::Warning, Outcome::Warning));
    }
}
