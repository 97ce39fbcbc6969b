//! Names after which a secret stands, in YAML, JSON, environments and command lines.

use aho_corasick::AhoCorasick;

/// Parts of names that secrets have.
const WORDS: [&str; 24] = [
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "accesskey",
    "access_key",
    "access-key",
    "privatekey",
    "private_key",
    "private-key",
    "credential",
    "key-data",
    "certificate-data",
    "authority-data",
    "authorization",
    "dockercfg",
    "dockerconfigjson",
    "cookie",
    "encryption_key",
    "auth",
];

/// Ends of names that tell of a secret what may be known: where it is, what it is called, how long it lasts.
const HARMLESS_ENDS: [&str; 34] = [
    "name",
    "names",
    "ref",
    "refs",
    "seconds",
    "namespace",
    "path",
    "file",
    "files",
    "dir",
    "type",
    "mode",
    "count",
    "ttl",
    "enabled",
    "kind",
    "class",
    "version",
    "review",
    "reviews",
    "controller",
    "resource",
    "expiration",
    "audience",
    "audiences",
    "provider",
    "mount",
    "mounts",
    "selector",
    "policy",
    "limit",
    "length",
    "secrets",
    "tokens",
];

/// Finds such names in text.
pub(super) struct SecretKeys {
    words: AhoCorasick,
}

/// A name and where it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeySpan {
    pub start: usize,
    pub end: usize,
}

impl SecretKeys {
    pub fn new() -> Result<Self, aho_corasick::BuildError> {
        let words = AhoCorasick::builder().ascii_case_insensitive(true).build(WORDS)?;
        Ok(Self { words })
    }

    /// The first such name that ends at or after `from`.
    pub fn next(&self, text: &[u8], from: usize) -> Option<KeySpan> {
        let mut at = from;
        loop {
            let found = self.words.find(text.get(at..)?)?;
            let (from_word, to_word) = (at + found.start(), at + found.end());
            let start = text[..from_word].iter().rposition(|byte| !is_of_name(*byte)).map_or(0, |before| before + 1);
            let length = text[to_word..].iter().position(|byte| !is_of_name(*byte));
            let end = length.map_or(text.len(), |length| to_word + length);
            if is_secret_key(&text[start..end]) {
                return Some(KeySpan { start, end });
            }
            at = end;
        }
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
}

/// Whether a name is one of something secret.
pub(super) fn is_secret_key(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    let Ok(name) = std::str::from_utf8(&name) else { return false };
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    // `auth` alone is also the beginning of `author`, `authentication` and of modules' names.
    let is_auth = name == "auth" || ["_auth", "-auth", ".auth"].iter().any(|end| name.ends_with(end));
    let has_word = WORDS.iter().filter(|word| **word != "auth").any(|word| name.contains(word));
    let bare = name.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or(name);
    // The shell's working folder.
    if ["pwd", "oldpwd"].contains(&name) {
        return false;
    }
    let harmless = HARMLESS_ENDS.iter().any(|end| bare.ends_with(end)) || name.starts_with("authorization-");
    (is_auth || has_word) && !harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_and_names_about_secrets_are_told_apart() {
        for name in [
            "password",
            "DB_PASSWORD",
            "client-key-data",
            "--token",
            "apiKey",
            "auth",
            "_auth",
            "Authorization",
            "postgres.pwd",
            "clientSecret",
            "AWS_SECRET_ACCESS_KEY",
            ".dockerconfigjson",
            "Set-Cookie",
        ] {
            assert!(is_secret_key(name.as_bytes()), "{name}");
        }
        for name in [
            "secretName",
            "tokenExpirationSeconds",
            "authentication",
            "author",
            "secretRef",
            "password-file",
            "imagePullSecrets",
            "authorization-mode",
            "serviceAccountName",
            "key",
            "passthrough",
            "OLDPWD",
        ] {
            assert!(!is_secret_key(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_are_found_whole() {
        let keys = SecretKeys::new().unwrap();
        let text = b"secretName: a, DB_PASSWORD=b";
        assert_eq!(keys.next(text, 0), Some(KeySpan { start: 15, end: 26 }));
        assert_eq!(keys.next(text, 26), None);
    }
}
