//! The engines on which the walk goes: where their clients are, and the little in which they differ for a user.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::dockerd::Dockerd;
use crate::suite::Outcome;

/// The engines' names.
pub const ALL: [&str; 2] = ["podman", "docker"];

/// An engine that runs here.
pub enum Engine {
    /// This machine's Podman.
    Podman {
        /// Its program.
        client: PathBuf,
    },
    /// A Docker of the walk's own.
    Docker(Dockerd),
}

impl Engine {
    /// The engine of that name with an image in its store, or why this machine has not both.
    pub fn with_image(name: &str, image: &str) -> Outcome<Self> {
        let podman = find("podman").ok_or("podman is not installed")?;
        let built =
            Command::new(&podman).args(["image", "exists", image]).status().map_err(|error| error.to_string())?;
        if !built.success() {
            return Err(format!("there is no image {image}; `make image` builds it"));
        }
        if name == "podman" {
            return Ok(Self::Podman { client: podman });
        }
        let engine = Self::Docker(Dockerd::start()?);
        engine.load(&podman, image)?;
        Ok(engine)
    }

    /// Its client.
    pub fn client(&self) -> &Path {
        match self {
            Self::Podman { client } => client,
            Self::Docker(dockerd) => dockerd.client(),
        }
    }

    /// What a user of it has in the environment, for the client and the CLI alike.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Podman { .. } => Vec::new(),
            Self::Docker(dockerd) => dockerd.environment().into(),
        }
    }

    /// Brings the image in as `podman save IMAGE | docker load` does.
    fn load(&self, podman: &Path, image: &str) -> Outcome {
        let words = |error: std::io::Error| error.to_string();
        let mut save = Command::new(podman)
            .args(["save", "--quiet", "--format", "docker-archive", image])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(words)?;
        let archive = save.stdout.take().ok_or("podman save has no output")?;
        let loaded =
            Command::new(self.client()).envs(self.environment()).args(["load", "--quiet"]).stdin(archive).output();
        let saved = save.wait().map_err(words)?;
        let loaded = loaded.map_err(words)?;
        if saved.success() && loaded.status.success() {
            return Ok(());
        }
        Err(format!("podman save: {saved}, docker load: {}", String::from_utf8_lossy(&loaded.stderr)))
    }
}

fn find(program: &str) -> Option<PathBuf> {
    ["/usr/local/bin", "/usr/bin"].iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}
