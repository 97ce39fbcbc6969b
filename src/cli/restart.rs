//! `sandbar restart`

use super::{target, up_report};
use crate::cluster::{self, StopRequest};
use crate::context::Context;
use crate::error::Failure;
use crate::spec::ClusterName;
use crate::ui::reporter;

/// Stop a cluster and start it again
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sandbar restart edge")]
pub(super) struct Args {
    /// Name of the cluster
    name: Option<ClusterName>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.name)?;
    let host = context.host();
    let phase = reporter::phase(context.reporter.as_ref(), "stop", format!("Cluster {name} stops"));
    // To go on from the same state would be no new start.
    cluster::stop(&host, &name, StopRequest { shutdown: true, ..StopRequest::default() }).await?;
    phase.done();
    up_report::print(context, Box::pin(cluster::start(&host, &name, context.timeout()))).await
}
