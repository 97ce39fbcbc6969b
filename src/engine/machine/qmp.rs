//! The QEMU Machine Protocol: commands and events as JSON, one a line, over any stream
//! (QEMU's docs/interop/qmp-spec.rst).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::{broadcast, oneshot};

/// How many events may wait for their reader.
const EVENTS: usize = 256;
/// The longest line that QEMU is believed; its longest answers have some 100 KB.
const LONGEST_LINE: usize = 16 << 20;

/// Why QEMU did not do what it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QmpError {
    /// It said so.
    #[error("{words}")]
    Refused {
        /// Its class, such as `GenericError`.
        class: String,
        /// Its words.
        words: String,
    },
    /// It said nothing in time.
    #[error("QEMU did not answer {command} within {after:?}")]
    TimedOut {
        /// The command.
        command: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection ended.
    #[error("QEMU is gone")]
    Closed,
    /// What it said is not the protocol.
    #[error("what answers is no QEMU: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

/// Something that happened in a machine.
#[derive(Debug, Clone, PartialEq)]
pub struct QmpEvent {
    /// Its name, such as `SHUTDOWN`.
    pub name: String,
    /// What QEMU says of it.
    pub data: Value,
}

/// A connection that is ready for commands.
pub struct Qmp {
    inner: Arc<Inner>,
    /// Of the greeting, such as `10.0.2`.
    version: String,
    /// Of the greeting, such as `Debian 1:10.0.2+ds-2`.
    package: String,
}

struct Inner {
    writer: tokio::sync::Mutex<Box<dyn AsyncWrite + Send + Unpin>>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// Those that wait for an answer, by the number of their command; none once the connection ended.
    by_number: Option<HashMap<u64, oneshot::Sender<Result<Value, QmpError>>>>,
    /// Those that listen to events; none once the connection ended, which is how they hear that.
    events: Option<broadcast::Sender<QmpEvent>>,
}

impl Qmp {
    /// Takes the greeting and leaves the negotiation.
    pub async fn connect<S>(stream: S, deadline: Duration) -> Result<Self, QmpError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (reader, writer): (ReadHalf<S>, WriteHalf<S>) = tokio::io::split(stream);
        let mut reader = BufReader::new(reader);
        let greeting = tokio::time::timeout(deadline, read_line(&mut reader)).await;
        let greeting = greeting
            .map_err(|_| QmpError::TimedOut { command: "the connection".to_owned(), after: deadline })??
            .ok_or(QmpError::Closed)?;
        let version = &greeting["QMP"]["version"]["qemu"];
        let part = |name: &str| version[name].as_u64();
        let (Some(major), Some(minor), Some(micro)) = (part("major"), part("minor"), part("micro")) else {
            return Err(QmpError::Malformed { reason: format!("it greets with {greeting}") });
        };
        let events = Some(broadcast::channel(EVENTS).0);
        let waiting = Waiting { next: 0, by_number: Some(HashMap::new()), events };
        let inner = Arc::new(Inner { writer: tokio::sync::Mutex::new(Box::new(writer)), waiting: Mutex::new(waiting) });
        tokio::spawn(dispatch(reader, Arc::clone(&inner)));
        let package = greeting["QMP"]["version"]["package"].as_str().unwrap_or_default().to_owned();
        let qmp = Self { inner, version: format!("{major}.{minor}.{micro}"), package };
        qmp.execute("qmp_capabilities", json!({}), deadline).await?;
        Ok(qmp)
    }

    /// QEMU's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// QEMU's version with what whoever packed it calls the package.
    #[must_use]
    pub fn build(&self) -> String {
        match self.package.as_str() {
            "" => self.version.clone(),
            package => format!("{} ({package})", self.version),
        }
    }

    /// What happens from now on. It ends with the connection.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<QmpEvent> {
        match &self.inner.waiting().events {
            Some(events) => events.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    /// Has a command done and returns what it returns.
    pub async fn execute(&self, command: &str, arguments: Value, deadline: Duration) -> Result<Value, QmpError> {
        let (sender, answer) = oneshot::channel();
        let number = {
            let mut waiting = self.inner.waiting();
            let number = waiting.next;
            waiting.next += 1;
            waiting.by_number.as_mut().ok_or(QmpError::Closed)?.insert(number, sender);
            number
        };
        let mut line = json!({ "execute": command, "arguments": arguments, "id": number }).to_string();
        line.push('\n');
        let talk = async {
            let mut writer = self.inner.writer.lock().await;
            writer.write_all(line.as_bytes()).await.map_err(|_| QmpError::Closed)?;
            writer.flush().await.map_err(|_| QmpError::Closed)?;
            drop(writer);
            answer.await.map_err(|_| QmpError::Closed)?
        };
        let answered = tokio::time::timeout(deadline, talk).await;
        answered.unwrap_or_else(|_| {
            // An answer that comes later is nobody's.
            if let Some(by_number) = &mut self.inner.waiting().by_number {
                by_number.remove(&number);
            }
            Err(QmpError::TimedOut { command: command.to_owned(), after: deadline })
        })
    }
}

impl Inner {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands answers to those that wait for them and events to those that listen, until the connection ends.
async fn dispatch<R: AsyncRead + Unpin>(mut reader: BufReader<R>, inner: Arc<Inner>) {
    let reason = loop {
        let message = match read_line(&mut reader).await {
            Ok(Some(message)) => message,
            Ok(None) => break QmpError::Closed,
            Err(error) => break error,
        };
        if let Some(name) = message["event"].as_str() {
            let event = QmpEvent { name: name.to_owned(), data: message["data"].clone() };
            // Nobody has to listen.
            let _ = inner.waiting().events.as_ref().map(|events| events.send(event));
            continue;
        }
        let answer = match (message.get("return"), message.get("error")) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(error)) => {
                let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
                Err(QmpError::Refused { class: text("class"), words: text("desc") })
            }
            (None, None) => {
                tracing::debug!(%message, "QEMU says what nobody understands");
                continue;
            }
        };
        let waiter = {
            let mut waiting = inner.waiting();
            let number = message["id"].as_u64();
            number.and_then(|number| waiting.by_number.as_mut()?.remove(&number))
        };
        if let Some(waiter) = waiter {
            // Whoever waited may have given up.
            let _ = waiter.send(answer);
        } else {
            tracing::debug!(%message, "an answer that nobody waits for");
        }
    };
    let left = {
        let mut waiting = inner.waiting();
        waiting.events = None;
        waiting.by_number.take().unwrap_or_default()
    };
    for (_, waiter) in left {
        let _ = waiter.send(Err(reason.clone()));
    }
}

/// The next line as JSON; none at the end.
async fn read_line<R: AsyncRead + Unpin>(reader: &mut BufReader<R>) -> Result<Option<Value>, QmpError> {
    let mut line = Vec::new();
    loop {
        let piece = reader.fill_buf().await.map_err(|_| QmpError::Closed)?;
        if piece.is_empty() {
            return if line.is_empty() { Ok(None) } else { Err(QmpError::Closed) };
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(piece.len(), |end| end + 1);
        line.extend_from_slice(&piece[..taken]);
        reader.consume(taken);
        if line.len() > LONGEST_LINE {
            return Err(QmpError::Malformed { reason: "its line does not end".to_owned() });
        }
        if end.is_some() {
            break;
        }
    }
    serde_json::from_slice(&line).map(Some).map_err(|error| QmpError::Malformed { reason: error.to_string() })
}

/// A QEMU that tests play.
#[cfg(test)]
pub(super) mod played {
    use tokio::io::DuplexStream;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    const GREETING: &str =
        r#"{"QMP":{"version":{"qemu":{"micro":2,"minor":0,"major":10},"package":""},"capabilities":["oob"]}}"#;

    /// The other end of a connection, which a test plays.
    pub struct Played(pub BufReader<DuplexStream>);

    impl Played {
        pub async fn say(&mut self, line: &str) {
            self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        }

        pub async fn hear(&mut self) -> Value {
            read_line(&mut self.0).await.unwrap().unwrap()
        }
    }

    pub fn pipe() -> (DuplexStream, Played) {
        let (near, far) = tokio::io::duplex(1 << 16);
        (near, Played(BufReader::new(far)))
    }

    pub async fn connected() -> (Qmp, Played) {
        let (near, mut played) = pipe();
        let greet = async {
            played.say(GREETING).await;
            let command = played.hear().await;
            assert_eq!(command["execute"], "qmp_capabilities");
            played.say(&json!({ "return": {}, "id": command["id"] }).to_string()).await;
            played
        };
        let (qmp, played) = tokio::join!(Qmp::connect(near, LONG), greet);
        (qmp.unwrap(), played)
    }
}

#[cfg(test)]
mod tests {
    use super::played::{connected, pipe};
    use super::*;

    const SOON: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(20);
    #[tokio::test]
    async fn a_greeting_tells_the_version() {
        let (qmp, _played) = connected().await;
        assert_eq!(qmp.version(), "10.0.2");
    }

    #[tokio::test]
    async fn answers_come_in_any_order_between_events() {
        let (qmp, mut played) = connected().await;
        let mut events = qmp.events();
        let play = async {
            let (first, second) = (played.hear().await, played.hear().await);
            played.say(r#"{"event":"STOP","data":{"a":1},"timestamp":{"seconds":1,"microseconds":2}}"#).await;
            played.say(&json!({ "return": "of the second", "id": second["id"] }).to_string()).await;
            let error = json!({ "class": "DeviceNotFound", "desc": "no such device" });
            played.say(&json!({ "error": error, "id": first["id"] }).to_string()).await;
            played
        };
        let first = qmp.execute("first", json!({ "x": 1 }), LONG);
        let second = qmp.execute("second", json!({}), LONG);
        let (first, second, _played) = tokio::join!(first, second, play);
        let words = "no such device".to_owned();
        assert_eq!(first, Err(QmpError::Refused { class: "DeviceNotFound".to_owned(), words }));
        assert_eq!(second, Ok(json!("of the second")));
        let event = events.recv().await.unwrap();
        assert_eq!((event.name.as_str(), &event.data["a"]), ("STOP", &json!(1)));
    }

    #[tokio::test]
    async fn an_answer_that_comes_late_is_nobodys() {
        let (qmp, mut played) = connected().await;
        let late = qmp.execute("slow", json!({}), SOON).await;
        assert_eq!(late, Err(QmpError::TimedOut { command: "slow".to_owned(), after: SOON }));
        let play = async {
            let slow = played.hear().await;
            played.say(&json!({ "return": "late", "id": slow["id"] }).to_string()).await;
            let next = played.hear().await;
            played.say(&json!({ "return": "right", "id": next["id"] }).to_string()).await;
            played
        };
        let (next, _played) = tokio::join!(qmp.execute("next", json!({}), LONG), play);
        assert_eq!(next, Ok(json!("right")));
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_passed_over() {
        let (qmp, mut played) = connected().await;
        let play = async {
            let command = played.hear().await;
            for odd in [r#"{"return":"nobody's","id":4711}"#, r#"{"return":1}"#, "{}", "[]", "null", r#"{"event":7}"#] {
                played.say(odd).await;
            }
            played.say(&json!({ "return": true, "id": command["id"] }).to_string()).await;
            played
        };
        let (answer, _played) = tokio::join!(qmp.execute("any", json!({}), LONG), play);
        assert_eq!(answer, Ok(json!(true)));
    }

    #[tokio::test]
    async fn an_end_is_told_to_everyone_who_waits() {
        let (qmp, mut played) = connected().await;
        let mut events = qmp.events();
        let end = async move {
            played.hear().await;
            drop(played);
        };
        let (answer, ()) = tokio::join!(qmp.execute("any", json!({}), LONG), end);
        assert_eq!(answer, Err(QmpError::Closed));
        assert_eq!(qmp.execute("another", json!({}), LONG).await, Err(QmpError::Closed));
        // Also who listens hears it, though the connection's value is still there.
        assert!(events.recv().await.is_err());
        assert!(qmp.events().recv().await.is_err());
    }

    #[tokio::test]
    async fn half_a_line_and_no_json_are_no_answer() {
        for (said, expected) in [
            ("{\"return\": {}, \"id\"", QmpError::Closed),
            ("SSH-2.0-OpenSSH\r\n", QmpError::Malformed { reason: "expected value at line 1 column 1".to_owned() }),
        ] {
            let (qmp, mut played) = connected().await;
            let play = async move {
                played.hear().await;
                played.0.get_mut().write_all(said.as_bytes()).await.unwrap();
            };
            let (answer, ()) = tokio::join!(qmp.execute("any", json!({}), LONG), play);
            assert_eq!(answer, Err(expected));
        }
    }

    #[tokio::test]
    async fn others_than_qemu_are_told_from_it() {
        for said in ["SSH-2.0-OpenSSH_9.2", r#"{"hello":1}"#, r#"{"QMP":{"version":{"qemu":{}}}}"#] {
            let (near, mut played) = pipe();
            let (qmp, ()) = tokio::join!(Qmp::connect(near, LONG), played.say(said));
            assert!(matches!(qmp.err(), Some(QmpError::Malformed { .. })), "{said}");
        }
        let (near, played) = pipe();
        let silent = Qmp::connect(near, SOON).await;
        assert!(matches!(silent.err(), Some(QmpError::TimedOut { .. })));
        drop(played);
        let (near, played) = pipe();
        drop(played);
        assert_eq!(Qmp::connect(near, LONG).await.err(), Some(QmpError::Closed));
    }
}
