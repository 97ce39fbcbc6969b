//! States of machines that were nobody's yet: a new machine of the same kind starts from a copy of one, in place of from nothing.
//!
//! A translated machine takes seconds until its node could be told whose it is. The first of a kind is told so only once its
//! state at that moment is kept; what makes it a cluster of its own - name, keys, configuration, time, random numbers - comes
//! afterwards, to each copy anew (contract/machine.md). A template is a folder beside the set that the machine was started from,
//! and goes with it: the state, its key and the disk as it was.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::arguments::MachineArguments;
use super::folder::MachineRecord;
use super::kept::Files;
use crate::device::Link;

/// How many there are of one set; the one that was not used for longest makes room.
const KEPT: usize = 4;

/// How the folder of one that is being written begins.
const DRAFT: &str = ".draft-";
/// Nobody writes that long.
const STALE: Duration = Duration::from_hours(1);

/// What a machine is before it is somebody's, beside what QEMU is told.
#[derive(Serialize)]
struct Kind<'a> {
    arguments: Vec<String>,
    environment: &'a BTreeMap<String, String>,
    link: Option<&'a Link>,
    model: Option<&'a String>,
    disk_bytes: Option<u64>,
    emulate_binaries: bool,
}

/// A kind of machine, and the state that is kept of it or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    folder: PathBuf,
}

/// A template that is being written.
pub(super) struct Draft {
    template: Template,
    folder: tempfile::TempDir,
}

impl Template {
    /// That of the machine. `folder` is that of the set's templates; `machine` is how QEMU is told of it, its type as it is
    /// usually told.
    pub fn of(folder: &Path, record: &MachineRecord, machine: &MachineArguments) -> io::Result<Self> {
        let hardware = record.hardware.as_ref();
        let kind = serde_json::to_vec(&Kind {
            arguments: machine.essence(),
            environment: &record.environment,
            link: hardware.map(|hardware| &hardware.link),
            model: hardware.and_then(|hardware| hardware.model.as_ref()),
            disk_bytes: hardware.map(|hardware| hardware.disk_bytes),
            emulate_binaries: record.emulate_binaries,
        })?;
        let kind: String = Sha256::digest(kind).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { folder: folder.join(kind) })
    }

    /// Where its state is.
    pub fn files(&self) -> Files {
        files(&self.folder)
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.files().key.exists()
    }

    /// Begins one.
    pub fn draft(&self) -> io::Result<Draft> {
        let parent = self.folder.parent().ok_or(io::ErrorKind::InvalidInput)?;
        crate::platform::native().create_private_dir(parent)?;
        let folder = tempfile::Builder::new().prefix(DRAFT).tempdir_in(parent)?;
        Ok(Draft { template: self.clone(), folder })
    }

    /// Gives a machine a disk as the template's was.
    pub fn copy_disk(&self, disk: &Path) -> io::Result<()> {
        let draft = disk.with_extension("draft");
        fs::copy(self.files().disk, &draft)?;
        fs::rename(draft, disk)
    }

    /// Notes that it was used.
    pub fn note_use(&self) -> io::Result<()> {
        std::fs::File::options().append(true).open(self.files().key)?.set_modified(SystemTime::now())
    }

    /// Removes it.
    pub fn discard(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Draft {
    /// Where its state is to be.
    pub fn files(&self) -> Files {
        files(self.folder.path())
    }

    /// Makes it the template, and makes room for it. Where another machine was quicker, that one's stays.
    pub fn finish(self) -> io::Result<()> {
        let target = &self.template.folder;
        if self.template.is_there() {
            return Ok(());
        }
        self.template.discard()?;
        fs::rename(self.folder.path(), target)?;
        drop(self.folder.keep());
        make_room(target)
    }
}

fn files(folder: &Path) -> Files {
    let file = |name: &str| folder.join(name);
    Files { key: file("key.json"), state: file("state"), disk: file("data.qcow2"), used: file("used") }
}

/// Removes those beside it that were not used for longest, and what supervisors that were killed left of theirs.
fn make_room(newest: &Path) -> io::Result<()> {
    let Some(parent) = newest.parent() else { return Ok(()) };
    let mut others = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let folder = entry.path();
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            if entry.metadata()?.modified()?.elapsed().is_ok_and(|age| age > STALE) {
                fs::remove_dir_all(folder)?;
            }
        } else if folder != newest {
            let used = fs::metadata(files(&folder).key).and_then(|metadata| metadata.modified());
            others.push((used.unwrap_or(SystemTime::UNIX_EPOCH), folder));
        }
    }
    others.sort();
    let surplus = others.len().saturating_sub(KEPT - 1);
    for (_, folder) in others.into_iter().take(surplus) {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(folder: &Path, kind: &str) -> Template {
        Template { folder: folder.join(kind) }
    }

    fn write(template: &Template, key: &str) {
        let draft = template.draft().unwrap();
        for (path, content) in [(draft.files().key, key), (draft.files().state, "s"), (draft.files().disk, "d")] {
            fs::write(path, content).unwrap();
        }
        draft.finish().unwrap();
    }

    #[test]
    fn it_is_there_once_it_is_finished_and_the_first_one_stays() {
        let home = tempfile::tempdir().unwrap();
        let one = template(&home.path().join("templates"), "one");
        assert!(!one.is_there());
        drop(one.draft().unwrap());
        assert!(!one.is_there());
        write(&one, "1");
        write(&one, "2");
        assert_eq!(fs::read_to_string(one.files().key).unwrap(), "1");
        let disk = home.path().join("machine.qcow2");
        fs::write(&disk, "empty").unwrap();
        one.copy_disk(&disk).unwrap();
        assert_eq!(fs::read_to_string(&disk).unwrap(), "d");
        one.discard().unwrap();
        one.discard().unwrap();
        assert!(!one.is_there());
    }

    #[test]
    fn the_one_that_was_not_used_for_longest_makes_room() {
        let home = tempfile::tempdir().unwrap();
        let all: Vec<Template> = (0..=KEPT).map(|number| template(home.path(), &number.to_string())).collect();
        for (age, one) in all[..KEPT].iter().enumerate() {
            write(one, "");
            let used = SystemTime::now() - Duration::from_secs(1000 - age as u64);
            let key = std::fs::File::options().append(true).open(one.files().key).unwrap();
            key.set_modified(used).unwrap();
        }
        all[0].note_use().unwrap();
        write(&all[KEPT], "");
        let there: Vec<bool> = all.iter().map(Template::is_there).collect();
        assert_eq!(there, [true, false, true, true, true]);
    }
}
