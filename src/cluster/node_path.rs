//! Paths in a node, which is a Linux whatever the system of the command line is.

use std::ffi::OsStr;
use std::path::PathBuf;

/// What has that name in a folder of the node: [`std::path::Path::join`] would put this system's separator between.
pub(super) fn inside(folder: impl AsRef<OsStr>, name: impl AsRef<OsStr>) -> PathBuf {
    let mut path = folder.as_ref().to_owned();
    path.push("/");
    path.push(name);
    path.into()
}
