//! Sandbar's own files: what each cluster should be, and what is being done to it at the moment.
//!
//! The engine's labels are the truth, these files are the intent. Every file has a version, is replaced atomically and
//! changed only by the holder of the cluster's lock. Nothing here knows an engine.

mod dirs;
mod file;
mod kept;
mod lock;
mod record;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::dirs::Dirs;
pub use self::file::write_atomic;
pub use self::kept::Kept;
pub use self::lock::{ClusterLock, FileLock, LockError};
pub use self::record::{KubeconfigRecord, Networks, Operation, OperationKind, Ports, RECORD_VERSION, Record};
use crate::spec::ClusterName;

/// Why Sandbar's own files could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// A file cannot be understood.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer version wrote it.
    #[error("{} was written by a newer sandbar (version {found} of the file, this one knows {RECORD_VERSION})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Another command holds the cluster's lock.
    #[error("cluster {name} is being changed by {holder}; waited {waited:?}")]
    Locked {
        /// The cluster.
        name: ClusterName,
        /// Who holds it.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
}

impl StoreError {
    fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// Sandbar's own files.
#[derive(Debug, Clone)]
pub struct Store {
    dirs: Dirs,
}

impl Store {
    /// The files below those folders; a folder is made when something is written to it.
    #[must_use]
    pub fn new(dirs: Dirs) -> Self {
        Self { dirs }
    }

    /// The folders.
    #[must_use]
    pub fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    /// Which folder this is, without telling its path: resources in an engine are labelled with it.
    #[must_use]
    pub fn home_id(&self) -> String {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(self.dirs.data.as_os_str().as_encoded_bytes());
        digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The record of a cluster, if there is one.
    pub fn load(&self, name: &ClusterName) -> Result<Option<Record>, StoreError> {
        let path = self.record_path(name);
        match std::fs::read(&path) {
            Ok(bytes) => Record::parse(&path, &bytes).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &path, error)),
        }
    }

    /// All records by name, and what is wrong with those that cannot be read.
    pub fn list(&self) -> Result<(Vec<Record>, Vec<StoreError>), StoreError> {
        let (mut records, mut broken) = (Vec::new(), Vec::new());
        for name in self.names()? {
            match self.load(&name) {
                Ok(record) => records.extend(record),
                Err(error) => broken.push(error),
            }
        }
        Ok((records, broken))
    }

    /// Names of all clusters that have a folder here, sorted.
    pub fn names(&self) -> Result<Vec<ClusterName>, StoreError> {
        let folder = self.dirs.clusters();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read", &folder, error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| StoreError::io("read", &folder, error))?;
            names.extend(entry.file_name().to_str().and_then(|name| name.parse::<ClusterName>().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// Writes a record; the caller holds the cluster's lock.
    pub fn save(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.record_path(&record.name);
        let mut bytes = serde_json::to_vec_pretty(record)
            .map_err(|error| StoreError::Damaged { path: path.clone(), reason: error.to_string() })?;
        bytes.push(b'\n');
        write_atomic(&path, &bytes)
    }

    /// Removes everything of a cluster but its lock and its living owner's; none is fine. The caller holds the cluster's
    /// lock.
    pub fn delete(&self, name: &ClusterName) -> Result<(), StoreError> {
        let folder = self.dirs.clusters().join(name.as_str());
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::io("remove", &folder, error)),
            _ => lock::remove_unheld(&self.owner_path(name)),
        }
    }

    /// Makes this process the owner of a cluster for as long as it lives, or until the lock is let go.
    pub async fn own(&self, name: &ClusterName, command: &str) -> Result<ClusterLock, StoreError> {
        // Long enough for a look of [`Store::is_owned`]; an owner has it for much longer.
        const PATIENCE: Duration = Duration::from_millis(500);
        ClusterLock::take(self.owner_path(name), name, command, PATIENCE, &mut |_| {}).await
    }

    /// Whether the owner of a cluster lives.
    pub fn is_owned(&self, name: &ClusterName) -> Result<bool, StoreError> {
        lock::is_held(&self.owner_path(name))
    }

    /// Where a cluster has a kubeconfig of its own, if it has one; it goes with the cluster.
    #[must_use]
    pub fn private_kubeconfig(&self, name: &ClusterName) -> PathBuf {
        self.dirs.clusters().join(name.as_str()).join("kubeconfig")
    }

    /// Takes a cluster's lock, waiting at most `timeout`; `waiting` is told once who holds it.
    pub async fn lock(
        &self,
        name: &ClusterName,
        command: &str,
        timeout: Duration,
        waiting: &mut (dyn FnMut(&str) + Send),
    ) -> Result<ClusterLock, StoreError> {
        let path = self.dirs.locks().join(format!("{name}.lock"));
        ClusterLock::take(path, name, command, timeout, waiting).await
    }

    /// A new folder for the logs of a failure of a cluster, named after the time.
    pub fn failure_folder(&self, name: &ClusterName, now: jiff::Timestamp) -> Result<PathBuf, StoreError> {
        let time = now.strftime("%Y%m%dT%H%M%S%.3fZ");
        let folder = self.dirs.failures().join(format!("{name}-{time}"));
        file::create_folder(&folder)?;
        Ok(folder)
    }

    /// Folders of failures, oldest first.
    pub fn failures(&self) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.dirs.failures();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read", &folder, error)),
        };
        let mut found: Vec<(std::time::SystemTime, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        found.sort();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }

    fn owner_path(&self, name: &ClusterName) -> PathBuf {
        self.dirs.locks().join(format!("{name}.owner"))
    }

    fn record_path(&self, name: &ClusterName) -> PathBuf {
        self.dirs.clusters().join(name.as_str()).join("cluster.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ClusterSpec;

    fn store() -> (tempfile::TempDir, Store) {
        let home = tempfile::tempdir().unwrap();
        let store = Store::new(Dirs::below(home.path()));
        (home, store)
    }

    fn record(name: &str) -> Record {
        Record::new(ClusterSpec::with_defaults(name.parse().unwrap()), jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_was_saved_is_loaded_and_what_was_deleted_is_gone() {
        let (_home, store) = store();
        let name: ClusterName = "edge".parse().unwrap();
        assert!(store.load(&name).unwrap().is_none());
        store.save(&record("edge")).unwrap();
        store.save(&record("alpha")).unwrap();
        assert_eq!(store.load(&name).unwrap(), Some(record("edge")));
        let names: Vec<_> = store.list().unwrap().0.into_iter().map(|record| record.name.to_string()).collect();
        assert_eq!(names, ["alpha", "edge"]);
        store.delete(&name).unwrap();
        store.delete(&name).unwrap();
        assert!(store.load(&name).unwrap().is_none());
    }

    #[test]
    fn damaged_and_newer_records_are_told_apart_and_do_not_hide_the_others() {
        let (_home, store) = store();
        store.save(&record("fine")).unwrap();
        for (name, content) in [("broken", "{"), ("newer", r#"{"schemaVersion":99,"something":"else"}"#)] {
            let folder = store.dirs().clusters().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("cluster.json"), content).unwrap();
        }
        let (records, broken) = store.list().unwrap();
        assert_eq!(records, [record("fine")]);
        assert!(matches!(broken[0], StoreError::Damaged { .. }), "{:?}", broken[0]);
        assert!(matches!(broken[1], StoreError::Newer { found: 99, .. }), "{:?}", broken[1]);
    }

    #[tokio::test]
    async fn a_held_lock_is_waited_for_and_its_holder_is_named() {
        let (_home, store) = store();
        let name: ClusterName = "edge".parse().unwrap();
        let held = store.lock(&name, "up", Duration::ZERO, &mut |_| panic!("nobody holds it")).await.unwrap();
        let mut told = Vec::new();
        let mut tell = |who: &str| told.push(who.to_owned());
        let error = store.lock(&name, "rm", Duration::from_millis(50), &mut tell).await.unwrap_err();
        let expected = format!("`sandbar up` (process {})", std::process::id());
        assert_eq!(told, [expected.as_str()]);
        assert!(error.to_string().contains(&expected), "{error}");

        let release = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            drop(held);
        };
        let mut ignore = |_: &str| ();
        let (taken, ()) = tokio::join!(store.lock(&name, "rm", Duration::from_secs(10), &mut ignore), release);
        let taken = taken.unwrap();
        taken.remove();
        assert!(std::fs::read_dir(store.dirs().locks()).unwrap().next().is_none(), "the file is gone with its lock");
    }

    #[tokio::test]
    async fn an_owner_has_a_cluster_as_long_as_it_lives() {
        let (_home, store) = store();
        let name: ClusterName = "edge".parse().unwrap();
        assert!(!store.is_owned(&name).unwrap());
        let owner = store.own(&name, "up").await.unwrap();
        assert!(store.is_owned(&name).unwrap());
        assert!(matches!(store.own(&name, "up").await, Err(StoreError::Locked { .. })));
        store.delete(&name).unwrap();
        assert!(store.is_owned(&name).unwrap(), "what is held stays");
        // As when its process is killed: nobody removes the file.
        drop(owner);
        assert!(!store.is_owned(&name).unwrap());
        store.delete(&name).unwrap();
        assert!(std::fs::read_dir(store.dirs().locks()).unwrap().next().is_none(), "the file is gone with its owner");
    }

    #[test]
    fn who_waited_in_vain_leaves_nothing_that_still_waits() {
        let (_home, store) = store();
        let name: ClusterName = "edge".parse().unwrap();
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let holder = runtime();
        let held = holder.block_on(store.lock(&name, "up", Duration::ZERO, &mut |_| ())).unwrap();
        let (done, ended) = std::sync::mpsc::channel();
        let other = std::thread::spawn({
            let (store, name) = (store.clone(), name.clone());
            move || {
                let runtime = runtime();
                let lock = runtime.block_on(store.lock(&name, "rm", Duration::from_millis(50), &mut |_| ()));
                // It waits for what runs on its threads.
                drop(runtime);
                done.send(lock.is_err()).unwrap();
            }
        });
        let in_vain = ended.recv_timeout(Duration::from_secs(10));
        drop(held);
        other.join().unwrap();
        assert_eq!(in_vain, Ok(true), "the runtime ends while the lock is held");
    }
}
