//! `sandbar shell`

use super::{session, target};
use crate::cluster;
use crate::context::Context;
use crate::error::Failure;
use crate::spec::ClusterName;

/// Open a shell in the node
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sandbar shell edge")]
pub(super) struct Args {
    /// Name of the cluster
    name: Option<ClusterName>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.name)?;
    let found = cluster::find_awake(&context.host(), &name).await?;
    session::run(context, &found, &name, vec!["/bin/sh".to_owned()], Vec::new()).await
}
