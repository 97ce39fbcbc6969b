//! Images: those of the fake engine's own store, and those that a fake node holds. Archives are read whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::state::{Folder, Image, State, read_json, write_json};

/// The image of that name or ID; a name without a tag means `latest`, an ID may be shortened.
pub(super) fn find<'a>(images: &'a [Image], reference: &str) -> Option<&'a Image> {
    let hex = reference.trim_start_matches("sha256:");
    let by_id = |image: &Image| hex.len() >= 12 && image.id.trim_start_matches("sha256:").starts_with(hex);
    let full = format!("{reference}:latest");
    let by_name = |image: &Image| image.names.iter().any(|name| name == reference || *name == full);
    images.iter().find(|image| by_name(image) || by_id(image))
}

/// Loads an archive into the engine's store and returns the names it brought.
pub(super) fn import(folder: &Folder, state: &mut State, archive: &[u8]) -> Result<Vec<String>, String> {
    let images = read_archive(archive)?;
    let mut names = Vec::new();
    for image in images {
        if image.layers.iter().any(|layer| layer.content.is_none()) {
            return Err("a layer is missing in the archive".into());
        }
        let path = folder.image_archive(&image.id);
        let kept = path.parent().map_or(Ok(()), fs_err::create_dir_all).and_then(|()| {
            let names = if image.names.is_empty() { vec![] } else { image.names.clone() };
            fs_err::write(&path, docker_archive(&image, &names)?)
        });
        kept.map_err(|error| error.to_string())?;
        for other in &mut state.images {
            other.names.retain(|name| !image.names.contains(name));
        }
        state.images.retain(|other| other.id != image.id);
        names.extend(image.names.iter().cloned());
        let labels = image.config["config"]["Labels"].as_object().cloned().unwrap_or_default();
        state.images.push(Image {
            size_bytes: image.layers.iter().filter_map(|l| l.content.as_ref()).map(|c| c.len() as u64).sum(),
            labels: labels.into_iter().filter_map(|(k, v)| Some((k, v.as_str()?.to_owned()))).collect(),
            diff_ids: image.layers.iter().map(|layer| layer.diff_id.clone()).collect(),
            architecture: image.architecture(),
            names: image.names,
            id: image.id,
        });
    }
    Ok(names)
}

/// What a fake node holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeImages {
    pub images: Vec<NodeImage>,
    layers: BTreeSet<String>,
    /// Layers that the last archive announced, first to last.
    pub announced: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeImage {
    names: Vec<String>,
    id: String,
    digest: String,
    size_bytes: u64,
    diff_ids: Vec<String>,
    pinned: bool,
}

impl NodeImages {
    pub fn read(folder: &Folder, node: &str) -> std::io::Result<Self> {
        read_json(&folder.volume(node).join("images.json"))
    }

    fn write(&self, folder: &Folder, node: &str) -> Result<(), String> {
        write_json(&folder.volume(node).join("images.json"), self).map_err(|error| error.to_string())
    }

    pub fn holds(&self, digest: &str) -> bool {
        self.layers.contains(digest) || self.images.iter().any(|image| image.id == digest || image.digest == digest)
    }

    pub fn tag(folder: &Folder, node: &str, id: &str, names: &[String]) -> Result<(), String> {
        let mut all = Self::read(folder, node).map_err(|error| error.to_string())?;
        if !all.images.iter().any(|image| image.id == id) {
            return Err(format!("no image {id}"));
        }
        for image in &mut all.images {
            image.names.retain(|name| !names.contains(name));
            if image.id == id {
                image.names.extend(names.iter().cloned());
            }
        }
        all.write(folder, node)
    }

    pub fn remove(folder: &Folder, node: &str, names: &[String]) -> Result<(), String> {
        let mut all = Self::read(folder, node).map_err(|error| error.to_string())?;
        for name in names {
            let Some(image) = all.images.iter_mut().find(|image| image.names.contains(name)) else {
                return Err(format!("no image {name}"));
            };
            image.names.retain(|other| other != name);
        }
        all.images.retain(|image| !image.names.is_empty());
        all.layers = all.images.iter().flat_map(|image| image.diff_ids.iter().cloned()).collect();
        all.write(folder, node)
    }

    /// Takes an archive in, from which layers that the node holds may be left out; the report as the contract has it.
    pub fn import(
        folder: &Folder,
        node: &str,
        archive: &[u8],
        names: &[String],
        architectures: &[String],
    ) -> Result<Vec<Value>, String> {
        let mut all = Self::read(folder, node).map_err(|error| error.to_string())?;
        let mut report = Vec::new();
        all.announced = announced(archive)?;
        let images = read_archive(archive)?;
        // A node takes any announcement; one that is wrong is a mistake of who made it.
        let right = |image: &ArchivedImage| image.layers.iter().map(|layer| &layer.diff_id).eq(&all.announced);
        if !all.announced.is_empty() && !images.iter().all(right) {
            return Err("the archive announces other layers than it has".into());
        }
        for image in images {
            let found = image.architecture();
            if !architectures.contains(&found) {
                return Err(format!("image {} is for {found}, this node is {}", image.id, architectures[0]));
            }
            let (mut moved, mut present, mut bytes) = (0_u64, 0_u64, 0_u64);
            for layer in &image.layers {
                match &layer.content {
                    Some(content) => {
                        moved += 1;
                        bytes += content.len() as u64;
                    }
                    None if all.layers.contains(&layer.diff_id) => present += 1,
                    None => {
                        let words = "and the node does not have it either";
                        return Err(format!("the archive lacks layer {}, {words}", layer.diff_id));
                    }
                }
            }
            let names = if names.is_empty() { image.names.clone() } else { names.to_vec() };
            all.layers.extend(image.layers.iter().map(|layer| layer.diff_id.clone()));
            for other in &mut all.images {
                other.names.retain(|name| !names.contains(name));
            }
            all.images.retain(|other| other.id != image.id);
            report.push(json!({
                "name": names.first(), "id": image.id, "layersMoved": moved, "layersPresent": present,
                "bytesMoved": bytes,
            }));
            all.images.push(NodeImage {
                names,
                digest: image.id.clone(),
                size_bytes: bytes,
                diff_ids: image.layers.iter().map(|layer| layer.diff_id.clone()).collect(),
                pinned: false,
                id: image.id,
            });
        }
        all.write(folder, node)?;
        Ok(report)
    }
}

/// One image of an archive.
struct ArchivedImage {
    id: String,
    names: Vec<String>,
    config: Value,
    config_bytes: Vec<u8>,
    layers: Vec<ArchivedLayer>,
}

struct ArchivedLayer {
    diff_id: String,
    /// Its uncompressed tar; none when the archive leaves it out.
    content: Option<Vec<u8>>,
}

impl ArchivedImage {
    fn architecture(&self) -> String {
        self.config["architecture"].as_str().unwrap_or_default().to_owned()
    }
}

/// The layers in the file that an archive may begin with.
fn announced(archive: &[u8]) -> Result<Vec<String>, String> {
    let mut read = tar::Archive::new(archive);
    let first = read.entries().map_err(|error| error.to_string())?.next();
    let Some(Ok(mut first)) = first else { return Ok(Vec::new()) };
    if first.path().ok().as_deref() != Some(std::path::Path::new("sandbar-layers")) {
        return Ok(Vec::new());
    }
    let mut text = String::new();
    first.read_to_string(&mut text).map_err(|error| error.to_string())?;
    match text.lines().find(|line| line.len() != 71 || !line.starts_with("sha256:")) {
        Some(line) => Err(format!("the archive announces {line:?}, which is no digest")),
        None => Ok(text.lines().map(str::to_owned).collect()),
    }
}

/// Reads a docker-archive or an OCI layout (both as tar) and verifies what it holds.
fn read_archive(archive: &[u8]) -> Result<Vec<ArchivedImage>, String> {
    let mut files = BTreeMap::new();
    let mut read = tar::Archive::new(archive);
    for entry in read.entries().map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| format!("the archive is truncated or damaged: {error}"))?;
        let path = entry.path().map_err(|error| error.to_string())?.to_string_lossy().into_owned();
        let target = entry.link_name().ok().flatten().map(|link| link.to_string_lossy().into_owned());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|error| format!("the archive is truncated or damaged: {error}"))?;
        if entry.header().entry_type().is_file() && content.len() as u64 != entry.size() {
            return Err("the archive is truncated or damaged: unexpected end of file".into());
        }
        let content = match target {
            Some(link) => files.get(link.trim_start_matches("../")).cloned().unwrap_or_default(),
            None => content,
        };
        files.insert(path.trim_start_matches("./").to_owned(), content);
    }
    if let Some(manifest) = files.get("manifest.json") {
        let manifest: Value = parse(manifest)?;
        let entries = manifest.as_array().ok_or("manifest.json is not a list")?;
        entries.iter().map(|entry| docker_image(entry, &files)).collect()
    } else if let Some(index) = files.get("index.json") {
        let index: Value = parse(index)?;
        let entries = index["manifests"].as_array().ok_or("index.json has no manifests")?;
        entries.iter().map(|entry| oci_image(entry, &files)).collect()
    } else {
        Err("neither manifest.json nor index.json is in the archive".into())
    }
}

fn docker_image(entry: &Value, files: &BTreeMap<String, Vec<u8>>) -> Result<ArchivedImage, String> {
    let config_path = entry["Config"].as_str().ok_or("manifest.json names no configuration")?;
    let config_bytes = files.get(config_path).ok_or("the configuration is missing")?.clone();
    let names = entry["RepoTags"].as_array().into_iter().flatten();
    let names = names.filter_map(|name| Some(name.as_str()?.to_owned())).collect();
    let paths = entry["Layers"].as_array().ok_or("manifest.json names no layers")?;
    let paths = paths.iter().map(|path| path.as_str().unwrap_or_default().to_owned()).collect();
    assemble(config_bytes, names, paths, files)
}

fn oci_image(entry: &Value, files: &BTreeMap<String, Vec<u8>>) -> Result<ArchivedImage, String> {
    let blob =
        |descriptor: &Value| descriptor["digest"].as_str().unwrap_or_default().replacen("sha256:", "blobs/sha256/", 1);
    let manifest: Value = parse(files.get(&blob(entry)).ok_or("a manifest is missing")?)?;
    let config_bytes = files.get(&blob(&manifest["config"])).ok_or("the configuration is missing")?.clone();
    let name = entry["annotations"]["org.opencontainers.image.ref.name"].as_str();
    let layers = manifest["layers"].as_array().ok_or("the manifest has no layers")?;
    let paths = layers.iter().map(blob).collect();
    assemble(config_bytes, name.map(str::to_owned).into_iter().collect(), paths, files)
}

fn assemble(
    config_bytes: Vec<u8>,
    names: Vec<String>,
    paths: Vec<String>,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<ArchivedImage, String> {
    let config: Value = parse(&config_bytes)?;
    let diff_ids = config["rootfs"]["diff_ids"].as_array().ok_or("the configuration lists no layers")?;
    if diff_ids.len() != paths.len() {
        return Err("the configuration lists other layers than the manifest".into());
    }
    let mut layers = Vec::new();
    for (diff_id, path) in diff_ids.iter().zip(paths) {
        let diff_id = diff_id.as_str().unwrap_or_default().to_owned();
        let content = match files.get(&path) {
            Some(bytes) if bytes.starts_with(&[0x1f, 0x8b]) => return Err("gzip layers are not for the fake".into()),
            Some(bytes) => Some(bytes.clone()),
            None => None,
        };
        if let Some(found) = content.as_ref().map(|content| digest(content)).filter(|found| *found != diff_id) {
            return Err(format!("layer {diff_id} is damaged, its digest is {found}"));
        }
        layers.push(ArchivedLayer { diff_id, content });
    }
    Ok(ArchivedImage { id: digest(&config_bytes), names, config, config_bytes, layers })
}

/// Writes an image as `podman save` would.
fn docker_archive(image: &ArchivedImage, names: &[String]) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut append = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content)
    };
    let mut paths = Vec::new();
    for layer in &image.layers {
        let path = format!("{}.tar", layer.diff_id.trim_start_matches("sha256:"));
        if !paths.contains(&path) {
            append(&path, layer.content.as_deref().unwrap_or_default())?;
        }
        paths.push(path);
    }
    let config = format!("{}.json", image.id.trim_start_matches("sha256:"));
    append(&config, &image.config_bytes)?;
    let manifest = json!([{ "Config": config, "RepoTags": names, "Layers": paths }]);
    append("manifest.json", manifest.to_string().as_bytes())?;
    builder.into_inner()
}

fn parse(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}
