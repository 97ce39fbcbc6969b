//! `sandbar paths`

use serde::Serialize;

use crate::context::Context;
use crate::error::Failure;
use crate::ui::OutputFormat;

/// Show where Sandbar's own files are
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sandbar paths --output json")]
pub(super) struct Args {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    schema_version: u32,
    config: String,
    data: String,
    cache: String,
    state: String,
    runtime: String,
    kubeconfig: Vec<String>,
}

pub(super) fn run(context: &Context, _args: &Args) -> Result<(), Failure> {
    let dirs = context.store.dirs();
    let text = |path: &std::path::Path| path.display().to_string();
    let report = Report {
        schema_version: 1,
        config: text(&dirs.config),
        data: text(&dirs.data),
        cache: text(&dirs.cache),
        state: text(&dirs.state),
        runtime: text(&dirs.runtime),
        kubeconfig: context.kubeconfig()?.files().iter().map(|file| text(file)).collect(),
    };
    match context.settings.output {
        OutputFormat::Json | OutputFormat::Yaml => context.printer.report(context.settings.output, &report)?,
        OutputFormat::Table | OutputFormat::Name => {
            let rows = [
                ("config", report.config),
                ("data", report.data),
                ("cache", report.cache),
                ("state", report.state),
                ("runtime", report.runtime),
                ("kubeconfig", report.kubeconfig.join(":")),
            ];
            let lines: String = rows.iter().map(|(key, value)| format!("{key:<10}  {value}\n")).collect();
            context.printer.text(&lines)?;
        }
    }
    Ok(())
}
