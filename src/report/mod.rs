//! One archive with all that somebody else needs to see why a cluster is as it is, and nothing that is private.
//!
//! Parts are gathered at the same time, each with a deadline of its own; one that cannot be had is a line in `report.json`.
//! All of them pass the [`Obfuscator`](obfuscate::Obfuscator) before anything is written. Nothing here changes a cluster,
//! and nothing here knows a command line.

mod archive;
mod files;
mod keys;
mod known;
mod node;
pub mod obfuscate;
mod patterns;
mod previous;
mod private;
mod resources;
mod since;
mod sources;
mod tokens;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use serde::Serialize;

use self::obfuscate::{Learner, ObfuscateError};
pub use self::previous::ARCHIVE as FAILURE_ARCHIVE;
use self::sources::SOURCES;
use self::tokens::Tokens;
use crate::engine::{Engine, EngineError, NodeState};
use crate::env::Env;
use crate::node::NodeError;
use crate::platform::Platform;
use crate::spec::ClusterName;
use crate::store::{Record, Store, StoreError};
use crate::ui::reporter::Phase;

/// Version of the form of `report.json`, of the map and of the command's own report.
const SCHEMA_VERSION: u32 = 1;

/// What a report is about, as far as it is there.
pub struct Subject<'a> {
    /// The cluster.
    pub name: &'a ClusterName,
    /// Its engine, or why that cannot be asked.
    pub engine: Result<Arc<dyn Engine>, String>,
    /// What is remembered of it.
    pub record: Option<Record>,
    /// Its node, as the engine has it.
    pub node: Option<NodeState>,
    /// What went wrong, where the report is made because of that.
    pub failure: Option<serde_json::Value>,
    /// Sandbar's own files.
    pub store: &'a Store,
    /// The system.
    pub platform: &'a dyn Platform,
    /// The environment of this process.
    pub env: &'a Env,
    /// Kubeconfigs of the user, whose credentials are not to be told.
    pub kubeconfigs: Vec<PathBuf>,
}

/// How a report is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// When it is made.
    pub now: Timestamp,
    /// From when on logs count.
    pub since: Option<Timestamp>,
    /// Whether addresses, host and user names stay as they are. Secrets never do.
    pub keep_names: bool,
    /// How long any part may take.
    pub limit: Duration,
}

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportFile {
    /// Its path in the archive.
    pub path: String,
    /// Its size in bytes.
    pub bytes: usize,
}

/// Something that should be in the archive and is not, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// What it is.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of this report's form.
    pub schema_version: u32,
    /// The cluster.
    pub name: ClusterName,
    /// The archive; none where it went to a stream.
    pub archive: Option<PathBuf>,
    /// The file that says what the tokens stand for; none where names were kept or there are no tokens.
    pub map: Option<PathBuf>,
    /// Size of the archive in bytes.
    pub bytes: usize,
    /// What is in it, sorted.
    pub files: Vec<ReportFile>,
    /// What is not.
    pub missing: Vec<Missing>,
    /// How many things of each kind were masked.
    pub masked: BTreeMap<&'static str, usize>,
}

/// Why a report could not be made at all.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// What is private cannot be masked.
    #[error(transparent)]
    Obfuscate(#[from] ObfuscateError),
    /// The archive cannot be made.
    #[error("the report's archive cannot be made")]
    Archive(#[source] std::io::Error),
    /// A file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why one part of it could not be had.
#[derive(Debug, thiserror::Error)]
enum PartError {
    #[error("{0}")]
    Unavailable(String),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Read(#[from] std::io::Error),
}

/// What one source gave.
#[derive(Default)]
struct Gathered {
    files: BTreeMap<String, Content>,
    missing: Vec<Missing>,
    /// Values that are masked and never told.
    secrets: Vec<Vec<u8>>,
    /// What is in files that are not JSON, to learn from.
    learn: Vec<serde_json::Value>,
}

enum Content {
    Json(serde_json::Value),
    Text(Vec<u8>),
}

impl Gathered {
    fn json(path: &str, value: &impl Serialize) -> Self {
        let mut gathered = Self::default();
        gathered.add(path, Content::Json(serde_json::json!(value)));
        gathered
    }

    fn add(&mut self, path: &str, content: Content) {
        self.files.insert(path.to_owned(), content);
    }

    fn lacks(&mut self, what: impl Into<String>, reason: impl std::fmt::Display) {
        self.missing.push(Missing { what: what.into(), reason: reason.to_string() });
    }
}

/// A report that is ready to be written.
pub struct Packed {
    archive: Vec<u8>,
    tokens: Tokens,
    report: Report,
    keep_names: bool,
}

/// Gathers everything and masks what is private.
pub async fn make(subject: &Subject<'_>, options: &Options, phase: Option<&Phase<'_>>) -> Result<Packed, ReportError> {
    let mut running: FuturesUnordered<_> = SOURCES
        .iter()
        .map(|source| async move {
            let result = tokio::time::timeout(options.limit, (source.gather)(subject, options)).await;
            let late = || PartError::Unavailable(format!("it was not there within {:?}", options.limit));
            (source.what, result.unwrap_or_else(|_| Err(late())))
        })
        .collect();
    let mut all = Gathered::default();
    while let Some((what, result)) = running.next().await {
        match result {
            Ok(part) => {
                all.files.extend(part.files);
                all.missing.extend(part.missing);
                all.secrets.extend(part.secrets);
                all.learn.extend(part.learn);
            }
            Err(error) => all.lacks(what, error),
        }
        if let Some(phase) = phase {
            phase.detail(format!("{} of {} parts", SOURCES.len() - running.len(), SOURCES.len()));
        }
    }
    all.missing.sort();
    pack(subject, options, all)
}

/// Masks what is private in all that was gathered.
fn pack(subject: &Subject<'_>, options: &Options, all: Gathered) -> Result<Packed, ReportError> {
    let mut learner = Learner::new()?;
    private::learn(&mut learner, subject);
    for secret in &all.secrets {
        learner.known.secret(secret);
    }
    for json in &all.learn {
        learner.known.json(json);
    }
    let mut texts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (path, content) in all.files {
        let text = match content {
            Content::Json(json) => {
                learner.known.json(&json);
                format!("{json:#}\n").into_bytes()
            }
            Content::Text(text) => text,
        };
        learner.text(&text);
        texts.insert(path, text);
    }
    let networks = subject.record.as_ref().map(|record| record.networks);
    let inside = networks.map_or_else(usual_networks, |networks| vec![networks.cluster, networks.service]);
    let mut obfuscator = learner.obfuscator(inside, options.keep_names)?;
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (path, text) in texts {
        let masked = obfuscator.text(&text);
        // Names of files come from names of objects, and those may have anything in them.
        let path = String::from_utf8_lossy(&obfuscator.text(path.as_bytes())).into_owned();
        files.insert(path, masked);
    }
    let listed: Vec<ReportFile> =
        files.iter().map(|(path, text)| ReportFile { path: path.clone(), bytes: text.len() }).collect();
    let missing: Vec<Missing> = all
        .missing
        .into_iter()
        .map(|missing| {
            let reason = String::from_utf8_lossy(&obfuscator.text(missing.reason.as_bytes())).into_owned();
            Missing { reason, ..missing }
        })
        .collect();
    let masked = obfuscator.tokens.counts();
    let index = serde_json::json!({
        "schemaVersion": SCHEMA_VERSION, "name": subject.name, "made": options.now, "since": options.since,
        "version": env!("CARGO_PKG_VERSION"), "namesKept": options.keep_names,
        "files": listed, "missing": missing, "masked": masked,
    });
    files.insert("report.json".to_owned(), format!("{index:#}\n").into_bytes());
    let archive = archive::pack(&folder_name(subject.name, options.now), &files, options.now);
    let archive = archive.map_err(ReportError::Archive)?;
    let report = Report {
        schema_version: SCHEMA_VERSION,
        name: subject.name.clone(),
        archive: None,
        map: None,
        bytes: archive.len(),
        files: files.iter().map(|(path, text)| ReportFile { path: path.clone(), bytes: text.len() }).collect(),
        missing,
        masked,
    };
    Ok(Packed { archive, tokens: obfuscator.tokens, report, keep_names: options.keep_names })
}

impl Packed {
    /// The archive, to be written to a stream.
    #[must_use]
    pub fn archive(&self) -> &[u8] {
        &self.archive
    }

    /// Writes the archive and, beside it, what the tokens stand for; both for their owner alone.
    pub fn write(self, archive: &Path) -> Result<Report, ReportError> {
        archive::write(archive, &self.archive)?;
        let mut report = self.write_map(&map_path(archive))?;
        report.archive = Some(archive.to_owned());
        Ok(report)
    }

    /// Writes what the tokens stand for, where there are any.
    pub fn write_map(self, map: &Path) -> Result<Report, ReportError> {
        let mut report = self.report;
        let tokens = self.tokens.map();
        if !self.keep_names && !tokens.is_empty() {
            let value = serde_json::json!({ "schemaVersion": SCHEMA_VERSION, "name": report.name, "tokens": tokens });
            archive::write(map, format!("{value:#}\n").as_bytes())?;
            report.map = Some(map.to_owned());
        }
        Ok(report)
    }
}

/// The name of a report's archive, without its ending, and of the folder in it.
#[must_use]
pub fn folder_name(name: &ClusterName, now: Timestamp) -> String {
    format!("sandbar-report-{name}-{}", now.strftime("%Y%m%dT%H%M%SZ"))
}

/// Where the map of an archive is: beside it.
#[must_use]
pub fn map_path(archive: &Path) -> PathBuf {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let stem = [".tar.gz", ".tgz"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name).to_owned();
    archive.with_file_name(format!("{stem}-map.json"))
}

/// Networks of pods and services where nothing says which they are.
fn usual_networks() -> Vec<crate::spec::Cidr> {
    [[10, 42, 0, 0], [10, 43, 0, 0]].map(|address| crate::spec::Cidr::new(address.into(), 16)).to_vec()
}
