//! `sandbar logs`

use std::path::PathBuf;

use tokio::io::AsyncReadExt;

use super::target;
use crate::cluster::{self, node_of};
use crate::context::Context;
use crate::engine::{Reader, RunState};
use crate::error::Failure;
use crate::node::{Node, NodeError};
use crate::spec::ClusterName;
use crate::ui::reporter::Event;

/// Show what the node's components say
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sandbar logs\n  sandbar logs -f kubelet\n  sandbar logs --cluster edge --tail 50")]
pub(super) struct Args {
    /// Component, such as kubelet, etcd, containerd or init [default: all of them]
    component: Option<String>,
    /// Name of the cluster
    #[arg(short, long, value_name = "NAME")]
    cluster: Option<ClusterName>,
    /// Go on with what comes
    #[arg(short, long)]
    follow: bool,
    /// Cluster file; `./sandbar.yaml` is used where there is one
    // Here `-f` means what it means with every `logs`; an argument with the global one's name takes its place, and clap
    // hands the value on to it.
    #[arg(long, value_name = "FILE", help_heading = super::GLOBAL)]
    file: Option<PathBuf>,
    /// So many last lines alone
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.cluster)?;
    let found = cluster::find_awake(&context.host(), &name).await?;
    let running = found.node.as_ref().is_some_and(|node| node.run == RunState::Running);
    if running {
        match node_of(&found.engine, &name).logs(args.component.as_deref(), args.follow, args.tail).await {
            Ok(stream) => return print(context, stream).await,
            // The node's own program cannot tell: what its first process printed is better than nothing.
            Err(NodeError::NotReachable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let text = format!("cluster {name} does not run its own log; this is what its first process printed");
    context.reporter.report(&Event::Note { text });
    let stream = found.engine.logs(&name.resource(), args.follow, args.tail).await?;
    print(context, stream).await
}

async fn print(context: &Context, mut stream: Reader) -> Result<(), Failure> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            read => context.printer.bytes(&buffer[..read])?,
        }
    }
}
