//! The processes of a node as its host sees them: all that descend from the container's first one.

use std::collections::BTreeMap;
use std::fs;

use crate::suite::Outcome;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number on the host.
    pub id: u32,
    parent: u32,
    /// Its program's name, as far as the kernel keeps it (15 bytes).
    pub name: String,
    /// When it started, in ticks since the machine did: with the number it is unique.
    started: u64,
}

/// Those below a process, and itself; none where there is no such process.
pub fn below(first: u32) -> Outcome<Vec<Process>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc").map_err(|error| error.to_string())?.flatten() {
        // One that ends meanwhile is none.
        let id = entry.file_name().to_string_lossy().parse::<u32>().ok();
        if let Some(process) = id.and_then(|id| parse(&fs::read_to_string(entry.path().join("stat")).ok()?, id)) {
            all.insert(process.id, process);
        }
    }
    let descends = |process: &Process| {
        let mut next = Some(process);
        while let Some(now) = next {
            if now.id == first {
                return true;
            }
            next = all.get(&now.parent);
        }
        false
    };
    Ok(all.values().filter(|process| descends(process)).cloned().collect())
}

/// Understands `/proc/PID/stat` (proc(5)); none for a process that has ended and was not collected.
fn parse(stat: &str, id: u32) -> Option<Process> {
    let (before, after) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat[after + 1..].split_ascii_whitespace().collect();
    let (state, parent, started) = (*fields.first()?, fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?);
    (state != "Z").then(|| Process { id, parent, name: stat[before + 1..after].to_owned(), started })
}

/// How many there are of each name.
pub fn census(processes: &[Process]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for process in processes {
        *counts.entry(process.name.clone()).or_default() += 1;
    }
    counts
}
