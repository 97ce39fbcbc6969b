//! Files of this machine that a program in the node is to read: what `kubectl apply -f` and `-k` name.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::node_path::inside;
use crate::engine::{Engine, EngineError, ExecRequest};

/// Verbs of kubectl for which `-f` and `-k` name files and folders; for others they mean something else, as for `logs`.
const VERBS: &str = "\
    annotate apply auth autoscale certificate convert create debug delete describe diff edit exec expose get \
    label patch replace rollout scale set wait";
/// Options that stand before a verb and have their value in the next argument (`kubectl options`).
const WITH_VALUE: &str = "\
    -n -s -v --as --as-group --as-uid --as-user-extra --cache-dir --certificate-authority --client-certificate \
    --client-key --cluster --context --kubeconfig --kuberc --log-flush-frequency --namespace --profile \
    --profile-output --request-timeout --server --tls-server-name --token";
/// Letters of options without a value, which may stand in one argument before `f` and `k`.
const SWITCHES: [char; 6] = ['A', 'R', 'i', 'q', 't', 'w'];
/// Most bytes that are carried: manifests are text, and they travel in one request.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Why files could not be carried into the node.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// They are too large.
    #[error("{} and what else is named are more than {} MiB together", path.display(), MOST_BYTES >> 20)]
    TooLarge {
        /// The path with which it became too much.
        path: PathBuf,
    },
    /// What was copied is still in the node.
    #[error("{folder} in the node could not be removed: `rm` ended with exit code {code}")]
    NotRemoved {
        /// The folder in the node.
        folder: String,
        /// The exit code.
        code: i64,
    },
    /// The engine did not take them.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Arguments for a program in the node, and what they name.
#[derive(Debug)]
pub struct Carried {
    /// The arguments, with paths in the node in place of paths here.
    pub arguments: Vec<String>,
    /// The folder in the node that will hold what they name, and that as an archive; none where they name nothing here.
    files: Option<(String, Vec<u8>)>,
}

/// Takes the files and folders of this machine that kubectl's arguments name, and names them as they will be called in the
/// node. `here` is the folder that relative paths start from. What is no file here (a URL, `-`) stays as it is.
pub fn carry(here: &Path, arguments: Vec<String>) -> Result<Carried, CarryError> {
    let folder = format!("sandbar-{}", std::process::id());
    let mut archive = tar::Builder::new(Vec::new());
    let (arguments, paths) = renamed(arguments, &format!("/{folder}"), |path| here.join(path).exists());
    if paths.is_empty() {
        return Ok(Carried { arguments, files: None });
    }
    for (path, entry) in paths {
        let path = here.join(path);
        let unreadable = |source| CarryError::Unreadable { path: path.clone(), source };
        let entry = inside(&folder, entry);
        if path.is_dir() {
            archive.append_dir_all(entry, &path).map_err(unreadable)?;
        } else {
            archive.append_path_with_name(&path, entry).map_err(unreadable)?;
        }
        if archive.get_ref().len() > MOST_BYTES {
            return Err(CarryError::TooLarge { path });
        }
    }
    let bytes = archive.into_inner().map_err(|source| CarryError::Unreadable { path: here.to_owned(), source })?;
    Ok(Carried { arguments, files: Some((format!("/{folder}"), bytes)) })
}

impl Carried {
    /// Copies them into the node.
    pub async fn place(&self, engine: &dyn Engine, node: &str) -> Result<(), CarryError> {
        let Some((_, archive)) = &self.files else { return Ok(()) };
        Ok(engine.copy_in(node, "/", Box::pin(Cursor::new(archive.clone()))).await?)
    }

    /// Removes what was copied, or a part of it: there may be secrets in it.
    pub async fn remove(self, engine: &dyn Engine, node: &str) -> Result<(), CarryError> {
        let Some((folder, _)) = self.files else { return Ok(()) };
        let command = vec!["rm".to_owned(), "-rf".to_owned(), folder.clone()];
        let session = engine.exec(node, ExecRequest { command, ..ExecRequest::default() }).await?;
        match session.control.wait().await? {
            0 => Ok(()),
            code => Err(CarryError::NotRemoved { folder, code }),
        }
    }
}

/// The arguments with the paths that `exists` put below `folder`, each in a folder of its own so that names cannot clash;
/// and those paths with where below `folder` they belong.
fn renamed(
    arguments: Vec<String>,
    folder: &str,
    exists: impl Fn(&str) -> bool,
) -> (Vec<String>, Vec<(String, PathBuf)>) {
    let mut paths = Vec::new();
    let mut place = |path: &str| {
        if !exists(path) {
            return None;
        }
        // `.` and `..` have no name of their own.
        let name = Path::new(path).file_name().map_or_else(|| PathBuf::from("files"), PathBuf::from);
        let entry = inside(paths.len().to_string(), name);
        let there = format!("{folder}/{}", entry.display());
        paths.push((path.to_owned(), entry));
        Some(there)
    };
    let takes_files = verb(&arguments).is_some_and(|verb| is_among(verb, VERBS));
    let mut ended = !takes_files;
    let mut value_is_path = false;
    let mut renamed = Vec::with_capacity(arguments.len());
    for argument in arguments {
        ended |= argument == "--" && !value_is_path;
        let value = if ended || value_is_path { None } else { value_of(&argument) };
        let there = match value {
            _ if ended => None,
            _ if value_is_path => place(&argument),
            Some("") | None => None,
            Some(path) => place(path).map(|there| argument[..argument.len() - path.len()].to_owned() + &there),
        };
        value_is_path = value == Some("");
        renamed.push(there.unwrap_or(argument));
    }
    (renamed, paths)
}

/// The verb among kubectl's arguments.
fn verb(arguments: &[String]) -> Option<&str> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if !argument.starts_with('-') {
            return Some(argument);
        }
        if is_among(argument, WITH_VALUE) {
            rest.next();
        }
    }
    None
}

fn is_among(word: &str, words: &str) -> bool {
    words.split(' ').any(|other| other == word)
}

/// What an option that names a file has for its value in the same argument, empty where the value is the next one; none
/// for every other argument. Letters can be joined and joined with the value, as in `-Rf FILE`, `-fFILE` and `-f=FILE`.
fn value_of(argument: &str) -> Option<&str> {
    if let Some(long) = argument.strip_prefix("--") {
        let (name, value) = long.split_once('=').unwrap_or((long, ""));
        return ["filename", "kustomize"].contains(&name).then_some(value);
    }
    let letters = argument.strip_prefix('-')?.trim_start_matches(SWITCHES);
    let value = letters.strip_prefix(['f', 'k'])?;
    Some(value.strip_prefix('=').unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> (String, Vec<String>) {
        let arguments = line.split(' ').map(str::to_owned).collect();
        let (arguments, paths) = renamed(arguments, "/x", |path| !path.starts_with("http") && path != "-");
        (arguments.join(" "), paths.into_iter().map(|(path, entry)| format!("{path} as {}", entry.display())).collect())
    }

    #[test]
    fn files_and_folders_get_their_place_in_the_node() {
        assert_eq!(
            of("apply -f a/b.yaml"),
            ("apply -f /x/0/b.yaml".to_owned(), vec!["a/b.yaml as 0/b.yaml".to_owned()])
        );
        assert_eq!(of("apply -k ."), ("apply -k /x/0/files".to_owned(), vec![". as 0/files".to_owned()]));
        for (line, expected) in [
            ("apply --filename=b.yaml -f c/b.yaml", "apply --filename=/x/0/b.yaml -f /x/1/b.yaml"),
            ("apply -fb.yaml -f=c.yaml", "apply -f/x/0/b.yaml -f=/x/1/c.yaml"),
            ("apply -Rf dir -n x", "apply -Rf /x/0/dir -n x"),
            ("-n logs apply -f a.yaml", "-n logs apply -f /x/0/a.yaml"),
            ("--context=c --request-timeout 5s delete -k dir", "--context=c --request-timeout 5s delete -k /x/0/dir"),
            ("exec -it -f pod.yaml -- sh -f a", "exec -it -f /x/0/pod.yaml -- sh -f a"),
            ("rollout status -f a.yaml", "rollout status -f /x/0/a.yaml"),
        ] {
            assert_eq!(of(line).0, expected);
        }
    }

    #[test]
    fn what_is_no_file_stays() {
        for line in [
            "apply -f -",
            "apply -f https://example.com/a.yaml",
            "get pods -o=yaml",
            "logs -f hello",
            "-n x logs -f hello",
            "-n apply logs -f hello",
            "--namespace apply logs --since 5m -f hello",
            "exec p -- sh -f a",
            "get pods -ofile",
            "get pods -lk=v",
            "plugin -f a",
            "-f a",
        ] {
            assert_eq!(of(line), (line.to_owned(), Vec::new()), "{line}");
        }
    }
}
