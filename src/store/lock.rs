//! Locks: one a cluster, held by the command that changes it, one for the process that a cluster is made for, and one for
//! each file that is being downloaded.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{StoreError, file};
use crate::platform;
use crate::spec::ClusterName;

/// How often a lock that is held is tried again. Waiting in the kernel could not be given up: the thread that does it would
/// hold up the end of its runtime, and have the lock for a moment when nobody wants it any more.
const AGAIN: Duration = Duration::from_millis(10);

/// A lock of one file; dropping it lets go. The kernel lets go, too, when the process ends in whatever way.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The system refused something.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else holds it.
    #[error("{holder} holds {}; waited {waited:?}", path.display())]
    Held {
        /// The lock's file.
        path: PathBuf,
        /// Who holds it.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
}

impl FileLock {
    /// Takes the lock, waiting at most `timeout`; `waiting` is told once who holds it, as that one's `command` says.
    pub async fn take(
        path: PathBuf,
        command: &str,
        timeout: Duration,
        waiting: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Self, LockError> {
        file::create_folder(path.parent().unwrap_or(Path::new(".")))?;
        let started = Instant::now();
        let mut told = false;
        loop {
            let fail = |action| {
                let path = path.clone();
                move |error| StoreError::io(action, &path, error)
            };
            let mut options = OpenOptions::new();
            let mut file =
                options.read(true).write(true).create(true).truncate(false).open(&path).map_err(fail("open"))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::Error(error)) => return Err(fail("lock")(error).into()),
                Err(TryLockError::WouldBlock) => {
                    let holder = holder(&mut file);
                    if !told {
                        waiting(&holder);
                        told = true;
                    }
                    let waited = started.elapsed();
                    if waited >= timeout {
                        return Err(LockError::Held { path, holder, waited });
                    }
                    tokio::time::sleep(AGAIN.min(timeout.saturating_sub(waited))).await;
                    continue;
                }
            }
            // Whoever held it may have removed the file with what it was for: then this lock is of a file that nobody sees.
            if platform::native().is_same_file(&file, &path).map_err(fail("lock"))? {
                write_holder(&mut file, command).map_err(fail("write"))?;
                return Ok(Self { file, path });
            }
        }
    }

    /// Lets go and removes the lock's file, because what it was for is over.
    pub fn remove(self) {
        // Removed while it is held, so that nobody can have taken it in between; who waits for it sees that it is gone.
        // What cannot be removed stays as an empty file that the next one takes.
        let _ = std::fs::remove_file(&self.path);
        drop(self.file);
    }
}

/// A lock of one cluster.
#[derive(Debug)]
pub struct ClusterLock(FileLock);

impl ClusterLock {
    pub(super) async fn take(
        path: PathBuf,
        name: &ClusterName,
        command: &str,
        timeout: Duration,
        waiting: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Self, StoreError> {
        match FileLock::take(path, command, timeout, waiting).await {
            Ok(lock) => Ok(Self(lock)),
            Err(LockError::Store(error)) => Err(error),
            Err(LockError::Held { holder, waited, .. }) => {
                Err(StoreError::Locked { name: name.clone(), holder, waited })
            }
        }
    }

    /// Lets go and removes the lock's file, because the cluster is gone.
    pub fn remove(self) {
        self.0.remove();
    }
}

/// Whether a living process holds the lock of that file.
pub(super) fn is_held(path: &Path) -> Result<bool, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StoreError::io("open", path, error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path, error)),
    }
}

/// Removes the file of a lock that nobody holds; one that is held stays.
pub(super) fn remove_unheld(path: &Path) -> Result<(), StoreError> {
    let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if gone(&error) => return Ok(()),
        Err(error) => return Err(StoreError::io("open", path, error)),
    };
    match file.try_lock() {
        // While it is held, as in `FileLock::remove`.
        Ok(()) => match std::fs::remove_file(path) {
            Err(error) if !gone(&error) => Err(StoreError::io("remove", path, error)),
            _ => Ok(()),
        },
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path, error)),
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    if read.is_ok() && !text.trim().is_empty() { text.trim().to_owned() } else { "another sandbar".to_owned() }
}

fn write_holder(file: &mut File, command: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "`sandbar {command}` (process {})", std::process::id())
}
