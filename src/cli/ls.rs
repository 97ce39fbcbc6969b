//! `sandbar ls`

use jiff::Timestamp;

use crate::cluster::{self, ClusterSummary};
use crate::context::Context;
use crate::error::Failure;
use crate::ui::{OutputFormat, Table, left, since};

/// List clusters
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sandbar ls\n  sandbar ls --output json")]
pub(super) struct Args {}

pub(super) async fn run(context: &Context, _args: Args) -> Result<(), Failure> {
    let clusters = cluster::list(&context.host()).await?;
    match context.settings.output {
        OutputFormat::Name => {
            let names: String = clusters.iter().map(|cluster| format!("{}\n", cluster.name)).collect();
            context.printer.text(&names)?;
        }
        OutputFormat::Table if clusters.is_empty() => {
            context.printer.text("there are no clusters; `sandbar up` makes one\n")?;
        }
        OutputFormat::Table => {
            let now = (context.now)();
            let limited = clusters.iter().any(|cluster| cluster.ephemeral || cluster.expires.is_some());
            let mut columns = vec!["name", "state", "kubernetes", "engine", "api", "http", "age"];
            // Where every cluster stays until it is removed there is nothing to say of it.
            columns.extend(limited.then_some("expires"));
            let mut table = Table::new(&columns);
            for cluster in &clusters {
                let mut row = vec![
                    cluster.name.to_string(),
                    context.style.state(cluster.state.word()),
                    cluster.kubernetes_version.clone().unwrap_or_else(|| "-".to_owned()),
                    cluster.engine.clone(),
                    cluster.addresses.api.clone(),
                    cluster.addresses.http.clone(),
                    cluster.created.map_or_else(|| "-".to_owned(), |created| since(created, now)),
                ];
                row.extend(limited.then(|| expiry(cluster, now)));
                table.row(row);
            }
            context.printer.text(&table.render())?;
        }
        format => {
            context.printer.report(format, &serde_json::json!({"schemaVersion": 1, "clusters": clusters}))?;
        }
    }
    Ok(())
}

fn expiry(cluster: &ClusterSummary, now: Timestamp) -> String {
    match cluster.expires {
        Some(expires) => left(expires, now),
        None if cluster.ephemeral => "with its command".to_owned(),
        None => "-".to_owned(),
    }
}
