//! Where Sandbar's own files are.

use std::path::{Path, PathBuf};

/// The folders of Sandbar's own files, by the platform's rules or all below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// What the user may edit.
    pub config: PathBuf,
    /// What clusters are.
    pub data: PathBuf,
    /// What can be had again.
    pub cache: PathBuf,
    /// Logs of failures.
    pub state: PathBuf,
    /// Sockets and what ends with the session.
    pub runtime: PathBuf,
}

impl Dirs {
    /// All below one folder, as `SANDBAR_HOME` asks.
    #[must_use]
    pub fn below(home: &Path) -> Self {
        Self {
            config: home.join("config"),
            data: home.join("data"),
            cache: home.join("cache"),
            state: home.join("state"),
            runtime: home.join("run"),
        }
    }

    /// Where the platform wants them; none without a home directory. To be called in `main` alone.
    #[must_use]
    pub fn of_platform() -> Option<Self> {
        let project = directories::ProjectDirs::from("dev", "", "sandbar")?;
        let data = project.data_local_dir().to_owned();
        Some(Self {
            config: project.config_dir().to_owned(),
            cache: project.cache_dir().to_owned(),
            state: project.state_dir().map_or_else(|| data.join("state"), Path::to_owned),
            runtime: project.runtime_dir().map_or_else(|| data.join("run"), Path::to_owned),
            data,
        })
    }

    /// A folder for each cluster.
    #[must_use]
    pub fn clusters(&self) -> PathBuf {
        self.data.join("clusters")
    }

    /// A lock for each cluster that is being changed.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.data.join("locks")
    }

    /// A folder for each failure, with logs.
    #[must_use]
    pub fn failures(&self) -> PathBuf {
        self.state.join("failures")
    }
}
