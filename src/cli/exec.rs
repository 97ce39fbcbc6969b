//! `sandbar exec`

use super::{session, target};
use crate::cluster;
use crate::context::Context;
use crate::error::Failure;
use crate::spec::ClusterName;

/// Run a program in the node; its exit code is this one's
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sandbar exec -- ls /var/lib/sandbar\n  sandbar exec --cluster edge --env A=b -- env"
)]
pub(super) struct Args {
    /// Name of the cluster
    #[arg(short, long, value_name = "NAME")]
    cluster: Option<ClusterName>,
    /// A variable of its environment
    #[arg(long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.cluster)?;
    let found = cluster::find_awake(&context.host(), &name).await?;
    session::run(context, &found, &name, args.command, args.environment).await
}
