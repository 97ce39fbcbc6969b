//! `sandbar image`

use std::sync::Arc;

use super::target;
use crate::cluster::{self, EngineSource as _, node_of};
use crate::context::Context;
use crate::engine::{Engine, EngineError};
use crate::error::{Failure, FailureKind};
use crate::image::{self, ImageError, Source};
use crate::node::{Node, NodeError};
use crate::spec::{ClusterName, NodeImage};
use crate::ui::reporter::phase;
use crate::ui::{OutputFormat, Table, bytes};

/// Images in the node
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbar image load localhost/hello:1
  sandbar image ls --cluster edge")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Bring an image into the node: from the engine's store, an archive, a folder in OCI layout, or standard input
    #[command(after_help = "\
An IMAGE is a name or ID in the engine's own store (for a machine, in that of Podman or Docker), a path (one that begins with `.` or `/`, or ends with `.tar`, \
`.tar.gz`, `.tgz` or `.tar.zst`) or `-` for standard input. Only layers that the node lacks are moved.

Examples:
  sandbar image load localhost/hello:1
  sandbar image load ./hello.tar --tag localhost/hello:2
  podman save localhost/hello:1 | sandbar image load -")]
    Load(LoadArgs),
    /// List the images that the node has
    #[command(after_help = "Examples:\n  sandbar image ls\n  sandbar image ls --cluster edge --output name")]
    Ls(LsArgs),
}

#[derive(Debug, clap::Args)]
struct LoadArgs {
    /// What to load
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Name of the cluster
    #[arg(short, long, value_name = "NAME")]
    cluster: Option<ClusterName>,
    /// Name for the image in the node, in place of those that it has
    #[arg(long = "tag", value_name = "REF")]
    tags: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct LsArgs {
    /// Name of the cluster
    #[arg(short, long, value_name = "NAME")]
    cluster: Option<ClusterName>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    match args.action {
        Action::Load(args) => load(context, args).await,
        Action::Ls(args) => list(context, args).await,
    }
}

async fn load(context: &Context, args: LoadArgs) -> Result<(), Failure> {
    if args.images.len() > 1 && !args.tags.is_empty() {
        let error = anyhow::anyhow!("--tag names one image, and {} are given", args.images.len());
        return Err(Failure::new(FailureKind::Usage, error).hint("load them one by one"));
    }
    let name = target::cluster(context, args.cluster)?;
    let found = cluster::find_awake(&context.host(), &name).await?;
    let node = node_of(&found.engine, &name);
    let folder = context.store.dirs().cache.clone();
    context.platform.create_private_dir(&folder)?;
    let mut all = Vec::new();
    for image in args.images {
        let phase = phase(context.reporter.as_ref(), "load", format!("loading {image}"));
        let request = image::Request {
            engine: found.engine.as_ref(),
            node_name: &name.resource(),
            node: &node,
            source: source(context, &found.engine, &image).await?,
            names: args.tags.clone(),
            folder: &folder,
        };
        let loaded = image::load(request, &|done, total| phase.bytes(done, total)).await;
        let loaded = loaded.map_err(|error| failure(&image, error))?;
        phase.done();
        if context.settings.output == OutputFormat::Table {
            for image in &loaded {
                context.printer.text(&told(image))?;
            }
        }
        all.extend(loaded);
    }
    match context.settings.output {
        OutputFormat::Table => {}
        OutputFormat::Name => {
            for image in &all {
                context.printer.text(&format!("{}\n", image.name))?;
            }
        }
        format => context.printer.report(format, &serde_json::json!({"schemaVersion": 1, "images": all}))?,
    }
    Ok(())
}

/// Where an image comes from, by how it is written: what is there in the current folder does not change it.
async fn source(context: &Context, engine: &Arc<dyn Engine>, image: &str) -> Result<Source, Failure> {
    if image == "-" {
        return Ok(Source::Stream(Box::pin(tokio::io::stdin())));
    }
    if NodeImage::is_path(image) {
        return Ok(Source::File(context.folder.join(image)));
    }
    let reference = image.to_owned();
    if engine.info().takes_container_images() {
        return Ok(Source::Engine { store: Arc::clone(engine), reference });
    }
    match context.image_store().await {
        Ok(store) => Ok(Source::Engine { store, reference }),
        Err(error @ EngineError::NotInstalled { .. }) => {
            let error = anyhow::Error::new(error).context(format!("cannot load {image} from an engine's store"));
            Err(Failure::new(FailureKind::Host, error).hint("give an archive of it: `sandbar image load ./image.tar`"))
        }
        Err(error) => Err(error.into()),
    }
}

/// One loaded image, in a line.
fn told(image: &image::Loaded) -> String {
    let layers = |count: u64| if count == 1 { "1 layer".to_owned() } else { format!("{count} layers") };
    let what = match (image.layers_moved, image.layers_present) {
        (0, _) => "no layer moved".to_owned(),
        (moved, 0) => format!("{} moved, {}", layers(moved), bytes(image.bytes_moved)),
        (moved, there) => format!("{} moved, {}; {there} there already", layers(moved), bytes(image.bytes_moved)),
    };
    format!("{}: {what}\n", image.name)
}

fn failure(image: &str, error: ImageError) -> Failure {
    let hint = match &error {
        ImageError::NotInEngine { engine, .. } => format!("`{engine} images` lists those that it has"),
        ImageError::WrongArchitecture { node, .. } => {
            format!(
                "build it for the node: `podman build --platform linux/{node} …`; a machine runs it, slowly, with \
                 `sandbar up --emulate-binaries --recreate`"
            )
        }
        ImageError::Engine(_) | ImageError::Node(NodeError::Engine(_)) => {
            return match error {
                ImageError::Engine(error) | ImageError::Node(NodeError::Engine(error)) => error.into(),
                error => Failure::new(FailureKind::Failed, error),
            };
        }
        ImageError::Truncated { .. } | ImageError::BreaksOff { .. } | ImageError::Damaged { .. } => {
            "write the archive again, with `podman save --output FILE IMAGE`".to_owned()
        }
        _ => String::new(),
    };
    let error = anyhow::Error::new(error).context(format!("cannot load {image}"));
    let failure = Failure::new(FailureKind::Failed, error);
    if hint.is_empty() { failure } else { failure.hint(hint) }
}

async fn list(context: &Context, args: LsArgs) -> Result<(), Failure> {
    let name = target::cluster(context, args.cluster)?;
    let found = cluster::find_awake(&context.host(), &name).await?;
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
