//! `sandbar version`

use serde_json::json;

use crate::context::Context;
use crate::error::Failure;
use crate::node::CONTRACT_VERSION;
use crate::ui::OutputFormat;

/// Show the version of this program and of the node contract that it speaks
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sandbar version --output json")]
pub(super) struct Args {}

pub(super) fn run(context: &Context, _args: &Args) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    match context.settings.output {
        OutputFormat::Name => context.printer.text(&format!("{version}\n"))?,
        OutputFormat::Table => {
            context.printer.text(&format!("sandbar {version} (node contract {CONTRACT_VERSION})\n"))?;
        }
        format => {
            let report = json!({"schemaVersion": 1, "version": version, "contractVersion": CONTRACT_VERSION});
            context.printer.report(format, &report)?;
        }
    }
    Ok(())
}
