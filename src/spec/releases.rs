//! Where releases are.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where releases are unless somebody says otherwise.
const USUAL: &str = "https://github.com/sandbar-dev/sandbar/releases/download";

/// The address below which there is a folder for each release. It may hold a user's password, which [`fmt::Display`] leaves
/// out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleasesUrl(String);

/// Why a text is no address of releases. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address of releases is not http://HOST/PATH or https://HOST/PATH")]
pub struct ReleasesUrlError;

impl ReleasesUrl {
    /// The address itself, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nobody between here and there can change what comes: TLS, or this machine itself.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        let host = self.rest().rsplit_once('@').map_or(self.rest(), |(_, host)| host);
        let host = host.trim_start_matches('[').split([':', '/', ']']).next().unwrap_or_default();
        // Of an IPv6 address the first group is left, which is empty for ::1 alone of all that a mirror has.
        self.0.starts_with("https://") || host == "localhost" || host.starts_with("127.") || host.is_empty()
    }

    /// What follows the scheme.
    fn rest(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, rest)| rest)
    }
}

impl Default for ReleasesUrl {
    fn default() -> Self {
        Self(USUAL.to_owned())
    }
}

impl FromStr for ReleasesUrl {
    type Err = ReleasesUrlError;

    fn from_str(text: &str) -> Result<Self, ReleasesUrlError> {
        let text = text.trim_end_matches('/');
        let (scheme, rest) = text.split_once("://").ok_or(ReleasesUrlError)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let odd = |character: char| character.is_whitespace() || character.is_control() || "?#".contains(character);
        if ["http", "https"].contains(&scheme) && !host.is_empty() && !host.starts_with(':') && !text.contains(odd) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReleasesUrlError)
        }
    }
}

impl TryFrom<String> for ReleasesUrl {
    type Error = ReleasesUrlError;

    fn try_from(text: String) -> Result<Self, ReleasesUrlError> {
        text.parse()
    }
}

impl From<ReleasesUrl> for String {
    fn from(url: ReleasesUrl) -> Self {
        url.0
    }
}

impl fmt::Display for ReleasesUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for ReleasesUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReleasesUrl({self})")
    }
}

/// An address as it may be shown.
#[must_use]
pub fn without_password(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{}", &rest[authority.len()..]).into(),
        None => url.into(),
    }
}

impl schemars::JsonSchema for ReleasesUrl {
    fn schema_name() -> Cow<'static, str> {
        "ReleasesUrl".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^https?://[^/?#]+",
            "description": "The address below which there is a folder for each release, such as https://mirror.example/sandbar."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked_and_never_shows_a_password() {
        let url: ReleasesUrl = "https://me:secret@mirror.example/sandbar/".parse().unwrap();
        assert_eq!(url.as_str(), "https://me:secret@mirror.example/sandbar");
        assert_eq!(
            format!("{url} {url:?}"),
            "https://mirror.example/sandbar ReleasesUrl(https://mirror.example/sandbar)"
        );
        for text in
            ["", "mirror.example", "ftp://a/b", "https://", "https:///a", "http://:80/a", "https://a/b?c", "http://a b"]
        {
            assert_eq!(text.parse::<ReleasesUrl>(), Err(ReleasesUrlError), "{text}");
        }
    }

    #[test]
    fn what_nobody_in_between_can_change_is_safe() {
        for (text, safe) in [
            ("https://mirror.example", true),
            ("http://127.0.0.1:8000/a", true),
            ("http://localhost:8000", true),
            ("http://[::1]:8000/a", true),
            ("http://mirror.example/a", false),
            ("http://127.example@mirror.example/a", false),
            ("http://[2001:db8::1]/a", false),
            ("http://localhost.example/a", false),
        ] {
            assert_eq!(text.parse::<ReleasesUrl>().unwrap().is_safe(), safe, "{text}");
        }
    }
}
