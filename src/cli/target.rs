//! Which cluster a command is about: its argument, else `SANDBAR_CLUSTER`, else the cluster file's, else `default`.

use std::path::{Path, PathBuf};

use crate::cluster;
use crate::context::Context;
use crate::error::{Failure, FailureKind};
use crate::spec::{ClusterFile, ClusterName, NameError, parse_file, resolve_name};

/// The cluster file that is used where none is named.
pub(super) const FILE_NAME: &str = "sandbar.yaml";

/// A cluster file with where it stands.
pub(super) struct FoundFile {
    pub file: ClusterFile,
    pub path: PathBuf,
    pub text: String,
    /// The folder to which its paths are relative.
    pub folder: PathBuf,
    /// Whether the user named it.
    pub named: bool,
}

/// The cluster file of `--file` or of the current folder, if there is one.
pub(super) fn cluster_file(context: &Context) -> Result<Option<FoundFile>, Failure> {
    let named = context.settings.file.is_some();
    let name = context.settings.file.clone().unwrap_or_else(|| PathBuf::from(FILE_NAME));
    let path = context.folder.join(&name);
    let text = match cluster::read_users_file(&path) {
        Ok(Some(text)) => text,
        Ok(None) if !named => return Ok(None),
        Ok(None) => return Err(unreadable(&name, anyhow::anyhow!("there is no such file"))),
        Err(error) => return Err(unreadable(&name, anyhow::Error::new(error))),
    };
    let file = parse_file(&text).map_err(|error| {
        let hint = error.hint();
        Failure::new(FailureKind::Usage, anyhow::anyhow!("{}, {error}", name.display())).hint(hint)
    })?;
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Some(FoundFile { file, path: name, text, folder, named }))
}

fn unreadable(name: &Path, error: anyhow::Error) -> Failure {
    let error = error.context(format!("cannot read cluster file {}", name.display()));
    Failure::new(FailureKind::Usage, error).hint("`sandbar init` writes one")
}

/// The cluster that a command is about.
pub(super) fn cluster(context: &Context, argument: Option<ClusterName>) -> Result<ClusterName, Failure> {
    if let Some(name) = argument {
        return Ok(name);
    }
    if let Some(name) = &context.env.sandbar_cluster {
        let wrong = |error: NameError| Failure::new(FailureKind::Usage, anyhow::anyhow!("SANDBAR_CLUSTER: {error}"));
        return name.parse().map_err(wrong);
    }
    let file = cluster_file(context)?;
    Ok(resolve_name(None, file.as_ref().map(|found| &found.file)))
}
