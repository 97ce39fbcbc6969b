//! Proxies of the environment, which must not be used for this machine.

use super::finding::Finding;

/// What has to be in `NO_PROXY`: the API's address, and every name of an ingress.
const EXEMPT: [&str; 3] = ["localhost", "127.0.0.1", ".localhost"];

/// What the environment says of proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// Names of the variables that are set.
    pub variables: Vec<String>,
    /// Hosts that are reached without.
    pub exempt: Option<String>,
}

/// Sees whether programs would reach this machine without a proxy.
pub(super) fn check(proxy: &Proxy) -> Finding {
    if proxy.variables.is_empty() {
        return Finding::passed("no proxy is set");
    }
    let entries: Vec<&str> = proxy.exempt.as_deref().unwrap_or_default().split([',', ' ']).map(str::trim).collect();
    let missing: Vec<&str> =
        EXEMPT.into_iter().filter(|host| !entries.iter().any(|entry| exempts(entry, host))).collect();
    if missing.is_empty() {
        return Finding::passed(format!("{} set, and not used for this machine", proxy.variables.join(" and ")));
    }
    let list = EXEMPT.join(",");
    Finding::warning(format!(
        "{} set, and NO_PROXY does not exempt {}",
        proxy.variables.join(" and "),
        missing.join(", ")
    ))
    .hint(format!(
        "`export NO_PROXY=\"${{NO_PROXY:+$NO_PROXY,}}{list}\" no_proxy=\"$NO_PROXY\"`, also in your shell's profile"
    ))
}

/// Whether an entry of `NO_PROXY` is about that host, as curl and Go read it.
fn exempts(entry: &str, host: &str) -> bool {
    match entry.to_ascii_lowercase().as_str() {
        "*" => true,
        // A network in CIDR notation; loopback's is the only one that matters.
        "127.0.0.0/8" | "127.0.0.1/32" => host == "127.0.0.1",
        // With and without the dot it is about everything below, too.
        "localhost" => host != "127.0.0.1",
        "*.localhost" => host == ".localhost",
        entry => entry == host,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Outcome;
    use super::*;

    #[test]
    fn a_proxy_must_not_be_used_for_this_machine() {
        let proxy = |variables: &[&str], exempt: Option<&str>| {
            check(&Proxy {
                variables: variables.iter().map(|&name| name.to_owned()).collect(),
                exempt: exempt.map(str::to_owned),
            })
        };
        assert_eq!(proxy(&[], None).message, "no proxy is set");
        for fine in ["*", "localhost,127.0.0.0/8", "example.com, LOCALHOST, 127.0.0.1"] {
            assert_eq!(proxy(&["HTTPS_PROXY"], Some(fine)).outcome, Outcome::Passed, "{fine}");
        }
        for (exempt, missing) in [
            (None, "localhost, 127.0.0.1, .localhost"),
            (Some("localhost"), "127.0.0.1"),
            (Some("127.0.0.1,.localhost"), "localhost"),
            (Some("example.com"), "localhost, 127.0.0.1, .localhost"),
        ] {
            let found = proxy(&["http_proxy"], exempt);
            assert_eq!(found.message, format!("http_proxy set, and NO_PROXY does not exempt {missing}"), "{exempt:?}");
            assert_eq!(found.outcome, Outcome::Warning);
        }
    }
}
