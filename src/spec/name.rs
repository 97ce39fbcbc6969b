//! The name of a cluster.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest name, so that `sandbar-NAME` is a DNS label, too (63 characters, RFC 1123).
const LONGEST: usize = 55;

/// The name of a cluster: a DNS label (RFC 1123), since it becomes a host name, `*.NAME.localhost` and a Node's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);

/// Why a text is no name for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is empty.
    #[error("a cluster's name cannot be empty")]
    Empty,
    /// It is too long.
    #[error("`{name}` is too long for a cluster's name: {length} characters, {LONGEST} at most")]
    TooLong {
        /// The text.
        name: String,
        /// Its length.
        length: usize,
    },
    /// It has a character that a DNS label cannot have.
    #[error(
        "`{name}` is not a cluster's name: `{character}` cannot be in a DNS label (use a-z, 0-9 and -; begin and end \
         with a letter or digit)"
    )]
    Character {
        /// The text.
        name: String,
        /// The first one that does not fit.
        character: char,
    },
    /// It begins or ends with a hyphen.
    #[error("`{name}` is not a cluster's name: a DNS label begins and ends with a letter or digit")]
    Hyphen {
        /// The text.
        name: String,
    },
}

impl ClusterName {
    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a cluster that nobody named, such as `e-x7k2mq`, after the lowest thirty of these bits.
    #[must_use]
    pub fn ephemeral(bits: u64) -> Self {
        Self::random("e", bits)
    }

    /// The name under which an engine is looked at, such as `check-x7k2mq`, after the lowest thirty of these bits.
    #[must_use]
    pub fn check(bits: u64) -> Self {
        Self::random("check", bits)
    }

    fn random(prefix: &str, bits: u64) -> Self {
        // Without what is mistaken for something else when it is read aloud or typed.
        const LETTERS: [char; 32] = [
            'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w',
            'x', 'y', 'z', '2', '3', '4', '5', '6', '7', '8', '9',
        ];
        let letter = |place: u32| LETTERS[usize::from((bits >> (5 * place)).to_le_bytes()[0] % 32)];
        Self(format!("{prefix}-{}", (0..6).map(letter).collect::<String>()))
    }

    /// Name of its node, network and volume in the engine, and of its kubeconfig context.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("sandbar-{}", self.0)
    }
}

impl FromStr for ClusterName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = text.to_owned();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        let allowed = |character: &char| matches!(character, 'a'..='z' | '0'..='9' | '-');
        if let Some(character) = name.chars().find(|character| !allowed(character)) {
            return Err(NameError::Character { name, character });
        }
        if name.starts_with('-') || name.ends_with('-') {
            return Err(NameError::Hyphen { name });
        }
        if name.len() > LONGEST {
            return Err(NameError::TooLong { length: name.len(), name });
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for ClusterName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl schemars::JsonSchema for ClusterName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClusterName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            "maxLength": LONGEST,
            "description": "A DNS label."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_labels_are_names() {
        for name in ["default", "a", "0", "my-cluster-2", &"a".repeat(LONGEST)] {
            assert_eq!(name.parse::<ClusterName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_nobody_chose_are_names() {
        for (bits, name) in [(0, "e-aaaaaa"), (u64::MAX, "e-999999"), (0b00010_00001, "e-bcaaaa")] {
            let made = ClusterName::ephemeral(bits);
            assert_eq!(made.as_str(), name);
            assert_eq!(name.parse(), Ok(made));
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let words = |name: &str| name.parse::<ClusterName>().unwrap_err().to_string();
        assert_eq!(words(""), "a cluster's name cannot be empty");
        assert!(words("Default").contains("`D` cannot be in a DNS label"));
        assert!(words("my_cluster").contains("`_` cannot be"));
        assert!(words("kübel").contains("`ü` cannot be"));
        assert!(words("../etc").contains("`.` cannot be"));
        assert!(words("-a").contains("begins and ends"));
        assert!(words("a-").contains("begins and ends"));
        assert!(words(&"a".repeat(LONGEST + 1)).contains("56 characters, 55 at most"));
    }
}
