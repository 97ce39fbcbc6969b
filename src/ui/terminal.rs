//! Progress for people on stderr: finished phases as lines, the running one as a spinner.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::reporter::{Event, Reporter};
use super::{Style, bytes, seconds};

/// A command that is over sooner shows no progress at all.
const DELAY: Duration = Duration::from_millis(200);
/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(80);

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Warnings and waits alone, as lines.
    Lines,
    /// Phases as lines, too, without a spinner: a log.
    Log,
    /// Phases with a spinner: a terminal that somebody looks at.
    Live,
}

/// Shows progress to people.
pub struct Terminal {
    detail: Detail,
    shared: Arc<Mutex<Shown>>,
}

struct Shown {
    style: Style,
    stream: Box<dyn Write + Send>,
    started: Instant,
    live: bool,
    spinner: Option<ProgressBar>,
    running: Option<(String, String, String)>,
    held_back: Vec<String>,
}

impl Terminal {
    /// Shows so much on that stream (which is stderr wherever there is a spinner).
    #[must_use]
    pub fn new(detail: Detail, style: Style, stream: Box<dyn Write + Send>) -> Self {
        let shown = Shown {
            style,
            stream,
            started: Instant::now(),
            live: detail != Detail::Live,
            spinner: None,
            running: None,
            held_back: Vec::new(),
        };
        let shared = Arc::new(Mutex::new(shown));
        if detail == Detail::Live {
            let weak = Arc::downgrade(&shared);
            std::thread::spawn(move || {
                std::thread::sleep(DELAY);
                if let Some(shared) = weak.upgrade() {
                    lock(&shared).go_live();
                }
            });
        }
        Self { detail, shared }
    }
}

fn lock(shared: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reporter for Terminal {
    fn report(&self, event: &Event) {
        let mut shown = lock(&self.shared);
        let style = shown.style;
        match event {
            Event::Note { text } => shown.line(text),
            Event::Warning { text } => shown.line(&format!("{} {text}", style.attention("warning:"))),
            Event::Waiting { text } => shown.line(&format!("{} {text}", style.attention("waiting for"))),
            _ if self.detail == Detail::Lines => {}
            Event::PhaseStarted { phase, text } => {
                shown.running = Some((phase.clone(), text.clone(), String::new()));
                shown.draw();
            }
            Event::PhaseDetail { phase, text } => shown.note(phase, text.clone()),
            Event::Bytes { phase, done, total } => {
                let total = total.map(|total| format!(" of {}", bytes(total))).unwrap_or_default();
                shown.note(phase, format!("{}{total}", bytes(*done)));
            }
            Event::PhaseFinished { phase, millis } => {
                let text = match shown.running.take() {
                    Some((running, text, _)) if running == *phase => text,
                    _ => phase.clone(),
                };
                let took = style.faint(&seconds(Duration::from_millis(*millis)));
                let line = format!("{} {text}  {took}", style.good("✓"));
                if shown.live { shown.line(&line) } else { shown.held_back.push(line) }
            }
            Event::Component { .. } => {}
        }
    }

    fn finish(&self) {
        let mut shown = lock(&self.shared);
        if let Some(spinner) = shown.spinner.take() {
            spinner.finish_and_clear();
        }
        shown.held_back.clear();
        shown.running = None;
    }
}

impl Shown {
    fn go_live(&mut self) {
        self.live = true;
        for line in std::mem::take(&mut self.held_back) {
            self.line(&line);
        }
        let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // The template is a constant; where it were wrong, the default would be drawn.
        if let Ok(template) = ProgressStyle::with_template("{spinner} {msg}") {
            spinner.set_style(template.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
        }
        if self.running.is_some() {
            spinner.enable_steady_tick(TURN);
            self.spinner = Some(spinner);
            self.draw();
        } else {
            self.spinner = Some(spinner);
        }
    }

    fn note(&mut self, phase: &str, detail: String) {
        if let Some((running, _, shown)) = &mut self.running
            && running == phase
        {
            *shown = detail;
            self.draw();
        }
    }

    fn draw(&self) {
        let (Some(spinner), Some((_, text, detail))) = (&self.spinner, &self.running) else { return };
        spinner.enable_steady_tick(TURN);
        let since = self.style.faint(&seconds(self.started.elapsed()));
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        spinner.set_message(format!("{text}{detail}  {since}"));
    }

    fn line(&mut self, line: &str) {
        let write = |stream: &mut Box<dyn Write + Send>| {
            // Progress that nobody reads is no reason to stop.
            let _ = writeln!(stream, "{line}").and_then(|()| stream.flush());
        };
        match &self.spinner {
            Some(spinner) => {
                let spinner = spinner.clone();
                spinner.suspend(|| write(&mut self.stream));
            }
            None => write(&mut self.stream),
        }
    }
}
