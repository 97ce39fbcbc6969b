//! The cluster file on disk: the user's own, written once and read from then on.

use std::io::{ErrorKind, Result, Write};
use std::path::Path;

/// The text of a cluster file; none where there is no such file.
pub fn read_users_file(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a cluster file. One that is there already, also since a moment ago, is [`ErrorKind::AlreadyExists`] unless it is
/// to be replaced.
pub fn write_cluster_file(path: &Path, text: &str, replace: bool) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).truncate(true).create(replace).create_new(!replace);
    options.open(path)?.write_all(text.as_bytes())
}
