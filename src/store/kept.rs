//! What Sandbar keeps beside its clusters, and taking all of it away.
//!
//! Folders can be shared with somebody else's files (`SANDBAR_HOME` may be any folder), so only what is called as Sandbar
//! calls it is counted and removed, and a folder only when it is empty.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Store, StoreError, lock};

/// How the files begin that are put aside while images are moved (`image/aside.rs`).
const ASIDE: &str = "image-";
/// How the files begin that were downloaded (`artifact/cache.rs`).
const ARTIFACTS: [&str; 2] = ["sandbar-node-", "sandbar-machine-"];
/// How the folder of a set begins that is being taken in (`engine/machine/image_set.rs`); those that are there are named by their
/// digests.
const IMPORT: &str = ".import-";
/// Hexadecimal digits of a digest in the name of such a folder.
const DIGEST: usize = 16;
/// What machines remember of this host (`engine/machine/{speed,accelerator}.rs`).
const MEASURED: [&str; 2] = ["speed.json", "accelerators.json"];
/// What a Podman service of Sandbar's own has (`engine/container/service.rs`). It ends by itself, and whoever looks at an
/// engine may start it, so it is nothing that was left; it only goes with everything else.
const SERVICE: [&str; 3] = ["podman.sock", "podman-service.log", "podman-service.lock"];

/// A file or folder that Sandbar keeps beside its clusters.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// What it is: `failure log`, `cached file`, `downloaded file`, or `machine image` with the states that are kept of its machines.
    pub what: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// How large it is, with all that is in it.
    pub bytes: u64,
}

impl Store {
    /// What there is beside clusters and their locks.
    pub fn kept(&self) -> Result<Vec<Kept>, StoreError> {
        let mut kept = Vec::new();
        let mut add = |what, paths: Vec<PathBuf>| -> Result<(), StoreError> {
            for path in paths {
                kept.push(Kept { what, bytes: size(&path)?, path });
            }
            Ok(())
        };
        add("failure log", self.failures()?)?;
        add("cached file", entries(&self.dirs.cache, |name| name.as_encoded_bytes().starts_with(ASIDE.as_bytes()))?)?;
        let is_artifact = |name: &OsStr| ARTIFACTS.iter().any(|begin| name.to_string_lossy().starts_with(begin));
        add("downloaded file", entries(&self.dirs.artifacts(), is_artifact)?)?;
        add("machine image", entries(&self.dirs.machine_images(), is_set)?)?;
        Ok(kept)
    }

    /// Removes what there is beside clusters, the locks that nobody holds, and the folders that are empty then.
    pub fn purge(&self) -> Result<(), StoreError> {
        for kept in self.kept()? {
            let removed =
                if kept.path.is_dir() { std::fs::remove_dir_all(&kept.path) } else { std::fs::remove_file(&kept.path) };
            gone(removed, &kept.path)?;
        }
        let machines = self.dirs.runtime.join("m");
        for (folder, own) in [(&self.dirs.runtime, &SERVICE[..]), (&machines, &MEASURED[..])] {
            for path in entries(folder, |name| own.iter().any(|own| name == *own))? {
                gone(std::fs::remove_file(&path), &path)?;
            }
        }
        let is_lock = |name: &OsStr| [".lock", ".owner"].iter().any(|end| name.to_string_lossy().ends_with(end));
        for path in entries(&self.dirs.locks(), is_lock)? {
            lock::remove_unheld(&path)?;
        }
        let dirs = &self.dirs;
        let folders = [
            dirs.clusters(),
            dirs.locks(),
            dirs.failures(),
            dirs.artifacts(),
            dirs.machine_images(),
            dirs.machines(),
            machines,
        ];
        let roots = [&dirs.runtime, &dirs.cache, &dirs.state, &dirs.data];
        for folder in folders.iter().chain(roots) {
            match std::fs::remove_dir(folder) {
                // What somebody else keeps there is his.
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
                removed => gone(removed, folder)?,
            }
        }
        Ok(())
    }
}

impl Store {
    /// Removes the locks that nobody holds of clusters that nobody knows: commands that were killed leave them.
    pub fn sweep_locks(&self) -> Result<(), StoreError> {
        let known: Vec<String> = self.names()?.iter().map(|name| format!("{name}.lock")).collect();
        let unknown = |name: &OsStr| {
            let name = name.to_string_lossy();
            name.ends_with(".lock") && !known.iter().any(|lock| *lock == name)
        };
        entries(&self.dirs.locks(), unknown)?.iter().try_for_each(|path| lock::remove_unheld(path))
    }
}

/// Whether a folder is named as that of a set of what machines are started from.
fn is_set(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(IMPORT) || (name.len() == DIGEST && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn gone(removed: std::io::Result<()>, path: &Path) -> Result<(), StoreError> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Paths in a folder whose names are wanted, sorted; none where there is no folder.
fn entries(folder: &Path, wanted: impl Fn(&OsStr) -> bool) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |error| StoreError::io("read", folder, error);
    let read = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in read {
        let entry = entry.map_err(failed)?;
        if wanted(&entry.file_name()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Bytes of a file, or of all files in a folder; what goes away meanwhile has none.
fn size(path: &Path) -> Result<u64, StoreError> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        metadata => metadata.map_err(|error| StoreError::io("read", path, error))?,
    };
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    entries(path, |_| true)?.iter().map(|path| size(path)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::Dirs;
    use super::*;

    #[test]
    fn what_is_sandbars_goes_and_what_is_not_stays() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::new(Dirs::below(home.path()));
        store.purge().unwrap();
        let set = format!("data/machine-images/{}/templates/1/state", "0a".repeat(8));
        let own = [
            "state/failures/edge-2026/error.txt",
            "cache/image-x",
            "cache/artifacts/sandbar-machine-1.tar.zst",
            "cache/artifacts/sandbar-node-1.part",
            "data/machine-images/.import-x/kernel",
            &set,
            "run/m/speed.json",
            "run/podman-service.log",
            "data/locks/a.lock",
        ];
        let others = ["cache/notes", "run/podman.other", "data/machine-images/mine/a", "data/mine/a"];
        for name in own.iter().chain(&others) {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "123").unwrap();
        }
        let kept = store.kept().unwrap();
        let words: Vec<_> = kept.iter().map(|kept| (kept.what, kept.bytes)).collect();
        let (downloaded, image) = (("downloaded file", 3), ("machine image", 3));
        assert_eq!(words, [("failure log", 3), ("cached file", 3), downloaded, downloaded, image, image]);
        store.purge().unwrap();
        assert!(others.iter().all(|name| home.path().join(name).exists()));
        let left: Vec<_> = entries(home.path(), |_| true).unwrap();
        assert_eq!(left, ["cache", "data", "run"].map(|name| home.path().join(name)));
        assert!(own.iter().all(|name| !home.path().join(name).exists()));
        assert!(!home.path().join("data/locks").exists());
    }
}
