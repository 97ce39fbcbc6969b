//! `sandbar renew`

use super::{duration, target};
use crate::cluster::{self, Lease};
use crate::context::Context;
use crate::error::Failure;
use crate::spec::ClusterName;
use crate::ui::{OutputFormat, left};

/// Say anew how long a cluster is wanted, before `sandbar gc` removes it
///
/// The time counts from now on, whether it was over or not. Only what Sandbar remembers of the cluster is changed: no engine is
/// asked, and it takes milliseconds. `sandbar up --ttl` does the same to a cluster that it starts or finds running.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbar renew                        as long again as its --ttl was
  sandbar renew edge --ttl 30m         until half an hour from now
  sandbar renew edge --ttl never       until somebody removes it
  while sleep 60 && kill -0 $$; do sandbar renew --ttl 5m; done &    as long as a job's shell lives")]
pub(super) struct Args {
    /// Name of the cluster
    name: Option<ClusterName>,
    /// How long it is wanted from now on, such as 8h, or `never` [default: as long as was said last]
    #[arg(long, value_name = "TIME", value_parser = duration::lease)]
    ttl: Option<Lease>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.name)?;
    let renewed = cluster::renew(&context.host(), &name, args.ttl.unwrap_or_default()).await?;
    context.reporter.finish();
    let text = match (context.settings.output, renewed.expires) {
        (OutputFormat::Table, Some(expires)) => format!("cluster {name} expires {}\n", left(expires, renewed.now)),
        (OutputFormat::Table, None) => format!("cluster {name} stays until it is removed\n"),
        (OutputFormat::Name, _) => format!("{name}\n"),
        (format, expires) => {
            let report = serde_json::json!({"schemaVersion": 1, "name": name, "expires": expires});
            return Ok(context.printer.report(format, &report)?);
        }
    };
    Ok(context.printer.text(&text)?)
}
