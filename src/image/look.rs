//! What an archive or a folder is that is meant for an engine, not for a node.

use std::path::PathBuf;
use std::slice;

use super::ImageError;
use super::archive::{Archive, Opened};
use super::load::{blocking, pack};
use crate::engine::Reader;

/// ID of the image in an archive or a folder in OCI layout, found without reading a layer; none where the archive is
/// compressed.
pub async fn identify(path: PathBuf, architecture: &str) -> Result<Option<String>, ImageError> {
    let architecture = architecture.to_owned();
    blocking(move || match Archive::open(&path)? {
        Opened::Compressed => Ok(None),
        Opened::Indexed(archive) => {
            let images = archive.images(slice::from_ref(&architecture))?;
            Ok(Some(images.into_iter().next().ok_or(ImageError::NoImage)?.id))
        }
    })
    .await
}

/// A folder in OCI layout as an archive, and how large its files are together, in bytes.
pub async fn packed(root: PathBuf) -> Result<(Reader, u64), ImageError> {
    let listed = root.clone();
    let files = blocking(move || Archive::layout_files(&listed)).await?;
    let total = files.iter().map(|(_, size)| size).sum();
    Ok((pack(root, files), total))
}
