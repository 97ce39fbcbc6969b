//! macOS: what cannot be read is asked of the system's own programs. Reviewed against their manual pages; not yet run.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};

use super::unix::System;
use super::{PortHolder, Route, Usage, lsof};

/// The system's default range (`sysctl net.inet.ip.portrange`).
const EPHEMERAL: RangeInclusive<u16> = 49152..=65535;

/// macOS.
pub struct MacOs;

impl System for MacOs {
    fn port_holder(&self, address: IpAddr, port: u16) -> Option<PortHolder> {
        let text = output("/usr/sbin/lsof", &["-nP", "-Fpcn", &format!("-iTCP:{port}"), "-sTCP:LISTEN"]).ok()?;
        lsof::holder(&text, address)
    }

    fn runs_containers(&self) -> bool {
        false
    }

    fn boot_id(&self) -> Option<String> {
        let id = output("/usr/sbin/sysctl", &["-n", "kern.bootsessionuuid"]).ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    // macOS has them (F_PUNCHHOLE of fcntl(2)), behind unsafe code alone.
    fn makes_holes(&self) -> bool {
        false
    }

    fn make_hole(&self, _file: &File, _at: u64, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn usage(&self, process: u32) -> io::Result<Usage> {
        let said = output("/bin/ps", &["-o", "rss=,time=", "-p", &process.to_string()])?;
        super::usage::parse(&said).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn accelerator(&self) -> Result<&'static str, String> {
        match output("/usr/sbin/sysctl", &["-n", "kern.hv_support"]) {
            Ok(answer) if answer.trim() == "1" => Ok("hvf"),
            Ok(_) => Err("this Mac has no Hypervisor framework (kern.hv_support)".to_owned()),
            Err(error) => Err(format!("sysctl kern.hv_support: {error}")),
        }
    }

    fn ephemeral_ports(&self) -> RangeInclusive<u16> {
        EPHEMERAL
    }

    fn routes(&self) -> io::Result<Vec<Route>> {
        // Engines run in a virtual machine there, which has routes of its own.
        Ok(Vec::new())
    }

    fn available_memory(&self) -> Option<u64> {
        None
    }

    fn uses_xdg(&self) -> bool {
        false
    }
}

#[expect(clippy::disallowed_methods, reason = "the system's own programs, run where nothing can be awaited")]
fn output(program: &str, arguments: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(arguments).env_clear().env("LC_ALL", "C").stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
