//! `sandbar kubeconfig`

use std::time::Duration;

use super::target;
use crate::cluster::{self, node_of};
use crate::context::Context;
use crate::error::Failure;
use crate::node::Node;
use crate::spec::ClusterName;

/// Print a cluster's kubeconfig, or put it into yours and take it out
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbar kubeconfig print > edge.kubeconfig
  sandbar kubeconfig merge --kubeconfig ~/.kube/other
  sandbar kubeconfig unmerge edge")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print it, with its private key
    #[command(after_help = "Example:\n  sandbar kubeconfig print edge > edge.kubeconfig")]
    Print(Name),
    /// Put its context into your kubeconfig and make it the current one
    #[command(
        after_help = "Examples:\n  sandbar kubeconfig merge\n  sandbar kubeconfig merge edge --kubeconfig ~/.kube/other"
    )]
    Merge(Name),
    /// Take its entries out of your kubeconfig and restore the context before it
    #[command(after_help = "Example:\n  sandbar kubeconfig unmerge edge")]
    Unmerge(Name),
}

#[derive(Debug, clap::Args)]
struct Name {
    /// Name of the cluster
    name: Option<ClusterName>,
}

/// How long to wait for the node's keys and for another program's lock, unless the user says.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let host = context.host();
    let limit = context.settings.timeout.unwrap_or(LIMIT);
    match args.action {
        Action::Print(args) => {
            let name = target::cluster(context, args.name)?;
            let found = cluster::find_awake(&host, &name).await?;
            let node = node_of(&found.engine, &name);
            let text = node.kubeconfig(&found.addresses.api, &name.resource(), limit).await?;
            Ok(context.printer.text(&text)?)
        }
        Action::Merge(args) => {
            let name = target::cluster(context, args.name)?;
            let merged = cluster::merge_kubeconfig(&host, &name, limit).await?;
            let files: Vec<String> = merged.files.iter().map(|file| file.display().to_string()).collect();
            let text = if merged.changed { "is in" } else { "was already in" };
            Ok(context.printer.text(&format!("context {} {text} {}\n", name.resource(), files.join(", ")))?)
        }
        Action::Unmerge(args) => {
            let name = target::cluster(context, args.name)?;
            let unmerged = cluster::unmerge_kubeconfig(&host, &name, limit).await?;
            let files: Vec<String> =
                unmerged.files.iter().chain(&unmerged.removed).map(|file| file.display().to_string()).collect();
            let text = match files.as_slice() {
                [] => format!("no kubeconfig has context {}\n", name.resource()),
                files => format!("context {} is out of {}\n", name.resource(), files.join(", ")),
            };
            Ok(context.printer.text(&text)?)
        }
    }
}
