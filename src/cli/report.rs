//! The final report of `up`, `start` and `restart`.

use crate::cluster::UpReport;
use crate::context::Context;
use crate::error::Failure;
use crate::spec::DEFAULT_NAME;
use crate::ui::reporter::Event;
use crate::ui::{OutputFormat, seconds};

/// Prints what `up` did, in the form that was asked for.
pub(super) fn print(context: &Context, report: &UpReport) -> Result<(), Failure> {
    context.reporter.finish();
    match context.settings.output {
        OutputFormat::Name => context.printer.text(&format!("{}\n", report.name))?,
        OutputFormat::Table => context.printer.text(&text(context, report))?,
        format => context.printer.report(format, report)?,
    }
    for warning in &report.warnings {
        let hint = if warning.hint.is_empty() { String::new() } else { format!(" ({})", warning.hint) };
        context.reporter.report(&Event::Warning { text: format!("{}{hint}", warning.message) });
    }
    Ok(())
}

fn text(context: &Context, report: &UpReport) -> String {
    let style = context.style;
    let took = seconds(std::time::Duration::from_millis(report.millis));
    let done = match report.outcome {
        "created" => format!("is ready after {took}"),
        "recreated" => format!("was made anew with its data and is ready after {took}"),
        "started" => format!("was started and is ready after {took}"),
        _ => "is ready, nothing had to be done".to_owned(),
    };
    let files: Vec<String> = report.kubeconfig.iter().map(|file| file.display().to_string()).collect();
    let current = if report.current { ", current" } else { "" };
    let phases: Vec<String> = report
        .phases
        .iter()
        .map(|phase| format!("{} {}", phase.name, seconds(std::time::Duration::from_millis(phase.millis))))
        .collect();
    let rows = [
        ("node", format!("{} in {} {}", report.node, report.engine.kind, report.engine.version)),
        ("kubernetes", report.kubernetes_version.clone()),
        ("context", format!("{}{current} ({})", report.context, files.join(", "))),
        ("api", report.addresses.api.clone()),
        ("http", report.addresses.http.clone()),
        ("https", report.addresses.https.clone()),
        ("phases", phases.join(", ")),
    ];
    let mut text = format!("{} cluster {} {done}\n\n", style.good("✓"), style.strong(report.name.as_str()));
    for (key, value) in rows {
        text += &format!("  {}  {value}\n", style.faint(&format!("{key:<10}")));
    }
    text + &format!("\nnext: {}\n", style.strong(&next(context, report)))
}

/// The command to type next: kubectl where it is installed, else ours.
fn next(context: &Context, report: &UpReport) -> String {
    let installed = which::which_in("kubectl", context.env.path.as_ref(), &context.folder).is_ok();
    match (installed && report.current, report.name.as_str()) {
        (true, _) => "kubectl get nodes".to_owned(),
        (false, DEFAULT_NAME) => "sandbar kubectl get nodes".to_owned(),
        (false, name) => format!("sandbar kubectl --cluster {name} get nodes"),
    }
}
