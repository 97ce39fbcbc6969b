//! `sandbar doctor`

use super::{device, target};
use crate::context::Context;
use crate::doctor::{self, CHECKS, Check, CheckReport, Fix, Outcome, Proxy, Report, Request};
use crate::error::{Failure, FailureKind};
use crate::spec::{ClusterSpec, Flags, NodeImage, nearest, resolve};
use crate::ui::reporter::Event;
use crate::ui::{OutputFormat, Table};

/// Check whether this machine and its engine are fit for a cluster, by trying
///
/// What a node needs is tried in a container that is thrown away afterwards; the rest on this machine, with the cluster file
/// where there is one. The exit code is 0 when nothing failed and 3 when something did. What each check is about:
/// docs/doctor.md, or --list.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbar doctor                    everything
  sandbar doctor cgroups veth       these alone
  sandbar doctor --list             what can be checked, and why it matters
  sandbar doctor --fix              mend what can be mended, after asking
  sandbar doctor --output json      for programs and reports")]
pub(super) struct Args {
    /// Checks to do, by their codes; all of them where none is given
    #[arg(value_name = "CHECK", value_parser = check)]
    checks: Vec<&'static Check>,
    /// Run the commands that mend what was found, each after asking, and check again
    #[arg(long)]
    fix: bool,
    /// Say what can be checked, and check nothing
    #[arg(long, conflicts_with = "fix")]
    list: bool,
    /// Device that the cluster would be: its name, or the path of a profile
    #[arg(long, value_name = "NAME|FILE")]
    device: Option<String>,
    /// Node image in the engine's store
    #[arg(long, value_name = "REF|FILE", alias = "image")]
    node_image: Option<NodeImage>,
}

fn check(code: &str) -> Result<&'static Check, String> {
    doctor::find(code).ok_or_else(|| match nearest(code, CHECKS.iter().map(|check| check.code)) {
        Some(near) => format!("there is no such check; did you mean `{near}`?"),
        None => "there is no such check; `sandbar doctor --list` lists them".to_owned(),
    })
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let checks: Vec<&'static Check> =
        CHECKS.iter().filter(|check| args.checks.is_empty() || args.checks.contains(check)).collect();
    if args.list {
        return list(context, &checks);
    }
    let spec = spec(context, args.device.as_deref(), args.node_image)?;
    let proxy = Proxy { variables: context.env.proxy_names.clone(), exempt: context.env.proxies.none.clone() };
    let request = Request { checks, spec, proxy };
    let mut report = doctor::run(&context.host(), &request).await?;
    if args.fix && mend(context, &report).await? {
        report = doctor::run(&context.host(), &request).await?;
    }
    context.reporter.finish();
    print(context, &report)?;
    let failed: Vec<&str> = report.with(Outcome::Failed).map(|check| check.code).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let error = anyhow::anyhow!("this machine is not fit for a cluster: {}", failed.join(", "));
    let failure = Failure::new(FailureKind::Host, error);
    let mendable = report.with(Outcome::Failed).any(|check| check.fix.is_some());
    Err(if mendable && !args.fix {
        failure.hint("`sandbar doctor --fix` mends what it can, after asking")
    } else {
        failure
    })
}

/// The cluster that `up` would make.
fn spec(context: &Context, device: Option<&str>, image: Option<NodeImage>) -> Result<ClusterSpec, Failure> {
    let file = target::cluster_file(context)?;
    let device = device::wanted(context, device, file.as_ref())?;
    let flags = Flags { engine: context.settings.engine, device, image, ..Flags::default() };
    let file = file.as_ref().map(|found| (&found.file, found.folder.as_path()));
    Ok(resolve(&flags, file, None)?)
}

/// Runs the commands of what has any, after asking for each, and says whether any were run.
async fn mend(context: &Context, report: &Report) -> Result<bool, Failure> {
    let fixes: Vec<(&CheckReport, &Fix)> =
        report.checks.iter().filter_map(|check| Some((check, check.fix.as_ref()?))).collect();
    let words = |(check, fix): &(&CheckReport, &Fix)| format!("{}: {}", check.code, fix.commands.join("\n  and "));
    if !fixes.is_empty() && !context.interactive && !context.settings.yes {
        let all: Vec<String> = fixes.iter().map(words).collect();
        let error = anyhow::anyhow!("this would be run:\n{}", all.join("\n"));
        return Err(Failure::new(FailureKind::Usage, error).hint("`--yes` does it without asking"));
    }
    let mut mended = false;
    for (check, fix) in fixes {
        if !confirm(context, check, &words(&(check, fix)))? {
            continue;
        }
        fix.apply(&context.env.all).await?;
        mended = true;
        context.reporter.report(&Event::Note { text: format!("{}: {} done", check.code, fix.commands.join("; ")) });
    }
    Ok(mended)
}

fn confirm(context: &Context, check: &CheckReport, words: &str) -> Result<bool, Failure> {
    if context.settings.yes {
        return Ok(true);
    }
    context.reporter.finish();
    let question = format!("{}\n{words}\nRun it?", check.message);
    let answer = dialoguer::Confirm::new().with_prompt(question).default(false).interact();
    answer.map_err(|error| Failure::new(FailureKind::Interrupted, anyhow::Error::new(error)))
}

fn list(context: &Context, checks: &[&'static Check]) -> Result<(), Failure> {
    match context.settings.output {
        OutputFormat::Name => {
            context.printer.text(&checks.iter().map(|check| format!("{}\n", check.code)).collect::<String>())?;
        }
        OutputFormat::Table => {
            let mut table = Table::new(&["check", "what", "why"]);
            for check in checks {
                table.row([check.code, check.title, check.why].map(str::to_owned));
            }
            context.printer.text(&table.render())?;
        }
        format => {
            let row = |check: &&Check| serde_json::json!({"code": check.code, "title": check.title, "why": check.why});
            let checks: Vec<_> = checks.iter().map(row).collect();
            context.printer.report(format, &serde_json::json!({"schemaVersion": 1, "checks": checks}))?;
        }
    }
    Ok(())
}

fn print(context: &Context, report: &Report) -> Result<(), Failure> {
    match context.settings.output {
        // For scripts: what is not well.
        OutputFormat::Name => {
            let failed = report.with(Outcome::Failed).map(|check| format!("{}\n", check.code));
            context.printer.text(&failed.collect::<String>())?;
        }
        OutputFormat::Table => context.printer.text(&text(context, report))?,
        format => context.printer.report(format, report)?,
    }
    Ok(())
}

fn text(context: &Context, report: &Report) -> String {
    let mut table = Table::new(&["check", "result", "found"]);
    for check in &report.checks {
        table.row([check.code.to_owned(), context.style.outcome(check.result.word()), check.message.clone()]);
    }
    let mut text = table.render();
    for check in report.checks.iter().filter(|check| check.result != Outcome::Passed) {
        let commands = check.fix.iter().flat_map(|fix| &fix.commands).map(|command| ("fix", format!("`{command}`")));
        let help = check.hints.iter().map(|hint| ("help", hint.clone()));
        let lines: Vec<(&str, String)> = commands.chain(help).collect();
        if lines.is_empty() {
            continue;
        }
        text += &format!("\n{}\n", context.style.strong(check.code));
        text += &format!("  {}   {}\n", context.style.faint("why"), check.why);
        for (key, line) in lines {
            text += &format!("  {}  {line}\n", context.style.faint(&format!("{key:<4}")));
        }
    }
    let count = |result: Outcome| report.with(result).count();
    text += &format!(
        "\n{} passed, {} with a warning, {} failed, {} skipped\n",
        count(Outcome::Passed),
        count(Outcome::Warning),
        count(Outcome::Failed),
        count(Outcome::Skipped)
    );
    text
}
