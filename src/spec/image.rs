//! The reference of a node image.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A reference of an image in an engine's store: a name with tag or digest, or an image ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

impl TryFrom<String> for ImageReference {
    type Error = ImageReferenceError;

    fn try_from(text: String) -> Result<Self, ImageReferenceError> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.0
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl schemars::JsonSchema for ImageReference {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ImageReference".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "description": "An image in the engine's store: a name with tag or digest, or an image ID."
        })
    }
}
