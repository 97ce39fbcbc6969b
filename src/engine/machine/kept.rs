//! The state of a machine that was stopped as it ran: of what it is, whether it still fits, and when it is void.
//!
//! It is two files beside the disk that it is of ([`Files`]): QEMU's migration stream with the guest's memory, and the
//! key that says of what it is. The key is written last, when all else is on the disk.
//!
//! The state of a machine that is somebody's is good for one run. Until the guest runs on nothing writes to the machine's disk,
//! so that a start that is killed is tried again from the same state; right before the guest runs on, the key is taken away, for
//! good, since from then on the disk is ahead of the state, and restoring it would damage what was written since. So the disk needs no overlay of its own, its
//! chain never grows, and random numbers are never given out twice. That of a machine which is nobody's yet is good for as many
//! as are started from copies of its disk ([`super::template`]).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::arguments::Accelerator;
use super::{folder, state_file};
use crate::engine::Kept;
use crate::platform::Platform;

/// Version of the key's form.
const SCHEMA: u32 = 1;
/// Bytes that are looked at together.
const BLOCK: usize = 64 << 10;
/// Bytes that a file system gives room to together.
const PAGE: usize = 4 << 10;
static ZEROES: [u8; BLOCK] = [0; BLOCK];

/// Where a state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The key.
    pub key: PathBuf,
    /// The state itself.
    pub state: PathBuf,
    /// The disk that it is of.
    pub disk: PathBuf,
    /// What was a state until a machine went on from it.
    pub used: PathBuf,
}

/// Of what a state is. All of it has to be the same for the state to be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Version of this file's form.
    pub schema_version: u32,
    /// Version of Sandbar.
    pub sandbar: String,
    /// The QEMU that wrote it.
    pub qemu: Build,
    /// QEMU's machine with its version, such as `pc-q35-10.0`.
    pub machine: String,
    /// What ran the guest's instructions.
    pub accelerator: Accelerator,
    /// Digest of the set that the machine was started from.
    pub image_id: String,
    /// QEMU's arguments, but for places: processor, cores, memory, devices.
    pub arguments: Vec<String>,
    /// The disk as it was.
    pub disk: Stamp,
    /// The state itself.
    pub state: Sum,
    /// When it was kept.
    pub since: Timestamp,
}

/// A build of QEMU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// Its version and its package, as it says itself.
    pub version: String,
    /// Its program.
    pub program: Stamp,
}

/// What tells a file from one that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stamp {
    /// Its length.
    pub bytes: u64,
    /// When it was last written.
    pub modified: Timestamp,
}

/// What tells a state from one that was damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sum {
    /// Its length with its holes.
    pub length: u64,
    /// What it takes without them.
    pub bytes: u64,
    /// CRC-32 over the offsets and contents of all blocks that are not zeroes.
    pub crc32: u32,
}

/// How things are at a start.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// Version of Sandbar.
    pub sandbar: &'a str,
    /// Digest of the set that the machine is started from.
    pub image_id: &'a str,
    /// QEMU's arguments, but for places.
    pub arguments: &'a [String],
    /// What could run the guest.
    pub accelerators: &'a [Accelerator],
    /// The disk.
    pub disk: Stamp,
    /// Length of the state.
    pub length: u64,
}

impl Key {
    /// Whether the state is of the machine that is about to start; an error says in words why not.
    pub fn fits(&self, now: &Now<'_>) -> Result<(), String> {
        if self.sandbar != now.sandbar {
            return Err(format!("it was kept by sandbar {}, this is {}", self.sandbar, now.sandbar));
        }
        if self.image_id != now.image_id {
            return Err("the machine is started from another image now".to_owned());
        }
        if !now.accelerators.contains(&self.accelerator) {
            return Err(format!("it was kept under {}, which does not run here any more", self.accelerator.name()));
        }
        if self.arguments != now.arguments {
            let pairs = self.arguments.iter().zip(now.arguments).find(|(before, now)| before != now);
            let words = pairs.map(|(before, now)| format!(": {before} before, {now} now")).unwrap_or_default();
            return Err(format!("the machine is another one{words}"));
        }
        if self.disk != now.disk {
            return Err("the machine's disk was written to since".to_owned());
        }
        if self.state.length != now.length {
            return Err(format!("its file has {} bytes of {}", now.length, self.state.length));
        }
        Ok(())
    }

    /// Whether a QEMU is the one that wrote it; an error says in words why not.
    pub fn is_of(&self, build: &Build) -> Result<(), String> {
        if self.qemu.version != build.version {
            return Err(format!("it was kept by QEMU {}, this is {}", self.qemu.version, build.version));
        }
        if self.qemu.program != build.program {
            return Err("QEMU was installed anew since".to_owned());
        }
        Ok(())
    }
}

impl Stamp {
    /// That of a file.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs_err::metadata(path)?;
        let modified = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
        Ok(Self { bytes: metadata.len(), modified })
    }
}

impl Sum {
    /// That of a file; takes as long as it takes to read what is in it.
    pub fn of(path: &Path, platform: &dyn Platform) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut hasher = crc32fast::Hasher::new();
        let (mut bytes, mut block) = (0, vec![0; BLOCK]);
        let mut at = 0;
        while let Some(data) = platform.next_data(&file, at)? {
            // Holes end where the file system says; blocks are the same whatever it says.
            at = data - data % BLOCK as u64;
            file.seek(SeekFrom::Start(at))?;
            let mut filled = 0;
            while filled < BLOCK {
                match file.read(&mut block[filled..])? {
                    0 => break,
                    read => filled += read,
                }
            }
            if filled == 0 {
                break;
            }
            if block[..filled] != ZEROES[..filled] {
                hasher.update(&at.to_le_bytes());
                hasher.update(&block[..filled]);
                // A state is written page by page, and what is between them is a hole.
                let pages = block[..filled].chunks(PAGE).filter(|page| **page != ZEROES[..page.len()]);
                bytes += pages.map(|page| page.len() as u64).sum::<u64>();
            }
            at += BLOCK as u64;
        }
        Ok(Self { length, bytes, crc32: hasher.finalize() })
    }
}

/// The key of a state; none where nothing is kept.
pub fn read(files: &Files) -> io::Result<Option<Key>> {
    let key = folder::read::<Key>(&files.key)?;
    match key {
        Some(key) if key.schema_version != SCHEMA => {
            let words = format!("it has form {}, which this sandbar does not know", key.schema_version);
            Err(io::Error::new(io::ErrorKind::InvalidData, words))
        }
        key => Ok(key),
    }
}

/// What is kept of a machine, for reports; none also where that cannot be said.
#[must_use]
pub fn summary(files: &Files) -> Option<Kept> {
    let key = read(files).ok().flatten()?;
    Some(Kept { bytes: key.state.bytes, since: key.since })
}

/// Everything that a state is of, but for the files, which are looked at once QEMU is gone.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The QEMU that wrote it.
    pub qemu: Build,
    /// QEMU's machine with its version.
    pub machine: String,
    /// What ran the guest's instructions.
    pub accelerator: Accelerator,
    /// Digest of the set that the machine was started from.
    pub image_id: String,
    /// QEMU's arguments, but for places.
    pub arguments: Vec<String>,
    /// QEMU's object whose memory need not be in it, since a file has it.
    pub left_out: Option<&'static str>,
}

/// Makes a state that was written one that counts, also after a loss of power.
pub fn seal(files: &Files, draft: Draft, platform: &dyn Platform) -> io::Result<()> {
    leave_out(files, &draft, platform)?;
    // What is on the disk by now need not be written while the guest waits to run on.
    File::open(&files.state)?.sync_all()?;
    write_key(files, draft, platform)
}

/// The same for one that may be lost: what is not as the key says is not used.
pub fn count(files: &Files, draft: Draft, platform: &dyn Platform) -> io::Result<()> {
    leave_out(files, &draft, platform)?;
    write_key(files, draft, platform)
}

fn leave_out(files: &Files, draft: &Draft, platform: &dyn Platform) -> io::Result<()> {
    draft.left_out.map_or(Ok(()), |name| state_file::leave_out(&files.state, name, platform))
}

fn write_key(files: &Files, draft: Draft, platform: &dyn Platform) -> io::Result<()> {
    let Draft { qemu, machine, accelerator, image_id, arguments, left_out: _ } = draft;
    let key = Key {
        schema_version: SCHEMA,
        sandbar: env!("CARGO_PKG_VERSION").to_owned(),
        qemu,
        machine,
        accelerator,
        image_id,
        arguments,
        disk: Stamp::of(&files.disk)?,
        state: Sum::of(&files.state, platform)?,
        since: Timestamp::now(),
    };
    folder::write(&files.key, &key)
}

/// Takes the state's key away so that not even a loss of power brings it back.
pub fn void(files: &Files, platform: &dyn Platform) -> io::Result<()> {
    folder::remove(&files.key)?;
    files.key.parent().map_or(Ok(()), |parent| platform.sync_dir(parent))
}

/// Puts a state that was used out of the way, which is done at once; [`clear`] removes it.
pub fn retire(files: &Files) -> io::Result<()> {
    fs_err::rename(&files.state, &files.used)
}

/// Removes a state that was used. It takes a few tenths of a second of one core, since most of it is in this host's memory.
pub fn clear(files: &Files) -> io::Result<()> {
    folder::remove(&files.used)
}

/// Removes a state, and what is left of one that was not finished.
pub fn discard(files: &Files, platform: &dyn Platform) -> io::Result<()> {
    if files.key.exists() {
        void(files, platform)?;
    }
    folder::remove(&files.state)?;
    clear(files)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::platform::native;

    fn key() -> Key {
        let stamp = Stamp { bytes: 7, modified: Timestamp::UNIX_EPOCH };
        Key {
            schema_version: SCHEMA,
            sandbar: "0.1.0".to_owned(),
            qemu: Build { version: "10.0.2 (Debian)".to_owned(), program: stamp },
            machine: "virt-10.0".to_owned(),
            accelerator: Accelerator::Tcg,
            image_id: "sha256:1".to_owned(),
            arguments: ["-smp", "2", "-m", "2048M"].map(str::to_owned).to_vec(),
            disk: stamp,
            state: Sum { length: 100, bytes: 50, crc32: 1 },
            since: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_does_not_fit_is_said_in_words() {
        let key = key();
        let arguments = key.arguments.clone();
        let accelerators = [Accelerator::Kvm, Accelerator::Tcg];
        let now = Now {
            sandbar: "0.1.0",
            image_id: "sha256:1",
            arguments: &arguments,
            accelerators: &accelerators,
            disk: key.disk,
            length: 100,
        };
        assert_eq!(key.fits(&now), Ok(()));
        let words = |now: Now<'_>| key.fits(&now).unwrap_err();
        assert_eq!(words(Now { sandbar: "0.2.0", ..now }), "it was kept by sandbar 0.1.0, this is 0.2.0");
        assert_eq!(words(Now { image_id: "sha256:2", ..now }), "the machine is started from another image now");
        let cores = ["-smp", "4", "-m", "2048M"].map(str::to_owned);
        assert_eq!(words(Now { arguments: &cores, ..now }), "the machine is another one: 2 before, 4 now");
        assert_eq!(words(Now { arguments: &cores[..0], ..now }), "the machine is another one");
        let kvm = [Accelerator::Kvm];
        assert_eq!(words(Now { accelerators: &kvm, ..now }), "it was kept under tcg, which does not run here any more");
        let disk = Stamp { bytes: 8, ..now.disk };
        assert_eq!(words(Now { disk, ..now }), "the machine's disk was written to since");
        assert_eq!(words(Now { length: 99, ..now }), "its file has 99 bytes of 100");

        assert_eq!(key.is_of(&key.qemu), Ok(()));
        let newer = Build { version: "10.1.0".to_owned(), ..key.qemu.clone() };
        assert_eq!(key.is_of(&newer), Err("it was kept by QEMU 10.0.2 (Debian), this is 10.1.0".to_owned()));
        let rebuilt = Build { program: Stamp { bytes: 8, ..key.qemu.program }, ..key.qemu.clone() };
        assert_eq!(key.is_of(&rebuilt), Err("QEMU was installed anew since".to_owned()));
    }

    #[test]
    fn a_sum_is_of_the_content_whatever_the_holes_are() {
        let folder = tempfile::tempdir().unwrap();
        let (sparse, full) = (folder.path().join("sparse"), folder.path().join("full"));
        let mut content = vec![0; 10 * BLOCK + 17];
        content[3 * BLOCK + 5] = 1;
        content[10 * BLOCK + 16] = 2;
        std::fs::write(&full, &content).unwrap();
        let mut file = File::create(&sparse).unwrap();
        file.set_len(content.len() as u64).unwrap();
        for at in [3 * BLOCK + 5, 10 * BLOCK + 16] {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&content[at..=at]).unwrap();
        }
        let sum = Sum::of(&full, native()).unwrap();
        assert_eq!((sum.length, sum.bytes), (content.len() as u64, PAGE as u64 + 17));
        assert_eq!(Sum::of(&sparse, native()).unwrap(), sum);
        // A bit, a block in another place, an end that is missing.
        content[3 * BLOCK + 5] = 3;
        std::fs::write(&full, &content).unwrap();
        assert_ne!(Sum::of(&full, native()).unwrap(), sum);
        content[3 * BLOCK + 5] = 0;
        content[4 * BLOCK + 5] = 1;
        std::fs::write(&full, &content).unwrap();
        assert_ne!(Sum::of(&full, native()).unwrap(), sum);
        std::fs::write(&full, &content[..content.len() - 1]).unwrap();
        assert_ne!(Sum::of(&full, native()).unwrap(), sum);
        std::fs::write(&full, b"").unwrap();
        assert_eq!(Sum::of(&full, native()).unwrap(), Sum { length: 0, bytes: 0, crc32: 0 });
    }

    #[test]
    fn a_state_counts_from_its_key_to_its_void() {
        let home = tempfile::tempdir().unwrap();
        let place = |name: &str| home.path().join(name);
        let places = folder::Places { machines: place("m"), images: place("i"), run: place("r") };
        let folder = places.machine("sandbar-a");
        folder.create(native()).unwrap();
        let files = folder.kept();
        std::fs::write(&files.disk, "disk").unwrap();
        std::fs::write(&files.state, "state").unwrap();
        assert_eq!(read(&files).unwrap(), None, "a save that was not finished");
        assert!(summary(&files).is_none());
        let Key { qemu, machine, accelerator, image_id, arguments, .. } = key();
        let draft = Draft { qemu, machine, accelerator, image_id, arguments, left_out: None };
        seal(&files, draft, native()).unwrap();
        let sealed = read(&files).unwrap().unwrap();
        assert_eq!(sealed.disk, Stamp::of(&files.disk).unwrap());
        assert_eq!(summary(&files).unwrap().bytes, 5);
        void(&files, native()).unwrap();
        assert_eq!(read(&files).unwrap(), None);
        std::fs::write(&files.key, "{").unwrap();
        assert!(read(&files).is_err());
        retire(&files).unwrap();
        assert!(!files.state.exists() && files.used.exists());
        std::fs::write(&files.state, "another").unwrap();
        clear(&files).unwrap();
        assert!(files.state.exists() && !files.used.exists(), "what was kept since stays");
        retire(&files).unwrap();
        discard(&files, native()).unwrap();
        assert!(!files.key.exists() && !files.state.exists() && !files.used.exists());
        discard(&files, native()).unwrap();
    }
}
