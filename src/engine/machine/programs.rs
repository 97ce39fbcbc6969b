//! QEMU's programs on this host: one for each architecture.

use std::ffi::OsString;
use std::path::PathBuf;

use super::architecture::Architecture;
use crate::engine::EngineError;

/// Where QEMU's programs are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The list of folders, as PATH has it.
    pub path: Option<OsString>,
    /// The folder to which what is relative in it is.
    pub folder: PathBuf,
}

impl Programs {
    /// The program of an architecture.
    pub fn of(&self, architecture: Architecture) -> Result<PathBuf, EngineError> {
        let program = architecture.program();
        which::which_in(program, self.path.as_ref(), &self.folder).map_err(|_| EngineError::NoQemu { program })
    }

    /// That of this host's own architecture, else another one: whichever there is says which QEMU it is.
    pub fn any(&self) -> Result<PathBuf, EngineError> {
        let host = Architecture::parse(crate::artifact::host_architecture()).unwrap_or(Architecture::Amd64);
        let own = self.of(host);
        own.or_else(|error| Architecture::ALL.into_iter().find_map(|other| self.of(other).ok()).ok_or(error))
    }
}

// What can be run is said otherwise elsewhere.
#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_an_architecture_is_found_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let programs = Programs { path: Some(folder.path().as_os_str().to_owned()), folder: folder.path().to_owned() };
        assert!(matches!(programs.any(), Err(EngineError::NoQemu { .. })));
        let program = folder.path().join("qemu-system-riscv64");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(programs.of(Architecture::Riscv64).unwrap(), program);
        assert_eq!(programs.any().unwrap(), program);
        let missing = programs.of(Architecture::Arm64).unwrap_err();
        assert_eq!(missing.to_string(), "qemu-system-aarch64 is not installed");
    }
}
