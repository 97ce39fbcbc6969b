//! A machine that is switched on, or found running.

use std::io::{Read, Seek, SeekFrom};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::io::BufReader;
use tokio::time::Instant;

use super::run::quit;
use super::{COMMAND, Machine, Qemu, Supervised};
use crate::engine::machine::accelerator::Candidate;
use crate::engine::machine::arguments::{Accelerator, MachineArguments, arguments, device_tree_arguments};
use crate::engine::machine::device_tree::{self, Changes};
use crate::engine::machine::folder::{self, Powered};
use crate::engine::machine::image_set::ImageSet;
use crate::engine::machine::kept;
use crate::engine::machine::qmp::Qmp;
use crate::engine::machine::wire::{PortTaken, State};
use crate::error::chain;
use crate::platform::{Channel, Connection, Platform};
use crate::process::{Foreground, ProcessError, Program};

/// How long QEMU may take to listen for commands.
const QEMU: Duration = Duration::from_secs(20);
/// How long a QEMU may take to end whose connection has ended.
const LAST_MOMENT: Duration = Duration::from_secs(5);
/// How often a socket that is about to be there is tried; QEMU has no way to tell.
const AGAIN: Duration = Duration::from_millis(5);

impl Machine<'_> {
    /// The QEMU of a supervisor that is gone.
    pub(super) async fn take_over(&self) -> Result<Option<Qemu>, String> {
        let folder = &self.supervised.folder;
        let text = |error: std::io::Error| error.to_string();
        let Some(powered) = folder::read::<Powered>(&folder.powered()).map_err(text)? else { return Ok(None) };
        if !powered.ready {
            // It may wait for what its supervisor has told it or not.
            self.supervised.platform.kill_group(powered.process).map_err(text)?;
            return Ok(None);
        }
        let qmp = folder.qmp(self.supervised.platform).map_err(text)?;
        let Ok(stream) = self.supervised.platform.call(&qmp).await else { return Ok(None) };
        let qmp = Qmp::connect(stream, COMMAND).await.map_err(|error| error.to_string())?;
        let said = qmp.execute("query-status", json!({}), COMMAND).await.map_err(|error| error.to_string())?;
        let runs = said["running"] == true;
        let control = folder.control(self.supervised.platform).map_err(text)?;
        let control = called(self.supervised.platform, &control).await.map_err(text)?;
        let qemu = self.owned(qmp, control, None, powered);
        if !runs && folder.kept().state.exists() {
            // Its supervisor ended while it wrote the state: what the disk has counts.
            quit(&qemu).await;
            let _ = self.ended(qemu, None, None).await;
            return Ok(None);
        }
        // It may have gone on from one a moment ago.
        kept::discard(&folder.kept(), self.supervised.platform).map_err(text)?;
        self.status.send_modify(|status| {
            "it ran already".clone_into(&mut status.because);
            status.state = if runs { State::Running } else { State::Paused };
        });
        Ok(Some(qemu))
    }

    /// Switches it on; an error says in words why it does not run.
    pub(super) async fn power_on(&self, candidate: &Candidate) -> Result<Qemu, String> {
        let qemu = self.start_qemu(candidate, None).await?;
        // Nothing of what the guest says is lost from here on.
        qemu.qmp.execute("cont", json!({}), COMMAND).await.map_err(|error| error.to_string())?;
        Ok(qemu)
    }

    /// Starts QEMU, whose guest waits: for `cont`, or for a state of the machine of that type. An error says in words why
    /// it does not run.
    pub(super) async fn start_qemu(&self, candidate: &Candidate, restored: Option<&str>) -> Result<Qemu, String> {
        let Supervised { folder, platform, .. } = self.supervised;
        let text = |error: std::io::Error| error.to_string();
        let ssh = free_port().map_err(text)?;
        let (qmp, control) = (folder.qmp(*platform).map_err(text)?, folder.control(*platform).map_err(text)?);
        for channel in [&qmp, &control] {
            // What a killed QEMU left would be called in place of the new one.
            if let Channel::Socket(path) = channel {
                folder::remove(path).map_err(text)?;
            }
        }
        let program = self.program()?;
        let mut machine = self.machine(candidate.accelerator)?;
        machine.ssh = ssh;
        match restored {
            None => machine.device_tree = self.device_tree(&program, &machine).await?,
            Some(restored) => {
                machine.machine_type = Some(restored.to_owned());
                // What its kernel was told, its device tree too, is in its memory.
                machine.incoming = true;
                // They are opened once it has the state.
                machine.ports.clear();
            }
        }
        let list = arguments(&machine);
        let log = std::fs::OpenOptions::new().append(true).create(true).open(folder.log()).map_err(text)?;
        let before = log.metadata().map_err(text)?.len();
        let environment = self.supervised.environment.iter().map(|(name, value)| (name, value));
        let qemu = Program::new(program).args(&list).envs(environment);
        let mut child = qemu.background(log).map_err(|error| chain(&error))?;
        let powered = Powered {
            process: child.id().unwrap_or_default(),
            ssh,
            accelerator: candidate.accelerator,
            since: Timestamp::now(),
            ready: false,
        };
        folder::write(&folder.powered(), &powered).map_err(text)?;
        self.status.send_modify(|status| {
            status.process = Some(powered.process);
            status.accelerator = Some(candidate.accelerator);
            status.because.clone_from(&candidate.because);
            status.ssh = Some(ssh);
            status.phases.clear();
            status.taken = None;
        });
        // It listens before it has opened everything else, and may end at any moment until then.
        let connected = tokio::select! {
            connected = connect(*platform, &qmp, &control) => connected,
            ended = child.wait() => return Err(self.ended_early(ended, before)),
        };
        match connected {
            Ok((qmp, control)) => Ok(self.owned(qmp, control, Some(child), powered)),
            Err(reason) => match tokio::time::timeout(LAST_MOMENT, child.wait()).await {
                Ok(ended) => Err(self.ended_early(ended, before)),
                Err(_) => Err(reason),
            },
        }
    }

    /// Why a QEMU ended that was only just started, in its own words.
    fn ended_early(&self, ended: Result<u8, ProcessError>, before: u64) -> String {
        let words = said_since(&self.supervised.folder.log(), before);
        self.status.send_modify(|status| status.taken = port_taken(&words));
        let code = ended.map_or_else(|error| error.to_string(), |code| code.to_string());
        format!("QEMU ended with {code}: {}", words.trim())
    }

    /// QEMU's program for this machine.
    pub(super) fn program(&self) -> Result<PathBuf, String> {
        self.supervised.programs.of(self.record.architecture).map_err(|error| error.to_string())
    }

    /// The machine as QEMU is told, but for the port of its SSH server, which is a new one at each start.
    pub(super) fn machine(&self, accelerator: Accelerator) -> Result<MachineArguments, String> {
        let Supervised { folder, places, platform, .. } = self.supervised;
        let text = |error: std::io::Error| error.to_string();
        let image = ImageSet::of(places, &self.record.image_id).map_err(|error| error.to_string())?;
        let hardware = self.record.hardware.as_ref();
        Ok(MachineArguments {
            name: self.record.name.clone(),
            architecture: self.record.architecture,
            machine_type: None,
            accelerator,
            cpu: hardware.and_then(|hardware| hardware.cpu.clone()),
            model: hardware.and_then(|hardware| hardware.model.clone()),
            device_tree: None,
            cores: self.record.cores,
            memory_mib: self.record.memory_mib,
            kernel: image.kernel(),
            initramfs: image.initramfs(),
            system: image.system(),
            system_memory: image.system_memory().filter(|_| platform.makes_holes()),
            kernel_arguments: image.manifest.kernel_arguments.clone(),
            data: folder.disk(),
            disk: hardware.map(|hardware| hardware.disk.clone()).unwrap_or_default(),
            console: folder.console(),
            log: folder.node_log(),
            qmp: folder.qmp(*platform).map_err(text)?,
            control: folder.control(*platform).map_err(text)?,
            ssh: 0,
            ports: self.record.ports.clone(),
            incoming: false,
        })
    }

    /// The device tree of a machine that has one and something in it that QEMU's has not: QEMU's own but for that.
    async fn device_tree(&self, program: &Path, machine: &MachineArguments) -> Result<Option<PathBuf>, String> {
        let changes = Changes { model: machine.model.as_deref(), persistent_memory: machine.system_region() };
        if !machine.architecture.has_device_tree() || changes == Changes::default() {
            return Ok(None);
        }
        let failed =
            |error: &dyn std::error::Error| format!("the machine's device tree cannot be made: {}", chain(error));
        let file = self.supervised.folder.device_tree();
        folder::remove(&file).map_err(|error| failed(&error))?;
        let variables = self.supervised.environment.iter().map(|(name, value)| (name, value));
        let qemu = Program::new(program).args(device_tree_arguments(machine, &file)).envs(variables);
        let written = tokio::time::timeout(QEMU, qemu.output()).await;
        written.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let tree = fs_err::read(&file).map_err(|error| failed(&error))?;
        let tree = device_tree::with(&tree, &changes).map_err(|error| failed(&error))?;
        fs_err::write(&file, tree).map_err(|error| failed(&error))?;
        Ok(Some(file))
    }

    /// A QEMU that both channels lead to.
    fn owned(&self, qmp: Qmp, control: Box<dyn Connection>, child: Option<Foreground>, powered: Powered) -> Qemu {
        let events = qmp.events();
        let (control, to_guest) = tokio::io::split(control);
        let (ssh, accelerator) = (powered.ssh, powered.accelerator);
        self.status.send_modify(|status| {
            status.ssh = Some(ssh);
            status.accelerator = Some(accelerator);
            status.process = Some(powered.process);
            status.version = Some(qmp.version().to_owned());
        });
        Qemu { qmp, events, control: BufReader::new(control), to_guest, child, powered }
    }
}

/// Connects to QEMU and, through it, to the guest.
async fn connect(
    platform: &dyn Platform,
    qmp: &Channel,
    control: &Channel,
) -> Result<(Qmp, Box<dyn Connection>), String> {
    let text = |error: std::io::Error| error.to_string();
    let stream = called(platform, qmp).await.map_err(text)?;
    let qmp = Qmp::connect(stream, COMMAND).await.map_err(|error| error.to_string())?;
    Ok((qmp, called(platform, control).await.map_err(text)?))
}

/// Connects to what is about to listen.
async fn called(platform: &dyn Platform, channel: &Channel) -> std::io::Result<Box<dyn Connection>> {
    let begun = Instant::now();
    loop {
        match platform.call(channel).await {
            Err(_) if begun.elapsed() < QEMU => tokio::time::sleep(AGAIN).await,
            called => return called,
        }
    }
}

/// A port that nobody has; QEMU opens it a moment later, and ends where somebody was quicker.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// What was written to a file since it was that long.
pub(super) fn said_since(path: &Path, before: u64) -> String {
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(before))?;
        file.take(1 << 16).read_to_string(&mut text)
    });
    if let Err(error) = read {
        tracing::debug!(%error, "what QEMU said is lost");
    }
    text
}

/// The port that QEMU's words say it could not open: `… forwarding rule 'tcp:127.0.0.1:443-:443'`.
fn port_taken(words: &str) -> Option<PortTaken> {
    let rule = words.split("forwarding rule 'tcp:").nth(1)?.split('\'').next()?;
    let (address, port) = rule.rsplit_once("-:").map_or(rule, |(host, _)| host).rsplit_once(':')?;
    let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    Some(PortTaken { address, port: port.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_that_is_taken_is_found_in_qemus_words() {
        let taken = |words: &str| port_taken(words).map(|taken| (taken.address.to_string(), taken.port));
        let words = "qemu-system-x86_64: -netdev user,id=net,hostfwd=…: Could not set up host forwarding rule \
                     'tcp:127.0.0.1:443-:443'\n";
        assert_eq!(taken(words), Some(("127.0.0.1".to_owned(), 443)));
        assert_eq!(taken("… forwarding rule 'tcp:[::1]:80-:80'"), Some(("::1".to_owned(), 80)));
        assert_eq!(taken("qemu-system-x86_64: -m 99999G: out of memory"), None);
    }
}
