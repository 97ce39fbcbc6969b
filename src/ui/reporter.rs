//! Progress: what happens, told to whoever shows it.

use std::time::Duration;

/// Something that happened on the way, in an order that a user can follow.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase", tag = "event")]
#[non_exhaustive]
pub enum Event {
    /// A phase began, such as `image` or `container`.
    #[serde(rename_all = "camelCase")]
    PhaseStarted {
        /// Its name, one word.
        phase: String,
        /// What it does, for people.
        text: String,
    },
    /// A phase is over.
    #[serde(rename_all = "camelCase")]
    PhaseFinished {
        /// Its name, as in its start.
        phase: String,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// What a running phase does at the moment, such as the components that are not ready yet.
    #[serde(rename_all = "camelCase")]
    PhaseDetail {
        /// Its name, as in its start.
        phase: String,
        /// The detail, for people.
        text: String,
    },
    /// A component of the node changed its state.
    #[serde(rename_all = "camelCase")]
    Component {
        /// Its name.
        name: String,
        /// Its new state.
        state: String,
        /// Why, where there is something to say.
        #[serde(skip_serializing_if = "String::is_empty")]
        reason: String,
        /// When it began, in milliseconds after the node.
        #[serde(skip_serializing_if = "Option::is_none")]
        start_millis: Option<u64>,
        /// When it was ready, in milliseconds after the node.
        #[serde(skip_serializing_if = "Option::is_none")]
        ready_millis: Option<u64>,
    },
    /// Bytes that were moved so far; `total` when it is known.
    #[serde(rename_all = "camelCase")]
    Bytes {
        /// Name of the phase that moves them.
        phase: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    /// Something else has to let go first: a lock, another command.
    #[serde(rename_all = "camelCase")]
    Waiting {
        /// For what, such as `another sandbar that changes cluster default (process 4711)`.
        text: String,
    },
    /// A sentence that the user should read and that is no failure.
    #[serde(rename_all = "camelCase")]
    Note {
        /// The sentence.
        text: String,
    },
    /// A sentence on why it is so, for who asked for more (`--verbose`).
    #[serde(rename_all = "camelCase")]
    Explanation {
        /// The sentence.
        text: String,
    },
    /// A sentence that the user should act on and that is no failure.
    #[serde(rename_all = "camelCase")]
    Warning {
        /// The sentence.
        text: String,
    },
}

/// Takes events. Implementations decide what is shown; telling them never fails and never blocks for long.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn report(&self, event: &Event);
    /// Clears what is drawn, so that something else may write to the terminal.
    fn finish(&self) {}
}

/// Shows nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _event: &Event) {}
}

/// Tells `reporter` the start of a phase; the end is told by [`Phase::done`].
#[must_use]
pub fn phase<'a>(reporter: &'a dyn Reporter, name: &str, text: impl Into<String>) -> Phase<'a> {
    reporter.report(&Event::PhaseStarted { phase: name.to_owned(), text: text.into() });
    Phase { reporter, name: name.to_owned(), since: std::time::Instant::now() }
}

/// A phase that was begun with [`phase`].
pub struct Phase<'a> {
    reporter: &'a dyn Reporter,
    name: String,
    since: std::time::Instant,
}

impl Phase<'_> {
    /// Says what it does at the moment.
    pub fn detail(&self, text: impl Into<String>) {
        self.reporter.report(&Event::PhaseDetail { phase: self.name.clone(), text: text.into() });
    }

    /// Says how many bytes it moved so far.
    pub fn bytes(&self, done: u64, total: Option<u64>) {
        self.reporter.report(&Event::Bytes { phase: self.name.clone(), done, total });
    }

    /// Says that it is over, and returns how long it took.
    #[expect(clippy::must_use_candidate, reason = "most callers only end the phase")]
    pub fn done(self) -> Duration {
        let took = self.since.elapsed();
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.reporter.report(&Event::PhaseFinished { phase: self.name, millis });
        took
    }
}
