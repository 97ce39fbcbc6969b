//! Programs that run in fake nodes: their streams, their end, and what ends them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

use super::behaviour::Script;
use super::checks::refused;
use super::node;
use super::state::{Folder, Run};
use crate::engine::{EngineError, ExecControl, ExecRequest, ExecSession, TerminalSize};

/// How much a pipe holds before its writer waits, as on Linux.
const PIPE_BYTES: usize = 64 * 1024;
/// Exit status of a program that was ended with its node.
const ENDED_WITH_NODE: i64 = 137;
/// How often is looked whether another process stopped the node; a folder has no events.
const LOOK: Duration = Duration::from_millis(20);

/// A program that a test provides for fake nodes.
#[async_trait]
pub trait Program: Send + Sync {
    /// Runs it and returns its exit status.
    async fn run(&self, run: &mut ProgramRun) -> std::io::Result<i64>;
}

/// What a [`Program`] has of its surroundings.
pub struct ProgramRun {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its environment: the node's, then its own; the last one of a name counts.
    pub environment: Vec<String>,
    /// Its standard input; at its end where none was asked for.
    pub stdin: DuplexStream,
    /// Its standard output.
    pub stdout: DuplexStream,
    /// Its standard error; the same as standard output on a terminal, see [`ProgramRun::write_error`].
    pub stderr: DuplexStream,
    /// The terminal's size, and each change of it; none without a terminal.
    pub terminal: Option<watch::Receiver<TerminalSize>>,
}

impl ProgramRun {
    /// Writes to standard error, which on a terminal is the same as standard output.
    pub async fn write_error(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.terminal.is_some() { self.stdout.write_all(bytes).await } else { self.stderr.write_all(bytes).await }
    }
}

/// Starts a program in a node and returns its other ends.
pub(super) fn start(
    folder: &Folder,
    name: &str,
    request: ExecRequest,
    programs: &BTreeMap<String, Arc<dyn Program>>,
) -> ExecSession {
    let (stdin_theirs, stdin) = tokio::io::duplex(PIPE_BYTES);
    let (stdout, stdout_theirs) = tokio::io::duplex(PIPE_BYTES);
    let (stderr, stderr_theirs) = tokio::io::duplex(PIPE_BYTES);
    let (resize, resized) = watch::channel(request.terminal.unwrap_or(TerminalSize { columns: 80, rows: 24 }));
    let (exit, exited) = watch::channel(None);
    let mut run = ProgramRun {
        command: request.command,
        environment: request.environment,
        stdin,
        stdout,
        stderr,
        terminal: request.terminal.map(|_| resized),
    };
    let has_terminal = run.terminal.is_some();
    let program_name = run.command.first().map(|path| base(path).to_owned()).unwrap_or_default();
    let own = programs.get(&program_name).cloned();
    let (folder, node_name) = (folder.clone(), name.to_owned());
    tokio::spawn(async move {
        let program = async {
            match own {
                Some(program) => program.run(&mut run).await,
                None if program_name == "sandbarctl" => node::sandbarctl(&folder, &node_name, &mut run).await,
                None if program_name == "rm" => remove(&folder.node_root(&node_name), &run.command[1..]),
                None => scripted(&folder, &program_name, &mut run).await,
            }
        };
        let code = tokio::select! {
            code = program => match code {
                Ok(code) => code,
                // A reader that went away ends a program, as SIGPIPE does.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 141,
                Err(error) => {
                    tracing::debug!(%error, "a program in a fake node failed");
                    1
                }
            },
            () = until_node_ends(&folder, &node_name) => ENDED_WITH_NODE,
        };
        // First the outputs end, then the exit status is there.
        drop(run);
        let _ = exit.send(Some(code));
    });
    ExecSession {
        stdin: request.stdin.then(|| Box::pin(stdin_theirs) as _),
        stdout: Box::pin(stdout_theirs),
        stderr: Box::pin(stderr_theirs),
        control: Box::new(FakeControl { exited, resize: has_terminal.then_some(resize) }),
    }
}

struct FakeControl {
    exited: watch::Receiver<Option<i64>>,
    resize: Option<watch::Sender<TerminalSize>>,
}

#[async_trait]
impl ExecControl for FakeControl {
    async fn wait(&self) -> Result<i64, EngineError> {
        let mut exited = self.exited.clone();
        let code = exited.wait_for(Option::is_some).await.ok().and_then(|code| *code);
        code.ok_or_else(|| refused("wait for the program", "it went away"))
    }

    async fn resize(&self, size: TerminalSize) -> Result<(), EngineError> {
        let Some(resize) = &self.resize else {
            return Err(refused("resize the terminal", "the program has none"));
        };
        // Nobody listens any more when the program is over, which is fine.
        let _ = resize.send(size);
        Ok(())
    }
}

/// Runs a program of [`super::Behaviour::programs`].
async fn scripted(folder: &Folder, name: &str, run: &mut ProgramRun) -> std::io::Result<i64> {
    let programs = folder.behaviour()?.programs;
    let with_argument = run.command.get(1).and_then(|argument| programs.get(&format!("{name} {argument}")));
    if let Some(script) = with_argument.or_else(|| programs.get(name)) {
        return play(script, run).await;
    }
    let words = format!("exec: \"{name}\": executable file not found in $PATH\n");
    run.write_error(words.as_bytes()).await?;
    Ok(127)
}

/// `rm -rf PATH…`, which every image has.
fn remove(root: &Path, arguments: &[String]) -> std::io::Result<i64> {
    for path in arguments.iter().filter(|argument| argument.starts_with('/')) {
        match fs_err::remove_dir_all(root.join(path.trim_start_matches('/'))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(0)
}

/// Answers as a script says.
pub(super) async fn play(script: &Script, run: &mut ProgramRun) -> std::io::Result<i64> {
    run.stdout.write_all(script.stdout.as_bytes()).await?;
    run.write_error(script.stderr.as_bytes()).await?;
    if script.hangs {
        std::future::pending::<()>().await;
    }
    Ok(script.exit_code)
}

/// Waits a moment and says whether the node runs no more.
pub(super) async fn node_ended(folder: &Folder, name: &str) -> bool {
    tokio::time::sleep(LOOK).await;
    let runs = folder.look(|state, behaviour| {
        super::settle(state, behaviour);
        state.nodes.get(name).is_some_and(|node| matches!(node.run, Run::Running | Run::Paused))
    });
    !runs.unwrap_or(false)
}

async fn until_node_ends(folder: &Folder, name: &str) {
    while !node_ended(folder, name).await {}
}

/// The last part of a path.
pub(super) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
