//! What a node is told before an archive: which layers are to come, so that it unpacks them while they do.

use tokio::io::AsyncReadExt;

use super::header::{BLOCK, padding};
use crate::engine::Reader;

/// The file that an archive begins with (contract, `image import`). A node that does not know it passes it over.
const NAME: &str = "sandbar-layers";

/// The archive with its image's layers announced before it, by the digests of their content, first to last.
pub(super) fn announce(layers: &[String], archive: Reader) -> Reader {
    if layers.is_empty() {
        return archive;
    }
    Box::pin(AsyncReadExt::chain(std::io::Cursor::new(entry(layers)), archive))
}

/// The file as a part of a tar stream.
fn entry(layers: &[String]) -> Vec<u8> {
    let content = layers.iter().fold(String::new(), |lines, layer| lines + layer + "\n");
    let size = content.len() as u64;
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..NAME.len()].copy_from_slice(NAME.as_bytes());
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    let mut bytes = Vec::with_capacity(2 * BLOCK + content.len());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(content.as_bytes());
    bytes.resize(bytes.len() + usize::try_from(padding(size)).unwrap_or_default(), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_announced_archive_is_still_one() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        builder.append_data(&mut header, "a", &b"abc"[..]).unwrap();
        let archive = builder.into_inner().unwrap();
        for count in [0, 1, 7, 8, 300] {
            let layers: Vec<_> = (0..count).map(|number| format!("sha256:{number:064x}")).collect();
            let mut bytes = Vec::new();
            let from = Box::pin(std::io::Cursor::new(archive.clone()));
            announce(&layers, from).read_to_end(&mut bytes).await.unwrap();
            let mut read = tar::Archive::new(bytes.as_slice());
            let files = read.entries().unwrap().map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = String::new();
                std::io::Read::read_to_string(&mut entry, &mut content).unwrap();
                (entry.path().unwrap().to_string_lossy().into_owned(), content)
            });
            let files: Vec<_> = files.collect();
            let announced = (count > 0).then(|| (NAME.to_owned(), layers.join("\n") + "\n"));
            let expected: Vec<_> = announced.into_iter().chain([("a".to_owned(), "abc".to_owned())]).collect();
            assert_eq!(files, expected);
        }
    }
}
