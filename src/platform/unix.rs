//! What Linux and macOS do alike; [`System`] is what they do not.

use std::fs::{File, Metadata};
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Resource, Signal, getrlimit};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr};
use tempfile::NamedTempFile;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::{
    Channel, Connection, HostFacts, Interruption, Interruptions, Limit, Limits, Listener, Platform, PortHolder,
    RawMode, Resizes, Route, Usage, Waiting,
};
use crate::engine::TerminalSize;

/// What one Unix does in a way of its own; the words are those of [`Platform`].
pub trait System: Send + Sync {
    fn port_holder(&self, address: IpAddr, port: u16) -> Option<PortHolder>;
    fn ephemeral_ports(&self) -> RangeInclusive<u16>;
    fn routes(&self) -> io::Result<Vec<Route>>;
    fn runs_containers(&self) -> bool;
    fn available_memory(&self) -> Option<u64>;
    fn uses_xdg(&self) -> bool;
    fn boot_id(&self) -> Option<String>;
    fn usage(&self, process: u32) -> io::Result<Usage>;
    fn accelerator(&self) -> Result<&'static str, String>;
    fn makes_holes(&self) -> bool;
    fn make_hole(&self, file: &File, at: u64, length: u64) -> io::Result<()>;
    /// Adds what this one knows of itself to what every Unix does.
    fn add_facts(&self, _facts: &mut HostFacts) {}
}

/// A Unix.
pub struct Unix<S>(pub S);

impl<S: System> Platform for Unix<S> {
    fn port_holder(&self, address: IpAddr, port: u16) -> Option<PortHolder> {
        self.0.port_holder(address, port)
    }

    fn ephemeral_ports(&self) -> RangeInclusive<u16> {
        self.0.ephemeral_ports()
    }

    fn routes(&self) -> io::Result<Vec<Route>> {
        self.0.routes()
    }

    fn uses_xdg(&self) -> bool {
        self.0.uses_xdg()
    }

    fn limits(&self) -> Limits {
        let limit = |resource| {
            let limit = getrlimit(resource);
            Limit { soft: limit.current, hard: limit.maximum }
        };
        Limits { open_files: limit(Resource::Nofile), processes: limit(Resource::Nproc) }
    }

    fn facts(&self) -> HostFacts {
        let name = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let mut facts = HostFacts {
            system: text(name.sysname()),
            kernel: text(name.release()),
            architecture: text(name.machine()),
            processors: std::thread::available_parallelism().ok().map(std::num::NonZero::get),
            ..HostFacts::default()
        };
        self.0.add_facts(&mut facts);
        facts
    }

    fn boot_id(&self) -> Option<String> {
        self.0.boot_id()
    }

    fn accelerator(&self) -> Result<&'static str, String> {
        self.0.accelerator()
    }

    fn host_names(&self) -> Vec<String> {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let short = name.split('.').next().unwrap_or_default().to_owned();
        if short == name { vec![name] } else { vec![name, short] }
    }

    fn runs_containers(&self) -> bool {
        self.0.runs_containers()
    }

    fn available_memory(&self) -> Option<u64> {
        self.0.available_memory()
    }

    fn is_private(&self, metadata: &Metadata) -> bool {
        /// Whatever the group and others may do.
        const OTHERS: u32 = 0o077;
        metadata.permissions().mode() & OTHERS == 0
    }

    fn has_systemd(&self) -> bool {
        Path::new("/run/systemd/system").is_dir()
    }

    fn is_superuser(&self) -> bool {
        is_superuser()
    }

    fn docker_host(&self) -> &'static str {
        "unix:///var/run/docker.sock"
    }

    fn spawn_detached(&self, command: &mut Command) -> io::Result<u32> {
        // What whoever started this program had open, such as a lock that a script holds, would stay open with it.
        let nothing = File::open("/dev/null")?;
        let cover = |child_fd| Ok(FdMapping { parent_fd: nothing.try_clone()?.into(), child_fd });
        let covered = inherited()?.into_iter().map(cover).collect::<io::Result<Vec<_>>>()?;
        command.fd_mappings(covered).map_err(io::Error::other)?;
        Ok(command.stdin(Stdio::null()).process_group(0).spawn()?.id())
    }

    fn usage(&self, process: u32) -> io::Result<Usage> {
        self.0.usage(process)
    }

    fn kill_group(&self, leader: u32) -> io::Result<()> {
        let Some(pid) = process(leader) else { return Err(io::ErrorKind::InvalidInput.into()) };
        match rustix::process::kill_process_group(pid, Signal::KILL) {
            Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn pass_on(&self, process: u32, request: Interruption) -> io::Result<()> {
        let Some(pid) = self::process(process) else { return Err(io::ErrorKind::InvalidInput.into()) };
        let signal = match request {
            Interruption::Interrupt => Signal::INT,
            Interruption::Terminate => Signal::TERM,
            Interruption::HangUp => Signal::HUP,
        };
        match rustix::process::kill_process(pid, signal) {
            Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn shares_interrupts(&self) -> bool {
        // The terminal sends it to its foreground group (termios(4)), to which what this process starts belongs, too.
        let Ok(terminal) = File::open("/dev/tty") else { return false };
        tcgetpgrp(terminal).is_ok_and(|group| group == rustix::process::getpgrp())
    }

    fn shares_ssh(&self) -> bool {
        true
    }

    fn connect_socket<'a>(&self, path: &'a Path) -> Waiting<'a, io::Result<Box<dyn Connection>>> {
        Box::pin(async move { Ok(Box::new(UnixStream::connect(path).await?) as Box<dyn Connection>) })
    }

    fn connect_pipe<'a>(&self, _path: &'a Path) -> Waiting<'a, io::Result<Box<dyn Connection>>> {
        let error = io::Error::new(io::ErrorKind::Unsupported, "only Windows has named pipes that engines serve");
        Box::pin(std::future::ready(Err(error)))
    }

    fn channel(&self, folder: &Path, name: &str) -> io::Result<Channel> {
        Channel::socket(folder, name)
    }

    fn call<'a>(&self, channel: &'a Channel) -> Waiting<'a, io::Result<Box<dyn Connection>>> {
        match channel {
            Channel::Socket(path) => self.connect_socket(path),
            Channel::Pipe(name) => self.connect_pipe(Path::new(name)),
        }
    }

    fn listen(&self, channel: &Channel) -> io::Result<Box<dyn Listener>> {
        let Channel::Socket(path) = channel else { return Err(io::ErrorKind::Unsupported.into()) };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Box::new(SocketListener { listener: UnixListener::bind(path)?, path: path.clone() }))
    }

    fn socket_server<'a>(&self, path: &'a Path) -> Waiting<'a, Option<i32>> {
        Box::pin(async move { UnixStream::connect(path).await.ok()?.peer_cred().ok()?.pid() })
    }

    fn has_pipe(&self, _path: &Path) -> bool {
        false
    }

    fn allow_escapes(&self) -> bool {
        true
    }

    fn terminal_size(&self) -> Option<TerminalSize> {
        terminal_size()
    }

    fn raw_mode(&self) -> io::Result<Box<dyn RawMode>> {
        let before = tcgetattr(rustix::stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &raw)?;
        Ok(Box::new(Raw(before)))
    }

    fn resizes(&self) -> io::Result<Box<dyn Resizes>> {
        Ok(Box::new(WindowChanges(signal(SignalKind::window_change())?)))
    }

    fn interruptions(&self) -> io::Result<Box<dyn Interruptions>> {
        Ok(Box::new(Requests {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        }))
    }

    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        create_private_dir(path)
    }

    fn is_writable(&self, _path: &Path, metadata: &Metadata) -> bool {
        metadata.permissions().mode() & 0o200 != 0
    }

    fn give_file(&self, file: &File, replaced: Option<&Metadata>, folder: &Path) -> io::Result<()> {
        give_file(file, replaced, folder)
    }

    fn is_same_file(&self, file: &File, path: &Path) -> io::Result<bool> {
        let open = file.metadata()?;
        match path.metadata() {
            Ok(named) => Ok((open.dev(), open.ino()) == (named.dev(), named.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn replace(&self, draft: NamedTempFile, path: &Path) -> io::Result<()> {
        draft.persist(path).map(drop).map_err(|refused| refused.error)
    }

    fn free_space(&self, folder: &Path) -> io::Result<Option<u64>> {
        let there = rustix::fs::statvfs(folder)?;
        Ok(Some(there.f_bavail.saturating_mul(there.f_frsize)))
    }

    fn next_data(&self, file: &File, from: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)) {
            Ok(data) => Ok(Some(data)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn makes_holes(&self) -> bool {
        self.0.makes_holes()
    }

    fn make_hole(&self, file: &File, at: u64, length: u64) -> io::Result<()> {
        self.0.make_hole(file, at, length)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Numbers of open files, beside the standard streams, that a program would inherit.
fn inherited() -> io::Result<Vec<i32>> {
    /// `O_CLOEXEC` in the flags of `proc_pid_fdinfo(5)`, where the system tells them.
    const CLOSED: u32 = 0o2_000_000;
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/dev/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        if number > 2 && flags.is_none_or(|flags| flags & CLOSED == 0) {
            open.push(number);
        }
    }
    Ok(open)
}

fn terminal_size() -> Option<TerminalSize> {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some(TerminalSize { columns: size.ws_col, rows: size.ws_row })
}

fn create_private_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_private_dir(parent)?;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => give_file(&File::open(path)?, None, parent),
    }
}

fn give_file(file: &File, replaced: Option<&Metadata>, folder: &Path) -> io::Result<()> {
    let new = file.metadata()?;
    let owner = match replaced {
        Some(old) => (old.uid(), old.gid()),
        None if is_superuser() => {
            let folder = folder.metadata()?;
            (folder.uid(), folder.gid())
        }
        None => return Ok(()),
    };
    if owner == (new.uid(), new.gid()) {
        return Ok(());
    }
    match fchown(file, Some(owner.0), Some(owner.1)) {
        // Someone else's file that may be replaced becomes one's own, as with every editor.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !is_superuser() => Ok(()),
        result => result,
    }
}

fn is_superuser() -> bool {
    rustix::process::geteuid().is_root()
}

fn process(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// The terminal's settings from before.
struct Raw(Termios);

impl RawMode for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &self.0) {
            tracing::debug!(%error, "cannot restore the terminal");
        }
    }
}

struct WindowChanges(Stream);

impl Resizes for WindowChanges {
    fn next(&mut self) -> Waiting<'_, TerminalSize> {
        Box::pin(async {
            loop {
                if self.0.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
                if let Some(size) = terminal_size() {
                    return size;
                }
            }
        })
    }
}

struct Requests {
    interrupt: Stream,
    terminate: Stream,
    hang_up: Stream,
}

impl Interruptions for Requests {
    fn next(&mut self) -> Waiting<'_, Interruption> {
        Box::pin(async {
            tokio::select! {
                Some(()) = self.interrupt.recv() => Interruption::Interrupt,
                Some(()) = self.terminate.recv() => Interruption::Terminate,
                Some(()) = self.hang_up.recv() => Interruption::HangUp,
                else => std::future::pending().await,
            }
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    use rustix::io::{FdFlags, fcntl_setfd};

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the way in which programs are started is what is tested")]
    fn what_outlives_this_program_holds_none_of_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let lock = File::create(folder.path().join("lock")).unwrap();
        // As a script has it that runs this program: `exec 9>lock; flock 9; sandbar up`.
        fcntl_setfd(&lock, FdFlags::empty()).unwrap();
        lock.lock().unwrap();
        let (said, number) = (folder.path().join("said"), lock.as_raw_fd());
        let script = format!("readlink /proc/self/fd/{number} > {0}.new; mv {0}.new {0}; sleep 5", said.display());
        let pid = platform().spawn_detached(Command::new("/bin/sh").args(["-c", &script])).unwrap();
        let begun = Instant::now();
        while !said.exists() {
            assert!(begun.elapsed() < Duration::from_secs(10), "the program does not run");
            std::thread::yield_now();
        }
        assert_eq!(std::fs::read_to_string(said).unwrap(), "/dev/null\n");
        drop(lock);
        let free = File::open(folder.path().join("lock")).unwrap().try_lock();
        platform().kill_group(pid).unwrap();
        assert!(free.is_ok(), "the program holds the lock");
    }

    fn platform() -> &'static dyn Platform {
        crate::platform::native()
    }
}

/// A UNIX socket that is removed with its server.
struct SocketListener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener for SocketListener {
    fn accept(&mut self) -> Waiting<'_, io::Result<Box<dyn Connection>>> {
        Box::pin(async move { Ok(Box::new(self.listener.accept().await?.0) as Box<dyn Connection>) })
    }
}

impl Drop for SocketListener {
    fn drop(&mut self) {
        // One that is left is replaced by the next.
        let _ = std::fs::remove_file(&self.path);
    }
}
