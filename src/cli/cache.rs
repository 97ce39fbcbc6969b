//! `sandbar cache`

use serde::Serialize;

use crate::artifact::{Cache, CachedFile, FileKind, NodeKind, Release, host_architecture};
use crate::context::Context;
use crate::error::{Failure, FailureKind};
use crate::spec::ReleasesUrl;
use crate::ui::{OutputFormat, Table, bytes};

/// What was downloaded: node images of releases
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbar cache path              the folder that a CI job saves and restores
  sandbar cache key               what to call it: another version or image is another key
  sandbar cache prune             remove what this version has no use for")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Action {
    /// Print the folder, which is there once something was downloaded
    #[command(after_help = "Example:\n  ls -l \"$(sandbar cache path)\"")]
    Path,
    /// Print a key for CI caches, made of this version, its node image and this machine's architecture
    #[command(after_help = "Example:\n  echo \"key=$(sandbar cache key)\" >>\"$GITHUB_OUTPUT\"")]
    Key,
    /// List what is in it
    #[command(after_help = "Examples:\n  sandbar cache ls\n  sandbar cache ls --output json")]
    Ls,
    /// Remove what this version has no use for
    ///
    /// That is what other versions have downloaded, and downloads that were not finished. What is being downloaded at the moment
    /// stays. Clusters do not need the cache; the engine has their images.
    #[command(after_help = "Examples:\n  sandbar cache prune\n  sandbar cache prune --all")]
    Prune {
        /// This version's node image, too
        #[arg(long)]
        all: bool,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    schema_version: u32,
    #[serde(flatten)]
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Content<'a> {
    Path(String),
    Key(&'a str),
    Files(&'a [CachedFile]),
    Removed(&'a [CachedFile]),
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let cache = Cache::of(context.store.dirs());
    // Where releases are makes no difference to what they are.
    let release = Release::of_this_version(ReleasesUrl::default(), NodeKind::Container);
    match args.action {
        Action::Path => {
            let path = cache.folder().display().to_string();
            print(context, &path.clone(), Content::Path(path))
        }
        Action::Key => {
            let key = release.key(host_architecture());
            print(context, &key, Content::Key(&key))
        }
        Action::Ls => list(context, &cache.list()?),
        Action::Prune { all } => {
            // Of whatever architecture: engines may be on machines of another one.
            let own = ["node", "machine"].map(|what| format!("sandbar-{what}-{}-", release.version));
            let is_own = |file: &CachedFile| own.iter().any(|own| file.name.starts_with(own.as_str()));
            let unwanted = |file: &CachedFile| all || file.kind == FileKind::Part || !is_own(file);
            let removed = cache.prune(context.command, unwanted).await?;
            prune(context, &removed)
        }
    }
}

fn print(context: &Context, line: &str, said: Content<'_>) -> Result<(), Failure> {
    match context.settings.output {
        OutputFormat::Table | OutputFormat::Name => context.printer.text(&format!("{line}\n"))?,
        format => context.printer.report(format, &Report { schema_version: 1, content: said })?,
    }
    Ok(())
}

fn list(context: &Context, files: &[CachedFile]) -> Result<(), Failure> {
    match context.settings.output {
        OutputFormat::Name => print_names(context, files),
        OutputFormat::Table => {
            let mut table = Table::new(&["file", "what", "size"]);
            for file in files {
                let what = match file.kind {
                    FileKind::NodeImage => "node image",
                    FileKind::MachineImage => "machine",
                    FileKind::Part => "not finished",
                };
                table.row([file.name.clone(), what.to_owned(), bytes(file.bytes)]);
            }
            Ok(context.printer.text(&table.render())?)
        }
        _ => print(context, "", Content::Files(files)),
    }
}

fn prune(context: &Context, removed: &[CachedFile]) -> Result<(), Failure> {
    match context.settings.output {
        OutputFormat::Name => print_names(context, removed),
        OutputFormat::Table => {
            let lines: String =
                removed.iter().map(|file| format!("removed {} ({})\n", file.name, bytes(file.bytes))).collect();
            Ok(context.printer.text(if lines.is_empty() { "nothing to remove\n" } else { &lines })?)
        }
        _ => print(context, "", Content::Removed(removed)),
    }
}

fn print_names(context: &Context, files: &[CachedFile]) -> Result<(), Failure> {
    let names: String = files.iter().map(|file| format!("{}\n", file.name)).collect();
    context.printer.text(&names).map_err(|error| Failure::new(FailureKind::Failed, error))
}
