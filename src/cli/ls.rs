//! `sandbar ls`

use jiff::Timestamp;

use crate::cluster::{self, ClusterSummary, Inventory};
use crate::context::Context;
use crate::error::Failure;
use crate::ui::{OutputFormat, Table, bytes, left, since};

/// List clusters
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sandbar ls\n  sandbar ls --output json\n  sandbar ls --all")]
pub(super) struct Args {
    /// Everything that Sandbar owns on this machine: clusters, what engines have, reports of failures, files put aside
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if args.all {
        return everything(context).await;
    }
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
            let devices = clusters.iter().any(|cluster| cluster.device.is_some());
            columns.extend(devices.then_some("device"));
            // Where every cluster stays until it is removed there is nothing to say of it.
            columns.extend(limited.then_some("expires"));
            let any_kept = clusters.iter().any(|cluster| cluster.kept.is_some());
            columns.extend(any_kept.then_some("kept state"));
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
                row.extend(devices.then(|| cluster.device.clone().unwrap_or_else(|| "-".to_owned())));
                row.extend(limited.then(|| expiry(cluster, now)));
                let kept = || cluster.kept.map_or_else(|| "-".to_owned(), |kept| bytes(kept.bytes));
                row.extend(any_kept.then(kept));
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

async fn everything(context: &Context) -> Result<(), Failure> {
    let inventory = cluster::inventory(&context.host()).await?;
    context.reporter.finish();
    match context.settings.output {
        OutputFormat::Name => {
            let names: String = rows(&inventory).map(|[_, name, _]| format!("{name}\n")).collect();
            context.printer.text(&names)?;
        }
        OutputFormat::Table if inventory.is_empty() => {
            context.printer.text("nothing here is Sandbar's\n")?;
        }
        OutputFormat::Table => {
            let mut table = Table::new(&["what", "name", "detail"]);
            rows(&inventory).for_each(|row| table.row(row));
            context.printer.text(&table.render())?;
        }
        format => {
            let report = serde_json::json!({
                "schemaVersion": 1,
                "clusters": inventory.clusters,
                "resources": inventory.resources,
                "files": inventory.files,
            });
            context.printer.report(format, &report)?;
        }
    }
    Ok(())
}

fn rows(inventory: &Inventory) -> impl Iterator<Item = [String; 3]> {
    let clusters = inventory.clusters.iter().map(|cluster| {
        let detail = format!("{} in {}", cluster.state.word(), cluster.engine);
        ["cluster".to_owned(), cluster.name.to_string(), detail]
    });
    let resources = inventory.resources.iter().map(|resource| {
        let detail = if resource.orphaned {
            format!("of {} in {}, of which there is no record here", resource.cluster, resource.engine)
        } else {
            format!("of {} in {}", resource.cluster, resource.engine)
        };
        [resource.what.to_owned(), resource.name.clone(), detail]
    });
    let files = inventory.files.iter();
    let files = files.map(|kept| [kept.what.to_owned(), kept.path.display().to_string(), bytes(kept.bytes)]);
    clusters.chain(resources).chain(files)
}

fn expiry(cluster: &ClusterSummary, now: Timestamp) -> String {
    match cluster.expires {
        Some(expires) => left(expires, now),
        None if cluster.ephemeral => "with its command".to_owned(),
        None => "-".to_owned(),
    }
}
