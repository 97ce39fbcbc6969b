//! Which kubeconfig files count, by kubectl's rules.

use std::path::{Path, PathBuf};

use super::KubeconfigError;

/// Where kubeconfigs are: one explicit file, the list in `KUBECONFIG`, or the default file.
///
/// The rules are those of client-go's `clientcmd.PathOptions`: an explicit file is the only one that counts; in a list
/// the first file that has an entry is the one where it is changed, and something new goes to the first file that
/// exists, or else to the last one of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    files: Vec<PathBuf>,
}

impl Locations {
    /// From `--kubeconfig FILE`, the parts of `KUBECONFIG` and the home directory, in this order of precedence.
    /// Empty parts of the list do not count, and a file counts once.
    pub fn new(explicit: Option<&Path>, list: &[PathBuf], home: Option<&Path>) -> Result<Self, KubeconfigError> {
        if let Some(file) = explicit {
            return Ok(Self { files: vec![file.to_owned()] });
        }
        let mut files: Vec<PathBuf> = Vec::new();
        for file in list.iter().filter(|file| !file.as_os_str().is_empty()) {
            if !files.contains(file) {
                files.push(file.clone());
            }
        }
        if files.is_empty() {
            files.push(home.ok_or(KubeconfigError::NoLocation)?.join(".kube").join("config"));
        }
        Ok(Self { files })
    }

    /// The files, in the order in which kubectl reads them.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The file that something new is written to: the first that exists, or else the last.
    #[must_use]
    pub fn default_file(&self) -> &Path {
        let existing = self.files.iter().find(|file| file.exists());
        // The list is never empty by construction.
        existing.or(self.files.last()).map_or(Path::new(""), PathBuf::as_path)
    }

    /// The same files and, after them, others, such as those that an earlier merge wrote to.
    #[must_use]
    pub fn with(&self, more: &[PathBuf]) -> Self {
        let mut files = self.files.clone();
        files.extend(more.iter().filter(|file| !self.files.contains(file)).cloned());
        Self { files }
    }
}
