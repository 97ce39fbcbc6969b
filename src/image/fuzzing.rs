//! What must hold for an image archive, whatever is in it; see [`crate::fuzzing`].

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::AsyncReadExt as _;

use super::archive::{Archive, ArchivedImage, Opened};
use super::filter::{LeaveOut, filter};
use super::header::BLOCK;

/// An archive is refused or understood, and what is sent of it is the archive itself without what is left out.
pub fn image_archive(bytes: &[u8]) {
    check(bytes);
    check(&with_checksums(bytes));
}

/// The bytes with a right checksum in each block that looks like a header: no chance would ever find one.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(BLOCK).filter(|block| block[257..].starts_with(b"ustar")) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

fn check(bytes: &[u8]) {
    let Some(images) = images(bytes) else {
        // What is sent unread has to be as safe.
        _ = send(bytes, LeaveOut::default());
        return;
    };
    let (sent, moved) = send(bytes, LeaveOut::default());
    let sent = sent.expect("what was indexed can be sent");
    assert!(sent == bytes && moved <= bytes.len() as u64, "{} bytes became {}", bytes.len(), sent.len());
    for image in images.iter().flatten() {
        let paths: HashSet<String> = image.layers.iter().map(|layer| layer.path.clone()).collect();
        let (rest, moved) = send(bytes, LeaveOut { paths: paths.clone(), digests: HashSet::new() });
        let rest = rest.expect("what can be sent can be sent in part");
        assert!(rest.len() <= bytes.len() && moved <= rest.len() as u64);
        if let Some(Ok(left)) = self::images(&rest) {
            let found =
                left.iter().flat_map(|image| &image.layers).find(|layer| layer.present && paths.contains(&layer.path));
            assert_eq!(found, None, "it was to be left out");
        }
    }
}

/// The images of an archive that can be indexed, or why they cannot be told.
fn images(bytes: &[u8]) -> Option<Result<Vec<ArchivedImage>, super::ImageError>> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    match Archive::open(file.path()) {
        Ok(Opened::Indexed(archive)) => Some(archive.images(&["amd64".to_owned()])),
        Ok(Opened::Compressed) => None,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// What comes out of the filter in pieces, and how many bytes of content it counted.
fn send(bytes: &[u8], leave_out: LeaveOut) -> (std::io::Result<Vec<u8>>, u64) {
    let moved = Arc::new(AtomicU64::new(0));
    let mut sent = filter(Box::pin(std::io::Cursor::new(bytes.to_vec())), leave_out, moved.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut out = Vec::new();
    let read = runtime.block_on(sent.read_to_end(&mut out));
    (read.map(|_| out), moved.load(Ordering::Relaxed))
}
