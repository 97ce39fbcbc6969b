//! One kubeconfig file: read whole, replaced whole.

use std::fs::Metadata;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{KubeconfigError, leftovers};
use crate::platform;

/// How many links of symbolic links are followed, as the kernel does.
const MAX_LINKS: usize = 40;
/// In the names of the drafts of a file, after its own.
const DRAFT: &str = ".draft-";

/// The text of a kubeconfig; none where there is no file.
pub fn read(path: &Path) -> Result<Option<String>, KubeconfigError> {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.split(|byte| *byte == b'\n').count();
            KubeconfigError::NotText { path: path.to_owned(), line }
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(_) if path.is_dir() => Err(KubeconfigError::NotAFile { path: path.to_owned() }),
        Err(source) => Err(KubeconfigError::Io { action: "read", path: path.to_owned(), source }),
    }
}

/// Where the file behind symbolic links is; it need not exist.
pub fn resolve(path: &Path) -> Result<PathBuf, KubeconfigError> {
    let mut real = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&real) {
            Ok(target) => real = real.parent().unwrap_or(Path::new("")).join(target),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => return Ok(real),
            Err(source) => return Err(KubeconfigError::Io { action: "read", path: real, source }),
        }
    }
    let source = std::io::Error::from(ErrorKind::InvalidInput);
    Err(KubeconfigError::Io { action: "follow the symbolic links of", path: path.to_owned(), source })
}

/// Makes the folder of a kubeconfig, for its owner alone, where it is missing.
pub fn make_folder(path: &Path) -> Result<(), KubeconfigError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) else {
        return Ok(());
    };
    platform::native().create_private_dir(folder).map_err(|source| KubeconfigError::Io {
        action: "create the folder",
        path: folder.to_owned(),
        source,
    })
}

/// Makes sure that files can be made in the folder of a kubeconfig or, where it is missing, that it can be made; returns
/// whether it is there.
pub fn check_folder(path: &Path) -> Result<bool, KubeconfigError> {
    let folder = leftovers::folder_of(path);
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    tempfile::tempfile_in(existing).map_err(|source| KubeconfigError::Io {
        action: "write to the folder",
        path: existing.to_owned(),
        source,
    })?;
    Ok(existing == folder)
}

/// Refuses what could be replaced, but should not be: a folder, a read-only file.
pub fn check_writable(path: &Path) -> Result<(), KubeconfigError> {
    let real = resolve(path)?;
    match std::fs::metadata(&real) {
        Ok(meta) if !meta.is_file() => Err(KubeconfigError::NotAFile { path: path.to_owned() }),
        Ok(meta) if !platform::native().is_writable(&real, &meta) => {
            Err(KubeconfigError::ReadOnly { path: path.to_owned() })
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(KubeconfigError::Io { action: "read", path: real, source }),
    }
}

/// Replaces the file by another text: a temporary file in the same folder, synced, renamed. It is readable by its owner
/// alone afterwards, since it holds private keys, and keeps its owner. Called with the lock held.
pub fn replace(path: &Path, text: &str) -> Result<(), KubeconfigError> {
    let real = resolve(path)?;
    let folder = leftovers::folder_of(&real);
    let io = |action, source| KubeconfigError::Io { action, path: real.clone(), source };
    let before: Option<Metadata> = match std::fs::metadata(&real) {
        Ok(meta) => Some(meta),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(source) => return Err(io("read", source)),
    };
    sweep(&real);
    let mut draft = tempfile::Builder::new()
        .prefix(&leftovers::prefix_of(&real, DRAFT))
        .tempfile_in(folder)
        .map_err(|source| KubeconfigError::Io { action: "write to the folder", path: folder.to_owned(), source })?;
    draft.write_all(text.as_bytes()).map_err(|source| io("write", source))?;
    platform::native()
        .give_file(draft.as_file(), before.as_ref(), folder)
        .map_err(|source| io("set the owner of", source))?;
    draft.as_file().sync_all().map_err(|source| io("write", source))?;
    platform::native().replace(draft, &real).map_err(|source| io("replace", source))?;
    platform::native().sync_dir(folder).map_err(|source| io("write", source))
}

/// Removes a file that holds nothing any more. Called with the lock held.
pub fn remove(path: &Path) -> Result<(), KubeconfigError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(KubeconfigError::Io { action: "remove", path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// Drafts of a kubeconfig: there while it is replaced.
pub fn drafts(real: &Path) -> Vec<PathBuf> {
    leftovers::drafts_of(real, DRAFT)
}

/// Removes drafts of processes that were killed: they are only made with the lock held, so none belongs to a living one.
/// Called with the lock held.
pub fn sweep(real: &Path) {
    for path in drafts(real) {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(path = %path.display(), %error, "cannot remove a left-over draft");
        }
    }
}
