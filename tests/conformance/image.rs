//! The image of the suite: one static program, assembled here, from no registry.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// Its name.
pub const IMAGE: &str = "localhost/sandbar-conformance-probe:1";

/// Builds the program, for this machine.
pub fn build_probe() -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("node-probe");
    let source = crate::fixture::here().join("node-probe/main.go");
    let output = Command::new("go")
        .args(["build", "-trimpath", "-ldflags=-s -w", "-o"])
        .args([&program, &source])
        .envs([("CGO_ENABLED", "0"), ("GO111MODULE", "off"), ("GOFLAGS", "")])
        .output()
        .context("go, which builds the suite's program, does not start")?;
    ensure!(output.status.success(), "go build: {}", String::from_utf8_lossy(&output.stderr));
    Ok(std::fs::read(program)?)
}

/// A docker-archive with that program.
pub fn archive(program: &[u8]) -> Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    for folder in ["usr/bin", "etc", "run", "tmp", "var/lib/sandbar", "proc", "sys", "dev"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o755);
        layer.append_data(&mut header, folder, std::io::empty())?;
    }
    append(&mut layer, "usr/bin/node-probe", 0o755, program)?;
    let layer = layer.into_inner()?;
    let diff_id = digest(&layer);
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/node-probe"], "StopSignal": "SIGTERM", "Env": ["PATH=/usr/bin"],
            "Labels": { "dev.sandbar.contract": "1" },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
    });
    let config = config.to_string();
    let (layer_path, config_path) = (format!("{diff_id}.tar"), format!("{}.json", digest(config.as_bytes())));
    let manifest = serde_json::json!([{ "Config": config_path, "RepoTags": [IMAGE], "Layers": [layer_path] }]);
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, &layer_path, 0o644, &layer)?;
    append(&mut archive, &config_path, 0o644, config.as_bytes())?;
    append(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
    Ok(archive.into_inner()?)
}

/// Adds a file to an archive.
pub fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    Ok(archive.append_data(&mut header, path, content)?)
}

/// SHA-256 as lower-case hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
