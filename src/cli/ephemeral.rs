//! `sandbar up --ephemeral -- COMMAND`: a cluster for one command.

use std::ffi::OsString;
use std::time::Duration;

use super::up_report;
use crate::cluster::{ClusterError, Ephemeral, UpRequest};
use crate::context::Context;
use crate::error::{Failure, FailureKind};
use crate::platform::{Interruption, Interruptions};
use crate::process::{ProcessError, Program};
use crate::ui::reporter::{self, Event};
use crate::ui::seconds;

/// Makes the cluster, runs the command, removes the cluster. Standard output belongs to the command alone.
pub(super) async fn run(context: &Context, request: UpRequest, command: &[OsString]) -> Result<(), Failure> {
    if context.settings.kubeconfig.is_some() {
        let error = anyhow::anyhow!("--kubeconfig cannot be used with --ephemeral: the cluster gets one of its own");
        return Err(Failure::new(FailureKind::Usage, error).hint("the command finds it in KUBECONFIG"));
    }
    // A command that is not there is noticed before the cluster is made for it.
    let program = program(context, command)?;
    // From here on no signal ends this process: what was made is removed first.
    let mut interruptions = context.platform.interruptions()?;
    let host = context.host();
    let (cluster, report) = Box::pin(Ephemeral::make(&host, request)).await?;
    let took = seconds(Duration::from_millis(report.millis));
    tell(context, format!("cluster {} is ready after {took}", cluster.name));
    up_report::warn(context, &report);
    context.reporter.finish();

    let program = program.env("KUBECONFIG", &cluster.kubeconfig).env("SANDBAR_CLUSTER", cluster.name.as_str());
    let ended = supervise(context, &program, interruptions.as_mut()).await;
    let name = cluster.name.clone();
    let phase = reporter::phase(context.reporter.as_ref(), "remove", format!("Cluster {name} is removed"));
    let removed = tokio::select! {
        removed = cluster.remove(&host) => removed,
        () = twice(interruptions.as_mut()) => Err(ClusterError::Interrupted { removed: false }),
    };
    phase.done();
    if removed.is_ok() {
        tell(context, format!("cluster {name} is removed"));
    }
    match (ended, removed) {
        (Ok(0), Ok(())) => Ok(()),
        (Ok(0), Err(error)) => Err(Failure::from(error).hint("`sandbar gc` removes what is left of the cluster")),
        (ended, removed) => {
            if let Err(error) = removed {
                let text = format!("cluster {name} was not removed: {error} (`sandbar gc` removes what is left of it)");
                context.reporter.report(&Event::Warning { text });
            }
            let code = ended.map_err(|error| Failure::new(FailureKind::Failed, error))?;
            Err(Failure::new(FailureKind::Child(code), anyhow::anyhow!("exit code {code}")))
        }
    }
}

fn tell(context: &Context, text: String) {
    context.reporter.report(&Event::Note { text });
}

fn program(context: &Context, command: &[OsString]) -> Result<Program, Failure> {
    let (name, arguments) = command
        .split_first()
        .ok_or_else(|| Failure::new(FailureKind::Usage, anyhow::anyhow!("--ephemeral needs a command, after `--`")))?;
    let path = which::which_in(name, context.env.path.as_ref(), &context.folder).map_err(|_| {
        let error = anyhow::anyhow!("there is no program {}", name.display());
        Failure::new(FailureKind::Usage, error)
            .hint("the program comes first after `--`; `sh -c '…'` runs a line of shell")
    })?;
    let variables = context.env.all.iter().map(|(name, value)| (name, value));
    Ok(Program::new(path).args(arguments).envs(variables))
}

/// Runs the command to its end. The first request to end is passed on to it, the second one ends it at once. What the
/// terminal sends to it anyway is its own business: to a shell Ctrl-C means something else.
async fn supervise(
    context: &Context,
    program: &Program,
    interruptions: &mut dyn Interruptions,
) -> Result<u8, ProcessError> {
    let mut running = program.foreground()?;
    let mut asked = false;
    loop {
        tokio::select! {
            code = running.wait() => return code,
            request = interruptions.next() => {
                if request == Interruption::Interrupt && context.platform.shares_interrupts() {
                    continue;
                }
                if asked { running.kill()? } else { running.pass_on(request)? }
                asked = true;
            }
        }
    }
}

/// A cluster is removed also where somebody asks to end; who asks again does not want to wait.
async fn twice(interruptions: &mut dyn Interruptions) {
    interruptions.next().await;
    interruptions.next().await;
}
