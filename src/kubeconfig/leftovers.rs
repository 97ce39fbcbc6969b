//! What killed processes leave beside a kubeconfig: a lock of ours, and drafts of it or of the file, which hold keys.
//!
//! Every change of a file removes them. Whoever finds nothing to change in it, because the killed one had done it all or
//! had not begun, calls [`clear`].

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lock::{self, Lock};
use super::{KubeconfigError, Locations, file};

/// Removes what killed processes left beside the files. What a living one holds stays, and so does kubectl's lock, which does
/// not say whose it is. Waits for nobody.
pub fn clear(locations: &Locations) -> Result<(), KubeconfigError> {
    for path in locations.files() {
        let real = file::resolve(path)?;
        clear_file(&real)?;
        if real != *path {
            clear_file(path)?;
        }
    }
    Ok(())
}

fn clear_file(path: &Path) -> Result<(), KubeconfigError> {
    let left = lock::is_left(path)? || !lock::drafts(path).is_empty() || !file::drafts(path).is_empty();
    if !left {
        return Ok(());
    }
    match Lock::take(path, Duration::ZERO, &mut |_| {}) {
        Ok(_held) => {
            lock::sweep(path);
            file::sweep(path);
            Ok(())
        }
        // Somebody lives who will sweep.
        Err(KubeconfigError::Locked { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The files beside `path` whose names begin with a dot, its own name and `mark`.
pub(super) fn drafts_of(path: &Path, mark: &str) -> Vec<PathBuf> {
    let prefix = prefix_of(path, mark);
    let is_draft = |name: &OsStr| name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes());
    let entries = std::fs::read_dir(folder_of(path)).into_iter().flatten().flatten();
    entries.filter(|entry| is_draft(&entry.file_name())).map(|entry| entry.path()).collect()
}

/// How the names of such files begin.
pub(super) fn prefix_of(path: &Path, mark: &str) -> std::ffi::OsString {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(mark);
    prefix
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
