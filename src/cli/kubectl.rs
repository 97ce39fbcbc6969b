//! `sandbar kubectl`

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tokio::task::JoinHandle;

use super::{session, target};
use crate::cluster::{self, ContextPlace, Found};
use crate::context::Context;
use crate::error::{Failure, FailureKind};
use crate::process::Program;
use crate::spec::ClusterName;
use crate::ui::reporter::Event;

/// How long the laptop's kubectl may take to say its version.
const VERSION_DEADLINE: Duration = Duration::from_secs(5);

/// Run kubectl for a cluster: this machine's own where its version fits, otherwise the node's
///
/// What `-f` and `-k` name on this machine works with both: files and folders are copied to where the node's reads them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sandbar kubectl get pods -A\n  sandbar kubectl --cluster edge apply -k examples/hello",
    disable_help_flag = true,
    disable_version_flag = true
)]
pub(super) struct Args {
    /// Name of the cluster
    #[arg(short, long, value_name = "NAME")]
    cluster: Option<ClusterName>,
    /// Arguments of kubectl
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.cluster)?;
    let found = cluster::find_awake(&context.host(), &name).await?;
    if let Some((kubectl, place)) = own_with_context(context, &name, &found).await {
        return run_own(context, &name, &kubectl, place, &args.arguments).await;
    }
    run_nodes(context, &name, &found, args.arguments).await
}

/// Runs the node's kubectl. What it is to read of this machine is taken away again, however it ends.
async fn run_nodes(
    context: &Context,
    name: &ClusterName,
    found: &Found,
    arguments: Vec<String>,
) -> Result<(), Failure> {
    let (engine, node) = (found.engine.as_ref(), name.resource());
    let mut interruptions = context.platform.interruptions()?;
    let carried = cluster::carry(&context.folder, arguments)?;
    let work = async {
        carried.place(engine, &node).await?;
        let command = std::iter::once("kubectl".to_owned()).chain(carried.arguments.iter().cloned()).collect();
        session::run(context, found, name, command, Vec::new()).await
    };
    let result = tokio::select! {
        result = work => result,
        _ = interruptions.next() => Err(Failure::new(FailureKind::Interrupted, anyhow::anyhow!("interrupted"))),
    };
    let removed = carried.remove(engine, &node).await;
    result?;
    Ok(removed?)
}

async fn run_own(
    context: &Context,
    name: &ClusterName,
    kubectl: &OwnKubectl,
    place: ContextPlace,
    arguments: &[String],
) -> Result<(), Failure> {
    let mut program = Program::new(&kubectl.path).envs(context.env.all.iter().map(|(key, value)| (key, value)));
    let file = match place {
        ContextPlace::Here(_) => context.settings.kubeconfig.as_ref().map(|file| context.folder.join(file)),
        ContextPlace::Elsewhere(file) => Some(file),
    };
    if let Some(file) = file {
        program = program.arg("--kubeconfig").arg(file);
    }
    program = program.arg("--context").arg(name.resource()).args(arguments);
    context.reporter.finish();
    match program.interactive().await {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::new(FailureKind::Child(code), anyhow::anyhow!("exit code {code}"))),
        Err(error) => Err(Failure::new(FailureKind::Failed, error)),
    }
}

/// The laptop's kubectl where it fits the cluster, and a kubeconfig that has the cluster's context.
async fn own_with_context(context: &Context, name: &ClusterName, found: &Found) -> Option<(OwnKubectl, ContextPlace)> {
    let record = found.record.as_ref()?;
    let version = record.kubernetes_version.as_deref()?;
    // The node's kubectl needs no kubeconfig of this machine, so one that cannot be read is no reason to fail.
    let place = cluster::context_place(&context.host(), name, &record.kubeconfig);
    let place = place.inspect_err(|error| tracing::debug!(%error, "the node's kubectl is used")).ok()?;
    if place.is_none() && !record.kubeconfig.files.is_empty() {
        let text = format!(
            "context {} is in no kubeconfig any more (`sandbar kubeconfig merge {name}` puts it back)",
            name.resource()
        );
        context.reporter.report(&Event::Warning { text });
    }
    let place = place?;
    let kubectl = look_for_own(context).await.ok().flatten()?;
    kubectl.fits(version).then_some((kubectl, place))
}

/// A kubectl that is installed on this machine.
pub(super) struct OwnKubectl {
    path: PathBuf,
    version: (u32, u32),
}

impl OwnKubectl {
    /// Whether it is within one minor version of the cluster: Kubernetes' own rule,
    /// <https://kubernetes.io/releases/version-skew-policy/#kubectl>.
    pub(super) fn fits(&self, kubernetes_version: &str) -> bool {
        minor(kubernetes_version)
            .is_some_and(|(major, minor)| self.version.0 == major && self.version.1.abs_diff(minor) <= 1)
    }
}

/// Looks for one and asks it for its version, beside what else is going on. One that cannot say its version counts as
/// none: the node's works in any case.
pub(super) fn look_for_own(context: &Context) -> JoinHandle<Option<OwnKubectl>> {
    let path = which::which_in("kubectl", context.env.path.as_ref(), &context.folder).ok();
    let search_path = context.env.path.clone();
    tokio::spawn(async move {
        let path = path?;
        let program = Program::new(&path)
            .envs(search_path.iter().map(|path| ("PATH", path)))
            .args(["version", "--client", "--output=json"])
            .deadline(VERSION_DEADLINE);
        let output = program.output().await.ok()?;
        let versions: Versions = serde_json::from_slice(&output.stdout).ok()?;
        let version = minor(&versions.client_version.git_version)?;
        Some(OwnKubectl { path, version })
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client_version: ClientVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientVersion {
    git_version: String,
}

fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    Some((digits(parts.next()?)?, digits(parts.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_projects_write_them() {
        for (text, version) in [("v1.37.2", (1, 37)), ("1.37.2+k3s1", (1, 37)), ("v1.36+", (1, 36))] {
            assert_eq!(minor(text), Some(version), "{text}");
        }
        assert_eq!(minor("latest"), None);
    }
}
