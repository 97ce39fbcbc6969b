//! `sandbar rm`

use std::collections::BTreeSet;

use super::target;
use crate::cluster::{self, Removed};
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
    /// Every cluster
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let host = context.host();
    let names: BTreeSet<ClusterName> = if args.all {
        let names = cluster::list(&host).await?.into_iter().map(|summary| summary.name).collect();
        confirm(context, &names)?;
        names
    } else if args.names.is_empty() {
        [target::cluster(context, None)?].into()
    } else {
        args.names.into_iter().collect()
    };
    let mut removed = Vec::new();
    for name in names {
        let phase = reporter::phase(context.reporter.as_ref(), "remove", format!("Cluster {name} is removed"));
        removed.push(cluster::remove(&host, &name).await?);
        phase.done();
    }
    context.reporter.finish();
    print(context, &removed)
}

fn confirm(context: &Context, names: &BTreeSet<ClusterName>) -> Result<(), Failure> {
    if context.settings.yes || names.is_empty() {
        return Ok(());
    }
    let list: Vec<&str> = names.iter().map(ClusterName::as_str).collect();
    if !context.interactive {
        return Err(Failure::new(FailureKind::Usage, anyhow::anyhow!("`rm --all` would remove {}", list.join(", ")))
            .hint("`--yes` does it without asking"));
    }
    let question = format!("Remove {} with all their data?", list.join(", "));
    let answer = dialoguer::Confirm::new().with_prompt(question).default(false).interact();
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
