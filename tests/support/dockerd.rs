//! A Docker engine of the tests' own: a private `dockerd` with its own data, state, socket and containerd, which touches
//! nothing of a Docker that runs on this host, and is gone afterwards.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sandbar::platform::native;

/// How long it may take until its API answers, its containerd included.
const START: Duration = Duration::from_mins(1);
/// How long it may take to end; it gives containers that still run 15 s.
const END: Duration = Duration::from_secs(40);
/// How long an attempt at its API may take.
const ASK: Duration = Duration::from_secs(2);
/// How often is looked. `dockerd` tells nobody but systemd that it is there.
const PAUSE: Duration = Duration::from_millis(20);
/// Where `dockerd` and what it runs are, also for a user whose path lacks the superuser's folders.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a private `dockerd` must not do: a bridge under the usual name, and rules in the host's firewall, are those of a
/// Docker that runs here already. Published ports work without, by `docker-proxy`, as loopback's do anyhow.
const APART: [&str; 3] = ["--bridge=none", "--iptables=false", "--ip-forward=false"];

/// A running `dockerd`.
pub struct Dockerd {
    program: PathBuf,
    process: Child,
    client: PathBuf,
    place: Place,
    folder: tempfile::TempDir,
}

/// Where it is, if not on this machine's own network.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// A network namespace.
    pub namespace: Option<String>,
    /// A folder with the certificates that it shows and wants to see at port 2376.
    pub certificates: Option<PathBuf>,
}

impl Dockerd {
    /// Starts one and waits until it answers; the error says why this machine cannot.
    #[allow(dead_code, reason = "not every suite has it here")]
    pub fn start() -> Result<Self, String> {
        Self::start_at(Place::default())
    }

    /// The same at another place.
    pub fn start_at(place: Place) -> Result<Self, String> {
        let program = find("dockerd").ok_or("dockerd is not installed")?;
        let client = find("docker").ok_or("docker, the client, is not installed")?;
        if !native().is_superuser() {
            return Err("only the superuser may start dockerd".to_owned());
        }
        let words = |error: std::io::Error| error.to_string();
        let folder = tempfile::Builder::new().prefix("sandbar-dockerd-").tempdir().map_err(words)?;
        let process = spawn(&program, &place, folder.path()).map_err(words)?;
        // From here on it is ended whatever happens.
        let mut engine = Self { program, process, client, place, folder };
        engine.wait_until_it_answers()?;
        Ok(engine)
    }

    /// Ends it as a crash would, its containerd with it; containers live on.
    #[allow(dead_code, reason = "not every suite breaks it")]
    pub fn kill(&mut self) -> Result<(), String> {
        self.process.kill().and_then(|()| self.process.wait()).map(drop).map_err(|error| error.to_string())
    }

    /// Ends it as the system does when it shuts down.
    #[allow(dead_code, reason = "not every suite breaks it")]
    pub fn stop(&mut self) -> Result<(), String> {
        self.end()
    }

    /// Starts it again after its end, with all that it had.
    #[allow(dead_code, reason = "not every suite breaks it")]
    pub fn start_again(&mut self) -> Result<(), String> {
        let words = |error: std::io::Error| error.to_string();
        // A first process that does not reap what it inherits leaves the old containerd as a zombie, which dockerd takes
        // for one that lives.
        match std::fs::remove_file(self.folder.path().join("run/containerd/containerd.pid")) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(words(error)),
            _ => {}
        }
        self.process = spawn(&self.program, &self.place, self.folder.path()).map_err(words)?;
        self.wait_until_it_answers()
    }

    /// Where its API is.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The client that was installed with it; one of another version may not speak to it.
    pub fn client(&self) -> &Path {
        &self.client
    }

    /// What a user of it has in the environment, and settings that are nobody's.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let config = self.folder.path().join("config").display().to_string();
        [("DOCKER_HOST", self.address()), ("DOCKER_CONFIG", config)]
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let reason = match ping(&self.socket()) {
                Ok(()) => return Ok(()),
                Err(reason) => reason,
            };
            if let Some(status) = self.process.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("dockerd ended with {status}: {}", self.last_words()));
            }
            if begun.elapsed() > START {
                return Err(format!("dockerd did not answer within {START:?} ({reason}): {}", self.last_words()));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The last line of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().last().unwrap_or("it said nothing").to_owned()
    }

    /// Removes what a test that failed has left: a network's bridge would outlive its `dockerd`.
    fn clear(&mut self) -> Result<(), String> {
        if self.process.try_wait().map_err(|error| error.to_string())?.is_some() {
            return Ok(());
        }
        let run = |arguments: &[&str]| {
            let output = Command::new(&self.client).args(arguments).envs(self.environment()).output();
            let output = output.map_err(|error| error.to_string())?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            Err(format!("docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
        };
        let containers = run(&["ps", "--all", "--quiet"])?;
        for container in containers.lines() {
            run(&["rm", "--force", "--volumes", container])?;
        }
        run(&["network", "prune", "--force"]).map(drop)
    }

    fn end(&mut self) -> Result<(), String> {
        let words = |error: std::io::Error| error.to_string();
        if self.process.try_wait().map_err(words)?.is_none() {
            let process = rustix::process::Pid::from_child(&self.process);
            rustix::process::kill_process(process, rustix::process::Signal::TERM).map_err(|error| error.to_string())?;
        }
        let begun = Instant::now();
        while self.process.try_wait().map_err(words)?.is_none() {
            if begun.elapsed() > END {
                self.process.kill().map_err(words)?;
                self.process.wait().map_err(words)?;
                return Err(format!("dockerd did not end within {END:?}"));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Ends containers that a `dockerd` which did not end well leaves: their shims, which name its folder, and what those
    /// have started.
    fn end_containers(&self) -> Result<(), String> {
        let processes = std::fs::read_dir("/proc").map_err(|error| error.to_string())?;
        let all: Vec<i32> = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        // What ends meanwhile has no files any more.
        let read = |process: i32, file: &str| std::fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
        let folder = self.folder.path().display().to_string();
        let is_ours = |process: &i32| String::from_utf8_lossy(&read(*process, "cmdline")).contains(&folder);
        let shims: Vec<i32> = all.iter().copied().filter(is_ours).collect();
        let parent = |process: i32| {
            let status = String::from_utf8_lossy(&read(process, "status")).into_owned();
            status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<i32>().ok())
        };
        let children = all.iter().copied().filter(|process| parent(*process).is_some_and(|it| shims.contains(&it)));
        let left: Vec<i32> = children.chain(shims.iter().copied()).collect();
        for process in left.iter().copied().filter_map(rustix::process::Pid::from_raw) {
            match rustix::process::kill_process(process, rustix::process::Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(format!("process {process:?}: {error}")),
            }
        }
        if left.is_empty() { Ok(()) } else { Err(format!("its containers had to be killed: {left:?}")) }
    }

    /// Unmounts what a `dockerd` that did not end well leaves below its folder.
    fn unmount(&self) -> Result<(), String> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let ours: Vec<&str> = points.filter(|point| Path::new(point).starts_with(self.folder.path())).collect();
        for point in ours.into_iter().rev() {
            let status = Command::new("umount").args(["--lazy", point]).env("PATH", PATH).status();
            let status = status.map_err(|error| error.to_string())?;
            if !status.success() {
                return Err(format!("{point} is still mounted"));
            }
        }
        Ok(())
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        for result in [self.clear(), self.end(), self.end_containers(), self.unmount()] {
            if let Err(error) = result {
                eprintln!("what the tests' dockerd leaves: {error}");
            }
        }
    }
}

/// Starts it so that it does not outlive these tests, however they end (`PR_SET_PDEATHSIG`).
fn spawn(program: &Path, place: &Place, folder: &Path) -> std::io::Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join("log"))?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]);
    if let Some(namespace) = &place.namespace {
        command.arg("nsenter").arg(format!("--net=/run/netns/{namespace}"));
    }
    command.arg(program).args(APART);
    if let Some(certificates) = &place.certificates {
        command.args(["--host", "tcp://0.0.0.0:2376", "--tlsverify"]);
        for (option, name) in [("--tlscacert", "ca.pem"), ("--tlscert", "cert.pem"), ("--tlskey", "key.pem")] {
            command.arg(option).arg(certificates.join(name));
        }
    }
    for (option, name) in [("--data-root", "data"), ("--exec-root", "run"), ("--pidfile", "pid")] {
        command.arg(option).arg(folder.join(name));
    }
    command.arg("--host").arg(format!("unix://{}", folder.join("docker.sock").display()));
    command.env("PATH", PATH).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn()
}

/// A program of the system's own; what stands in `/usr/local` may be of another version than `dockerd`.
fn find(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// Asks the API whether it is there.
fn ping(socket: &Path) -> Result<(), String> {
    let ask = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(ASK))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        if answer.ends_with(b" 200") { Ok(()) } else { Err(std::io::Error::from(ErrorKind::ConnectionRefused)) }
    };
    ask().map_err(|error| error.to_string())
}
