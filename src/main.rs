//! The `sandbar` program.

use std::process::ExitCode;

use sandbar::cli;
use sandbar::env::Env;

fn main() -> ExitCode {
    cli::main(std::env::args_os(), Env::of_process())
}
