//! A program in a container of the user's own Podman, run by Podman's program: what is written to it goes straight to the
//! container, where the API's service would copy it once more and make a stream of it (0.25 s of CPU time for 100 MB).

use async_trait::async_trait;
use tokio::io::AsyncRead;

use crate::engine::{EngineError, ExecControl, ExecRequest, ExecSession, Reader, TerminalSize};
use crate::process::{Ended, Piped, Program};

/// Whether it is worth the start of a program, and can be done by it: variables do not belong into arguments.
pub(super) fn fits(request: &ExecRequest) -> bool {
    request.bulk && request.stdin && request.terminal.is_none() && request.environment.is_empty()
}

/// Runs it, or says nothing where the program cannot be started: the API is there for that.
pub(super) fn session(podman: &Program, node: &str, request: &ExecRequest) -> Option<ExecSession> {
    let running = program(podman, node, request).piped();
    let Piped { streams: (stdin, stdout, stderr), ended } =
        running.inspect_err(|error| tracing::debug!(%error, "the API is asked instead")).ok()?;
    let reader = |stream: Option<_>| stream.map_or_else(|| Box::pin(tokio::io::empty()) as Reader, boxed);
    Some(ExecSession {
        stdin: stdin.map(|stdin| Box::pin(stdin) as _),
        stdout: reader(stdout.map(boxed)),
        stderr: reader(stderr.map(boxed)),
        control: Box::new(Control { ended, node: node.to_owned() }),
    })
}

fn boxed(stream: impl AsyncRead + Send + 'static) -> Reader {
    Box::pin(stream)
}

/// Without keys to detach with: they are looked for in what is written even where there is no terminal.
fn program(podman: &Program, node: &str, request: &ExecRequest) -> Program {
    podman.clone().args(["exec", "--interactive", "--detach-keys=", node]).args(&request.command)
}

struct Control {
    ended: Ended,
    node: String,
}

#[async_trait]
impl ExecControl for Control {
    async fn wait(&self) -> Result<i64, EngineError> {
        let refused = |reason: String| EngineError::Refused {
            engine: "podman".to_owned(),
            operation: format!("run a program in the node {}", self.node),
            reason,
        };
        self.ended.wait().await.map(i64::from).map_err(|error| refused(error.to_string()))
    }

    async fn resize(&self, _: TerminalSize) -> Result<(), EngineError> {
        Err(EngineError::Refused {
            engine: "podman".to_owned(),
            operation: "resize the terminal".to_owned(),
            reason: "the program has none".to_owned(),
        })
    }
}
