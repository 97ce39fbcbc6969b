//! The user's kubeconfig: lossless merge and removal of our entries, kubectl's rules for where they stand, its lock.
//!
//! Only entries of the given name are ever changed. [`edit`] is pure, [`Locations`] says which files count,
//! [`merge`] and [`unmerge`] read, lock and write them. Nothing here knows what a cluster or an engine is.

pub mod edit;
mod entry;
mod expiry;
mod file;
mod leftovers;
mod locations;
mod lock;
mod merge;
mod splice;
#[cfg(test)]
mod tests;
mod texts;

use std::path::PathBuf;
use std::time::Duration;

pub use entry::{Entry, EntryError};
pub use expiry::ends_before;
pub use leftovers::clear;
pub use locations::Locations;
pub use lock::{Waiting, lock_path};
pub use merge::{MergeOptions, Merged, Unmerged, check, current_context, entry_of, file_of, merge, unmerge};

use edit::EditError;

/// Why a kubeconfig was not changed. Whatever it is, what is not Sandbar's in it is as it was.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// No file is known: no `--kubeconfig`, no `KUBECONFIG`, no home directory.
    #[error("there is no kubeconfig to use: neither KUBECONFIG nor the home directory is known")]
    NoLocation,
    /// A file cannot be understood or edited; it is left exactly as it was.
    #[error("kubeconfig {} was left as it is", path.display())]
    NotEdited {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: EditError,
    },
    /// A file is not UTF-8.
    #[error("kubeconfig {} was left as it is: line {line} is not UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// A file may not be written.
    #[error("kubeconfig {} is read-only", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// It is something else than a file, such as a folder.
    #[error("kubeconfig {} is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The system refused something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// Such as `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// Another program undoes the change each time.
    #[error("kubeconfig {} is changed back by another program each time", path.display())]
    Undone {
        /// The file.
        path: PathBuf,
    },
    /// Another program holds the lock.
    #[error("kubeconfig is locked: {} exists{}; waited {waited:?}", path.display(), holder.as_deref().map_or(String::new(), |who| format!(", held by {who}")))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, where it says so; kubectl's does not.
        holder: Option<String>,
        /// How old the lock file is.
        age: Option<Duration>,
        /// How long was waited.
        waited: Duration,
    },
}
