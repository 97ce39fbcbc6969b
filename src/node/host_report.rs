//! What a node would find where it runs: the answer of `sandbarctl host-check`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Answer of `sandbarctl host-check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostReport {
    /// Version of this report's form.
    pub schema_version: u32,
    /// Version of the node contract.
    pub contract_version: u32,
    /// The clock of the machine that runs containers, when the report was made.
    pub time: Timestamp,
    /// What was tried.
    pub checks: Vec<HostCheck>,
    /// What a node could use.
    pub memory: HostMemory,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCheck {
    /// Its stable name, such as `overlay`.
    pub code: String,
    /// What became of it.
    pub result: HostResult,
    /// What was found, in a line.
    pub message: String,
}

/// What became of something that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostResult {
    /// A node finds what it needs.
    Passed,
    /// A node works, and not as well as it could.
    Warning,
    /// A node does not work.
    Failed,
}

/// The memory that a node could use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostMemory {
    /// Bytes that can be had without anything being swapped out.
    pub available_bytes: u64,
}

impl HostReport {
    /// The report among what a container printed, both streams in one; the error is what it says instead.
    pub fn parse(printed: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(printed);
        let Some(line) = text.lines().find(|line| line.starts_with('{')) else {
            let words = text.trim();
            return Err(if words.is_empty() { "it printed nothing".to_owned() } else { words.to_owned() });
        };
        serde_json::from_str(line).map_err(|error| format!("its report cannot be read: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_found_among_what_was_printed() {
        let report = r#"{"schemaVersion":1,"contractVersion":1,"time":"2026-11-26T20:00:00.5Z",
            "checks":[{"code":"veth","result":"failed","message":"no"}],"memory":{"availableBytes":7},"storage":{}}"#;
        let printed = format!("something else\n{}\n", report.replace('\n', ""));
        let parsed = HostReport::parse(printed.as_bytes()).unwrap();
        assert_eq!((parsed.checks[0].result, parsed.memory.available_bytes), (HostResult::Failed, 7));
        assert_eq!(parsed.time.to_string(), "2026-11-26T20:00:00.5Z");
        assert_eq!(HostReport::parse(b"sandbarctl: no\n"), Err("sandbarctl: no".to_owned()));
        assert_eq!(HostReport::parse(b""), Err("it printed nothing".to_owned()));
        let wrong = HostReport::parse(b"{}\n").unwrap_err();
        assert!(wrong.starts_with("its report cannot be read: missing field"), "{wrong}");
    }
}
