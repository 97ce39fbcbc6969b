//! Going on from the state that a machine was stopped with.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::power::said_since;
use super::run::{answered, quit, set_clock};
use super::{COMMAND, Machine, Qemu, Supervised};
use crate::engine::machine::accelerator::Candidate;
use crate::engine::machine::control::FromGuest;
use crate::engine::machine::folder;
use crate::engine::machine::forwards::{self, ForwardError};
use crate::engine::machine::kept::{self, Files, Key, Now, Stamp, Sum};
use crate::engine::machine::migration::{self, MigrationError};
use crate::engine::machine::qmp::QmpError;
use crate::engine::machine::wire::State;

/// How long the reading of a state may take.
const LOAD: Duration = Duration::from_mins(4);
/// How long a guest may take to say that its clock is right.
const GUEST: Duration = Duration::from_secs(30);

/// What became of a state.
pub(super) enum Restored {
    /// There is none that can be used.
    Nothing,
    /// The machine goes on from it.
    Runs(Box<Qemu>),
    /// Somebody else has one of the machine's ports; the state stays.
    PortTaken {
        /// QEMU's words.
        reason: String,
    },
}

impl Machine<'_> {
    /// Goes on from the state that is kept, if there is one and it fits. One that does not is dropped, with a note.
    pub(super) async fn restore(&mut self, usable: &[Candidate]) -> Restored {
        let Supervised { folder, platform, .. } = self.supervised;
        let files = folder.kept();
        let reason = match kept::read(&files) {
            Ok(Some(key)) => match self.revive(&key, usable).await {
                Ok(qemu) => return Restored::Runs(Box::new(qemu)),
                Err(reason) if self.status.borrow().taken.is_some() => return Restored::PortTaken { reason },
                Err(reason) => Some(reason),
            },
            // There may be what a save that was not finished has left.
            Ok(None) => None,
            Err(error) => Some(error.to_string()),
        };
        if let Err(error) = kept::discard(&files, *platform) {
            tracing::warn!(%error, "a state that is not used stays");
        }
        if let Some(reason) = reason {
            tracing::warn!(reason, "the kept state is dropped");
            let note = format!("the machine's kept state is dropped: {reason}; it starts anew with its data");
            self.status.send_modify(|status| status.note = Some(note));
        }
        Restored::Nothing
    }

    async fn revive(&mut self, key: &Key, usable: &[Candidate]) -> Result<Qemu, String> {
        let Supervised { folder, .. } = self.supervised;
        let files = folder.kept();
        let candidate = self.fitting(key, &files, usable)?;
        let begun = Instant::now();
        let mut qemu = self.waiting(&candidate, key, &files, begun).await?;
        let Err(reason) = self.go_on(&mut qemu, &files, begun).await else {
            self.passed("restored", begun);
            self.status.send_modify(|status| status.state = State::Running);
            return Ok(qemu);
        };
        self.give_up(qemu).await;
        Err(reason)
    }

    /// What runs a machine that goes on from a state; an error says in words why none can.
    pub(super) fn fitting(&self, key: &Key, files: &Files, usable: &[Candidate]) -> Result<Candidate, String> {
        let words = |error: io::Error| error.to_string();
        let mut machine = self.machine(key.accelerator)?;
        machine.machine_type = Some(key.machine.clone());
        let accelerators: Vec<_> = usable.iter().map(|candidate| candidate.accelerator).collect();
        key.fits(&Now {
            sandbar: env!("CARGO_PKG_VERSION"),
            image_id: &self.record.image_id,
            arguments: &machine.essence(),
            accelerators: &accelerators,
            disk: Stamp::of(&files.disk).map_err(words)?,
            length: fs_err::metadata(&files.state).map_err(words)?.len(),
        })?;
        let candidate = usable.iter().find(|candidate| candidate.accelerator == key.accelerator);
        candidate.cloned().ok_or_else(|| "nothing could run it".to_owned())
    }

    /// A QEMU that has read a state, and whose guest stands still.
    pub(super) async fn waiting(
        &self,
        candidate: &Candidate,
        key: &Key,
        files: &Files,
        begun: Instant,
    ) -> Result<Qemu, String> {
        let Supervised { folder, platform, .. } = self.supervised;
        let (path, platform) = (files.state.clone(), *platform);
        let sum = tokio::task::spawn_blocking(move || Sum::of(&path, platform));
        let said = fs_err::metadata(folder.log()).map_or(0, |metadata| metadata.len());
        let qemu = self.start_qemu(candidate, Some(&key.machine)).await?;
        self.passed("qemu", begun);
        let read = match self.read_in(&qemu, key, files, sum, said).await {
            Ok(()) => self.open_ports(&qemu).await,
            Err(reason) => Err(reason),
        };
        match read {
            Ok(()) => {
                self.passed("read", begun);
                Ok(qemu)
            }
            Err(reason) => {
                self.give_up(qemu).await;
                Err(reason)
            }
        }
    }

    /// Opens the machine's ports once its network is what it was: connections that come before would be lost, and whoever
    /// made them would wait for seconds. It is early enough for one that is taken to be found while the state still counts.
    async fn open_ports(&self, qemu: &Qemu) -> Result<(), String> {
        let opened = forwards::change(&qemu.qmp, &[], &self.record.ports).await;
        opened.map_err(|error| {
            if let ForwardError::Taken(taken) = &error {
                self.status.send_modify(|status| status.taken = Some(*taken));
            }
            error.to_string()
        })
    }

    /// Reads a state, and whether it is as it was written.
    async fn read_in(
        &self,
        qemu: &Qemu,
        key: &Key,
        files: &Files,
        sum: JoinHandle<io::Result<Sum>>,
        said: u64,
    ) -> Result<(), String> {
        key.is_of(&self.build(qemu)?)?;
        let (read, sum) = tokio::join!(migration::read_state(&qemu.qmp, &files.state, LOAD), sum);
        match sum {
            Ok(Ok(sum)) if sum == key.state => {}
            Ok(Ok(_)) => return Err("its file is damaged".to_owned()),
            Ok(Err(error)) => return Err(format!("its file cannot be read: {error}")),
            Err(error) => return Err(error.to_string()),
        }
        match read {
            Ok(()) => Ok(()),
            Err(MigrationError::Ended) => {
                let words = said_since(&self.supervised.folder.log(), said);
                Err(format!("QEMU does not take it: {}", words.trim()))
            }
            Err(error) => Err(format!("QEMU does not take it: {error}")),
        }
    }

    /// Ends a QEMU that cannot go on.
    pub(super) async fn give_up(&self, qemu: Qemu) {
        quit(&qemu).await;
        // Why is known.
        let _ = self.ended(qemu, None, None).await;
    }

    /// Lets the guest run on once nothing can bring the state back. Nobody reaches the guest before its random numbers are new
    /// and its clock is right.
    async fn go_on(&self, qemu: &mut Qemu, files: &Files, begun: Instant) -> Result<(), String> {
        let Supervised { folder, platform, .. } = self.supervised;
        let words = |error: QmpError| error.to_string();
        kept::void(files, *platform).map_err(|error| error.to_string())?;
        self.passed("void", begun);
        // It waits where the guest finds it first.
        set_clock(qemu).await;
        qemu.qmp.execute("cont", json!({}), COMMAND).await.map_err(words)?;
        match tokio::time::timeout(GUEST, answered(qemu, "clock", &FromGuest::ClockSet)).await {
            Ok(set) => set.map_err(|error| format!("it did not go on: {error}"))?,
            Err(_) => return Err(format!("the machine did not go on within {GUEST:?}")),
        }
        migration::let_packets_go(&qemu.qmp).await.map_err(words)?;
        qemu.powered.ready = true;
        if let Err(error) = folder::write(&folder.powered(), &qemu.powered) {
            tracing::debug!(%error, "another supervisor would not take it over");
        }
        if let Err(error) = kept::retire(files) {
            tracing::warn!(%error, "a state that was used is in the way of the next");
        }
        Ok(())
    }

    /// Notes that a part of going on from a state is done.
    pub(super) fn passed(&self, name: &str, begun: Instant) {
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(millis, name, "on the way from a kept state");
        self.status.send_modify(|status| status.phases.push((name.to_owned(), millis)));
    }
}
