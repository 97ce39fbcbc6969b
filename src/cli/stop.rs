//! `sandbar stop`

use std::time::Duration;

use super::{duration, target};
use crate::cluster::{self, StopRequest, Stopped};
use crate::context::Context;
use crate::error::Failure;
use crate::spec::ClusterName;
use crate::ui::{OutputFormat, bytes, reporter};

/// Stop a cluster; its data, ports and context stay
///
/// A machine is stopped as it is: its next start takes a moment, and its pods go on where they were. A container is shut
/// down.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sandbar stop\n  sandbar stop edge --grace 30s\n  sandbar stop edge --shutdown")]
pub(super) struct Args {
    /// Name of the cluster
    name: Option<ClusterName>,
    /// How long pods may take to end [default: 1500ms at most]; a machine is shut down then
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    grace: Option<Duration>,
    /// Shut a machine down in place of keeping its state, and drop one that was kept; its next start boots it anew
    #[arg(long)]
    shutdown: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.name)?;
    let phase = reporter::phase(context.reporter.as_ref(), "stop", format!("Cluster {name} stops"));
    let request = StopRequest { grace: args.grace, shutdown: args.shutdown };
    let Stopped { ran, kept } = cluster::stop(&context.host(), &name, request).await?;
    phase.done();
    context.reporter.finish();
    let text = match context.settings.output {
        OutputFormat::Table => {
            let done = if ran { "is stopped" } else { "was stopped already" };
            let kept = kept.map(|kept| format!("; its state is kept ({})", bytes(kept.bytes))).unwrap_or_default();
            format!("cluster {name} {done}{kept}\n")
        }
        OutputFormat::Name => format!("{name}\n"),
        format => {
            let report =
                serde_json::json!({"schemaVersion": 1, "name": name, "state": "stopped", "ran": ran, "kept": kept});
            return Ok(context.printer.report(format, &report)?);
        }
    };
    Ok(context.printer.text(&text)?)
}
