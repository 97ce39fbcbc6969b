//! `sandbar unpause`

use super::target;
use crate::cluster;
use crate::context::Context;
use crate::error::Failure;
use crate::spec::ClusterName;
use crate::ui::OutputFormat;

/// Let a paused cluster go on
///
/// Returns when the cluster answers from this machine again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sandbar unpause\n  sandbar unpause edge --timeout 30s")]
pub(super) struct Args {
    /// Name of the cluster
    name: Option<ClusterName>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.name)?;
    let paused = cluster::unpause(&context.host(), &name, context.timeout()).await?;
    context.reporter.finish();
    let text = match context.settings.output {
        OutputFormat::Table if paused => format!("cluster {name} goes on and answers\n"),
        OutputFormat::Table => format!("cluster {name} was not paused\n"),
        OutputFormat::Name => format!("{name}\n"),
        format => {
            let report = serde_json::json!({"schemaVersion": 1, "name": name, "state": "running", "paused": paused});
            return Ok(context.printer.report(format, &report)?);
        }
    };
    Ok(context.printer.text(&text)?)
}
