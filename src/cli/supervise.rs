//! What this program does when it starts itself as the supervisor of a machine. It is no command of users': no help and no
//! completion names it.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::context::{Context, Settings};
use crate::env::Env;
use crate::error::{Failure, FailureKind};

/// The word with which it is started, before the machine's name.
pub(crate) const WORD: &str = "supervise";

/// The machine's name, where a command line is one for a supervisor.
pub(super) fn machine(arguments: &[OsString]) -> Option<String> {
    match arguments {
        [_, word, name] if word == WORD => name.clone().into_string().ok(),
        _ => None,
    }
}

/// Keeps a machine running until it is off; what went wrong is in its log, which standard error is.
pub(super) fn main(machine: &str, env: Env) -> ExitCode {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    match run(machine, env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{:#}", failure.error);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

fn run(machine: &str, env: Env) -> Result<(), Failure> {
    let context = Context::of_process(env, Settings::default(), WORD)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(FailureKind::Host, anyhow::Error::new(error)))?;
    runtime.block_on(context.supervise(machine))
}
