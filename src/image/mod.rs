//! Getting images into nodes: from the engine's own store, a file, a folder or a stream; only what the node lacks; and
//! nothing gets a name in the node before all of it is there and verified, which is the node's part.

mod archive;
mod aside;
mod filter;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod header;
mod hint;
mod load;
mod look;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use sha2::{Digest, Sha256};

pub use self::load::{Loaded, Request, Source, load};
pub use self::look::{identify, packed};
use crate::engine::EngineError;
use crate::node::NodeError;

/// Why an image did not get into a node.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The engine has no image of that name.
    #[error("{engine} has no image {reference}")]
    NotInEngine {
        /// `podman` or `docker`.
        engine: String,
        /// What was asked for.
        reference: String,
    },
    /// The engine's archive could not be written down.
    #[error("cannot write the image to {}", folder.display())]
    PutAside {
        /// Where to.
        folder: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A file, a stream or the engine's export could not be read.
    #[error("cannot read the archive")]
    Read(#[source] std::io::Error),
    /// There is nothing in it.
    #[error("the archive is empty")]
    Empty,
    /// It is something else.
    #[error("it is not an image archive (no tar archive)")]
    NotAnArchive,
    /// It is an archive, of something else.
    #[error("it is not an image archive (neither manifest.json nor index.json is in it)")]
    NoImage,
    /// A file in it is cut off.
    #[error("the archive ends in the middle of {path} ({found} of {size} bytes are there)")]
    Truncated {
        /// The file.
        path: String,
        /// Bytes of it that are there.
        found: u64,
        /// Bytes that it should have.
        size: u64,
    },
    /// It is cut off between two files.
    #[error("the archive ends in the middle of a header after {after}")]
    BreaksOff {
        /// The file before.
        after: String,
    },
    /// What should be a header is none.
    #[error("the archive is damaged after {after}")]
    Damaged {
        /// The file before.
        after: String,
    },
    /// A file is missing that another one names.
    #[error("{path} is not there, which {named_by} names")]
    MissingFile {
        /// The missing one.
        path: String,
        /// Who names it.
        named_by: String,
    },
    /// A document cannot be understood.
    #[error("{path} cannot be understood: {reason}")]
    Malformed {
        /// The document.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is for another architecture.
    #[error("image {image} is for {found}, the node is {node}")]
    WrongArchitecture {
        /// The image.
        image: String,
        /// What it is for.
        found: String,
        /// What the node is.
        node: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The node failed, or refused it.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<ImageError> for std::io::Error {
    fn from(error: ImageError) -> Self {
        Self::other(error)
    }
}

/// `sha256:` and the digest in lower-case hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold("sha256:".to_owned(), |mut text, byte| {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
        text
    })
}
