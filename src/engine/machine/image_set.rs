//! What machines are started from: a kernel, what it starts first, the node's root file system and an empty disk for data.
//!
//! Sets come as archives (tar) whose first entry is `manifest.json` (contract/machine.md), and are kept in a folder each, named
//! by their digest. Machines read them and never change them.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::architecture::Architecture;
use super::folder::{self, Places};
use crate::engine::{ImageInfo, LABEL_CONTRACT, LABEL_VERSION, Labels};

/// The version of the manifest's form.
const SCHEMA: u32 = 1;
/// How much is written at a time; what is all zeroes is left out.
const PIECE: usize = 64 * 1024;
/// The files of a set.
const FILES: [&str; 4] = ["kernel", "initramfs", "system.img", "data.img"];

/// What a set has, as its `manifest.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of this form.
    pub schema_version: u32,
    /// What machines it is for.
    pub architecture: Architecture,
    /// Version of Sandbar.
    pub version: String,
    /// Version of the node contract.
    pub contract_version: u32,
    /// Version of what its machines and their host tell each other.
    #[serde(default)]
    pub control_version: u32,
    /// Version of Kubernetes.
    pub kubernetes_version: String,
    /// Version of the kernel.
    pub kernel_version: String,
    /// What the kernel is told.
    pub kernel_arguments: String,
    /// Whether a machine finds the root file system where it is in its memory, not on a disk alone.
    #[serde(default)]
    pub system_memory: bool,
    /// `sha256:` and the digest of all of it.
    pub digest: String,
    /// Its files.
    pub files: BTreeMap<String, SetFile>,
}

/// A file of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFile {
    /// Its digest, hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// A set that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    folder: PathBuf,
    /// What it has.
    pub manifest: Manifest,
}

/// Why a set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// There is none of that digest.
    #[error("what the machine starts from, {0}, is gone")]
    Missing(String),
    /// An archive or a folder is none.
    #[error("{0}")]
    Unusable(String),
    /// A file.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl ImageSet {
    /// The one of that digest.
    pub fn of(places: &Places, id: &str) -> Result<Self, SetError> {
        let folder = places.images.join(folder_name(id)?);
        let manifest = folder::read(&folder.join("manifest.json"))?.ok_or_else(|| SetError::Missing(id.to_owned()))?;
        Ok(Self { folder, manifest })
    }

    /// All that are here.
    pub fn all(places: &Places) -> Result<Vec<Self>, SetError> {
        let entries = match fs_err::read_dir(&places.images) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let folder = entry?.path();
            // What an interrupted import left has no manifest.
            if let Some(manifest) = folder::read(&folder.join("manifest.json"))? {
                all.push(Self { folder, manifest });
            }
        }
        Ok(all)
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("kernel")
    }

    /// What the kernel starts.
    #[must_use]
    pub fn initramfs(&self) -> PathBuf {
        self.folder.join("initramfs")
    }

    /// The node's root file system.
    #[must_use]
    pub fn system(&self) -> PathBuf {
        self.folder.join("system.img")
    }

    /// Bytes of the root file system, where machines find it in their memory.
    #[must_use]
    pub fn system_memory(&self) -> Option<u64> {
        let file = self.manifest.files.get("system.img").filter(|_| self.manifest.system_memory);
        file.map(|file| file.bytes)
    }

    /// An empty disk.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data.img")
    }

    /// States of machines that were started from it and were nobody's yet.
    #[must_use]
    pub fn templates(&self) -> PathBuf {
        self.folder.join("templates")
    }

    /// What an engine says of an image.
    #[must_use]
    pub fn info(&self) -> ImageInfo {
        let manifest = &self.manifest;
        let labels =
            [(LABEL_CONTRACT, manifest.contract_version.to_string()), (LABEL_VERSION, manifest.version.clone())];
        ImageInfo {
            id: manifest.digest.clone(),
            names: vec![name_of(&manifest.version)],
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Labels>(),
            diff_ids: Vec::new(),
            architecture: manifest.architecture.name().to_owned(),
            size_bytes: manifest.files.values().map(|file| file.bytes).sum(),
        }
    }

    /// Takes in an archive; what is wrong with it leaves nothing.
    pub fn import(places: &Places, archive: impl Read) -> Result<Self, SetError> {
        let mut archive = tar::Archive::new(archive);
        let mut entries = archive.entries()?;
        let unusable = |words: &str| SetError::Unusable(words.to_owned());
        let first = entries.next().ok_or_else(|| unusable("the archive is empty"))??;
        if first.path()?.as_ref() != Path::new("manifest.json") {
            return Err(unusable("it does not begin with a manifest.json: it is no archive of a machine"));
        }
        let mut text = Vec::new();
        first.take(1 << 20).read_to_end(&mut text)?;
        let manifest = Manifest::parse(&text)?;
        let target = places.images.join(folder_name(&manifest.digest)?);
        if let Ok(there) = Self::of(places, &manifest.digest) {
            return Ok(there);
        }
        crate::platform::native().create_private_dir(&places.images)?;
        let draft = tempfile::Builder::new().prefix(".import-").tempdir_in(&places.images)?;
        let mut missing: Vec<&str> = FILES.to_vec();
        for entry in entries {
            let entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            let Some(at) = missing.iter().position(|file| *file == name) else { continue };
            let Some(expected) = manifest.files.get(&name) else { continue };
            write_file(entry, &draft.path().join(&name), expected, &name)?;
            missing.swap_remove(at);
        }
        if let Some(file) = missing.first() {
            return Err(SetError::Unusable(format!("it has no {file}; it may have been cut off")));
        }
        folder::write(&draft.path().join("manifest.json"), &manifest)?;
        match fs_err::rename(draft.path(), &target) {
            Ok(()) => drop(draft.keep()),
            // Another command was quicker.
            Err(_) if target.join("manifest.json").exists() => {}
            Err(error) => return Err(error.into()),
        }
        Self::of(places, &manifest.digest)
    }
}

impl Manifest {
    /// Reads one, and whether it is of a form that is known.
    pub fn parse(text: &[u8]) -> Result<Self, SetError> {
        let unusable = |reason: String| SetError::Unusable(format!("its manifest.json: {reason}"));
        let manifest: Self = serde_json::from_slice(text).map_err(|error| unusable(error.to_string()))?;
        if manifest.schema_version != SCHEMA {
            return Err(unusable(format!("it is of form {}, this sandbar knows {SCHEMA}", manifest.schema_version)));
        }
        for file in FILES {
            if !manifest.files.contains_key(file) {
                return Err(unusable(format!("it does not name {file}")));
            }
        }
        folder_name(&manifest.digest)?;
        Ok(manifest)
    }
}

/// The name that the set of a version has in the engine, which is that of the container image: it is the same node.
#[must_use]
pub fn name_of(version: &str) -> String {
    format!("localhost/sandbar-node:{version}")
}

/// The name of the folder of a set.
fn folder_name(id: &str) -> Result<&str, SetError> {
    let hex = id.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(&hex[..16])
    } else {
        Err(SetError::Unusable(format!("{id} is no digest")))
    }
}

/// Writes a file without what is all zeroes in it, and compares what it was with what it should be.
fn write_file(mut from: impl Read, to: &Path, expected: &SetFile, name: &str) -> Result<(), SetError> {
    let mut file = fs_err::File::create(to)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let mut length = 0;
    loop {
        let mut filled = 0;
        while filled < PIECE {
            match from.read(&mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            break;
        }
        let piece = &buffer[..filled];
        digest.update(piece);
        length += filled as u64;
        if piece.iter().all(|byte| *byte == 0) {
            file.seek(SeekFrom::Current(i64::try_from(filled).unwrap_or_default()))?;
        } else {
            file.write_all(piece)?;
        }
    }
    file.set_len(length)?;
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if length < expected.bytes {
        return Err(SetError::Unusable(format!("its {name} is cut off")));
    }
    if length != expected.bytes || found != expected.sha256 {
        return Err(SetError::Unusable(format!("its {name} is not what its manifest.json says")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(content: &[u8]) -> String {
        Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn contents() -> [Vec<u8>; 4] {
        let mut system = vec![0; 3 * PIECE + 17];
        system[PIECE] = 1;
        [b"kernel".to_vec(), b"initramfs".to_vec(), system, vec![0; 2 * PIECE]]
    }

    fn manifest() -> Manifest {
        let files = FILES.iter().zip(contents());
        let files = files.map(|(name, content)| {
            ((*name).to_owned(), SetFile { sha256: digest(&content), bytes: content.len() as u64 })
        });
        Manifest {
            schema_version: 1,
            architecture: Architecture::Arm64,
            version: "0.1.0".to_owned(),
            contract_version: 1,
            control_version: 2,
            kubernetes_version: "v1.37.2".to_owned(),
            kernel_version: "6.12".to_owned(),
            kernel_arguments: "quiet".to_owned(),
            system_memory: true,
            digest: format!("sha256:{}", digest(b"all of it")),
            files: files.collect(),
        }
    }

    fn archive(manifest: &Manifest, without: Option<&str>) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content).unwrap();
        };
        add("manifest.json", &serde_json::to_vec(manifest).unwrap());
        for (name, content) in FILES.iter().zip(contents()) {
            if without != Some(name) {
                add(name, &content);
            }
        }
        archive.into_inner().unwrap()
    }

    fn places(folder: &Path) -> Places {
        Places { machines: folder.join("machines"), images: folder.join("images"), run: folder.join("run") }
    }

    #[test]
    fn a_set_is_what_its_archive_was() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        let set = ImageSet::import(&places, archive(&manifest(), None).as_slice()).unwrap();
        for (name, content) in FILES.iter().zip(contents()) {
            assert_eq!(std::fs::read(set.folder.join(name)).unwrap(), content, "{name}");
        }
        assert_eq!(ImageSet::of(&places, &manifest().digest).unwrap(), set);
        let again = ImageSet::import(&places, archive(&manifest(), None).as_slice()).unwrap();
        assert_eq!(ImageSet::all(&places).unwrap(), [again]);
        let info = set.info();
        assert_eq!(
            (info.architecture.as_str(), info.names),
            ("arm64", vec!["localhost/sandbar-node:0.1.0".to_owned()])
        );
    }

    #[test]
    fn what_is_wrong_with_an_archive_is_said_and_leaves_nothing() {
        let whole = archive(&manifest(), None);
        let mut other = manifest();
        other.files.get_mut("kernel").unwrap().sha256 = digest(b"another");
        let later = Manifest { schema_version: 2, ..manifest() };
        let cases = [
            (Vec::new(), "the archive is empty"),
            (archive(&manifest(), Some("data.img")), "it has no data.img; it may have been cut off"),
            (archive(&other, None), "its kernel is not what its manifest.json says"),
            (archive(&later, None), "its manifest.json: it is of form 2, this sandbar knows 1"),
            (whole[512..].to_vec(), "numeric field was not a number"),
            (whole[..whole.len() - 3 * PIECE].to_vec(), "its system.img is cut off"),
        ];
        for (bytes, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            let places = places(folder.path());
            let error = ImageSet::import(&places, bytes.as_slice()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} is not {expected}");
            assert_eq!(ImageSet::all(&places).unwrap(), []);
            let left = std::fs::read_dir(&places.images).map_or(0, Iterator::count);
            assert_eq!(left, 0, "after {expected}");
        }
    }
}
