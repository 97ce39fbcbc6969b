//! Progress as JSON lines on stderr, for programs (`--events json`).

use std::io::Write;
use std::sync::Mutex;

use jiff::Timestamp;
use serde::Serialize;

use super::reporter::{Event, Reporter};

/// Writes each event as one line of JSON, with the time.
pub struct JsonLines {
    stream: Mutex<Box<dyn Write + Send>>,
    now: fn() -> Timestamp,
}

impl JsonLines {
    /// Writes to that stream, with times of that clock.
    #[must_use]
    pub fn new(stream: Box<dyn Write + Send>, now: fn() -> Timestamp) -> Self {
        Self { stream: Mutex::new(stream), now }
    }
}

impl Reporter for JsonLines {
    fn report(&self, event: &Event) {
        #[derive(Serialize)]
        struct Line<'a> {
            time: Timestamp,
            #[serde(flatten)]
            event: &'a Event,
        }
        let Ok(mut line) = serde_json::to_vec(&Line { time: (self.now)(), event }) else { return };
        line.push(b'\n');
        let mut stream = self.stream.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Progress that nobody reads is no reason to stop.
        let _ = stream.write_all(&line).and_then(|()| stream.flush());
    }
}
