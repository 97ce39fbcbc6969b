//! The one process that owns a machine: it starts QEMU, tells the guest what it is, answers commands, and outlives them.
//!
//! A supervisor whose predecessor was killed takes over the QEMU that still runs.

mod answering;
mod power;
mod restore;
mod run;
pub(super) mod save;
mod template;

use std::time::Duration;

use tokio::io::{BufReader, ReadHalf, WriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use self::restore::Restored;
use super::accelerator::{Candidate, Tried, candidates};
use super::architecture::Architecture;
use super::arguments::Accelerator;
use super::folder::{self, MachineFolder, MachineRecord, Meant, Places, Powered};
use super::kept;
use super::programs::Programs;
use super::qmp::{Qmp, QmpEvent};
use super::wire::{Answer, State, Status};
use crate::engine::{Labels, PortForward};
use crate::platform::{Connection, Platform};
use crate::process::Foreground;

/// How long QEMU may take for a command.
const COMMAND: Duration = Duration::from_secs(20);
/// How soon a guest that this host runs itself shows a sign of life: it takes less than a second.
const LIFE: Duration = Duration::from_secs(8);
/// How often is tried to start a machine that ends by itself before it is ready.
const TRIES: u32 = 3;
/// How long those who wait for an answer get to hear it.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How many lines of the console a failure has.
const TAIL: usize = 15;
/// How many of them come before a panic of its kernel.
const BEFORE_PANIC: usize = 3;

/// Exit status of a machine that was killed, as a container's is.
pub(super) const KILLED: i64 = 137;
/// Exit status of a machine that cannot go on.
const BROKEN: i64 = 1;

/// What a supervisor needs.
pub struct Supervised {
    /// The machine.
    pub folder: MachineFolder,
    /// Where machines are.
    pub places: Places,
    /// Where QEMU's programs are.
    pub programs: Programs,
    /// The environment that QEMU gets.
    pub environment: Vec<(String, String)>,
    /// The system.
    pub platform: &'static dyn Platform,
}

/// Why there is no supervision.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// Another one runs.
    #[error("the machine has a supervisor already")]
    Held,
    /// There is no such machine.
    #[error("there is no such machine")]
    NoMachine,
    /// A file or a socket.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

/// What a command has the supervisor do.
enum Order {
    Stop {
        grace: Duration,
    },
    Kill,
    /// To stop it as it is; an error says why that is not possible, and the machine runs on.
    Keep(oneshot::Sender<Result<(), String>>),
    Pause(oneshot::Sender<Result<(), String>>),
    Unpause(oneshot::Sender<Result<(), String>>),
    SetPorts {
        ports: Vec<PortForward>,
        labels: Labels,
        told: oneshot::Sender<Answer>,
    },
}

/// How a machine's run ended.
enum End {
    /// As somebody wanted.
    Meant {
        /// What a container's exit status would be.
        code: i64,
    },
    /// By itself, or in no way that was meant.
    Unmeant { reason: String },
    /// The host's own way to run it does not work.
    Lifeless,
}

/// Runs a machine until it is off.
pub async fn supervise(supervised: Supervised) -> Result<(), SupervisorError> {
    let Supervised { folder, platform, .. } = &supervised;
    let lock = std::fs::File::create(folder.lock())?;
    lock.try_lock().map_err(|_| SupervisorError::Held)?;
    let record: MachineRecord = folder::read(&folder.node())?.ok_or(SupervisorError::NoMachine)?;
    let listener = platform.listen(&folder.supervisor(*platform)?)?;
    let (status, _) = watch::channel(Status {
        state: State::Starting,
        process: None,
        version: None,
        accelerator: None,
        because: String::new(),
        ssh: None,
        phases: Vec::new(),
        taken: None,
        note: None,
    });
    let (orders, ordered) = mpsc::channel(16);
    let answering = tokio::spawn(answering::answer(listener, status.subscribe(), orders));
    let mut machine = Machine { supervised: &supervised, record, status, ordered };
    let (code, reason) = machine.keep().await;
    machine.record.meant = Meant::Ended { code };
    let written = folder::write(&folder.node(), &machine.record);
    let removed = folder::remove(&folder.powered()).and_then(|()| kept::clear(&folder.kept()));
    machine.status.send_modify(|status| {
        status.state = State::Ended { code, reason };
        status.process = None;
    });
    drop(machine);
    // It ends once everybody who waited was answered.
    let _ = tokio::time::timeout(LAST_WORDS, answering).await;
    written?;
    removed?;
    drop(lock);
    Ok(())
}

/// The machine of a supervisor.
struct Machine<'a> {
    supervised: &'a Supervised,
    record: MachineRecord,
    status: watch::Sender<Status>,
    ordered: mpsc::Receiver<Order>,
}

/// A QEMU that runs.
struct Qemu {
    qmp: Qmp,
    events: broadcast::Receiver<QmpEvent>,
    control: ControlLines,
    to_guest: WriteHalf<Box<dyn Connection>>,
    /// None where it is the child of a supervisor before this one.
    child: Option<Foreground>,
    powered: Powered,
}

type ControlLines = BufReader<ReadHalf<Box<dyn Connection>>>;

impl Machine<'_> {
    /// Keeps it running until it is meant to be off; returns what its exit status is, and why where that was not meant.
    async fn keep(&mut self) -> (i64, Option<String>) {
        match self.take_over().await {
            Ok(Some(qemu)) => match self.run(qemu, true).await {
                End::Meant { code } => return (code, None),
                End::Unmeant { reason } => tracing::debug!(reason, "it ended under a new supervisor"),
                End::Lifeless => {}
            },
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "what runs is not taken over"),
        }
        let tried_path = self.supervised.places.run.join("accelerators.json");
        let platform = self.supervised.platform;
        let mut tried = Tried::read(&tried_path, platform);
        let host = Architecture::parse(crate::artifact::host_architecture());
        let own = platform.accelerator().map(|name| match name {
            "hvf" => Accelerator::Hvf,
            "whpx" => Accelerator::Whpx,
            _ => Accelerator::Kvm,
        });
        let list = candidates(self.record.architecture, host, own, &tried);
        match self.restore(&list).await {
            Restored::Runs(qemu) => match self.run(*qemu, true).await {
                End::Meant { code } => return (code, None),
                End::Unmeant { reason } => tracing::info!(reason, "the machine is started anew"),
                End::Lifeless => {}
            },
            Restored::PortTaken { reason } => return (BROKEN, Some(reason)),
            Restored::Nothing => {}
        }
        self.status.send_modify(|status| status.state = State::Starting);
        let mut list = list.into_iter();
        let Some(mut candidate) = list.next() else { return (BROKEN, Some("nothing could run it".to_owned())) };
        let mut failures = 0;
        loop {
            let started = match self.start_from_template(&candidate).await {
                Some(qemu) => Ok(qemu),
                None => self.power_on(&candidate).await,
            };
            let run = match started {
                Ok(qemu) => self.run(qemu, false).await,
                Err(reason) => End::Unmeant { reason },
            };
            let was_ready = self.status.borrow().state == State::Running;
            let reason = match run {
                End::Meant { code } => return (code, None),
                End::Lifeless => {
                    let words = format!("the machine showed no sign of life within {LIFE:?}");
                    if let Err(error) = tried.note(candidate.accelerator, &words, &tried_path) {
                        tracing::debug!(%error, "it will be tried again");
                    }
                    words
                }
                End::Unmeant { reason } => reason,
            };
            self.status.send_modify(|status| status.state = State::Starting);
            if self.status.borrow().taken.is_some() {
                return (BROKEN, Some(reason));
            }
            if candidate.accelerator != Accelerator::Tcg && !was_ready {
                // Whatever kept it from starting, translation works everywhere.
                if let Some(next) = list.next() {
                    candidate = Candidate { because: format!("{}: {reason}", candidate.accelerator.name()), ..next };
                    continue;
                }
            }
            failures = if was_ready { 0 } else { failures + 1 };
            if failures >= TRIES {
                return (BROKEN, Some(format!("{reason}{}", self.last_lines())));
            }
            tracing::info!(reason, "the machine is started again");
        }
    }

    /// The end of its console, as an error has it.
    fn last_lines(&self) -> String {
        let console = fs_err::read(self.supervised.folder.console()).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let tail = telling(&console);
        if tail.is_empty() { String::new() } else { format!("; the end of its console:\n{}", tail.join("\n")) }
    }
}

/// The lines of a console that say why a machine went off: those around a panic of its kernel, which says where it was in many
/// lines more, or else the last ones.
fn telling(console: &str) -> Vec<&str> {
    let lines: Vec<&str> = console.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let end = lines.len().saturating_sub(TAIL);
    let panic = lines.iter().rposition(|line| line.contains("Kernel panic - not syncing"));
    let start = panic.map_or(end, |panic| end.min(panic.saturating_sub(BEFORE_PANIC)));
    lines[start..].iter().take(TAIL).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_before_where_the_kernel_was() {
        let boot: Vec<String> = (0..40).map(|n| format!("[    1.{n:02}] line {n}")).collect();
        let trace: Vec<String> = (0..40).map(|n| format!("[    2.{n:02}]  frame_{n}+0x1/0x2")).collect();
        let panic = "[    2.00] Kernel panic - not syncing: VFS: Unable to mount root fs".to_owned();
        let console = [boot.clone(), vec![panic.clone()], trace].concat().join("\n\n");
        let told = telling(&console);
        assert_eq!((told.len(), told[BEFORE_PANIC]), (TAIL, panic.as_str()));
        assert_eq!(telling(&boot.join("\r\n")), boot[40 - TAIL..]);
        // A panic without a trace has what came before it.
        let console = [boot, vec![panic.clone()]].concat().join("\n");
        assert_eq!(telling(&console).last(), Some(&panic.as_str()));
        assert!(telling("").is_empty());
    }
}
