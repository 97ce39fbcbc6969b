//! Windows: what the standard library and tokio give. Reviewed only; not yet built or run.

use std::fs::{File, Metadata};
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{
    HostFacts, Interruption, Interruptions, Limit, Limits, Platform, PortHolder, RawMode, Resizes, Route, Waiting,
};
use crate::engine::TerminalSize;

/// The system's default range (`netsh int ipv4 show dynamicport tcp`).
const EPHEMERAL: RangeInclusive<u16> = 49152..=65535;
/// `DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP` of `CreateProcess`.
const DETACHED: u32 = 0x0000_0208;

/// `CREATE_NEW_PROCESS_GROUP` of `CreateProcess`.
const NEW_GROUP: u32 = 0x0000_0200;

/// Puts a program that is going to be started into a process group of its own.
pub fn own_group(command: &mut tokio::process::Command) {
    command.creation_flags(NEW_GROUP);
}

/// Windows.
pub struct Windows;

#[expect(clippy::disallowed_methods, reason = "the system's own programs, run where nothing can be awaited")]
impl Platform for Windows {
    fn port_holder(&self, _address: IpAddr, _port: u16) -> Option<PortHolder> {
        None
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

    fn is_superuser(&self) -> bool {
        false
    }

    fn spawn_detached(&self, command: &mut Command) -> io::Result<u32> {
        Ok(command.stdin(Stdio::null()).creation_flags(DETACHED).spawn()?.id())
    }

    fn kill_group(&self, leader: u32) -> io::Result<()> {
        let pid = leader.to_string();
        Command::new("taskkill").args(["/T", "/F", "/PID", &pid]).stdin(Stdio::null()).output().map(drop)
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

    fn terminal_size(&self) -> Option<TerminalSize> {
        let (rows, columns) = console::Term::stdout().size_checked()?;
        Some(TerminalSize { columns, rows })
    }

    fn raw_mode(&self) -> io::Result<Box<dyn RawMode>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn resizes(&self) -> io::Result<Box<dyn Resizes>> {
        Ok(Box::new(Never))
    }

    fn interruptions(&self) -> io::Result<Box<dyn Interruptions>> {
        Ok(Box::new(Requests {
            interrupt: tokio::signal::windows::ctrl_c()?,
            close: tokio::signal::windows::ctrl_close()?,
        }))
    }

    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn is_writable(&self, _path: &Path, metadata: &Metadata) -> bool {
        !metadata.permissions().readonly()
    }

    fn give_file(&self, _file: &File, _replaced: Option<&Metadata>, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn is_same_file(&self, _file: &File, path: &Path) -> io::Result<bool> {
        // A file that is open and locked cannot be replaced under its name there.
        Ok(path.exists())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

struct Never;

impl Resizes for Never {
    fn next(&mut self) -> Waiting<'_, TerminalSize> {
        Box::pin(std::future::pending())
    }
}

struct Requests {
    interrupt: tokio::signal::windows::CtrlC,
    close: tokio::signal::windows::CtrlClose,
}

impl Interruptions for Requests {
    fn next(&mut self) -> Waiting<'_, Interruption> {
        Box::pin(async {
            tokio::select! {
                Some(()) = self.interrupt.recv() => Interruption::Interrupt,
                Some(()) = self.close.recv() => Interruption::Terminate,
                else => std::future::pending().await,
            }
        })
    }
}
