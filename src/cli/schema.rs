//! `sandbar schema`

use crate::context::Context;
use crate::device::profile_schema;
use crate::error::Failure;
use crate::spec::cluster_file_schema;
use crate::ui::OutputFormat;

/// Print the JSON Schema of the cluster file, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbar schema > sandbar.schema.json
  sandbar schema device > device.schema.json")]
pub(super) struct Args {
    /// Of which file
    #[arg(value_name = "OF", default_value = "cluster")]
    of: Of,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Of {
    /// The cluster file, sandbar.yaml
    Cluster,
    /// The profile of a device (`sandbar device`), a TOML file
    Device,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let format = match context.settings.output {
        OutputFormat::Yaml => OutputFormat::Yaml,
        OutputFormat::Table | OutputFormat::Json | OutputFormat::Name => OutputFormat::Json,
    };
    let schema = match args.of {
        Of::Cluster => cluster_file_schema(),
        Of::Device => profile_schema(),
    };
    Ok(context.printer.report(format, &schema)?)
}
