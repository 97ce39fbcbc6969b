//! What a machine does while it starts, told: its phases, the last line of its console, and how long it takes on this host.

use std::time::Duration;

use crate::engine::{Engine, EngineError, MachineReport, Started};
use crate::ui::reporter::Phase;

/// How often it is looked at. Nothing is decided by it.
const LOOK: Duration = Duration::from_millis(500);

/// Starts a node, and tells meanwhile how far its machine is, where it is one.
pub(super) async fn start(engine: &dyn Engine, name: &str, phase: &Phase<'_>) -> Result<Started, EngineError> {
    tokio::select! {
        started = engine.start_node(name) => started,
        never = tell(engine, name, phase) => match never {},
    }
}

async fn tell(engine: &dyn Engine, name: &str, phase: &Phase<'_>) -> std::convert::Infallible {
    let mut told = String::new();
    loop {
        tokio::time::sleep(LOOK).await;
        match engine.machine(name).await {
            Ok(Some(report)) => {
                let words = words(&report);
                if words != told {
                    phase.detail(words.clone());
                    told = words;
                }
            }
            // It is no machine: nothing will be told.
            Ok(None) => std::future::pending().await,
            // The start itself says what went wrong.
            Err(error) => tracing::debug!(%error, "how far the machine is cannot be told"),
        }
    }
}

/// How far a machine is.
fn words(report: &MachineReport) -> String {
    let at = match report.phases.last().map(|(name, _)| name.as_str()) {
        None => "its kernel starts".to_owned(),
        Some("hello") => "its kernel has started".to_owned(),
        Some(phase) => format!("{phase} done"),
    };
    let expected = report.expected_millis.map(|millis| format!("about {} s on this host", millis.div_ceil(1000)));
    let console = Some(report.console.clone()).filter(|line| !line.is_empty());
    [Some(at), expected, console].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_machine_is_is_said_with_what_is_known() {
        let report = MachineReport {
            architecture: "arm64".to_owned(),
            cpu: None,
            cores: 2,
            memory_bytes: 2 << 30,
            accelerator: Some("tcg".to_owned()),
            because: String::new(),
            phases: Vec::new(),
            console: String::new(),
            expected_millis: None,
        };
        assert_eq!(words(&report), "its kernel starts");
        let report = MachineReport {
            phases: vec![("hello".to_owned(), 0), ("disks".to_owned(), 900)],
            console: "sandbar-init: grown".to_owned(),
            expected_millis: Some(38_400),
            ..report
        };
        assert_eq!(words(&report), "disks done; about 39 s on this host; sandbar-init: grown");
    }
}
