//! From the text of a profile to the profile, or to what is wrong with it and where.

use super::{Device, ProfileError};
use crate::spec::{MINIMUM_MEMORY_BYTES, nearest};

/// More cores than this no board has, and QEMU's `virt` machine takes no more without another interrupt controller.
const MOST_CORES: u32 = 64;
/// The longest string that QEMU and kernels take for a model without cutting it.
const LONGEST_MODEL: usize = 128;
/// What a machine takes of its network, as contract/machine.md has it: thousands of bits a second, milliseconds, percent.
const KBIT: std::ops::RangeInclusive<u64> = 8..=10_000_000;
const MOST_LATENCY: u32 = 60_000;
const MOST_LOSS: f64 = 90.0;
/// The smallest disk that a cluster fits on.
const LEAST_DISK: u64 = 4 << 30;

/// Reads a profile; `file` is what it is called in errors.
pub fn parse(text: &str, file: &str) -> Result<Device, ProfileError> {
    let device: Device = toml::from_str(text).map_err(|error| worded(&error, text, file))?;
    check(&device).map_err(|(table, key, reason)| ProfileError::Value {
        file: file.to_owned(),
        line: line_of(text, table, key),
        key: Some(key.to_owned()),
        reason,
    })?;
    Ok(device)
}

/// Words a parser's error with the line, the key and, for unknown ones, the nearest.
fn worded(error: &toml::de::Error, text: &str, file: &str) -> ProfileError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text[..start].matches('\n').count() + 1;
    let file = file.to_owned();
    let message = error.message().lines().next().unwrap_or_default();
    let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_owned);
    if message.starts_with("unknown field")
        && let Some(key) = quoted.next()
    {
        let known: Vec<String> = quoted.collect();
        let nearest = nearest(&key, known.iter().map(String::as_str)).map(str::to_owned);
        return ProfileError::UnknownKey { file, line, key, nearest, known };
    }
    if message.starts_with("missing field")
        && let Some(key) = quoted.next()
    {
        return ProfileError::Value { file, line, key: Some(key), reason: "is missing".to_owned() };
    }
    let key = text.lines().nth(line - 1).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim().to_owned());
    ProfileError::Value { file, line, key, reason: message.to_owned() }
}

/// What no type can say. The table and key that are wrong, and why.
fn check(device: &Device) -> Result<(), (&'static str, &'static str, String)> {
    let wrong = |table, key, reason: &str| Err((table, key, reason.to_owned()));
    let name = &device.name;
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(is_word) || name.starts_with('-') || name.ends_with('-')
    {
        return wrong("", "name", "has to be at most 63 lower-case letters, digits and hyphens between them");
    }
    let is_line = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    if !is_line(&device.title) {
        return wrong("", "title", "has to be one line");
    }
    if let Some(model) = &device.model
        && !(is_line(model) && model.is_ascii() && model.len() <= LONGEST_MODEL)
    {
        return wrong("", "model", &format!("has to be one line of at most {LONGEST_MODEL} ASCII characters"));
    }
    if !(1..=MOST_CORES).contains(&device.cores) {
        return wrong("", "cores", &format!("has to be from 1 to {MOST_CORES}"));
    }
    if let Some(cpu) = &device.cpu {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.,=+".contains(c);
        if cpu.model.is_empty() || !cpu.model.chars().all(is_name) {
            return wrong("cpu", "model", "is no model of a processor; `qemu-system-… -cpu help` lists them");
        }
    }
    let memory = &device.memory;
    if memory.choices.iter().chain([&memory.default]).any(|memory| memory.bytes() < MINIMUM_MEMORY_BYTES) {
        return wrong("memory", "default", &format!("a node needs {} MiB", MINIMUM_MEMORY_BYTES >> 20));
    }
    if !memory.choices.is_empty() && !memory.choices.contains(&memory.default) {
        return wrong("memory", "default", "is none of the choices");
    }
    let disk = &device.disk;
    if disk.size.bytes() < LEAST_DISK || !disk.size.bytes().is_multiple_of(512) {
        return wrong("disk", "size", "has to be at least 4Gi, and a multiple of 512 bytes");
    }
    let rates = [
        ("disk", "readBytesPerSecond", disk.read_bytes_per_second),
        ("disk", "writeBytesPerSecond", disk.write_bytes_per_second),
        ("disk", "readIops", disk.read_iops),
        ("disk", "writeIops", disk.write_iops),
    ];
    if let Some((table, key, _)) = rates.into_iter().find(|(_, _, rate)| *rate == Some(0)) {
        return wrong(table, key, "nothing goes through at 0; leave it out for no limit");
    }
    let link = &device.network;
    let rates = [("downloadKbit", link.download_kbit), ("uploadKbit", link.upload_kbit)];
    if let Some((key, _)) = rates.into_iter().find(|(_, rate)| rate.is_some_and(|rate| !KBIT.contains(&rate))) {
        return wrong("network", key, &format!("has to be from {} to {}", KBIT.start(), KBIT.end()));
    }
    if link.latency_millis.is_some_and(|millis| millis > MOST_LATENCY) {
        return wrong("network", "latencyMillis", &format!("has to be at most {MOST_LATENCY}"));
    }
    if link.loss_percent.is_some_and(|loss| f64::from(loss) > MOST_LOSS) {
        return wrong("network", "lossPercent", &format!("has to be at most {MOST_LOSS}"));
    }
    let thresholds = &device.kubelet;
    if thresholds.image_gc_high > 100 || thresholds.image_gc_low >= thresholds.image_gc_high {
        return wrong("kubelet", "imageGCHighThresholdPercent", "has to be above the low threshold, and at most 100");
    }
    Ok(())
}

/// The line of a key in a table, from 1; that of the table where the key is not there, else the first.
fn line_of(text: &str, table: &str, key: &str) -> usize {
    let mut current = String::new();
    let mut head = 1;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim().clone_into(&mut current);
            if current == table {
                head = index + 1;
            }
        } else if current == table && line.split_once('=').is_some_and(|(found, _)| found.trim() == key) {
            return index + 1;
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "name = \"my-board\"\ntitle = \"My board\"\narchitecture = \"arm64\"\ncores = 2\nnotEmulated = []\n\
                         [cpu]\nmodel = \"cortex-a72\"\n[memory]\ndefault = \"2Gi\"\n[disk]\nsize = \"20Gi\"\n";

    #[test]
    fn a_short_profile_has_kubernetes_own_thresholds() {
        let device = parse(WHOLE, "board.toml").unwrap();
        assert_eq!(device.kubelet.eviction_hard["nodefs.available"], "10%");
        assert_eq!((device.kubelet.image_gc_high, device.kubelet.image_gc_low), (85, 80));
        assert!(device.disk.limits().is_unlimited() && device.network.is_unlimited());
        assert_eq!(device.node_labels()["sandbar.dev/device"], "my-board");
    }

    #[test]
    fn what_is_wrong_is_named_with_file_line_and_key() {
        let replaced = |from: &str, to: &str| parse(&WHOLE.replace(from, to), "board.toml").unwrap_err();
        let words = |from: &str, to: &str| replaced(from, to).to_string();
        let at = |line: u32, rest: &str| format!("board.toml, line {line}: {rest}");
        let error = replaced("cores = 2", "coers = 2");
        assert_eq!(error.to_string(), at(4, "unknown key `coers`"));
        assert_eq!(error.hint(), "did you mean `cores`?");
        let error = replaced("size =", "readiops = 3\nsize =");
        assert_eq!(
            (error.to_string(), error.hint()),
            (at(11, "unknown key `readiops`"), "did you mean `readIops`?".to_owned())
        );
        assert_eq!(words("cores = 2\n", ""), at(1, "`cores`: is missing"));
        assert!(words("cores = 2", "cores = \"two\"").starts_with(&at(4, "`cores`: invalid type: string \"two\"")));
        assert_eq!(words("cores = 2", "cores = 0"), at(4, "`cores`: has to be from 1 to 64"));
        assert!(words("\"arm64\"", "\"arm\"").starts_with(&at(3, "`architecture`: unknown variant `arm`")));
        assert_eq!(words("\"2Gi\"", "\"256Mi\""), at(9, "`default`: a node needs 512 MiB"));
        assert_eq!(words("\"2Gi\"", "\"2Gi\"\nchoices = [\"4Gi\"]"), at(9, "`default`: is none of the choices"));
        assert!(words("\"2Gi\"", "\"lots\"").starts_with(&at(9, "`default`: `lots` is not an amount of memory")));
        assert!(words("\"20Gi\"", "\"1Gi\"").starts_with(&at(11, "`size`: has to be at least 4Gi")));
        let none = words("\"20Gi\"", "\"20Gi\"\nwriteIops = 0");
        assert_eq!(none, at(12, "`writeIops`: nothing goes through at 0; leave it out for no limit"));
        assert!(words("My board", "My\\nboard").starts_with(&at(2, "`title`: ")));
        assert!(words("\"my-board\"", "\"My_Board\"").starts_with(&at(1, "`name`: has to be")));
        assert!(words("cortex-a72", "a72 -x").starts_with(&at(7, "`model`: is no model")));
        assert!(words("cores = 2", "cores = ").starts_with("board.toml, line 4: "));
        let loss = words("[disk]", "[network]\nlossPercent = 120\n[disk]");
        assert_eq!(loss, at(11, "`lossPercent`: 120 is not from 0 to 100"));
        let most = words("[disk]", "[network]\nlossPercent = 95\n[disk]");
        assert_eq!(most, at(11, "`lossPercent`: has to be at most 90"));
        let slow = words("[disk]", "[network]\nuploadKbit = 1\n[disk]");
        assert_eq!(slow, at(11, "`uploadKbit`: has to be from 8 to 10000000"));
    }

    proptest::proptest! {
        /// Whatever somebody wrote: an error or a profile, never a panic.
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}", at in 0..200_usize) {
            let _ = parse(&text, "board.toml");
            let mut broken = WHOLE.to_owned();
            let at = at.min(broken.len());
            if broken.is_char_boundary(at) {
                broken.insert_str(at, &text);
                let _ = parse(&broken, "board.toml");
            }
        }
    }
}
