//! `sandbar pause`

use super::target;
use crate::cluster;
use crate::context::Context;
use crate::error::Failure;
use crate::spec::ClusterName;
use crate::ui::OutputFormat;

/// Freeze a cluster: it keeps its memory and takes no CPU time
///
/// `sandbar unpause` lets it go on where it was. `up`, `start` and `stop` thaw it, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sandbar pause\n  sandbar pause edge")]
pub(super) struct Args {
    /// Name of the cluster
    name: Option<ClusterName>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.name)?;
    let ran = cluster::pause(&context.host(), &name).await?;
    let text = match context.settings.output {
        OutputFormat::Table if ran => format!("cluster {name} is paused\n"),
        OutputFormat::Table => format!("cluster {name} was paused already\n"),
        OutputFormat::Name => format!("{name}\n"),
        format => {
            let report = serde_json::json!({"schemaVersion": 1, "name": name, "state": "paused", "ran": ran});
            return Ok(context.printer.report(format, &report)?);
        }
    };
    Ok(context.printer.text(&text)?)
}
