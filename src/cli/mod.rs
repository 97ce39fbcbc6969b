//! The command line: one file a command, each with its `Args` and what they do. The doc comment on `Args` is the help.
//!
//! Commands get plain values and a [`Context`]; they call `cluster` and hand the result to `ui`. None of them knows an
//! engine's client.

mod cache;
mod completions;
mod device;
mod doctor;
mod duration;
mod ephemeral;
mod exec;
mod failures;
mod gc;
mod image;
mod init;
mod kubeconfig;
mod kubectl;
mod logs;
mod ls;
mod paths;
mod pause;
mod port;
mod renew;
mod report;
mod restart;
mod rm;
mod schema;
mod session;
mod shell;
mod start;
pub(crate) mod status;
mod stop;
pub(crate) mod supervise;
mod target;
mod unpause;
mod up;
mod up_report;
mod version;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::context::{Context, EventFormat, Settings};
use crate::env::Env;
use crate::error::{Failure, FailureKind};
use crate::spec::EngineChoice;
use crate::ui::{OutputFormat, Style, render_failure, render_failure_json};

/// A whole edge Kubernetes cluster on a laptop in seconds.
#[derive(Debug, Parser)]
#[command(name = "sandbar", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sandbar up                        make the cluster `default`, or start it
  sandbar up edge --memory 2Gi      a second one, limited to 2 GiB
  sandbar image load hello:1        bring an image from the engine into the cluster
  sandbar kubectl get pods -A       kubectl, also where none is installed
  sandbar rm                        remove the cluster with everything of it";

#[derive(Debug, clap::Args)]
struct Global {
    /// Cluster file; `./sandbar.yaml` is used where there is one
    #[arg(short, long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    file: Option<PathBuf>,
    /// Engine that runs the node
    #[arg(long, global = true, value_name = "ENGINE", help_heading = GLOBAL)]
    engine: Option<EngineChoice>,
    /// Form of the result
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table", help_heading = GLOBAL)]
    output: OutputFormat,
    /// Form of the progress on stderr
    #[arg(long, global = true, value_name = "FORMAT", help_heading = GLOBAL)]
    events: Option<EventFormat>,
    /// Nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = GLOBAL)]
    quiet: bool,
    /// More of what happens
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    verbose: bool,
    /// Yes to every question
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    yes: bool,
    /// How long to wait, such as 90s or 5m; 2m where it is left out
    #[arg(long, global = true, value_name = "TIME", value_parser = duration::parse, help_heading = GLOBAL)]
    timeout: Option<Duration>,
    /// Kubeconfig to use in place of KUBECONFIG and ~/.kube/config
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    kubeconfig: Option<PathBuf>,
}

const GLOBAL: &str = "Options of every command";

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Up(Box<up::Args>),
    Stop(stop::Args),
    Start(start::Args),
    Restart(restart::Args),
    Pause(pause::Args),
    Unpause(unpause::Args),
    Renew(renew::Args),
    #[command(visible_alias = "down")]
    Rm(rm::Args),
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    Status(status::Args),
    Logs(logs::Args),
    Report(report::Args),
    Shell(shell::Args),
    Exec(exec::Args),
    Kubectl(kubectl::Args),
    Kubeconfig(kubeconfig::Args),
    Image(image::Args),
    Port(port::Args),
    Cache(cache::Args),
    Device(device::Args),
    Doctor(doctor::Args),
    Paths(paths::Args),
    Gc(gc::Args),
    Completions(completions::Args),
    Schema(schema::Args),
    Version(version::Args),
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Up(_) => "up",
            Self::Stop(_) => "stop",
            Self::Start(_) => "start",
            Self::Restart(_) => "restart",
            Self::Pause(_) => "pause",
            Self::Unpause(_) => "unpause",
            Self::Renew(_) => "renew",
            Self::Rm(_) => "rm",
            Self::Ls(_) => "ls",
            Self::Status(_) => "status",
            Self::Logs(_) => "logs",
            Self::Report(_) => "report",
            Self::Shell(_) => "shell",
            Self::Exec(_) => "exec",
            Self::Kubectl(_) => "kubectl",
            Self::Kubeconfig(_) => "kubeconfig",
            Self::Image(_) => "image",
            Self::Port(_) => "port",
            Self::Cache(_) => "cache",
            Self::Device(_) => "device",
            Self::Doctor(_) => "doctor",
            Self::Paths(_) => "paths",
            Self::Gc(_) => "gc",
            Self::Completions(_) => "completions",
            Self::Schema(_) => "schema",
            Self::Version(_) => "version",
        }
    }
}

/// The command line's definition, for completions and documentation.
#[must_use]
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs one command line and returns the exit code of the process.
pub fn main(arguments: impl IntoIterator<Item = OsString>, env: Env) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(machine) = supervise::machine(&arguments) {
        return supervise::main(&machine, env);
    }
    let cli = match definition().try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with 0, mistakes to stderr with 2: clap knows which.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { FailureKind::Usage.exit_code() } else { 0 });
        }
    };
    let global = cli.global;
    let settings = Settings {
        file: global.file,
        engine: global.engine,
        output: global.output,
        events: global.events,
        quiet: global.quiet,
        verbose: global.verbose,
        yes: global.yes,
        timeout: global.timeout,
        kubeconfig: global.kubeconfig,
    };
    if let Some(filter) = env.sandbar_log.as_deref() {
        start_log(filter);
    }
    let json = settings.events == Some(EventFormat::Json);
    let (result, style) = match Context::of_process(env, settings, cli.command.name()) {
        Ok(context) => {
            let result = run(&context, cli.command);
            context.reporter.finish();
            (result, context.error_style)
        }
        Err(failure) => (Err(failure), Style::new(false)),
    };
    let Err(failure) = result else { return ExitCode::SUCCESS };
    let text = if json { render_failure_json(&failure) } else { render_failure(&failure, style) };
    // Where stderr is gone, the exit code is all that is left to say.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(failure.kind.exit_code())
}

/// The program's own log, for its developers (`SANDBAR_LOG=sandbar=debug`).
fn start_log(filter: &str) {
    let filter = tracing_subscriber::EnvFilter::builder().parse_lossy(filter);
    // Refused only where another log has been started in this process, which then has the events.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

fn run(context: &Context, command: Command) -> Result<(), Failure> {
    // What needs no engine needs no runtime either, and starts in a few milliseconds.
    match command {
        Command::Init(args) => return init::run(context, &args),
        Command::Paths(args) => return paths::run(context, &args),
        Command::Completions(args) => return completions::run(context, &args),
        Command::Device(args) => return device::run(context, &args),
        Command::Schema(args) => return schema::run(context, &args),
        Command::Version(args) => return version::run(context, &args),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::new(FailureKind::Host, anyhow::Error::new(error).context("cannot start the runtime"))
    })?;
    let result = runtime.block_on(async {
        match command {
            Command::Up(args) => up::run(context, *args).await,
            Command::Stop(args) => stop::run(context, args).await,
            Command::Start(args) => start::run(context, args).await,
            Command::Restart(args) => restart::run(context, args).await,
            Command::Pause(args) => pause::run(context, args).await,
            Command::Unpause(args) => unpause::run(context, args).await,
            Command::Renew(args) => renew::run(context, args).await,
            Command::Rm(args) => rm::run(context, args).await,
            Command::Ls(args) => ls::run(context, args).await,
            Command::Status(args) => status::run(context, args).await,
            Command::Logs(args) => logs::run(context, args).await,
            Command::Report(args) => report::run(context, args).await,
            Command::Shell(args) => shell::run(context, args).await,
            Command::Exec(args) => exec::run(context, args).await,
            Command::Kubectl(args) => kubectl::run(context, args).await,
            Command::Kubeconfig(args) => kubeconfig::run(context, args).await,
            Command::Image(args) => image::run(context, args).await,
            Command::Port(args) => port::run(context, args).await,
            Command::Cache(args) => cache::run(context, args).await,
            Command::Doctor(args) => doctor::run(context, args).await,
            Command::Gc(args) => gc::run(context, args).await,
            Command::Init(_)
            | Command::Paths(_)
            | Command::Completions(_)
            | Command::Device(_)
            | Command::Schema(_)
            | Command::Version(_) => Ok(()),
        }
    });
    // A read of the terminal that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_is_consistent() {
        super::definition().debug_assert();
    }
}
