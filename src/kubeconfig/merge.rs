//! Merging a cluster into the user's kubeconfig files and taking it out again, under kubectl's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::edit::{self, Change, Contents, Part};
use super::entry::Entry;
use super::lock::{self, Lock, Waiting};
use super::{KubeconfigError, Locations, file};

/// What an empty kubeconfig of ours looks like after its last entry is gone; such a file is removed.
const EMPTY: &str = "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n";

/// How a merge is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeOptions {
    /// Whether the context becomes the current one.
    pub make_current: bool,
    /// How long to wait for a lock that someone holds.
    pub timeout: Duration,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self { make_current: true, timeout: Duration::from_secs(10) }
    }
}

/// What a merge did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The files that hold the entries now; to be given to [`unmerge`].
    pub files: Vec<PathBuf>,
    /// Whether anything had to be written.
    pub changed: bool,
    /// Where the current context was changed: what the same file said before, none if it said nothing. To be given to
    /// [`unmerge`] as the first of `restore`.
    pub switched_from: Option<Option<String>>,
    /// The current context as kubectl sees it now.
    pub current: Option<String>,
}

/// What an unmerge did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unmerged {
    /// Files that entries were removed from.
    pub files: Vec<PathBuf>,
    /// Files that held nothing else and were removed.
    pub removed: Vec<PathBuf>,
    /// The current context as kubectl sees it now.
    pub current: Option<String>,
}

/// Adds or replaces the entry in the files where kubectl would. Blocks; `waiting` is called when a lock is held.
pub fn merge(
    locations: &Locations,
    entry: &Entry,
    options: MergeOptions,
    waiting: &mut dyn FnMut(&Waiting),
) -> Result<Merged, KubeconfigError> {
    let plan = |texts: &Texts| -> Plan<'_> {
        let mut plan = Plan::new();
        for (file, part) in places(texts, locations, &entry.name, options.make_current) {
            let change = part.map_or(Change::SetCurrent(&entry.name), |part| Change::Put(part, entry));
            plan.entry(file).or_default().push(change);
        }
        plan
    };
    let done = transact(locations, options.timeout, waiting, plan)?;
    let switched = done.before.current(locations) != done.after.current(locations);
    let in_default = done.before.contents(locations.default_file()).current;
    Ok(Merged {
        files: done.planned,
        changed: !done.written.is_empty(),
        switched_from: switched.then_some(in_default),
        current: done.after.current(locations).cloned(),
    })
}

/// Makes sure that [`merge`] will be able to write what it has to for an entry of that name, and changes nothing. Blocks as
/// it does.
pub fn check(
    locations: &Locations,
    name: &str,
    options: MergeOptions,
    waiting: &mut dyn FnMut(&Waiting),
) -> Result<(), KubeconfigError> {
    let texts = Texts::read(locations.files())?;
    let places = places(&texts, locations, name, options.make_current);
    let files: BTreeSet<PathBuf> = places.into_iter().map(|(file, _)| file).collect();
    let mut lockable = Vec::new();
    for path in files {
        file::check_writable(&path)?;
        if file::check_folder(&file::resolve(&path)?)? {
            lockable.push(path);
        }
    }
    lock_all(&lockable, options.timeout, waiting).map(drop)
}

/// The file where each part of an entry belongs, as kubectl has it; no part is the choice of the current context.
fn places(texts: &Texts, locations: &Locations, name: &str, make_current: bool) -> Vec<(PathBuf, Option<Part>)> {
    let mut places = Vec::new();
    for part in Part::ALL {
        let holds = |file: &&PathBuf| texts.contents(file).names(part).iter().any(|held| held == name);
        let target = locations.files().iter().find(holds).map_or(locations.default_file(), PathBuf::as_path);
        places.push((target.to_owned(), Some(part)));
        if part == Part::Context && make_current && texts.current(locations).is_none_or(|current| current != name) {
            places.push((locations.default_file().to_owned(), None));
        }
    }
    places
}

/// Removes the entries of that name from all files. Where its context is the current one, the first of `restore` that
/// still exists takes its place; the empty text stands for "none". Blocks; `waiting` is called when a lock is held.
pub fn unmerge(
    locations: &Locations,
    name: &str,
    restore: &[String],
    timeout: Duration,
    waiting: &mut dyn FnMut(&Waiting),
) -> Result<Unmerged, KubeconfigError> {
    let plan = |texts: &Texts| -> Plan<'_> {
        let mut plan = Plan::new();
        let contexts: Vec<String> =
            locations.files().iter().flat_map(|file| texts.contents(file).contexts).filter(|c| c != name).collect();
        let next = restore.iter().find(|candidate| candidate.is_empty() || contexts.contains(candidate));
        for file in locations.files() {
            let held = texts.contents(file);
            let mut changes: Vec<_> = Part::ALL
                .into_iter()
                .filter(|part| held.names(*part).iter().any(|n| n == name))
                .map(|part| Change::Drop(part, name))
                .collect();
            if held.current.as_deref() == Some(name) {
                changes.push(next.map_or(Change::UnsetCurrent, |next| Change::SetCurrent(next)));
            }
            if !changes.is_empty() {
                plan.insert(file.clone(), changes);
            }
        }
        plan
    };
    let done = transact(locations, timeout, waiting, plan)?;
    Ok(Unmerged { files: done.written, removed: done.removed, current: done.after.current(locations).cloned() })
}

/// The current context as kubectl sees it: that of the first file which names one.
pub fn current_context(locations: &Locations) -> Result<Option<String>, KubeconfigError> {
    Ok(Texts::read(locations.files())?.current(locations).cloned())
}

/// The first file that has a context of that name.
pub fn file_of(locations: &Locations, name: &str) -> Result<Option<PathBuf>, KubeconfigError> {
    let texts = Texts::read(locations.files())?;
    let holds = |file: &&PathBuf| texts.contents(file).contexts.iter().any(|context| context == name);
    Ok(locations.files().iter().find(holds).cloned())
}

/// The entry of that name and its file, where the first file that has its context has all of it.
pub fn entry_of(locations: &Locations, name: &str) -> Result<Option<(PathBuf, Entry)>, KubeconfigError> {
    let texts = Texts::read(locations.files())?;
    let holds = |file: &&PathBuf| texts.contents(file).contexts.iter().any(|context| context == name);
    let found = locations.files().iter().find(holds).and_then(|file| Some((file, texts.files.get(file)?)));
    // An entry that is not as ours are is the user's own affair.
    Ok(found.and_then(|(file, (text, _))| Some((file.clone(), Entry::of_context(text, name).ok()?))))
}

/// Changes a file each.
type Plan<'a> = BTreeMap<PathBuf, Vec<Change<'a>>>;

/// The files as they are at one moment.
struct Texts {
    files: BTreeMap<PathBuf, (String, Contents)>,
}

impl Texts {
    fn read(files: &[PathBuf]) -> Result<Self, KubeconfigError> {
        let mut texts = BTreeMap::new();
        for path in files {
            if let Some(text) = file::read(path)? {
                let contents =
                    edit::inspect(&text).map_err(|source| KubeconfigError::NotEdited { path: path.clone(), source })?;
                texts.insert(path.clone(), (text, contents));
            }
        }
        Ok(Self { files: texts })
    }

    fn contents(&self, file: &Path) -> Contents {
        self.files.get(file).map(|(_, contents)| contents.clone()).unwrap_or_default()
    }

    fn current(&self, locations: &Locations) -> Option<&String> {
        let named = |file| self.files.get(file)?.1.current.as_ref().filter(|name| !name.is_empty());
        locations.files().iter().find_map(named)
    }
}

/// What a transaction saw and did.
struct Done {
    before: Texts,
    after: Texts,
    planned: Vec<PathBuf>,
    written: Vec<PathBuf>,
    removed: Vec<PathBuf>,
}

/// Locks the files that a plan changes, in the order of their names as kubectl does, and makes sure inside the locks
/// that the plan is still the same.
fn transact<'a>(
    locations: &Locations,
    timeout: Duration,
    waiting: &mut dyn FnMut(&Waiting),
    plan: impl Fn(&Texts) -> Plan<'a>,
) -> Result<Done, KubeconfigError> {
    loop {
        let files: Vec<PathBuf> = plan(&Texts::read(locations.files())?).into_keys().collect();
        for path in &files {
            file::check_writable(path)?;
            file::make_folder(&file::resolve(path)?)?;
        }
        let _locks = lock_all(&files, timeout, waiting)?;
        let before = Texts::read(locations.files())?;
        let changes = plan(&before);
        if !changes.keys().eq(files.iter()) {
            continue;
        }
        let (mut written, mut removed) = (Vec::new(), Vec::new());
        // Everything is worked out before anything is written.
        let mut results = Vec::new();
        for (path, changes) in &changes {
            let old = before.files.get(path).map(|(text, _)| text.as_str());
            let new = edit::apply(old.unwrap_or_default(), changes)
                .map_err(|source| KubeconfigError::NotEdited { path: path.clone(), source })?;
            if old != Some(new.as_str()) {
                results.push((path, new));
            }
        }
        for (path, text) in results {
            if text == EMPTY && !path.is_symlink() {
                file::remove(path)?;
                removed.push(path.clone());
            } else {
                file::replace(path, &text)?;
                written.push(path.clone());
            }
        }
        return Ok(Done { before, after: Texts::read(locations.files())?, planned: files, written, removed });
    }
}

fn lock_all(
    files: &[PathBuf],
    timeout: Duration,
    waiting: &mut dyn FnMut(&Waiting),
) -> Result<Vec<Lock>, KubeconfigError> {
    let mut names = BTreeSet::new();
    for path in files {
        // A link and what it points to are one file: whoever edits it under the other name has to wait too.
        names.insert(path.clone());
        names.insert(file::resolve(path)?);
    }
    let mut locks = Vec::new();
    for name in &names {
        locks.push(Lock::take(name, timeout, waiting)?);
        lock::sweep(name);
    }
    Ok(locks)
}
