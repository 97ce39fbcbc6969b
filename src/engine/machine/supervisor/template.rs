//! Machines that start from the state of one of their kind, and the one that such a state is kept of.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::save::write_out;
use super::{COMMAND, Machine, Qemu, Supervised};
use crate::engine::machine::accelerator::Candidate;
use crate::engine::machine::arguments::Accelerator;
use crate::engine::machine::image_set::ImageSet;
use crate::engine::machine::kept;
use crate::engine::machine::migration;
use crate::engine::machine::qmp::QmpError;
use crate::engine::machine::template::Template;

/// How long a guest that goes on may take to hear what it is.
const HEARD: Duration = Duration::from_mins(2);

impl Machine<'_> {
    /// The template of a machine that starts for the first time. What a host runs by itself is there in a second or two, and
    /// needs none.
    fn template(&self, accelerator: Accelerator) -> Option<Template> {
        if accelerator != Accelerator::Tcg || self.record.cold {
            return None;
        }
        let Supervised { places, .. } = self.supervised;
        let image = ImageSet::of(places, &self.record.image_id).map_err(|error| error.to_string());
        let template = image.and_then(|image| {
            let machine = self.machine(accelerator)?;
            Template::of(&image.templates(), &self.record, &machine).map_err(|error| error.to_string())
        });
        template.inspect_err(|error| tracing::debug!(error, "the machine has no kind")).ok()
    }

    /// Starts a machine that was never on from the state of one of its kind; none where there is none that can be used.
    pub(super) async fn start_from_template(&mut self, candidate: &Candidate) -> Option<Qemu> {
        let template = self.template(candidate.accelerator).filter(|_| self.record.untouched)?;
        if !template.is_there() {
            return None;
        }
        match self.copy_of(&template, candidate).await {
            Ok(qemu) => Some(qemu),
            Err(reason) => {
                tracing::info!(reason, "the machine does not start from the state of its kind");
                // Somebody's port says nothing of the state.
                if self.status.borrow().taken.is_none()
                    && let Err(error) = template.discard()
                {
                    tracing::warn!(%error, "a state that cannot be used stays");
                }
                None
            }
        }
    }

    async fn copy_of(&mut self, template: &Template, candidate: &Candidate) -> Result<Qemu, String> {
        let begun = Instant::now();
        let files = template.files();
        let key = kept::read(&files).map_err(|error| error.to_string())?.ok_or("it is gone")?;
        let candidate = self.fitting(&key, &files, std::slice::from_ref(candidate))?;
        template.copy_disk(&self.supervised.folder.disk()).map_err(|error| error.to_string())?;
        let mut qemu = self.waiting(&candidate, &key, &files, begun).await?;
        let woken = tokio::time::timeout(HEARD, self.wake(&mut qemu)).await;
        if let Err(reason) = woken.unwrap_or_else(|_| Err(format!("it did not hear within {HEARD:?} what it is"))) {
            self.give_up(qemu).await;
            return Err(reason);
        }
        self.passed("template", begun);
        if let Err(error) = template.note_use() {
            tracing::debug!(%error, "it seems not to have been used");
        }
        Ok(qemu)
    }

    /// Lets a guest that waits for its identity go on with this one. Nobody reaches it before it has that: nothing in it listens.
    async fn wake(&mut self, qemu: &mut Qemu) -> Result<(), String> {
        let words = |error: QmpError| error.to_string();
        // First: what the guest is told may be more than waits anywhere while it does not read.
        qemu.qmp.execute("cont", json!({}), COMMAND).await.map_err(words)?;
        self.tell_identity(qemu).await?;
        migration::let_packets_go(&qemu.qmp).await.map_err(words)
    }

    /// Whether a machine that is switched on is the first of its kind.
    pub(super) fn makes_template(&self, accelerator: Accelerator) -> bool {
        let template = self.template(accelerator).filter(|_| self.record.untouched);
        template.is_some_and(|template| !template.is_there())
    }

    /// Keeps the state of a machine that waits for its identity, for others of its kind, and lets it go on. Where that does not
    /// work, there is no template; an error is that it does not go on.
    pub(super) async fn make_template(&self, qemu: &mut Qemu) -> Result<(), String> {
        let Some(template) = self.template(qemu.powered.accelerator) else { return Ok(()) };
        let kept = self.keep_template(&template, qemu).await;
        if let Err(reason) = &kept {
            tracing::info!(reason, "the next machine of its kind starts from nothing, too");
        }
        let words = |error: QmpError| error.to_string();
        let said = qemu.qmp.execute("query-status", json!({}), COMMAND).await.map_err(words)?;
        if said["running"] != true {
            qemu.qmp.execute("cont", json!({}), COMMAND).await.map_err(words)?;
        }
        Ok(())
    }

    /// Writes the state and a copy of the disk. What they are is summed up while the guest runs on.
    async fn keep_template(&self, template: &Template, qemu: &Qemu) -> Result<(), String> {
        let begun = Instant::now();
        let text = |error: std::io::Error| error.to_string();
        if let Some(reason) = migration::blocked(&qemu.qmp).await.map_err(|error| error.to_string())? {
            return Err(reason);
        }
        let unfinished = template.draft().map_err(text)?;
        let files = unfinished.files();
        self.check_space(qemu, &files)?;
        let draft = self.draft(qemu).await?;
        write_out(qemu, &files.state).await.map_err(|error| error.to_string())?;
        // All of it is in the file now: QEMU has let go of its disks, and takes them again when the guest runs on.
        std::fs::copy(self.supervised.folder.disk(), &files.disk).map_err(text)?;
        self.passed("kept", begun);
        let platform = self.supervised.platform;
        tokio::task::spawn_blocking(move || {
            let finished = kept::count(&files, draft, platform).and_then(|()| unfinished.finish());
            if let Err(error) = finished {
                tracing::info!(%error, "the next machine of its kind starts from nothing, too");
            }
        });
        Ok(())
    }
}
