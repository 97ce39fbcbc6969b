//! Files that a cluster is made with: configuration drop-ins and manifests, as they will stand in the node.

use std::path::{Path, PathBuf};

use super::node_path::inside;
use crate::spec::{ClusterSpec, ConfigEntry};

/// Most bytes of all files together: they travel in one request of the engine, and manifests are text.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// A file to place in the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Path in the node.
    pub path: PathBuf,
    /// Content.
    pub content: Vec<u8>,
}

/// Why a file could not be taken along.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be read.
    #[error("cannot read {what} {}", path.display())]
    Unreadable {
        /// `configuration` or `manifest`.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A folder of manifests without a `kustomization.yaml`.
    #[error("folder {} has no kustomization.yaml", path.display())]
    NoKustomization {
        /// The folder.
        path: PathBuf,
    },
    /// A manifest of another kind of file.
    #[error("{} is not a manifest: its name does not end in .yaml, .yml or .json", path.display())]
    NotAManifest {
        /// The path.
        path: PathBuf,
    },
    /// It is not YAML.
    #[error("configuration {}, line {line}: {reason}", path.display())]
    NotYaml {
        /// The path.
        path: PathBuf,
        /// Where, from 1.
        line: u64,
        /// The parser's words.
        reason: String,
    },
    /// All together are too large.
    #[error("configuration and manifests are more than {} MiB together", MOST_BYTES >> 20)]
    TooLarge,
}

/// Reads what the specification names. The order of drop-ins is kept by the names that they get.
pub fn read_inputs(spec: &ClusterSpec) -> Result<Vec<InputFile>, InputError> {
    let mut reader = Inputs { files: Vec::new(), bytes: 0 };
    for (index, entry) in spec.config.iter().enumerate() {
        reader.config(index, entry)?;
    }
    for (index, path) in spec.manifests.iter().enumerate() {
        reader.manifest(index, path)?;
    }
    Ok(reader.files)
}

struct Inputs {
    files: Vec<InputFile>,
    bytes: u64,
}

impl Inputs {
    fn config(&mut self, index: usize, entry: &ConfigEntry) -> Result<(), InputError> {
        let content = match entry {
            // JSON is YAML; a map of strings and values always becomes JSON.
            ConfigEntry::Inline(keys) => serde_json::to_vec_pretty(keys).unwrap_or_default(),
            ConfigEntry::File(path) => {
                let content = self.read("configuration", path)?;
                let parsed: Result<serde_json::Value, _> = serde_saphyr::from_slice(&content);
                if let Err(error) = parsed {
                    let line = error.location().map_or(1, |location| location.line());
                    let reason = error.without_snippet().to_string();
                    return Err(InputError::NotYaml { path: path.clone(), line, reason });
                }
                content
            }
        };
        self.push(config_path(index, entry), content)
    }

    fn manifest(&mut self, index: usize, path: &Path) -> Result<(), InputError> {
        let unreadable = |source| InputError::Unreadable { what: "manifest", path: path.to_owned(), source };
        let name = format!("{:02}-{}", index + 10, stem(path));
        let folder = Path::new("/etc/sandbar/manifests.d");
        if std::fs::metadata(path).map_err(unreadable)?.is_dir() {
            let kustomizations = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
            if !kustomizations.iter().any(|file| path.join(file).is_file()) {
                return Err(InputError::NoKustomization { path: path.to_owned() });
            }
            return self.folder(path, &inside(folder, name));
        }
        if !path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known)) {
            return Err(InputError::NotAManifest { path: path.to_owned() });
        }
        let content = self.read("manifest", path)?;
        self.push(inside(folder, format!("{name}.yaml")), content)
    }

    fn folder(&mut self, from: &Path, to: &Path) -> Result<(), InputError> {
        let unreadable = |source| InputError::Unreadable { what: "manifest", path: from.to_owned(), source };
        let mut entries: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(from).map_err(unreadable)? {
            entries.push(entry.map_err(unreadable)?.path());
        }
        entries.sort();
        for path in entries {
            let Some(name) = path.file_name() else { continue };
            // Version control and editors keep their own things in hidden files.
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            let target = inside(to, name);
            if path.is_dir() {
                self.folder(&path, &target)?;
            } else {
                let content = self.read("manifest", &path)?;
                self.push(target, content)?;
            }
        }
        Ok(())
    }

    fn read(&self, what: &'static str, path: &Path) -> Result<Vec<u8>, InputError> {
        let unreadable = |source| InputError::Unreadable { what, path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(unreadable)?.len();
        if self.bytes + size > MOST_BYTES {
            return Err(InputError::TooLarge);
        }
        std::fs::read(path).map_err(unreadable)
    }

    fn push(&mut self, path: PathBuf, content: Vec<u8>) -> Result<(), InputError> {
        self.bytes += content.len() as u64;
        if self.bytes > MOST_BYTES {
            return Err(InputError::TooLarge);
        }
        self.files.push(InputFile { path, content });
        Ok(())
    }
}

/// Where a configuration drop-in stands in the node; the names keep their order.
pub(super) fn config_path(index: usize, entry: &ConfigEntry) -> PathBuf {
    let name = match entry {
        ConfigEntry::Inline(_) => "inline".to_owned(),
        ConfigEntry::File(path) => stem(path),
    };
    format!("/etc/sandbar/config.d/{:02}-{name}.yaml", index + 10).into()
}

/// The name of a file without its ending, with nothing that a path or shell could trip over.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_ins_and_manifests_get_names_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            path
        };
        let config = write("my extra.yaml", "debugging: {logLevel: Debug}\n");
        let manifest = write("one.json", "{}");
        let kustomization = write("app/kustomization.yaml", "resources: [base/a.yaml]\n");
        write("app/base/a.yaml", "a");
        write("app/.git/config", "not taken along");
        let inline = serde_json::json!({"node": {"x": 1}}).as_object().unwrap().clone();
        let spec = ClusterSpec {
            config: vec![ConfigEntry::File(config), ConfigEntry::Inline(inline)],
            manifests: vec![manifest, kustomization.parent().unwrap().to_owned()],
            ..ClusterSpec::with_defaults("default".parse().unwrap())
        };
        let files = read_inputs(&spec).unwrap();
        let paths: Vec<_> = files.iter().map(|file| file.path.to_str().unwrap()).collect();
        assert_eq!(
            paths,
            [
                "/etc/sandbar/config.d/10-my-extra.yaml",
                "/etc/sandbar/config.d/11-inline.yaml",
                "/etc/sandbar/manifests.d/10-one.yaml",
                "/etc/sandbar/manifests.d/11-app/base/a.yaml",
                "/etc/sandbar/manifests.d/11-app/kustomization.yaml",
            ]
        );
    }

    #[test]
    fn what_cannot_be_taken_along_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("empty")).unwrap();
        std::fs::write(path("notes.txt"), "x").unwrap();
        std::fs::write(path("bad.yaml"), "a: b\n  c: [\n").unwrap();
        std::fs::write(path("large.yaml"), vec![b'#'; 9 << 20]).unwrap();
        let spec = || ClusterSpec::with_defaults("default".parse().unwrap());
        let manifest = |name: &str| read_inputs(&ClusterSpec { manifests: vec![path(name)], ..spec() }).unwrap_err();
        assert!(matches!(manifest("gone.yaml"), InputError::Unreadable { .. }));
        assert!(matches!(manifest("empty"), InputError::NoKustomization { .. }));
        assert!(matches!(manifest("notes.txt"), InputError::NotAManifest { .. }));
        assert!(matches!(manifest("large.yaml"), InputError::TooLarge));
        let config = vec![ConfigEntry::File(path("bad.yaml"))];
        let error = read_inputs(&ClusterSpec { config, ..spec() }).unwrap_err();
        assert!(matches!(error, InputError::NotYaml { line: 2, .. }), "{error}");
    }
}
