//! `sandbar rm`

use std::collections::BTreeSet;

use super::target;
use crate::cluster::{self, Inventory, Lifecycle, Removed};
use crate::context::Context;
use crate::error::{Failure, FailureKind};
use crate::spec::ClusterName;
use crate::ui::OutputFormat;
use crate::ui::reporter::{self, Event};

/// Remove clusters with everything of them: container, network, volume, kubeconfig entries
///
/// The context that was current before the cluster becomes the current one again. What is gone already is no error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sandbar rm\n  sandbar rm edge other\n  sandbar rm --all --yes")]
pub(super) struct Args {
    /// Names of the clusters
    names: Vec<ClusterName>,
    /// Every cluster and whatever else Sandbar owns on this machine, as `ls --all` shows it
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if args.all {
        return everything(context).await;
    }
    let host = context.host();
    let names: BTreeSet<ClusterName> =
        if args.names.is_empty() { [target::cluster(context, None)?].into() } else { args.names.into_iter().collect() };
    let mut removed = Vec::new();
    for name in names {
        let phase = reporter::phase(context.reporter.as_ref(), "remove", format!("Cluster {name} is removed"));
        removed.push(cluster::remove(&host, &name).await?);
        phase.done();
    }
    context.reporter.finish();
    print(context, &removed)
}

async fn everything(context: &Context) -> Result<(), Failure> {
    let host = context.host();
    let inventory = cluster::inventory(&host).await?;
    let items = items(&inventory);
    confirm(context, &items)?;
    let removed = inventory.remove(&host).await?;
    context.reporter.finish();
    match context.settings.output {
        OutputFormat::Table if items.is_empty() => {
            context.reporter.report(&Event::Note { text: "there is nothing to remove".to_owned() });
        }
        OutputFormat::Table => {
            context.printer.text(&items.iter().map(|item| format!("{item} is removed\n")).collect::<String>())?;
        }
        OutputFormat::Name => {
            let names = inventory.clusters.iter().map(|cluster| format!("{}\n", cluster.name));
            context.printer.text(&names.collect::<String>())?;
        }
        format => {
            let orphans: Vec<_> = inventory.orphans().collect();
            let report = serde_json::json!({
                "schemaVersion": 1,
                "clusters": removed,
                "resources": orphans,
                "files": inventory.files,
            });
            context.printer.report(format, &report)?;
        }
    }
    Ok(())
}

/// What there is to remove; what engines have of a cluster goes with it.
fn items(inventory: &Inventory) -> Vec<String> {
    let clusters = inventory.clusters.iter().filter(|cluster| cluster.state != Lifecycle::Orphaned);
    let clusters = clusters.map(|cluster| format!("cluster {}", cluster.name));
    let orphans = inventory.orphans().map(|orphan| format!("{} {}", orphan.what, orphan.name));
    let files = inventory.files.iter().map(|kept| format!("{} {}", kept.what, kept.path.display()));
    clusters.chain(orphans).chain(files).collect()
}

fn confirm(context: &Context, items: &[String]) -> Result<(), Failure> {
    if context.settings.yes || items.is_empty() {
        return Ok(());
    }
    let list = items.join("\n");
    if !context.interactive {
        let error = anyhow::anyhow!("this would be removed, with all its data:\n{list}");
        return Err(Failure::new(FailureKind::Usage, error).hint("`--yes` does it without asking"));
    }
    let answer = dialoguer::Confirm::new()
        .with_prompt(format!("{list}\nRemove all of it, with all its data?"))
        .default(false)
        .interact();
    match answer {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(FailureKind::Interrupted, anyhow::anyhow!("nothing was removed"))),
        Err(error) => Err(Failure::new(FailureKind::Interrupted, anyhow::Error::new(error))),
    }
}

fn print(context: &Context, removed: &[Removed]) -> Result<(), Failure> {
    let existed = removed.iter().filter(|removed| removed.existed);
    match context.settings.output {
        OutputFormat::Table => {
            let lines: String = existed.map(|removed| format!("cluster {} is removed\n", removed.name)).collect();
            context.printer.text(&lines)?;
            for absent in removed.iter().filter(|removed| !removed.existed) {
                let text = format!("there is no cluster {}, nothing to remove", absent.name);
                context.reporter.report(&Event::Note { text });
            }
        }
        OutputFormat::Name => {
            let lines: String = existed.map(|removed| format!("{}\n", removed.name)).collect();
            context.printer.text(&lines)?;
        }
        format => context.printer.report(format, &serde_json::json!({"schemaVersion": 1, "clusters": removed}))?,
    }
    Ok(())
}
