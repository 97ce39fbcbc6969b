//! What a check is, and what became of it.

use serde::Serialize;

use super::catalogue::CHECKS;
use super::finding::Finding;
use super::fix::Fix;

/// Something that can be checked.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Its stable name, which is also its anchor in docs/doctor.md.
    pub code: &'static str,
    /// What it checks, in a few words.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// Where it is tried.
    pub place: Place,
}

/// Where a check is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this machine, without any engine.
    Host,
    /// On this machine with what the engine says.
    Engine,
    /// In a container that is thrown away afterwards.
    Container,
}

/// The check of that code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.code == code)
}

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All is well.
    Passed,
    /// Clusters work, and not as well as they could, or not as one expects.
    Warning,
    /// Clusters do not work.
    Failed,
    /// It could not be tried.
    Skipped,
}

impl Outcome {
    /// For people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A check with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// The check's stable name.
    pub code: &'static str,
    /// What it checks.
    pub title: &'static str,
    /// What became of it.
    pub result: Outcome,
    /// What was found, or why it could not be tried.
    pub message: String,
    /// Why it matters.
    pub why: &'static str,
    /// What helps, each a sentence or a command to type.
    pub hints: Vec<String>,
    /// What helps exactly, where there is such a thing.
    pub fix: Option<Fix>,
}

impl CheckReport {
    pub(super) fn new(check: &'static Check, finding: Finding) -> Self {
        let Finding { outcome, message, hints, fix } = finding;
        let Check { code, title, why, .. } = check;
        Self { code, title, result: outcome, message, why, hints, fix }
    }
}
