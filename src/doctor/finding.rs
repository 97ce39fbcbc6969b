//! What a check found, before it is put together with the check.

use super::check::Outcome;
use super::fix::Fix;
use crate::error::Failure;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub outcome: Outcome,
    pub message: String,
    pub hints: Vec<String>,
    pub fix: Option<Fix>,
}

impl Finding {
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into(), hints: Vec::new(), fix: None }
    }

    pub fn passed(message: impl Into<String>) -> Self {
        Self::new(Outcome::Passed, message)
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Outcome::Warning, message)
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Outcome::Failed, message)
    }

    pub fn skipped(reason: impl Into<String>) -> Self {
        Self::new(Outcome::Skipped, reason)
    }

    /// In the words that a command would have for it.
    pub fn of_failure(outcome: Outcome, failure: impl Into<Failure>) -> Self {
        let failure = failure.into();
        Self { outcome, message: failure.to_string(), hints: failure.hints, fix: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub fn fix(mut self, fix: Option<Fix>) -> Self {
        self.fix = fix;
        self
    }
}
