//! `sandbar gc`

use crate::cluster::{self, Leftover};
use crate::context::Context;
use crate::error::{Failure, FailureKind};
use crate::spec::EngineChoice;
use crate::ui::OutputFormat;

/// Remove what nobody wants any more: clusters whose time is over, what interrupted commands left, what has no record here
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sandbar gc --dry-run\n  sandbar gc --yes")]
pub(super) struct Args {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let host = context.host();
    let choice = context.settings.engine.unwrap_or(EngineChoice::Auto);
    let engine = cluster::EngineSource::connect(context, choice, None, false).await?.0;
    let mut found = cluster::leftovers(&host, &engine).await?;
    if !args.dry_run {
        if !found.is_empty() {
            confirm(context, &found)?;
        }
        found = cluster::gc(&host, &engine, found).await?;
    }
    context.reporter.finish();
    let done = if args.dry_run { "would be removed" } else { "removed" };
    match context.settings.output {
        OutputFormat::Table if found.is_empty() => context.printer.text("nothing was left behind\n")?,
        OutputFormat::Table => context.printer.text(&lines(&found, done))?,
        OutputFormat::Name => {
            context.printer.text(&found.iter().map(|leftover| format!("{}\n", leftover.name)).collect::<String>())?;
        }
        format => {
            let report = serde_json::json!({"schemaVersion": 1, "removed": !args.dry_run, "leftovers": found});
            context.printer.report(format, &report)?;
        }
    }
    Ok(())
}

fn lines(found: &[Leftover], done: &str) -> String {
    found.iter().map(|leftover| format!("{} {} {done}: {}\n", leftover.what, leftover.name, leftover.why)).collect()
}

/// Resources without a record may be those of another user's or another `SANDBAR_HOME`'s cluster: that is asked.
fn confirm(context: &Context, found: &[Leftover]) -> Result<(), Failure> {
    if context.settings.yes {
        return Ok(());
    }
    let list = lines(found, "would be removed");
    if !context.interactive {
        return Err(Failure::new(FailureKind::Usage, anyhow::anyhow!("this would be removed:\n{}", list.trim_end()))
            .hint("`--yes` does it without asking; `--dry-run` only shows it"));
    }
    let question = format!("{list}Remove it?");
    match dialoguer::Confirm::new().with_prompt(question).default(false).interact() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(FailureKind::Interrupted, anyhow::anyhow!("nothing was removed"))),
        Err(error) => Err(Failure::new(FailureKind::Interrupted, anyhow::Error::new(error))),
    }
}
