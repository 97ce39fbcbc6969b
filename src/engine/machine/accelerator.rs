//! What runs a guest's instructions, chosen by trying: what opens need not work.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::arguments::Accelerator;
use super::folder;
use crate::platform::Platform;

/// What was tried in vain on this host, until it starts anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// The start of the host, as the system names it.
    boot: String,
    /// Why each did not work.
    failed: BTreeMap<String, String>,
}

/// One to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// It.
    pub accelerator: Accelerator,
    /// Why it, in words.
    pub because: String,
}

/// Those to try, best first; translation is always the last.
#[must_use]
pub fn candidates(
    guest: Architecture,
    host: Option<Architecture>,
    own: Result<Accelerator, String>,
    tried: &Tried,
) -> Vec<Candidate> {
    let translated = |because: String| Candidate { accelerator: Accelerator::Tcg, because };
    if host != Some(guest) {
        let of_host = host.map_or("another architecture", Architecture::name);
        return vec![translated(format!("this host is {of_host}, the machine {}", guest.name()))];
    }
    let own = match own {
        Ok(own) => own,
        Err(reason) => return vec![translated(reason)],
    };
    if let Some(reason) = tried.failed.get(own.name()) {
        return vec![translated(format!("{} was tried since this host started: {reason}", own.name()))];
    }
    let because = format!("this host runs {} itself", guest.name());
    vec![
        Candidate { accelerator: own, because },
        translated(format!("{} was tried: the machine showed no sign of life", own.name())),
    ]
}

impl Tried {
    /// What is known; nothing after a new start of the host, or where the file says nothing.
    #[must_use]
    pub fn read(path: &Path, platform: &dyn Platform) -> Self {
        let boot = platform.boot_id().unwrap_or_default();
        match folder::read::<Self>(path) {
            Ok(Some(tried)) if tried.boot == boot => tried,
            _ => Self { boot, failed: BTreeMap::new() },
        }
    }

    /// Remembers that one does not work.
    pub fn note(&mut self, accelerator: Accelerator, reason: &str, path: &Path) -> std::io::Result<()> {
        self.failed.insert(accelerator.name().to_owned(), reason.to_owned());
        folder::write(path, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[Candidate]) -> Vec<&str> {
        list.iter().map(|candidate| candidate.accelerator.name()).collect()
    }

    #[test]
    fn another_architecture_is_translated() {
        let list = candidates(Architecture::Arm64, Some(Architecture::Amd64), Ok(Accelerator::Kvm), &Tried::default());
        assert_eq!(names(&list), ["tcg"]);
        assert_eq!(list[0].because, "this host is amd64, the machine arm64");
    }

    #[test]
    fn the_hosts_own_is_tried_first() {
        let amd64 = Architecture::Amd64;
        let list = candidates(amd64, Some(amd64), Ok(Accelerator::Kvm), &Tried::default());
        assert_eq!(names(&list), ["kvm", "tcg"]);
        let list = candidates(amd64, Some(amd64), Err("/dev/kvm: permission denied".to_owned()), &Tried::default());
        assert_eq!(names(&list), ["tcg"]);
        assert_eq!(list[0].because, "/dev/kvm: permission denied");
    }

    #[test]
    fn what_failed_is_remembered_until_the_host_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tried.json");
        let platform = crate::platform::native();
        let mut tried = Tried::read(&path, platform);
        tried.note(Accelerator::Kvm, "no sign of life within 5s", &path).unwrap();
        let amd64 = Architecture::Amd64;
        let again = Tried::read(&path, platform);
        let list = candidates(amd64, Some(amd64), Ok(Accelerator::Kvm), &again);
        assert_eq!(names(&list), ["tcg"]);
        assert_eq!(list[0].because, "kvm was tried since this host started: no sign of life within 5s");

        folder::write(&path, &Tried { boot: "another".to_owned(), ..again }).unwrap();
        let anew = Tried::read(&path, platform);
        assert_eq!(names(&candidates(amd64, Some(amd64), Ok(Accelerator::Kvm), &anew)), ["kvm", "tcg"]);
    }
}
