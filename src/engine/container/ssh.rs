//! An engine behind SSH: its API and the ports of its nodes come here through one connection of the user's own `ssh`, with all
//! that his settings, agent and known hosts say.
//!
//! The connection is a master (`ssh -M`, ssh(1)) in the background with a folder of its own: its control socket, a socket that
//! leads to the engine's, and a file for each node whose ports it brings here. Whoever finds it dead begins it anew with all
//! of them. It outlives the commands as long as there are such nodes; the last command without any ends it.

mod address;
mod words;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub(super) use self::address::Address;
use crate::engine::SshProblem;
use crate::env::Env;
use crate::error::chain;
use crate::platform::Platform;
use crate::process::{ProcessError, Program};

/// How long the connection may take, with all that the host asks.
const CONNECT: Duration = Duration::from_secs(30);
/// How long a word with the master or one on the host may take.
const WORD: Duration = Duration::from_secs(10);
/// How long to wait for another command that opens the connection.
const LOCK: Duration = Duration::from_secs(40);
/// How the files are called that say whose ports come here.
const FOR: &str = "for-";

/// The connection to a host, as long as one of these lives or ports come through it.
pub(super) struct Line {
    ssh: Program,
    address: Address,
    folder: PathBuf,
    /// Locked by all that use the connection.
    users: Option<File>,
}

impl Line {
    /// The connection to that host, opened now if there is none. `engine` says which sockets are usual.
    pub async fn open(
        address: &Address,
        engine: &str,
        run: &Path,
        env: &Env,
        platform: &dyn Platform,
    ) -> Result<Self, SshProblem> {
        if !platform.shares_ssh() {
            return Err(SshProblem::NotShared);
        }
        let program =
            which::which_in("ssh", env.path.as_ref(), Path::new("/")).map_err(|_| SshProblem::NotInstalled)?;
        let digest = Sha256::digest(address.to_string());
        let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let folder = run.join(format!("ssh-{digest}"));
        let ssh = Program::new(program).envs(env.all.iter().map(|(name, value)| (name, value)));
        let mut line = Self { ssh, address: address.clone(), folder, users: None };
        let failed = |error: std::io::Error| SshProblem::Failed { words: error.to_string() };
        // Whoever ends the connection holds this lock alone, and takes the folder along.
        loop {
            platform.create_private_dir(&line.folder).map_err(failed)?;
            let path = line.folder.join("users");
            let file = File::create(&path).map_err(failed)?;
            let users = locked(file, File::lock_shared).await.map_err(failed)?;
            if platform.is_same_file(&users, &path).map_err(failed)? {
                line.users = Some(users);
                break;
            }
        }
        let opening = File::create(line.folder.join("opening")).map_err(failed)?;
        let opening = locked(opening, File::lock).await.map_err(failed)?;
        if line.control("check", &[]).await.is_err() {
            line.begin(engine).await?;
        }
        drop(opening);
        Ok(line)
    }

    /// The socket here that leads to the engine's.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("engine")
    }

    /// The path of the engine's own socket on its host.
    pub fn far_socket(&self) -> String {
        fs_err::read_to_string(self.folder.join("socket")).unwrap_or_default()
    }

    /// Whether the ports of a node come here.
    pub fn has(&self, node: &str) -> bool {
        self.note(node).exists()
    }

    /// Brings ports of a node here: `ADDRESS:PORT:HOST:PORT` each, as ssh(1) has them. They stay until [`Line::cancel`].
    pub async fn forward(&self, node: &str, ports: &[String]) -> Result<(), SshProblem> {
        // First the note, so that whoever comes after a crash knows of them.
        fs_err::write(self.note(node), ports.join("\n"))
            .map_err(|error| SshProblem::Failed { words: error.to_string() })?;
        let Err(error) = self.control("forward", ports).await else { return Ok(()) };
        self.cancel(node).await;
        Err(SshProblem::Forward { words: self.last_words(&error) })
    }

    /// Lets ports of a node come here no more; what does not, is fine.
    pub async fn cancel(&self, node: &str) {
        let Ok(text) = fs_err::read_to_string(self.note(node)) else { return };
        for port in text.lines() {
            if let Err(error) = self.control("cancel", &[port.to_owned()]).await {
                tracing::debug!(%error, port, "was not forwarded");
            }
        }
        if let Err(error) = fs_err::remove_file(self.note(node)) {
            tracing::debug!(%error, "nobody's ports");
        }
    }

    /// The nodes whose ports come here.
    pub fn nodes(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix(FOR)?.to_owned())).collect()
    }

    /// Why the engine's socket does not answer through a connection that is there, if that can be told.
    pub async fn explain(&self) -> Option<SshProblem> {
        let path = self.far_socket();
        let script = format!("test -S {path} || echo missing; test -w {path} || echo denied");
        let said = self.on_host(&script).await.inspect_err(|error| tracing::debug!(%error, "not explained")).ok()?;
        if said.contains("missing") {
            return Some(SshProblem::NoSocket { path });
        }
        if said.contains("denied") {
            return Some(SshProblem::SocketDenied { path });
        }
        let log = fs_err::read_to_string(self.log()).unwrap_or_default();
        log.contains("administratively prohibited").then(|| SshProblem::Forward { words: words::last(&log) })
    }

    /// Begins the connection, which goes on in the background, and brings here what is to come.
    async fn begin(&self, engine: &str) -> Result<(), SshProblem> {
        let failed = |error: std::io::Error| SshProblem::Failed { words: error.to_string() };
        for name in ["control", "engine"] {
            match fs_err::remove_file(self.folder.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        let log = File::create(self.log()).map_err(failed)?;
        let options = [
            "BatchMode=yes",
            "ConnectTimeout=10",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=3",
            "StreamLocalBindUnlink=yes",
            // What the user's settings do for his own sessions to that host.
            "ClearAllForwardings=yes",
            "ControlPersist=no",
            "ForwardAgent=no",
            "ForwardX11=no",
            "PermitLocalCommand=no",
            "RemoteCommand=none",
        ];
        let options = options.into_iter().flat_map(|option| ["-o", option]);
        let master = self.ssh.clone().args(["-M", "-N", "-f"]).arg("-S").arg(self.folder.join("control"));
        let master = master.args(options).args(self.address.arguments()).deadline(CONNECT);
        if let Err(error) = master.launch(log).await {
            let log = fs_err::read_to_string(self.log()).unwrap_or_default();
            return Err(words::problem(&log, &self.address.host).unwrap_or_else(|| SshProblem::Failed {
                words: if log.trim().is_empty() { chain(&error) } else { words::last(&log) },
            }));
        }
        let socket = match &self.address.socket {
            Some(path) => path.clone(),
            None => self.find_socket(engine).await?,
        };
        fs_err::write(self.folder.join("socket"), &socket).map_err(failed)?;
        let there = format!("{}:{socket}", self.socket().display());
        if let Err(error) = self.control("forward", &[there]).await {
            return Err(SshProblem::Forward { words: self.last_words(&error) });
        }
        for node in self.nodes() {
            let ports = fs_err::read_to_string(self.note(&node)).map_err(failed)?;
            let ports: Vec<String> = ports.lines().map(str::to_owned).collect();
            // Whoever wants that node is told when he asks for it again.
            if let Err(problem) = self.forward(&node, &ports).await {
                tracing::warn!(%problem, node, "its ports are not brought here");
            }
        }
        Ok(())
    }

    /// Where the host's engine has its socket, of the usual places.
    async fn find_socket(&self, engine: &str) -> Result<String, SshProblem> {
        let docker = "/var/run/docker.sock /run/user/$(id -u)/docker.sock";
        let podman = "/run/user/$(id -u)/podman/podman.sock /run/podman/podman.sock";
        let places = match engine {
            "podman" => podman.to_owned(),
            "docker" => docker.to_owned(),
            _ => format!("{podman} {docker}"),
        };
        let script = format!("for s in {places}; do if test -S $s && test -w $s; then echo $s; break; fi; done");
        let said = self.on_host(&script).await.map_err(|error| SshProblem::Failed { words: chain(&error) })?;
        // Settings of the shell there may say something before.
        let found = said.lines().rev().find(|line| line.starts_with('/')).map(str::to_owned);
        found.ok_or_else(|| SshProblem::NoSocket { path: places.replace("$(id -u)", "UID").replace(' ', " or ") })
    }

    /// What a script says that runs on the host, through the connection.
    async fn on_host(&self, script: &str) -> Result<String, ProcessError> {
        let run = self.slave().args(self.address.arguments()).arg(format!("exec sh -c '{script}'"));
        Ok(String::from_utf8_lossy(&run.deadline(WORD).output().await?.stdout).into_owned())
    }

    /// Tells the master something about forwards.
    async fn control(&self, command: &str, forwards: &[String]) -> Result<(), ProcessError> {
        let forwards = forwards.iter().flat_map(|forward| ["-L", forward]);
        let word = self.slave().args(["-O", command]).args(forwards).args(self.address.arguments());
        word.deadline(WORD).output().await.map(drop)
    }

    /// `ssh` for what goes through the master; settings were for the connection.
    fn slave(&self) -> Program {
        self.ssh.clone().args(["-F", "none", "-o", "BatchMode=yes", "-S"]).arg(self.folder.join("control"))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn note(&self, node: &str) -> PathBuf {
        self.folder.join(format!("{FOR}{node}"))
    }

    /// What the master says of a forward that failed, or else who asked for it.
    fn last_words(&self, error: &ProcessError) -> String {
        let log = words::last(&fs_err::read_to_string(self.log()).unwrap_or_default());
        if log.is_empty() { chain(error) } else { log }
    }

    /// Ends the connection, if nobody needs it.
    fn end(&self) -> std::io::Result<()> {
        let file = File::create(self.folder.join("users"))?;
        // Somebody uses it, and ends it when he is the last.
        if file.try_lock().is_err() || !self.nodes().is_empty() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        if let Err(error) = runtime.block_on(self.control("exit", &[])) {
            tracing::debug!(%error, "the connection had ended");
        }
        std::fs::remove_dir_all(&self.folder)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.users.take());
        // On a thread of its own: this one may be in the middle of a runtime, which cannot wait.
        let ended = std::thread::scope(|scope| scope.spawn(|| self.end()).join());
        if let Ok(Err(error)) = ended {
            tracing::debug!(%error, "the connection may go on");
        }
    }
}

/// A file once it is locked.
async fn locked(file: File, lock: fn(&File) -> std::io::Result<()>) -> std::io::Result<File> {
    let waiting = tokio::task::spawn_blocking(move || lock(&file).map(|()| file));
    let words = "another sandbar has been opening the connection for too long";
    let late = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, words);
    tokio::time::timeout(LOCK, waiting).await.map_err(late)?.map_err(std::io::Error::other)?
}
