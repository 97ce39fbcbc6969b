//! What was downloaded before: a folder of files, each with its digest beside it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::part::{DIGEST, PART, STATE, appended, digest_of, remove};
use super::{ArtifactError, Digest};
use crate::store::{Dirs, FileLock, LockError};

/// How the names of its files begin. The folder may hold somebody else's, which are left alone.
const PREFIXES: [(&str, FileKind); 2] =
    [("sandbar-node-", FileKind::NodeImage), ("sandbar-machine-", FileKind::MachineImage)];

/// The folder of what was downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
    locks: PathBuf,
}

/// What the cache has of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cached {
    /// Nothing.
    Missing,
    /// All of it.
    Whole {
        /// Where.
        path: PathBuf,
    },
    /// Something that is not what it should be.
    Unfit {
        /// Why not.
        reason: String,
    },
}

/// What sort of file the cache has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FileKind {
    /// An archive with a node image.
    NodeImage,
    /// An archive with what machines start from.
    MachineImage,
    /// What has come of one.
    Part,
}

/// A file that the cache has.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedFile {
    /// Its name, without what is appended to it while it is not complete.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Where it is.
    pub path: PathBuf,
    /// How large it is, in bytes.
    pub bytes: u64,
}

impl Cache {
    /// The one in Sandbar's own folders.
    #[must_use]
    pub fn of(dirs: &Dirs) -> Self {
        Self { folder: dirs.artifacts(), locks: dirs.locks() }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a file is when all of it is there.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where what has come of a file is.
    pub(super) fn part(&self, name: &str) -> PathBuf {
        appended(&self.path(name), PART)
    }

    /// Takes the lock of a file, waiting at most `timeout`.
    pub(super) async fn lock(
        &self,
        name: &str,
        command: &str,
        timeout: Duration,
        waiting: &mut (dyn FnMut(&str) + Send),
    ) -> Result<FileLock, LockError> {
        FileLock::take(self.locks.join(format!("{name}.lock")), command, timeout, waiting).await
    }

    /// What it has of a file; its digest has to be the noted one, and `expected` where that is known. Blocking: it reads all.
    pub fn look(&self, name: &str, expected: Option<&Digest>) -> Result<Cached, ArtifactError> {
        let path = self.path(name);
        let found = match Digest::of_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Cached::Missing),
            found => found.map_err(|source| ArtifactError::file("read", &path, source))?,
        };
        let unfit = |reason: &str| Ok(Cached::Unfit { reason: reason.to_owned() });
        let noted = fs_err::read_to_string(digest_of(&path)).unwrap_or_default();
        match (super::release::listed(&noted, name), expected) {
            (None, None) => unfit("its digest is not noted beside it"),
            (Some(noted), _) if noted != found => unfit("it was changed or damaged"),
            (_, Some(expected)) if *expected != found => unfit("it is another one than this program was built for"),
            _ => Ok(Cached::Whole { path }),
        }
    }

    /// All that it has, by name.
    pub fn list(&self) -> Result<Vec<CachedFile>, ArtifactError> {
        let failed = |source| ArtifactError::file("read", &self.folder, source);
        let entries = match fs_err::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, kind)| *kind);
            let Some(kind) = kind.filter(|_| ![DIGEST, STATE].iter().any(|suffix| name.ends_with(suffix))) else {
                continue;
            };
            let (kind, name) = match name.strip_suffix(PART) {
                Some(name) => (FileKind::Part, name.to_owned()),
                None => (kind, name),
            };
            let bytes = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata.map_err(failed)?.len(),
            };
            files.push(CachedFile { name, kind, path: entry.path(), bytes });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Removes what `unwanted` says, with what belongs to it; what is being downloaded at the moment stays. Returns what was
    /// removed.
    pub async fn prune(
        &self,
        command: &str,
        unwanted: impl Fn(&CachedFile) -> bool,
    ) -> Result<Vec<CachedFile>, ArtifactError> {
        let mut removed = Vec::new();
        for file in self.list()?.into_iter().filter(unwanted) {
            let lock = match self.lock(&file.name, command, Duration::ZERO, &mut |_| {}).await {
                Ok(lock) => lock,
                Err(LockError::Held { .. }) => continue,
                Err(LockError::Store(error)) => return Err(error.into()),
            };
            let result = remove_with_companion(&file);
            lock.remove();
            result?;
            removed.push(file);
        }
        Ok(removed)
    }
}

/// Removes a file and what is known of it.
fn remove_with_companion(file: &CachedFile) -> Result<(), ArtifactError> {
    remove(&file.path)?;
    remove(&appended(&file.path, if file.kind == FileKind::Part { STATE } else { DIGEST }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::of(&Dirs::below(home.path()));
        fs_err::create_dir_all(cache.folder()).unwrap();
        (home, cache)
    }

    #[test]
    fn what_was_changed_does_not_count() {
        let (_home, cache) = cache();
        let name = "sandbar-node-0.1.0-amd64.tar.zst";
        assert_eq!(cache.look(name, None).unwrap(), Cached::Missing);
        let path = cache.path(name);
        fs_err::write(&path, "content").unwrap();
        let reason = |expected: Option<&Digest>| match cache.look(name, expected).unwrap() {
            Cached::Unfit { reason } => reason,
            other => format!("{other:?}"),
        };
        assert_eq!(reason(None), "its digest is not noted beside it");
        let digest = Digest::of_file(&path).unwrap();
        let whole = Cached::Whole { path: path.clone() };
        assert_eq!(cache.look(name, Some(&digest)).unwrap(), whole);
        fs_err::write(digest_of(&path), format!("{digest}  {name}\n")).unwrap();
        assert_eq!(cache.look(name, None).unwrap(), whole);
        let other: Digest = "0".repeat(64).parse().unwrap();
        assert_eq!(reason(Some(&other)), "it is another one than this program was built for");
        fs_err::write(&path, "Content").unwrap();
        assert_eq!(reason(None), "it was changed or damaged");
    }

    #[tokio::test]
    async fn what_is_unwanted_goes_with_what_belongs_to_it() {
        let (_home, cache) = cache();
        for name in [
            "sandbar-node-1.tar.zst",
            "sandbar-node-1.tar.zst.sha256",
            "sandbar-node-2.tar.zst.part",
            "sandbar-node-2.tar.zst.part.json",
            "sandbar-node-3.tar.zst",
            "sandbar-machine-1.tar.zst",
            "mine.tar.zst",
        ] {
            fs_err::write(cache.path(name), "123").unwrap();
        }
        let names: Vec<_> = cache.list().unwrap().into_iter().map(|file| (file.name, file.kind, file.bytes)).collect();
        let (one, two, three) = (
            "sandbar-node-1.tar.zst".to_owned(),
            "sandbar-node-2.tar.zst".to_owned(),
            "sandbar-node-3.tar.zst".to_owned(),
        );
        let machine = "sandbar-machine-1.tar.zst".to_owned();
        let expected = [
            (machine.clone(), FileKind::MachineImage, 3),
            (one.clone(), FileKind::NodeImage, 3),
            (two.clone(), FileKind::Part, 3),
            (three.clone(), FileKind::NodeImage, 3),
        ];
        assert_eq!(names, expected);
        let held = cache.lock(&three, "up", Duration::ZERO, &mut |_| {}).await.unwrap();
        let removed = cache.prune("cache prune", |_| true).await.unwrap();
        assert_eq!(removed.into_iter().map(|file| file.name).collect::<Vec<_>>(), [machine, one, two]);
        held.remove();
        let mut left: Vec<_> =
            fs_err::read_dir(cache.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["mine.tar.zst", "sandbar-node-3.tar.zst"]);
    }
}
