//! What differs between Linux, macOS and Windows, behind one trait. No other module has a `cfg` for a system.
//!
//! [`native`] is the one for the system this program was built for. Nothing here knows what a cluster is.

mod channel;
mod facts;
#[cfg(target_os = "linux")]
mod linux;
pub mod look;
#[cfg(any(target_os = "macos", test))]
mod lsof;
#[cfg(target_os = "macos")]
mod macos;
pub mod ports;
#[cfg(unix)]
mod unix;
mod usage;
#[cfg(windows)]
mod windows;

use std::fs::{File, Metadata};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;

use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::channel::{Channel, Listener};
pub use self::facts::HostFacts;
pub use self::usage::Usage;
use crate::engine::TerminalSize;

/// The platform this program was built for.
#[must_use]
pub fn native() -> &'static dyn Platform {
    #[cfg(target_os = "linux")]
    static NATIVE: unix::Unix<linux::Linux> = unix::Unix(linux::Linux);
    #[cfg(target_os = "macos")]
    static NATIVE: unix::Unix<macos::MacOs> = unix::Unix(macos::MacOs);
    #[cfg(windows)]
    static NATIVE: windows::Windows = windows::Windows;
    &NATIVE
}

/// The path of a named pipe of this machine, in one of its two ways to be written: Docker has `//./pipe/NAME`, Windows
/// `\\.\pipe\NAME`. None if that is no such path.
#[must_use]
pub fn pipe_path(text: &str) -> Option<String> {
    let path = text.replace('\\', "/");
    let name = path.strip_prefix("//./pipe/").filter(|name| !name.is_empty())?;
    Some(format!("//./pipe/{name}"))
}

/// Puts a program that is going to be started into a process group of its own.
pub fn own_group(command: &mut tokio::process::Command) {
    #[cfg(unix)]
    command.process_group(0);
    #[cfg(windows)]
    windows::own_group(command);
}

/// The signal that ended a process.
#[must_use]
pub fn signal_of(status: std::process::ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(windows)]
    return {
        let _ = status;
        None
    };
}

/// A future that a platform hands out.
pub type Waiting<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortHolder {
    /// Process number.
    pub pid: u32,
    /// Name of its program, such as `nginx`.
    pub program: String,
    /// The container for which it holds the port, where it is an engine's helper that says so.
    pub container: Option<String>,
}

impl std::fmt::Display for PortHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.container {
            Some(container) => write!(f, "container {container} ({}, process {})", self.program, self.pid),
            None => write!(f, "{} (process {})", self.program, self.pid),
        }
    }
}

/// An IPv4 route of the host that is not the default route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Network address.
    pub network: Ipv4Addr,
    /// Length of the prefix, 1 to 32.
    pub prefix: u8,
    /// Interface that it leads to.
    pub interface: String,
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// A limit of this process; `None` is "no limit".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What holds now.
    pub soft: Option<u64>,
    /// What it may be raised to without privilege.
    pub hard: Option<u64>,
}

/// Limits of this process that its children, such as containers, are held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open files.
    pub open_files: Limit,
    /// Processes of this user.
    pub processes: Limit,
}

/// Why the program is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM, or the console being closed.
    Terminate,
    /// SIGHUP: the terminal is gone.
    HangUp,
}

/// Requests to end this program, from now on in place of the system's default of ending it at once.
pub trait Interruptions: Send {
    /// The next one.
    fn next(&mut self) -> Waiting<'_, Interruption>;
}

/// Changes of the terminal's size.
pub trait Resizes: Send {
    /// The next size; never, where the terminal cannot change its size.
    fn next(&mut self) -> Waiting<'_, TerminalSize>;
}

/// Dropping it gives the terminal back as it was.
pub trait RawMode: Send {}

/// Bytes both ways.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// What a system does in a way of its own.
pub trait Platform: Send + Sync {
    /// Who listens on a TCP port of that address, or of all addresses; none if nobody does or the system does not say.
    fn port_holder(&self, address: IpAddr, port: u16) -> Option<PortHolder>;
    /// Ports that the system itself gives to outgoing connections.
    fn ephemeral_ports(&self) -> RangeInclusive<u16>;
    /// IPv4 routes of the host, without the default route and loopback.
    fn routes(&self) -> io::Result<Vec<Route>>;
    /// Whether a user's files are where the XDG Base Directory Specification says.
    fn uses_xdg(&self) -> bool;
    /// Limits of this process.
    fn limits(&self) -> Limits;
    /// What machine and system this is.
    fn facts(&self) -> HostFacts;
    /// What names the time since this machine was started; none where the system does not say.
    fn boot_id(&self) -> Option<String>;
    /// The name that QEMU has for this system's own way to run a guest's instructions, and whether this user may use it;
    /// otherwise why not, in words.
    fn accelerator(&self) -> Result<&'static str, String>;
    /// Names of this machine.
    fn host_names(&self) -> Vec<String>;
    /// Bytes of memory that programs of this system could have, with what can be swapped out; none where containers run in a
    /// virtual machine or the system does not say.
    fn available_memory(&self) -> Option<u64>;
    /// Whether nobody but its owner may read a file.
    fn is_private(&self, metadata: &Metadata) -> bool;
    /// Whether systemd starts this machine's services, `sd_booted(3)`.
    fn has_systemd(&self) -> bool;
    /// Whether this process may do everything.
    fn is_superuser(&self) -> bool;
    /// Whether containers run on this system itself, and not in a virtual machine.
    fn runs_containers(&self) -> bool;
    /// Where Docker's API is if nothing says otherwise, as `DOCKER_HOST` has it.
    fn docker_host(&self) -> &'static str;
    /// Starts a program that outlives this one: in a process group of its own, without this terminal's input. Its
    /// output goes where the command says. Returns its process number.
    fn spawn_detached(&self, command: &mut Command) -> io::Result<u32>;
    /// What a process of this user has taken.
    fn usage(&self, process: u32) -> io::Result<Usage>;
    /// Ends every process of the group that a process leads, at once.
    fn kill_group(&self, leader: u32) -> io::Result<()>;
    /// Asks a process to end as this one was asked; one that is gone is fine.
    fn pass_on(&self, process: u32, request: Interruption) -> io::Result<()>;
    /// Whether Ctrl-C reaches the programs that this one started at the same time as this one.
    fn shares_interrupts(&self) -> bool;
    /// Whether the system's `ssh` can share a connection among programs (`ControlMaster` of `ssh_config(5)`).
    fn shares_ssh(&self) -> bool;

    /// Connects to a server of this machine at its UNIX socket.
    fn connect_socket<'a>(&self, path: &'a Path) -> Waiting<'a, io::Result<Box<dyn Connection>>>;
    /// Connects to a server of this machine at its named pipe.
    fn connect_pipe<'a>(&self, path: &'a Path) -> Waiting<'a, io::Result<Box<dyn Connection>>>;
    /// The channel of that name for programs of this user, `folder` being a folder of this user's alone.
    fn channel(&self, folder: &Path, name: &str) -> io::Result<Channel>;
    /// Connects to who listens on a channel.
    fn call<'a>(&self, channel: &'a Channel) -> Waiting<'a, io::Result<Box<dyn Connection>>>;
    /// Listens on a channel, in place of a program that is gone. Needs a running tokio.
    fn listen(&self, channel: &Channel) -> io::Result<Box<dyn Listener>>;
    /// Number of the process that serves a UNIX socket, where the system tells.
    fn socket_server<'a>(&self, path: &'a Path) -> Waiting<'a, Option<i32>>;
    /// Whether there is a named pipe of that path; never, where there are none.
    fn has_pipe(&self, path: &Path) -> bool;

    /// Makes the terminal understand escape sequences (ECMA-48); whether it does.
    fn allow_escapes(&self) -> bool;
    /// Size of the terminal on standard output, or none if it is no terminal.
    fn terminal_size(&self) -> Option<TerminalSize>;
    /// Puts the terminal on standard input into raw mode: every key reaches the program.
    fn raw_mode(&self) -> io::Result<Box<dyn RawMode>>;
    /// Changes of the terminal's size. Needs a running tokio.
    fn resizes(&self) -> io::Result<Box<dyn Resizes>>;
    /// Requests to end this program. Needs a running tokio.
    fn interruptions(&self) -> io::Result<Box<dyn Interruptions>>;

    /// Makes a folder, and those above it, accessible to its owner alone and owned like the folder in which it is made.
    fn create_private_dir(&self, path: &Path) -> io::Result<()>;
    /// Whether the owner of a file may write it. The superuser could always; what the file says counts.
    fn is_writable(&self, path: &Path, metadata: &Metadata) -> bool;
    /// Gives a new, private file the owner of the one it replaces, or else of its folder where the superuser acts in a
    /// user's folder.
    fn give_file(&self, file: &File, replaced: Option<&Metadata>, folder: &Path) -> io::Result<()>;
    /// Whether an open file is the one that a path names now.
    fn is_same_file(&self, file: &File, path: &Path) -> io::Result<bool>;
    /// Puts a file in the place of another one in the same folder: whoever opens the path gets the old one or the new one.
    fn replace(&self, draft: NamedTempFile, path: &Path) -> io::Result<()>;
    /// Bytes that this user may still write where a folder is; none where the system does not say.
    fn free_space(&self, folder: &Path) -> io::Result<Option<u64>>;
    /// Where in a file data begin, from an offset on, with what is a hole left out where the file system tells; none after
    /// the last ones.
    fn next_data(&self, file: &File, from: u64) -> io::Result<Option<u64>>;
    /// Whether parts of a file can be made holes.
    fn makes_holes(&self) -> bool;
    /// Makes a part of a file a hole, which takes no room and is read as zeroes.
    fn make_hole(&self, file: &File, at: u64, length: u64) -> io::Result<()>;
    /// Makes a rename in a folder survive power loss.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_named_in_either_way() {
        let cases = [
            ("//./pipe/docker_engine", Some("//./pipe/docker_engine")),
            (r"\\.\pipe\podman-machine-default", Some("//./pipe/podman-machine-default")),
            ("//./pipe/", None),
            ("//server/pipe/docker_engine", None),
            ("/var/run/docker.sock", None),
        ];
        for (text, expected) in cases {
            assert_eq!(pipe_path(text).as_deref(), expected, "{text}");
        }
    }
}
