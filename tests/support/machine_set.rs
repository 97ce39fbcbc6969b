//! What machines start from, as `make machine-image` made it, for the suites that start machines.

use std::fs::File;
use std::path::{Path, PathBuf};

use sandbar::engine::machine::architecture::Architecture;

/// The set of an architecture, where QEMU can run it here; the error says what is missing.
pub fn find(architecture: &str) -> Result<PathBuf, String> {
    let program = Architecture::parse(architecture).ok_or("no such architecture")?.program();
    which::which(program).map_err(|_| format!("there is no {program}"))?;
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("build").join(architecture).join("machine");
    if set.join("manifest.json").exists() {
        Ok(set)
    } else {
        Err(format!("{} is not there (`make machine-image ARCH={architecture}` makes it)", set.display()))
    }
}

/// The archive of a set, as a release has it but for its compression.
pub fn pack(set: &Path, archive: &Path) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(File::create(archive)?);
    archive.sparse(false);
    for file in ["manifest.json", "kernel", "initramfs", "system.img", "data.img"] {
        archive.append_path_with_name(set.join(file), file)?;
    }
    archive.finish()
}
