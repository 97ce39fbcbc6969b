//! The state of a QEMU to a file and back, as commands of QMP and the events that they have (QEMU's qapi/migration.json and
//! docs/devel/migration/mapped-ram.rst).
//!
//! In a mapped-ram file each page of the guest has its place, pages of zeroes are holes, and several threads read and write it.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::qmp::{Qmp, QmpError, QmpEvent};

/// How long QEMU may take for a command.
const COMMAND: Duration = Duration::from_secs(20);
/// How many threads move memory.
const THREADS: u32 = 2;
/// Bytes a second that are moved at most; what is usual (128 MiB) is for networks that others use, too.
const BANDWIDTH: u64 = 1 << 40;
/// What holds packets back.
const HOLD: &str = "hold";
/// For how long at most, in microseconds of the guest's clock: longer than a guest may take to say that its clock is right.
const HELD: u32 = 600_000_000;

/// Why a state was not written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrationError {
    /// QEMU did not take a command.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// It failed on the way.
    #[error("{words}")]
    Failed {
        /// QEMU's words.
        words: String,
    },
    /// It took too long.
    #[error("it was not done within {after:?}")]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// QEMU ended.
    #[error("QEMU ended")]
    Ended,
}

/// Why QEMU can write no state of this machine, in its words; none where it can.
pub async fn blocked(qmp: &Qmp) -> Result<Option<String>, QmpError> {
    let said = qmp.execute("query-migrate", json!({}), COMMAND).await?;
    let reasons = said["blocked-reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let reasons: Vec<&str> = reasons.collect();
    Ok((!reasons.is_empty()).then(|| reasons.join("; ")))
}

/// QEMU's machine with its version, such as `pc-q35-10.0`, where it was started with a name that stands for the newest.
pub async fn machine_type(qmp: &Qmp) -> Result<String, QmpError> {
    let said = qmp.execute("qom-get", json!({ "path": "/machine", "property": "type" }), COMMAND).await?;
    let name = said.as_str().and_then(|name| name.strip_suffix("-machine"));
    name.map(str::to_owned).ok_or_else(|| QmpError::Malformed { reason: format!("its machine is {said}") })
}

/// Writes the state of a machine whose guest stands still.
pub async fn write_state(qmp: &Qmp, path: &Path, limit: Duration) -> Result<(), MigrationError> {
    let mut events = qmp.events();
    prepare(qmp).await?;
    let max = json!({ "max-bandwidth": BANDWIDTH, "multifd-channels": THREADS });
    qmp.execute("migrate-set-parameters", max, COMMAND).await?;
    qmp.execute("migrate", channel(path), COMMAND).await?;
    finished(qmp, &mut events, limit).await
}

/// Reads a state into a machine that waits for one; its guest stands still afterwards.
pub async fn read_state(qmp: &Qmp, path: &Path, limit: Duration) -> Result<(), MigrationError> {
    let mut events = qmp.events();
    prepare(qmp).await?;
    qmp.execute("migrate-set-parameters", json!({ "multifd-channels": THREADS }), COMMAND).await?;
    qmp.execute("migrate-incoming", channel(path), COMMAND).await?;
    finished(qmp, &mut events, limit).await
}

/// Gives a state up that is being written.
pub async fn cancel(qmp: &Qmp) -> Result<(), MigrationError> {
    let mut events = qmp.events();
    qmp.execute("migrate_cancel", json!({}), COMMAND).await?;
    match finished(qmp, &mut events, COMMAND).await {
        Ok(()) | Err(MigrationError::Failed { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// QEMU's object that keeps packets from and to the guest back from the start until [`let_packets_go`]: connections wait, and
/// none is lost. Without it those to a guest that does not run yet would be.
#[must_use]
pub fn holding(netdev: &str) -> String {
    format!("filter-buffer,id={HOLD},netdev={netdev},interval={HELD}")
}

/// Delivers what was kept back, and everything from now on.
pub async fn let_packets_go(qmp: &Qmp) -> Result<(), QmpError> {
    qmp.execute("object-del", json!({ "id": HOLD }), COMMAND).await.map(drop)
}

async fn prepare(qmp: &Qmp) -> Result<(), QmpError> {
    let on = |name: &str| json!({ "capability": name, "state": true });
    let capabilities = [on("events"), on("mapped-ram"), on("multifd")];
    qmp.execute("migrate-set-capabilities", json!({ "capabilities": capabilities }), COMMAND).await.map(drop)
}

fn channel(path: &Path) -> Value {
    let file = json!({ "transport": "file", "filename": path.to_string_lossy(), "offset": 0 });
    json!({ "channels": [{ "channel-type": "main", "addr": file }] })
}

async fn finished(qmp: &Qmp, events: &mut Receiver<QmpEvent>, limit: Duration) -> Result<(), MigrationError> {
    let until = Instant::now() + limit;
    loop {
        let event = tokio::time::timeout_at(until, events.recv()).await;
        let state = match event.map_err(|_| MigrationError::TimedOut { after: limit })? {
            Ok(event) if event.name == "MIGRATION" => event.data["status"].as_str().unwrap_or_default().to_owned(),
            Ok(_) => continue,
            Err(RecvError::Closed) => return Err(MigrationError::Ended),
            // What was lost may have been the one that counts.
            Err(RecvError::Lagged(_)) => state(qmp).await?,
        };
        match state.as_str() {
            "completed" => return Ok(()),
            "failed" | "cancelled" => return Err(MigrationError::Failed { words: why(qmp).await? }),
            _ => {}
        }
    }
}

async fn state(qmp: &Qmp) -> Result<String, QmpError> {
    let said = qmp.execute("query-migrate", json!({}), COMMAND).await?;
    Ok(said["status"].as_str().unwrap_or_default().to_owned())
}

async fn why(qmp: &Qmp) -> Result<String, QmpError> {
    let said = qmp.execute("query-migrate", json!({}), COMMAND).await?;
    Ok(said["error-desc"].as_str().unwrap_or("QEMU does not say why").to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::qmp::played::{Played, connected};
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn event(status: &str) -> String {
        json!({ "event": "MIGRATION", "data": { "status": status }, "timestamp": {} }).to_string()
    }

    /// Answers a command and returns its name.
    async fn answer(played: &mut Played, with: Value) -> (String, Value) {
        let command = played.hear().await;
        played.say(&json!({ "return": with, "id": command["id"] }).to_string()).await;
        (command["execute"].as_str().unwrap_or_default().to_owned(), command["arguments"].clone())
    }

    #[tokio::test]
    async fn a_state_is_written_once_the_event_says_so() {
        let (qmp, mut played) = connected().await;
        let play = async {
            let (name, arguments) = answer(&mut played, json!({})).await;
            assert_eq!(name, "migrate-set-capabilities");
            let on: Vec<&str> = arguments["capabilities"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|capability| capability["state"] == true)
                .filter_map(|capability| capability["capability"].as_str())
                .collect();
            assert_eq!(on, ["events", "mapped-ram", "multifd"]);
            assert_eq!(answer(&mut played, json!({})).await.0, "migrate-set-parameters");
            // An event may overtake the answer.
            played.say(&event("setup")).await;
            let (name, arguments) = answer(&mut played, json!({})).await;
            assert_eq!(name, "migrate");
            let address = &arguments["channels"][0]["addr"];
            assert_eq!((&address["transport"], &address["filename"]), (&json!("file"), &json!("/m/a, b/kept.state")));
            played.say(r#"{"event":"STOP","data":{"status":"completed"},"timestamp":{}}"#).await;
            for status in ["active", "device", "completed"] {
                played.say(&event(status)).await;
            }
            played
        };
        let (written, _played) = tokio::join!(write_state(&qmp, Path::new("/m/a, b/kept.state"), LONG), play);
        assert_eq!(written, Ok(()));
    }

    #[tokio::test]
    async fn what_fails_is_said_in_qemus_words() {
        let (qmp, mut played) = connected().await;
        let play = async {
            for _ in 0..3 {
                answer(&mut played, json!({})).await;
            }
            played.say(&event("failed")).await;
            let said = json!({ "status": "failed", "error-desc": "No space left on device" });
            assert_eq!(answer(&mut played, said).await.0, "query-migrate");
            played
        };
        let (written, _played) = tokio::join!(write_state(&qmp, Path::new("/f"), LONG), play);
        assert_eq!(written, Err(MigrationError::Failed { words: "No space left on device".to_owned() }));
    }

    #[tokio::test]
    async fn a_qemu_that_refuses_ends_or_says_nothing_is_no_success() {
        let (qmp, mut played) = connected().await;
        let play = async {
            let command = played.hear().await;
            let error = json!({ "class": "GenericError", "desc": "no mapped-ram" });
            played.say(&json!({ "error": error, "id": command["id"] }).to_string()).await;
            played
        };
        let (read, mut played) = tokio::join!(read_state(&qmp, Path::new("/f"), LONG), play);
        assert!(matches!(read, Err(MigrationError::Qmp(QmpError::Refused { .. }))), "{read:?}");

        let short = Duration::from_millis(50);
        let play = async {
            for _ in 0..3 {
                answer(&mut played, json!({})).await;
            }
            played
        };
        let (read, mut played) = tokio::join!(read_state(&qmp, Path::new("/f"), short), play);
        assert_eq!(read, Err(MigrationError::TimedOut { after: short }));

        let play = async move {
            for _ in 0..3 {
                answer(&mut played, json!({})).await;
            }
        };
        let (read, ()) = tokio::join!(read_state(&qmp, Path::new("/f"), LONG), play);
        assert_eq!(read, Err(MigrationError::Ended));
    }

    #[tokio::test]
    async fn a_machine_is_asked_what_it_is_and_what_is_in_the_way() {
        let (qmp, mut played) = connected().await;
        let play = async {
            let (name, _) = answer(&mut played, json!("pc-q35-10.0-machine")).await;
            assert_eq!(name, "qom-get");
            answer(&mut played, json!(7)).await;
            answer(&mut played, json!({})).await;
            answer(&mut played, json!({ "blocked-reasons": ["a", "b"] })).await;
            played
        };
        let ask = async {
            assert_eq!(machine_type(&qmp).await, Ok("pc-q35-10.0".to_owned()));
            assert!(matches!(machine_type(&qmp).await, Err(QmpError::Malformed { .. })));
            assert_eq!(blocked(&qmp).await, Ok(None));
            assert_eq!(blocked(&qmp).await, Ok(Some("a; b".to_owned())));
        };
        let ((), _played) = tokio::join!(ask, play);
    }
}
