//! Why a file of a release is not there. Facts only; hints are added where commands are.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Digest;
use crate::ui::bytes;

/// Why a file of a release is not there. Addresses are shown without passwords.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The place answers, and does not have it.
    #[error("there is no {url} (HTTP status {status})")]
    NotReleased {
        /// The address.
        url: String,
        /// 404 or 410.
        status: u16,
    },
    /// The place answers, and does not give it.
    #[error("{url} is refused: HTTP status {status}")]
    Refused {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// Nobody answers there, however often it was tried.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// The system's words.
        reason: String,
    },
    /// Who answers cannot prove to be who was called.
    #[error("{url} cannot be trusted: {reason}")]
    Untrusted {
        /// The address.
        url: String,
        /// What is wrong with the certificate.
        reason: String,
    },
    /// It came in part, and does not go on.
    #[error("the download of {url} broke off after {}: {reason}", bytes(*done))]
    BrokeOff {
        /// The address.
        url: String,
        /// The system's words.
        reason: String,
        /// Bytes that are there and stay there.
        done: u64,
    },
    /// The list of digests does not have it.
    #[error("{url} does not list {name}")]
    NotListed {
        /// The address of the list.
        url: String,
        /// The file.
        name: String,
    },
    /// It is something else than the release says.
    #[error("{url} is not what it should be: its SHA-256 digest is {found}, not {expected}")]
    WrongDigest {
        /// The address.
        url: String,
        /// What the release says.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// There is no room for it.
    #[error("there is no room in {}{}", folder.display(), room(*needed, *free))]
    DiskFull {
        /// Where it should be.
        folder: PathBuf,
        /// Bytes that are still to come, where that is known.
        needed: Option<u64>,
        /// Bytes that are free, where the system says so.
        free: Option<u64>,
    },
    /// Another process has been downloading it, and does not go on.
    #[error("{name} is being downloaded by {holder}, which has made no progress for {waited:?}")]
    Busy {
        /// The file.
        name: String,
        /// Who does it.
        holder: String,
        /// For how long nothing has come.
        waited: Duration,
    },
    /// What the environment says of the network cannot be used.
    #[error("{variable} cannot be used: {reason}")]
    Setting {
        /// `HTTPS_PROXY`, `SSL_CERT_FILE`, …
        variable: &'static str,
        /// What is wrong. It does not repeat the value, which may hold a password.
        reason: String,
    },
    /// The system refused something.
    #[error("cannot {action} {}", path.display())]
    File {
        /// Such as `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// Sandbar's own files.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

fn room(needed: Option<u64>, free: Option<u64>) -> String {
    let needed = needed.map(|needed| format!("{} are needed", bytes(needed)));
    let free = free.map(|free| format!("{} are free", bytes(free)));
    match (needed, free) {
        (Some(needed), Some(free)) => format!(": {needed}, {free}"),
        (Some(one), None) | (None, Some(one)) => format!(": {one}"),
        (None, None) => String::new(),
    }
}

impl ArtifactError {
    pub(super) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let folder = path.parent().unwrap_or(path).to_owned();
                Self::DiskFull { folder, needed: None, free: None }
            }
            _ => Self::File { action, path: path.to_owned(), source },
        }
    }
}
