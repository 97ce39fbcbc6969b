//! `sandbar init`

use std::io::ErrorKind;
use std::path::Path;

use super::target;
use crate::cluster;
use crate::context::Context;
use crate::error::{Failure, FailureKind};
use crate::spec::{API_VERSION, ClusterName, DEFAULT_NAME, KIND, MINIMUM_MEMORY_BYTES, Memory};

/// Write a cluster file, with a comment for each key
///
/// It asks on a terminal and takes the defaults elsewhere, or with --yes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sandbar init\n  sandbar init --file edge.yaml --name edge --yes")]
pub(super) struct Args {
    /// Name of the cluster
    #[arg(long, value_name = "NAME")]
    name: Option<ClusterName>,
    /// Memory that the node may use
    #[arg(long, value_name = "MEMORY")]
    memory: Option<Memory>,
    /// Replace a file that exists
    #[arg(long)]
    force: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let name = context.settings.file.clone().unwrap_or_else(|| target::FILE_NAME.into());
    let path = context.folder.join(&name);
    // Better said before anything is asked; what counts is said when it is written.
    if !args.force && !matches!(cluster::read_users_file(&path), Ok(None)) {
        return Err(exists(&name));
    }
    let answers = if context.interactive && !context.settings.yes { ask(args)? } else { defaults(args) };
    if let Some(memory) = answers.memory.as_ref().filter(|memory| memory.bytes() < MINIMUM_MEMORY_BYTES) {
        return Err(crate::spec::SpecError::TooLittleMemory { memory: memory.clone() }.into());
    }
    cluster::write_cluster_file(&path, &text(&answers), args.force).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            return exists(&name);
        }
        let error = anyhow::Error::new(error).context(format!("cannot write {}", name.display()));
        Failure::new(FailureKind::Failed, error)
    })?;
    Ok(context.printer.text(&format!("wrote {}\n\nnext: sandbar up\n", name.display()))?)
}

fn exists(name: &Path) -> Failure {
    Failure::new(FailureKind::Usage, anyhow::anyhow!("{} exists already", name.display()))
        .hint("`--force` replaces it, `--file` writes another one")
}

struct Answers {
    name: String,
    memory: Option<Memory>,
}

fn defaults(args: &Args) -> Answers {
    let name = args.name.as_ref().map_or_else(|| DEFAULT_NAME.to_owned(), ToString::to_string);
    Answers { name, memory: args.memory.clone() }
}

fn ask(args: &Args) -> Result<Answers, Failure> {
    let ended = |error: dialoguer::Error| Failure::new(FailureKind::Interrupted, anyhow::Error::new(error));
    let known = defaults(args);
    let name = match &args.name {
        Some(name) => name.to_string(),
        None => dialoguer::Input::<String>::new()
            .with_prompt("Name of the cluster")
            .default(known.name)
            .validate_with(|text: &String| text.parse::<ClusterName>().map(|_| ()).map_err(|error| error.to_string()))
            .interact_text()
            .map_err(ended)?,
    };
    let memory = if let Some(memory) = &args.memory {
        Some(memory.clone())
    } else {
        let text = dialoguer::Input::<String>::new()
            .with_prompt("Memory that it may use (such as 2Gi; empty for no limit)")
            .allow_empty(true)
            .validate_with(|text: &String| match text.as_str() {
                "" => Ok(()),
                text => text.parse::<Memory>().map(|_| ()).map_err(|error| error.to_string()),
            })
            .interact_text()
            .map_err(ended)?;
        text.parse().ok()
    };
    Ok(Answers { name, memory })
}

fn text(answers: &Answers) -> String {
    let memory = match &answers.memory {
        Some(memory) => format!("memory: {memory}"),
        None => "# memory: 2Gi".to_owned(),
    };
    let resources = if answers.memory.is_some() { "resources:" } else { "# resources:" };
    let memory = if answers.memory.is_some() { format!("  {memory}") } else { "#   memory: 2Gi".to_owned() };
    format!(
        "\
# A Sandbar cluster: `sandbar up` in this folder makes it. `sandbar schema` prints every key and its values.
apiVersion: {API_VERSION}
kind: {KIND}
metadata:
  name: {name}
spec:
  # The engine that runs the node: auto, podman, docker or machine.
  engine: auto

  # The device that a machine plays; `sandbar device ls` lists those that there are, a profile of your own is a path.
  # device: raspberry-pi-4
  # Whether containers of another architecture run in it: amd64's on arm64, arm64's on amd64.
  # emulateBinaries: true

  # The node image: in the engine's store, in a registry, or an archive; left out, it is the one of this version.
  # image: ./node.tar.zst
  # Where releases, and with them that image, are downloaded from.
  # releases: https://mirror.example/sandbar

  # Where the cluster is reached from this machine. A port that is left out is the usual one where it is free.
  # ports:
  #   listenAddress: 127.0.0.1
  #   api: 6443
  #   http: 80
  #   https: 443
  #   extra:
  #     - host: 30080
  #       node: 30080

  # Limits of the whole node; what is left out is not limited.
  {resources}
  #   cpus: 2
  {memory}

  # Labels of the node.
  # labels:
  #   example.com/site: workshop

  # Configuration of the node: files, or the keys themselves.
  # config:
  #   - config/extra.yaml
  #   - debugging:
  #       logLevel: Debug

  # Applied at each start: files, or folders with a kustomization.yaml.
  # manifests:
  #   - deploy/
",
        name = answers.name,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse_file;

    #[test]
    fn what_is_written_can_be_read_also_with_every_comment_taken_away() {
        for memory in [None, "2Gi".parse().ok()] {
            let written = text(&Answers { name: "edge".to_owned(), memory: memory.clone() });
            let file = parse_file(&written).unwrap();
            assert_eq!(file.metadata.name.unwrap().as_str(), "edge");
            assert_eq!(file.spec.resources.memory, memory);

            let is_key = |line: &str| line.trim_start().starts_with("# ") && !line.ends_with('.');
            let bare: String =
                written
                    .lines()
                    .map(|line| {
                        if is_key(line) && line.starts_with("  ") {
                            line.replacen("# ", "", 1)
                        } else {
                            line.to_owned()
                        }
                    })
                    .map(|line| line + "\n")
                    .collect();
            let file = parse_file(&bare).unwrap_or_else(|error| panic!("{error}\n{bare}"));
            assert_eq!(file.spec.resources.cpus.unwrap().millis(), 2000);
            assert_eq!((file.spec.ports.http, file.spec.manifests.len(), file.spec.config.len()), (Some(80), 1, 2));
        }
    }
}
