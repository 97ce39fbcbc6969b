//! `up` and `rm` on real Podman, killed again and again at moments that are left to chance.
//!
//! `SANDBAR_TEST_CYCLES` says how often, `SANDBAR_TEST_SEED` repeats the moments of a run.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test without the test harness, and its own way to run programs"
)]

#[path = "support/random.rs"]
mod random;
#[path = "support/required.rs"]
mod required;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::{Arguments, Trial};
use random::Random;

/// Name of the cluster, and so of nothing that a user has.
const CLUSTER: &str = "sandbar-storm";
/// What is in the user's kubeconfig before and after.
const KUBECONFIG: &str = "# mine\nkind: Config\nclusters: []\ncontexts:\n- name: work\n  context: {cluster: c, user: u}\ncurrent-context: work\nusers: []\n";
/// How often, unless somebody says.
const CYCLES: u64 = 100;
/// How long the engine may take to end what it was told by a program that is gone.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let podman = usable();
    if let Err(reason) = &podman {
        eprintln!("skipped: podman: {reason}");
    }
    let required = podman.as_ref().err().and_then(|reason| required::failure("podman", &reason.to_string()));
    let left_out = podman.is_err();
    let storm = Trial::test("podman::killed_ups_and_rms_leave_nothing_after_gc", || {
        storm().map_err(|error| format!("{error:?}").into())
    });
    let trials = [storm.with_ignored_flag(left_out)].into_iter().chain(required).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// That there is a Podman with the node image, or why not.
fn usable() -> Result<()> {
    let image = format!("localhost/sandbar-node:{}", env!("CARGO_PKG_VERSION"));
    let found = Command::new("podman").args(["image", "exists", &image]).output().context("podman is not installed")?;
    ensure!(found.status.success(), "there is no image {image}; `make image` builds it");
    Ok(())
}

fn cycles() -> Result<u64> {
    match std::env::var("SANDBAR_TEST_CYCLES") {
        Ok(cycles) => cycles.parse().context("SANDBAR_TEST_CYCLES"),
        Err(_) => Ok(CYCLES),
    }
}

fn storm() -> Result<()> {
    let laptop = Laptop::new()?;
    let stormed = laptop.storm(cycles()?);
    // Whatever happened, nothing stays on this machine.
    let cleared = laptop.sandbar(&["rm", CLUSTER, "--yes"]).map(drop);
    stormed.and(cleared)
}

/// A user's surroundings.
struct Laptop {
    home: tempfile::TempDir,
}

impl Laptop {
    fn new() -> Result<Self> {
        let home = tempfile::tempdir()?;
        fs::create_dir(home.path().join(".kube"))?;
        fs::write(home.path().join(".kube/config"), KUBECONFIG)?;
        Ok(Self { home })
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.home.path())
            .env("SANDBAR_HOME", self.home.path().join("sandbar"))
            .env("SANDBAR_ENGINE", "podman")
            .stdin(Stdio::null());
        command
    }

    /// Runs the CLI, which has to succeed, and returns what it printed.
    fn sandbar(&self, arguments: &[&str]) -> Result<String> {
        succeed(self.command(env!("CARGO_BIN_EXE_sandbar")).args(arguments))
    }

    /// Runs the CLI, which has to succeed, and returns how long it took.
    fn time(&self, arguments: &[&str]) -> Result<Duration> {
        let begun = Instant::now();
        self.sandbar(arguments)?;
        Ok(begun.elapsed())
    }

    /// Kills the CLI after that time; whether that was before it was through.
    fn cut(&self, arguments: &[&str], after: Duration) -> Result<bool> {
        let mut command = self.command(env!("CARGO_BIN_EXE_sandbar"));
        let mut child = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        std::thread::sleep(after);
        child.kill()?;
        let output = child.wait_with_output()?;
        // Without a code it was killed.
        ensure!(output.status.code().is_none_or(|code| code == 0), "{arguments:?}: {}", words(&output));
        Ok(!output.status.success())
    }

    fn storm(&self, cycles: u64) -> Result<()> {
        let mut random = Random::new();
        let (up, rm) = (self.time(&["up", CLUSTER])?, self.time(&["rm", CLUSTER])?);
        let before = self.everything()?;
        let begun = Instant::now();
        let (mut ups, mut rms, mut late) = (0, 0, 0);
        for cycle in 0..cycles {
            // Most of what can be half done is done in the first third; then the cluster is waited for.
            let moments = [within(&mut random, if cycle % 4 == 0 { up } else { up / 3 }), within(&mut random, rm)];
            let context = || format!("cycle {cycle}, killed after {moments:?} of {:?}", [up, rm]);
            ups += u64::from(self.cut(&["up", CLUSTER], moments[0]).with_context(context)?);
            rms += u64::from(self.cut(&["rm", CLUSTER], moments[1]).with_context(context)?);
            self.sandbar(&["gc", "--yes"]).with_context(context)?;
            // What came through is a cluster that somebody wants, which `gc` leaves alone.
            if !self.sandbar(&["ls", "--output", "name"])?.is_empty() {
                self.sandbar(&["status", CLUSTER]).with_context(context)?;
                self.sandbar(&["rm", CLUSTER]).with_context(context)?;
            }
            late += u64::from(self.comes_to_nothing(&before).with_context(context)?);
        }
        eprintln!(
            "{cycles} cycles in {:?}: {ups} ups and {rms} rms killed, {late} times the engine finished something later",
            begun.elapsed()
        );
        ensure!(
            ups > cycles / 2 && rms > cycles / 2,
            "only {ups} ups and {rms} rms were killed before they were through"
        );
        Ok(())
    }

    /// Makes sure that all is as before, and returns whether it was so only after another `gc`: an engine ends what it was
    /// told also after the program that told it is gone.
    fn comes_to_nothing(&self, before: &[String]) -> Result<bool> {
        let begun = Instant::now();
        let mut late = false;
        loop {
            let left = self.everything()?;
            if left == before {
                return Ok(late);
            }
            ensure!(begun.elapsed() < PATIENCE, "it is left: {left:#?}, was before: {before:#?}");
            late = true;
            self.sandbar(&["gc", "--yes"])?;
        }
    }

    /// All that there is of the cluster on this machine: in the engine, in files, and as processes.
    fn everything(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for kind in [&["ps", "--all"][..], &["volume", "ls"], &["network", "ls"]] {
            let form = if kind[0] == "ps" { "{{.Names}}" } else { "{{.Name}}" };
            let listed = succeed(self.command("podman").args(kind).args(["--format", form]))?;
            found.extend(
                listed.lines().filter(|name| name.contains(CLUSTER)).map(|name| format!("podman {}: {name}", kind[0])),
            );
        }
        // Podman's monitor of a container is called with its name. That of a program that was run in the container stays for
        // five minutes, whatever becomes of the container, so that one can ask how it ended.
        for entry in fs::read_dir("/proc")? {
            let command = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if command.contains(&format!("sandbar-{CLUSTER}")) && !command.contains("/exec_pid") {
                found.push(format!("process: {command}"));
            }
        }
        // A service of Sandbar's own is there as long as it is used.
        for file in files(&self.home.path().join("sandbar"))? {
            let name = file.strip_prefix(self.home.path())?.to_owned();
            if !name.starts_with("sandbar/run") {
                found.push(format!("file: {}", name.display()));
            }
        }
        found.extend(files(&self.home.path().join(".kube"))?.iter().map(|file| format!("file: {}", file.display())));
        found.push(fs::read_to_string(self.home.path().join(".kube/config"))?);
        Ok(found)
    }
}

/// A moment within that time.
fn within(random: &mut Random, time: Duration) -> Duration {
    Duration::from_micros(random.below(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)))
}

/// All files below a folder, sorted; none where there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

fn succeed(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", words(&output));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn words(output: &Output) -> String {
    format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
}
