//! The state of a fake engine on disk, shared by all processes that use the same folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::{ImageInfo, Kept, Labels, PortForward, Purpose, RunState};
use super::behaviour::Behaviour;

/// Everything that a fake engine knows.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct State {
    /// Calls so far, by operation.
    pub calls: BTreeMap<String, u64>,
    /// Calls so far of methods that change something.
    pub changes: u64,
    pub networks: BTreeMap<String, Network>,
    pub volumes: BTreeMap<String, Labels>,
    pub nodes: BTreeMap<String, Node>,
    pub images: Vec<Image>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Network {
    pub labels: Labels,
    pub subnet: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    #[serde(default)]
    pub purpose: Purpose,
    pub hostname: String,
    pub labels: Labels,
    pub image_id: String,
    pub ports: Vec<PortForward>,
    pub environment: BTreeMap<String, String>,
    pub memory_bytes: Option<u64>,
    pub created: String,
    pub run: Run,
    /// Milliseconds since 1970 of the last start.
    pub started_millis: u64,
    /// How often it was started.
    pub starts: u64,
    /// The state that it was stopped with.
    #[serde(default)]
    pub kept: Option<Kept>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Run {
    Created,
    Running,
    Paused,
    Exited(i64),
    Gone,
}

impl From<Run> for RunState {
    fn from(run: Run) -> Self {
        match run {
            Run::Created => Self::Created,
            Run::Running => Self::Running,
            Run::Paused => Self::Paused,
            Run::Gone => Self::Gone,
            Run::Exited(code) => Self::Exited { code, out_of_memory: false },
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Image {
    pub id: String,
    pub names: Vec<String>,
    pub labels: Labels,
    pub diff_ids: Vec<String>,
    pub architecture: String,
    pub size_bytes: u64,
}

impl From<Image> for ImageInfo {
    fn from(image: Image) -> Self {
        let Image { id, names, labels, diff_ids, architecture, size_bytes } = image;
        Self { id, names, labels, diff_ids, architecture, size_bytes }
    }
}

impl From<ImageInfo> for Image {
    fn from(image: ImageInfo) -> Self {
        let ImageInfo { id, names, labels, diff_ids, architecture, size_bytes } = image;
        Self { id, names, labels, diff_ids, architecture, size_bytes }
    }
}

/// The folder of a fake engine.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `change` on the state while no other process can, and keeps what it made of it, also when it fails.
    pub fn change<T>(&self, change: impl FnOnce(&mut State, &Behaviour) -> T) -> std::io::Result<T> {
        fs_err::create_dir_all(&self.path)?;
        let lock = File::create(self.path.join("lock"))?;
        lock.lock()?;
        let behaviour = self.behaviour()?;
        let mut state = read_json::<State>(&self.path.join("state.json"))?;
        let result = change(&mut state, &behaviour);
        write_json(&self.path.join("state.json"), &state)?;
        Ok(result)
    }

    /// Reads the state.
    pub fn look<T>(&self, read: impl FnOnce(&mut State, &Behaviour) -> T) -> std::io::Result<T> {
        fs_err::create_dir_all(&self.path)?;
        let lock = File::create(self.path.join("lock"))?;
        lock.lock_shared()?;
        Ok(read(&mut read_json(&self.path.join("state.json"))?, &self.behaviour()?))
    }

    pub fn behaviour(&self) -> std::io::Result<Behaviour> {
        read_json(&self.path.join("behaviour.json"))
    }

    pub fn set_behaviour(&self, behaviour: &Behaviour) -> std::io::Result<()> {
        fs_err::create_dir_all(&self.path)?;
        write_json(&self.path.join("behaviour.json"), behaviour)
    }

    pub fn node_root(&self, name: &str) -> PathBuf {
        self.path.join("nodes").join(name).join("root")
    }

    pub fn node_log(&self, name: &str) -> PathBuf {
        self.path.join("nodes").join(name).join("log")
    }

    pub fn volume(&self, name: &str) -> PathBuf {
        self.path.join("volumes").join(name)
    }

    /// Where the archive of an image of the engine's store is.
    pub fn image_archive(&self, id: &str) -> PathBuf {
        self.path.join("images").join(id.trim_start_matches("sha256:")).with_extension("tar")
    }
}

pub(super) fn read_json<T: Default + serde::de::DeserializeOwned>(path: &Path) -> std::io::Result<T> {
    match fs_err::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error),
    }
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    let temporary = path.with_extension("json.new");
    fs_err::write(&temporary, serde_json::to_vec_pretty(value)?)?;
    fs_err::rename(&temporary, path)
}

/// Milliseconds since 1970.
pub(super) fn now_millis() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// A time of [`now_millis`] in RFC 3339.
pub(super) fn rfc3339(millis: u64) -> String {
    i64::try_from(millis)
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        .map(|time| time.to_string())
        .unwrap_or_default()
}
