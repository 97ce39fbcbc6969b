//! Stopping a machine as it is: its state is written to a file, and its QEMU ends.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::run::{answered, quit, set_clock};
use super::{COMMAND, Machine, Qemu, Supervised};
use crate::engine::machine::arguments::SYSTEM;
use crate::engine::machine::control::{FromGuest, SHRINKS, ToGuest};
use crate::engine::machine::image_set::ImageSet;
use crate::engine::machine::kept::{self, Build, Draft, Files, Stamp};
use crate::engine::machine::migration::{self, MigrationError};
use crate::engine::machine::qmp::QmpError;
use crate::engine::machine::wire::State;

/// How long the writing of a state may take.
pub(in crate::engine::machine) const SAVE: Duration = Duration::from_mins(4);
/// How long a guest may take to make itself small, which it does in a few tenths of a second where it is translated.
const SHRINK: Duration = Duration::from_secs(10);

impl Machine<'_> {
    /// Writes the state of a machine, whose guest stands still then, to be sealed once QEMU is gone. An error says in words
    /// why there is none; then the machine is as before.
    pub(super) async fn save(&self, qemu: &mut Qemu) -> Result<Draft, String> {
        let Supervised { folder, platform, .. } = self.supervised;
        let before = self.status.borrow().state.clone();
        if !matches!(before, State::Running | State::Paused) {
            return Err("it does not run yet".to_owned());
        }
        if let Some(reason) = migration::blocked(&qemu.qmp).await.map_err(words)? {
            return Err(reason);
        }
        kept::discard(&folder.kept(), *platform).map_err(|error| error.to_string())?;
        self.check_space(qemu, &folder.kept())?;
        let draft = self.draft(qemu).await?;
        self.status.send_modify(|status| status.state = State::Stopping);
        if before == State::Running
            && let Err(reason) = self.shrink(qemu).await
        {
            tracing::info!(reason, "its state is larger than it could be");
        }
        let path = folder.kept().state;
        let Err(error) = write_out(qemu, &path).await else { return Ok(draft) };
        if let Err(error) = kept::discard(&folder.kept(), *platform) {
            tracing::warn!(%error, "what was written of its state stays");
        }
        if before == State::Running {
            match qemu.qmp.execute("cont", json!({}), COMMAND).await {
                Ok(_) => set_clock(qemu).await,
                Err(error) => tracing::warn!(%error, "it does not go on"),
            }
        }
        self.status.send_modify(|status| status.state = before);
        Err(error.to_string())
    }

    /// Has the guest turn into zeroes what nobody needs of its memory: those are holes in its state. An error says in words why
    /// it did not, and is no reason against the state.
    async fn shrink(&self, qemu: &mut Qemu) -> Result<(), String> {
        let image = ImageSet::of(&self.supervised.places, &self.record.image_id).map_err(|error| error.to_string())?;
        // An older one would not answer.
        if image.manifest.control_version < SHRINKS {
            return Ok(());
        }
        let sent = qemu.to_guest.write_all(ToGuest::Shrink.line().as_bytes()).await;
        sent.map_err(|error| error.to_string())?;
        let shrunk = tokio::time::timeout(SHRINK, answered(qemu, "shrink", &FromGuest::Shrunk)).await;
        shrunk.unwrap_or_else(|_| Err(format!("it did not make itself small within {SHRINK:?}")))
    }

    /// Ends a QEMU whose state is written, and makes the state one that counts. An error says in words why it does not.
    pub(super) async fn seal(&self, qemu: Qemu, draft: Draft) -> Result<(), String> {
        quit(&qemu).await;
        // That it ended is what was meant.
        let _ = self.ended(qemu, Some(0), None).await;
        let (folder, platform) = (self.supervised.folder.clone(), self.supervised.platform);
        let sealing = tokio::task::spawn_blocking(move || {
            let sealed = kept::seal(&folder.kept(), draft, platform);
            if sealed.is_err()
                && let Err(error) = kept::discard(&folder.kept(), platform)
            {
                tracing::warn!(%error, "its state stays, and is not used");
            }
            sealed
        });
        let sealed = sealing.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        sealed.map_err(|error| error.to_string())
    }

    /// Of what the state is.
    pub(super) async fn draft(&self, qemu: &Qemu) -> Result<Draft, String> {
        let accelerator = qemu.powered.accelerator;
        let mut machine = self.machine(accelerator)?;
        let exact = migration::machine_type(&qemu.qmp).await.map_err(words)?;
        machine.machine_type = Some(exact.clone());
        Ok(Draft {
            qemu: self.build(qemu)?,
            machine: exact,
            accelerator,
            image_id: self.record.image_id.clone(),
            arguments: machine.essence(),
            left_out: machine.system_memory.map(|_| SYSTEM),
        })
    }

    /// The QEMU that runs.
    pub(super) fn build(&self, qemu: &Qemu) -> Result<Build, String> {
        let program = Stamp::of(&self.program()?).map_err(|error| error.to_string())?;
        Ok(Build { version: qemu.qmp.build(), program })
    }

    /// A state takes no more than QEMU has of this host's memory; a disk that is full would harm more than one machine.
    pub(super) fn check_space(&self, qemu: &Qemu, files: &Files) -> Result<(), String> {
        let platform = self.supervised.platform;
        let free = files.state.parent().map(|parent| platform.free_space(parent));
        let Some(Ok(Some(free))) = free else { return Ok(()) };
        match platform.usage(qemu.powered.process) {
            Ok(usage) if usage.memory_bytes > free => {
                let (takes, free) = (usage.memory_bytes >> 20, free >> 20);
                Err(format!("it may take {takes} MiB, and {free} MiB are free where it would be"))
            }
            _ => Ok(()),
        }
    }
}

/// Has the guest stand still and writes its state, or nothing that goes on being written.
pub(super) async fn write_out(qemu: &Qemu, path: &Path) -> Result<(), MigrationError> {
    qemu.qmp.execute("stop", json!({}), COMMAND).await?;
    let written = migration::write_state(&qemu.qmp, path, SAVE).await;
    if let Err(MigrationError::TimedOut { .. }) = written
        && let Err(error) = migration::cancel(&qemu.qmp).await
    {
        tracing::warn!(%error, "the writing of its state does not end");
    }
    written
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn words(error: QmpError) -> String {
    error.to_string()
}
