//! `sandbar report`

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{duration, target};
use crate::cluster;
use crate::context::Context;
use crate::error::{Failure, FailureKind};
use crate::report::{Options, Report, folder_name, map_path};
use crate::spec::ClusterName;
use crate::ui::reporter::Event;
use crate::ui::{OutputFormat, Table, bytes};

/// How long any part of it may take.
const LIMIT: Duration = Duration::from_secs(20);
/// What stands for standard output.
const STDOUT: &str = "-";

/// Write one archive to show to somebody else: logs, resources, versions
///
/// It has all that is needed to see why a cluster is as it is: versions, status, logs of components and pods, events,
/// resources, what the engine says. Passwords, keys, tokens and
/// certificates are masked; so are addresses, host and user names: the same one is the same token everywhere in the
/// archive. What the tokens stand for is in a file beside the archive, which stays with you. `up` writes such a report by
/// itself where it fails.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbar report                         into the current folder
  sandbar report edge -o /tmp/edge.tgz   another cluster, another file
  sandbar report --since 1h              logs of the last hour alone
  sandbar report -o - | tar -tz          to standard output")]
pub(super) struct Args {
    /// Name of the cluster
    name: Option<ClusterName>,
    /// The archive, or - for standard output [default: sandbar-report-NAME-TIME.tar.gz here]
    #[arg(short = 'o', long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Lines of logs from that time on alone, such as 1h or 30m ago
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    since: Option<Duration>,
    /// Leave addresses, host and user names readable; secrets are masked all the same
    #[arg(long)]
    keep_names: bool,
    /// Form of the result
    // `-o` is the archive here, as with every program that writes one; an argument with the global one's name takes its
    // place, and clap hands the value on to it.
    #[arg(long, value_name = "FORMAT", default_value = "table", help_heading = super::GLOBAL)]
    output: OutputFormat,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.name)?;
    let now = (context.now)();
    let archive = archive_path(context, args.archive.as_deref(), &folder_name(&name, now))?;
    let since = args.since.and_then(|age| now.checked_sub(age).ok());
    let options = Options { now, since, keep_names: args.keep_names, limit: context.settings.timeout.unwrap_or(LIMIT) };
    let host = context.host();
    let mut interruptions = context.platform.interruptions()?;
    let packed = tokio::select! {
        packed = cluster::report(&host, &name, &options) => packed?,
        _ = interruptions.next() => {
            return Err(Failure::new(FailureKind::Interrupted, anyhow::anyhow!("interrupted; nothing was written")));
        }
    };
    context.reporter.finish();
    let Some(archive) = archive else {
        context.printer.bytes(packed.archive())?;
        let map = map_path(&context.folder.join(format!("{}.tar.gz", folder_name(&name, now))));
        let report = packed.write_map(&map)?;
        tell_missing(context, &report);
        if let Some(map) = &report.map {
            let text = format!("what the tokens stand for is in {}; keep that file to yourself", map.display());
            context.reporter.report(&Event::Note { text });
        }
        return Ok(());
    };
    let report = packed.write(&archive)?;
    match args.output {
        OutputFormat::Name => context.printer.text(&format!("{}\n", archive.display()))?,
        OutputFormat::Table => context.printer.text(&text(context, &report))?,
        format => context.printer.report(format, &report)?,
    }
    tell_missing(context, &report);
    Ok(())
}

/// Where the archive goes; none is standard output.
fn archive_path(context: &Context, asked: Option<&Path>, usual: &str) -> Result<Option<PathBuf>, Failure> {
    let usage = |words: String| Failure::new(FailureKind::Usage, anyhow::anyhow!(words));
    let Some(asked) = asked else { return Ok(Some(context.folder.join(format!("{usual}.tar.gz")))) };
    if asked == Path::new(STDOUT) {
        if context.settings.output != OutputFormat::Table {
            return Err(usage("standard output has the archive, so it cannot have another result".to_owned())
                .hint("`-o FILE` leaves it to `--output`"));
        }
        return Ok(None);
    }
    if ["json", "yaml", "table", "name"].iter().any(|format| asked == Path::new(format)) {
        let format = asked.display();
        return Err(usage(format!("`-o {format}` would write an archive of that name"))
            .hint(format!("`--output {format}` is the form of the result; `-o ./{format}` means the file")));
    }
    let path = context.folder.join(asked);
    Ok(Some(if path.is_dir() { path.join(format!("{usual}.tar.gz")) } else { path }))
}

fn text(context: &Context, report: &Report) -> String {
    let style = context.style;
    let mut rows = Vec::new();
    if let Some(archive) = &report.archive {
        rows.push(("archive", format!("{} ({})", archive.display(), bytes(report.bytes as u64))));
    }
    if let Some(map) = &report.map {
        rows.push(("map", format!("{} (what the tokens stand for: keep it to yourself)", map.display())));
    }
    let masked: Vec<String> = report.masked.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    if !masked.is_empty() {
        rows.push(("masked", masked.join(", ")));
    }
    let mut text = format!("report of cluster {} is written\n\n", style.strong(report.name.as_str()));
    for (key, value) in rows {
        text += &format!("  {}  {value}\n", style.faint(&format!("{key:<10}")));
    }
    let mut table = Table::new(&["file", "size"]);
    for file in &report.files {
        table.row([file.path.clone(), bytes(file.bytes as u64)]);
    }
    text + "\n" + &table.render()
}

/// What is not in it, which does not make it worthless.
fn tell_missing(context: &Context, report: &Report) {
    for missing in &report.missing {
        let text = format!("not in the report: {} ({})", missing.what, missing.reason);
        context.reporter.report(&Event::Warning { text });
    }
}
