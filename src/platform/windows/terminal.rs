//! The console of Windows, which has modes where a Unix has a terminal's settings (`SetConsoleMode`).

use std::io;
use std::time::Duration;

use winapi_util::{HandleRef, console};

use super::super::{RawMode, Resizes, Waiting};
use crate::engine::TerminalSize;

/// Modes of a console's input: `ENABLE_PROCESSED_INPUT | ENABLE_LINE_INPUT | ENABLE_ECHO_INPUT`.
const COOKED_INPUT: u32 = 0x0007;
/// `ENABLE_VIRTUAL_TERMINAL_INPUT`: arrows and the like arrive as escape sequences.
const ESCAPES_IN: u32 = 0x0200;
/// `ENABLE_VIRTUAL_TERMINAL_PROCESSING` of a console's output.
const ESCAPES_OUT: u32 = 0x0004;
/// `DISABLE_NEWLINE_AUTO_RETURN` of a console's output: a line feed moves down and nowhere else.
const PLAIN_LINE_FEED: u32 = 0x0008;
/// How often the size of the console is looked at: it tells of a change only to who reads all of its input events.
const LOOK_AT_SIZE: Duration = Duration::from_millis(500);

pub(super) fn allow_escapes() -> bool {
    // What has no mode is no console: a file, or the terminal of another system's programs, which knows them.
    let allow = |handle: HandleRef| match console::mode(&handle) {
        Ok(mode) => console::set_mode(&handle, mode | ESCAPES_OUT).is_ok(),
        Err(_) => true,
    };
    let (out, err) = (allow(HandleRef::stdout()), allow(HandleRef::stderr()));
    out && err
}

pub(super) fn size() -> Option<TerminalSize> {
    let (rows, columns) = ::console::Term::stdout().size_checked()?;
    Some(TerminalSize { columns, rows })
}

/// The console's modes from before.
pub(super) struct Raw {
    input: u32,
    output: Option<u32>,
}

impl Raw {
    pub(super) fn enter() -> io::Result<Self> {
        let input = console::mode(HandleRef::stdin())?;
        let output = console::mode(HandleRef::stdout()).ok();
        // Made first, so that whatever fails, all is given back.
        let raw = Self { input, output };
        console::set_mode(HandleRef::stdin(), (input & !COOKED_INPUT) | ESCAPES_IN)?;
        if let Some(output) = output {
            // The program in the node moves the cursor itself, and sends what a terminal understands.
            console::set_mode(HandleRef::stdout(), output | ESCAPES_OUT | PLAIN_LINE_FEED)?;
        }
        Ok(raw)
    }
}

impl RawMode for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        let input = console::set_mode(HandleRef::stdin(), self.input);
        let output = self.output.map_or(Ok(()), |output| console::set_mode(HandleRef::stdout(), output));
        if let Err(error) = input.and(output) {
            tracing::debug!(%error, "cannot restore the terminal");
        }
    }
}

pub(super) struct SizeChanges(Option<TerminalSize>);

impl SizeChanges {
    pub(super) fn from_now() -> Self {
        Self(size())
    }
}

impl Resizes for SizeChanges {
    fn next(&mut self) -> Waiting<'_, TerminalSize> {
        Box::pin(async {
            loop {
                tokio::time::sleep(LOOK_AT_SIZE).await;
                let now = size();
                if let Some(size) = now.filter(|_| now != self.0) {
                    self.0 = now;
                    return size;
                }
            }
        })
    }
}
