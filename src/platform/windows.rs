//! Windows: the standard library, tokio, winapi-util for the console, and the system's own programs for what is not to be
//! had without unsafe code.

mod terminal;

use std::fs::{File, Metadata};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::windows::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeServer, ServerOptions};
use winapi_util::HandleRef;

use super::ports::overlap;
use super::{Channel, Connection, HostFacts, Interruption, Interruptions, Limit, Limits, Listener};
use super::{Platform, PortHolder, RawMode, Resizes, Route, Usage, Waiting, native};
use crate::engine::TerminalSize;

/// The system's default range (`netsh int ipv4 show dynamicport tcp`).
const EPHEMERAL: RangeInclusive<u16> = 49152..=65535;
/// `DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP` of `CreateProcess`.
const DETACHED: u32 = 0x0000_0208;
/// `CREATE_NEW_PROCESS_GROUP` of `CreateProcess`.
const NEW_GROUP: u32 = 0x0000_0200;

/// `ERROR_PIPE_BUSY` of `winerror.h`: all instances of a pipe are taken.
const PIPE_BUSY: i32 = 231;
/// How often a busy pipe is tried again; `WaitNamedPipe` would block the thread.
const PIPE_INTERVAL: Duration = Duration::from_millis(20);
/// What taskkill ends with where there is no such process.
const NO_SUCH_PROCESS: i32 = 128;

/// `ERROR_ACCESS_DENIED` and `ERROR_SHARING_VIOLATION`: somebody has the file open and does not share it.
const IN_USE: [i32; 2] = [5, 32];
/// How long it is tried to replace a file that somebody has open: kubectl and virus scanners do for a moment.
const RELEASE: Duration = Duration::from_secs(2);
/// How often that is tried; the system does not tell when a file is closed.
const RELEASE_INTERVAL: Duration = Duration::from_millis(10);

/// Puts a program that is going to be started into a process group of its own.
pub fn own_group(command: &mut tokio::process::Command) {
    command.creation_flags(NEW_GROUP);
}

/// Windows.
pub struct Windows;

impl Platform for Windows {
    fn port_holder(&self, address: IpAddr, port: u16) -> Option<PortHolder> {
        let table = output("netstat", &["-a", "-n", "-o"]).ok()?;
        let pid = listener(&table, address, port)?;
        let tasks = output("tasklist", &["/FI", &format!("PID eq {pid}"), "/FO", "CSV", "/NH"]).ok()?;
        Some(PortHolder { pid, program: first_field(&tasks)?, container: None })
    }

    fn ephemeral_ports(&self) -> RangeInclusive<u16> {
        EPHEMERAL
    }

    fn routes(&self) -> io::Result<Vec<Route>> {
        // Engines run in a virtual machine there, which has routes of its own.
        Ok(Vec::new())
    }

    fn uses_xdg(&self) -> bool {
        false
    }

    fn facts(&self) -> HostFacts {
        HostFacts {
            system: "Windows".to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            processors: std::thread::available_parallelism().ok().map(std::num::NonZero::get),
            ..HostFacts::default()
        }
    }

    fn host_names(&self) -> Vec<String> {
        // The environment has it (`COMPUTERNAME`), which is read elsewhere.
        Vec::new()
    }

    fn limits(&self) -> Limits {
        let none = Limit { soft: None, hard: None };
        Limits { open_files: none, processes: none }
    }

    fn runs_containers(&self) -> bool {
        false
    }

    fn boot_id(&self) -> Option<String> {
        // It has the time of its start, and no name for it.
        let answer = run("wmic", &["os", "get", "LastBootUpTime", "/value"]).ok()?;
        let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        Some(text).filter(|text| !text.is_empty())
    }

    fn accelerator(&self) -> Result<&'static str, String> {
        // Whether the Windows Hypervisor Platform is switched on, QEMU finds out.
        Ok("whpx")
    }

    fn available_memory(&self) -> Option<u64> {
        None
    }

    fn is_private(&self, _metadata: &Metadata) -> bool {
        // A user's folder is his alone there.
        true
    }

    fn has_systemd(&self) -> bool {
        false
    }

    fn is_superuser(&self) -> bool {
        false
    }

    fn docker_host(&self) -> &'static str {
        "npipe:////./pipe/docker_engine"
    }

    fn spawn_detached(&self, command: &mut Command) -> io::Result<u32> {
        Ok(command.stdin(Stdio::null()).creation_flags(DETACHED).spawn()?.id())
    }

    fn usage(&self, _process: u32) -> io::Result<Usage> {
        // tasklist tells memory and no times that could be added up.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn kill_group(&self, leader: u32) -> io::Result<()> {
        let killed = run("taskkill", &["/T", "/F", "/PID", &leader.to_string()])?;
        if killed.status.success() || killed.status.code() == Some(NO_SUCH_PROCESS) {
            return Ok(());
        }
        Err(io::Error::other(format!("taskkill: {}", String::from_utf8_lossy(&killed.stderr).trim())))
    }

    fn pass_on(&self, process: u32, request: Interruption) -> io::Result<()> {
        match request {
            // The console sends both to every process that it has.
            Interruption::Interrupt | Interruption::HangUp => Ok(()),
            Interruption::Terminate => self.kill_group(process),
        }
    }

    fn shares_interrupts(&self) -> bool {
        true
    }

    fn shares_ssh(&self) -> bool {
        // Microsoft's OpenSSH has no ControlMaster (https://github.com/PowerShell/Win32-OpenSSH/issues/405).
        false
    }

    fn connect_socket<'a>(&self, _path: &'a Path) -> Waiting<'a, io::Result<Box<dyn Connection>>> {
        let error = io::Error::new(io::ErrorKind::Unsupported, "engines have named pipes on Windows, not UNIX sockets");
        Box::pin(std::future::ready(Err(error)))
    }

    fn connect_pipe<'a>(&self, path: &'a Path) -> Waiting<'a, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            loop {
                match ClientOptions::new().open(path) {
                    Ok(pipe) => return Ok(Box::new(pipe) as Box<dyn Connection>),
                    // Who calls has a deadline.
                    Err(error) if error.raw_os_error() == Some(PIPE_BUSY) => tokio::time::sleep(PIPE_INTERVAL).await,
                    Err(error) => return Err(error),
                }
            }
        })
    }

    fn channel(&self, folder: &Path, name: &str) -> io::Result<Channel> {
        // Pipes have one namespace for the whole machine: the folder makes the name this user's own.
        let mut hasher = Sha256::new();
        hasher.update(folder.as_os_str().as_encoded_bytes());
        let digest = hasher.finalize();
        let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Channel::Pipe(format!("sandbar-{short}-{name}")))
    }

    fn call<'a>(&self, channel: &'a Channel) -> Waiting<'a, io::Result<Box<dyn Connection>>> {
        match channel {
            Channel::Socket(_) => Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into()))),
            Channel::Pipe(name) => {
                let path = Channel::pipe_path(name);
                Box::pin(async move { native().connect_pipe(&path).await })
            }
        }
    }

    fn listen(&self, channel: &Channel) -> io::Result<Box<dyn Listener>> {
        let Channel::Pipe(name) = channel else { return Err(io::ErrorKind::Unsupported.into()) };
        let path = Channel::pipe_path(name);
        let next = ServerOptions::new().first_pipe_instance(true).reject_remote_clients(true).create(&path)?;
        Ok(Box::new(PipeListener { next, path }))
    }

    fn socket_server<'a>(&self, _path: &'a Path) -> Waiting<'a, Option<i32>> {
        Box::pin(std::future::ready(None))
    }

    fn has_pipe(&self, path: &Path) -> bool {
        let Some(name) = path.to_str().and_then(|path| path.strip_prefix("//./pipe/")) else { return false };
        match std::fs::read_dir(r"\\.\pipe\") {
            Ok(pipes) => pipes.flatten().any(|pipe| pipe.file_name().eq_ignore_ascii_case(name)),
            // Where they cannot be listed it is opened, which takes an instance of it from its server for a moment.
            Err(_) => match File::options().read(true).write(true).open(path) {
                Ok(_) => true,
                Err(error) => error.raw_os_error() == Some(PIPE_BUSY),
            },
        }
    }

    fn allow_escapes(&self) -> bool {
        terminal::allow_escapes()
    }

    fn terminal_size(&self) -> Option<TerminalSize> {
        terminal::size()
    }

    fn raw_mode(&self) -> io::Result<Box<dyn RawMode>> {
        Ok(Box::new(terminal::Raw::enter()?))
    }

    fn resizes(&self) -> io::Result<Box<dyn Resizes>> {
        Ok(Box::new(terminal::SizeChanges::from_now()))
    }

    fn interruptions(&self) -> io::Result<Box<dyn Interruptions>> {
        Ok(Box::new(Requests {
            interrupt: tokio::signal::windows::ctrl_c()?,
            stop: tokio::signal::windows::ctrl_break()?,
            close: tokio::signal::windows::ctrl_close()?,
        }))
    }

    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        // The access rights of the user's profile are inherited, which let nobody else in but administrators.
        std::fs::create_dir_all(path)
    }

    fn is_writable(&self, _path: &Path, metadata: &Metadata) -> bool {
        !metadata.permissions().readonly()
    }

    fn give_file(&self, _file: &File, _replaced: Option<&Metadata>, _folder: &Path) -> io::Result<()> {
        // A new file is whose process made it, and has the rights of its folder.
        Ok(())
    }

    fn is_same_file(&self, file: &File, path: &Path) -> io::Result<bool> {
        let named = match File::open(path) {
            Ok(named) => named,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let identity = |file: &File| {
            let about = winapi_util::file::information(HandleRef::from_file(file))?;
            Ok::<_, io::Error>((about.volume_serial_number(), about.file_index()))
        };
        Ok(identity(file)? == identity(&named)?)
    }

    fn replace(&self, draft: NamedTempFile, path: &Path) -> io::Result<()> {
        let begun = Instant::now();
        let mut draft = draft;
        loop {
            let refused = match draft.persist(path) {
                Ok(_) => return Ok(()),
                Err(refused) => refused,
            };
            let in_use = refused.error.raw_os_error().is_some_and(|code| IN_USE.contains(&code));
            if !in_use || begun.elapsed() >= RELEASE {
                return Err(refused.error);
            }
            draft = refused.file;
            std::thread::sleep(RELEASE_INTERVAL);
        }
    }

    fn free_space(&self, _folder: &Path) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn next_data(&self, file: &File, from: u64) -> io::Result<Option<u64>> {
        // Holes are read as the zeroes that they are.
        Ok((from < file.metadata()?.len()).then_some(from))
    }

    // NTFS has them (FSCTL_SET_ZERO_DATA), behind unsafe code alone.
    fn makes_holes(&self) -> bool {
        false
    }

    fn make_hole(&self, _file: &File, _at: u64, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        // NTFS journals names; a folder cannot be opened to be synced.
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "the system's own programs, run where nothing can be awaited")]
fn run(program: &str, arguments: &[&str]) -> io::Result<std::process::Output> {
    Command::new(program).args(arguments).stdin(Stdio::null()).output()
}

fn output(program: &str, arguments: &[&str]) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&run(program, arguments)?.stdout).into_owned())
}

/// The process that listens on that port, in what `netstat -ano` prints: protocol, the two addresses, state, process. The
/// state is in the system's language, of one word or more; a listener's other address has port 0.
fn listener(table: &str, address: IpAddr, port: u16) -> Option<u32> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [protocol, local, other, .., pid] = fields.as_slice() else { return None };
        let local: SocketAddr = local.parse().ok()?;
        let listens = *protocol == "TCP" && other.ends_with(":0");
        (listens && local.port() == port && overlap(local.ip(), address)).then(|| pid.parse().ok())?
    };
    table.lines().find_map(line)
}

/// The first field of a line of comma-separated values; what `tasklist` says where there is no such process is none.
fn first_field(line: &str) -> Option<String> {
    let (field, _) = line.trim_start().strip_prefix('"')?.split_once('"')?;
    Some(field.to_owned())
}

struct Requests {
    interrupt: tokio::signal::windows::CtrlC,
    stop: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
}

impl Interruptions for Requests {
    fn next(&mut self) -> Waiting<'_, Interruption> {
        Box::pin(async {
            tokio::select! {
                Some(()) = self.interrupt.recv() => Interruption::Interrupt,
                Some(()) = self.stop.recv() => Interruption::Interrupt,
                Some(()) = self.close.recv() => Interruption::Terminate,
                else => std::future::pending().await,
            }
        })
    }
}

/// A named pipe: an instance for each who calls, and one that waits for the next.
struct PipeListener {
    next: NamedPipeServer,
    path: PathBuf,
}

impl Listener for PipeListener {
    fn accept(&mut self) -> Waiting<'_, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            self.next.connect().await?;
            let next = ServerOptions::new().reject_remote_clients(true).create(&self.path)?;
            Ok(Box::new(std::mem::replace(&mut self.next, next)) as Box<dyn Connection>)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::windows::fs::OpenOptionsExt;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_listener_is_found_in_any_language() {
        let table = "\r\nAktive Verbindungen\r\n\r\n  Proto  Lokale Adresse         Remoteadresse          Status           PID\r\n  \
            TCP    0.0.0.0:135            0.0.0.0:0              ABHÖREN         1004\r\n  \
            TCP    127.0.0.1:6443         127.0.0.1:51000        HERGESTELLT     7\r\n  \
            TCP    127.0.0.1:6443         0.0.0.0:0              ABHÖREN         4711\r\n  \
            TCP    [::]:443               [::]:0                 À L'ÉCOUTE      4\r\n  \
            UDP    0.0.0.0:80             *:*                                    9\r\n";
        assert_eq!(listener(table, LOCALHOST, 135), Some(1004));
        assert_eq!(listener(table, LOCALHOST, 6443), Some(4711));
        assert_eq!(listener(table, LOCALHOST, 443), Some(4));
        assert_eq!(listener(table, LOCALHOST, 80), None);
        assert_eq!(listener(table, "192.168.1.1".parse().unwrap(), 6443), None);
    }

    #[test]
    fn the_name_of_a_task_is_its_first_field() {
        assert_eq!(first_field("\r\n\"a, b.exe\",\"4711\",\"Console\",\"1\"\r\n").as_deref(), Some("a, b.exe"));
        assert_eq!(first_field("INFO: No tasks are running which match the specified criteria.\r\n"), None);
    }

    #[test]
    fn files_are_told_apart_that_have_the_same_name_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let first = File::create(&path).unwrap();
        assert!(Windows.is_same_file(&first, &path).unwrap());
        std::fs::rename(&path, folder.path().join("other")).unwrap();
        assert!(!Windows.is_same_file(&first, &path).unwrap());
        File::create(&path).unwrap();
        assert!(!Windows.is_same_file(&first, &path).unwrap());
    }

    #[test]
    fn a_file_is_replaced_once_nobody_has_it_open() {
        /// `FILE_SHARE_READ`: others may read the file, and not replace it.
        const READERS_ONLY: u32 = 1;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, "old").unwrap();
        let reader = File::options().read(true).share_mode(READERS_ONLY).open(&path).unwrap();
        let refused = NamedTempFile::new_in(folder.path()).unwrap().persist(&path).unwrap_err();
        assert!(IN_USE.contains(&refused.error.raw_os_error().unwrap()), "{refused}");
        let mut draft = NamedTempFile::new_in(folder.path()).unwrap();
        draft.write_all(b"new").unwrap();
        let reading = std::thread::spawn(move || {
            std::thread::sleep(RELEASE / 10);
            drop(reader);
        });
        Windows.replace(draft, &path).unwrap();
        reading.join().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_process_that_is_gone_is_killed_already() {
        Windows.kill_group(u32::MAX - 3).unwrap();
    }

    #[test]
    fn the_process_that_listens_has_a_name() {
        let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let holder = Windows.port_holder(LOCALHOST, port).expect("this process holds it");
        assert_eq!(holder.pid, std::process::id());
        assert!(holder.program.ends_with(".exe"), "{holder}");
    }

    #[test]
    fn a_pipe_is_seen() {
        let name = format!("sandbar-test-seen-{}", std::process::id());
        let path = format!("//./pipe/{name}");
        assert!(!Windows.has_pipe(Path::new(&path)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _server = ServerOptions::new().create(&path).unwrap();
            assert!(Windows.has_pipe(Path::new(&path)));
        });
    }

    #[test]
    fn a_pipe_is_connected_to() {
        let path = format!("//./pipe/sandbar-test-{}", std::process::id());
        let talk = async {
            let mut server = ServerOptions::new().create(&path).unwrap();
            let mut client = Windows.connect_pipe(Path::new(&path)).await.unwrap();
            server.connect().await.unwrap();
            client.write_all(b"ping").await.unwrap();
            let mut heard = [0; 4];
            server.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"ping");
            let missing = Windows.connect_pipe(Path::new("//./pipe/sandbar-none")).await.err().unwrap();
            assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let talked = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), talk).await });
        talked.expect("who connects is heard");
    }
}
