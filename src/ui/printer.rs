//! The result of a command on stdout, and nothing else.

use std::io::{self, Write};
use std::sync::Mutex;

use serde::Serialize;

/// How a result is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
    /// Names alone, one a line.
    Name,
}

/// Writes results. A reader that went away is no failure: it had what it wanted.
pub struct Printer {
    stream: Mutex<Box<dyn Write + Send>>,
}

impl Printer {
    /// Writes to that stream.
    #[must_use]
    pub fn new(stream: Box<dyn Write + Send>) -> Self {
        Self { stream: Mutex::new(stream) }
    }

    /// Writes text as it is.
    pub fn text(&self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Writes bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.stream.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match stream.write_all(bytes).and_then(|()| stream.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Writes a report in a format for programs.
    pub fn report(&self, format: OutputFormat, report: &impl Serialize) -> io::Result<()> {
        let text = match format {
            OutputFormat::Yaml => serde_saphyr::to_string(report).map_err(io::Error::other)?,
            _ => serde_json::to_string_pretty(report).map_err(io::Error::other)? + "\n",
        };
        self.text(&text)
    }
}
