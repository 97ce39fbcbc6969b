//! The file of a state, in QEMU's form mapped-ram (docs/devel/migration/mapped-ram.rst and migration/ram.c of QEMU).
//!
//! It is a stream in which each block of the guest's memory has a map of its pages that count, a bit each, and room for all
//! pages. A page whose bit is not set is not read, and stays what it is. QEMU writes what a machine has of a file in its memory
//! into the state, too, and cannot leave it out until version 10.2 (its capability `x-ignore-shared` fails with mapped-ram); here it is
//! taken out again: the file is there when the state is read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::platform::Platform;

/// How a stream begins: `QEVM`, version 3.
const BEGIN: [u8; 8] = [b'Q', b'E', b'V', b'M', 0, 0, 0, 3];
/// How the part with the guest's memory begins, behind a number that is of no matter: name, instance and version.
const MEMORY: [u8; 12] = [3, b'r', b'a', b'm', 0, 0, 0, 0, 0, 0, 0, 4];
/// Where that is at the latest: what is before it is the machine's type and what it can.
const BEFORE: u64 = 64 << 10;
/// The mark in the number of bytes of all blocks, `RAM_SAVE_FLAG_MEM_SIZE`.
const SIZE: u64 = 4;
/// Version of what a block has.
const VERSION: u32 = 1;
/// More blocks than any machine has.
const BLOCKS: usize = 64;

/// A block of the guest's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    name: Vec<u8>,
    /// Bytes of it.
    length: u64,
    /// Bytes of a page.
    page: u64,
    /// Where its map is.
    map: u64,
    /// Where its pages are.
    pages: u64,
}

impl Block {
    /// Whether it is the memory of a QEMU object of that name; where the object belongs to a device, the device is before it.
    fn is_of(&self, object: &str) -> bool {
        self.name.rsplit(|byte| *byte == b'/').next() == Some(object.as_bytes())
    }

    /// Bytes of its map, which is whole words of 64 bits.
    fn map_bytes(&self) -> u64 {
        self.length.div_ceil(self.page).div_ceil(64) * 8
    }
}

/// Takes the pages of a QEMU object's memory out of a state, if QEMU wrote them: it does not for all kinds of device. An error says why they are still in it, or that it has become useless.
pub fn leave_out(path: &Path, object: &str, platform: &dyn Platform) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let Some(block) = blocks(&mut file)?.into_iter().find(|block| block.is_of(object)) else { return Ok(()) };
    file.seek(SeekFrom::Start(block.map))?;
    io::copy(&mut io::repeat(0).take(block.map_bytes()), &mut file)?;
    file.flush()?;
    if let Err(error) = platform.make_hole(&file, block.pages, block.length) {
        // Not every file system has holes. Nobody reads the pages, all the same.
        tracing::info!(%error, "the machine's state is larger than it could be");
    }
    Ok(())
}

/// The blocks of a state, in their order.
fn blocks(file: &mut File) -> io::Result<Vec<Block>> {
    let end = file.metadata()?.len();
    let mut before = Vec::new();
    Read::by_ref(file).take(BEFORE).read_to_end(&mut before)?;
    if !before.starts_with(&BEGIN) {
        return Err(unknown("it does not begin as one"));
    }
    let mut places = before.windows(MEMORY.len()).enumerate().filter(|(_, window)| **window == MEMORY);
    let (Some((at, _)), None) = (places.next(), places.next()) else {
        return Err(unknown("where the guest's memory begins cannot be told"));
    };
    file.seek(SeekFrom::Start((at + MEMORY.len()) as u64))?;
    let all = long(file)?;
    if all & SIZE == 0 {
        return Err(unknown("the size of the guest's memory is not where it is expected"));
    }
    let mut left = all & !SIZE;
    let mut blocks = Vec::new();
    while left > 0 {
        let block = block(file)?;
        let next = block.pages.checked_add(block.length);
        let (true, Some(next), Some(rest)) =
            (fits(&block, end), next.filter(|_| blocks.len() < BLOCKS), left.checked_sub(block.length))
        else {
            return Err(unknown("its memory is not described as expected"));
        };
        left = rest;
        blocks.push(block);
        file.seek(SeekFrom::Start(next))?;
    }
    Ok(blocks)
}

/// What is said of a block where the file stands.
fn block(file: &mut File) -> io::Result<Block> {
    let mut length = [0];
    file.read_exact(&mut length)?;
    let mut name = vec![0; usize::from(length[0])];
    file.read_exact(&mut name)?;
    let length = long(file)?;
    let mut version = [0; 4];
    file.read_exact(&mut version)?;
    if u32::from_be_bytes(version) != VERSION {
        return Err(unknown("its memory is described in another form"));
    }
    Ok(Block { name, length, page: long(file)?, map: long(file)?, pages: long(file)? })
}

/// Whether a block can be one. Its pages may end behind the file's end, which no page of zeroes makes longer.
fn fits(block: &Block, end: u64) -> bool {
    block.length > 0
        && block.page.is_power_of_two()
        && block.map.checked_add(block.map_bytes()).is_some_and(|map_end| map_end <= block.pages.min(end))
}

fn long(file: &mut File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

fn unknown(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("QEMU wrote a state that is not understood: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::native;

    const PAGE: u64 = 4096;
    /// How pages are aligned.
    const MIB: u64 = 1 << 20;

    /// A state whose blocks have these names and pages, every page full of the block's number and each counted.
    fn state(blocks: &[(&str, u64)]) -> Vec<u8> {
        let mut state = BEGIN.to_vec();
        state.extend([7, 0, 0, 0, 4]);
        state.extend(b"virt");
        state.extend([1, 0, 0, 0, 2]);
        state.extend(MEMORY);
        let all: u64 = blocks.iter().map(|(_, pages)| pages * PAGE).sum();
        state.extend((all | SIZE).to_be_bytes());
        for (number, (name, pages)) in blocks.iter().enumerate() {
            state.push(u8::try_from(name.len()).unwrap());
            state.extend(name.as_bytes());
            state.extend((pages * PAGE).to_be_bytes());
            state.extend(VERSION.to_be_bytes());
            state.extend(PAGE.to_be_bytes());
            let map = state.len() as u64 + 16;
            let at = (map + pages.div_ceil(64) * 8).next_multiple_of(MIB);
            state.extend(map.to_be_bytes());
            state.extend(at.to_be_bytes());
            state.resize(state.len() + usize::try_from(pages.div_ceil(64) * 8).unwrap(), 0xff);
            state.resize(usize::try_from(at).unwrap(), 0);
            state.resize(usize::try_from(at + pages * PAGE).unwrap(), u8::try_from(number + 1).unwrap());
        }
        state.extend(b"the devices");
        state
    }

    fn without(state: &[u8], name: &str) -> io::Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        std::fs::write(&path, state).unwrap();
        leave_out(&path, name, native())?;
        let left = std::fs::read(&path).unwrap();
        assert_eq!(left.len(), state.len());
        Ok(left)
    }

    #[test]
    fn one_block_is_taken_out_and_nothing_else() {
        if !native().makes_holes() {
            return;
        }
        let whole = state(&[("ram", 300), ("0000:00:01.0/system", 70), ("rom", 1)]);
        let left = without(&whole, "system").unwrap();
        let changed: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != left[*at]).collect();
        assert!(changed.iter().all(|at| left[*at] == 0));
        // Two words of its map, and its pages.
        assert_eq!(changed.len(), 16 + 70 * 4096);
        assert!(left.windows(11).any(|window| window == b"the devices"));
    }

    #[test]
    fn what_is_not_understood_is_said_and_not_changed() {
        let whole = state(&[("ram", 3)]);
        assert_eq!(without(&whole, "system").unwrap(), whole, "there is none of it");
        let refused = |state: &[u8]| without(state, "system").unwrap_err().to_string();
        assert!(refused(b"nothing").ends_with("it does not begin as one"));
        assert!(refused(&BEGIN).ends_with("cannot be told"));
        let twice = [&whole[..], &MEMORY].concat();
        assert!(!refused(&twice[..64]).is_empty(), "it ends in the middle");
        let at = whole.windows(MEMORY.len()).position(|window| window == MEMORY).unwrap() + MEMORY.len();
        for (byte, value) in [(7, 0), (8, 0), (8 + 4 + 8 + 3, 2), (8 + 4 + 8 + 4 + 7, 3), (8 + 4, 0xff)] {
            let mut damaged = whole.clone();
            damaged[at + byte] = value;
            assert!(without(&damaged, "system").is_err(), "{byte}");
        }
        let map_end = at + 8 + 4 + 8 + 4 + 3 * 8 + 8;
        assert!(without(&whole[..map_end], "ram").is_ok());
        for length in 0..map_end {
            assert!(without(&whole[..length], "ram").is_err(), "{length}");
        }
    }
}
