//! A file that is there in part. How long it is on the disk is what is there; nothing else needs to be true.

use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::digest::feed;
use super::{ArtifactError, Digest};
use crate::platform;
use crate::store::write_atomic;

/// What has come so far.
pub(super) struct Part {
    file: File,
    path: PathBuf,
    length: u64,
    hash: Sha256,
    state: State,
    /// Whether it holds bytes of an earlier connection, which could have been another file's.
    joined: bool,
}

/// What is known of it beside its bytes. In a file of its own, so that the bytes can be appended to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    schema_version: u32,
    /// What all of it should have.
    digest: Digest,
    /// What the server calls this content (`ETag` or `Last-Modified`), if it does: asked with a range, it answers with all of it
    /// when it has something else by now (RFC 9110, 13.1.5).
    validator: Option<String>,
}

impl Part {
    /// Opens what an earlier try has left; what was meant to become something else is emptied. Blocking.
    pub fn open(path: &Path, digest: &Digest) -> Result<Self, ArtifactError> {
        let failed = |source| ArtifactError::file("open", path, source);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        let known = fs_err::read(state_of(path)).ok().and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok());
        let known = known.filter(|state| state.schema_version == 1 && state.digest == *digest);
        let mut hash = Sha256::new();
        let length = if known.is_some() {
            feed(&mut hash, &mut file).map_err(|source| ArtifactError::file("read", path, source))?
        } else {
            file.set_len(0).map_err(failed)?;
            0
        };
        let state = known.unwrap_or_else(|| State { schema_version: 1, digest: digest.clone(), validator: None });
        Ok(Self { file, path: path.to_owned(), length, hash, state, joined: length > 0 })
    }

    /// Bytes that are there.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What the server called it.
    pub fn validator(&self) -> Option<&str> {
        self.state.validator.as_deref()
    }

    /// Whether it holds bytes of an earlier connection.
    pub fn is_joined(&self) -> bool {
        self.joined
    }

    /// What comes now is joined to what is there.
    pub fn join(&mut self) {
        self.joined |= self.length > 0;
    }

    /// Begins anew with content that the server calls so.
    pub fn restart(&mut self, validator: Option<String>) -> Result<(), ArtifactError> {
        let failed = |source| ArtifactError::file("empty", &self.path, source);
        self.file.set_len(0).map_err(failed)?;
        self.file.rewind().map_err(failed)?;
        (self.length, self.hash, self.joined) = (0, Sha256::new(), false);
        self.state.validator = validator;
        let state = serde_json::to_vec(&self.state)
            .map_err(|error| ArtifactError::file("write", &self.path, io::Error::other(error)))?;
        let path = state_of(&self.path);
        match write_atomic(&path, &state) {
            Err(crate::store::StoreError::Io { action, path, source }) => {
                Err(ArtifactError::file(action, &path, source))
            }
            written => Ok(written?),
        }
    }

    /// Adds bytes. Where the disk takes a part of them, that part is there.
    pub fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.hash.update(&bytes[..written]);
                    self.length += written as u64;
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The digest of what is there.
    pub fn digest(&self) -> Digest {
        Digest::of(self.hash.clone())
    }

    /// Gives it its name, on the disk for good, with its digest beside it. Blocking.
    pub fn finish(self, target: &Path) -> Result<(), ArtifactError> {
        let failed = |action| move |source| ArtifactError::file(action, target, source);
        self.file.sync_all().map_err(failed("write"))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        // First the digest: without it the file would not count.
        match write_atomic(&digest_of(target), format!("{}  {name}\n", self.state.digest).as_bytes()) {
            Err(crate::store::StoreError::Io { action, path, source }) => {
                return Err(ArtifactError::file(action, &path, source));
            }
            written => written?,
        }
        fs_err::rename(&self.path, target).map_err(failed("name"))?;
        let folder = target.parent().unwrap_or(Path::new("."));
        platform::native().sync_dir(folder).map_err(failed("write"))?;
        remove(&state_of(&self.path))
    }

    /// Removes what is there.
    pub fn discard(self) -> Result<(), ArtifactError> {
        drop(self.file);
        remove(&self.path)?;
        remove(&state_of(&self.path))
    }
}

/// Removes a file; one that is not there is fine.
pub(super) fn remove(path: &Path) -> Result<(), ArtifactError> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ArtifactError::file("remove", path, error)),
        _ => Ok(()),
    }
}

/// What is appended to a file's name while only a part of it is there.
pub(super) const PART: &str = ".part";
/// What is appended to a part's name for what is known of it.
pub(super) const STATE: &str = ".json";
/// What is appended to a file's name for its digest, as `sha256sum` writes it.
pub(super) const DIGEST: &str = ".sha256";

fn state_of(part: &Path) -> PathBuf {
    appended(part, STATE)
}

/// Where the digest of a file is.
pub(super) fn digest_of(target: &Path) -> PathBuf {
    appended(target, DIGEST)
}

/// A path with something appended to its last name.
pub(super) fn appended(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> Digest {
        Digest::of(Sha256::new_with_prefix(bytes))
    }

    #[test]
    fn a_part_goes_on_where_it_was_and_never_for_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("a.part"), folder.path().join("a"));
        let wanted = digest(b"hello world");
        let mut part = Part::open(&path, &wanted).unwrap();
        part.restart(Some("\"1\"".to_owned())).unwrap();
        part.append(b"hello").unwrap();
        assert!(!part.is_joined());
        drop(part);

        let mut part = Part::open(&path, &wanted).unwrap();
        assert_eq!((part.length(), part.validator(), part.is_joined()), (5, Some("\"1\""), true));
        part.append(b" world").unwrap();
        assert_eq!(part.digest(), wanted);
        part.finish(&target).unwrap();
        assert_eq!(fs_err::read(&target).unwrap(), b"hello world");
        assert_eq!(fs_err::read_to_string(digest_of(&target)).unwrap(), format!("{wanted}  a\n"));
        let mut left: Vec<_> =
            fs_err::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a", "a.sha256"]);

        let mut part = Part::open(&path, &wanted).unwrap();
        part.restart(None).unwrap();
        part.append(b"hello").unwrap();
        drop(part);
        let part = Part::open(&path, &digest(b"other")).unwrap();
        assert_eq!((part.length(), part.is_joined()), (0, false));
        part.discard().unwrap();
        assert!(!path.exists());
    }
}
