//! Where Sandbar's own files are.

use std::path::{Path, PathBuf};

use crate::env::Env;

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

    /// Where the XDG Base Directory Specification wants them; none without a home directory. Paths that are not absolute do
    /// not count there (<https://specifications.freedesktop.org/basedir-spec/latest/>).
    #[must_use]
    pub fn xdg(env: &Env) -> Option<Self> {
        let home = env.home.as_deref()?;
        let absolute = |path: &Option<PathBuf>| path.clone().filter(|path| path.has_root());
        let below =
            |path: &Option<PathBuf>, usual: &str| absolute(path).unwrap_or_else(|| home.join(usual)).join("sandbar");
        let data = below(&env.xdg_data_home, ".local/share");
        Some(Self {
            config: below(&env.xdg_config_home, ".config"),
            cache: below(&env.xdg_cache_home, ".cache"),
            state: below(&env.xdg_state_home, ".local/state"),
            runtime: absolute(&env.xdg_runtime_dir).map_or_else(|| data.join("run"), |dir| dir.join("sandbar")),
            data,
        })
    }

    /// Where a platform without XDG wants them; none without a home directory. It asks the system, so it is to be called
    /// where the context is built and nowhere else.
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

    /// A folder for each machine of QEMU.
    #[must_use]
    pub fn machines(&self) -> PathBuf {
        self.data.join("machines")
    }

    /// A folder for each set of what machines are started from.
    #[must_use]
    pub fn machine_images(&self) -> PathBuf {
        self.data.join("machine-images")
    }

    /// What was downloaded.
    #[must_use]
    pub fn artifacts(&self) -> PathBuf {
        self.cache.join("artifacts")
    }

    /// A lock for each cluster that is being changed, and for each file that is being downloaded.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_of_the_environment_that_is_given() {
        let env = |pairs: &[(&str, &str)]| {
            let found = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            Env::from_lookup(found)
        };
        let usual = Dirs::xdg(&env(&[("HOME", "/home/me"), ("XDG_DATA_HOME", "relative")])).unwrap();
        let expected = Dirs {
            config: "/home/me/.config/sandbar".into(),
            data: "/home/me/.local/share/sandbar".into(),
            cache: "/home/me/.cache/sandbar".into(),
            state: "/home/me/.local/state/sandbar".into(),
            runtime: "/home/me/.local/share/sandbar/run".into(),
        };
        assert_eq!(usual, expected);
        let moved = [("HOME", "/home/me"), ("XDG_DATA_HOME", "/data"), ("XDG_RUNTIME_DIR", "/run/user/1")];
        let moved = Dirs::xdg(&env(&moved)).unwrap();
        let expected = Dirs { data: "/data/sandbar".into(), runtime: "/run/user/1/sandbar".into(), ..expected };
        assert_eq!(moved, expected);
        assert_eq!(Dirs::xdg(&env(&[])), None);
    }
}
