//! `sandbar kubectl`

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{session, target};
use crate::cluster::{self, Found};
use crate::context::Context;
use crate::error::{Failure, FailureKind};
use crate::process::Program;
use crate::spec::ClusterName;

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
    let found = cluster::find(&context.host(), &name).await?;
    if let Some(kubectl) = own_kubectl(context, &found).await {
        return run_own(context, &name, &kubectl, &args.arguments).await;
    }
    let node = name.resource();
    let carried = cluster::carry(found.engine.as_ref(), &node, &context.folder, args.arguments).await?;
    let mut command = vec!["kubectl".to_owned()];
    command.extend(carried.arguments.iter().cloned());
    let result = session::run(context, &found, &name, command, Vec::new()).await;
    carried.remove(found.engine.as_ref(), &node).await?;
    result
}

async fn run_own(context: &Context, name: &ClusterName, kubectl: &Path, arguments: &[String]) -> Result<(), Failure> {
    let mut program = Program::new(kubectl).envs(context.env.all.iter().map(|(key, value)| (key, value)));
    if let Some(file) = &context.settings.kubeconfig {
        program = program.arg("--kubeconfig").arg(context.folder.join(file));
    }
    program = program.arg("--context").arg(name.resource()).args(arguments);
    context.reporter.finish();
    match program.interactive().await {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::new(FailureKind::Child(code), anyhow::anyhow!("exit code {code}"))),
        Err(error) => Err(Failure::new(FailureKind::Failed, error)),
    }
}

/// The laptop's kubectl, if there is one within one minor version of the cluster: Kubernetes' own rule,
/// <https://kubernetes.io/releases/version-skew-policy/#kubectl>.
async fn own_kubectl(context: &Context, found: &Found) -> Option<PathBuf> {
    let cluster = minor(found.record.as_ref()?.kubernetes_version.as_deref()?)?;
    let path = which::which_in("kubectl", context.env.path.as_ref(), &context.folder).ok()?;
    let own = minor(&version_of(context, &path).await?)?;
    (own.0 == cluster.0 && own.1.abs_diff(cluster.1) <= 1).then_some(path)
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

async fn version_of(context: &Context, kubectl: &Path) -> Option<String> {
    let program = Program::new(kubectl)
        .envs(context.env.path.iter().map(|path| ("PATH", path)))
        .args(["version", "--client", "--output=json"])
        .deadline(VERSION_DEADLINE);
    // One that cannot say its version is not used; the node's works in any case.
    let output = program.output().await.ok()?;
    serde_json::from_slice::<Versions>(&output.stdout).ok().map(|versions| versions.client_version.git_version)
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
