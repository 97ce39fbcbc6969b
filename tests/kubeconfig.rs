//! The kubeconfig's files: locks, lists, links, modes, and many processes that are killed at any moment.
//!
//! The test binary runs itself again as the processes that edit (`edit FILE NAME COUNT`).
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test without the test harness")]

#[path = "support/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use random::Random;
use sandbar::kubeconfig::edit::inspect;
use sandbar::kubeconfig::{
    Entry, KubeconfigError, Locations, MergeOptions, Merged, Unmerged, Waiting, clear, current_context, lock_path,
    merge, unmerge,
};

/// Base64 of `-----BEGIN X-----`.
const PEM: &str = "LS0tLS1CRUdJTiBYLS0tLS0=";
const MINE: &str = "# mine\nkind: Config\nclusters: []\ncontexts:\n- name: work\n  context: {cluster: c, user: u}\ncurrent-context: work\nusers: []\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, file, name, count, left @ ..] = arguments.as_slice()
        && command == "edit"
    {
        return edit_for_long(Path::new(file), name, count.parse().expect("a count"), left);
    }
    let with_kubectl = kubectl().is_some();
    if !with_kubectl {
        eprintln!("skipped, since kubectl is not installed: what is tested against kubectl");
    }
    let trials = vec![
        trial("many_processes_that_are_killed_lose_nothing_beside_kubectl", storm),
        trial("an_edit_that_is_undone_is_done_again", undone),
        trial("two_that_choose_the_current_context_do_not_fight", chosen),
        trial("a_lock_of_kubectl_is_waited_for_and_never_removed", held_lock),
        trial("a_lock_that_a_killed_process_left_is_removed", left_lock),
        trial("a_new_file_is_private_and_goes_when_it_is_empty", new_file),
        trial("an_existing_file_becomes_private_and_keeps_its_owner", existing_file),
        trial("a_link_stays_a_link", link),
        trial("a_list_is_read_and_written_as_kubectl_does", list),
        trial("a_list_of_missing_files_writes_the_last", missing_list),
        trial("a_file_that_does_not_parse_stays_as_it_is", unparsable),
        trial("a_read_only_file_stays_as_it_is", read_only),
        trial("a_folder_that_cannot_be_written_is_named", unwritable_folder),
        trial("drafts_of_killed_processes_are_removed", drafts),
        trial("what_killed_processes_left_goes_also_where_nothing_changes", leftovers_alone),
        trial("kubectl_reads_what_is_written", kubectl_reads).with_ignored_flag(!with_kubectl),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, test: fn(&Path)) -> Trial {
    Trial::test(name, move || {
        let folder = tempfile::tempdir().map_err(|error| Failed::from(error.to_string()))?;
        test(folder.path());
        Ok(())
    })
}

fn entry(name: &str) -> Entry {
    Entry {
        name: name.to_owned(),
        server: "https://127.0.0.1:6443".to_owned(),
        certificate_authority_data: PEM.to_owned(),
        client_certificate_data: PEM.to_owned(),
        client_key_data: PEM.to_owned(),
    }
}

fn only(file: &Path) -> Locations {
    Locations::new(Some(file), &[], None).unwrap()
}

fn put(locations: &Locations, name: &str) -> Result<Merged, KubeconfigError> {
    merge(locations, &entry(name), MergeOptions::default(), &mut |_| {})
}

fn take(locations: &Locations, name: &str, restore: &[&str]) -> Result<Unmerged, KubeconfigError> {
    let restore: Vec<String> = restore.iter().map(|&name| name.to_owned()).collect();
    unmerge(locations, name, &restore, Duration::from_secs(10), &mut |_| {})
}

/// Everything in a folder, to see that nothing is left there.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The process that edits: takes out what the one before it left, then merges an entry of its own after the other, each time
/// taking the one before out again. It says each thing that it did, `put NAME BEGUN DONE` and `took NAME BEGUN DONE`, and before
/// it takes something out, `takes NAME`; `missed NAME` where that was not there.
fn edit_for_long(file: &Path, name: &str, count: usize, left: &[String]) -> ExitCode {
    let locations = only(file);
    let options = MergeOptions { make_current: false, timeout: Duration::from_mins(2) };
    let put = |own: &str| -> Result<(), KubeconfigError> {
        let begun = now();
        merge(&locations, &entry(own), options, &mut |_| {})?;
        // Only what was said is promised: whoever is killed before has promised nothing.
        println!("put {own} {begun} {}", now());
        Ok(())
    };
    let take = |own: &str| -> Result<(), KubeconfigError> {
        println!("takes {own}");
        let begun = now();
        let taken = unmerge(&locations, own, &[], options.timeout, &mut |_| {})?;
        if taken.files.is_empty() {
            println!("missed {own}");
        }
        println!("took {own} {begun} {}", now());
        Ok(())
    };
    let edit = || -> Result<(), KubeconfigError> {
        left.iter().try_for_each(|left| take(left))?;
        for round in 0..count {
            put(&format!("{name}-{round}"))?;
            if let Some(before) = round.checked_sub(1) {
                take(&format!("{name}-{before}"))?;
            }
        }
        Ok(())
    };
    match edit() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// The time that all processes share, in nanoseconds.
fn now() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos()
}

#[expect(clippy::disallowed_methods, reason = "the test's own helper")]
fn editor(file: &Path, name: &str, count: usize, left: &[String]) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["edit".as_ref(), file.as_os_str(), name.as_ref(), count.to_string().as_ref()])
        .args(left)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What an editor said before it ended.
fn said(child: &mut std::process::Child) -> Vec<String> {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    // The last line of a killed process may be cut.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

/// When something was begun and done.
type Span = (u128, u128);

/// What editors promised: what has to be in the file and what must not be there.
#[derive(Default)]
struct Promises {
    edits: usize,
    there: BTreeMap<String, Span>,
    gone: BTreeMap<String, Span>,
    /// What somebody has begun to take out, with when it was put in; none where somebody else, who was killed, had begun that
    /// before, so that it may be out already.
    taken: BTreeMap<String, Option<Span>>,
    /// What was not there when it was to be taken out.
    missed: Vec<(String, Span)>,
}

impl Promises {
    fn note(&mut self, line: &str) {
        let mut words = line.split(' ');
        let (what, name) = (words.next().unwrap(), words.next().unwrap().to_owned());
        let mut span = || (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap());
        match what {
            "put" => _ = self.there.insert(name, span()),
            "takes" => {
                let span = self.there.remove(&name);
                self.taken.insert(name, span);
            }
            "missed" => {
                let span = self.taken.remove(&name).flatten();
                self.missed.extend(span.map(|span| (name, span)));
            }
            "took" => {
                self.taken.remove(&name);
                self.gone.insert(name, span());
            }
            other => panic!("an editor said {other}"),
        }
        self.edits += usize::from(["put", "took"].contains(&what));
    }

    /// What is, or may be, in the file by an editor of that name.
    fn left(&self, editor: &str) -> Vec<String> {
        self.there.keys().chain(self.taken.keys()).filter(|name| name.starts_with(editor)).cloned().collect()
    }

    /// What the file does not keep, with when it was done.
    fn broken(&self, contexts: &[String]) -> Vec<(String, Span)> {
        let lost = self.there.iter().filter(|(name, _)| !contexts.contains(name));
        let back = self.gone.iter().filter(|(name, _)| contexts.contains(name));
        let broken = lost.chain(back).map(|(name, span)| (name.clone(), *span));
        broken.chain(self.missed.iter().cloned()).collect()
    }
}

/// A thousand edits by sixteen processes at a time, two of three of which are killed at some moment, while kubectl edits the
/// same file and a reader looks at it again and again.
fn storm(folder: &Path) {
    const EDITS: usize = 1000;
    let file = folder.join("config");
    fs::write(&file, MINE).unwrap();
    let begun = Instant::now();
    let mut random = Random::new();
    let (mut kubectls, editors): (Random, [Random; 16]) = (random.branch(), std::array::from_fn(|_| random.branch()));
    let (promises, killed, looks) = (Mutex::new(Promises::default()), AtomicUsize::new(0), AtomicUsize::new(0));
    let over = || promises.lock().unwrap().edits >= EDITS;
    // kubectl empties the file before it writes it again; only then may a reader find less than a whole one.
    let kubectl_runs = Mutex::new(());
    let by_kubectl = std::thread::scope(|scope| {
        for (slot, mut random) in editors.into_iter().enumerate() {
            let (file, killed, promises, over) = (&file, &killed, &promises, &over);
            scope.spawn(move || {
                for life in 0.. {
                    if over() {
                        break;
                    }
                    let left = promises.lock().unwrap().left(&format!("s{slot}-"));
                    let mut child = editor(file, &format!("s{slot}-l{life}"), 6, &left);
                    let dies = random.below(3) != 0;
                    if dies {
                        // The moment of its death is left to chance.
                        std::thread::sleep(Duration::from_millis(random.below(800)));
                        child.kill().unwrap();
                    }
                    let said = said(&mut child);
                    let status = child.wait().unwrap();
                    assert!(dies || status.success(), "an editor that was not killed failed");
                    killed.fetch_add(usize::from(!status.success()), Ordering::Relaxed);
                    let mut promises = promises.lock().unwrap();
                    for line in &said {
                        promises.note(line);
                    }
                }
            });
        }
        scope.spawn(|| {
            while !over() {
                let text = {
                    let _kubectl_waits = kubectl_runs.lock().unwrap();
                    fs::read_to_string(&file).unwrap()
                };
                let contents = inspect(&text).expect("the file is whole at each moment");
                assert!(contents.contexts.contains(&"work".to_owned()), "{text}");
                looks.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let kubectl_edits = scope.spawn(|| {
            let mut written = Vec::new();
            let Some(kubectl) = kubectl() else { return written };
            for round in 0.. {
                if over() {
                    break;
                }
                let name = format!("kubectl-{round}");
                // kubectl does not wait for the lock but fails, and then has changed nothing.
                let arguments = ["config", "set-context", &name, "--cluster=c", "--user=u"];
                let alone = kubectl_runs.lock().unwrap();
                let begun = now();
                if run_kubectl(&kubectl, &file, &arguments).status.success() {
                    written.push((name, (begun, now())));
                    drop(alone);
                    std::thread::sleep(Duration::from_millis(kubectls.below(400)));
                }
            }
            written
        });
        kubectl_edits.join().unwrap()
    });
    let (promises, killed, looks) = (promises.into_inner().unwrap(), killed.into_inner(), looks.into_inner());
    let contents = inspect(&fs::read_to_string(&file).unwrap()).expect("the file is whole");
    let broken = promises.broken(&contents.contexts);
    eprintln!(
        "{} edits, {killed} processes killed, {} edits by kubectl, {looks} looks, {} edits lost, {:?}",
        promises.edits,
        by_kubectl.len(),
        broken.len(),
        begun.elapsed(),
    );
    assert!(killed > 10, "{killed} processes were killed in the middle");
    // A kubectl that was held up for longer than an edit is looked after may undo it all the same; nobody else may.
    let by_kubectl_alone =
        |(_, (_, done)): &(String, Span)| by_kubectl.iter().any(|(_, (from, to))| (from..to).contains(&done));
    let by_others: Vec<_> = broken.iter().filter(|edit| !by_kubectl_alone(edit)).collect();
    assert!(by_others.is_empty(), "{by_others:?} is not so, while kubectl ran {by_kubectl:?}");
    let lost: Vec<_> = by_kubectl.iter().filter(|(name, _)| !contents.contexts.contains(name)).collect();
    assert!(lost.is_empty(), "kubectl's own edits are lost: {lost:?}");
    assert!(contents.contexts.contains(&"work".to_owned()) && contents.current.as_deref() == Some("work"));
    // Whoever comes next cleans up after the killed ones.
    put(&only(&file), "last").unwrap();
    assert_eq!(names(folder), ["config"]);
}

/// What a kubectl does that read the file before somebody else's edit: it writes what it read, under its lock, once `edited` holds
/// of the file's text. It does that so many times, unless it is `over`; returns how often, and when it was through.
fn undo(file: &Path, read: &str, edited: impl Fn(&str) -> bool, times: usize, over: &AtomicBool) -> (usize, Instant) {
    let pause = || std::thread::sleep(Duration::from_millis(1));
    for done in 0..times {
        while !edited(&fs::read_to_string(file).unwrap_or_default()) {
            if over.load(Ordering::Relaxed) {
                return (done, Instant::now());
            }
            pause();
        }
        while fs::OpenOptions::new().write(true).create_new(true).open(lock_path(file)).is_err() {
            pause();
        }
        fs::write(file, read).unwrap();
        fs::remove_file(lock_path(file)).unwrap();
    }
    (times, Instant::now())
}

/// Edits a file that says `before` while a kubectl undoes that so many times, and returns what came of it. A kubectl that was not
/// in time, since this machine had other things to do, does not count.
fn edit_beside<T>(
    file: &Path,
    before: &str,
    edited: impl Fn(&str) -> bool + Sync,
    times: usize,
    edit: impl Fn() -> T,
) -> T {
    for _ in 0..100 {
        fs::write(file, before).unwrap();
        let over = AtomicBool::new(false);
        let (done, ended, (undone, written)) = std::thread::scope(|scope| {
            let kubectl = scope.spawn(|| undo(file, before, &edited, times, &over));
            let (done, ended) = (edit(), Instant::now());
            over.store(true, Ordering::Relaxed);
            (done, ended, kubectl.join().unwrap())
        });
        // Well before the last look at the file, which is at the end.
        if undone == times && written + Duration::from_millis(20) < ended {
            return done;
        }
    }
    panic!("kubectl was never in time");
}

fn undone(folder: &Path) {
    let file = folder.join("config");
    let has = |text: &str| text.contains("sandbar-a");
    let merged = edit_beside(&file, MINE, has, 2, || put(&only(&file), "sandbar-a").unwrap());
    assert_eq!((merged.changed, merged.switched_from), (true, Some(Some("work".to_owned()))));
    assert_eq!(merged.current.as_deref(), Some("sandbar-a"));
    let with_it = fs::read_to_string(&file).unwrap();
    assert!(has(&with_it) && inspect(&with_it).unwrap().current.as_deref() == Some("sandbar-a"), "{with_it}");

    let is_out = |text: &str| !text.is_empty() && !has(text);
    let take_it = || take(&only(&file), "sandbar-a", &["work"]).unwrap();
    let unmerged = edit_beside(&file, &with_it, is_out, 2, take_it);
    assert_eq!(unmerged.files, std::slice::from_ref(&file));
    assert_eq!(fs::read_to_string(&file).unwrap(), MINE);

    // What is undone each time is not said to be done.
    let error = edit_beside(&file, MINE, has, 9, || put(&only(&file), "sandbar-a")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("kubeconfig {} is changed back by another program each time", file.display())
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), MINE);
    assert_eq!(names(folder), ["config"]);
}

fn chosen(folder: &Path) {
    let file = folder.join("config");
    fs::write(&file, MINE).unwrap();
    put(&only(&file), "sandbar-a").unwrap();
    // Two that make theirs the current one do not fight for it: the later one wins.
    std::thread::scope(|scope| {
        let first = scope.spawn(|| put(&only(&file), "sandbar-b").unwrap());
        let second = scope.spawn(|| put(&only(&file), "sandbar-c").unwrap());
        assert!(first.join().unwrap().changed && second.join().unwrap().changed);
    });
    let contents = inspect(&fs::read_to_string(&file).unwrap()).unwrap();
    let current = contents.current.unwrap();
    assert!(["sandbar-b", "sandbar-c"].contains(&current.as_str()), "{current}");
    assert!(["sandbar-a", "sandbar-b", "sandbar-c"].iter().all(|name| contents.contexts.contains(&(*name).to_owned())));
}

/// This machine's, or else the node's, which runs anywhere.
fn kubectl() -> Option<PathBuf> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("build").join(architecture).join("node/usr/bin");
    let folders = std::env::split_paths("/usr/local/bin:/usr/bin:/bin").chain([built]);
    folders.map(|folder| folder.join("kubectl")).find(|path| path.is_file())
}

#[expect(clippy::disallowed_methods, reason = "kubectl is what is tested against")]
fn run_kubectl(kubectl: &Path, kubeconfig: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new(kubectl).args(arguments).env_clear().env("KUBECONFIG", kubeconfig).output().unwrap()
}

fn kubectl_reads(folder: &Path) {
    let kubectl = kubectl().expect("kubectl is installed");
    let file = folder.join("config");
    fs::write(&file, MINE).unwrap();
    put(&only(&file), "sandbar-a").unwrap();
    let output =
        run_kubectl(&kubectl, &file, &["config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "https://127.0.0.1:6443", "{output:?}");
    let output = run_kubectl(&kubectl, &file, &["config", "get-contexts", "-o", "name"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "sandbar-a\nwork\n");
}

fn held_lock(folder: &Path) {
    let file = folder.join("config");
    fs::write(&file, MINE).unwrap();
    let lock = lock_path(&file);
    fs::write(&lock, "").unwrap();
    let options = MergeOptions { make_current: true, timeout: Duration::from_millis(600) };
    let mut told = Vec::new();
    let error = merge(&only(&file), &entry("a"), options, &mut |waiting| told.push(waiting.clone())).unwrap_err();
    assert_eq!(told, [Waiting { path: lock.clone(), holder: None }]);
    assert!(matches!(&error, KubeconfigError::Locked { path, holder: None, age: Some(_), .. } if *path == lock));
    assert!(error.to_string().starts_with(&format!("kubeconfig is locked: {} exists; waited", lock.display())));
    assert!(lock.exists() && fs::read_to_string(&file).unwrap() == MINE);
    // As soon as it is gone, the edit goes on.
    let release = std::thread::spawn({
        let lock = lock.clone();
        move || {
            std::thread::sleep(Duration::from_millis(400));
            fs::remove_file(lock).unwrap();
        }
    });
    put(&only(&file), "a").unwrap();
    release.join().unwrap();
    assert_eq!(names(folder), ["config"]);
}

fn left_lock(folder: &Path) {
    let file = folder.join("config");
    // What a killed sandbar leaves: its words, and no kernel lock.
    fs::write(lock_path(&file), "sandbar 4711\n").unwrap();
    put(&only(&file), "a").unwrap();
    assert_eq!(names(folder), ["config"]);
    // One that is held in the kernel belongs to a living process, whatever its number.
    let held = fs::File::create(lock_path(&file)).unwrap();
    held.lock().unwrap();
    fs::write(lock_path(&file), "sandbar 4711\n").unwrap();
    let options = MergeOptions { make_current: true, timeout: Duration::from_millis(50) };
    let error = merge(&only(&file), &entry("b"), options, &mut |_| {}).unwrap_err();
    assert!(
        matches!(&error, KubeconfigError::Locked { holder: Some(who), .. } if who == "sandbar (process 4711)"),
        "{error}"
    );
}

fn new_file(folder: &Path) {
    let file = folder.join("home/.kube/config");
    let locations = Locations::new(None, &[], Some(&folder.join("home"))).unwrap();
    let merged = put(&locations, "a").unwrap();
    assert_eq!(
        (merged.files, merged.switched_from, merged.current),
        (vec![file.clone()], Some(None), Some("a".to_owned()))
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!put(&locations, "a").unwrap().changed);
    let unmerged = take(&locations, "a", &[]).unwrap();
    assert_eq!((unmerged.removed, unmerged.current), (vec![file.clone()], None));
    assert!(names(file.parent().unwrap()).is_empty());
    // Again, and for a cluster that never was: nothing to do is no error.
    assert_eq!(take(&locations, "a", &[]).unwrap(), Unmerged::default());
}

fn existing_file(folder: &Path) {
    let file = folder.join("config");
    fs::write(&file, MINE).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let superuser = fs::metadata("/proc/self").unwrap().uid() == 0;
    if superuser {
        std::os::unix::fs::chown(&file, Some(4711), Some(4712)).unwrap();
    }
    let merged = put(&only(&file), "a").unwrap();
    assert_eq!(merged.switched_from, Some(Some("work".to_owned())));
    let meta = fs::metadata(&file).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    assert!(!superuser || (meta.uid(), meta.gid()) == (4711, 4712));
    take(&only(&file), "a", &["work"]).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), MINE);
}

fn link(folder: &Path) {
    fs::create_dir(folder.join("real")).unwrap();
    fs::create_dir(folder.join("home")).unwrap();
    let (real, link) = (folder.join("real/config"), folder.join("home/config"));
    fs::write(&real, MINE).unwrap();
    symlink("../real/config", &link).unwrap();
    put(&only(&link), "a").unwrap();
    assert!(link.is_symlink());
    assert_eq!(inspect(&fs::read_to_string(&real).unwrap()).unwrap().current.as_deref(), Some("a"));
    assert_eq!(
        (names(&folder.join("real")), names(&folder.join("home"))),
        (vec!["config".to_owned()], vec!["config".to_owned()])
    );
    // Whoever edits the file under its other name is waited for.
    fs::write(lock_path(&real), "").unwrap();
    let options = MergeOptions { make_current: true, timeout: Duration::from_millis(50) };
    assert!(matches!(merge(&only(&link), &entry("b"), options, &mut |_| {}), Err(KubeconfigError::Locked { .. })));
    // A link to nothing makes the file that it points to.
    let dangling = folder.join("home/dangling");
    symlink("../real/new/config", &dangling).unwrap();
    put(&only(&dangling), "a").unwrap();
    assert!(dangling.is_symlink() && folder.join("real/new/config").is_file());
}

fn list(folder: &Path) {
    let [missing, first, second] = ["missing", "first", "second"].map(|name| folder.join(name));
    fs::write(&first, "kind: Config\nclusters: []\ncontexts: []\nusers: []\n").unwrap();
    fs::write(&second, MINE).unwrap();
    let locations =
        Locations::new(None, &[missing.clone(), PathBuf::new(), first.clone(), second.clone()], None).unwrap();
    assert_eq!(current_context(&locations).unwrap().as_deref(), Some("work"));
    let before = fs::read_to_string(&first).unwrap();
    // Something new goes to the first file that exists.
    let merged = put(&locations, "a").unwrap();
    assert_eq!((merged.files, merged.switched_from), (vec![first.clone()], Some(None)));
    assert_eq!(fs::read_to_string(&second).unwrap(), MINE);
    // Without a current context of its own, the one of the second file counts again.
    assert_eq!(take(&locations, "a", &[]).unwrap().current.as_deref(), Some("work"));
    assert_eq!(fs::read_to_string(&first).unwrap(), before);
    // What stands in the second file is changed there.
    put(&only(&second), "a").unwrap();
    let merged = put(&locations, "a").unwrap();
    assert_eq!((merged.files, merged.changed), (vec![second.clone()], false));
    // With another list, the file of the merge is still found by its record.
    let other = Locations::new(None, std::slice::from_ref(&first), None).unwrap();
    take(&other.with(std::slice::from_ref(&second)), "a", &["work"]).unwrap();
    assert_eq!(fs::read_to_string(&second).unwrap(), MINE);
    assert!(!missing.exists());
    assert_eq!(names(folder), ["first", "second"]);
}

fn missing_list(folder: &Path) {
    let [one, two] = ["one", "two"].map(|name| folder.join(name));
    let locations = Locations::new(None, &[one, two.clone()], None).unwrap();
    assert_eq!(put(&locations, "a").unwrap().files, [two]);
    assert_eq!(names(folder), ["two"]);
    assert!(matches!(Locations::new(None, &[], None), Err(KubeconfigError::NoLocation)));
}

fn unparsable(folder: &Path) {
    let file = folder.join("config");
    for (bytes, words) in [
        (&b"kind: Config\nclusters:\n- name: [\n"[..], "line 3, column 9: unclosed bracket '['"),
        (b"kind: Config\nx: \xff\n", "line 2 is not UTF-8"),
        (b"kind: Pod\n", "it is not a kubeconfig: its kind is Pod"),
    ] {
        fs::write(&file, bytes).unwrap();
        let before = fs::metadata(&file).unwrap().ino();
        for error in [put(&only(&file), "a").unwrap_err(), take(&only(&file), "a", &[]).unwrap_err()] {
            let chain = format!("{:#}", anyhow::Error::from(error));
            assert!(chain.contains(&file.display().to_string()) && chain.ends_with(words), "{chain}");
        }
        assert!(fs::read(&file).unwrap() == bytes && fs::metadata(&file).unwrap().ino() == before);
        assert_eq!(names(folder), ["config"]);
    }
}

fn read_only(folder: &Path) {
    let file = folder.join("config");
    fs::write(&file, MINE).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let error = put(&only(&file), "a").unwrap_err();
    assert_eq!(error.to_string(), format!("kubeconfig {} is read-only", file.display()));
    assert_eq!(fs::read_to_string(&file).unwrap(), MINE);
    let error = put(&only(folder), "a").unwrap_err();
    assert_eq!(error.to_string(), format!("kubeconfig {} is not a file", folder.display()));
    assert_eq!(names(folder), ["config"]);
}

fn unwritable_folder(_: &Path) {
    // The superuser may write to every folder but one that the kernel does not let anyone write to.
    let file = Path::new("/proc/self/config");
    let error = put(&only(file), "a").unwrap_err();
    assert!(matches!(&error, KubeconfigError::Io { path, .. } if path.starts_with("/proc/self")), "{error}");
}

fn drafts(folder: &Path) {
    let file = folder.join("config");
    fs::write(&file, MINE).unwrap();
    for name in [".config.draft-abc", ".config.lock.sandbar-abc"] {
        fs::write(folder.join(name), "left").unwrap();
    }
    fs::write(folder.join(".config.swp"), "of an editor").unwrap();
    put(&only(&file), "a").unwrap();
    assert_eq!(names(folder), [".config.swp", "config"]);
}

/// Whoever was killed had done it all, or had not begun: there is nothing to change.
fn leftovers_alone(folder: &Path) {
    let file = folder.join("config");
    fs::write(&file, MINE).unwrap();
    let leave = || {
        fs::write(folder.join(".config.draft-abc"), "left").unwrap();
        fs::write(folder.join(".config.lock.sandbar-abc"), "left").unwrap();
        fs::write(lock_path(&file), "sandbar 4711\n").unwrap();
    };
    let alone = || names(folder) == ["config"] && fs::read_to_string(&file).unwrap() == MINE;
    leave();
    take(&only(&file), "a", &[]).unwrap();
    assert!(alone(), "{:?}", names(folder));
    leave();
    clear(&only(&file)).unwrap();
    assert!(alone(), "{:?}", names(folder));
    // A link's own lock and that of what it leads to.
    let link = folder.join("link");
    symlink(&file, &link).unwrap();
    leave();
    fs::write(lock_path(&link), "sandbar 4711\n").unwrap();
    clear(&only(&link)).unwrap();
    assert_eq!(names(folder), ["config", "link"]);
    fs::remove_file(&link).unwrap();
    // What somebody holds stays, and is not waited for.
    fs::write(folder.join(".config.draft-abc"), "of somebody").unwrap();
    fs::write(lock_path(&file), "").unwrap();
    clear(&only(&file)).unwrap();
    assert_eq!(names(folder), [".config.draft-abc", "config", "config.lock"]);
}
