//! Nodes are stopped, killed, paused.

use std::time::Duration;

use bollard::query_parameters as query;

use super::ContainerEngine;
use super::call::{QUICK, SLOW};
use crate::engine::EngineError;

impl ContainerEngine {
    pub(super) async fn stop(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
        let attempt = self.attempt("stop the node", "node", name);
        let seconds = i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let options = query::StopContainerOptionsBuilder::new().t(seconds).build();
        let deadline = grace.saturating_add(SLOW);
        let call = |id: String| {
            let options = options.clone();
            async move { self.docker().stop_container(&id, Some(options)).await }
        };
        if let Some(line) = &self.inner.line {
            line.cancel(name).await;
        }
        match self.with_node(deadline, attempt, call).await {
            Err(error @ EngineError::Refused { .. }) => {
                // Podman does not stop what is paused.
                if self.container(name).await?.is_none_or(|container| !container.is_paused()) {
                    return Err(error);
                }
                self.unpause(name).await?;
                self.with_node(deadline, attempt, call).await
            }
            result => result,
        }
    }

    pub(super) async fn kill(&self, name: &str, signal: &str) -> Result<(), EngineError> {
        let attempt = self.attempt("send the signal", "node", name);
        let options = query::KillContainerOptionsBuilder::new().signal(signal).build();
        let call = |id: String| {
            let options = options.clone();
            async move { self.docker().kill_container(&id, Some(options)).await }
        };
        self.with_node(QUICK, attempt, call).await
    }

    pub(super) async fn pause(&self, name: &str) -> Result<(), EngineError> {
        let attempt = self.attempt("pause the node", "node", name);
        let result = self.with_node(QUICK, attempt, |id| async move { self.docker().pause_container(&id).await }).await;
        match result {
            Err(EngineError::Refused { .. }) if self.container(name).await?.is_some_and(|c| c.is_paused()) => Ok(()),
            result => result,
        }
    }

    pub(super) async fn unpause(&self, name: &str) -> Result<(), EngineError> {
        let attempt = self.attempt("unpause the node", "node", name);
        self.with_node(QUICK, attempt, |id| async move { self.docker().unpause_container(&id).await }).await
    }
}
