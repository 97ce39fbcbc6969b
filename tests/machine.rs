//! A cluster in a machine of QEMU, from nothing to an application that answers, through every failure that it has to outlive.
//!
//! One machine of this host's own architecture, and the steps in their order. Where QEMU or the set that machines start
//! from (`make machine-image`) is missing, they are skipped, with the reason.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test without the test harness"
)]

#[path = "support/machine_set.rs"]
mod machine_set;
#[path = "support/random.rs"]
mod random;
#[path = "support/required.rs"]
mod required;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use random::Random;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

/// The cluster.
const CLUSTER: &str = "machine";
/// The folder of its machine.
const MACHINE: &str = "sandbar-machine";
/// How long what needs no look is waited for.
const PATIENCE: Duration = Duration::from_mins(2);
/// Another one, of the same kind.
const OTHER: &str = "other";
/// How long a command may take where everything is translated.
const TIMEOUT: &str = "6m";

/// How often the power is cut, unless somebody says.
const CUTS: u64 = 1;

/// How many writes are under way when it is.
const WRITES: u64 = 1000;

type Outcome<T = ()> = Result<T, String>;
type Step = (&'static str, fn(&Suite) -> Outcome);

/// The steps in their order.
const STEPS: [Step; 18] = [
    ("up_ends_with_a_cluster_that_answers", up),
    ("what_does_not_fit_is_refused", too_large),
    ("a_kernel_that_panics_is_quoted", panicking),
    ("programs_run_in_it", programs),
    ("files_go_both_ways", files),
    ("pause_and_unpause_keep_it", pause),
    ("a_killed_supervisor_is_replaced", killed_supervisor),
    ("the_log_is_the_nodes", log),
    ("ports_change_as_it_runs", ports),
    ("images_come_from_an_engines_store", engine_image),
    ("stop_keeps_it_as_it_runs_and_start_goes_on", stop_and_start),
    ("a_killed_qemu_loses_nothing_acknowledged", killed_qemu),
    ("a_damaged_state_is_dropped_with_a_note", damaged_state),
    ("a_state_of_another_version_is_dropped_with_a_note", other_version),
    ("a_supervisor_killed_while_it_saves_loses_nothing_acknowledged", killed_save),
    ("a_shutdown_keeps_nothing", shutdown),
    ("a_damaged_state_of_its_kind_is_dropped", damaged_template),
    ("rm_leaves_nothing", remove),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The steps are a story.
    arguments.test_threads = Some(1);
    let suite = if arguments.list { Err("not asked for".to_owned()) } else { Suite::new() };
    let required = match &suite {
        Err(reason) if !arguments.list => {
            eprintln!("skipped: machine: {reason}");
            required::failure("machine", reason)
        }
        _ => None,
    };
    let suite = suite.ok().map(Arc::new);
    let trial = |(name, step): Step| {
        let ignored = suite.is_none();
        let suite = suite.clone();
        let run = move || suite.map_or(Ok(()), |suite| suite.step(step)).map_err(Failed::from);
        Trial::test(format!("machine::{name}"), run).with_ignored_flag(ignored)
    };
    let trials = STEPS.into_iter().map(trial).chain(required).collect();
    drop(suite);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A home of its own, with one cluster.
struct Suite {
    home: tempfile::TempDir,
    archive: PathBuf,
    set: PathBuf,
    failed: AtomicBool,
}

impl Suite {
    /// A port of this machine.
    const PORT: u16 = 28_457;

    fn new() -> Outcome<Self> {
        let set = machine_set::find(sandbar::artifact::host_architecture())?;
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        let archive = home.path().join("machine.tar");
        machine_set::pack(&set, &archive).map_err(|error| error.to_string())?;
        Ok(Self { home, archive, set, failed: AtomicBool::new(false) })
    }

    /// A step, unless one before it failed.
    fn step(&self, step: fn(&Self) -> Outcome) -> Outcome {
        if self.failed.load(Ordering::Relaxed) {
            return Err("a step before it failed".to_owned());
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| step(self)));
        let outcome = outcome.unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().cloned();
            Err(words.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
        });
        self.failed.store(outcome.is_err(), Ordering::Relaxed);
        outcome.map_err(|error| format!("{error}\n{}", self.console()))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
        command.args(arguments).env("SANDBAR_HOME", self.path("home")).env("KUBECONFIG", self.path("kubeconfig"));
        command.env("SANDBAR_CLUSTER", CLUSTER).current_dir(self.home.path());
        command
    }

    fn output(&self, arguments: &[&str]) -> Outcome<Output> {
        self.command(arguments).output().map_err(|error| error.to_string())
    }

    fn sandbar(&self, arguments: &[&str]) -> Outcome<String> {
        let output = self.output(arguments)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("{arguments:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
    }

    fn json(&self, arguments: &[&str]) -> Outcome<Value> {
        let text = self.sandbar(&[arguments, &["--output", "json"]].concat())?;
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    fn kubectl(&self, arguments: &[&str]) -> Outcome<String> {
        self.sandbar(&[&["kubectl"], arguments].concat())
    }

    /// The end of what its supervisor and its console said.
    fn console(&self) -> String {
        let tail = |name: &str| {
            let bytes = std::fs::read(self.path("home/data/machines").join(MACHINE).join(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            format!("-- {name}:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
        };
        ["supervisor.log", "console.log", "node.log"].map(tail).join("\n")
    }

    /// QEMU's process, as the machine's supervisor wrote it down.
    fn qemu(&self) -> Outcome<String> {
        let folders = std::fs::read_dir(self.path("home/run/m")).map_err(|error| error.to_string())?;
        let file = folders.flatten().map(|folder| folder.path().join("powered.json")).find(|file| file.exists());
        let bytes = std::fs::read(file.ok_or("no machine runs")?).map_err(|error| error.to_string())?;
        let powered: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        Ok(powered["process"].to_string())
    }

    /// A file in the machine's folder.
    fn file(&self, name: &str) -> PathBuf {
        self.path("home/data/machines").join(MACHINE).join(name)
    }

    /// What names the time since the machine's kernel was started.
    fn boot(&self) -> Outcome<String> {
        self.sandbar(&["exec", "--", "cat", "/proc/sys/kernel/random/boot_id"])
    }

    /// Starts it, and returns what was said beside the result.
    fn start(&self) -> Outcome<String> {
        let output = self.output(&["start", "--timeout", TIMEOUT])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(said) } else { Err(format!("start: {}\n{said}", output.status)) }
    }

    /// The process that supervises the machine: QEMU's parent.
    fn supervisor(&self) -> Outcome<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.qemu()?)).map_err(|e| e.to_string())?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).ok_or("it has no parent")?;
        Ok(parent.trim().to_owned())
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        // A step may have failed in the middle.
        for cluster in [CLUSTER, OTHER] {
            let _ = self.output(&["rm", cluster, "--yes"]);
        }
    }
}

fn kill(process: &str) -> Outcome {
    let killed = Command::new("kill").args(["-9", process]).status().map_err(|error| error.to_string())?;
    if killed.success() { Ok(()) } else { Err(format!("kill {process}: {killed}")) }
}

fn up(suite: &Suite) -> Outcome {
    let archive = suite.archive.to_str().unwrap();
    let up = ["up", CLUSTER, "--engine", "machine", "--node-image", archive, "--timeout", TIMEOUT];
    let report = suite.json(&up)?;
    assert_eq!((&report["outcome"], &report["engine"]["kind"]), (&"created".into(), &"machine".into()));
    assert_eq!(suite.kubectl(&["get", "--raw", "/readyz"])?, "ok");
    let nodes = suite.kubectl(&["get", "nodes", "--no-headers"])?;
    assert!(nodes.lines().count() == 1 && nodes.contains(" Ready "), "{nodes}");
    let status = suite.json(&["status"])?;
    assert_eq!(status.pointer("/node/healthy"), Some(&true.into()), "{status}");
    // Nothing is done twice.
    assert_eq!(suite.json(&up)?["outcome"], "unchanged");
    let doctor = suite.json(&["doctor", "--engine", "machine"])?;
    let looked =
        doctor["checks"].as_array().ok_or("no checks")?.iter().find(|check| check["code"] == "container-starts");
    assert_eq!(looked.ok_or("no such check")?["result"], "skipped", "{doctor}");
    suite.kubectl(&["create", "configmap", "kept", "--from-literal=by=up"]).map(drop)
}

fn too_large(suite: &Suite) -> Outcome {
    let archive = suite.archive.to_str().unwrap();
    let up = ["up", "huge", "--engine", "machine", "--node-image", archive, "--memory", "9000Gi"];
    let refused = suite.output(&up)?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{words}");
    assert!(words.contains("MiB of memory to spare, machine sandbar-huge needs 9216000 MiB"), "{words}");
    assert_eq!(suite.json(&["ls"])?["clusters"].as_array().map(Vec::len), Some(1), "nothing is left of it");
    Ok(())
}

fn panicking(suite: &Suite) -> Outcome {
    let text = |error: std::io::Error| error.to_string();
    // The same set with another first program, which is not there.
    let broken = suite.path("broken");
    std::fs::create_dir(&broken).map_err(text)?;
    let manifest = std::fs::read_to_string(suite.set.join("manifest.json")).map_err(text)?;
    let mut manifest: Value = serde_json::from_str(&manifest).map_err(|error| error.to_string())?;
    let arguments = format!("{} rdinit=/there/is/none root=/dev/none", manifest["kernelArguments"].as_str().unwrap());
    manifest["kernelArguments"] = arguments.into();
    std::fs::write(broken.join("manifest.json"), manifest.to_string()).map_err(text)?;
    for file in ["kernel", "initramfs", "system.img", "data.img"] {
        std::os::unix::fs::symlink(suite.set.join(file), broken.join(file)).map_err(text)?;
    }
    let archive = suite.path("broken.tar");
    machine_set::pack(&broken, &archive).map_err(text)?;
    let mut up = suite.command(&["up", "broken", "--engine", "machine", "--timeout", TIMEOUT, "--node-image"]);
    up.arg(&archive).env("SANDBAR_HOME", suite.path("broken-home"));
    let failed = up.output().map_err(text)?;
    let words = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(failed.status.code() == Some(1) && words.contains("Kernel panic"), "{words}");
    Ok(())
}

fn programs(suite: &Suite) -> Outcome {
    let output = suite.output(&["exec", "--", "sh", "-c", "echo out; echo err >&2; exit 7"])?;
    let said = (output.status.code(), output.stdout.as_slice(), output.stderr.as_slice());
    assert_eq!(said, (Some(7), b"out\n".as_slice(), b"err\n".as_slice()));
    // An argument stays one, whatever is in it.
    assert_eq!(suite.sandbar(&["exec", "--", "printf", "%s|", "a b", "$HOME", "\"'"])?, "a b|$HOME|\"'|");
    assert_eq!(suite.output(&["exec", "--", "no-such-program"])?.status.code(), Some(127));
    Ok(())
}

fn files(suite: &Suite) -> Outcome {
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: of-a-file}\n";
    std::fs::write(suite.path("manifest.yaml"), manifest).map_err(|error| error.to_string())?;
    // The node's own kubectl has the file brought into the machine.
    suite.kubectl(&["apply", "-f", "manifest.yaml"])?;
    suite.kubectl(&["get", "configmap", "of-a-file"]).map(drop)
}

fn pause(suite: &Suite) -> Outcome {
    suite.sandbar(&["pause"])?;
    assert_eq!(suite.json(&["ls"])?["clusters"][0]["state"], "paused");
    suite.sandbar(&["unpause"])?;
    assert_eq!(suite.kubectl(&["get", "--raw", "/readyz"])?, "ok");
    Ok(())
}

fn killed_supervisor(suite: &Suite) -> Outcome {
    let (qemu, supervisor) = (suite.qemu()?, suite.supervisor()?);
    kill(&supervisor)?;
    assert_eq!(suite.json(&["up", CLUSTER, "--timeout", TIMEOUT])?["outcome"], "unchanged");
    assert_eq!(suite.qemu()?, qemu, "the machine ran on");
    assert_eq!(suite.sandbar(&["exec", "--", "echo", "here"])?, "here\n");
    Ok(())
}

fn log(suite: &Suite) -> Outcome {
    let log = suite.sandbar(&["logs", "kube-apiserver"])?;
    if log.lines().count() > 3 { Ok(()) } else { Err(format!("the log is {log:?}")) }
}

/// Whether something in the machine answers at a port of this one.
fn answers(port: u16) -> bool {
    let Ok(mut connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let mut answer = String::new();
    let _ = connection.set_read_timeout(Some(PATIENCE));
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n").and_then(|()| connection.read_to_string(&mut answer)).is_ok()
        && answer.starts_with("HTTP/1.")
}

fn ports(suite: &Suite) -> Outcome {
    let (qemu, port) = (suite.qemu()?, Suite::PORT.to_string());
    let add = ["port", "add", &format!("{port}:80")];
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, Suite::PORT)).map_err(|error| error.to_string())?;
    let taken = suite.output(&add)?;
    let words = String::from_utf8_lossy(&taken.stderr).into_owned();
    assert!(taken.status.code() == Some(3) && words.contains(&format!("port {port} on 127.0.0.1 is taken")), "{words}");
    drop(holder);
    assert_eq!(suite.json(&add)?["outcome"], "changed");
    assert!(answers(Suite::PORT), "it leads into the machine");
    assert!(suite.sandbar(&["port", "ls", "--output", "name"])?.lines().any(|line| line == port));
    assert_eq!(suite.json(&["port", "rm", &port])?["outcome"], "changed");
    assert!(!answers(Suite::PORT), "it leads nowhere");
    // The same by `up`, and for the rest of this story.
    assert_eq!(
        suite.json(&["up", CLUSTER, "--port", &format!("{port}:80"), "--timeout", TIMEOUT])?["outcome"],
        "changed"
    );
    assert!(answers(Suite::PORT));
    assert_eq!(suite.qemu()?, qemu, "the machine ran on");
    Ok(())
}

/// An image of one file, made without a registry.
const CONTAINERFILE: &str = "FROM scratch\nCOPY Containerfile /\n";

fn engine_image(suite: &Suite) -> Outcome {
    let Ok(podman) = which::which("podman") else {
        eprintln!("skipped: machine: no image of an engine's store is loaded: there is no podman");
        return Ok(());
    };
    let podman = |arguments: &[&str]| {
        let done = Command::new(&podman).args(arguments).output().map_err(|error| error.to_string())?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    };
    std::fs::write(suite.path("Containerfile"), CONTAINERFILE).map_err(|error| error.to_string())?;
    let name = "localhost/sandbar-machine-test:1";
    let here = suite.home.path().to_str().unwrap();
    podman(&["build", "--tag", name, "--file", &format!("{here}/Containerfile"), here])?;
    let loaded = suite.json(&["image", "load", name, "--engine", "podman"]);
    podman(&["rmi", name])?;
    assert_eq!(loaded?["images"][0]["name"], name);
    assert!(suite.sandbar(&["image", "ls", "--output", "name"])?.lines().any(|line| line == name));
    Ok(())
}

fn killed_qemu(suite: &Suite) -> Outcome {
    // The machine went on from a state a moment ago.
    suite.kubectl(&["create", "configmap", "acknowledged", "--from-literal=before=the-end"])?;
    let cuts = std::env::var("SANDBAR_TEST_POWER_CUTS").map_or(Ok(CUTS), |cuts| cuts.parse());
    let cuts: u64 = cuts.map_err(|error| format!("SANDBAR_TEST_POWER_CUTS: {error}"))?;
    let mut random = Random::new();
    let mut acknowledged = vec!["configmap/kept".to_owned(), "configmap/acknowledged".to_owned()];
    let (begun, mut healed) = (Instant::now(), Duration::ZERO);
    for cut in 0..cuts {
        acknowledged.extend(cut_under_load(suite, cut, Duration::from_millis(random.below(3000)))?);
        let cut_at = Instant::now();
        suite.sandbar(&["up", CLUSTER, "--timeout", TIMEOUT])?;
        healed = healed.max(cut_at.elapsed());
        let there = suite.kubectl(&["get", "configmaps", "--output", "name"])?;
        let lost = acknowledged.iter().filter(|name| !there.lines().any(|line| line == *name)).collect::<Vec<_>>();
        assert!(lost.is_empty(), "cut {cut}: {lost:?} of {} were acknowledged and are gone", acknowledged.len());
    }
    assert!(acknowledged.len() as u64 >= 2 + cuts, "each cut has one at least: {acknowledged:?}");
    let took = begun.elapsed();
    eprintln!(
        "{cuts} power cuts in {took:.0?}, {} acknowledged writes, none lost, healed in {healed:.1?} at most",
        acknowledged.len()
    );
    Ok(())
}

/// Kills QEMU that long after the first write was acknowledged, waits until its supervisor has started it again, and returns what was acknowledged
/// before. The machine loses what it had not synced, as it does when its power is cut.
fn cut_under_load(suite: &Suite, cut: u64, after: Duration) -> Outcome<Vec<String>> {
    let words = |error: std::io::Error| error.to_string();
    let object = |write| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cut-{cut}-{write}\n---\n");
    let (objects, answers) = (suite.path("writes.yaml"), suite.path("answers"));
    std::fs::write(&objects, (0..WRITES).map(object).collect::<String>()).map_err(words)?;
    let before = suite.qemu()?;
    let mut writes = suite.command(&["kubectl", "create", "--filename", "writes.yaml"]);
    // In a group of its own: it would go on asking for a machine that is gone.
    writes.stdout(std::fs::File::create(&answers).map_err(words)?).stderr(Stdio::null()).process_group(0);
    let mut writes = writes.spawn().map_err(words)?;
    let begun = Instant::now();
    while std::fs::metadata(&answers).map_err(words)?.len() == 0 {
        assert!(begun.elapsed() < PATIENCE, "nothing is written");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(after);
    let killed = kill(&before);
    let group = i32::try_from(writes.id()).ok().and_then(Pid::from_raw).ok_or("no process")?;
    let ended = kill_process_group(group, Signal::KILL).map_err(|error| error.to_string());
    writes.wait().map_err(words)?;
    killed.and(ended)?;
    let begun = Instant::now();
    while suite.qemu().is_ok_and(|now| now == before) || suite.qemu().is_err() {
        assert!(begun.elapsed() < PATIENCE, "it was not started again");
        std::thread::sleep(Duration::from_millis(50));
    }
    let answers = std::fs::read_to_string(answers).map_err(words)?;
    Ok(answers.lines().filter_map(|line| Some(line.strip_suffix(" created")?.to_owned())).collect())
}

fn stop_and_start(suite: &Suite) -> Outcome {
    let pod = |name: &str| -> Outcome {
        let image = "--image=localhost/sandbar-pause:1";
        suite.kubectl(&["run", name, image, "--image-pull-policy=Never"])?;
        suite.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=2m"]).map(drop)
    };
    // Since when its container runs, and which it is.
    let container = || {
        let of = "jsonpath={.status.containerStatuses[0].containerID} {.status.containerStatuses[0].state.running}";
        suite.kubectl(&["get", "pod", "kept", "--output", of])
    };
    pod("kept")?;
    let (boot, before) = (suite.boot()?, container()?);
    let stopped = suite.json(&["stop"])?;
    assert!(stopped["kept"]["bytes"].as_u64() > Some(100 << 20), "{stopped}");
    let listed = suite.json(&["ls"])?;
    let listed = &listed["clusters"][0];
    assert_eq!((&listed["state"], &listed["kept"]), (&"stopped".into(), &stopped["kept"]));
    assert!(suite.qemu().is_err(), "nothing runs");

    let said = suite.start()?;
    assert!(!said.contains("dropped"), "{said}");
    assert_eq!((suite.boot()?, container()?), (boot, before), "it is the same, and went on");
    let here = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let earlier = here();
    let inside = suite.sandbar(&["exec", "--", "date", "+%s"])?;
    let inside: u64 = inside.trim().parse().map_err(|error| format!("{inside}: {error}"))?;
    assert!((earlier - 1..=here() + 1).contains(&inside), "it is {inside} inside, and {earlier} here");
    assert!(answers(Suite::PORT), "it has the ports that it had");
    for file in ["kept.json", "kept.state"] {
        assert!(!suite.file(file).exists(), "{file} is void");
    }
    // Whoever watched before it stopped goes on, too: the scheduler and kubelet.
    pod("after")?;
    // The file is removed once the machine had its first moments.
    let begun = Instant::now();
    while suite.file("kept.used").exists() {
        assert!(begun.elapsed() < PATIENCE, "the state that was used stays");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A cluster that starts from nothing, with its data, and says why.
fn starts_anew(suite: &Suite, why: &str) -> Outcome {
    let said = suite.start()?;
    assert!(said.contains(&format!("kept state is dropped: {why}")), "{said}");
    suite.kubectl(&["get", "configmap", "acknowledged"]).map(drop)
}

/// Changes a byte of a state.
fn damage(state: &Path) -> Outcome {
    use std::io::{Read, Seek, SeekFrom, Write};
    let change = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(state)?;
        let mut byte = [0];
        // In the guest's memory, where QEMU itself would notice nothing.
        file.seek(SeekFrom::Start(200 << 20))?;
        file.read_exact(&mut byte)?;
        file.seek(SeekFrom::Start(200 << 20))?;
        file.write_all(&[!byte[0]])
    };
    change().map_err(|error| error.to_string())
}

fn damaged_state(suite: &Suite) -> Outcome {
    let boot = suite.boot()?;
    suite.sandbar(&["stop"])?;
    damage(&suite.file("kept.state"))?;
    starts_anew(suite, "its file is damaged")?;
    assert_ne!(suite.boot()?, boot);
    Ok(())
}

fn other_version(suite: &Suite) -> Outcome {
    suite.sandbar(&["stop"])?;
    let key = suite.file("kept.json");
    let text = std::fs::read(&key).map_err(|error| error.to_string())?;
    let mut value: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    value["qemu"]["version"] = "9.0.0".into();
    std::fs::write(&key, value.to_string()).map_err(|error| error.to_string())?;
    starts_anew(suite, "it was kept by QEMU 9.0.0, this is ")
}

fn killed_save(suite: &Suite) -> Outcome {
    suite.kubectl(&["create", "configmap", "before-the-save", "--from-literal=a=b"])?;
    let supervisor = suite.supervisor()?;
    let stop = std::thread::scope(|scope| {
        let stop = scope.spawn(|| suite.output(&["stop"]));
        let begun = Instant::now();
        while !suite.file("kept.state").exists() {
            assert!(begun.elapsed() < PATIENCE, "nothing is saved");
            std::thread::sleep(Duration::from_millis(1));
        }
        kill(&supervisor)?;
        stop.join().map_err(|_| "the stop panicked".to_owned())?
    })?;
    // It is said, and the machine is shut down by the next supervisor.
    assert!(stop.status.success(), "{}", String::from_utf8_lossy(&stop.stderr));
    assert!(String::from_utf8_lossy(&stop.stderr).contains("its state cannot be kept"));
    suite.start()?;
    assert!(!suite.file("kept.state").exists());
    suite.kubectl(&["get", "configmap", "before-the-save"]).map(drop)
}

fn shutdown(suite: &Suite) -> Outcome {
    let boot = suite.boot()?;
    assert_eq!(suite.json(&["stop", "--shutdown"])?["kept"], Value::Null);
    suite.start()?;
    assert_ne!(suite.boot()?, boot);
    suite.kubectl(&["get", "configmap", "acknowledged"]).map(drop)
}

/// The first machine kept the state of its kind on its way; a second one finds it damaged.
fn damaged_template(suite: &Suite) -> Outcome {
    let words = |error: std::io::Error| error.to_string();
    let folders = |path: &Path| -> Outcome<Vec<PathBuf>> {
        Ok(std::fs::read_dir(path).map_err(words)?.flatten().map(|entry| entry.path()).collect())
    };
    let set = folders(&suite.path("home/data/machine-images"))?;
    let [set] = &set[..] else { return Err(format!("one set: {set:?}")) };
    let templates = folders(&set.join("templates"))?;
    let [template] = &templates[..] else { return Err(format!("one kind: {templates:?}")) };
    let kept = std::fs::read(template.join("key.json")).map_err(words)?;
    damage(&template.join("state"))?;
    let archive = suite.archive.to_str().unwrap();
    let up = ["up", OTHER, "--engine", "machine", "--node-image", archive, "--timeout", TIMEOUT];
    suite.sandbar(&up)?;
    let log = suite.path("home/data/machines/sandbar-other/supervisor.log");
    let log = std::fs::read_to_string(log).map_err(words)?;
    let dropped = log.find("does not start from the state of its kind").ok_or("nothing is said")?;
    assert!(log[dropped..].contains("its file is damaged") && log[dropped..].contains("says hello"), "{log}");
    assert_eq!(suite.sandbar(&["exec", "--cluster", OTHER, "--", "hostname"])?, "other\n");
    suite.sandbar(&["rm", OTHER, "--yes"])?;
    // And kept the state of its kind in its place.
    let now = std::fs::read(template.join("key.json")).map_err(words)?;
    if now == kept { Err("the damaged one is still there".to_owned()) } else { Ok(()) }
}

fn remove(suite: &Suite) -> Outcome {
    let qemu = suite.qemu()?;
    suite.sandbar(&["rm", "--yes"])?;
    assert!(!Path::new("/proc").join(&qemu).exists(), "QEMU is gone");
    let left: Vec<_> = std::fs::read_dir(suite.path("home/data/machines")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}
