//! What is wrong with a profile, or with the name of one.

use std::path::PathBuf;

/// What is wrong with a profile, or with the name of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// There is none of that name.
    #[error("there is no device {name}")]
    Unknown {
        /// The name.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The file cannot be read.
    #[error("cannot read the device profile {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{file}, line {line}: unknown key `{key}`")]
    UnknownKey {
        /// The file.
        file: String,
        /// Where, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
        /// All keys that can be there.
        known: Vec<String>,
    },
    /// A value that does not fit, or a text that is no TOML.
    #[error("{file}, line {line}: {}{reason}", key.as_ref().map(|key| format!("`{key}`: ")).unwrap_or_default())]
    Value {
        /// The file.
        file: String,
        /// Where, from 1.
        line: usize,
        /// The key, where there is one.
        key: Option<String>,
        /// What is wrong.
        reason: String,
    },
}

impl ProfileError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { nearest: Some(nearest), .. } | Self::UnknownKey { nearest: Some(nearest), .. } => {
                format!("did you mean `{nearest}`?")
            }
            Self::Unknown { known, .. } => {
                format!("there is: {}; a profile of your own is a path, such as ./my-board.toml", known.join(", "))
            }
            Self::UnknownKey { known, .. } => format!("keys that can be there: {}", known.join(", ")),
            Self::Unreadable { .. } => {
                "`sandbar device ls` lists the profiles that come with this sandbar; a path is one of your own".to_owned()
            }
            Self::Value { .. } => {
                "`sandbar schema device` prints all keys and their values, `sandbar device show raspberry-pi-4 --toml` a \
                 profile that works"
                    .to_owned()
            }
        }
    }
}
