//! The final report of `up`, `start` and `restart`.

use std::path::PathBuf;
use std::time::Duration;

use super::kubectl::{self, OwnKubectl};
use crate::cluster::{ClusterError, UpReport};
use crate::context::Context;
use crate::error::Failure;
use crate::node::PhaseReport;
use crate::process::quoted;
use crate::spec::DEFAULT_NAME;
use crate::ui::reporter::Event;
use crate::ui::{OutputFormat, left, seconds};

/// Waits for what `up` does and prints it in the form that was asked for.
pub(super) async fn print(
    context: &Context,
    up: impl Future<Output = Result<UpReport, ClusterError>>,
) -> Result<(), Failure> {
    // Only people are told what to type next; a kubectl says its version while the cluster starts.
    let kubectl = (context.settings.output == OutputFormat::Table).then(|| kubectl::look_for_own(context));
    let report = &up.await?;
    let kubectl = match kubectl {
        Some(looking) => looking.await.ok().flatten(),
        None => None,
    };
    context.reporter.finish();
    match context.settings.output {
        OutputFormat::Name => context.printer.text(&format!("{}\n", report.name))?,
        OutputFormat::Table => context.printer.text(&text(context, report, kubectl.as_ref()))?,
        format => context.printer.report(format, report)?,
    }
    warn(context, report);
    Ok(())
}

/// Tells what the user should know of the cluster.
pub(super) fn warn(context: &Context, report: &UpReport) {
    for warning in &report.warnings {
        let hint = if warning.hint.is_empty() { String::new() } else { format!(" ({})", warning.hint) };
        context.reporter.report(&Event::Warning { text: format!("{}{hint}", warning.message) });
    }
}

fn text(context: &Context, report: &UpReport, kubectl: Option<&OwnKubectl>) -> String {
    let style = context.style;
    let took = seconds(Duration::from_millis(report.millis));
    let done = match report.outcome {
        "created" => format!("is ready after {took}"),
        "recreated" => format!("was made anew with its data and is ready after {took}"),
        "changed" => "has the ports that were asked for".to_owned(),
        "started" => format!("was started and is ready after {took}"),
        _ => "is ready, nothing had to be done".to_owned(),
    };
    let files: Vec<String> = report.kubeconfig.iter().map(|file| file.display().to_string()).collect();
    let current = if report.current { ", current" } else { "" };
    let phases: Vec<String> = report
        .phases
        .iter()
        .map(|phase| format!("{} {}", phase.name, seconds(Duration::from_millis(phase.millis))))
        .collect();
    let mut rows = vec![
        ("node", format!("{} in {} {}", report.node, report.engine.kind, report.engine.version)),
        ("kubernetes", report.kubernetes_version.clone()),
        ("context", format!("{}{current} ({})", report.context, files.join(", "))),
        ("api", report.addresses.api.clone()),
        ("http", report.addresses.http.clone()),
        ("https", report.addresses.https.clone()),
        ("phases", phases.join(", ")),
    ];
    if let Some(expires) = report.expires {
        rows.push(("expires", left(expires, (context.now)())));
    }
    if context.settings.verbose {
        rows.push(("components", report.node_phases.iter().map(times).collect::<Vec<_>>().join(", ")));
    }
    let mut text = format!("{} cluster {} {done}\n\n", style.good("✓"), style.strong(report.name.as_str()));
    for (key, value) in rows {
        text += &format!("  {}  {value}\n", style.faint(&format!("{key:<10}")));
    }
    text + &format!("\nnext: {}\n", style.strong(&next(context, report, kubectl)))
}

/// When a component of the node began and was ready, after the node's start.
fn times(phase: &PhaseReport) -> String {
    let at = |millis| seconds(Duration::from_millis(millis));
    match phase.ready_millis {
        Some(ready) => format!("{} {} to {}", phase.name, at(phase.start_millis), at(ready)),
        None => format!("{} from {}", phase.name, at(phase.start_millis)),
    }
}

/// The command to type next, which works as it stands: with the laptop's kubectl where it fits, else with ours.
fn next(context: &Context, report: &UpReport, kubectl: Option<&OwnKubectl>) -> String {
    if kubectl.is_some_and(|kubectl| kubectl.fits(&report.kubernetes_version)) {
        let file = context.settings.kubeconfig.as_ref();
        let file = file.map(|file| format!(" --kubeconfig {}", quoted(file.as_os_str()))).unwrap_or_default();
        let chosen = if report.current { String::new() } else { format!(" --context {}", report.context) };
        return format!("kubectl{file}{chosen} get nodes");
    }
    let sandbar = this_program(context);
    match report.name.as_str() {
        DEFAULT_NAME => format!("{sandbar} kubectl get nodes"),
        name => format!("{sandbar} kubectl --cluster {name} get nodes"),
    }
}

/// How this program is called from the user's folder: it need not be on the path, as right after it was built.
fn this_program(context: &Context) -> String {
    const NAME: &str = "sandbar";
    let Some(program) = &context.program else { return NAME.to_owned() };
    let on_path = which::which_in(NAME, context.env.path.as_ref(), &context.folder);
    let same = |path: PathBuf| fs_err::canonicalize(path).ok() == fs_err::canonicalize(program).ok();
    if on_path.is_ok_and(same) {
        return NAME.to_owned();
    }
    let here = program.strip_prefix(&context.folder).ok().filter(|path| path.components().count() > 1);
    quoted(here.unwrap_or(program).as_os_str())
}
