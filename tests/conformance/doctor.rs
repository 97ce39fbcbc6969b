//! `sandbar doctor` against faults that are real: this machine's own in namespaces of their own, over the fake engine, and an
//! engine's with the real node image.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use sandbar::engine::fake::FakeEngine;
use sandbar::engine::{ImageInfo, LABEL_HOME};
use sandbar::platform::native;
use sandbar::store::{Dirs, Store};
use serde_json::Value;

/// The node image that `make image` builds.
const NODE_IMAGE: &str = concat!("localhost/sandbar-node:", env!("CARGO_PKG_VERSION"));
/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

type Test = fn() -> Result<()>;

/// All of them; those that this machine cannot do are counted as ignored, and the reason is printed.
pub fn trials() -> Vec<Trial> {
    let anywhere: [(&str, Test); 1] = [("names_who_holds_a_port", names_who_holds_a_port)];
    let in_namespaces: [(&str, Test); 4] = [
        ("finds_a_route_that_overlaps", finds_a_route_that_overlaps),
        ("finds_a_full_disk_as_up_does", finds_a_full_disk_as_up_does),
        ("finds_too_little_memory_as_up_does", finds_too_little_memory_as_up_does),
        ("asks_the_system_for_names", asks_the_system_for_names),
    ];
    let on_podman: [(&str, Test); 3] = [
        ("finds_an_engine_fit_and_leaves_nothing", finds_an_engine_fit_and_leaves_nothing),
        ("finds_what_an_engine_lacks", finds_what_an_engine_lacks),
        ("leaves_nothing_when_it_is_interrupted", leaves_nothing_when_it_is_interrupted),
    ];
    let own = may_make_namespaces();
    let image = has_host_check();
    let groups = [
        ("host", anywhere.to_vec(), Ok(())),
        ("host", in_namespaces.to_vec(), own),
        ("podman", on_podman.to_vec(), image),
    ];
    let mut trials = Vec::new();
    for (group, tests, possible) in groups {
        if let Err(reason) = &possible {
            eprintln!("skipped: doctor::{group}: {reason:#}");
        }
        for (name, run) in tests {
            let trial = Trial::test(format!("doctor::{group}::{name}"), move || {
                run().map_err(|error| format!("{error:#}").into())
            });
            trials.push(trial.with_ignored_flag(possible.is_err()));
        }
    }
    trials
}

/// Why namespaces of mounts and networks cannot be made here.
fn may_make_namespaces() -> Result<()> {
    ensure!(native().is_superuser(), "only the superuser may make namespaces");
    for program in ["unshare", "ip", "mount"] {
        let found =
            Command::new(program).arg("--version").output().is_ok() || Command::new(program).arg("-V").output().is_ok();
        ensure!(found, "{program} is not installed");
    }
    let made = Command::new("unshare").args(["--mount", "--net", "true"]).output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// Why the real node image cannot be tried.
fn has_host_check() -> Result<()> {
    ensure!(native().is_superuser(), "the tests of Podman's own service need the superuser");
    let image = node_image();
    let listed = Command::new("podman")
        .args(["run", "--rm", "--network", "none", "--entrypoint", "/usr/bin/sandbarctl"])
        .args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", image.as_str(), "help"])
        .output()
        .context("podman is not installed")?;
    let text = String::from_utf8_lossy(&listed.stdout);
    ensure!(text.contains("host-check"), "{image} is not there, or older than this check; `make image` builds it");
    Ok(())
}

/// The node image; another one where `SANDBAR_TEST_NODE_IMAGE` says so.
fn node_image() -> String {
    std::env::var("SANDBAR_TEST_NODE_IMAGE").unwrap_or_else(|_| NODE_IMAGE.to_owned())
}

/// A home of the test's own.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Result<Self> {
        let home = Self { folder: tempfile::tempdir()? };
        let image = ImageInfo {
            id: format!("sha256:{}", "1".repeat(64)),
            names: vec![NODE_IMAGE.to_owned()],
            labels: [("dev.sandbar.contract".to_owned(), "1".to_owned())].into(),
            diff_ids: vec![format!("sha256:{}", "2".repeat(64))],
            architecture: "amd64".to_owned(),
            size_bytes: 1,
        };
        FakeEngine::open(home.path("engine")).add_image(image)?;
        Ok(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        Ok(std::fs::write(self.path(name), content)?)
    }

    /// `sandbar` over the fake engine, as the shell calls it.
    fn program(&self, script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-ec", script]).current_dir(self.folder.path()).env_clear();
        shell.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.path("home"));
        shell.env("SANDBAR", env!("CARGO_BIN_EXE_sandbar"));
        shell.env("SANDBAR_ENGINE", format!("fake:{}", self.path("engine").display()));
        shell
    }

    /// Runs a script in namespaces of its own.
    fn apart(&self, script: &str) -> Result<Output> {
        let mut shell = self.program("exec unshare --mount --net sh -ec \"$SCRIPT\"");
        Ok(shell.env("SCRIPT", script).output()?)
    }
}

/// The one check of a report.
fn only(output: &Output) -> Result<(String, String)> {
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report: {}", String::from_utf8_lossy(&output.stderr)))?;
    let text = |key: &str| report["checks"][0][key].as_str().unwrap_or_default().to_owned();
    Ok((text("result"), text("message")))
}

fn names_who_holds_a_port() -> Result<()> {
    let home = Home::new()?;
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = held.local_addr()?.port();
    let file = "apiVersion: sandbar.dev/v1alpha1\nkind: Cluster\nspec:\n  ports:\n    http: ";
    home.write("sandbar.yaml", &format!("{file}{port}\n"))?;
    let output = home.program("exec \"$SANDBAR\" doctor port-http --output json").output()?;
    let (result, message) = only(&output)?;
    let holder = format!("(process {})", std::process::id());
    ensure!(result == "failed" && output.status.code() == Some(3), "{result}: {message}");
    ensure!(
        message.starts_with(&format!("port {port} on 127.0.0.1 is taken by")) && message.ends_with(&holder),
        "{message}"
    );
    drop(held);
    let (result, message) = only(&home.program("exec \"$SANDBAR\" doctor port-http --output json").output()?)?;
    ensure!(result == "passed", "{result}: {message}");
    Ok(())
}

fn finds_a_route_that_overlaps() -> Result<()> {
    let home = Home::new()?;
    let up = "ip link set lo up; \"$SANDBAR\" up >/dev/null";
    let doctor = "exec \"$SANDBAR\" doctor subnets --output json";
    let before = home.apart(&format!("{up}; {doctor}"))?;
    ensure!(only(&before)?.0 == "passed", "{before:?}");
    // As of a VPN that is there from now on.
    let vpn =
        "ip link add tunnel type veth peer name other; ip addr add 10.43.7.1/24 dev tunnel; ip link set tunnel up";
    let after = home.apart(&format!("{vpn}; {doctor}"))?;
    let words = "the services of cluster default have 10.43.0.0/16, which overlaps the route 10.43.7.0/24 of tunnel";
    ensure!(only(&after)? == ("warning".to_owned(), words.to_owned()), "{after:?}");
    Ok(())
}

fn finds_a_full_disk_as_up_does() -> Result<()> {
    let home = Home::new()?;
    std::fs::create_dir(home.path("home"))?;
    let full = "mount -t tmpfs -o size=1m tmpfs \"$HOME\"; ip link set lo up";
    let doctor = home.apart(&format!("{full}; exec \"$SANDBAR\" doctor data --output json"))?;
    let (result, message) = only(&doctor)?;
    ensure!(result == "failed" && message.contains("No space left on device"), "{result}: {message}");
    let up = home.apart(&format!("{full}; exec \"$SANDBAR\" up"))?;
    let error = String::from_utf8_lossy(&up.stderr).into_owned();
    ensure!(up.status.code() == Some(3) && error.contains("error: cannot write to"), "{:?}: {error}", up.status);
    ensure!(error.contains("No space left on device"), "{error}");
    ensure!(error.contains("hint: `sandbar doctor data` says more"), "{error}");
    Ok(())
}

fn finds_too_little_memory_as_up_does() -> Result<()> {
    let home = Home::new()?;
    home.write("meminfo", "MemTotal: 4000000 kB\nMemAvailable:  204800 kB\nSwapFree:  102400 kB\n")?;
    let little = "mount --bind meminfo /proc/meminfo; ip link set lo up";
    let up = home.apart(&format!("{little}; exec \"$SANDBAR\" up"))?;
    let error = String::from_utf8_lossy(&up.stderr).into_owned();
    let words = "error: 300 MiB of memory available, a node needs 512 MiB";
    ensure!(up.status.code() == Some(3) && error.contains(words), "{:?}: {error}", up.status);
    let engine = FakeEngine::open(home.path("engine"));
    ensure!(!engine.calls()?.contains_key("create_node"), "something was made");
    // A cluster that runs needs no more.
    let running = home.apart(&format!("ip link set lo up; \"$SANDBAR\" up; {little}; exec \"$SANDBAR\" up"))?;
    ensure!(running.status.success(), "{}", String::from_utf8_lossy(&running.stderr));
    Ok(())
}

fn asks_the_system_for_names() -> Result<()> {
    let home = Home::new()?;
    home.write("nsswitch.conf", "hosts: files\n")?;
    let doctor = |hosts: &str| -> Result<(String, String)> {
        home.write("hosts", hosts)?;
        let script = "mount --bind nsswitch.conf /etc/nsswitch.conf; mount --bind hosts /etc/hosts; \
                      exec \"$SANDBAR\" doctor dns --output json";
        let output = home.apart(script)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        only(&output)
    };
    let name = "doctor.default.localhost";
    ensure!(doctor(&format!("127.0.0.1 {name}\n"))?.0 == "passed");
    let (result, message) = doctor(&format!("203.0.113.7 {name}\n"))?;
    ensure!(result == "warning" && message.ends_with("doctor.default.localhost is 203.0.113.7"), "{message}");
    let (result, message) = doctor("127.0.0.1 localhost\n")?;
    ensure!(result == "warning" && message.starts_with("the system does not know"), "{result}: {message}");
    Ok(())
}

/// A Podman service of the test's own, which has less than this process where it is told so.
struct Service {
    process: Child,
    folder: tempfile::TempDir,
}

impl Service {
    fn start(drop: Option<&str>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = format!("unix://{}", folder.path().join("podman.sock").display());
        let mut command = Command::new("setpriv");
        if let Some(capability) = drop {
            let without = format!("-{capability}");
            command.args(["--bounding-set", &without, "--inh-caps", &without]);
        }
        let podman = ["podman", "system", "service", "--time", "0", &address];
        let process = command.args(podman).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let service = Self { process, folder };
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(service.folder.path().join("podman.sock")).is_err() {
            ensure!(begun.elapsed() < PATIENCE, "the service does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(service)
    }

    /// `sandbar doctor` on that service with the real node image.
    fn doctor(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
        let path = |name: &str| self.folder.path().join(name);
        command
            .args(["doctor", "--image", node_image().as_str()])
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear();
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", path("home"))
            .env("SANDBAR_HOME", path("sandbar"));
        command.env("SANDBAR_ENGINE", format!("unix://{}", path("podman.sock").display()));
        command
    }

    /// Containers and volumes of its home.
    fn left(&self) -> Result<Vec<String>> {
        let home = Store::new(Dirs::below(&self.folder.path().join("sandbar"))).home_id();
        let of_home = format!("label={LABEL_HOME}={home}");
        let list = |arguments: &[&str]| -> Result<Vec<String>> {
            let output = Command::new("podman").args(arguments).args(["--filter", &of_home]).output()?;
            ensure!(output.status.success(), "podman {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
        };
        let mut left = list(&["ps", "--all", "--format", "{{.Names}}"])?;
        left.extend(list(&["volume", "ls", "--format", "{{.Name}}"])?);
        Ok(left)
    }

    fn report(&self, arguments: &[&str]) -> Result<(Value, Option<i32>)> {
        let output = self.doctor(arguments).args(["--output", "json"]).output()?;
        let report = serde_json::from_slice(&output.stdout);
        let report = report.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        ensure!(self.left()?.is_empty(), "left: {:?}", self.left()?);
        Ok((report, output.status.code()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = ended {
            eprintln!("a Podman service was not ended: {error}");
        }
    }
}

/// What was found for a code.
fn found(report: &Value, code: &str) -> Result<(String, String)> {
    let check = report["checks"].as_array().and_then(|all| all.iter().find(|check| check["code"] == code));
    let check = check.with_context(|| format!("no {code} in {report}"))?;
    let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
    Ok((text("result"), text("message")))
}

fn finds_an_engine_fit_and_leaves_nothing() -> Result<()> {
    let service = Service::start(None)?;
    let (report, code) = service.report(&[])?;
    ensure!(code == Some(0), "{report:#}");
    // What depends on this machine alone is in other tests.
    for code in [
        "engine-reachable",
        "container-starts",
        "capabilities",
        "mounts",
        "cgroups",
        "limits",
        "sysctls",
        "veth",
        "nftables",
        "clock",
    ] {
        let (result, message) = found(&report, code)?;
        ensure!(result == "passed", "{code}: {result}: {message}");
    }
    // A limit is the container's, too.
    let file = "apiVersion: sandbar.dev/v1alpha1\nkind: Cluster\nspec:\n  resources:\n    memory: 512Mi\n";
    std::fs::File::create(service.folder.path().join("sandbar.yaml"))?.write_all(file.as_bytes())?;
    let (report, _) = service.report(&["memory"])?;
    let words = "512 MiB of memory available, which leaves little room for pods";
    ensure!(found(&report, "memory")? == ("warning".to_owned(), words.to_owned()), "{report:#}");
    Ok(())
}

fn finds_what_an_engine_lacks() -> Result<()> {
    let service = Service::start(Some("sys_ptrace"))?;
    let (report, code) = service.report(&["container-starts", "capabilities"])?;
    let words = "CAP_SYS_PTRACE is missing: the namespaces of pods cannot be entered";
    ensure!(found(&report, "container-starts")?.0 == "passed", "{report:#}");
    ensure!(found(&report, "capabilities")? == ("failed".to_owned(), words.to_owned()), "{report:#}");
    ensure!(code == Some(3), "exit code {code:?}");
    // Without this one not even the container's own network can be made.
    drop(service);
    let service = Service::start(Some("net_admin"))?;
    let (report, code) = service.report(&["container-starts", "veth"])?;
    let results = (found(&report, "container-starts")?.0, found(&report, "veth")?.0);
    ensure!(
        code == Some(3)
            && [("failed", "skipped"), ("passed", "failed")].contains(&(results.0.as_str(), results.1.as_str())),
        "{report:#}"
    );
    Ok(())
}

fn leaves_nothing_when_it_is_interrupted() -> Result<()> {
    let service = Service::start(None)?;
    let mut doctor = service.doctor(&["container-starts"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let begun = Instant::now();
    // From its lock on it makes the container.
    let locks = service.folder.path().join("sandbar/data/locks");
    let locked = |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    while !locked(&locks) {
        ensure!(begun.elapsed() < PATIENCE, "it takes no lock");
        if let Some(status) = doctor.try_wait()? {
            bail!("it was over before: {status}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(doctor.id())?).context("no such process")?;
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let status = doctor.wait()?;
    ensure!(status.code() == Some(130), "{status}");
    ensure!(service.left()?.is_empty() && !locked(&locks), "left: {:?}", service.left()?);
    Ok(())
}
