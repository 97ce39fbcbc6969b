//! `sandbar start`

use super::{target, up_report};
use crate::cluster;
use crate::context::Context;
use crate::error::Failure;
use crate::spec::ClusterName;

/// Start a stopped cluster as it was
///
/// It heals a cluster whose container was killed, too. Returns when the cluster answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sandbar start edge")]
pub(super) struct Args {
    /// Name of the cluster
    name: Option<ClusterName>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.name)?;
    up_report::print(context, Box::pin(cluster::start(&context.host(), &name, context.timeout()))).await
}
