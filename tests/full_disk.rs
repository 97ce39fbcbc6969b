//! A disk that fills up while a node image is downloaded: said in words, and nothing on it that could be mistaken for one.
//!
//! The disk is a small one in memory, in a mount namespace of its own, which only the superuser of a Linux may make.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test without the test harness")]

#[path = "support/release_server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod release_server;

use std::path::Path;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};
use release_server::{Offer, Server};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Bytes of the disk.
const ROOM: usize = 128 << 10;

fn main() -> ExitCode {
    let can = cfg!(target_os = "linux") && sandbar::platform::native().is_superuser();
    if !can {
        eprintln!("skipped, since only the superuser of a Linux may mount: a small disk");
    }
    let test = |name: &str, run: fn(&Path)| {
        Trial::test(name, move || {
            run(tempfile::tempdir()?.path());
            Ok(())
        })
        .with_ignored_flag(!can)
    };
    let trials = vec![
        test("what_does_not_fit_is_said_before", said_before),
        test("a_disk_that_fills_up_is_said_and_what_came_stays", said_when),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Any bytes will do: it does not come to their being looked at.
fn offered(offer: impl FnOnce(Offer) -> Offer) -> Server {
    let server = Server::start();
    server.release(VERSION, &name(), offer(Offer::new(vec![7; 4 * ROOM])));
    server
}

fn name() -> String {
    format!("sandbar-node-{VERSION}-amd64.tar.zst")
}

fn said_before(home: &Path) {
    let server = offered(|offer| offer);
    let (code, said, files) = up(home, &server);
    assert_eq!(code, Some(3), "{said}");
    let expected =
        format!("error: there is no room in {}: 512 KiB are needed, ", home.join("cache/artifacts").display());
    assert!(said.contains(&expected) && said.contains(" KiB are free\n"), "{said}");
    assert!(said.contains("`sandbar cache prune`"), "{said}");
    assert_eq!(files, [format!("{} 0", name() + ".part"), format!("{} *", name() + ".part.json")], "{said}");
}

fn said_when(home: &Path) {
    // It is not known beforehand how much comes.
    let server = offered(|offer| Offer { without_length: true, ..offer });
    let (code, said, files) = up(home, &server);
    assert_eq!(code, Some(3), "{said}");
    let expected = format!("error: there is no room in {}: 0 B are free\n", home.join("cache/artifacts").display());
    assert!(said.contains(&expected), "{said}");
    let came: usize = files[0].strip_prefix(&(name() + ".part ")).unwrap().parse().unwrap();
    assert!(came > ROOM / 2 && came <= ROOM, "{files:?}");
    assert_eq!(files.len(), 2, "{files:?}");
}

/// `sandbar up` with its cache on the disk: how it ended, what it said, and which files there are with which sizes.
#[expect(clippy::disallowed_methods, reason = "the test's own way to have a small disk")]
fn up(home: &Path, server: &Server) -> (Option<i32>, String, Vec<String>) {
    let cache = home.join("cache");
    std::fs::create_dir_all(&cache).unwrap();
    let script = "mount -t tmpfs -o size=$3 none \"$1\" && \"$2\" up; code=$?; cd \"$1/artifacts\" && stat -c '%n %s' -- *; exit $code";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .args([cache.as_os_str(), env!("CARGO_BIN_EXE_sandbar").as_ref(), ROOM.to_string().as_ref()])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", home)
        .env("SANDBAR_HOME", home)
        .env("SANDBAR_RELEASES", server.url())
        .env("SANDBAR_ENGINE", format!("fake:{}", home.join("engine").display()))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let listed = text(&output.stdout);
    let files = listed.lines().map(|line| match line.split_once(".json ") {
        Some((name, _)) => format!("{name}.json *"),
        None => line.to_owned(),
    });
    (output.status.code(), text(&output.stderr), files.collect())
}
