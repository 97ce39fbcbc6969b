//! Ports of a machine that runs, changed through QEMU's monitor: QMP has no command of its own for them.

use std::time::Duration;

use serde_json::json;

use super::arguments::{NETWORK, host_side};
use super::qmp::{Qmp, QmpError};
use super::wire::PortTaken;
use crate::engine::PortForward;

/// How long QEMU may take for one.
const COMMAND: Duration = Duration::from_secs(20);

/// Why the ports are not what was asked for; they are what they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// One is somebody else's.
    #[error("port {} on {} is taken", .0.port, .0.address)]
    Taken(PortTaken),
    /// QEMU did not do it.
    #[error(transparent)]
    Qemu(#[from] QmpError),
}

/// One change of a machine's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Remove(PortForward),
    Add(PortForward),
}

impl Change {
    /// What takes it back.
    fn inverse(self) -> Self {
        match self {
            Self::Remove(forward) => Self::Add(forward),
            Self::Add(forward) => Self::Remove(forward),
        }
    }
}

/// Makes the forwards of a running machine `wanted` where they were `had`.
pub async fn change(qmp: &Qmp, had: &[PortForward], wanted: &[PortForward]) -> Result<(), ForwardError> {
    let mut done = Vec::new();
    for change in changes(had, wanted) {
        match carry_out(qmp, change).await {
            Ok(()) => done.push(change),
            Err(error) => {
                for change in done.into_iter().rev().map(Change::inverse) {
                    if let Err(error) = carry_out(qmp, change).await {
                        tracing::warn!(%error, ?change, "a port is not what it was");
                    }
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// What leads from one to the other. A port may lead elsewhere than before, so what goes goes first.
fn changes(had: &[PortForward], wanted: &[PortForward]) -> Vec<Change> {
    let gone = had.iter().filter(|forward| !wanted.contains(forward)).map(|forward| Change::Remove(*forward));
    let new = wanted.iter().filter(|forward| !had.contains(forward)).map(|forward| Change::Add(*forward));
    gone.chain(new).collect()
}

async fn carry_out(qmp: &Qmp, change: Change) -> Result<(), ForwardError> {
    let line = match change {
        Change::Remove(forward) => format!("hostfwd_remove {NETWORK} {}", host_side(&forward)),
        Change::Add(forward) => format!("hostfwd_add {NETWORK} {}-:{}", host_side(&forward), forward.node_port),
    };
    let words = qmp.execute("human-monitor-command", json!({ "command-line": line }), COMMAND).await?;
    let words = words.as_str().unwrap_or_default().trim();
    match change {
        // It says nothing where it did it, and why not in no certain words: most often the port is somebody else's.
        Change::Add(forward) if !words.is_empty() => {
            tracing::info!(words, "a port is not opened");
            Err(ForwardError::Taken(PortTaken { address: forward.host_address, port: forward.host_port }))
        }
        Change::Remove(_) if !words.ends_with("removed") => {
            Err(QmpError::Refused { class: "HumanMonitor".to_owned(), words: words.to_owned() }.into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

    use super::*;

    fn forward(host_port: u16, node_port: u16) -> PortForward {
        PortForward { host_address: [127, 0, 0, 1].into(), host_port, node_port }
    }

    /// A monitor that holds some ports already, and writes down the lines that it is given.
    async fn monitor(stream: DuplexStream, held: Vec<u16>, lines: Arc<Mutex<Vec<String>>>) {
        let mut stream = BufReader::new(stream);
        let greeting =
            r#"{"QMP":{"version":{"qemu":{"micro":2,"minor":0,"major":10},"package":""},"capabilities":[]}}"#;
        stream.get_mut().write_all(format!("{greeting}\n").as_bytes()).await.unwrap();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let command: Value = serde_json::from_str(&line).unwrap();
            let mut said = json!({});
            if let Some(line) = command["arguments"]["command-line"].as_str() {
                lines.lock().unwrap().push(line.to_owned());
                let is_held = held.iter().any(|port| line.contains(&format!(":{port}-")));
                said = match line.split_once(' ') {
                    Some(("hostfwd_add", _)) if is_held => json!("could not set up host forwarding rule\r\n"),
                    Some(("hostfwd_remove", _)) => json!("host forwarding rule for … removed\r\n"),
                    _ => json!(""),
                };
            }
            let answer = json!({ "return": said, "id": command["id"] }).to_string();
            stream.get_mut().write_all(format!("{answer}\n").as_bytes()).await.unwrap();
        }
    }

    async fn changed(
        had: &[PortForward],
        wanted: &[PortForward],
        held: &[u16],
    ) -> (Result<(), ForwardError>, Vec<String>) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let lines = Arc::default();
        tokio::spawn(monitor(far, held.to_vec(), Arc::clone(&lines)));
        let qmp = Qmp::connect(near, COMMAND).await.unwrap();
        let done = change(&qmp, had, wanted).await;
        let lines = lines.lock().unwrap().clone();
        (done, lines)
    }

    #[tokio::test]
    async fn only_what_differs_is_changed() {
        let (done, lines) =
            changed(&[forward(6443, 6443), forward(81, 80)], &[forward(6443, 6443), forward(81, 8080)], &[]).await;
        assert_eq!(done, Ok(()));
        assert_eq!(lines, ["hostfwd_remove net tcp:127.0.0.1:81", "hostfwd_add net tcp:127.0.0.1:81-:8080"]);
    }

    #[tokio::test]
    async fn after_a_taken_port_everything_is_as_it_was() {
        let (had, wanted) = ([forward(81, 80)], [forward(82, 80), forward(83, 80)]);
        let (done, lines) = changed(&had, &wanted, &[83]).await;
        assert_eq!(done, Err(ForwardError::Taken(PortTaken { address: [127, 0, 0, 1].into(), port: 83 })));
        assert_eq!(
            lines,
            [
                "hostfwd_remove net tcp:127.0.0.1:81",
                "hostfwd_add net tcp:127.0.0.1:82-:80",
                "hostfwd_add net tcp:127.0.0.1:83-:80",
                "hostfwd_remove net tcp:127.0.0.1:82",
                "hostfwd_add net tcp:127.0.0.1:81-:80",
            ]
        );
    }
}
