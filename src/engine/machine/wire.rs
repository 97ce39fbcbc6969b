//! What a command and the supervisor of a machine tell each other: one request a connection, as a line of JSON, and one line
//! in return.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::arguments::Accelerator;
use crate::engine::{Labels, PortForward};
use crate::platform::{Channel, Connection, Platform};

/// The longest line that either believes.
const LONGEST_LINE: u64 = 1 << 20;

/// What a supervisor is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "camelCase")]
pub enum Request {
    /// How it is.
    Status,
    /// How it is, once programs can be run in it or it has ended.
    Ready,
    /// To stop the machine in order; answered when it is off.
    #[serde(rename_all = "camelCase")]
    Stop {
        /// How long the node may take.
        grace_millis: u64,
    },
    /// To stop the machine as it is, so that its next start goes on from there; answered when it is off, or when that is not
    /// possible, and the machine runs on.
    Keep,
    /// To end it at once; answered when it is off.
    Kill,
    /// To have these ports of this machine lead into it, and no others.
    #[serde(rename_all = "camelCase")]
    SetPorts {
        /// All of them.
        ports: Vec<PortForward>,
        /// What its labels are then.
        labels: Labels,
    },
    /// To freeze it.
    Pause,
    /// To thaw it.
    Unpause,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "camelCase")]
pub enum Answer {
    /// How it is now.
    Status(Status),
    /// A port that it should open is somebody else's; all is as it was.
    Taken(PortTaken),
    /// It could not do that.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Why, in words.
        reason: String,
    },
}

/// How a machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Whether it runs.
    pub state: State,
    /// QEMU's process, while there is one.
    pub process: Option<u32>,
    /// QEMU's version.
    pub version: Option<String>,
    /// What runs its instructions.
    pub accelerator: Option<Accelerator>,
    /// Why it is that one, in words.
    pub because: String,
    /// The port of this machine that leads to its SSH server.
    pub ssh: Option<u16>,
    /// What the guest has come through, with milliseconds since power-on.
    pub phases: Vec<(String, u64)>,
    /// The port of this machine that QEMU could not open.
    pub taken: Option<PortTaken>,
    /// What the user should know of this start.
    #[serde(default)]
    pub note: Option<String>,
}

/// A port that somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortTaken {
    /// Its address.
    pub address: std::net::IpAddr,
    /// Its number.
    pub port: u16,
}

/// Whether a machine runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It starts.
    Starting,
    /// Programs can be run in it.
    Running,
    /// It is frozen.
    Paused,
    /// It is being stopped.
    Stopping,
    /// It is off, and its supervisor about to go.
    #[serde(rename_all = "camelCase")]
    Ended {
        /// What a container's exit status would be.
        code: i64,
        /// Why, where it was not meant, with the last lines of its console.
        reason: Option<String>,
    },
}

/// Why a supervisor did not answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is none.
    #[error("the machine has no supervisor")]
    Absent(#[source] std::io::Error),
    /// It did not answer in time.
    #[error("the machine's supervisor did not answer within {0:?}")]
    TimedOut(Duration),
    /// It went without an answer.
    #[error("the machine's supervisor went away")]
    Gone,
    /// A port is taken.
    #[error("a port is taken")]
    Taken(PortTaken),
    /// It could not do that.
    #[error("{0}")]
    Failed(String),
}

/// Asks a supervisor.
pub async fn call(
    platform: &dyn Platform,
    channel: &Channel,
    request: &Request,
    deadline: Duration,
) -> Result<Status, CallError> {
    let ask = async {
        let connection = platform.call(channel).await.map_err(CallError::Absent)?;
        let mut connection = BufReader::new(connection);
        send(connection.get_mut(), request).await.map_err(|_| CallError::Gone)?;
        match receive(&mut connection).await {
            Some(Answer::Status(status)) => Ok(status),
            Some(Answer::Taken(taken)) => Err(CallError::Taken(taken)),
            Some(Answer::Failed { reason }) => Err(CallError::Failed(reason)),
            None => Err(CallError::Gone),
        }
    };
    tokio::time::timeout(deadline, ask).await.unwrap_or(Err(CallError::TimedOut(deadline)))
}

/// Writes one message.
pub async fn send<T: Serialize>(to: &mut Box<dyn Connection>, message: &T) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message).map_err(std::io::Error::other)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    to.flush().await
}

/// Reads one message; none where there is no whole one.
pub async fn receive<T: serde::de::DeserializeOwned>(from: &mut BufReader<Box<dyn Connection>>) -> Option<T> {
    let mut line = Vec::new();
    from.take(LONGEST_LINE).read_until(b'\n', &mut line).await.ok()?;
    serde_json::from_slice(&line).ok()
}
