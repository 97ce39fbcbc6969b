//! The device tree of a machine, with another model than QEMU's and what it has in its memory.
//!
//! A flattened device tree (Devicetree Specification 0.4, chapter 5) is a header, a list of memory reservations, a block of
//! structure and one of strings. The model is a property of the root, persistent memory a node in it
//! (Documentation/devicetree/bindings/pmem/pmem-region.yaml of Linux): all else stays as QEMU made it.

use std::ops::Range;

/// The first word of a device tree.
const MAGIC: u32 = 0xd00d_feed;
/// Bytes of a header of version 17.
const HEADER: usize = 40;
/// The version whose header this is, and which QEMU writes.
const VERSION: u32 = 17;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;

/// Words of the header, by their place.
const TOTAL_SIZE: usize = 4;
const STRUCTURE: usize = 8;
const STRINGS: usize = 12;
const RESERVATIONS: usize = 16;
const LAST_COMPATIBLE: usize = 24;
const STRINGS_SIZE: usize = 32;
const STRUCTURE_SIZE: usize = 36;

/// Why there is no such tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceTreeError {
    /// It does not begin as one.
    #[error("it is no device tree")]
    NoTree,
    /// It is of a version that is not known.
    #[error("it is a device tree that only version {0} and later can read")]
    Version(u32),
    /// Something in it leads out of it.
    #[error("it is cut off or damaged at byte {0}")]
    Damaged(usize),
    /// Its root has no model.
    #[error("its root has no model")]
    NoModel,
    /// It would be larger than a tree can be.
    #[error("it would be too large")]
    TooLarge,
}

/// What is other than QEMU made it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// What the machine says that it is.
    pub model: Option<&'a str>,
    /// Where memory begins that keeps what it has, and how many bytes it is. The root's addresses and sizes are two words long.
    pub persistent_memory: Option<(u64, u64)>,
}

/// The same tree with these changes.
pub fn with(tree: &[u8], changes: &Changes<'_>) -> Result<Vec<u8>, DeviceTreeError> {
    if tree.len() < HEADER || word(tree, 0)? != MAGIC {
        return Err(DeviceTreeError::NoTree);
    }
    let last_compatible = word(tree, LAST_COMPATIBLE)?;
    if last_compatible > VERSION || word(tree, LAST_COMPATIBLE - 4)? < VERSION {
        return Err(DeviceTreeError::Version(last_compatible));
    }
    let total = size(tree, TOTAL_SIZE)?;
    let tree = tree.get(..total).ok_or(DeviceTreeError::Damaged(TOTAL_SIZE))?;
    let reservations = reservations(tree)?;
    let structure = block(tree, size(tree, STRUCTURE)?, size(tree, STRUCTURE_SIZE)?)?;
    let mut strings = block(tree, size(tree, STRINGS)?, size(tree, STRINGS_SIZE)?)?.to_vec();
    let root = root_of(structure, &strings)?;
    let mut made = structure[..root.end].to_vec();
    if let Some((begin, length)) = changes.persistent_memory {
        made.extend(persistent_memory(begin, length, &mut strings)?);
    }
    made.extend(&structure[root.end..]);
    if let Some(model) = changes.model {
        let old = root.model.ok_or(DeviceTreeError::NoModel)?;
        let name = size(&made, old.start + 8)?;
        let new = property(name, &zero_ended(model))?;
        made.splice(old, new);
    }
    assembled(tree, reservations, &made, &strings)
}

/// The root of a tree.
struct Root {
    /// Where its end is said.
    end: usize,
    /// Where its model is.
    model: Option<Range<usize>>,
}

fn root_of(structure: &[u8], strings: &[u8]) -> Result<Root, DeviceTreeError> {
    let mut at = 0;
    let mut depth = 0_u32;
    let mut model = None;
    loop {
        let begin = at;
        let token = word(structure, at)?;
        at += 4;
        match token {
            BEGIN_NODE => {
                depth += 1;
                at = aligned(at + text(structure, at)?.len() + 1);
            }
            END_NODE if depth == 1 => return Ok(Root { end: begin, model }),
            END_NODE if depth > 1 => depth -= 1,
            PROP => {
                let length = size(structure, at)?;
                let name = text(strings, size(structure, at + 4)?)?;
                at = aligned((at + 8).checked_add(length).ok_or(DeviceTreeError::Damaged(at))?);
                if at > structure.len() {
                    return Err(DeviceTreeError::Damaged(begin));
                }
                if depth == 1 && name == b"model" {
                    model = Some(begin..at);
                }
            }
            NOP => {}
            _ => return Err(DeviceTreeError::Damaged(begin)),
        }
    }
}

/// A node that says what memory keeps what it has; the names of its properties get into the strings.
fn persistent_memory(begin: u64, length: u64, strings: &mut Vec<u8>) -> Result<Vec<u8>, DeviceTreeError> {
    let mut name = |name: &str| {
        let at = strings.len();
        strings.extend(zero_ended(name));
        at
    };
    let mut node = BEGIN_NODE.to_be_bytes().to_vec();
    node.extend(zero_ended(&format!("pmem@{begin:x}")));
    node.resize(aligned(node.len()), 0);
    node.extend(property(name("compatible"), &zero_ended("pmem-region"))?);
    node.extend(property(name("reg"), &[begin.to_be_bytes(), length.to_be_bytes()].concat())?);
    node.extend(END_NODE.to_be_bytes());
    Ok(node)
}

/// A property whose name is there in the strings.
fn property(name: usize, value: &[u8]) -> Result<Vec<u8>, DeviceTreeError> {
    let number = |number: usize| u32::try_from(number).map_err(|_| DeviceTreeError::TooLarge);
    let mut property: Vec<u8> =
        [PROP, number(value.len())?, number(name)?].into_iter().flat_map(u32::to_be_bytes).collect();
    property.extend(value);
    property.resize(aligned(property.len()), 0);
    Ok(property)
}

fn zero_ended(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// Header and blocks as a tree; all that is not one of them is left out.
fn assembled(old: &[u8], reservations: &[u8], structure: &[u8], strings: &[u8]) -> Result<Vec<u8>, DeviceTreeError> {
    let mut tree = old[..HEADER].to_vec();
    let place = |header: &mut Vec<u8>, offset: usize, value: usize| {
        let value = u32::try_from(value).map_err(|_| DeviceTreeError::TooLarge)?;
        header[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
        Ok(())
    };
    place(&mut tree, RESERVATIONS, HEADER)?;
    place(&mut tree, STRUCTURE, HEADER + reservations.len())?;
    place(&mut tree, STRUCTURE_SIZE, structure.len())?;
    place(&mut tree, STRINGS, HEADER + reservations.len() + structure.len())?;
    place(&mut tree, STRINGS_SIZE, strings.len())?;
    place(&mut tree, TOTAL_SIZE, HEADER + reservations.len() + structure.len() + strings.len())?;
    for block in [reservations, structure, strings] {
        tree.extend(block);
    }
    Ok(tree)
}

/// The list of memory reservations with the pair of zeroes at its end. It is at a multiple of 8, as the header is long.
fn reservations(tree: &[u8]) -> Result<&[u8], DeviceTreeError> {
    let begin = size(tree, RESERVATIONS)?;
    let list = tree.get(begin..).ok_or(DeviceTreeError::Damaged(RESERVATIONS))?;
    let end = list.chunks_exact(16).position(|pair| pair.iter().all(|byte| *byte == 0));
    let count = end.ok_or(DeviceTreeError::Damaged(begin))? + 1;
    Ok(&list[..count * 16])
}

fn block(tree: &[u8], begin: usize, length: usize) -> Result<&[u8], DeviceTreeError> {
    let end = begin.checked_add(length).ok_or(DeviceTreeError::Damaged(begin))?;
    tree.get(begin..end).ok_or(DeviceTreeError::Damaged(begin))
}

/// The text at that place, up to its zero.
fn text(bytes: &[u8], at: usize) -> Result<&[u8], DeviceTreeError> {
    let rest = bytes.get(at..).ok_or(DeviceTreeError::Damaged(at))?;
    let length = rest.iter().position(|byte| *byte == 0).ok_or(DeviceTreeError::Damaged(at))?;
    Ok(&rest[..length])
}

fn word(bytes: &[u8], at: usize) -> Result<u32, DeviceTreeError> {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    four.map(|bytes| u32::from_be_bytes(*bytes)).ok_or(DeviceTreeError::Damaged(at))
}

fn size(bytes: &[u8], at: usize) -> Result<usize, DeviceTreeError> {
    usize::try_from(word(bytes, at)?).map_err(|_| DeviceTreeError::Damaged(at))
}

fn aligned(at: usize) -> usize {
    at.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::machine::architecture::Architecture;
    use crate::engine::machine::arguments::{self, MachineArguments};
    use crate::process::Program;

    fn with_model(tree: &[u8], model: &str) -> Result<Vec<u8>, DeviceTreeError> {
        with(tree, &Changes { model: Some(model), persistent_memory: None })
    }

    /// A tree with a root that has these properties, and one node with a model of its own.
    fn tree(properties: &[(&str, &[u8])]) -> Vec<u8> {
        let mut strings = Vec::new();
        let mut structure = BEGIN_NODE.to_be_bytes().to_vec();
        structure.extend([0; 4]);
        let mut property = |structure: &mut Vec<u8>, name: &str, value: &[u8]| {
            structure.extend(PROP.to_be_bytes());
            structure.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
            structure.extend(u32::try_from(strings.len()).unwrap().to_be_bytes());
            structure.extend(value);
            structure.resize(structure.len().next_multiple_of(4), 0);
            strings.extend(name.as_bytes());
            strings.push(0);
        };
        structure.extend(NOP.to_be_bytes());
        for (name, value) in properties {
            property(&mut structure, name, value);
        }
        structure.extend(BEGIN_NODE.to_be_bytes());
        structure.extend(b"memory@0\0\0\0\0");
        property(&mut structure, "model", b"not the root's\0");
        structure.extend(END_NODE.to_be_bytes());
        structure.extend(END_NODE.to_be_bytes());
        structure.extend(9_u32.to_be_bytes());
        let reservations = [[1; 16], [0; 16]].concat();
        let begin = HEADER + reservations.len();
        let total = begin + structure.len() + strings.len();
        let words =
            [MAGIC as usize, total, begin, begin + structure.len(), HEADER, 17, 16, 0, strings.len(), structure.len()];
        let mut tree: Vec<u8> = words.iter().flat_map(|word| u32::try_from(*word).unwrap().to_be_bytes()).collect();
        tree.extend(reservations);
        tree.extend(structure);
        tree.extend(strings);
        // QEMU leaves room for more.
        tree.extend([0xaa; 64]);
        tree
    }

    fn virt() -> Vec<u8> {
        tree(&[("compatible", b"linux,dummy-virt\0"), ("model", b"linux,dummy-virt\0"), ("#size-cells", &[0, 0, 0, 2])])
    }

    #[test]
    fn the_roots_model_is_another_and_all_else_is_the_same() {
        for model in ["Raspberry Pi 4 Model B", "a", "", "NVIDIA Jetson Orin Nano Developer Kit"] {
            let value = [model.as_bytes(), b"\0"].concat();
            let expected =
                tree(&[("compatible", b"linux,dummy-virt\0"), ("model", &value), ("#size-cells", &[0, 0, 0, 2])]);
            let made = with_model(&virt(), model).unwrap();
            assert_eq!(made, expected[..expected.len() - 64], "{model}");
            // It can be done to what was made.
            assert_eq!(with_model(&made, "linux,dummy-virt").unwrap(), virt()[..virt().len() - 64]);
        }
    }

    #[test]
    fn memory_that_keeps_what_it_has_is_the_roots_last_node() {
        let changes = Changes { model: None, persistent_memory: Some((0x1_0000_0000, 0x1200_0000)) };
        let (before, made) = (virt(), with(&virt(), &changes).unwrap());
        let parts = |tree: &[u8]| {
            let part = |at, length| {
                let begin = size(tree, at).unwrap();
                tree[begin..begin + size(tree, length).unwrap()].to_vec()
            };
            (part(STRUCTURE, STRUCTURE_SIZE), part(STRINGS, STRINGS_SIZE))
        };
        let ((old, old_strings), (new, strings)) = (parts(&before), parts(&made));
        assert_eq!(strings, [&old_strings[..], b"compatible\0reg\0"].concat());
        let name = |at: usize| u32::try_from(old_strings.len() + at).unwrap().to_be_bytes();
        let node = [
            &BEGIN_NODE.to_be_bytes()[..],
            b"pmem@100000000\0\0",
            &[0, 0, 0, 3, 0, 0, 0, 12],
            &name(0),
            b"pmem-region\0",
            &[0, 0, 0, 3, 0, 0, 0, 16],
            &name(11),
            &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0, 0, 0],
            &END_NODE.to_be_bytes(),
        ]
        .concat();
        let end = old.len() - 8;
        assert_eq!(new, [&old[..end], &node, &old[end..]].concat());
        assert_eq!(with(&before, &Changes::default()).unwrap(), before[..before.len() - 64]);
        let both = Changes { model: Some("b"), ..changes };
        assert_eq!(with(&before, &both), with_model(&made, "b"));
    }

    #[test]
    fn what_is_no_such_tree_is_refused() {
        assert_eq!(with_model(b"", "a"), Err(DeviceTreeError::NoTree));
        assert_eq!(with_model(&[0; 64], "a"), Err(DeviceTreeError::NoTree));
        let without = tree(&[("compatible", b"x\0")]);
        assert_eq!(with_model(&without, "a"), Err(DeviceTreeError::NoModel));
        let mut later = virt();
        later[LAST_COMPATIBLE + 3] = 18;
        assert_eq!(with_model(&later, "a"), Err(DeviceTreeError::Version(18)));
        let cut = &virt()[..virt().len() - 70];
        assert_eq!(with_model(cut, "a"), Err(DeviceTreeError::Damaged(TOTAL_SIZE)));
    }

    /// What QEMU itself writes for each architecture that has a tree.
    #[tokio::test]
    #[expect(clippy::print_stderr, reason = "a skip is told to whoever runs the tests")]
    async fn qemus_own_tree_is_changed() {
        for architecture in [Architecture::Arm64, Architecture::Riscv64] {
            let Ok(program) = which::which(architecture.program()) else {
                eprintln!("skipped: there is no {}", architecture.program());
                continue;
            };
            let folder = tempfile::tempdir().unwrap();
            let file = |name: &str| folder.path().join(name);
            for name in ["kernel", "initramfs"] {
                std::fs::write(file(name), [0; 4096]).unwrap();
            }
            let machine = MachineArguments {
                architecture,
                kernel: file("kernel"),
                initramfs: file("initramfs"),
                ..arguments::tests::machine()
            };
            let list = arguments::device_tree_arguments(&machine, &file("tree"));
            Program::new(program).args(list).output().await.unwrap();
            let tree = std::fs::read(file("tree")).unwrap();
            let made = with_model(&tree, "My board").unwrap();
            let has = |tree: &[u8], text: &[u8]| tree.windows(text.len()).any(|window| window == text);
            assert!(has(&made, b"My board\0") && !has(&tree, b"My board\0"), "{}", architecture.name());
            assert_eq!(with_model(&made, "My board").unwrap(), made);
            let more = Changes { model: None, persistent_memory: Some((1 << 32, 1 << 28)) };
            assert!(has(&with(&tree, &more).unwrap(), b"pmem@100000000\0"), "{}", architecture.name());
        }
    }

    /// No damage makes it read where nothing is, or go on for ever.
    #[test]
    fn damage_anywhere_is_an_error_or_a_tree() {
        let whole = virt();
        for length in 0..whole.len() - 64 {
            assert!(with_model(&whole[..length], "a").is_err(), "{length}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let _ = with(&damaged, &Changes { model: Some("a"), persistent_memory: Some((1, 1)) });
            }
        }
    }
}
