//! The one way to run a program.
//!
//! A [`Program`] is a plain value: path, arguments, environment, deadline. Its environment holds what was given
//! and nothing else, with `LC_ALL=C`, so that output can be parsed. It runs in a process group of its own, which is
//! killed when the deadline passes or the future is dropped. Programs that take over the terminal ([`Program::interactive`])
//! keep the environment they are given and stay in this process' group.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::platform::{self, Interruption};

/// How much of the end of standard error an error carries, in bytes.
const TAIL: usize = 2048;
/// How long to wait for the end of standard error when the program is over.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a program may take unless it is told otherwise.
const DEADLINE: Duration = Duration::from_mins(1);

/// A program that can be run.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    /// Where it runs; none: where this process does.
    folder: Option<PathBuf>,
    deadline: Duration,
}

/// What a program left when it ended with status 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// Why a program did not do its job. The command is shown without its environment, which may be secret.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot run {command}")]
    NotStarted {
        /// The command as one would type it.
        command: String,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// It ended with another status than 0.
    #[error("{command} {}{}", describe(*status), tail_of(stderr))]
    Failed {
        /// The command as one would type it.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its standard error.
        stderr: String,
    },
    /// It took too long and was killed.
    #[error("{command} did not end within {after:?} and was killed{}", tail_of(stderr))]
    TimedOut {
        /// The command as one would type it.
        command: String,
        /// How long it had.
        after: Duration,
        /// The end of what it had written to its standard error.
        stderr: String,
    },
    /// Its streams could not be read or written, or it could not be told to end.
    #[error("cannot talk to {command}")]
    Streams {
        /// The command as one would type it.
        command: String,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.command_line()).finish()
    }
}

impl Program {
    /// The program at `path`, without arguments, with an empty environment and a minute to end.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), arguments: Vec::new(), environment: Vec::new(), folder: None, deadline: DEADLINE }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Adds a variable to its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Adds variables to its environment, such as those of a caller that are known to be needed.
    #[must_use]
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let owned = |(name, value): (N, V)| (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.environment.extend(variables.into_iter().map(owned));
        self
    }

    /// Runs it in a folder, in place of this process' own.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Gives it so long to end.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The command as one would type it.
    #[must_use]
    pub fn command_line(&self) -> String {
        let words = std::iter::once(self.path.as_os_str()).chain(self.arguments.iter().map(OsString::as_os_str));
        words.map(quoted).collect::<Vec<_>>().join(" ")
    }

    /// Runs it to its end and returns what it wrote; another status than 0 is an error.
    pub async fn output(&self) -> Result<Output, ProcessError> {
        let mut running = self.start()?;
        let mut stderr = Tail::default();
        let work = running.finish(&mut stderr);
        match tokio::time::timeout(self.deadline, work).await {
            Err(_) => Err(ProcessError::TimedOut {
                command: self.command_line(),
                after: self.deadline,
                stderr: stderr.text(),
            }),
            Ok(Err(source)) => Err(ProcessError::Streams { command: self.command_line(), source }),
            Ok(Ok((status, stdout))) if status.success() => Ok(Output { stdout, stderr: stderr.whole }),
            Ok(Ok((status, _))) => {
                Err(ProcessError::Failed { command: self.command_line(), status, stderr: stderr.text() })
            }
        }
    }

    /// Starts it with its standard output as a stream; the end of its standard error is kept for its failure. There is no
    /// deadline: it is killed when [`Streaming`] is dropped. Needs a running tokio.
    pub fn streaming(&self) -> Result<Streaming, ProcessError> {
        let mut running = self.start()?;
        let stdout = running.child.stdout.take();
        let errors = running.child.stderr.take().map(|stderr| tokio::spawn(last_words(stderr)));
        Ok(Streaming { stdout, errors, command: self.command_line(), running })
    }

    /// Starts it with all three of its streams. There is no deadline: it is killed when [`Piped`] is dropped. Needs a
    /// running tokio.
    pub fn piped(&self) -> Result<Piped, ProcessError> {
        let mut running = self.start_with(Stdio::piped())?;
        let child = &mut running.child;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        Ok(Piped { streams, ended: Ended { command: self.command_line(), running: Mutex::new(running) } })
    }

    /// Runs it on this process' terminal, with only the environment that was given, and returns its exit code as a
    /// shell does: 128 and the signal's number where a signal ended it. There is no deadline: the user is at it.
    pub async fn interactive(&self) -> Result<u8, ProcessError> {
        self.foreground()?.wait().await
    }

    /// Starts it as [`Program::interactive`] does, to be waited for and to be ended. It outlives the value.
    pub fn foreground(&self) -> Result<Foreground, ProcessError> {
        let mut command = self.command();
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        let started = command.spawn();
        let child = started.map_err(|source| ProcessError::NotStarted { command: self.command_line(), source })?;
        Ok(Foreground { child, command: self.command_line() })
    }

    /// Starts it in a group of its own, with what it says in a file, to be waited for and to be ended. It outlives the value
    /// and this process.
    pub fn background(&self, log: std::fs::File) -> Result<Foreground, ProcessError> {
        let failed = |source| ProcessError::NotStarted { command: self.command_line(), source };
        let mut command = self.quiet_command();
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        platform::own_group(&mut command);
        let child = command.spawn().map_err(failed)?;
        Ok(Foreground { child, command: self.command_line() })
    }

    /// Starts it so that it outlives this process, its standard error written to a file; returns its number.
    pub fn detached(&self, log: std::fs::File) -> Result<u32, ProcessError> {
        let mut command = self.quiet_command().into_std();
        let started = platform::native().spawn_detached(command.stdout(Stdio::null()).stderr(log));
        started.map_err(|source| ProcessError::NotStarted { command: self.command_line(), source })
    }

    /// Runs a program that leaves another one in the background, as daemons do, with the standard error of both in a file; waits
    /// for the end of the first.
    pub async fn launch(&self, log: std::fs::File) -> Result<(), ProcessError> {
        let streams = |source| ProcessError::Streams { command: self.command_line(), source };
        let mut command = self.quiet_command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let mut running = self.spawn(command)?;
        match tokio::time::timeout(self.deadline, running.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(ProcessError::Failed { command: self.command_line(), status, stderr: String::new() }),
            Ok(Err(source)) => Err(streams(source)),
            Err(_) => Err(ProcessError::TimedOut {
                command: self.command_line(),
                after: self.deadline,
                stderr: String::new(),
            }),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one way")]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// With the words of no language but the program's own, so that they can be parsed.
    fn quiet_command(&self) -> Command {
        let mut command = self.command();
        command.env("LC_ALL", "C");
        command
    }

    fn start(&self) -> Result<Running, ProcessError> {
        self.start_with(Stdio::null())
    }

    fn start_with(&self, stdin: Stdio) -> Result<Running, ProcessError> {
        let mut command = self.quiet_command();
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        self.spawn(command)
    }

    /// Starts it in a group of its own.
    fn spawn(&self, mut command: Command) -> Result<Running, ProcessError> {
        platform::own_group(&mut command);
        let child =
            command.spawn().map_err(|source| ProcessError::NotStarted { command: self.command_line(), source })?;
        Ok(Running { group: child.id(), child })
    }
}

/// A running program whose group is killed if it is dropped before it was waited for.
struct Running {
    child: Child,
    /// The group's leader, until it was waited for.
    group: Option<u32>,
}

impl Running {
    /// Reads the outputs to their ends and waits.
    async fn finish(&mut self, errors: &mut Tail) -> std::io::Result<(ExitStatus, Vec<u8>)> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let mut output = Vec::new();
        let read = async {
            match stdout {
                Some(mut stdout) => stdout.read_to_end(&mut output).await.map(drop),
                None => Ok(()),
            }
        };
        let errors = async {
            match stderr {
                Some(stderr) => errors.read(stderr).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(read, errors)?;
        let status = self.wait().await?;
        Ok((status, output))
    }

    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.group = None;
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group
            && let Err(error) = platform::native().kill_group(group)
        {
            tracing::warn!(group, %error, "cannot kill a program");
        }
    }
}

/// A running program that has this process' terminal.
pub struct Foreground {
    child: Child,
    command: String,
}

impl Foreground {
    /// Its process number, until it was waited for.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end and returns its exit code, as [`Program::interactive`] does. Nothing is lost when it is dropped
    /// before, and begun again.
    pub async fn wait(&mut self) -> Result<u8, ProcessError> {
        let ended = self.child.wait().await;
        ended.map(exit_code).map_err(|source| ProcessError::Streams { command: self.command.clone(), source })
    }

    /// Passes on a request to end; one that has ended is fine.
    pub fn pass_on(&mut self, request: Interruption) -> Result<(), ProcessError> {
        // Without a number it was waited for, and the number may be another process' by now.
        let Some(pid) = self.child.id() else { return Ok(()) };
        let passed = platform::native().pass_on(pid, request);
        passed.map_err(|source| ProcessError::Streams { command: self.command.clone(), source })
    }

    /// Ends it at once; one that has ended is fine.
    pub fn kill(&mut self) -> Result<(), ProcessError> {
        match self.child.start_kill() {
            Err(error) if error.kind() != std::io::ErrorKind::InvalidInput => {
                Err(ProcessError::Streams { command: self.command.clone(), source: error })
            }
            _ => Ok(()),
        }
    }
}

/// A running program with its standard output.
pub struct Streaming {
    /// Its standard output.
    pub stdout: Option<ChildStdout>,
    errors: Option<JoinHandle<Tail>>,
    command: String,
    running: Running,
}

impl Streaming {
    /// Waits for its end, which is an error unless its status is 0.
    pub async fn wait(mut self) -> Result<(), ProcessError> {
        match self.running.wait().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let words = match self.errors.take() {
                    // A program that it left running may keep the stream open.
                    Some(errors) => tokio::time::timeout(LAST_WORDS, errors).await.ok().and_then(Result::ok),
                    None => None,
                };
                let stderr = words.map(|tail| tail.text()).unwrap_or_default();
                Err(ProcessError::Failed { command: self.command, status, stderr })
            }
            Err(source) => Err(ProcessError::Streams { command: self.command, source }),
        }
    }
}

/// A running program with all of its streams.
pub struct Piped {
    /// Its standard input, output and error.
    pub streams: (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>),
    /// Its end.
    pub ended: Ended,
}

/// The end of a running program, which is killed when this is dropped.
pub struct Ended {
    command: String,
    running: Mutex<Running>,
}

impl Ended {
    /// Waits for it and returns its exit code as a shell does.
    pub async fn wait(&self) -> Result<u8, ProcessError> {
        let ended = self.running.lock().await.wait().await;
        ended.map(exit_code).map_err(|source| ProcessError::Streams { command: self.command.clone(), source })
    }
}

/// The end of a stream, kept while everything before it is let go.
async fn last_words(mut stream: ChildStderr) -> Tail {
    let mut tail = Tail::default();
    // What came before a broken stream is what there is to say.
    while let Ok(1..) = stream.read_buf(&mut tail.whole).await {
        if tail.whole.len() > 4 * TAIL {
            tail.whole.drain(..tail.whole.len() - 2 * TAIL);
        }
    }
    tail
}

/// Standard error, as far as it was read: it is there even where the reading was cut short.
#[derive(Default)]
struct Tail {
    whole: Vec<u8>,
}

impl Tail {
    async fn read(&mut self, mut stream: impl AsyncRead + Unpin) -> std::io::Result<()> {
        while stream.read_buf(&mut self.whole).await? > 0 {}
        Ok(())
    }

    /// The last lines that fit, without control characters other than line ends.
    fn text(&self) -> String {
        let from = self.whole.len().saturating_sub(TAIL);
        let text = String::from_utf8_lossy(&self.whole[from..]);
        let text = if from > 0 { text.split_once('\n').map_or(&*text, |(_, rest)| rest) } else { &text };
        text.trim().chars().filter(|c| !c.is_control() || *c == '\n' || *c == '\t').collect()
    }
}

/// The exit code of a process as a shell has it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| platform::signal_of(status).map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), platform::signal_of(status)) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn tail_of(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

/// A word as a shell takes it.
#[must_use]
pub fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Instant;

    use super::*;

    fn sh(script: &str) -> Program {
        Program::new("/bin/sh").args(["-c", script]).env("PATH", "/usr/bin:/bin").deadline(Duration::from_secs(20))
    }

    #[expect(clippy::unwrap_used, reason = "a test without a runtime cannot go on")]
    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn gives_back_both_outputs() {
        let output = block_on(sh("echo output; cat; echo words >&2").output()).unwrap();
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"output\n"[..], &b"words\n"[..]));
    }

    #[test]
    fn streams_that_are_larger_than_a_pipe_do_not_block() {
        let output = block_on(sh("head -c 1048576 /dev/zero | tee /dev/stderr").output()).unwrap();
        assert!(output.stdout == vec![0; 1 << 20] && output.stderr == output.stdout);
    }

    #[test]
    fn what_is_left_in_the_background_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let log = || std::fs::File::create(folder.path().join("log")).unwrap();
        let begun = Instant::now();
        block_on(sh("echo ready >&2; sleep 10 &").launch(log())).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        assert_eq!(std::fs::read_to_string(folder.path().join("log")).unwrap(), "ready\n");
        let failed = block_on(sh("exit 3").launch(log())).unwrap_err();
        assert!(failed.to_string().ends_with("ended with status 3"), "{failed}");
        let late = block_on(sh("sleep 10").deadline(Duration::from_millis(50)).launch(log())).unwrap_err();
        assert!(matches!(late, ProcessError::TimedOut { .. }), "{late}");
    }

    #[test]
    fn a_program_runs_in_the_folder_that_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let output = block_on(sh("pwd -P").folder(folder.path()).output()).unwrap();
        assert_eq!(output.stdout, format!("{}\n", real.display()).into_bytes());
    }

    #[test]
    fn the_environment_is_what_was_given() {
        let output = block_on(Program::new("/usr/bin/env").env("A", "b").output()).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "A=b\nLC_ALL=C\n");
    }

    #[test]
    fn a_failure_says_command_status_and_words() {
        let error = block_on(sh("echo 'no such thing' >&2; exit 3").output()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/bin/sh -c 'echo '\\''no such thing'\\'' >&2; exit 3' ended with status 3: no such thing"
        );
        let error = block_on(sh("kill -9 $$").output()).unwrap_err();
        assert_eq!(error.to_string(), "/bin/sh -c 'kill -9 $$' was ended by signal 9");
        let error = block_on(Program::new("/nonexistent/program").output()).unwrap_err();
        assert_eq!(error.to_string(), "cannot run /nonexistent/program");
        assert!(
            matches!(error, ProcessError::NotStarted { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
        );
    }

    #[test]
    fn a_stream_that_fails_has_the_programs_last_words() {
        let script = "seq 1 100000 >&2; echo output; echo 'no space left' >&2; exit 125";
        let (output, error) = block_on(async {
            let mut running = sh(script).streaming().unwrap();
            let mut output = Vec::new();
            running.stdout.as_mut().unwrap().read_to_end(&mut output).await.unwrap();
            (output, running.wait().await.unwrap_err().to_string())
        });
        assert_eq!(output, b"output\n");
        assert!(error.ends_with("\n99999\n100000\nno space left") && error.len() < 2 * TAIL, "{error}");
    }

    #[test]
    fn the_tail_is_short_and_starts_with_a_whole_line() {
        let tail = Tail { whole: format!("{}\nlast\x1b[1m line\n", "x\n".repeat(TAIL)).into_bytes() };
        let text = tail.text();
        assert!(text.len() <= TAIL && text.starts_with("x\nx\n") && text.ends_with("last[1m line"), "{text}");
    }

    #[test]
    fn the_deadline_ends_the_whole_group() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; echo begun >&2; wait", file.display());
        let started = Instant::now();
        let error = block_on(sh(&script).deadline(Duration::from_millis(500)).output()).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(matches!(&error, ProcessError::TimedOut { stderr, .. } if stderr == "begun"), "{error}");
        let grandchild: u32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        assert!(wait_until(|| !is_running(grandchild)), "the grandchild outlived the deadline");
    }

    #[test]
    fn dropping_ends_the_whole_group() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; echo; wait", file.display());
        let grandchild = block_on(async {
            let mut running = sh(&script).streaming().unwrap();
            running.stdout.as_mut().unwrap().read_u8().await.unwrap();
            std::fs::read_to_string(&file).unwrap().trim().parse().unwrap()
        });
        assert!(wait_until(|| !is_running(grandchild)), "the grandchild outlived its program");
    }

    /// Whether a process runs; one that ended and that nobody waits for does not.
    fn is_running(pid: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    }

    fn wait_until(holds: impl Fn() -> bool) -> bool {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(10) {
            if holds() {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }
}
