//! The cluster file.

use std::path::Path;

use crate::spec::{ClusterSpec, ConfigEntry, FileError, Flags, line_of_config_key, parse_file, resolve};

/// Any text is a cluster file or refused with a line that exists; one that is read can be written and read again.
pub fn cluster_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // YAML's lines end with a carriage return, too; what ends in the middle is missed on the line after the last one.
    let lines = text.split(['\n', '\r']).count() as u64 + 1;
    let file = match parse_file(text) {
        Ok(file) => file,
        Err(error) => {
            let (FileError::UnknownKey { line, .. } | FileError::Value { line, .. } | FileError::Kind { line, .. }) =
                error;
            assert!((1..=lines).contains(&line), "line {line} of {lines}: {error}");
            assert!(!error.to_string().trim().is_empty() && !error.hint().is_empty());
            return;
        }
    };
    for (index, entry) in file.spec.config.iter().enumerate() {
        if let ConfigEntry::Inline(keys) = entry {
            for key in keys.keys() {
                let line = line_of_config_key(text, index, key);
                assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "line {line:?} of {lines}");
            }
        }
    }
    let written = serde_json::to_string(&file).expect("what was read can be written");
    assert_eq!(parse_file(&written).as_ref(), Ok(&file), "{written}");
    if let Ok(spec) = resolve(&Flags::default(), Some((&file, Path::new("/folder"))), None) {
        let written = serde_json::to_string(&spec).expect("what was resolved can be kept");
        assert_eq!(serde_json::from_str::<ClusterSpec>(&written).expect("and read again"), spec);
    }
}
