//! kubectl's lock of a kubeconfig, `FILE.lock`, taken in a way that a killed process does not leave it behind for ever.
//!
//! kubectl creates `FILE.lock` exclusively, empty, and removes it afterwards. Ours is the same file for kubectl, but it
//! says who holds it and is locked in the kernel while the holder lives; it appears by a hard link, complete from the
//! first moment. So a lock of ours whose kernel lock is free belonged to a process that was killed and can be removed
//! safely. A lock that is not ours is never removed, however old.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{KubeconfigError, leftovers};
use crate::platform;

/// First word of a lock file of ours.
const SIGNATURE: &str = "sandbar";
/// In the names of the drafts of a lock file, after its own.
const DRAFT: &str = ".sandbar-";
/// How often a lock that is held is tried again; another system's lock file cannot be awaited.
const INTERVAL: Duration = Duration::from_millis(15);
/// When the one who waits is told of it.
const PATIENCE: Duration = Duration::from_millis(300);

/// That a lock is held by someone else for longer than a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The lock file.
    pub path: PathBuf,
    /// Who holds it, where it says so.
    pub holder: Option<String>,
}

/// kubectl's lock file of a kubeconfig.
#[must_use]
pub fn lock_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Locked in the kernel for as long as it is open.
    _held: File,
}

impl Lock {
    /// Takes the lock of a kubeconfig, waiting for at most `timeout`, and calls `waiting` once if that takes a while.
    pub fn take(file: &Path, timeout: Duration, waiting: &mut dyn FnMut(&Waiting)) -> Result<Self, KubeconfigError> {
        let path = lock_path(file);
        let started = Instant::now();
        let mut told = false;
        loop {
            if let Some(held) = publish(&path)? {
                return Ok(Self { path, _held: held });
            }
            let holder = match look(&path)? {
                Seen::Gone => continue,
                Seen::Held(holder) => holder,
            };
            let waited = started.elapsed();
            if waited >= timeout {
                let age = path.metadata().ok().and_then(|meta| meta.modified().ok()?.elapsed().ok());
                return Err(KubeconfigError::Locked { path, holder, age, waited });
            }
            if !told && waited >= PATIENCE {
                told = true;
                waiting(&Waiting { path: path.clone(), holder });
            }
            std::thread::sleep(INTERVAL.min(timeout.saturating_sub(waited)));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            // Nothing is lost: it names a process that is gone, and the next one removes it.
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the lock of the kubeconfig");
        }
    }
}

/// Makes the lock file; none if there is one already.
fn publish(path: &Path) -> Result<Option<File>, KubeconfigError> {
    let io = |action, source| KubeconfigError::Io { action, path: path.to_owned(), source };
    let folder = leftovers::folder_of(path);
    let mut draft = tempfile::Builder::new()
        .prefix(&leftovers::prefix_of(path, DRAFT))
        .tempfile_in(folder)
        .map_err(|source| io("create the lock", source))?;
    draft.as_file().lock().map_err(|source| io("lock", source))?;
    writeln!(draft, "{SIGNATURE} {}", std::process::id()).map_err(|source| io("write", source))?;
    match std::fs::hard_link(draft.path(), path) {
        Ok(()) => Ok(Some(take_file(draft).map_err(|source| io("create the lock", source))?)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        // Someone who found this draft before it was locked took it for a left-over one.
        Err(error) if error.kind() == ErrorKind::NotFound && folder.exists() => Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
            exclusive(path).map_err(|source| io("create the lock", source))
        }
        Err(error) => Err(io("create the lock", error)),
    }
}

/// Keeps the open and locked file of a draft and removes the draft's own name.
fn take_file(draft: tempfile::NamedTempFile) -> std::io::Result<File> {
    let file = draft.as_file().try_clone()?;
    draft.close()?;
    Ok(file)
}

/// kubectl's own way, for file systems without hard links.
fn exclusive(path: &Path) -> std::io::Result<Option<File>> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.lock()?;
            writeln!(file, "{SIGNATURE} {}", std::process::id())?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

enum Seen {
    /// It is free now, or may be.
    Gone,
    /// Someone holds it.
    Held(Option<String>),
}

/// Who holds a lock file; one of ours whose holder was killed is removed.
fn look(path: &Path) -> Result<Seen, KubeconfigError> {
    let io = |action, source| KubeconfigError::Io { action, path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Seen::Gone),
        // A lock that another user made for himself alone is one that is held.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(Seen::Held(None)),
        Err(error) => return Err(io("read the lock", error)),
    };
    let mut text = String::new();
    let read = (&file).take(256).read_to_string(&mut text);
    let holder = match (read, text.split_once(' ')) {
        (Ok(_), Some((SIGNATURE, process))) => Some(format!("{SIGNATURE} (process {})", process.trim())),
        _ => return Ok(Seen::Held(None)),
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(Seen::Held(holder)),
        Err(TryLockError::Error(error)) => Err(io("lock", error)),
        Ok(()) => {
            // Its holder is gone. Only the one who has the kernel lock of this very file may remove it: whoever comes
            // second finds another file, or none, under the name.
            if platform::native().is_same_file(&file, path).map_err(|source| io("read the lock", source))? {
                std::fs::remove_file(path).map_err(|source| io("remove the left-over lock", source))?;
            }
            Ok(Seen::Gone)
        }
    }
}

/// Whether a killed process left its lock of a kubeconfig; if so it is gone now.
pub fn is_left(file: &Path) -> Result<bool, KubeconfigError> {
    let path = lock_path(file);
    Ok(path.exists() && matches!(look(&path)?, Seen::Gone))
}

/// Drafts of the lock of a kubeconfig, which are there for an instant before one of them becomes it.
pub fn drafts(file: &Path) -> Vec<PathBuf> {
    leftovers::drafts_of(&lock_path(file), DRAFT)
}

/// Removes drafts that killed processes left; called with the lock held.
pub fn sweep(file: &Path) {
    for path in drafts(file) {
        // One whose kernel lock is free has no living maker, or one that notices and tries again.
        if let Ok(draft) = File::open(&path)
            && draft.try_lock().is_ok()
            && let Err(error) = std::fs::remove_file(&path)
        {
            tracing::debug!(path = %path.display(), %error, "cannot remove a left-over draft of a lock");
        }
    }
}
