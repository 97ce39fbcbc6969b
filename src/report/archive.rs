//! A `tar.gz`, which every system opens, the same for the same content.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::ReportError;
use crate::store::{StoreError, write_atomic};

/// The files below one folder, in their order.
pub(super) fn pack(folder: &str, files: &BTreeMap<String, Vec<u8>>, now: Timestamp) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
        builder.append_data(&mut header, format!("{folder}/{path}"), text.as_slice())?;
    }
    builder.into_inner()?.finish()
}

/// Writes a file for its owner alone, whole or not at all. The folder has to be there: it is the user's.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        return Err(StoreError::Io { action: "write into", path: folder.to_owned(), source }.into());
    }
    Ok(write_atomic(path, bytes)?)
}

/// The files of an archive of [`pack`], by their paths in its folder.
pub(super) fn unpack(bytes: &[u8]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let mut files = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?;
        let names: Vec<_> = path.components().skip(1).map(|name| name.as_os_str().to_string_lossy()).collect();
        let path = names.join("/");
        let mut text = Vec::new();
        io::copy(&mut entry, &mut text)?;
        files.insert(path, text);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_and_the_same_is_the_same() {
        let files: BTreeMap<_, _> = [("a/b.json", "1"), ("c", "2")].map(|(a, b)| (a.to_owned(), b.into())).into();
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let packed = pack("folder", &files, now).unwrap();
        assert_eq!(packed, pack("folder", &files, now).unwrap());
        assert_eq!(unpack(&packed).unwrap(), files);
    }
}
