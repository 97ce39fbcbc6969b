//! [`NodeClient`]: the node contract spoken through `sandbarctl` over any engine's exec.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadBuf};

use super::{CONTRACT_VERSION, ImportedImage, Node, NodeError, NodeImage, StatusReport, VersionReport};
use crate::engine::{Engine, ExecControl, ExecRequest, ExecSession, Reader, Writer};

/// Longest output of one call that is kept; a report is a few kilobytes.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// How much of stderr is kept for a message.
const STDERR_BYTES: usize = 4096;
/// What a call may take beside what it waits for by itself.
const CALL: Duration = Duration::from_secs(20);
/// Exit codes of `sandbarctl`, as the contract has them.
const TIMED_OUT: i64 = 4;
const NOT_REACHABLE: i64 = 6;

/// Speaks to one node through its engine.
#[derive(Clone)]
pub struct NodeClient {
    engine: Arc<dyn Engine>,
    name: String,
}

fn with_stdin(stdin: bool) -> ExecRequest {
    ExecRequest { stdin, ..ExecRequest::default() }
}

/// What a finished call said.
struct Answer {
    command: String,
    code: i64,
    stdout: Vec<u8>,
    stderr: String,
}

impl NodeClient {
    /// The node of that name in that engine.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, name: impl Into<String>) -> Self {
        Self { engine, name: name.into() }
    }

    /// Starts a command of the contract; the rest of the request is as it is given.
    async fn start(&self, arguments: &[&str], request: ExecRequest) -> Result<(String, ExecSession), NodeError> {
        let mut command = vec!["sandbarctl".to_owned()];
        command.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let text = command.join(" ");
        let request = ExecRequest { command, ..request };
        Ok((text, self.engine.exec(&self.name, request).await?))
    }

    /// Runs a call to its end, at most for `deadline`.
    async fn call(&self, arguments: &[&str], stdin: Option<&[u8]>, deadline: Duration) -> Result<Answer, NodeError> {
        let run = async {
            let (command, session) = self.start(arguments, with_stdin(stdin.is_some())).await?;
            let ExecSession { stdin: input, stdout, stderr, control } = session;
            let mut bytes = Vec::new();
            let read = stdout.take(MOST_BYTES);
            tokio::pin!(read);
            let write = async {
                if let (Some(mut input), Some(bytes)) = (input, stdin) {
                    // A program that ends early closes its input; its exit code says why.
                    let _ = input.write_all(bytes).await;
                    let _ = input.shutdown().await;
                }
            };
            let (read, stderr, ()) = tokio::join!(read.read_to_end(&mut bytes), stderr_tail(stderr), write);
            read.map_err(|error| NodeError::Malformed { command: command.clone(), reason: error.to_string() })?;
            let code = control.wait().await?;
            Ok(Answer { command, code, stdout: bytes, stderr })
        };
        match tokio::time::timeout(deadline, run).await {
            Ok(answer) => answer,
            Err(_) => Err(NodeError::TimedOut {
                command: format!("sandbarctl {}", arguments.join(" ")),
                message: format!("no answer within {deadline:?}"),
            }),
        }
    }
}

#[async_trait]
impl Node for NodeClient {
    async fn version(&self) -> Result<VersionReport, NodeError> {
        let answer = self.call(&["version", "--output", "json"], None, CALL).await?;
        let report: VersionReport = answer.succeeded()?.json()?;
        check_contract(report.contract_version)?;
        Ok(report)
    }

    async fn status(&self) -> Result<StatusReport, NodeError> {
        let answer = self.call(&["status", "--output", "json"], None, CALL).await?;
        // Exit code 1 with a report is a node that is not healthy, which is an answer.
        if answer.code == 1 && !answer.stdout.is_empty() {
            return parse_status(&answer.command, &answer.stdout);
        }
        let answer = answer.succeeded()?;
        parse_status(&answer.command, &answer.stdout)
    }

    async fn watch_until_healthy(
        &self,
        timeout: Duration,
    ) -> Result<BoxStream<'static, Result<StatusReport, NodeError>>, NodeError> {
        let limit = go_duration(timeout);
        let arguments =
            ["status", "--output", "json", "--wait", "healthy", "--watch", "--until-eof", "--timeout", &limit];
        let (command, session) = self.start(&arguments, with_stdin(true)).await?;
        let ExecSession { stdin, stdout, stderr, control } = session;
        let stderr = tokio::spawn(stderr_tail(stderr));
        let watch = Watch { _alive: stdin, command, lines: BufReader::new(stdout), stderr, control, over: false };
        Ok(stream::unfold(watch, |mut watch| async move {
            if watch.over {
                return None;
            }
            let item = watch.next().await?;
            watch.over = item.is_err();
            Some((item, watch))
        })
        .boxed())
    }

    async fn kubeconfig(&self, server: &str, name: &str, timeout: Duration) -> Result<String, NodeError> {
        let limit = go_duration(timeout);
        let arguments = ["kubeconfig", "--server", server, "--name", name, "--timeout", &limit];
        let answer = self.call(&arguments, None, timeout.saturating_add(CALL)).await?.succeeded()?;
        String::from_utf8(answer.stdout)
            .map_err(|_| NodeError::Malformed { command: answer.command, reason: "it is not UTF-8".to_owned() })
    }

    async fn images(&self) -> Result<Vec<NodeImage>, NodeError> {
        #[derive(Deserialize)]
        struct Images {
            images: Vec<NodeImage>,
        }
        let answer = self.call(&["image", "ls", "--output", "json"], None, CALL).await?.succeeded()?;
        Ok(answer.json::<Images>()?.images)
    }

    async fn image_missing(&self, digests: &[String]) -> Result<Vec<String>, NodeError> {
        let asked = digests.iter().fold(String::new(), |lines, digest| lines + digest + "\n");
        let answer = self.call(&["image", "missing"], Some(asked.as_bytes()), CALL).await?.succeeded()?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let missing: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if let Some(other) = missing.iter().find(|digest| !digests.contains(digest)) {
            let reason = format!("{other:?} was not asked for");
            return Err(NodeError::Malformed { command: answer.command, reason });
        }
        Ok(missing)
    }

    async fn image_tag(&self, id: &str, names: &[String]) -> Result<(), NodeError> {
        let arguments: Vec<_> = ["image", "tag", id].into_iter().chain(names.iter().map(String::as_str)).collect();
        self.call(&arguments, None, CALL).await?.succeeded().map(|_| ())
    }

    async fn image_import(&self, archive: Reader, names: &[String]) -> Result<Vec<ImportedImage>, NodeError> {
        #[derive(Deserialize)]
        struct Imported {
            images: Vec<ImportedImage>,
        }
        let names = names.iter().flat_map(|name| ["--name", name]);
        let arguments: Vec<_> = ["image", "import"].into_iter().chain(names).collect();
        let request = ExecRequest { bulk: true, ..with_stdin(true) };
        let (command, session) = self.start(&arguments, request).await?;
        let ExecSession { stdin, stdout, stderr, control } = session;
        let mut stdout = stdout.take(MOST_BYTES);
        let mut bytes = Vec::new();
        let send = async {
            let Some(mut stdin) = stdin else { return Ok(()) };
            feed(archive, &mut stdin).await?;
            // A program that ended early has closed its input; its exit code says why.
            let _ = stdin.shutdown().await;
            Ok(())
        };
        let answer = async {
            let (read, stderr) = tokio::join!(stdout.read_to_end(&mut bytes), stderr_tail(stderr));
            let malformed =
                |error: std::io::Error| NodeError::Malformed { command: command.clone(), reason: error.to_string() };
            read.map_err(malformed)?;
            Ok::<_, NodeError>(stderr)
        };
        // What cannot be read ends the call at once: the node must not take a part for the whole.
        let ((), stderr) = tokio::try_join!(async { send.await.map_err(NodeError::Input) }, answer)?;
        let code = control.wait().await?;
        Ok(Answer { command, code, stdout: bytes, stderr }.succeeded()?.json::<Imported>()?.images)
    }

    async fn image_remove(&self, names: &[String]) -> Result<(), NodeError> {
        let arguments: Vec<_> = ["image", "rm"].into_iter().chain(names.iter().map(String::as_str)).collect();
        self.call(&arguments, None, CALL).await?.succeeded().map(|_| ())
    }

    async fn logs(&self, component: Option<&str>, follow: bool, tail: Option<u32>) -> Result<Reader, NodeError> {
        let mut arguments = vec!["logs".to_owned()];
        arguments.extend(follow.then_some(["--follow", "--until-eof"]).into_iter().flatten().map(str::to_owned));
        arguments.extend(tail.into_iter().flat_map(|lines| ["--tail".to_owned(), lines.to_string()]));
        arguments.extend(component.map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (command, session) = self.start(&arguments, with_stdin(follow)).await?;
        let ExecSession { stdin, stdout, stderr, control } = session;
        let (mut sink, source) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let mut stdout = stdout;
            let (copied, words) = tokio::join!(tokio::io::copy(&mut stdout, &mut sink), stderr_tail(stderr));
            if copied.is_ok() && control.wait().await.is_ok_and(|code| code != 0) {
                // The stream is all that the reader has; a failed call ends it with its own words.
                let _ = sink.write_all(format!("{command}: {}\n", last_line(&words)).as_bytes()).await;
            }
        });
        Ok(Box::pin(Following { source, _alive: stdin }))
    }

    async fn stop(&self, grace: Duration) -> Result<(), NodeError> {
        let limit = go_duration(grace);
        self.call(&["stop", "--grace", &limit], None, CALL).await?.succeeded().map(|_| ())
    }
}

/// Copies a stream into a program's input. Only the stream's own errors count: a program may end before it read all.
async fn feed(mut from: Reader, to: &mut Writer) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return Ok(());
        }
    }
}

/// Output of a program that ends when this is dropped: no engine ends a program whose client went away, but all close
/// its input.
struct Following {
    source: DuplexStream,
    _alive: Option<Writer>,
}

impl AsyncRead for Following {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.source).poll_read(cx, buffer)
    }
}

/// A running `sandbarctl status --watch`.
struct Watch {
    /// No engine ends a program whose client went away, but all close its input.
    _alive: Option<Writer>,
    command: String,
    lines: BufReader<Reader>,
    stderr: tokio::task::JoinHandle<String>,
    control: Box<dyn ExecControl>,
    over: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<StatusReport, NodeError>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = (&mut self.lines).take(MOST_BYTES);
            match limited.read_until(b'\n', &mut line).await {
                Ok(0) => return self.end().await,
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => return Some(parse_status(&self.command, line.trim_ascii())),
                Err(error) => {
                    let reason = format!("the connection broke: {error}");
                    return Some(Err(NodeError::Malformed { command: self.command.clone(), reason }));
                }
            }
        }
    }

    async fn end(&mut self) -> Option<Result<StatusReport, NodeError>> {
        self.over = true;
        let code = match self.control.wait().await {
            Ok(code) => code,
            Err(error) => return Some(Err(error.into())),
        };
        let stderr = (&mut self.stderr).await.unwrap_or_default();
        let answer = Answer { command: self.command.clone(), code, stdout: Vec::new(), stderr };
        answer.succeeded().err().map(Err)
    }
}

impl Answer {
    fn succeeded(self) -> Result<Self, NodeError> {
        let message = last_line(&self.stderr);
        match self.code {
            0 => Ok(self),
            TIMED_OUT => Err(NodeError::TimedOut { command: self.command, message }),
            NOT_REACHABLE => Err(NodeError::NotReachable { message }),
            code => Err(NodeError::Failed { command: self.command, code, message }),
        }
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, NodeError> {
        serde_json::from_slice(&self.stdout)
            .map_err(|error| NodeError::Malformed { command: self.command.clone(), reason: error.to_string() })
    }
}

/// Understands one report; a contract that this CLI does not speak is told before anything else about the form.
pub(crate) fn parse_status(command: &str, bytes: &[u8]) -> Result<StatusReport, NodeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        contract_version: u32,
    }
    let malformed =
        |error: serde_json::Error| NodeError::Malformed { command: command.to_owned(), reason: error.to_string() };
    let version: Version = serde_json::from_slice(bytes).map_err(malformed)?;
    check_contract(version.contract_version)?;
    serde_json::from_slice(bytes).map_err(malformed)
}

fn check_contract(found: u32) -> Result<(), NodeError> {
    if (CONTRACT_VERSION.saturating_sub(1).max(1)..=CONTRACT_VERSION).contains(&found) {
        Ok(())
    } else {
        Err(NodeError::Contract { found, newest: CONTRACT_VERSION })
    }
}

/// A duration as Go's `time.ParseDuration` reads it.
fn go_duration(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// The end of a stream, as text.
async fn stderr_tail(mut stream: Reader) -> String {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        if kept.len() > 2 * STDERR_BYTES {
            kept.drain(..kept.len() - STDERR_BYTES);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The last line that says something, without the program's own name before it.
fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
    line.strip_prefix("sandbarctl: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_sandbarctl_are_taken_from_its_last_line() {
        assert_eq!(last_line("warning\nsandbarctl: no such image\n\n"), "no such image");
        assert_eq!(last_line(""), "it said nothing");
    }

    #[test]
    fn reports_of_another_contract_or_form_are_refused() {
        let refused = |bytes: &[u8]| parse_status("sandbarctl status", bytes).unwrap_err();
        assert!(matches!(refused(br#"{"contractVersion":9,"other":1}"#), NodeError::Contract { found: 9, .. }));
        assert!(matches!(refused(b"{\"contractVersion\":1"), NodeError::Malformed { .. }));
        assert!(matches!(refused(b""), NodeError::Malformed { .. }));
        assert!(matches!(refused(br#"{"contractVersion":1,"healthy":"yes"}"#), NodeError::Malformed { .. }));
    }

    #[test]
    fn durations_are_gos() {
        assert_eq!(go_duration(Duration::from_millis(1500)), "1500ms");
    }
}
