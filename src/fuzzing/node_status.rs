//! A node's report on itself.

use jiff::Timestamp;

use crate::cli::status::node_text;
use crate::cluster::waiting_for;
use crate::node::parse_status;
use crate::ui::Style;

/// Any answer is a report or refused, and every report can be shown and passed on.
pub fn node_status(bytes: &[u8]) {
    let report = match parse_status("sandbarctl status", bytes) {
        Ok(report) => report,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let text = node_text(Style::new(false), Timestamp::UNIX_EPOCH, &report);
    assert!(report.warnings.iter().all(|warning| text.contains(warning.message.as_str())), "{text}");
    assert!(!waiting_for(&report).is_empty());
    let written = serde_json::to_vec(&report).expect("what was read can be written");
    assert_eq!(parse_status("sandbarctl status", &written).expect("and read again"), report);
}
