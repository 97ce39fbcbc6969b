//! `sandbar schema`

use crate::context::Context;
use crate::error::Failure;
use crate::spec::cluster_file_schema;
use crate::ui::OutputFormat;

/// Print the JSON Schema of the cluster file, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sandbar schema > sandbar.schema.json")]
pub(super) struct Args {}

pub(super) fn run(context: &Context, _args: &Args) -> Result<(), Failure> {
    let format = match context.settings.output {
        OutputFormat::Yaml => OutputFormat::Yaml,
        OutputFormat::Table | OutputFormat::Json | OutputFormat::Name => OutputFormat::Json,
    };
    Ok(context.printer.report(format, &cluster_file_schema())?)
}
