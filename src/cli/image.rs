//! `sandbar image`

use super::target;
use crate::cluster::{self, node_of};
use crate::context::Context;
use crate::error::Failure;
use crate::node::Node;
use crate::spec::ClusterName;
use crate::ui::{OutputFormat, Table, bytes};

/// Images in the node
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the images that the node has
    Ls(LsArgs),
}

#[derive(Debug, clap::Args)]
struct LsArgs {
    /// Name of the cluster
    name: Option<ClusterName>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.action {
        Action::Ls(args) => list(context, args).await,
    }
}

async fn list(context: &Context, args: LsArgs) -> Result<(), Failure> {
    let name = target::cluster(context, args.name)?;
    let found = cluster::find(&context.host(), &name).await?;
    let images = node_of(&found.engine, &name).images().await?;
    match context.settings.output {
        OutputFormat::Name => {
            let names: String = images.iter().flat_map(|image| &image.names).map(|name| format!("{name}\n")).collect();
            context.printer.text(&names)?;
        }
        OutputFormat::Table => {
            let mut table = Table::new(&["image", "id", "size"]);
            for image in &images {
                let id: String = image.id.trim_start_matches("sha256:").chars().take(12).collect();
                let names = if image.names.is_empty() { vec!["<none>".to_owned()] } else { image.names.clone() };
                for name in names {
                    table.row([name, id.clone(), bytes(image.size_bytes)]);
                }
            }
            context.printer.text(&table.render())?;
        }
        format => context.printer.report(format, &serde_json::json!({"schemaVersion": 1, "images": images}))?,
    }
    Ok(())
}
