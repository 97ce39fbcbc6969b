//! The kubeconfig's files as they are at one moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::edit::{self, Contents};
use super::lock::lock_path;
use super::{KubeconfigError, Locations, file};

/// How long a file that says nothing, or nothing that makes sense, is read again while somebody has its lock.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often that is; another program's write cannot be awaited.
const AGAIN: Duration = Duration::from_millis(5);

/// The texts of files, and what they hold.
pub struct Texts {
    files: BTreeMap<PathBuf, (String, Contents)>,
}

impl Texts {
    /// Reads without a lock, as kubectl does. But kubectl also writes in place: it empties a file before it writes it, so what
    /// makes no sense while somebody has the file's lock is read again.
    pub fn read(files: &[PathBuf]) -> Result<Self, KubeconfigError> {
        Self::read_locked(files, &[])
    }

    /// The same by one who has the locks of some of them, which nobody else is writing then.
    pub fn read_locked(files: &[PathBuf], locked: &[PathBuf]) -> Result<Self, KubeconfigError> {
        let mut texts = BTreeMap::new();
        for path in files {
            let read = if locked.contains(path) { read(path)? } else { read_patiently(path)? };
            texts.extend(read.map(|read| (path.clone(), read)));
        }
        Ok(Self { files: texts })
    }

    /// The text of a file; none where there is no file.
    pub fn text(&self, file: &Path) -> Option<&str> {
        self.files.get(file).map(|(text, _)| text.as_str())
    }

    /// What a file holds; nothing where there is no file.
    pub fn contents(&self, file: &Path) -> Contents {
        self.files.get(file).map(|(_, contents)| contents.clone()).unwrap_or_default()
    }

    /// The current context as kubectl sees it: that of the first file which names one.
    pub fn current(&self, locations: &Locations) -> Option<&String> {
        let named = |file| self.files.get(file)?.1.current.as_ref().filter(|name| !name.is_empty());
        locations.files().iter().find_map(named)
    }
}

fn read(path: &Path) -> Result<Option<(String, Contents)>, KubeconfigError> {
    let Some(text) = file::read(path)? else { return Ok(None) };
    let contents =
        edit::inspect(&text).map_err(|source| KubeconfigError::NotEdited { path: path.to_owned(), source })?;
    Ok(Some((text, contents)))
}

fn read_patiently(path: &Path) -> Result<Option<(String, Contents)>, KubeconfigError> {
    let begun = Instant::now();
    loop {
        // Looked at before the file is read: whoever has let it go since then was through.
        let is_held = lock_path(path).exists();
        let read = read(path);
        let may_be_half = match &read {
            Ok(Some((text, _))) => text.is_empty(),
            Ok(None) => false,
            Err(error) => matches!(error, KubeconfigError::NotEdited { .. } | KubeconfigError::NotText { .. }),
        };
        if !may_be_half || !is_held || begun.elapsed() >= PATIENCE {
            return read;
        }
        std::thread::sleep(AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "kind: Config\ncurrent-context: work\n";

    #[test]
    fn a_file_that_is_being_written_is_read_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        for half in ["", "kind: Config\nclusters: [\n"] {
            std::fs::write(lock_path(&file), "").unwrap();
            std::fs::write(&file, half).unwrap();
            let writes = std::thread::spawn({
                let file = file.clone();
                move || {
                    std::thread::sleep(Duration::from_millis(50));
                    std::fs::write(&file, WHOLE).unwrap();
                    std::fs::remove_file(lock_path(&file)).unwrap();
                }
            });
            let texts = Texts::read(std::slice::from_ref(&file)).unwrap();
            assert_eq!(texts.text(&file), Some(WHOLE), "{half:?}");
            writes.join().unwrap();
        }
    }

    #[test]
    fn what_nobody_is_writing_is_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, "clusters: [\n").unwrap();
        let begun = Instant::now();
        assert!(matches!(Texts::read(std::slice::from_ref(&file)), Err(KubeconfigError::NotEdited { .. })));
        // Nor is it waited for what this process has locked itself.
        std::fs::write(lock_path(&file), "").unwrap();
        let files = [file.clone()];
        assert!(Texts::read_locked(&files, &files).is_err());
        assert!(begun.elapsed() < PATIENCE);
        // A lock that was left behind does not hold anybody up for ever.
        assert!(Texts::read(&files).is_err());
    }
}
