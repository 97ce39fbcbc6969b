//! The one cluster of a test suite, and what a user has at hand: the CLI, an ordinary kubectl, an HTTP client, the engine's own.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use sandbar::platform::native;
use serde_json::Value;

use crate::engine::Engine;
use crate::{CLUSTER, NODE};

/// How long anything may take that is awaited.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// What a step of the walk ends with.
pub type Outcome<T = ()> = Result<T, String>;

/// The surroundings of a suite, whose cluster is called [`CLUSTER`] and its container [`NODE`].
pub struct Suite {
    home: tempfile::TempDir,
    engine: Engine,
    /// The report of the first `up`, or why there is none.
    up: OnceLock<Outcome<Value>>,
    kubectl: OnceLock<Outcome<PathBuf>>,
    /// Whether a step failed: those after it would only fail slowly.
    failed: AtomicBool,
}

impl Suite {
    /// The surroundings on that engine, or why this machine has not what it needs.
    pub fn new(engine: &str) -> Outcome<Self> {
        let engine = Engine::with_image(engine, &Self::image())?;
        let home = tempfile::tempdir().map_err(|error| error.to_string())?;
        Ok(Self { home, engine, up: OnceLock::new(), kubectl: OnceLock::new(), failed: AtomicBool::new(false) })
    }

    /// Goes a step, unless one before it failed.
    pub fn step(&self, step: impl FnOnce(&Self) -> Outcome) -> Outcome {
        if self.failed.swap(true, Ordering::Relaxed) {
            return Err("a step before it failed".to_owned());
        }
        // A panic leaves it set.
        step(self)?;
        self.failed.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// The node image of this version.
    pub fn image() -> String {
        format!("localhost/sandbar-node:{}", env!("CARGO_PKG_VERSION"))
    }

    /// The user's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.home.path().join("kube/config")
    }

    /// A folder for what a user would have in his own.
    pub fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let folder = self.home.path().join(name);
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        Ok(folder)
    }

    /// The cluster: the first one who asks makes it.
    pub fn up(&self) -> Outcome<&Value> {
        self.up_as(&[])
    }

    /// The cluster: the first one who asks makes it, with these arguments, too.
    pub fn up_as(&self, more: &[&str]) -> Outcome<&Value> {
        let report = self.up.get_or_init(|| {
            self.sandbar(["rm", CLUSTER, "--yes"])?;
            let fixed = ["up", CLUSTER, "--output", "json", "--timeout", "3m"];
            json(&self.sandbar(fixed.iter().chain(more))?)
        });
        report.as_ref().map_err(|error| format!("there is no cluster: {error}"))
    }

    /// Where the ingress answers on this host.
    pub fn http(&self) -> Outcome<SocketAddr> {
        let url = text(self.up()?, "/addresses/http")?;
        let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(80);
        Ok((Ipv4Addr::LOCALHOST, port).into())
    }

    /// Runs the CLI, which has to end with 0, and returns what it printed.
    pub fn sandbar<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome<String> {
        succeed(self.command(env!("CARGO_BIN_EXE_sandbar")).args(arguments))
    }

    /// Runs the CLI and returns how it ended.
    pub fn sandbar_output<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome<Output> {
        output(self.command(env!("CARGO_BIN_EXE_sandbar")).args(arguments))
    }

    /// Runs an ordinary kubectl on this host with the user's kubeconfig.
    pub fn kubectl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome<String> {
        succeed(self.kubectl_command()?.args(arguments))
    }

    /// kubectl of the node's Kubernetes version: the node image has it, and it runs anywhere.
    pub fn kubectl_command(&self) -> Outcome<Command> {
        let program = self.kubectl.get_or_init(|| {
            let folder = self.folder("bin")?;
            self.copy_from_image("/usr/bin/sandbar-node", &folder.join("sandbar-node"))?;
            let link = folder.join("kubectl");
            symlink("sandbar-node", &link).map_err(|error| error.to_string())?;
            Ok(link)
        });
        Ok(self.command(program.as_ref().map_err(Clone::clone)?))
    }

    /// Copies a file out of the node image.
    pub fn copy_from_image(&self, from: &str, to: &Path) -> Outcome {
        let made = self.client_ok(["create", "--entrypoint", "/nothing", &Self::image()])?;
        let container = made.trim();
        let copied = self.client_ok(["cp", &format!("{container}:{from}"), &path(to)]);
        // The image declares a volume, which the engine makes for a container without one.
        self.client_ok(["rm", "--volumes", container])?;
        copied.map(drop)
    }

    /// Runs the engine's own client and returns how it ended.
    pub fn client<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome<Output> {
        output(self.command(self.engine.client()).args(arguments))
    }

    /// Runs the engine's own client, which has to end with 0, and returns what it printed.
    pub fn client_ok<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome<String> {
        succeed(self.command(self.engine.client()).args(arguments))
    }

    /// Names of everything of this cluster that the engine has.
    pub fn resources(&self) -> Outcome<Vec<String>> {
        let mut names = Vec::new();
        for kind in [&["ps", "--all"][..], &["volume", "ls"], &["network", "ls"]] {
            let form = if kind[0] == "ps" { "{{.Names}}" } else { "{{.Name}}" };
            let listed = self.client_ok(kind.iter().copied().chain(["--format", form]))?;
            names
                .extend(listed.lines().filter(|name| name.contains(CLUSTER)).map(|name| format!("{} {name}", kind[0])));
        }
        Ok(names)
    }

    /// Waits until a node says that it is healthy, and fails with what it waits for.
    pub fn healthy(&self, node: &str) -> Outcome {
        eventually("the node is healthy", || {
            let status = ["exec", node, "/usr/bin/sandbarctl", "status", "--wait", "healthy", "--timeout", "60s"];
            let output = self.client(status)?;
            if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stdout).into_owned()) }
        })
    }

    /// Ends a process in the node by its name, as the kernel would when memory is short.
    pub fn kill_in_node(&self, program: &str) -> Outcome {
        let script = format!(
            "n=0; for p in /proc/[0-9]*; do read -r c <$p/comm && [ \"$c\" = {program} ] && kill -9 \"${{p#/proc/}}\" \
             && n=1; done 2>/dev/null; [ $n = 1 ]"
        );
        self.client_ok(["exec", NODE, "/bin/sh", "-c", &script]).map(drop)
    }

    /// Writes objects one after the other while something happens, which begins once a few were acknowledged; their
    /// names, as far as they were.
    pub fn writing(&self, prefix: &str, happens: impl FnOnce() -> Outcome) -> Outcome<Vec<String>> {
        let over = AtomicBool::new(false);
        let acknowledged = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let (tell, told) = std::sync::mpsc::channel();
            let (over, acknowledged) = (&over, &acknowledged);
            scope.spawn(move || {
                for number in 0.. {
                    let name = format!("{prefix}-{number}");
                    if self.kubectl(["--request-timeout=10s", "create", "configmap", &name]).is_ok() {
                        acknowledged.lock().unwrap().push(name);
                        // Nobody listens any more once it happens.
                        let _ = tell.send(());
                    }
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            // The writer ends however this ends.
            let _over = Over(over);
            if (0..3).all(|_| told.recv_timeout(PATIENCE).is_ok()) {
                happens()
            } else {
                Err("nothing is acknowledged".to_owned())
            }
        })?;
        acknowledged.into_inner().map_err(|error| error.to_string())
    }

    /// Makes sure that objects are there.
    pub fn has(&self, names: &[String]) -> Outcome {
        let found = self.kubectl(["get", "configmap", "--output", "name"])?;
        let found: Vec<&str> = found.lines().filter_map(|line| line.rsplit('/').next()).collect();
        let lost: Vec<_> = names.iter().filter(|name| !found.contains(&name.as_str())).collect();
        if lost.is_empty() { Ok(()) } else { Err(format!("lost {lost:?} of {}", names.len())) }
    }

    /// A small disk: a file system in memory, which goes with the value.
    pub fn disk(&self, name: &str, mebibytes: u32) -> Outcome<Disk> {
        let folder = self.folder(name)?;
        let size = format!("size={mebibytes}m");
        succeed(self.command("/bin/mount").args(["-t", "tmpfs", "-o", &size, "tmpfs", &path(&folder)]))?;
        Ok(Disk(folder))
    }

    /// A command with the user's surroundings and nothing of this process' own.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.home.path())
            .env("SANDBAR_HOME", self.home.path().join("sandbar"))
            .env("KUBECONFIG", self.kubeconfig())
            .envs(self.engine.environment())
            .stdin(Stdio::null());
        command
    }

    /// Builds the example's image as its README says.
    pub fn build_hello(&self, name: &str) -> Outcome {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hello");
        let folder = self.folder("hello")?;
        let program = folder.join("hello");
        // Go's caches are the developer's own, or each run would compile the standard library.
        let mut go = Command::new("go");
        go.current_dir(&example).env("CGO_ENABLED", "0").args(["build", "-o", &path(&program), "."]);
        succeed(&mut go)?;
        fs::copy(example.join("Containerfile"), folder.join("Containerfile")).map_err(|error| error.to_string())?;
        self.build(&folder, name)
    }

    /// Builds an image with a shell and its tools: the node's own, which need no library.
    pub fn build_tools(&self, name: &str) -> Outcome {
        let words = |error: std::io::Error| error.to_string();
        let folder = self.folder("tools")?;
        let bin = folder.join("bin");
        fs::create_dir_all(&bin).map_err(words)?;
        fs::create_dir_all(folder.join("tmp")).map_err(words)?;
        self.copy_from_image("/usr/bin/busybox", &bin.join("busybox"))?;
        for applet in ["sh", "cat", "echo", "nc", "tar", "sleep"] {
            let link = bin.join(applet);
            if !link.is_symlink() {
                symlink("busybox", &link).map_err(words)?;
            }
        }
        fs::write(folder.join("Containerfile"), "FROM scratch\nCOPY bin /bin\nCOPY tmp /tmp\n").map_err(words)?;
        self.build(&folder, name)
    }

    /// Builds an image out of a folder with a `Containerfile`.
    pub fn build(&self, folder: &Path, name: &str) -> Outcome {
        let file = path(&folder.join("Containerfile"));
        let mut arguments = ["build", "--quiet", "-t", name, "-f", &file].map(str::to_owned).to_vec();
        // Podman's own default may be above what it may set.
        if let Some(hard) = native().limits().open_files.hard {
            arguments.push(format!("--ulimit=nofile={hard}:{hard}"));
        }
        arguments.push(path(folder));
        self.client_ok(arguments).map(drop)
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        if self.up.get().is_some()
            && let Err(error) = self.sandbar(["rm", CLUSTER, "--yes"])
        {
            eprintln!("the cluster {CLUSTER} is left: {error}");
        }
    }
}

/// Tries until it works or patience is at an end; the error is the last one.
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Outcome<T>) -> Outcome<T> {
    let started = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if started.elapsed() > PATIENCE => {
                return Err(format!("waited {PATIENCE:?} until {what}: {error}"));
            }
            // Another program's state; there is nothing to be told by.
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Says that something is over when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A small disk, mounted at its folder.
pub struct Disk(pub PathBuf);

impl Disk {
    /// Fills it to its last byte; what is returned takes the room when it is removed.
    pub fn fill(&self) -> Outcome<PathBuf> {
        let file = self.0.join("filler");
        let mut filler = fs::File::create(&file).map_err(|error| error.to_string())?;
        let zeros = vec![0; 1 << 16];
        loop {
            match filler.write_all(&zeros) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(file),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = succeed(Command::new("/bin/umount").arg("--lazy").arg(&self.0)) {
            eprintln!("{error}");
        }
    }
}

/// Runs a program with an input.
pub fn with_input(command: &mut Command, input: &[u8]) -> Outcome<Output> {
    let words = |error: std::io::Error| error.to_string();
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(words)?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let output = child.wait_with_output().map_err(words)?;
    // A program that does not want its input ends before it has it.
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(words(error)),
        _ => Ok(output),
    }
}

fn output(command: &mut Command) -> Outcome<Output> {
    command.output().map_err(|error| format!("cannot run {command:?}: {error}"))
}

fn succeed(command: &mut Command) -> Outcome<String> {
    let output = output(command)?;
    check(command, &output)
}

fn check(command: &Command, output: &Output) -> Outcome<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        Err(format!("{words:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)))
    }
}

/// A path of this suite, all of which are text.
pub fn path(path: &Path) -> String {
    path.display().to_string()
}

/// A report.
pub fn json(text: &str) -> Outcome<Value> {
    serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))
}

/// A text in a report.
pub fn text<'a>(report: &'a Value, pointer: &str) -> Outcome<&'a str> {
    report.pointer(pointer).and_then(Value::as_str).ok_or_else(|| format!("no {pointer} in {report}"))
}

/// `GET /` of a host behind the ingress: the body of an answer with status 200.
pub fn get(socket: SocketAddr, host: &str) -> Outcome<String> {
    let words = |error: std::io::Error| format!("GET http://{host} at {socket}: {error}");
    let mut stream = TcpStream::connect_timeout(&socket, Duration::from_secs(5)).map_err(words)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(words)?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").map_err(words)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(words)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {answer:?}"))?;
    if head.split(' ').nth(1) == Some("200") {
        Ok(body.to_owned())
    } else {
        Err(format!("GET http://{host}: {answer}"))
    }
}
