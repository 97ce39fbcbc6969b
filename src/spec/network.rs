//! IPv4 networks in CIDR notation.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 network such as `10.42.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// It is no IPv4 network at all.
    #[error("`{text}` is not an IPv4 network (such as 10.42.0.0/16)")]
    Form {
        /// The text.
        text: String,
    },
    /// Bits are set beyond the prefix.
    #[error("`{text}` has bits set beyond its prefix; the network is {network}")]
    HostBits {
        /// The text.
        text: String,
        /// What it probably should be.
        network: Cidr,
    },
}

impl Cidr {
    /// The network of `address` with so many bits of prefix (32 at most).
    #[must_use]
    pub fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { address: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)), prefix }
    }

    /// Number of bits of the network's part.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether an address is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let mask = mask(self.prefix.min(other.prefix));
        self.address.to_bits() & mask == other.address.to_bits() & mask
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let parts = text.split_once('/').and_then(|(address, prefix)| {
            Some((address.parse::<Ipv4Addr>().ok()?, prefix.parse::<u8>().ok().filter(|prefix| *prefix <= 32)?))
        });
        let (address, prefix) = parts.ok_or_else(|| CidrError::Form { text: text.to_owned() })?;
        let network = Self::new(address, prefix);
        if network.address == address {
            Ok(network)
        } else {
            Err(CidrError::HostBits { text: text.to_owned(), network })
        }
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl schemars::JsonSchema for Cidr {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([0-9]{1,3}\\.){3}[0-9]{1,3}/[0-9]{1,2}$",
            "description": "An IPv4 network in CIDR notation, such as 10.42.0.0/16."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn overlap_is_symmetric_and_right_at_the_edges() {
        for (a, b, overlap) in [
            ("10.42.0.0/16", "10.42.7.0/24", true),
            ("10.42.0.0/16", "10.43.0.0/16", false),
            ("10.0.0.0/8", "10.43.0.0/16", true),
            ("0.0.0.0/0", "192.168.1.0/24", true),
            ("192.168.1.4/32", "192.168.1.5/32", false),
            ("192.168.1.4/32", "192.168.1.4/32", true),
        ] {
            assert_eq!(cidr(a).overlaps(cidr(b)), overlap, "{a} {b}");
            assert_eq!(cidr(b).overlaps(cidr(a)), overlap, "{b} {a}");
        }
    }

    #[test]
    fn wrong_networks_are_refused_with_their_reason() {
        for text in ["", "10.42.0.0", "10.42.0.0/33", "10.42.0/16", "fd01::/48", "10.42.0.0/-1"] {
            assert_eq!(text.parse::<Cidr>(), Err(CidrError::Form { text: text.to_owned() }), "{text}");
        }
        let words = "10.42.1.0/16".parse::<Cidr>().unwrap_err().to_string();
        assert_eq!(words, "`10.42.1.0/16` has bits set beyond its prefix; the network is 10.42.0.0/16");
    }
}
