//! What is ours: a container is touched by its ID alone, after its labels were seen once. An ID never means another
//! container, and labels never change, so nothing that is not ours is ever touched, and no look costs a second call.

use std::future::Future;
use std::sync::PoisonError;
use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters as query;

use super::call::QUICK;
use super::failure::Attempt;
use super::{ContainerEngine, state};
use crate::engine::{EngineError, LABEL_CLUSTER, Labels};

impl ContainerEngine {
    /// The container of that name as the engine describes it, ours or not.
    pub(super) async fn container(&self, name: &str) -> Result<Option<state::Container>, EngineError> {
        let attempt = self.attempt("inspect the node", "node", name);
        let path = format!("/containers/{name}/json");
        match tokio::time::timeout(QUICK, self.inner.endpoint.get::<state::Container>(&path)).await {
            Err(_) => Err(attempt.timed_out(QUICK)),
            // An ID or the beginning of one is not a name.
            Ok(Ok(container)) if container.name.trim_start_matches('/') != name => Ok(None),
            Ok(Ok(container)) => Ok(Some(container)),
            Ok(Err(error)) => match attempt.call_failed(&error) {
                EngineError::NotFound { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    /// The ID of a container of ours.
    pub(super) async fn id(&self, name: &str) -> Result<String, EngineError> {
        if let Some(id) = self.known(name) {
            return Ok(id);
        }
        let missing = || EngineError::NotFound { what: "node", name: name.to_owned() };
        let container = self.container(name).await?.ok_or_else(missing)?;
        if !is_ours(container.labels()) {
            return Err(foreign("node", name));
        }
        self.remember(name, &container.id);
        Ok(container.id)
    }

    pub(super) fn known(&self, name: &str) -> Option<String> {
        self.inner.ours.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn remember(&self, name: &str, id: &str) {
        self.inner.ours.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), id.to_owned());
    }

    pub(super) fn forget(&self, name: &str) {
        self.inner.ours.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Does something with a container of ours. One that was replaced since it was seen is looked up once more.
    pub(super) async fn with_node<T, F>(
        &self,
        deadline: Duration,
        attempt: Attempt<'_>,
        call: impl Fn(String) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let cached = self.known(attempt.name).is_some();
        let id = self.id(attempt.name).await?;
        match self.within(deadline, attempt, call(id)).await {
            Err(EngineError::NotFound { what: "node", .. }) if cached => {
                self.forget(attempt.name);
                let id = self.id(attempt.name).await?;
                self.within(deadline, attempt, call(id)).await
            }
            result => result,
        }
    }

    pub(super) async fn volume_labels(&self, name: &str) -> Result<Option<Labels>, EngineError> {
        let attempt = self.attempt("inspect the volume", "volume", name);
        let volume = self.within_optional(QUICK, attempt, self.docker().inspect_volume(name)).await?;
        Ok(volume.map(|volume| volume.labels.into_iter().collect()))
    }

    pub(super) async fn network_labels(&self, name: &str) -> Result<Option<Labels>, EngineError> {
        let attempt = self.attempt("inspect the network", "network", name);
        let call = self.docker().inspect_network(name, None::<query::InspectNetworkOptions>);
        let network = self.within_optional(QUICK, attempt, call).await?;
        Ok(network.map(|network| network.labels.unwrap_or_default().into_iter().collect()))
    }
}

pub(super) fn is_ours(labels: &Labels) -> bool {
    labels.contains_key(LABEL_CLUSTER)
}

pub(super) fn check_ours(attempt: Attempt<'_>, labels: &Labels) -> Result<(), EngineError> {
    if is_ours(labels) { Ok(()) } else { Err(attempt.refused(0, &format!("the label {LABEL_CLUSTER} is missing"))) }
}

pub(super) fn foreign(what: &'static str, name: &str) -> EngineError {
    EngineError::Foreign { what, name: name.to_owned() }
}
