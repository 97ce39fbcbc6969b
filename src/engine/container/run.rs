//! Programs in a node: run by the same Podman as a program where that is quicker, by the API otherwise.

use bollard::exec::ResizeExecOptions;
use bollard::models::ExecConfig;

use super::call::QUICK;
use super::failure::Attempt;
use super::{ContainerEngine, exec, local_exec};
use crate::engine::{EngineError, ExecRequest, ExecSession, RunState, TerminalSize};

impl ContainerEngine {
    pub(super) async fn run(&self, name: &str, request: ExecRequest) -> Result<ExecSession, EngineError> {
        let attempt = self.attempt("run a program in the node", "node", name);
        let terminal = request.terminal;
        if let Some(podman) = &self.inner.local
            && local_exec::fits(&request)
            // What cannot run anything is told by the API, in its own words.
            && self.inspect(name).await?.is_some_and(|node| node.run == RunState::Running)
            && let Some(session) = local_exec::session(podman, &self.id(name).await?, &request)
        {
            return Ok(session);
        }
        let config = ExecConfig {
            attach_stdin: Some(request.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(terminal.is_some()),
            env: Some(request.environment),
            cmd: Some(request.command),
            ..ExecConfig::default()
        };
        let call = |id: String| {
            let config = config.clone();
            async move { self.docker().create_exec(&id, config).await }
        };
        let id = self.with_node(QUICK, attempt, call).await?.id;
        let body = serde_json::json!({ "Detach": false, "Tty": terminal.is_some() });
        let path = format!("/exec/{id}/start");
        let connection = tokio::time::timeout(QUICK, self.inner.endpoint.take_over(&path, &body)).await;
        let connection = connection.map_err(|_| attempt.timed_out(QUICK))?;
        let connection = connection.map_err(|error| attempt.call_failed(&error))?;
        let control = exec::ContainerControl::new(self.clone(), name, id.clone(), terminal.is_some());
        if let Some(size) = terminal {
            // Only a program that runs has a terminal; one that is over already needs no size.
            if let Err(error) = self.resize_exec(&id, size, attempt).await {
                tracing::debug!(%error, name, "the terminal kept its size");
            }
        }
        Ok(exec::session(connection, request.stdin, terminal.is_some(), control))
    }

    pub(super) async fn resize_exec(
        &self,
        id: &str,
        size: TerminalSize,
        attempt: Attempt<'_>,
    ) -> Result<(), EngineError> {
        let options = ResizeExecOptions { width: size.columns, height: size.rows };
        self.within(QUICK, attempt, self.docker().resize_exec(id, options)).await
    }
}
