//! Colours, where there is somebody to see them.

use console::Style as Ansi;

/// Colours of one stream, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colours: bool,
}

impl Style {
    /// With colours or without.
    #[must_use]
    pub fn new(colours: bool) -> Self {
        Self { colours }
    }

    /// What is well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint(&Ansi::new().green(), text)
    }

    /// What needs attention.
    #[must_use]
    pub fn attention(self, text: &str) -> String {
        self.paint(&Ansi::new().yellow().bold(), text)
    }

    /// What went wrong.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.paint(&Ansi::new().red().bold(), text)
    }

    /// What matters less.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.paint(&Ansi::new().dim(), text)
    }

    /// What matters most.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.paint(&Ansi::new().bold(), text)
    }

    /// The state of a cluster or component in its colour.
    #[must_use]
    pub fn state(self, state: &str) -> String {
        match state {
            "ready" | "running" | "healthy" => self.good(state),
            "failed" | "degraded" | "missing" => self.bad(state),
            "stopped" | "paused" => self.faint(state),
            _ => self.attention(state),
        }
    }

    /// The result of a check: in its colour and with a mark where there are colours.
    #[must_use]
    pub fn outcome(self, word: &str) -> String {
        let mark = |mark: &str| if self.colours { format!("{mark} {word}") } else { word.to_owned() };
        match word {
            "passed" => self.good(&mark("✓")),
            "failed" => self.bad(&mark("✗")),
            "warning" => self.attention(&mark("!")),
            _ => self.faint(&mark("-")),
        }
    }

    fn paint(self, ansi: &Ansi, text: &str) -> String {
        if self.colours { ansi.clone().force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
    }
}
