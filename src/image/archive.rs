//! Archives and layouts that can be read twice: first what is in them, then what the node lacks. Blocking.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err::File;
use serde::Deserialize;

use super::ImageError;
use super::filter::is_compressed;
use super::header::{BLOCK, Details, Header, clean, padding, parse};

/// Largest document that is read: manifests and configurations are a few kilobytes.
const LARGEST_DOCUMENT: u64 = 16 << 20;
/// How deep indexes may stand in indexes, and links lead to links.
const DEEPEST: usize = 8;

/// A place with an image's files that can be read at will.
#[derive(Debug)]
pub(super) enum Archive {
    /// A tar file: where each file's content is in it, and where links lead.
    Tar { file: PathBuf, files: BTreeMap<String, (u64, u64)>, links: BTreeMap<String, String> },
    /// A folder in OCI layout.
    Layout { root: PathBuf },
}

/// What a file is on first sight.
#[derive(Debug)]
pub(super) enum Opened {
    /// Something whose content is known.
    Indexed(Archive),
    /// A compressed archive, which passes as it is.
    Compressed,
}

/// One image of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArchivedImage {
    /// Names that the archive gives it.
    pub names: Vec<String>,
    /// Digest of its configuration.
    pub id: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Its layers, first to last.
    pub layers: Vec<Layer>,
}

/// One layer of an archived image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    /// Digest of its content before compression.
    pub diff_id: String,
    /// Where it is.
    pub path: String,
    /// Whether it is there; a node may have what an archive leaves out.
    pub present: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<String>>,
}

impl Archive {
    /// Opens a file or folder and finds out what is in it, reading no layer.
    pub fn open(path: &Path) -> Result<Opened, ImageError> {
        let opened = |source| ImageError::Open { path: path.to_owned(), source };
        if fs_err::metadata(path).map_err(opened)?.is_dir() {
            return Ok(Opened::Indexed(Self::Layout { root: path.to_owned() }));
        }
        let mut file = File::open(path).map_err(opened)?;
        let length = file.metadata().map_err(ImageError::Read)?.len();
        let mut start = Vec::new();
        Read::by_ref(&mut file).take(4).read_to_end(&mut start).map_err(ImageError::Read)?;
        if start.is_empty() {
            return Err(ImageError::Empty);
        }
        if is_compressed(&start) {
            return Ok(Opened::Compressed);
        }
        let (files, links) = entries(&mut file, length)?;
        Ok(Opened::Indexed(Self::Tar { file: path.to_owned(), files, links }))
    }

    /// The images in it; of one for several platforms that for the first of `architectures` that it has, if it has one.
    pub fn images(&self, architectures: &[String]) -> Result<Vec<ArchivedImage>, ImageError> {
        if let Some(manifest) = self.read("manifest.json")? {
            let entries: Vec<DockerEntry> = decode("manifest.json", &manifest)?;
            return entries.into_iter().map(|entry| self.docker_image(entry)).collect();
        }
        let Some(index) = self.read("index.json")? else { return Err(ImageError::NoImage) };
        let index: Index = decode("index.json", &index)?;
        index.manifests.iter().map(|entry| self.oci_image(entry, architectures, name_of(entry), 0)).collect()
    }

    /// Files that belong to an OCI layout, as paths in it, with their sizes.
    pub fn layout_files(root: &Path) -> Result<Vec<(String, u64)>, ImageError> {
        let mut found = Vec::new();
        for name in ["oci-layout", "index.json"] {
            let path = root.join(name);
            let missing = |_| ImageError::MissingFile { path: name.to_owned(), named_by: "an OCI layout".to_owned() };
            found.push((name.to_owned(), fs_err::metadata(&path).map_err(missing)?.len()));
        }
        for algorithm in children(&root.join("blobs"))? {
            for blob in children(&algorithm)? {
                let relative = blob.strip_prefix(root).unwrap_or(&blob);
                let size = fs_err::metadata(&blob).map_err(ImageError::Read)?.len();
                found.push((relative.to_string_lossy().replace('\\', "/"), size));
            }
        }
        Ok(found)
    }

    fn docker_image(&self, entry: DockerEntry) -> Result<ArchivedImage, ImageError> {
        let bytes = self.need(&entry.config, "manifest.json")?;
        self.assemble(&entry.config, &bytes, entry.repo_tags.unwrap_or_default(), entry.layers.unwrap_or_default())
    }

    fn oci_image(
        &self,
        descriptor: &Descriptor,
        architectures: &[String],
        names: Vec<String>,
        depth: usize,
    ) -> Result<ArchivedImage, ImageError> {
        let path = blob(&descriptor.digest);
        let manifest: Manifest = decode(&path, &self.need(&path, "index.json")?)?;
        if let Some(platforms) = manifest.manifests {
            let of = |architecture: &String| {
                platforms.iter().find(|entry| {
                    entry.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == *architecture)
                })
            };
            let offered = || {
                let all = platforms.iter().filter_map(|entry| Some(entry.platform.as_ref()?.architecture.clone()));
                all.collect::<Vec<_>>().join(", ")
            };
            let chosen = architectures.iter().find_map(of).filter(|_| depth < DEEPEST);
            let chosen = chosen.ok_or_else(|| ImageError::WrongArchitecture {
                image: names.first().cloned().unwrap_or_else(|| descriptor.digest.clone()),
                found: offered(),
                node: architectures.first().cloned().unwrap_or_default(),
            })?;
            return self.oci_image(chosen, architectures, names, depth + 1);
        }
        let malformed = || ImageError::Malformed { path: path.clone(), reason: "it names no configuration".to_owned() };
        let config = blob(&manifest.config.ok_or_else(malformed)?.digest);
        let bytes = self.need(&config, &path)?;
        let layers = manifest.layers.unwrap_or_default().iter().map(|layer| blob(&layer.digest)).collect();
        self.assemble(&config, &bytes, names, layers)
    }

    fn assemble(
        &self,
        config_path: &str,
        config: &[u8],
        names: Vec<String>,
        paths: Vec<String>,
    ) -> Result<ArchivedImage, ImageError> {
        let parsed: Config = decode(config_path, config)?;
        let diff_ids = parsed.rootfs.diff_ids.unwrap_or_default();
        if diff_ids.len() != paths.len() {
            return Err(ImageError::Malformed {
                path: config_path.to_owned(),
                reason: format!("it lists {} layers, the manifest {}", diff_ids.len(), paths.len()),
            });
        }
        let layers = diff_ids.into_iter().zip(paths).map(|(diff_id, path)| {
            let path = self.resolve(&path);
            Layer { diff_id, present: self.has(&path), path }
        });
        let layers = layers.collect();
        Ok(ArchivedImage { names, id: super::sha256(config), architecture: parsed.architecture, layers })
    }

    /// A path with the links on it followed.
    fn resolve(&self, path: &str) -> String {
        let mut path = clean(path);
        if let Self::Tar { links, .. } = self {
            for _ in 0..DEEPEST {
                let Some(target) = links.get(&path) else { break };
                path.clone_from(target);
            }
        }
        path
    }

    fn has(&self, path: &str) -> bool {
        match self {
            Self::Tar { files, .. } => files.contains_key(path),
            Self::Layout { root } => root.join(path).is_file(),
        }
    }

    /// A document that something names.
    fn need(&self, path: &str, named_by: &str) -> Result<Vec<u8>, ImageError> {
        let missing = || ImageError::MissingFile { path: path.to_owned(), named_by: named_by.to_owned() };
        self.read(path)?.ok_or_else(missing)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ImageError> {
        let path = self.resolve(path);
        let too_large = || ImageError::Malformed { path: path.clone(), reason: "it is too large".to_owned() };
        match self {
            Self::Tar { file, files, .. } => {
                let Some((offset, size)) = files.get(&path).copied() else { return Ok(None) };
                if size > LARGEST_DOCUMENT {
                    return Err(too_large());
                }
                let mut file = File::open(file).map_err(ImageError::Read)?;
                file.seek(SeekFrom::Start(offset)).map_err(ImageError::Read)?;
                let mut bytes = Vec::new();
                file.take(size).read_to_end(&mut bytes).map_err(ImageError::Read)?;
                Ok(Some(bytes))
            }
            Self::Layout { root } => match fs_err::metadata(root.join(&path)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(ImageError::Read(error)),
                Ok(metadata) if metadata.len() > LARGEST_DOCUMENT => Err(too_large()),
                Ok(_) => fs_err::read(root.join(&path)).map(Some).map_err(ImageError::Read),
            },
        }
    }
}

type Entries = (BTreeMap<String, (u64, u64)>, BTreeMap<String, String>);

/// Walks the headers of a tar file.
fn entries(file: &mut File, length: u64) -> Result<Entries, ImageError> {
    let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
    let mut details = Details::default();
    let mut last: Option<String> = None;
    // Whether the header before this one was about an entry to come.
    let mut announced = false;
    let mut at = 0;
    loop {
        let broken = || last.clone().map_or(ImageError::NotAnArchive, |after| ImageError::BreaksOff { after });
        if at >= length {
            return if at == length && !announced { Ok((files, links)) } else { Err(broken()) };
        }
        let mut block = [0; BLOCK];
        file.seek(SeekFrom::Start(at)).map_err(ImageError::Read)?;
        match file.read_exact(&mut block) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(broken()),
            result => result.map_err(ImageError::Read)?,
        }
        at += BLOCK as u64;
        let header = parse(&block, &mut details, last.as_deref())?;
        announced = matches!(header, Header::Details { .. });
        let size = match header {
            Header::End => return Ok((files, links)),
            Header::Details { kind, size } => {
                let mut content = Vec::new();
                Read::by_ref(file).take(size).read_to_end(&mut content).map_err(ImageError::Read)?;
                details.extend(kind, &content);
                size
            }
            Header::Entry { path, size, is_file, link } => {
                if length < at + size {
                    return Err(ImageError::Truncated { path, found: length - at, size });
                }
                if is_file {
                    files.insert(path.clone(), (at, size));
                } else if !link.is_empty() {
                    // A symbolic link leads on from its folder, a hard one from the root of the archive.
                    let folder = path.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default();
                    let target = if block[156] == b'2' { clean(&format!("{folder}/{link}")) } else { clean(&link) };
                    links.insert(path.clone(), target);
                }
                last = Some(path);
                size
            }
        };
        at += size + padding(size);
    }
}

fn children(folder: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).map_err(ImageError::Read)? {
        found.push(entry.map_err(ImageError::Read)?.path());
    }
    found.sort();
    Ok(found)
}

fn decode<T: serde::de::DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ImageError::Malformed { path: path.to_owned(), reason: error.to_string() })
}

/// Where a blob is in an OCI layout.
fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// Names that an index gives an image: containerd's full one, or the specification's, which may be a mere tag.
fn name_of(descriptor: &Descriptor) -> Vec<String> {
    let annotations = descriptor.annotations.as_ref();
    let named = |key: &str| annotations.and_then(|all| all.get(key)).cloned();
    let name = named("io.containerd.image.name")
        .or_else(|| named("org.opencontainers.image.ref.name").filter(|name| name.contains(['/', ':'])));
    name.into_iter().collect()
}
