//! Which node image is meant: one of an engine, or an archive.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the name of an archive ends with.
const ARCHIVES: [&str; 4] = [".tar", ".tar.gz", ".tgz", ".tar.zst"];

/// A reference of an image in an engine's store: a name with tag or digest, or an image ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference(String);

/// Why a text is no reference of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the reference of an image (such as localhost/sandbar-node:{})", env!("CARGO_PKG_VERSION"))]
pub struct ImageReferenceError {
    text: String,
}

impl ImageReference {
    /// The reference itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ImageReference {
    /// Whether it names a registry that an engine can ask: by the rule of all engines, the first part of a name with several
    /// is a host where it has a dot or a port. `localhost` is where images are that were built on this machine.
    #[must_use]
    pub fn names_a_registry(&self) -> bool {
        self.0.split_once('/').is_some_and(|(host, _)| host != "localhost" && host.contains(['.', ':']))
    }
}

impl Default for ImageReference {
    /// The node image of this version.
    fn default() -> Self {
        Self(format!("localhost/sandbar-node:{}", env!("CARGO_PKG_VERSION")))
    }
}

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        let allowed = |character: char| character.is_ascii_alphanumeric() || "._-/:@".contains(character);
        let fits = text.chars().all(allowed) && text.starts_with(|first: char| first.is_ascii_alphanumeric());
        if fits && !text.ends_with([':', '@', '/']) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ImageReferenceError { text: text.to_owned() })
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The node image that a user means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NodeImage {
    /// One in the engine's store, or in a registry.
    Reference(ImageReference),
    /// A docker-archive or OCI archive, compressed or not, or a folder in OCI layout.
    Archive(PathBuf),
}

impl NodeImage {
    /// Whether this is how an archive is written: as a path, or by the ending of its name. What is there in the current
    /// folder does not change what a text means.
    #[must_use]
    pub fn is_path(text: &str) -> bool {
        text.starts_with(['.', '/'])
            || text.contains('\\')
            || Path::new(text).is_absolute()
            || ARCHIVES.iter().any(|suffix| text.ends_with(suffix))
    }

    /// Whether it is the one of this version, which need not be there beforehand.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The same, with a path that is relative to `folder` made absolute.
    #[must_use]
    pub fn below(self, folder: &Path) -> Self {
        match self {
            // Without `.` in the middle.
            Self::Archive(path) => Self::Archive(folder.join(path).components().collect()),
            reference @ Self::Reference(_) => reference,
        }
    }
}

impl Default for NodeImage {
    fn default() -> Self {
        Self::Reference(ImageReference::default())
    }
}

impl FromStr for NodeImage {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, ImageReferenceError> {
        if Self::is_path(text) { Ok(Self::Archive(text.into())) } else { text.parse().map(Self::Reference) }
    }
}

impl TryFrom<String> for NodeImage {
    type Error = ImageReferenceError;

    fn try_from(text: String) -> Result<Self, ImageReferenceError> {
        text.parse()
    }
}

impl From<NodeImage> for String {
    fn from(image: NodeImage) -> Self {
        image.to_string()
    }
}

impl fmt::Display for NodeImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => reference.fmt(f),
            Self::Archive(path) => path.display().fmt(f),
        }
    }
}

impl schemars::JsonSchema for NodeImage {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NodeImage".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "description": "An image in the engine's store or in a registry (a name with tag or digest, or an image ID), or \
                the path of an archive (.tar, .tar.gz, .tar.zst) or of a folder in OCI layout, relative to this file."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_known_by_how_it_is_written() {
        for text in ["./node", "/srv/node", "../a:b", "node.tar", "a/b.tar.zst", "node.tgz", "C:\\node"] {
            assert!(matches!(text.parse(), Ok(NodeImage::Archive(_))), "{text}");
        }
        for text in ["node", "node:1", "localhost/sandbar-node:dev", "sha256:aaaa", "example.com/node@sha256:1"] {
            assert!(matches!(text.parse(), Ok(NodeImage::Reference(_))), "{text}");
        }
        for text in ["", "a b", "node:", "ftp://a/b?"] {
            assert!(text.parse::<NodeImage>().is_err(), "{text}");
        }
        for text in ["node.tar", "./node.tar"] {
            let archive: NodeImage = text.parse().unwrap();
            assert_eq!(archive.below(Path::new("/srv")), NodeImage::Archive("/srv/node.tar".into()));
        }
        assert!("localhost/sandbar-node:0".parse::<NodeImage>().is_ok_and(|image| !image.is_default()));
    }

    #[test]
    fn a_registry_is_a_host_with_a_dot_or_a_port() {
        for (text, names) in [
            ("example.com/node:1", true),
            ("registry:5000/node", true),
            ("localhost:5000/node", true),
            ("localhost/node:1", false),
            ("library/node", false),
            ("node:1.2", false),
            ("sha256:aaaa", false),
        ] {
            assert_eq!(text.parse::<ImageReference>().unwrap().names_a_registry(), names, "{text}");
        }
    }
}
