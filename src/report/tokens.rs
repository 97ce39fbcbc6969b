//! What stands in a report for something private: the same token for the same thing everywhere in it.

use std::collections::BTreeMap;
use std::fmt;

/// What kind of thing a token stands for; its word is the token's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A password, key, token or certificate. What it was is kept nowhere.
    Secret,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A host name or domain.
    Host,
    /// A user's name.
    User,
    /// An e-mail address.
    Email,
    /// A hardware address.
    Mac,
    /// The user's home directory.
    Home,
}

impl Kind {
    const ALL: [Self; 7] = [Self::Secret, Self::Ip, Self::Host, Self::User, Self::Email, Self::Mac, Self::Home];

    fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Ip => "ip",
            Self::Host => "host",
            Self::User => "user",
            Self::Email => "email",
            Self::Mac => "mac",
            Self::Home => "home",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Whether a text is a token already.
pub(super) fn is_token(text: &[u8]) -> bool {
    let Some(dash) = text.iter().rposition(|byte| *byte == b'-') else { return false };
    let (word, number) = (&text[..dash], &text[dash + 1..]);
    !number.is_empty()
        && number.iter().all(u8::is_ascii_digit)
        && Kind::ALL.iter().any(|kind| kind.word().as_bytes() == word)
}

/// The tokens of one report, numbered in the order in which they were needed.
#[derive(Debug, Default)]
pub struct Tokens {
    known: BTreeMap<(Kind, Vec<u8>), usize>,
    counts: BTreeMap<Kind, usize>,
}

impl Tokens {
    /// The token of that thing.
    pub(super) fn of(&mut self, kind: Kind, original: &[u8]) -> String {
        // Host names and hardware addresses are the same in whatever case.
        let original = match kind {
            Kind::Host | Kind::Mac | Kind::Email => original.to_ascii_lowercase(),
            _ => original.to_vec(),
        };
        let counts = &mut self.counts;
        let number = self.known.entry((kind, original)).or_insert_with(|| {
            let count = counts.entry(kind).or_default();
            *count += 1;
            *count
        });
        format!("{kind}-{number}")
    }

    /// What the tokens stand for, but for secrets, which are never told again.
    #[must_use]
    pub fn map(&self) -> BTreeMap<String, String> {
        let named = self.known.iter().filter(|((kind, _), _)| *kind != Kind::Secret);
        named
            .map(|((kind, original), number)| {
                (format!("{kind}-{number}"), String::from_utf8_lossy(original).into_owned())
            })
            .collect()
    }

    /// How many things of each kind were masked.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.counts.iter().map(|(kind, count)| (kind.word(), *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_has_the_same_token_and_secrets_are_not_in_the_map() {
        let mut tokens = Tokens::default();
        assert_eq!(tokens.of(Kind::Ip, b"192.0.2.1"), "ip-1");
        assert_eq!(tokens.of(Kind::Ip, b"192.0.2.2"), "ip-2");
        assert_eq!(tokens.of(Kind::Ip, b"192.0.2.1"), "ip-1");
        assert_eq!(tokens.of(Kind::Host, b"Example.com"), tokens.of(Kind::Host, b"example.com"));
        assert_eq!(tokens.of(Kind::Secret, b"hunter2"), "secret-1");
        let map: Vec<_> = tokens.map().into_iter().map(|(token, original)| format!("{token} {original}")).collect();
        assert_eq!(map, ["host-1 example.com", "ip-1 192.0.2.1", "ip-2 192.0.2.2"]);
    }

    #[test]
    fn tokens_are_recognised() {
        for (text, is) in [("ip-1", true), ("secret-20", true), ("ip-", false), ("tip-1", false), ("host-a", false)] {
            assert_eq!(is_token(text.as_bytes()), is, "{text}");
        }
    }
}
