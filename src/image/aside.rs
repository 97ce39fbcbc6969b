//! An engine's archive that is written down for as long as it is needed.

use std::path::Path;
use std::time::Duration;

use fs_err::File;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use super::ImageError;
use crate::engine::Reader;

/// How its name begins.
const PREFIX: &str = "image-";
/// A file is locked a moment after it is made; one without a lock that is older than this is nobody's.
const FRESH: Duration = Duration::from_mins(1);

/// A file that goes with this value; one of a process that was killed goes with the next.
pub(super) struct Aside {
    file: NamedTempFile,
}

impl Aside {
    /// Writes an archive to a file of that folder.
    pub async fn write(mut archive: Reader, folder: &Path) -> Result<Self, ImageError> {
        let failed = |source| ImageError::PutAside { folder: folder.to_owned(), source };
        sweep(folder).map_err(failed)?;
        let file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder).map_err(failed)?;
        file.as_file().lock().map_err(failed)?;
        let mut to = tokio::fs::File::from_std(file.reopen().map_err(failed)?);
        tokio::io::copy(&mut archive, &mut to).await.map_err(failed)?;
        to.flush().await.map_err(failed)?;
        Ok(Self { file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

/// Removes what processes that were killed have left: nobody holds a lock on it.
fn sweep(folder: &Path) -> std::io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // One that goes in this moment was another process' own to remove.
        let Some(file) = named.then(|| File::open(&path).ok()).flatten() else { continue };
        let old = file.metadata()?.modified()?.elapsed().is_ok_and(|age| age > FRESH);
        if old && file.file().try_lock().is_ok() {
            fs_err::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn reader(content: &'static [u8]) -> Reader {
        Box::pin(std::io::Cursor::new(content))
    }

    #[tokio::test]
    async fn it_goes_when_it_is_not_needed_and_takes_along_what_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let names = || fs_err::read_dir(folder.path()).unwrap().count();
        let make = |name: &str, age: Duration| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.file().set_modified(SystemTime::now() - age).unwrap();
            file
        };
        make("image-left", FRESH * 2);
        make("image-fresh", Duration::ZERO);
        make("other", FRESH * 2);
        let used = make("image-used", FRESH * 2);
        used.file().lock().unwrap();
        let aside = Aside::write(reader(b"archive"), folder.path()).await.unwrap();
        assert_eq!(fs_err::read(aside.path()).unwrap(), b"archive");
        assert!(!folder.path().join("image-left").exists());
        assert_eq!(names(), 4, "fresh, other, used, and this one");
        drop(aside);
        assert_eq!(names(), 3);
        let missing = Aside::write(reader(b""), &folder.path().join("none")).await;
        assert!(matches!(missing, Err(ImageError::PutAside { .. })));
    }
}
