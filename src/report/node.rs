//! What a report takes out of a node through its engine: files, and what programs in it say.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::PartError;
use crate::engine::{Engine, EngineError, ExecRequest, ExecSession};

/// How much of one stream is read.
pub(super) const MOST_BYTES: u64 = 64 << 20;
/// How much of one file in it is kept.
pub(super) const MOST_OF_FILE: usize = 4 << 20;

/// What a stream had until its end, its break, or the deadline.
pub(super) struct Heard {
    pub bytes: Vec<u8>,
    /// Why there is not more of it.
    pub cut: Option<String>,
}

/// Reads a stream; what came before it broke or hung is worth having.
pub(super) async fn hear(stream: impl AsyncRead + Unpin, deadline: Duration) -> Heard {
    let mut bytes = Vec::new();
    let mut limited = stream.take(MOST_BYTES);
    let cut = match tokio::time::timeout(deadline, limited.read_to_end(&mut bytes)).await {
        Err(_) => Some(format!("the rest was not there within {deadline:?}")),
        Ok(Err(error)) => Some(format!("the rest could not be read: {error}")),
        Ok(Ok(_)) if limited.limit() == 0 => Some(format!("the rest is beyond {} MiB", MOST_BYTES >> 20)),
        Ok(Ok(_)) => None,
    };
    Heard { bytes, cut }
}

/// The files below a folder of a node, running or not, by their paths in it, and why there are not more of them.
pub(super) async fn files(
    engine: &dyn Engine,
    node: &str,
    folder: &str,
    deadline: Duration,
) -> Result<(BTreeMap<String, Vec<u8>>, Option<String>), PartError> {
    let stream = match engine.copy_out(node, folder).await {
        Err(EngineError::NotFound { what: "path", .. }) => return Ok((BTreeMap::new(), None)),
        stream => stream?,
    };
    let Heard { bytes, mut cut } = hear(stream, deadline).await;
    let mut found = BTreeMap::new();
    if let Err(error) = unpack(&bytes, &mut found) {
        // A file that grew while it was copied ends the stream in the middle.
        cut.get_or_insert(format!("the rest could not be read: {error}"));
    }
    Ok((found, cut))
}

fn unpack(bytes: &[u8], found: &mut BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() != tar::EntryType::Regular {
            continue;
        }
        let path = entry.path()?.into_owned();
        let parts: Vec<_> = path.components().filter(|part| matches!(part, Component::Normal(_))).skip(1).collect();
        let path = parts.iter().collect::<std::path::PathBuf>();
        let mut content = Vec::new();
        let read = entry.read_to_end(&mut content);
        found.insert(slashes(&path), super::since::last(content, MOST_OF_FILE));
        read?;
    }
    Ok(())
}

fn slashes(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// What a program in the node printed, and its last words.
pub(super) struct Said {
    pub code: i64,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Runs a program in a running node to its end.
pub(super) async fn run(engine: &dyn Engine, node: &str, command: &[&str]) -> Result<Said, PartError> {
    let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    let session = engine.exec(node, ExecRequest { command, ..ExecRequest::default() }).await?;
    let ExecSession { stdin: _, stdout, stderr, control } = session;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (stdout.take(MOST_BYTES), stderr.take(64 << 10));
    tokio::try_join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err))?;
    let code = control.wait().await?;
    let stderr = String::from_utf8_lossy(&err).trim().to_owned();
    Ok(Said { code, stdout: out, stderr })
}
