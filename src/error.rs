//! The one error that reaches the edge: its kind, cause, hints and exit code.
//!
//! Modules have `thiserror` enums of their own, which carry facts and word them once. A command turns them into a
//! [`Failure`], which adds what the user can do. Nothing here prints; `ui` has the one renderer.

use std::fmt;

/// What sort of failure it was, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// It was tried and did not work: exit code 1.
    Failed,
    /// The command line or a file that the user wrote is wrong: exit code 2.
    Usage,
    /// Something on this host is missing or refused: exit code 3.
    Host,
    /// A deadline passed: exit code 4.
    TimedOut,
    /// There is no cluster of that name: exit code 5.
    NoSuchCluster,
    /// The user interrupted: exit code 130.
    Interrupted,
    /// A child's own exit code, passed on by `exec`, `shell` and `kubectl`.
    Child(u8),
}

impl FailureKind {
    /// The exit code of the process, as the design's table has it.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Host => 3,
            Self::TimedOut => 4,
            Self::NoSuchCluster => 5,
            Self::Interrupted => 130,
            Self::Child(code) => code,
        }
    }
}

/// A failure as the user will read it.
#[derive(Debug)]
pub struct Failure {
    /// What sort it is.
    pub kind: FailureKind,
    /// What happened, with its chain of causes.
    pub error: anyhow::Error,
    /// What to do about it, each a sentence or a command to type.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure of `kind` with the given error and no hints yet.
    pub fn new(kind: FailureKind, error: impl Into<anyhow::Error>) -> Self {
        Self { kind, error: error.into(), hints: Vec::new() }
    }

    /// Adds something that the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// An error with its causes, each said once.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
