//! How fast this host translates machines: measured by their starts, remembered until the host starts anew.
//!
//! From power-on to the guest's first word it is the kernel alone that runs, so that this time says how fast instructions are
//! here. Everything that waits for a translated machine waits longer where they are slow.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::architecture::Architecture;
use super::folder::{self, Places};
use crate::platform::Platform;

/// How many times longer than until its first word a machine takes until everything in it is healthy, where no whole start was
/// measured on this host yet.
const WHOLE: u32 = 12;

/// What is known of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Speeds {
    /// The start of the host, as the system names it.
    boot: String,
    /// Milliseconds until the first word, by architecture and version of QEMU.
    hello: BTreeMap<String, u64>,
    /// Milliseconds until everything was healthy, by those and the number of cores.
    healthy: BTreeMap<String, u64>,
}

/// Which machines are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind<'a> {
    /// Their architecture.
    pub architecture: Architecture,
    /// QEMU's version.
    pub qemu: &'a str,
    /// Their cores.
    pub cores: u32,
}

impl Kind<'_> {
    fn hello(self) -> String {
        format!("{} {}", self.architecture.name(), self.qemu)
    }

    fn healthy(self) -> String {
        format!("{} {}", self.hello(), self.cores)
    }
}

/// Milliseconds until the first word on the machine on which the deadlines of this module's neighbours were chosen: two cores of a server of
/// 2023, QEMU 10.0.
fn reference(architecture: Architecture) -> u64 {
    match architecture {
        Architecture::Amd64 => 2000,
        Architecture::Arm64 => 2500,
        Architecture::Riscv64 => 3000,
    }
}

impl Speeds {
    fn file(places: &Places) -> PathBuf {
        places.run.join("speed.json")
    }

    /// What is known; nothing after a new start of the host, or where the file says nothing.
    #[must_use]
    pub fn read(places: &Places, platform: &dyn Platform) -> Self {
        let boot = platform.boot_id().unwrap_or_default();
        match folder::read::<Self>(&Self::file(places)) {
            Ok(Some(speeds)) if speeds.boot == boot => speeds,
            _ => Self { boot, ..Self::default() },
        }
    }

    /// Remembers when a translated machine said its first word.
    pub fn note_hello(&mut self, kind: Kind<'_>, took: Duration, places: &Places) -> std::io::Result<()> {
        self.hello.insert(kind.hello(), millis(took));
        folder::write(&Self::file(places), self)
    }

    /// Remembers when everything in a translated machine that was new was healthy.
    pub fn note_healthy(&mut self, kind: Kind<'_>, took: Duration, places: &Places) -> std::io::Result<()> {
        self.healthy.insert(kind.healthy(), millis(took));
        folder::write(&Self::file(places), self)
    }

    /// A time that is long enough on a usual host, as long as it has to be here; never shorter.
    #[must_use]
    pub fn scaled(&self, usual: Duration, kind: Kind<'_>) -> Duration {
        let reference = reference(kind.architecture);
        let measured = self.hello.get(&kind.hello()).copied().unwrap_or(reference).max(reference);
        let scaled = u128::from(measured) * usual.as_millis() / u128::from(reference);
        Duration::from_millis(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// How long such a machine takes from power-on until everything is healthy, if anything is known.
    #[must_use]
    pub fn whole_start(&self, kind: Kind<'_>) -> Option<Duration> {
        let measured = self.healthy.get(&kind.healthy()).copied();
        let guessed = || Some(self.hello.get(&kind.hello())?.saturating_mul(WHOLE.into()));
        measured.or_else(guessed).map(Duration::from_millis)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_makes_deadlines_longer_until_the_host_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let places = Places { machines: path("machines"), images: path("images"), run: folder.path().to_owned() };
        let platform = crate::platform::native();
        let kind = Kind { architecture: Architecture::Arm64, qemu: "10.0.2", cores: 2 };
        let minute = Duration::from_mins(1);
        let mut speeds = Speeds::read(&places, platform);
        assert_eq!((speeds.scaled(minute, kind), speeds.whole_start(kind)), (minute, None), "nothing is known");

        speeds.note_hello(kind, Duration::from_secs(10), &places).unwrap();
        let again = Speeds::read(&places, platform);
        assert_eq!(again.scaled(minute, kind), 4 * minute);
        assert_eq!(again.whole_start(kind), Some(Duration::from_mins(2)));
        let others = [Kind { qemu: "10.1.0", ..kind }, Kind { architecture: Architecture::Amd64, ..kind }];
        assert!(
            others.iter().all(|other| again.scaled(minute, *other) == minute),
            "another build may be as fast as usual"
        );

        speeds.note_healthy(kind, Duration::from_secs(90), &places).unwrap();
        let more = Kind { cores: 4, ..kind };
        assert_eq!(speeds.whole_start(kind), Some(Duration::from_secs(90)));
        assert_eq!(speeds.whole_start(more), Some(Duration::from_mins(2)));
        // A quick host waits as long as any other.
        speeds.note_hello(kind, Duration::from_millis(300), &places).unwrap();
        assert_eq!(speeds.scaled(minute, kind), minute);

        folder::write(&Speeds::file(&places), &Speeds { boot: "another".to_owned(), ..speeds }).unwrap();
        assert_eq!(Speeds::read(&places, platform).whole_start(kind), None);
    }
}
