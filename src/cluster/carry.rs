//! Files of this machine that a program in the node is to read: what `kubectl apply -f` and `-k` name.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use crate::engine::{Engine, EngineError, ExecRequest};

/// Options of kubectl that name a file or a folder.
const OPTIONS: [&str; 4] = ["-f", "--filename", "-k", "--kustomize"];
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
    /// The engine did not take them.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Arguments for a program in the node, and the folder there that holds what they name.
#[derive(Debug, PartialEq, Eq)]
pub struct Carried {
    /// The arguments, with paths in the node in place of paths here.
    pub arguments: Vec<String>,
    folder: Option<String>,
}

/// Copies the files and folders of this machine that kubectl's arguments name into the node, and names them there.
/// `here` is the folder that relative paths start from. What is no file here (a URL, `-`) stays as it is.
pub async fn carry(
    engine: &dyn Engine,
    node: &str,
    here: &Path,
    arguments: Vec<String>,
) -> Result<Carried, CarryError> {
    let folder = format!("sandbar-{}", std::process::id());
    let mut archive = tar::Builder::new(Vec::new());
    let (arguments, paths) = renamed(arguments, &format!("/{folder}"), |path| here.join(path).exists());
    if paths.is_empty() {
        return Ok(Carried { arguments, folder: None });
    }
    for (path, entry) in paths {
        let path = here.join(path);
        let unreadable = |source| CarryError::Unreadable { path: path.clone(), source };
        let entry = Path::new(&folder).join(entry);
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
    engine.copy_in(node, "/", Box::pin(Cursor::new(bytes))).await?;
    Ok(Carried { arguments, folder: Some(format!("/{folder}")) })
}

impl Carried {
    /// Removes what was copied.
    pub async fn remove(self, engine: &dyn Engine, node: &str) -> Result<(), EngineError> {
        let Some(folder) = self.folder else { return Ok(()) };
        let command = vec!["rm".to_owned(), "-rf".to_owned(), folder];
        let session = engine.exec(node, ExecRequest { command, ..ExecRequest::default() }).await?;
        session.control.wait().await?;
        Ok(())
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
        let entry = PathBuf::from(paths.len().to_string()).join(name);
        let there = format!("{folder}/{}", entry.display());
        paths.push((path.to_owned(), entry));
        Some(there)
    };
    // `kubectl logs -f NAME` follows; the NAME is no file.
    let follows = arguments.iter().find(|argument| !argument.starts_with('-')).is_some_and(|verb| verb == "logs");
    let mut value_is_path = false;
    let mut ended = follows;
    let mut renamed = Vec::with_capacity(arguments.len());
    for argument in arguments {
        ended |= argument == "--";
        let there = match argument.split_once('=') {
            _ if ended => None,
            _ if value_is_path => place(&argument),
            Some((option, path)) if OPTIONS.contains(&option) => place(path).map(|there| format!("{option}={there}")),
            _ => None,
        };
        value_is_path = !value_is_path && OPTIONS.contains(&argument.as_str());
        renamed.push(there.unwrap_or(argument));
    }
    (renamed, paths)
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
        assert_eq!(of("apply --filename=b.yaml -f c/b.yaml").0, "apply --filename=/x/0/b.yaml -f /x/1/b.yaml");
    }

    #[test]
    fn what_is_no_file_stays() {
        for line in [
            "apply -f -",
            "apply -f https://example.com/a.yaml",
            "get pods -o=yaml",
            "logs -f hello",
            "exec p -- sh -f a",
        ] {
            assert_eq!(of(line), (line.to_owned(), Vec::new()), "{line}");
        }
    }
}
