//! `sandbar port`

use serde::Serialize;

use super::{target, up_report};
use crate::cluster::{self, PortChange};
use crate::context::Context;
use crate::engine::PortForward;
use crate::error::Failure;
use crate::spec::{API_NODE_PORT, ClusterName, ExtraPort, HTTP_NODE_PORT, HTTPS_NODE_PORT};
use crate::ui::{OutputFormat, Table};

/// Ports of this machine that lead into a cluster
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbar port ls
  sandbar port add 8081:30080
  sandbar port rm 8081 --cluster edge")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the ports of a cluster
    #[command(after_help = "Examples:\n  sandbar port ls\n  sandbar port ls --cluster edge --output json")]
    Ls(LsArgs),
    /// Let further ports lead into a cluster that runs
    ///
    /// A machine gets them as it runs. A container has the ports that it was made with: --recreate makes it anew, with its data.
    #[command(
        after_help = "Examples:\n  sandbar port add 8081:30080\n  sandbar port add 30080 --cluster edge --recreate"
    )]
    Add(AddArgs),
    /// Take further ports away from a cluster that runs
    #[command(after_help = "Examples:\n  sandbar port rm 8081\n  sandbar port rm 8081 --cluster edge --recreate")]
    Rm(RmArgs),
}

#[derive(Debug, clap::Args)]
struct LsArgs {
    /// Name of the cluster
    #[arg(short, long, value_name = "NAME")]
    cluster: Option<ClusterName>,
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    /// The port of this machine and that of the node; one number is both
    #[arg(value_name = "HOST:NODE", required = true)]
    ports: Vec<ExtraPort>,
    /// Name of the cluster
    #[arg(short, long, value_name = "NAME")]
    cluster: Option<ClusterName>,
    /// Make the node anew where its engine cannot do otherwise; the cluster's data stay
    #[arg(long)]
    recreate: bool,
}

#[derive(Debug, clap::Args)]
struct RmArgs {
    /// The port of this machine
    #[arg(value_name = "HOST", required = true)]
    ports: Vec<u16>,
    /// Name of the cluster
    #[arg(short, long, value_name = "NAME")]
    cluster: Option<ClusterName>,
    /// Make the node anew where its engine cannot do otherwise; the cluster's data stay
    #[arg(long)]
    recreate: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.action {
        Action::Ls(args) => list(context, args).await,
        Action::Add(args) => {
            let change = PortChange { add: args.ports, ..PortChange::default() };
            changed(context, args.cluster, change, args.recreate).await
        }
        Action::Rm(args) => {
            let change = PortChange { remove: args.ports, ..PortChange::default() };
            changed(context, args.cluster, change, args.recreate).await
        }
    }
}

async fn changed(
    context: &Context,
    cluster: Option<ClusterName>,
    change: PortChange,
    recreate: bool,
) -> Result<(), Failure> {
    let name = target::cluster(context, cluster)?;
    let host = context.host();
    let change = cluster::change_ports(&host, &name, change, recreate, context.timeout());
    up_report::print(context, Box::pin(change)).await
}

/// A line of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    /// `api`, `http`, `https` or `extra`.
    purpose: &'static str,
    #[serde(flatten)]
    forward: PortForward,
}

async fn list(context: &Context, args: LsArgs) -> Result<(), Failure> {
    let name = target::cluster(context, args.cluster)?;
    let ports = cluster::forwarded_ports(&context.host(), &name).await?;
    let own = [("api", API_NODE_PORT), ("http", HTTP_NODE_PORT), ("https", HTTPS_NODE_PORT)];
    // A further port may lead to the same port of the node.
    let mut lines: Vec<Line> = Vec::new();
    let mut rest = ports;
    for (purpose, node_port) in own {
        if let Some(at) = rest.iter().position(|forward| forward.node_port == node_port) {
            lines.push(Line { purpose, forward: rest.remove(at) });
        }
    }
    rest.sort_by_key(|forward| forward.host_port);
    lines.extend(rest.into_iter().map(|forward| Line { purpose: "extra", forward }));
    let host = |forward: &PortForward| std::net::SocketAddr::new(forward.host_address, forward.host_port).to_string();
    match context.settings.output {
        OutputFormat::Name => {
            let names: String = lines.iter().map(|line| format!("{}\n", line.forward.host_port)).collect();
            context.printer.text(&names)?;
        }
        OutputFormat::Table => {
            let mut table = Table::new(&["purpose", "here", "in the node"]);
            for Line { purpose, forward } in &lines {
                table.row([(*purpose).to_owned(), host(forward), forward.node_port.to_string()]);
            }
            context.printer.text(&table.render())?;
        }
        format => {
            let report = serde_json::json!({"schemaVersion": 1, "name": name, "ports": lines});
            context.printer.report(format, &report)?;
        }
    }
    Ok(())
}
