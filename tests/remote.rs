//! Engines on another machine, with the real node image: a `dockerd` of the tests' own in a network namespace, and a laptop
//! in another one, which reaches it by a cable and shares nothing else with it.
#![expect(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test without the test harness, and its own way to run programs"
)]

#[path = "support/certificates.rs"]
mod certificates;
#[path = "support/dockerd.rs"]
mod dockerd;
#[path = "remote/laptop.rs"]
mod laptop;
#[path = "remote/network.rs"]
mod network;
#[path = "support/required.rs"]
mod required;
#[path = "remote/sibling.rs"]
mod sibling;
#[path = "remote/ssh.rs"]
mod ssh;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use certificates::Authority;
use dockerd::{Dockerd, Place};
use laptop::{Laptop, succeed, words};
use libtest_mimic::{Arguments, Failed, Trial};
use network::Network;

/// What a test ends with.
pub type Outcome<T = ()> = Result<T, String>;

/// A year until which certificates are valid.
const LATER: i32 = 2099;

/// A test.
type Test = (&'static str, fn(&Far) -> Outcome);

const TESTS: [Test; 4] = [
    ("a_sibling_container_is_reached_by_its_name", sibling::is_reached_by_its_name),
    ("what_is_wrong_with_tls_is_said", sibling::what_is_wrong_with_tls_is_said),
    ("an_engine_is_reached_through_one_ssh_connection", ssh::is_reached_through_one_connection),
    ("what_is_wrong_with_ssh_is_said", ssh::what_is_wrong_with_ssh_is_said),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share an engine and its ports.
    arguments.test_threads = Some(1);
    let asked = arguments.filter.as_ref().is_none_or(|filter| TESTS.iter().any(|(name, _)| name.contains(filter)));
    let far = if asked && !arguments.list { Far::new() } else { Err("not asked for".to_owned()) };
    let mut trials = Vec::new();
    if let (true, Err(reason)) = (asked && !arguments.list, &far) {
        eprintln!("skipped: {reason}");
        trials.extend(required::failure("docker", reason));
    }
    let far = far.ok().map(Arc::new);
    for (name, test) in TESTS {
        let needs_ssh = name.contains("ssh");
        let reason = ssh::missing().filter(|_| needs_ssh && far.is_some());
        if let Some(reason) = reason {
            eprintln!("skipped: {name}: {reason}");
            trials.extend(required::failure("sshd", reason));
        }
        let (left_out, far) = (far.is_none() || reason.is_some(), far.clone());
        let run = move || far.map_or(Ok(()), |far| test(&far)).map_err(Failed::from);
        trials.push(Trial::test(name, run).with_ignored_flag(left_out));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A machine far away that has an engine with the node's image.
pub struct Far {
    // In the order in which they go.
    dockerd: Dockerd,
    network: Network,
    folder: tempfile::TempDir,
    kubectl: PathBuf,
}

impl Far {
    /// Sets it up, or says why this machine cannot.
    fn new() -> Outcome<Self> {
        for program in ["ip", "nsenter", "unshare", "podman"] {
            which::which(program).map_err(|_| format!("{program} is not installed"))?;
        }
        let image = concat!("localhost/sandbar-node:", env!("CARGO_PKG_VERSION"));
        let built = Command::new("podman").args(["image", "exists", image]).status().map_err(words)?;
        if !built.success() {
            return Err(format!("there is no image {image}; `make image` builds it"));
        }
        let folder = tempfile::tempdir().map_err(words)?;
        let made = |error: Box<dyn std::error::Error>| error.to_string();
        let authority = Authority::new().map_err(|error| error.to_string())?;
        authority.write(&folder.path().join("engine"), &["docker"], LATER).map_err(made)?;
        authority.write(&folder.path().join("client"), &["user"], LATER).map_err(made)?;
        let other = Authority::new().map_err(|error| error.to_string())?;
        other.write(&folder.path().join("stranger"), &["user"], LATER).map_err(made)?;
        let network = Network::new()?;
        let place = Place { namespace: Some(network.engine.clone()), certificates: Some(folder.path().join("engine")) };
        let dockerd = Dockerd::start_at(place)?;
        load(&dockerd, image)?;
        let kubectl = laptop::kubectl(&mut || docker(&dockerd), image, folder.path())?;
        Ok(Self { dockerd, network, folder, kubectl })
    }

    /// The path of the engine's socket.
    fn socket(&self) -> String {
        self.dockerd.address().trim_start_matches("unix://").to_owned()
    }

    /// A file or folder of these tests.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A laptop that knows the engine by that environment. What it does is undone at the end, whatever happens.
    fn laptop(&self, environment: &[(&'static str, &str)], test: impl FnOnce(&mut Laptop<'_>) -> Outcome) -> Outcome {
        let mut laptop = Laptop::new(&self.network, &self.kubectl)?;
        laptop.environment = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let tested = catch_unwind(AssertUnwindSafe(|| test(&mut laptop)));
        laptop.environment = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let removed = succeed(&mut laptop.sandbar(&["rm", "--all", "--yes"]));
        let tested = tested.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        tested.and(removed.map(drop))?;
        let left = succeed(docker(&self.dockerd).args(["ps", "--all", "--format", "{{.Names}}"]))?;
        let volumes = succeed(docker(&self.dockerd).args(["volume", "ls", "--quiet"]))?;
        if left.is_empty() && volumes.is_empty() { Ok(()) } else { Err(format!("left: {left} {volumes}")) }
    }
}

/// The engine's own client, beside it.
fn docker(dockerd: &Dockerd) -> Command {
    let mut command = Command::new(dockerd.client());
    command.envs(dockerd.environment());
    command
}

/// Brings the image in as `podman save IMAGE | docker load` does.
fn load(dockerd: &Dockerd, image: &str) -> Outcome {
    let mut save = Command::new("podman");
    save.args(["save", "--quiet", "--format", "docker-archive", image]).stdout(Stdio::piped());
    let mut save = save.spawn().map_err(words)?;
    let archive = save.stdout.take().ok_or("podman save has no output")?;
    let loaded = succeed(docker(dockerd).args(["load", "--quiet"]).stdin(archive));
    let saved = save.wait().map_err(words)?;
    if saved.success() { loaded.map(drop) } else { Err(format!("podman save: {saved}")) }
}

/// A path as text.
fn text(path: &Path) -> String {
    path.display().to_string()
}
