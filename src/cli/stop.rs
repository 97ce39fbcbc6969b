//! `sandbar stop`

use std::time::Duration;

use super::{duration, target};
use crate::cluster;
use crate::context::Context;
use crate::error::Failure;
use crate::spec::ClusterName;
use crate::ui::OutputFormat;
use crate::ui::reporter;

/// Stop a cluster; its data, ports and context stay
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sandbar stop\n  sandbar stop edge --grace 30s")]
pub(super) struct Args {
    /// Name of the cluster
    name: Option<ClusterName>,
    /// How long pods may take to end [default: 1500ms at most]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    grace: Option<Duration>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.name)?;
    let phase = reporter::phase(context.reporter.as_ref(), "stop", format!("Cluster {name} stops"));
    let ran = cluster::stop(&context.host(), &name, args.grace).await?;
    phase.done();
    context.reporter.finish();
    let text = match context.settings.output {
        OutputFormat::Table if ran => format!("cluster {name} is stopped\n"),
        OutputFormat::Table => format!("cluster {name} was stopped already\n"),
        OutputFormat::Name => format!("{name}\n"),
        format => {
            let report = serde_json::json!({"schemaVersion": 1, "name": name, "state": "stopped", "ran": ran});
            return Ok(context.printer.report(format, &report)?);
        }
    };
    Ok(context.printer.text(&text)?)
}
