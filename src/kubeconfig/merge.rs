//! Merging a cluster into the user's kubeconfig files and taking it out again, under kubectl's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::edit::{self, Change, Part};
use super::entry::Entry;
use super::lock::{self, Lock, Waiting};
use super::texts::Texts;
use super::{KubeconfigError, Locations, file, leftovers};

/// What an empty kubeconfig of ours looks like after its last entry is gone; such a file is removed.
const EMPTY: &str = "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n";

/// After this a file is looked at again: a kubectl that read it before it was changed has written it by then.
const MOMENT: Duration = Duration::from_millis(50);
/// How often in a row a change may be undone until somebody must mean it.
const UNDONE: usize = 8;
/// How long at least the lock of whoever undid a change is waited for; kubectl has it for milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

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
    let plan = |texts: &Texts, make_current: bool| -> Plan<'_> {
        let mut plan = Plan::new();
        for (file, part) in places(texts, locations, &entry.name, make_current) {
            let change = part.map_or(Change::SetCurrent(&entry.name), |part| Change::Put(part, entry));
            plan.entry(file).or_default().push(change);
        }
        plan
    };
    // Which context is the current one is the choice of whoever chose last.
    let (all, lasting) = (|texts: &Texts| plan(texts, options.make_current), |texts: &Texts| plan(texts, false));
    let done = transact_for_good(locations, options.timeout, waiting, &all, &lasting)?;
    let switched = done.before.current(locations) != done.after.current(locations);
    let in_default = done.before.contents(locations.default_file()).current;
    Ok(Merged {
        changed: done.changed(),
        files: done.planned,
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
    let done = transact_for_good(locations, timeout, waiting, &plan, &plan)?;
    leftovers::clear(locations)?;
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
    let found = locations.files().iter().find(holds).and_then(|file| Some((file, texts.text(file)?)));
    // An entry that is not as ours are is the user's own affair.
    Ok(found.and_then(|(file, text)| Some((file.clone(), Entry::of_context(text, name).ok()?))))
}

/// Changes of a file each.
type Plan<'a> = BTreeMap<PathBuf, Vec<Change<'a>>>;

/// What a transaction saw and did.
struct Done {
    before: Texts,
    after: Texts,
    planned: Vec<PathBuf>,
    written: Vec<PathBuf>,
    removed: Vec<PathBuf>,
}

impl Done {
    fn changed(&self) -> bool {
        !self.written.is_empty() || !self.removed.is_empty()
    }
}

/// Does what `plan` says, and does it again where somebody undoes what `lasting` says.
///
/// kubectl's `config set-…` works on what it read before it took the lock, and takes out again what came in between or puts
/// back what went (client-go, `ModifyConfig`). So nothing counts as done that is not still there a moment later.
fn transact_for_good<'a>(
    locations: &Locations,
    timeout: Duration,
    waiting: &mut dyn FnMut(&Waiting),
    plan: &dyn Fn(&Texts) -> Plan<'a>,
    lasting: &dyn Fn(&Texts) -> Plan<'a>,
) -> Result<Done, KubeconfigError> {
    let mut done = transact(locations, timeout, waiting, plan)?;
    let mut lately = done.changed();
    let mut undone = 0;
    while lately {
        std::thread::sleep(MOMENT);
        let texts = Texts::read(locations.files())?;
        let missing = results(&texts, &lasting(&texts))?;
        let Some((path, _)) = missing.into_iter().next() else { break };
        undone += 1;
        if undone > UNDONE {
            return Err(KubeconfigError::Undone { path });
        }
        // Whoever undid it has put back the current context, too, unless somebody has chosen another one since then.
        let whole = texts.current(locations) == done.before.current(locations);
        let again = transact(locations, timeout.max(PATIENCE), waiting, if whole { plan } else { lasting })?;
        lately = again.changed();
        done.after = again.after;
    }
    Ok(done)
}

/// Locks the files that a plan changes, in the order of their names as kubectl does, and makes sure inside the locks
/// that the plan is still the same.
fn transact<'a>(
    locations: &Locations,
    timeout: Duration,
    waiting: &mut dyn FnMut(&Waiting),
    plan: &dyn Fn(&Texts) -> Plan<'a>,
) -> Result<Done, KubeconfigError> {
    loop {
        let files: Vec<PathBuf> = plan(&Texts::read(locations.files())?).into_keys().collect();
        for path in &files {
            file::check_writable(path)?;
            file::make_folder(&file::resolve(path)?)?;
        }
        let _locks = lock_all(&files, timeout, waiting)?;
        let before = Texts::read_locked(locations.files(), &files)?;
        let changes = plan(&before);
        if !changes.keys().eq(files.iter()) {
            continue;
        }
        let (mut written, mut removed) = (Vec::new(), Vec::new());
        // Everything is worked out before anything is written.
        for (path, text) in results(&before, &changes)? {
            if text == EMPTY && !path.is_symlink() {
                file::remove(&path)?;
                removed.push(path);
            } else {
                file::replace(&path, &text)?;
                written.push(path);
            }
        }
        let after = Texts::read_locked(locations.files(), &files)?;
        return Ok(Done { before, after, planned: files, written, removed });
    }
}

/// The files that a plan would change, and how they would be then.
fn results(texts: &Texts, plan: &Plan<'_>) -> Result<Vec<(PathBuf, String)>, KubeconfigError> {
    let mut results = Vec::new();
    for (path, changes) in plan {
        let old = texts.text(path);
        let new = edit::apply(old.unwrap_or_default(), changes)
            .map_err(|source| KubeconfigError::NotEdited { path: path.clone(), source })?;
        if old != Some(new.as_str()) {
            results.push((path.clone(), new));
        }
    }
    Ok(results)
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
