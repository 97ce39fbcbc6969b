//! Going on from the state that a machine was stopped with.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncBufReadExt;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::power::said_since;
use super::run::{quit, set_clock};
use super::{COMMAND, Machine, Qemu, Supervised};
use crate::engine::machine::accelerator::Candidate;
use crate::engine::machine::control::FromGuest;
use crate::engine::machine::folder;
use crate::engine::machine::kept::{self, Key, Now, Stamp, Sum};
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
        let reason = match kept::read(folder) {
            Ok(Some(key)) => match self.revive(&key, usable).await {
                Ok(qemu) => return Restored::Runs(Box::new(qemu)),
                Err(reason) if self.status.borrow().taken.is_some() => return Restored::PortTaken { reason },
                Err(reason) => Some(reason),
            },
            // There may be what a save that was not finished has left.
            Ok(None) => None,
            Err(error) => Some(error.to_string()),
        };
        if let Err(error) = kept::discard(folder, *platform) {
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
        let Supervised { folder, platform, .. } = self.supervised;
        let words = |error: io::Error| error.to_string();
        let mut machine = self.machine(key.accelerator)?;
        machine.machine_type = Some(key.machine.clone());
        let accelerators: Vec<_> = usable.iter().map(|candidate| candidate.accelerator).collect();
        let path = folder.kept_state();
        key.fits(&Now {
            sandbar: env!("CARGO_PKG_VERSION"),
            image_id: &self.record.image_id,
            arguments: &machine.essence(),
            accelerators: &accelerators,
            disk: Stamp::of(&folder.disk()).map_err(words)?,
            length: fs_err::metadata(&path).map_err(words)?.len(),
        })?;
        let candidate = usable.iter().find(|candidate| candidate.accelerator == key.accelerator);
        let candidate = candidate.cloned().ok_or("nothing could run it")?;
        let begun = Instant::now();
        let platform = *platform;
        let sum = tokio::task::spawn_blocking(move || Sum::of(&path, platform));
        let said = fs_err::metadata(folder.log()).map_or(0, |metadata| metadata.len());
        let mut qemu = self.start_qemu(&candidate, Some(&key.machine)).await?;
        self.passed("qemu", begun);
        let Err(reason) = self.go_on(&mut qemu, key, sum, (said, begun)).await else {
            self.passed("restored", begun);
            self.status.send_modify(|status| status.state = State::Running);
            return Ok(qemu);
        };
        quit(&qemu).await;
        // Why is known.
        let _ = self.ended(qemu, None, None).await;
        Err(reason)
    }

    /// Reads the state, and lets the guest run on once nothing can bring the state back. Nobody reaches the guest before its
    /// random numbers are new and its clock is right.
    async fn go_on(
        &self,
        qemu: &mut Qemu,
        key: &Key,
        sum: JoinHandle<io::Result<Sum>>,
        (said, begun): (u64, Instant),
    ) -> Result<(), String> {
        let Supervised { folder, platform, .. } = self.supervised;
        key.is_of(&self.build(qemu)?)?;
        let path = folder.kept_state();
        let (read, sum) = tokio::join!(migration::read_state(&qemu.qmp, &path, LOAD), sum);
        match sum {
            Ok(Ok(sum)) if sum == key.state => {}
            Ok(Ok(_)) => return Err("its file is damaged".to_owned()),
            Ok(Err(error)) => return Err(format!("its file cannot be read: {error}")),
            Err(error) => return Err(error.to_string()),
        }
        match read {
            Ok(()) => {}
            Err(MigrationError::Ended) => {
                return Err(format!("QEMU does not take it: {}", said_since(&folder.log(), said).trim()));
            }
            Err(error) => return Err(format!("QEMU does not take it: {error}")),
        }
        self.passed("read", begun);
        let words = |error: QmpError| error.to_string();
        migration::hold_packets(&qemu.qmp).await.map_err(words)?;
        kept::void(folder, *platform).map_err(|error| error.to_string())?;
        self.passed("void", begun);
        // It waits where the guest finds it first.
        set_clock(qemu).await;
        qemu.qmp.execute("cont", json!({}), COMMAND).await.map_err(words)?;
        match tokio::time::timeout(GUEST, clock_is_set(qemu)).await {
            Ok(set) => set?,
            Err(_) => return Err(format!("the machine did not go on within {GUEST:?}")),
        }
        migration::let_packets_go(&qemu.qmp).await.map_err(words)?;
        qemu.powered.ready = true;
        if let Err(error) = folder::write(&folder.powered(), &qemu.powered) {
            tracing::debug!(%error, "another supervisor would not take it over");
        }
        if let Err(error) = kept::discard(folder, *platform) {
            tracing::warn!(%error, "a state that was used stays");
        }
        Ok(())
    }

    /// Notes that a part of the restore is done.
    fn passed(&self, name: &str, begun: Instant) {
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.status.send_modify(|status| status.phases.push((name.to_owned(), millis)));
    }
}

/// Waits until the guest says that its clock is right.
async fn clock_is_set(qemu: &mut Qemu) -> Result<(), String> {
    let mut line = Vec::new();
    loop {
        line.clear();
        match qemu.control.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return Err("the machine ended before it went on".to_owned()),
            Ok(_) => {}
        }
        match FromGuest::parse(&line) {
            Some(FromGuest::ClockSet) => return Ok(()),
            Some(FromGuest::Refused { name, reason }) if name == "clock" => {
                return Err(format!("the machine cannot set its clock: {reason}"));
            }
            // The end of a line that was begun before, or something that nobody waits for.
            _ => {}
        }
    }
}
