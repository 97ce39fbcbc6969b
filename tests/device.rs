//! An ARM64 board on this machine, whatever this one is: a cluster that is a Raspberry Pi, with an application on it.
//!
//! One device and the steps in their order. Where `qemu-system-aarch64`, the set that machines of arm64 start from
//! (`make machine-image ARCH=arm64`) or Go is missing, they are skipped, with the reason.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test without the test harness"
)]

#[path = "support/machine_set.rs"]
mod machine_set;
#[path = "support/required.rs"]
mod required;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The cluster.
const CLUSTER: &str = "device";
/// Another one of the same board.
const TWIN: &str = "twin";
/// The folder of its machine.
const MACHINE: &str = "sandbar-device";
/// The board that it is, and what of it is left out to be quicker. Its memory is an odd number of MiB: the root file system, which follows
/// it, begins at an even one.
const BOARD: [&str; 7] = ["--device", "raspberry-pi-4", "--cpus", "2", "--memory", "3073Mi", "--emulate-binaries"];
/// How long a command may take where everything is translated.
const TIMEOUT: &str = "6m";
/// How long what needs no look is waited for.
const PATIENCE: Duration = Duration::from_mins(3);
/// Where the application is.
const HOST: &str = "hello.default.localhost";
/// Its image.
const IMAGE: &str = "localhost/hello:1";

type Outcome<T = ()> = Result<T, String>;
type Step = (&'static str, fn(&Suite) -> Outcome);

/// The steps in their order.
const STEPS: [Step; 9] = [
    ("a_set_of_another_architecture_is_refused", wrong_set),
    ("up_ends_with_the_board", up),
    ("it_is_what_the_board_is", board),
    ("the_application_of_its_architecture_runs_on_it", application),
    ("a_program_of_another_architecture_runs_on_it", emulated),
    ("stop_keeps_the_board_and_start_goes_on", stop_and_start),
    ("a_killed_board_comes_back", killed),
    ("another_board_of_its_kind_starts_from_a_copy_and_is_nobody_elses", twin),
    ("rm_leaves_nothing", remove),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The steps are a story.
    arguments.test_threads = Some(1);
    let suite = if arguments.list { Err("not asked for".to_owned()) } else { Suite::new() };
    let required = match &suite {
        Err(reason) if !arguments.list => {
            eprintln!("skipped: device: {reason}");
            required::failure("device", reason)
        }
        _ => None,
    };
    let suite = suite.ok().map(Arc::new);
    let trial = |(name, step): Step| {
        let ignored = suite.is_none();
        let suite = suite.clone();
        let run = move || suite.map_or(Ok(()), |suite| suite.step(step)).map_err(Failed::from);
        Trial::test(format!("device::{name}"), run).with_ignored_flag(ignored)
    };
    let trials = STEPS.into_iter().map(trial).chain(required).collect();
    drop(suite);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A home of its own, with one cluster.
struct Suite {
    home: tempfile::TempDir,
    set: PathBuf,
    failed: AtomicBool,
}

impl Suite {
    fn new() -> Outcome<Self> {
        let set = machine_set::find("arm64")?;
        which::which("go").map_err(|_| "there is no go, which builds the application".to_owned())?;
        let home = tempfile::tempdir().map_err(words)?;
        machine_set::pack(&set, &home.path().join("machine.tar")).map_err(words)?;
        Ok(Self { home, set, failed: AtomicBool::new(false) })
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

    fn output(&self, arguments: &[&str]) -> Outcome<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
        command.args(arguments).env("SANDBAR_HOME", self.path("home")).env("KUBECONFIG", self.path("kubeconfig"));
        command.env("SANDBAR_CLUSTER", CLUSTER).env_remove("SANDBAR_ENGINE").current_dir(self.home.path());
        command.output().map_err(words)
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
        self.kubectl_of(CLUSTER, arguments)
    }

    fn kubectl_of(&self, cluster: &str, arguments: &[&str]) -> Outcome<String> {
        self.sandbar(&[&["kubectl", "--cluster", cluster], arguments].concat())
    }

    /// What says which cluster and which machine it is: no two have any of it in common.
    fn identity(&self, cluster: &str) -> Outcome<Vec<String>> {
        let authority = self.sandbar(&["kubeconfig", "print", cluster])?;
        let authority = authority.lines().find(|line| line.contains("certificate-authority-data")).unwrap_or_default();
        let of_kube_system = ["get", "namespace", "kube-system", "--output", "jsonpath={.metadata.uid}"];
        let of_node = ["get", "nodes", "--output", "jsonpath={.items[0].status.nodeInfo.machineID}"];
        let keys =
            std::fs::read_to_string(self.path("home/data/machines").join(format!("sandbar-{cluster}/keys.json")));
        let all = [
            authority.to_owned(),
            self.kubectl_of(cluster, &of_kube_system)?,
            self.kubectl_of(cluster, &of_node)?,
            self.sandbar(&["exec", "--cluster", cluster, "--", "hostname"])?,
            self.sandbar(&["exec", "--cluster", cluster, "--", "sha256sum", "/run/sandbar/ssh/host_key"])?,
            keys.map_err(words)?,
        ];
        assert!(all.iter().all(|one| !one.is_empty()), "{all:?}");
        Ok(all.to_vec())
    }

    /// Waits until the application answers through the ingress.
    fn application_answers(&self) -> Outcome {
        let http = self.json(&["status"])?["addresses"]["http"].as_str().unwrap_or_default().to_owned();
        let port: u16 = http.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(80);
        let begun = Instant::now();
        loop {
            match get(port) {
                Ok(answer) if answer.contains("Hello from the edge!") => return Ok(()),
                answer => assert!(begun.elapsed() < PATIENCE, "{answer:?}"),
            }
            // Its endpoints reach the ingress a moment after the rollout, which nothing tells from outside.
            std::thread::sleep(Duration::from_millis(200));
        }
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

    /// `up` of the board, from the set.
    fn up(&self) -> Outcome<Value> {
        let up = ["up", CLUSTER, "--node-image", "./machine.tar", "--timeout", TIMEOUT];
        self.json(&[&up[..], &BOARD].concat())
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        // A step may have failed in the middle.
        for cluster in [CLUSTER, TWIN] {
            let _ = self.output(&["rm", cluster, "--yes"]);
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is made for map_err")]
fn words(error: std::io::Error) -> String {
    error.to_string()
}

/// A set that says that it is for another architecture, which costs no other kernel.
fn wrong_set(suite: &Suite) -> Outcome {
    let folder = suite.path("wrong");
    std::fs::create_dir(&folder).map_err(words)?;
    let manifest = std::fs::read_to_string(suite.set.join("manifest.json")).map_err(words)?;
    std::fs::write(folder.join("manifest.json"), manifest.replace("\"arm64\"", "\"riscv64\"")).map_err(words)?;
    for file in ["kernel", "initramfs", "system.img", "data.img"] {
        std::os::unix::fs::symlink(suite.set.join(file), folder.join(file)).map_err(words)?;
    }
    machine_set::pack(&folder, &suite.path("wrong.tar")).map_err(words)?;
    let other = suite.path("wrong-home");
    let mut up = Command::new(env!("CARGO_BIN_EXE_sandbar"));
    up.args(["up", CLUSTER, "--device", "arm64", "--node-image", "./wrong.tar"]).current_dir(suite.home.path());
    let refused = up.env("SANDBAR_HOME", &other).env_remove("SANDBAR_ENGINE").output().map_err(words)?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("it is for riscv64, the device is arm64"), "{said}");
    assert!(said.contains("`make machine-image ARCH=arm64`") && said.contains("-arm64.tar.zst"), "{said}");
    std::fs::remove_dir_all(other).map_err(words)
}

fn up(suite: &Suite) -> Outcome {
    let begun = Instant::now();
    let report = suite.up()?;
    eprintln!("the board was ready after {:.1?}", begun.elapsed());
    assert_eq!((&report["outcome"], &report["engine"]["kind"]), (&"created".into(), &"machine".into()));
    assert_eq!(suite.kubectl(&["get", "--raw", "/readyz"])?, "ok");
    let nodes = suite.kubectl(&["get", "nodes", "--no-headers"])?;
    assert!(nodes.lines().count() == 1 && nodes.contains(" Ready "), "{nodes}");
    // Nothing is done twice.
    assert_eq!(suite.up()?["outcome"], "unchanged");
    Ok(())
}

fn board(suite: &Suite) -> Outcome {
    let inside = |command: &str| suite.sandbar(&["exec", "--", "sh", "-c", command]);
    assert_eq!(inside("tr -d '\\0' </proc/device-tree/model")?, "Raspberry Pi 4 Model B");
    // Its programs run from this host's file.
    if cfg!(target_os = "linux") {
        assert_eq!(inside("ls /sys/block | grep -c pmem")?, "1\n");
        assert!(!inside("cat /sys/block/vd*/serial")?.contains("system"), "the root file system is on a disk, too");
    }
    assert_eq!(inside("uname -m")?, "aarch64\n");
    // Both cores run under the device tree that was given, and so do the devices on PCI, or there would be no disk.
    assert_eq!(inside("nproc")?, "2\n");
    assert!(inside("grep -m1 'CPU part' /proc/cpuinfo")?.contains("0xd08"), "it is a Cortex-A72");
    // The disk has the size of a card, but for what its file system takes.
    let kilobytes = inside("df -k /var/lib/sandbar | tail -1 | awk '{print $2}'")?;
    let kilobytes: u64 = kilobytes.trim().parse().map_err(|error| format!("{error}: {kilobytes}"))?;
    assert!((30 << 20..=32 << 20).contains(&kilobytes), "{kilobytes} KiB");

    let node: Value = serde_json::from_str(&suite.kubectl(&["get", "node", "--output", "json"])?).unwrap();
    let labels = &node["items"][0]["metadata"]["labels"];
    assert_eq!(labels["kubernetes.io/arch"], "arm64");
    assert_eq!(labels["sandbar.dev/device"], "raspberry-pi-4");
    assert_eq!(labels["sandbar.dev/soc"], "bcm2711");
    let path = format!("/api/v1/nodes/{CLUSTER}/proxy/configz");
    let config: Value = serde_json::from_str(&suite.kubectl(&["get", "--raw", &path])?).unwrap();
    let kubelet = &config["kubeletconfig"];
    assert_eq!(kubelet["evictionHard"]["memory.available"], "100Mi", "{kubelet}");
    assert_eq!(kubelet["evictionHard"]["nodefs.available"], "10%", "{kubelet}");
    assert_eq!(kubelet["imageGCHighThresholdPercent"], 85, "{kubelet}");

    let status = suite.json(&["status"])?;
    assert_eq!(status["device"], "raspberry-pi-4");
    let machine = &status["machine"];
    assert_eq!((&machine["architecture"], &machine["cpu"]), (&"arm64".into(), &"cortex-a72".into()));
    assert!(machine["accelerator"].is_string() && machine["because"].as_str() != Some(""), "{machine}");
    // It stays what it is.
    let other = suite.output(&["up", CLUSTER, "--device", "arm64", "--recreate"])?;
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(other.status.code() == Some(2) && said.contains("cannot change its device"), "{said}");
    Ok(())
}

fn application(suite: &Suite) -> Outcome {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hello");
    for architecture in ["amd64", "arm64"] {
        let program = suite.path(&format!("hello-{architecture}"));
        let mut go = Command::new("go");
        go.current_dir(&example).env("CGO_ENABLED", "0").env("GOOS", "linux").env("GOARCH", architecture);
        let built = go.args(["build", "-o"]).arg(&program).arg(".").output().map_err(words)?;
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }
    // Nothing looks into a program of an architecture that is refused.
    std::fs::copy(suite.path("hello-arm64"), suite.path("hello-riscv64")).map_err(words)?;
    suite.pack_hello("wrong.tar", &["riscv64"])?;
    suite.pack_hello("hello.tar", &["amd64", "arm64"])?;
    let refused = suite.output(&["image", "load", "./wrong.tar"])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("--platform linux/arm64"), "{said}");
    let loaded = suite.json(&["image", "load", "./hello.tar", "--tag", IMAGE])?;
    assert_eq!(loaded["images"][0]["name"], IMAGE, "{loaded}");

    suite.kubectl(&["apply", "-k", example.to_str().unwrap()])?;
    suite.kubectl(&["rollout", "status", "deployment/hello", "--timeout=180s"])?;
    suite.application_answers()
}

/// The application for the laptop's architecture, through the emulator in the machine.
fn emulated(suite: &Suite) -> Outcome {
    let tag = "localhost/hello-amd64:1";
    suite.pack_hello("other.tar", &["amd64"])?;
    let loaded = suite.json(&["image", "load", "./other.tar", "--tag", tag])?;
    assert_eq!(loaded["images"][0]["name"], tag, "{loaded}");
    suite.kubectl(&["run", "other", "--image", tag, "--image-pull-policy=Never", "--env=DATA_DIR=/dev/shm"])?;
    suite.kubectl(&["wait", "pod/other", "--for=condition=Ready", "--timeout=180s"])?;
    let path = "/api/v1/namespaces/default/pods/other:8080/proxy/healthz";
    let begun = Instant::now();
    loop {
        match suite.kubectl(&["get", "--raw", path]) {
            Ok(answer) if answer == "ok\n" => return Ok(()),
            // It says nothing of when it listens.
            answer => assert!(begun.elapsed() < PATIENCE, "{answer:?}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn stop_and_start(suite: &Suite) -> Outcome {
    let boot = || suite.sandbar(&["exec", "--", "cat", "/proc/sys/kernel/random/boot_id"]);
    let of = "jsonpath={.items[*].status.containerStatuses[0].containerID}";
    let containers = || suite.kubectl(&["get", "pods", "--output", of]);
    let before = (boot()?, containers()?);
    assert!(before.1.contains("containerd://"), "{before:?}");
    let stopped = suite.json(&["stop"])?;
    assert!(stopped["kept"]["bytes"].as_u64() > Some(100 << 20), "{stopped}");
    let begun = Instant::now();
    suite.sandbar(&["start", "--timeout", TIMEOUT])?;
    eprintln!("the board went on after {:.1?}", begun.elapsed());
    assert_eq!((boot()?, containers()?), before, "it is the same, and went on");
    suite.application_answers()
}

fn killed(suite: &Suite) -> Outcome {
    let folders = std::fs::read_dir(suite.path("home/run/m")).map_err(words)?;
    let file = folders.flatten().map(|folder| folder.path().join("powered.json")).find(|file| file.exists());
    let powered = std::fs::read(file.ok_or("no machine runs")?).map_err(words)?;
    let powered: Value = serde_json::from_slice(&powered).map_err(|error| error.to_string())?;
    let killed = Command::new("kill").args(["-9", &powered["process"].to_string()]).status().map_err(words)?;
    assert!(killed.success(), "{killed}");
    suite.up()?;
    suite.application_answers()
}

/// The first board was parked on its way, and its state kept: the second is a copy of it, with an identity of its own.
fn twin(suite: &Suite) -> Outcome {
    let first = suite.identity(CLUSTER)?;
    let token = format!("--token={}", suite.kubectl(&["create", "token", "default"])?.trim());
    let who = |cluster: &str| {
        let whole = [
            "exec",
            "--cluster",
            cluster,
            "--",
            "kubectl",
            "--kubeconfig=/dev/null",
            "--server=https://127.0.0.1:6443",
        ];
        suite.output(&[&whole[..], &["--insecure-skip-tls-verify", &token, "auth", "whoami"]].concat())
    };
    let said = who(CLUSTER)?;
    assert!(String::from_utf8_lossy(&said.stdout).contains("system:serviceaccount:default:default"), "{said:?}");
    suite.sandbar(&["stop"])?;
    let begun = Instant::now();
    let up = ["up", TWIN, "--node-image", "./machine.tar", "--timeout", TIMEOUT];
    suite.sandbar(&[&up[..], &BOARD].concat())?;
    eprintln!("its twin was ready after {:.1?}", begun.elapsed());
    let log = suite.path("home/data/machines").join(format!("sandbar-{TWIN}/supervisor.log"));
    let log = std::fs::read_to_string(log).map_err(words)?;
    assert!(!log.contains("says hello"), "it was switched on: {log}");
    let second = suite.identity(TWIN)?;
    for (first, second) in first.iter().zip(&second) {
        assert_ne!(first, second);
    }
    // What the first one signed is nothing to the second.
    let refused = who(TWIN)?;
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("Unauthorized"),
        "{refused:?}"
    );
    let nodes = suite.kubectl_of(TWIN, &["get", "nodes", "--no-headers"])?;
    assert!(nodes.starts_with(TWIN) && nodes.lines().count() == 1 && nodes.contains(" Ready "), "{nodes}");
    assert!(
        suite.kubectl_of(TWIN, &["get", "deployments", "--output", "name"])?.is_empty(),
        "nothing of the first is there"
    );
    suite.sandbar(&["rm", TWIN, "--yes"]).map(drop)
}

impl Suite {
    /// The application's image for these architectures, as an archive in OCI layout.
    fn pack_hello(&self, name: &str, architectures: &[&str]) -> Outcome {
        let mut blobs: Vec<(String, Vec<u8>)> = Vec::new();
        let mut blob = |bytes: Vec<u8>| {
            let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let size = bytes.len();
            blobs.push((digest.clone(), bytes));
            (format!("sha256:{digest}"), size)
        };
        let mut manifests = Vec::new();
        for architecture in architectures {
            let mut layer = tar::Builder::new(Vec::new());
            let program = std::fs::read(self.path(&format!("hello-{architecture}"))).map_err(words)?;
            append(&mut layer, "hello", 0o755, &program)?;
            let (layer, size) = blob(layer.into_inner().map_err(words)?);
            let config = json!({
                "architecture": architecture, "os": "linux",
                "config": {"Entrypoint": ["/hello"], "User": "65532:65532"},
                "rootfs": {"type": "layers", "diff_ids": [layer]},
            });
            let (config, config_size) = blob(config.to_string().into_bytes());
            let manifest = json!({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size}],
            });
            let (manifest, size) = blob(manifest.to_string().into_bytes());
            manifests.push(json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": size,
                "platform": {"architecture": architecture, "os": "linux"},
            }));
        }
        let list = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests,
        });
        let (list, size) = blob(list.to_string().into_bytes());
        let index = json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": "application/vnd.oci.image.index.v1+json", "digest": list, "size": size,
                "annotations": {"org.opencontainers.image.ref.name": IMAGE},
            }],
        });
        let mut archive = tar::Builder::new(std::fs::File::create(self.path(name)).map_err(words)?);
        append(&mut archive, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        append(&mut archive, "index.json", 0o644, index.to_string().as_bytes())?;
        for (digest, bytes) in &blobs {
            append(&mut archive, &format!("blobs/sha256/{digest}"), 0o644, bytes)?;
        }
        archive.finish().map_err(words)
    }
}

fn append(archive: &mut tar::Builder<impl std::io::Write>, name: &str, mode: u32, bytes: &[u8]) -> Outcome {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    archive.append_data(&mut header, name, bytes).map_err(words)
}

/// What the application's host answers at a port of the ingress.
fn get(port: u16) -> Outcome<String> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(words)?;
    connection.set_read_timeout(Some(Duration::from_secs(20))).map_err(words)?;
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).map_err(words)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).map_err(words)?;
    Ok(answer)
}

fn remove(suite: &Suite) -> Outcome {
    suite.sandbar(&["rm", "--yes"])?;
    let left: Vec<_> = std::fs::read_dir(suite.path("home/data/machines")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let running = std::fs::read_dir(suite.path("home/run/m")).map_err(words)?;
    assert!(running.flatten().all(|entry| !entry.path().join("powered.json").exists()), "nothing runs");
    Ok(())
}
