//! The kubeconfig's files: locks, lists, links, modes, and many processes that are killed at any moment.
//!
//! The test binary runs itself again as the processes that edit (`edit FILE NAME COUNT`).
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test without the test harness")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use sandbar::kubeconfig::edit::inspect;
use sandbar::kubeconfig::{
    Entry, KubeconfigError, Locations, MergeOptions, Merged, Unmerged, Waiting, current_context, lock_path, merge,
    unmerge,
};

/// Base64 of `-----BEGIN X-----`.
const PEM: &str = "LS0tLS1CRUdJTiBYLS0tLS0=";
const MINE: &str = "# mine\nkind: Config\nclusters: []\ncontexts:\n- name: work\n  context: {cluster: c, user: u}\ncurrent-context: work\nusers: []\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, file, name, count] = arguments.as_slice()
        && command == "edit"
    {
        return edit_for_long(Path::new(file), name, count.parse().expect("a count"));
    }
    let with_kubectl = kubectl().is_some();
    if !with_kubectl {
        eprintln!("skipped, since kubectl is not installed: what is tested against kubectl");
    }
    let trials = vec![
        trial("many_processes_that_are_killed_lose_nothing", many_processes),
        trial("edits_beside_kubectl_lose_nothing", beside_kubectl).with_ignored_flag(!with_kubectl),
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

/// The process that edits: merges, removes and finally merges again an entry of its own, and says each thing it did.
fn edit_for_long(file: &Path, name: &str, count: usize) -> ExitCode {
    let locations = only(file);
    let options = MergeOptions { make_current: false, timeout: Duration::from_mins(2) };
    for round in 0..count {
        let kept = format!("{name}-{round}");
        let passing = format!("{name}-passing");
        let mut silent = |_: &Waiting| {};
        let done = merge(&locations, &entry(&passing), options, &mut silent)
            .and_then(|_| merge(&locations, &entry(&kept), options, &mut silent))
            .and_then(|_| unmerge(&locations, &passing, &[], options.timeout, &mut silent));
        if let Err(error) = done {
            eprintln!("{name}: {error:?}");
            return ExitCode::FAILURE;
        }
        // Only what was said is promised: whoever is killed before has promised nothing.
        println!("{kept}");
    }
    ExitCode::SUCCESS
}

#[expect(clippy::disallowed_methods, reason = "the test's own helper")]
fn editor(file: &Path, name: &str, count: usize) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["edit".as_ref(), file.as_os_str(), name.as_ref(), count.to_string().as_ref()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn promised(child: &mut std::process::Child) -> Vec<String> {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    // The last line of a killed process may be cut.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

/// A generator of numbers that needs no crate (Numerical Recipes' linear congruence).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn many_processes(folder: &Path) {
    let file = folder.join("config");
    fs::write(&file, MINE).unwrap();
    let mut random = Random(u64::from(std::process::id()));
    let mut expected = BTreeSet::new();
    let started = Instant::now();
    let mut killed = 0;
    for wave in 0..4 {
        let mut children: Vec<_> = (0..16).map(|process| editor(&file, &format!("w{wave}-p{process}"), 6)).collect();
        // Twelve of sixteen are killed, each at a moment of its own; where they are at that moment is left to chance.
        for child in children.iter_mut().take(12) {
            std::thread::sleep(Duration::from_millis(random.below(40)));
            child.kill().unwrap();
        }
        for (index, mut child) in children.into_iter().enumerate() {
            expected.extend(promised(&mut child));
            let status = child.wait().unwrap();
            killed += usize::from(!status.success());
            assert!(index < 12 || status.success(), "an editor that was not killed failed");
        }
    }
    assert!(killed > 0, "no process was killed in the middle");
    let text = fs::read_to_string(&file).unwrap();
    let contents = inspect(&text).expect("the file is whole");
    let lost: Vec<_> = expected.iter().filter(|name| !contents.contexts.contains(name)).collect();
    assert!(lost.is_empty(), "lost {lost:?}, killed {killed} processes");
    assert!(text.starts_with("# mine\nkind: Config\n"), "{text}");
    assert_eq!(contents.current.as_deref(), Some("work"));
    // Whoever comes next cleans up after the killed ones.
    put(&only(&file), "last").unwrap();
    assert_eq!(names(folder), ["config"], "after {:?}", started.elapsed());
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

fn beside_kubectl(folder: &Path) {
    let kubectl = kubectl().expect("kubectl is installed");
    let file = folder.join("config");
    fs::write(&file, MINE).unwrap();
    let mut children: Vec<_> = (0..4).map(|process| editor(&file, &format!("p{process}"), 8)).collect();
    let mut written = Vec::new();
    for round in 0..10 {
        let name = format!("kubectl-{round}");
        // kubectl does not wait for the lock but fails, and then has changed nothing.
        let arguments = ["config", "set-context", &name, "--cluster=c", "--user=u"];
        if run_kubectl(&kubectl, &file, &arguments).status.success() {
            written.push(name);
        }
    }
    for child in &mut children {
        written.extend(promised(child));
        assert!(child.wait().unwrap().success());
    }
    let contents = inspect(&fs::read_to_string(&file).unwrap()).unwrap();
    let lost: Vec<_> = written.iter().filter(|name| !contents.contexts.contains(name)).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    assert_eq!(names(folder), ["config"]);
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
