//! The laptop: the CLI with a home of its own, and an ordinary kubectl.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::Outcome;
use crate::network::{ENGINE_ADDRESS, Network};

/// A user's machine.
pub struct Laptop<'a> {
    network: &'a Network,
    folder: tempfile::TempDir,
    kubectl: PathBuf,
    /// What names the engine in his environment.
    pub environment: Vec<(&'static str, String)>,
}

impl<'a> Laptop<'a> {
    /// A new one, which knows the engine's machine as `docker`.
    pub fn new(network: &'a Network, kubectl: &Path) -> Outcome<Self> {
        let folder = tempfile::tempdir().map_err(words)?;
        fs::write(folder.path().join("hosts"), format!("127.0.0.1 localhost\n{ENGINE_ADDRESS} docker\n"))
            .map_err(words)?;
        fs::create_dir(folder.path().join("bin")).map_err(words)?;
        Ok(Self { network, folder, kubectl: kubectl.to_owned(), environment: Vec::new() })
    }

    /// A path in his home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program there, with this environment and nothing else.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = self.network.on_laptop(program, &self.path("hosts"));
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("bin").display());
        command
            .env_clear()
            .envs([("PATH", path), ("HOME", self.folder.path().display().to_string())])
            .env("SANDBAR_HOME", self.path("sandbar"))
            .env("KUBECONFIG", self.path("kubeconfig"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// The CLI.
    pub fn sandbar(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_sandbar")));
        command.args(arguments);
        command
    }

    /// Runs the CLI, which has to succeed, and reads its report.
    pub fn json(&self, arguments: &[&str]) -> Outcome<Value> {
        let text = succeed(self.sandbar(arguments).args(["--output", "json"]))?;
        serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))
    }

    /// Runs the CLI, which has to fail, and returns its exit code and what it said.
    pub fn fails(&self, arguments: &[&str]) -> Outcome<(i32, String)> {
        let output = self.sandbar(arguments).output().map_err(words)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) | None => Err(format!("{arguments:?}: {}: {said}", output.status)),
            Some(code) => Ok((code, said)),
        }
    }

    /// What the API server that the kubeconfig names says of itself.
    pub fn readyz(&self) -> Outcome<String> {
        succeed(self.command(&self.kubectl).args(["--request-timeout=10s", "get", "--raw", "/readyz"]))
    }
}

/// kubectl out of the node's image, which is the user's ordinary one here.
pub fn kubectl(client: &mut dyn FnMut() -> Command, image: &str, folder: &Path) -> Outcome<PathBuf> {
    let container = succeed(client().args(["create", "--entrypoint", "/nothing", image]))?;
    let container = container.trim();
    let from = format!("{container}:/usr/bin/sandbar-node");
    let copied = succeed(client().args(["cp", &from]).arg(folder.join("sandbar-node")));
    succeed(client().args(["rm", "--volumes", container]))?;
    copied?;
    let link = folder.join("kubectl");
    symlink("sandbar-node", &link).map_err(words)?;
    Ok(link)
}

/// Runs a program, which has to end with 0, and returns what it printed.
pub fn succeed(command: &mut Command) -> Outcome<String> {
    let Output { status, stdout, stderr } = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if status.success() { Ok(out.into_owned()) } else { Err(format!("{command:?}: {status}\n{out}{err}")) }
}

/// The system's words.
#[expect(clippy::needless_pass_by_value, reason = "errors are mapped with it")]
pub fn words(error: std::io::Error) -> String {
    error.to_string()
}
