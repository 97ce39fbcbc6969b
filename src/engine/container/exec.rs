//! A program that runs in a container: its streams over one connection, its end, its terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::ContainerEngine;
use crate::engine::streams::{Chunk, Stdin, reader};
use crate::engine::{EngineError, ExecControl, ExecSession, TerminalSize};

type Connection = TokioIo<Upgraded>;

/// How many chunks of an output may wait for its reader. Where the one of standard error is not read at all, standard
/// output stops after so many chunks of standard error.
const CHUNKS: usize = 1024;
/// How much is read at a time.
const READ_BYTES: usize = 64 * 1024;
/// Bytes of a frame's head: the stream's number, three zeroes, the length (Docker API, "Stream format").
const HEAD_BYTES: usize = 8;
/// How Docker begins to say that a program could not be started, in the place of its standard output.
const NOT_STARTED: &[u8] = b"OCI runtime exec failed: ";
/// How it says why, where there is no such program.
const NO_PROGRAM: [&str; 2] = ["executable file not found", "no such file or directory"];
/// The exit status for that, as shells have it; Docker's is the one for a program that must not be run.
const NO_PROGRAM_STATUS: i64 = 127;
/// How long an engine may need to notice that a program is over whose streams have ended.
const END: Duration = Duration::from_secs(10);

/// The session on a connection that the engine handed over.
pub(super) fn session(connection: Connection, stdin: bool, terminal: bool, control: ContainerControl) -> ExecSession {
    let (read, write) = tokio::io::split(connection);
    let (stdout, stdout_chunks) = mpsc::channel(CHUNKS);
    let (stderr, stderr_chunks) = mpsc::channel(CHUNKS);
    let no_program = Arc::clone(&control.no_program);
    tokio::spawn(async move {
        let ended = if terminal {
            copy_raw(read, &stdout, &no_program).await
        } else {
            copy_frames(read, &stdout, &stderr, &no_program).await
        };
        if let Err(error) = ended {
            // Whoever reads learns that this was no proper end; who reads no more does not need to.
            let _ = stdout.send(Err(error)).await;
        }
    });
    let stdin = if stdin { Some(Box::pin(Stdin::new(write)) as _) } else { None };
    ExecSession { stdin, stdout: reader(stdout_chunks), stderr: reader(stderr_chunks), control: Box::new(control) }
}

/// What the first bytes of a standard output are.
#[derive(Debug, PartialEq, Eq)]
enum Beginning {
    /// Too few to say.
    Open,
    /// The program's.
    Output,
    /// Docker's words for why there is none.
    NotStarted {
        /// Because there is no such program.
        no_program: bool,
    },
}

impl Beginning {
    /// Of an output, or a frame of it, of that length.
    fn of(bytes: &[u8], length: usize) -> Self {
        let known = NOT_STARTED.len().min(bytes.len());
        if length < NOT_STARTED.len() || bytes[..known] != NOT_STARTED[..known] {
            return Self::Output;
        }
        if bytes.len() < length {
            return Self::Open;
        }
        let words = String::from_utf8_lossy(&bytes[..length]);
        Self::NotStarted { no_program: NO_PROGRAM.iter().any(|part| words.contains(part)) }
    }
}

/// With a terminal there is one stream, as it is.
async fn copy_raw(
    mut from: impl AsyncRead + Unpin,
    to: &mpsc::Sender<Chunk>,
    no_program: &AtomicBool,
) -> std::io::Result<()> {
    let mut buffer = bytes::BytesMut::with_capacity(READ_BYTES);
    let mut first = true;
    while from.read_buf(&mut buffer).await? > 0 {
        if std::mem::take(&mut first)
            && Beginning::of(&buffer, buffer.len()) == (Beginning::NotStarted { no_program: true })
        {
            no_program.store(true, Ordering::Release);
        }
        if to.send(Ok(buffer.split().freeze())).await.is_err() {
            break;
        }
        buffer.reserve(READ_BYTES);
    }
    Ok(())
}

/// Without one, both outputs come in frames on one stream.
async fn copy_frames(
    mut from: impl AsyncRead + Unpin,
    stdout: &mpsc::Sender<Chunk>,
    stderr: &mpsc::Sender<Chunk>,
    no_program: &AtomicBool,
) -> std::io::Result<()> {
    let mut buffer = bytes::BytesMut::with_capacity(READ_BYTES);
    let mut frame: Option<(u8, usize)> = None;
    let mut beginning = Beginning::Open;
    loop {
        while frame.is_none() && buffer.len() >= HEAD_BYTES {
            let head = buffer.split_to(HEAD_BYTES);
            let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
            frame = (length > 0).then_some((head[0], length));
        }
        if let (Beginning::Open, Some((number, length))) = (&beginning, frame) {
            beginning = if number == 1 { Beginning::of(&buffer, length) } else { Beginning::Output };
            if let Beginning::NotStarted { no_program: none } = beginning {
                no_program.store(none, Ordering::Release);
                frame = Some((2, length));
            }
        }
        let decided = beginning != Beginning::Open;
        if let Some((number, left)) = frame.filter(|_| decided && !buffer.is_empty()) {
            let part = buffer.split_to(left.min(buffer.len())).freeze();
            frame = (left > part.len()).then_some((number, left - part.len()));
            let to = match number {
                0 | 1 => stdout,
                2 => stderr,
                // Podman uses 3 for what went wrong with the stream itself.
                _ => return Err(std::io::Error::other(String::from_utf8_lossy(&part).into_owned())),
            };
            // One reader may go away before the other.
            if to.send(Ok(part)).await.is_err() && stdout.is_closed() && stderr.is_closed() {
                return Ok(());
            }
            continue;
        }
        buffer.reserve(READ_BYTES);
        if from.read_buf(&mut buffer).await? == 0 {
            let whole = frame.is_none() && buffer.is_empty();
            return if whole { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Control of a running program.
pub(super) struct ContainerControl {
    engine: ContainerEngine,
    node: String,
    id: String,
    terminal: bool,
    /// Set once the engine said that there is no such program.
    no_program: Arc<AtomicBool>,
}

impl ContainerControl {
    pub fn new(engine: ContainerEngine, node: &str, id: String, terminal: bool) -> Self {
        Self { engine, node: node.to_owned(), id, terminal, no_program: Arc::default() }
    }
}

#[async_trait]
impl ExecControl for ContainerControl {
    async fn wait(&self) -> Result<i64, EngineError> {
        let attempt = self.engine.attempt("wait for the program", "node", &self.node);
        let begun = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(2);
        loop {
            let ask = self.engine.docker().inspect_exec(&self.id);
            let state = self.engine.within(END, attempt, ask).await?;
            if state.running != Some(true) && self.no_program.load(Ordering::Acquire) {
                return Ok(NO_PROGRAM_STATUS);
            }
            if state.running != Some(true) {
                return Ok(state.exit_code.unwrap_or_default());
            }
            if begun.elapsed() > END {
                return Err(attempt.timed_out(END));
            }
            // The engine has no event for an exec's end; its streams end a moment before it knows the status.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    async fn resize(&self, size: TerminalSize) -> Result<(), EngineError> {
        let attempt = self.engine.attempt("resize the terminal", "node", &self.node);
        if !self.terminal {
            return Err(attempt.refused(0, "the program has none"));
        }
        self.engine.resize_exec(&self.id, size, attempt).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Feeds the bytes in parts of that size and returns both outputs and how it ended.
    async fn demultiplex(bytes: &[u8], part: usize) -> (Vec<u8>, Vec<u8>, bool) {
        let (out, err, whole, _) = demultiplex_all(bytes, part).await;
        (out, err, whole)
    }

    /// The same, and whether there was no such program.
    async fn demultiplex_all(bytes: &[u8], part: usize) -> (Vec<u8>, Vec<u8>, bool, bool) {
        let (mut feed, from) = tokio::io::duplex(part);
        let (stdout, stdout_chunks) = mpsc::channel(CHUNKS);
        let (stderr, stderr_chunks) = mpsc::channel(CHUNKS);
        let write = async {
            feed.write_all(bytes).await.unwrap();
            drop(feed);
        };
        let no_program = AtomicBool::new(false);
        let copy = async {
            let result = copy_frames(from, &stdout, &stderr, &no_program).await;
            drop((stdout, stderr));
            result.is_ok()
        };
        let ((), whole) = tokio::join!(write, copy);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        reader(stdout_chunks).read_to_end(&mut out).await.unwrap();
        reader(stderr_chunks).read_to_end(&mut err).await.unwrap();
        (out, err, whole, no_program.into_inner())
    }

    fn frame(number: u8, content: &str) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[number, 0, 0, 0], &length[..], content.as_bytes()].concat()
    }

    #[tokio::test]
    async fn dockers_words_for_a_program_that_did_not_start_are_no_output() {
        let missing = "OCI runtime exec failed: exec failed: unable to start container process: exec: \"a\": executable \
                       file not found in $PATH: unknown\r\n";
        let denied = "OCI runtime exec failed: exec failed: unable to start container process: exec: \"/etc\": \
                      permission denied: unknown\r\n";
        for part in [1, 7, 30, 1000] {
            for (words, expected) in [(missing, true), (denied, false)] {
                let (out, err, whole, no_program) = demultiplex_all(&frame(1, words), part).await;
                assert_eq!((out.len(), String::from_utf8(err).unwrap().as_str()), (0, words));
                assert_eq!((whole, no_program), (true, expected), "parts of {part}");
            }
            // A program that prints them is one that runs.
            for stream in [[frame(1, "a"), frame(1, missing)].concat(), [frame(2, "a"), frame(1, missing)].concat()] {
                let (out, _, _, no_program) = demultiplex_all(&stream, part).await;
                assert!(!no_program && out.ends_with(missing.as_bytes()), "parts of {part}");
            }
            let (out, ..) = demultiplex_all(&frame(1, "OCI runtime"), part).await;
            assert_eq!(out, b"OCI runtime");
        }
    }

    #[tokio::test]
    async fn frames_are_taken_apart_however_they_arrive() {
        let stream = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x03two\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x01!";
        for part in [1, 2, 7, 8, 9, 11, 1000] {
            let (out, err, whole) = demultiplex(stream, part).await;
            assert_eq!((out.as_slice(), err.as_slice(), whole), (&b"one!"[..], &b"two"[..], true), "parts of {part}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_is_an_error() {
        for cut in [3, 9, 10] {
            let (_, _, whole) = demultiplex(&b"\x01\0\0\0\0\0\0\x03one"[..cut], 64).await;
            assert!(!whole, "cut after {cut}");
        }
    }
}
