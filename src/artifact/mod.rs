//! Finding, downloading and caching what a release has beside the program: node images.
//!
//! A file gets its name in the cache when all of it is there and has the digest that the release says, never before. What
//! comes over the network is nothing until then. Nothing here knows an engine, a node or a cluster.

mod archive;
mod cache;
mod digest;
mod download;
mod error;
mod fetch;
mod network;
mod part;
mod release;
mod tries;

pub use self::archive::{OpenedArchive, open};
pub use self::cache::{Cache, Cached, CachedFile, FileKind};
pub use self::digest::{Digest, DigestError};
pub use self::error::ArtifactError;
pub use self::fetch::Fetch;
pub use self::network::Network;
pub use self::release::{NodeKind, Pin, Release, host_architecture};
pub use self::tries::Patience;
