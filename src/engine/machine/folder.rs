//! Where what belongs to a machine is, and what its files say.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::architecture::Architecture;
use super::arguments::Accelerator;
use super::control::BootFile;
use super::kept::Files;
use crate::engine::{Hardware, Labels, PortForward};
use crate::platform::{Channel, Platform};
use crate::store::write_atomic;

/// The folders of all machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// A folder for each machine.
    pub machines: PathBuf,
    /// A folder for each set of what machines are started from.
    pub images: PathBuf,
    /// For sockets; short, and gone with the session.
    pub run: PathBuf,
}

/// The folder of one machine, of its volume and of its network.
#[derive(Debug, Clone)]
pub struct MachineFolder {
    /// What is kept.
    data: PathBuf,
    /// Sockets.
    run: PathBuf,
}

/// A machine as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineRecord {
    /// Version of this file's form.
    pub schema_version: u32,
    /// Its name.
    pub name: String,
    /// Host name inside.
    pub hostname: String,
    /// Digest of the set that it is started from.
    pub image_id: String,
    /// What it is.
    pub architecture: Architecture,
    /// What more it is, where it plays a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Hardware>,
    /// Whether programs of another architecture run in it.
    #[serde(default)]
    pub emulate_binaries: bool,
    /// Whether it is switched on from nothing, even where a state of its kind is kept.
    #[serde(default)]
    pub cold: bool,
    /// Whether nothing was ever written to its disk.
    #[serde(default)]
    pub untouched: bool,
    /// Its labels.
    pub labels: Labels,
    /// Ports of this machine that lead to it.
    pub ports: Vec<PortForward>,
    /// Environment of its node.
    pub environment: BTreeMap<String, String>,
    /// Its cores.
    pub cores: u32,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// Files to place at each start.
    pub files: Vec<BootFile>,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it is meant to run.
    pub meant: Meant,
}

/// What a machine was last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Meant {
    /// Nothing yet.
    Created,
    /// To run.
    Running,
    /// It was stopped, or ended by itself.
    #[serde(rename_all = "camelCase")]
    Ended {
        /// 0 where it was stopped in order; what a container's exit status would be.
        code: i64,
    },
}

/// The QEMU that a machine runs in, for whoever comes after its supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Powered {
    /// Number of QEMU's process.
    pub process: u32,
    /// The port of this machine that leads to its SSH server.
    pub ssh: u16,
    /// What runs its instructions.
    pub accelerator: Accelerator,
    /// When it was started.
    pub since: Timestamp,
    /// Whether programs can be run in it.
    pub ready: bool,
}

/// A volume or a network: there is no more to them than whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// Its labels.
    pub labels: Labels,
}

impl Places {
    /// The folder of a machine.
    #[must_use]
    pub fn machine(&self, name: &str) -> MachineFolder {
        // A socket's path is short on every system, names need not be.
        let digest = Sha256::digest(self.machines.join(name).as_os_str().as_encoded_bytes());
        let short: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        MachineFolder { data: self.machines.join(name), run: self.run.join(short) }
    }

    /// The names of all that have a folder.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs_err::read_dir(&self.machines) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }
}

impl MachineFolder {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.data.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The machine's record.
    #[must_use]
    pub fn node(&self) -> PathBuf {
        self.data.join("node.json")
    }

    /// The volume's.
    #[must_use]
    pub fn volume(&self) -> PathBuf {
        self.data.join("volume.json")
    }

    /// The network's.
    #[must_use]
    pub fn network(&self) -> PathBuf {
        self.data.join("network.json")
    }

    /// The cluster's data.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.data.join("data.qcow2")
    }

    /// The device tree that it is described by, where it is not QEMU's own. Made anew at each start.
    #[must_use]
    pub fn device_tree(&self) -> PathBuf {
        self.run.join("tree")
    }

    /// The state that it was stopped with.
    #[must_use]
    pub fn kept(&self) -> Files {
        let file = |name: &str| self.data.join(name);
        Files { key: file("kept.json"), state: file("kept.state"), disk: self.disk(), used: file("kept.used") }
    }

    /// What its serial console showed.
    #[must_use]
    pub fn console(&self) -> PathBuf {
        self.data.join("console.log")
    }

    /// What its node said.
    #[must_use]
    pub fn node_log(&self) -> PathBuf {
        self.data.join("node.log")
    }

    /// The keys of its SSH server.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.data.join("keys.json")
    }

    /// What its supervisor and QEMU had to say.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.data.join("supervisor.log")
    }

    /// The QEMU that it runs in.
    #[must_use]
    pub fn powered(&self) -> PathBuf {
        self.run.join("powered.json")
    }

    /// Held by its supervisor as long as that runs.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.run.join("lock")
    }

    /// Where QEMU is told what to do.
    pub fn qmp(&self, platform: &dyn Platform) -> io::Result<Channel> {
        platform.channel(&self.run, "q")
    }

    /// Where the guest is told what it is.
    pub fn control(&self, platform: &dyn Platform) -> io::Result<Channel> {
        platform.channel(&self.run, "c")
    }

    /// Where its supervisor is asked.
    pub fn supervisor(&self, platform: &dyn Platform) -> io::Result<Channel> {
        platform.channel(&self.run, "s")
    }

    /// Makes both folders, for this user alone.
    pub fn create(&self, platform: &dyn Platform) -> io::Result<()> {
        for folder in [&self.data, &self.run] {
            if !folder.is_dir() {
                platform.create_private_dir(folder)?;
            }
        }
        Ok(())
    }

    /// Removes the sockets' folder and, where nothing of ours is left in it, the machine's.
    pub fn remove_if_empty(&self) -> io::Result<()> {
        if [self.node(), self.volume(), self.network()].iter().any(|file| file.exists()) {
            return Ok(());
        }
        for folder in [&self.run, &self.data] {
            match fs_err::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a file says; none where there is none.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let bytes = match fs_err::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

/// Writes a file of this user's alone so that a crash leaves the old one or the new one.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
    write_atomic(path, &bytes).map_err(io::Error::other)
}

/// Removes a file; one that is not there is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
