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
    components: bool,
    shared: Arc<Mutex<Shown>>,
}

struct Shown {
    style: Style,
    stream: Box<dyn Write + Send>,
    started: Instant,
    live: bool,
    spinner: Option<ProgressBar>,
    /// Phases that were begun and are not over, each in the one before.
    running: Vec<Running>,
    held_back: Vec<String>,
}

struct Running {
    phase: String,
    text: String,
    detail: String,
    /// When bytes were told first, and how many: what was there before is no measure of how fast they come.
    begun: Option<(Instant, u64)>,
}

impl Terminal {
    /// Shows so much on that stream (which is stderr wherever there is a spinner); with `components` also each component of
    /// the node as it becomes ready or fails, beside the phases.
    #[must_use]
    pub fn new(detail: Detail, components: bool, style: Style, stream: Box<dyn Write + Send>) -> Self {
        let shown = Shown {
            style,
            stream,
            started: Instant::now(),
            live: detail != Detail::Live,
            spinner: None,
            running: Vec::new(),
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
        Self { detail, components, shared }
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
            Event::Explanation { text } if self.components => shown.log(text.clone()),
            Event::Explanation { .. } => {}
            _ if self.detail == Detail::Lines => {}
            Event::PhaseStarted { phase, text } => {
                let (phase, text, detail) = (phase.clone(), text.clone(), String::new());
                shown.running.push(Running { phase, text, detail, begun: None });
                shown.draw();
            }
            Event::PhaseDetail { phase, text } => shown.note(phase, text.clone()),
            Event::Bytes { phase, done, total } => {
                let rate = shown.rate(phase, *done);
                let total = total.map(|total| format!(" of {}", bytes(total))).unwrap_or_default();
                shown.note(phase, format!("{}{total}{rate}", bytes(*done)));
            }
            Event::PhaseFinished { phase, millis } => {
                let begun = shown.running.iter().rposition(|running| running.phase == *phase);
                let text = begun.and_then(|index| shown.running.drain(index..).next()).map(|running| running.text);
                let text = text.unwrap_or_else(|| phase.clone());
                let took = style.faint(&seconds(Duration::from_millis(*millis)));
                shown.log(format!("{} {text}  {took}", style.good("✓")));
                shown.draw();
            }
            Event::Component { name, state, reason, start_millis, ready_millis } if self.components => {
                let took = ready_millis.zip(*start_millis).map(|(ready, start)| ready.saturating_sub(start));
                let took = took.map(|millis| style.faint(&seconds(Duration::from_millis(millis)))).unwrap_or_default();
                match state.as_str() {
                    "ready" => shown.log(format!("  {name} is {}  {took}", style.state(state)).trim_end().to_owned()),
                    "failed" | "degraded" => {
                        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                        shown.log(format!("  {name} is {}{reason}", style.state(state)));
                    }
                    // What a phase waits for stands in its detail.
                    _ => {}
                }
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
        shown.running.clear();
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
        self.spinner = Some(spinner);
        self.draw();
    }

    /// A line of what was done, for which it is too early until something is shown at all.
    fn log(&mut self, line: String) {
        if self.live {
            self.line(&line);
        } else {
            self.held_back.push(line);
        }
    }

    fn note(&mut self, phase: &str, detail: String) {
        if let Some(running) = self.running.last_mut().filter(|running| running.phase == phase) {
            running.detail = detail;
            self.draw();
        }
    }

    /// How fast bytes come, once it can be told.
    fn rate(&mut self, phase: &str, done: u64) -> String {
        let Some(running) = self.running.last_mut().filter(|running| running.phase == phase) else {
            return String::new();
        };
        let (since, before) = *running.begun.get_or_insert_with(|| (Instant::now(), done));
        match u64::try_from(since.elapsed().as_millis()) {
            Ok(millis @ 1000..) => {
                format!(" at {}/s", bytes(done.saturating_sub(before).saturating_mul(1000) / millis))
            }
            _ => String::new(),
        }
    }

    fn draw(&self) {
        let (Some(spinner), Some(Running { text, detail, .. })) = (&self.spinner, self.running.last()) else { return };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written, which can be looked at while the terminal has it.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn terminal(detail: Detail, components: bool) -> (Terminal, Written) {
        let written = Written::default();
        (Terminal::new(detail, components, Style::new(false), Box::new(written.clone())), written)
    }

    fn component(name: &str, state: &str, reason: &str, times: Option<(u64, u64)>) -> Event {
        Event::Component {
            name: name.to_owned(),
            state: state.to_owned(),
            reason: reason.to_owned(),
            start_millis: times.map(|(start, _)| start),
            ready_millis: times.map(|(_, ready)| ready),
        }
    }

    /// Everything that can happen.
    fn report(terminal: &Terminal) {
        let phase = || "node".to_owned();
        terminal.report(&Event::PhaseStarted { phase: phase(), text: "Node becomes healthy".to_owned() });
        terminal.report(&component("etcd", "starting", "", None));
        terminal.report(&Event::PhaseDetail { phase: phase(), text: "0 of 2 ready".to_owned() });
        terminal.report(&Event::Bytes { phase: phase(), done: 1, total: Some(2) });
        terminal.report(&component("etcd", "ready", "", Some((100, 1400))));
        terminal.report(&component("dns", "failed", "no upstream", None));
        terminal.report(&component("dns", "ready", "", None));
        terminal.report(&Event::Waiting { text: "a lock".to_owned() });
        terminal.report(&Event::Note { text: "a note".to_owned() });
        terminal.report(&Event::Warning { text: "a warning".to_owned() });
        terminal.report(&Event::PhaseFinished { phase: phase(), millis: 2949 });
        terminal.report(&Event::PhaseFinished { phase: "other".to_owned(), millis: 0 });
    }

    #[test]
    fn lines_are_what_the_user_has_to_read() {
        let (terminal, written) = terminal(Detail::Lines, false);
        report(&terminal);
        insta::assert_snapshot!(written.text(), @r"
        waiting for a lock
        a note
        warning: a warning
        ");
    }

    #[test]
    fn a_log_has_phases_and_components() {
        let (terminal, written) = terminal(Detail::Log, true);
        report(&terminal);
        insta::assert_snapshot!(written.text(), @r"
          etcd is ready  1.3 s
          dns is failed: no upstream
          dns is ready
        waiting for a lock
        a note
        warning: a warning
        ✓ Node becomes healthy  2.9 s
        ✓ other  0.0 s
        ");
    }

    #[test]
    fn a_terminal_shows_phases_once_it_takes_a_while() {
        let (quick, written) = terminal(Detail::Live, false);
        report(&quick);
        quick.finish();
        insta::assert_snapshot!(written.text(), @r"
        waiting for a lock
        a note
        warning: a warning
        ");

        let (slow, written) = terminal(Detail::Live, true);
        report(&slow);
        lock(&slow.shared).go_live();
        slow.report(&component("kubelet", "ready", "", Some((0, 50))));
        slow.finish();
        insta::assert_snapshot!(written.text(), @r"
        waiting for a lock
        a note
        warning: a warning
          etcd is ready  1.3 s
          dns is failed: no upstream
          dns is ready
        ✓ Node becomes healthy  2.9 s
        ✓ other  0.0 s
          kubelet is ready  0.1 s
        ");
    }

    #[test]
    fn a_phase_in_another_leaves_the_other_as_it_was() {
        let (terminal, written) = terminal(Detail::Log, true);
        let started = |phase: &str, text: &str| Event::PhaseStarted { phase: phase.to_owned(), text: text.to_owned() };
        let finished = |phase: &str| Event::PhaseFinished { phase: phase.to_owned(), millis: 1000 };
        for event in [
            started("image", "Image fits"),
            Event::Explanation { text: "because".to_owned() },
            started("download", "Downloading"),
            started("given up", "Given up"),
            finished("download"),
            finished("image"),
        ] {
            terminal.report(&event);
        }
        insta::assert_snapshot!(written.text(), @r"
        because
        ✓ Downloading  1.0 s
        ✓ Image fits  1.0 s
        ");
        let (quiet, written) = self::terminal(Detail::Lines, false);
        quiet.report(&Event::Explanation { text: "because".to_owned() });
        assert_eq!(written.text(), "");
    }

    #[test]
    fn how_fast_bytes_come_is_told_after_a_second() {
        let (terminal, _written) = terminal(Detail::Live, false);
        let phase = || "download".to_owned();
        terminal.report(&Event::PhaseStarted { phase: phase(), text: "Downloading".to_owned() });
        terminal.report(&Event::Bytes { phase: phase(), done: 100 << 20, total: Some(400 << 20) });
        let detail = || lock(&terminal.shared).running.last().unwrap().detail.clone();
        assert_eq!(detail(), "100 MiB of 400 MiB");
        let earlier = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        lock(&terminal.shared).running.last_mut().unwrap().begun = Some((earlier, 100 << 20));
        terminal.report(&Event::Bytes { phase: phase(), done: 300 << 20, total: Some(400 << 20) });
        let detail = detail();
        assert!(
            ["99", "100"].iter().any(|rate| detail.starts_with(&format!("300 MiB of 400 MiB at {rate}"))),
            "{detail}"
        );
    }
}
