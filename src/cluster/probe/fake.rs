//! Probes of the fake engine's nodes, answered as its script says.

use std::time::Duration;

use async_trait::async_trait;

use super::{ApiTrust, ProbeError, Prober};
use crate::engine::fake::{FakeEngine, Probes};

/// Answers as the behaviour of a fake engine says.
pub struct FakeProber {
    engine: FakeEngine,
}

impl FakeProber {
    /// For the nodes of that engine.
    #[must_use]
    pub fn new(engine: FakeEngine) -> Self {
        Self { engine }
    }

    fn probes(&self, target: &str) -> Result<Probes, ProbeError> {
        let no_answer = |reason: String| ProbeError::NoAnswer { target: target.to_owned(), reason };
        self.engine.behaviour().map(|behaviour| behaviour.probes).map_err(|error| no_answer(error.to_string()))
    }
}

#[async_trait]
impl Prober for FakeProber {
    async fn api(&self, server: &str, _trust: Option<&ApiTrust>, _deadline: Duration) -> Result<(), ProbeError> {
        let target = format!("{server}/readyz");
        match self.probes(&target)?.api_fails {
            Some(reason) => Err(ProbeError::NoAnswer { target, reason }),
            None => Ok(()),
        }
    }

    async fn ingress(&self, place: &str, tls: bool, _: &str, _: Duration) -> Result<(), ProbeError> {
        let target = format!("{}://{place}", if tls { "https" } else { "http" });
        let probes = self.probes(&target)?;
        match (probes.ingress_is_foreign, probes.ingress_fails) {
            (Some(reason), _) => Err(ProbeError::SomeoneElse { target, reason }),
            (None, Some(reason)) => Err(ProbeError::NoAnswer { target, reason }),
            (None, None) => Ok(()),
        }
    }
}
