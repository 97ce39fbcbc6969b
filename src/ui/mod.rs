//! What the user sees: stdout for results, stderr for everything else.
//!
//! Commands hand over values; how they look is decided here. Nothing here reads the environment or asks an engine.

mod amount;
mod failure;
mod json_lines;
mod printer;
pub mod reporter;
mod style;
mod table;
mod terminal;

pub use self::amount::{bytes, left, seconds, since};
pub use self::failure::{render_failure, render_failure_json};
pub use self::json_lines::JsonLines;
pub use self::printer::{OutputFormat, Printer};
pub use self::style::Style;
pub use self::table::Table;
pub use self::terminal::{Detail, Terminal};
