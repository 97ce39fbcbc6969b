//! Replacing files so that a crash leaves the old or the new one, never half of one.

use std::io::Write;
use std::path::Path;

use super::StoreError;
use crate::platform;

/// Makes a folder and those above it, for its owner alone.
pub(super) fn create_folder(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    platform::native().create_private_dir(path).map_err(|error| StoreError::io("create", path, error))
}

/// Writes a file of its owner's alone by a temporary one in the same folder, which is made if need be.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let fail = |action| move |error| StoreError::io(action, path, error);
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail("write"))?;
    file.write_all(bytes).map_err(fail("write"))?;
    file.as_file().sync_all().map_err(fail("write"))?;
    platform::native().replace(file, path).map_err(fail("replace"))?;
    platform::native().sync_dir(folder).map_err(fail("write"))
}
