//! An empty qcow2 image over a backing file, made without QEMU's tools.
//!
//! The format is QEMU's "qcow2 image format" of version 3 (docs/interop/qcow2.rst).

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Bytes of a cluster.
const CLUSTER: u64 = 1 << CLUSTER_BITS;
const CLUSTER_BITS: u32 = 16;
/// Bytes of the image that one entry of the L1 table stands for.
const L1_ENTRY: u64 = CLUSTER * CLUSTER / 8;
/// Bytes of a header of version 3.
const HEADER: u32 = 104;
/// Type of the header extension that names the format of the backing file.
const BACKING_FORMAT: u32 = 0xe279_2aca;
/// The longest name of a backing file.
const LONGEST_NAME: usize = 1023;

/// Format of a backing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Plain bytes.
    Raw,
    /// Another qcow2 image.
    Qcow2,
}

impl Format {
    /// QEMU's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// Makes a new image of `size` bytes, a multiple of 512, that shows what is in `backing`; fails where there is a file already.
pub fn create(path: &Path, size: u64, backing: &Path, format: Format) -> io::Result<()> {
    let name = backing.to_str().filter(|name| name.len() <= LONGEST_NAME);
    let name =
        name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the backing file's path is too long"))?;
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).open(path)?;
    file.write_all(&image(size, name, format))?;
    file.sync_all()
}

/// The clusters of such an image: header, refcount table, refcount block, L1 table.
fn image(size: u64, backing: &str, format: Format) -> Vec<u8> {
    let entries = size.div_ceil(L1_ENTRY);
    let l1_clusters = (entries * 8).div_ceil(CLUSTER).max(1);
    let extension = {
        let name = format.name().as_bytes();
        let mut bytes = Vec::new();
        bytes.extend(BACKING_FORMAT.to_be_bytes());
        bytes.extend(u32::try_from(name.len()).unwrap_or_default().to_be_bytes());
        bytes.extend(name);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        // The end of the extensions.
        bytes.extend([0; 8]);
        bytes
    };
    let name_offset = u64::from(HEADER) + extension.len() as u64;

    let mut image = Vec::new();
    image.extend(*b"QFI\xfb");
    image.extend(3_u32.to_be_bytes());
    image.extend(name_offset.to_be_bytes());
    image.extend(u32::try_from(backing.len()).unwrap_or_default().to_be_bytes());
    image.extend(CLUSTER_BITS.to_be_bytes());
    image.extend(size.to_be_bytes());
    // No encryption.
    image.extend(0_u32.to_be_bytes());
    image.extend(u32::try_from(entries).unwrap_or(u32::MAX).to_be_bytes());
    image.extend((3 * CLUSTER).to_be_bytes());
    image.extend(CLUSTER.to_be_bytes());
    // One cluster of refcount table; no snapshots; no features.
    image.extend(1_u32.to_be_bytes());
    image.extend(0_u32.to_be_bytes());
    image.extend([0; 8 * 4]);
    // Refcounts of 2^4 bits.
    image.extend(4_u32.to_be_bytes());
    image.extend(HEADER.to_be_bytes());
    image.extend(extension);
    image.extend(backing.as_bytes());

    let pad = |image: &mut Vec<u8>| image.resize(image.len().next_multiple_of(1 << CLUSTER_BITS), 0);
    pad(&mut image);
    image.extend((2 * CLUSTER).to_be_bytes());
    pad(&mut image);
    for _ in 0..3 + l1_clusters {
        image.extend(1_u16.to_be_bytes());
    }
    pad(&mut image);
    let whole = image.len() + usize::try_from(l1_clusters * CLUSTER).unwrap_or_default();
    image.resize(whole, 0);
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Program;

    #[test]
    fn a_file_that_is_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.qcow2");
        std::fs::write(&path, "data").unwrap();
        let made = create(&path, 1 << 30, Path::new("/base.img"), Format::Raw);
        assert_eq!(made.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"data");
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(1100));
        let made = create(&folder.path().join("disk.qcow2"), 1 << 30, &long, Format::Raw);
        assert_eq!(made.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    /// QEMU's own tool finds what was meant, and nothing wrong.
    #[tokio::test]
    #[expect(clippy::print_stderr, reason = "a skip is told to whoever runs the tests")]
    async fn qemu_reads_it() {
        let Ok(tool) = which::which("qemu-img") else {
            eprintln!("skipped: there is no qemu-img");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base.img");
        std::fs::write(&base, vec![7; 1 << 20]).unwrap();
        // More than one cluster of L1 table would be 4 TiB.
        for (size, name) in [(1_u64 << 20, "small"), (10 << 30, "usual"), (5 << 40, "huge")] {
            let path = folder.path().join(name);
            create(&path, size, &base, Format::Raw).unwrap();
            Program::new(&tool).args(["check", "-q"]).arg(&path).output().await.unwrap();
            let said = Program::new(&tool).args(["info", "--output=json"]).arg(&path).output().await.unwrap();
            let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
            assert_eq!(said["virtual-size"], size, "{said}");
            assert_eq!(said["backing-filename"], base.to_str().unwrap());
            assert_eq!(said["backing-filename-format"], "raw");
        }
        let raw = folder.path().join("read.img");
        let small = folder.path().join("small");
        Program::new(&tool).args(["convert", "-O", "raw"]).arg(&small).arg(&raw).output().await.unwrap();
        assert_eq!(std::fs::read(&raw).unwrap(), std::fs::read(&base).unwrap());
    }
}
