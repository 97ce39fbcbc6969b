//! `make test-riscv64`, with programs in place of those that build and boot: what is skipped, and what is a failure.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// What apt said of Debian's mirror on 27 November 2026.
const STALE: &str = "\
E: Failed to fetch http://deb.debian.org/debian/dists/trixie-updates/main/binary-riscv64/Packages.xz  File has unexpected size (720 != 1108). Mirror sync in progress? [IP: 203.0.113.80 80]
   Hashes of expected file:
    - Filesize:1108 [weak]
    - SHA256:eea860c5dea11680e64299adb2736c2367c4235763a66f2b70ca61ce1b51978a
   Release file created at: Thu, 26 Nov 2026 02:14:46 +0000
E: Some index files failed to download. They have been ignored, or old ones used instead.
";
const MISSING: &str = "\
E: Failed to fetch http://deb.debian.org/debian/dists/trixie/main/binary-riscv64/Packages  404  Not Found [IP: 203.0.113.80 80]
E: Some index files failed to download. They have been ignored, or old ones used instead.
";
const MISMATCH: &str = "\
E: Failed to fetch http://deb.debian.org/debian-security/dists/trixie-security/main/binary-riscv64/Packages.xz  Hash Sum mismatch
   Hashes of expected file:
E: Some index files failed to download. They have been ignored, or old ones used instead.
";
const UNRESOLVED: &str = "\
E: Failed to fetch http://deb.debian.org/debian/dists/trixie/InRelease  Could not resolve 'deb.debian.org'
E: Some index files failed to download. They have been ignored, or old ones used instead.
";
/// What mmdebstrap says when apt has said any of that.
const QUIET: &str = "\
E: apt-get update --error-on=any -oAPT::Status-Fd=<$fd> -oDpkg::Use-Pty=false failed
E: mmdebstrap failed to run
";
const UNPACKED: &str = "E: setup failed: E: command failed: sh /tmp/unpack\nE: mmdebstrap failed to run\n";
const NO_PACKAGE: &str =
    "E: Failed to fetch http://deb.debian.org/debian/pool/main/c/crun/crun_1.21-1_riscv64.deb  404  Not Found\n";
const PASSED: &str = "riscv64 has passed with these inputs\n";

/// A tree with the scripts, whose `images/machine/build.sh`, `apt-get` and `go` say and do as they are told.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new(made: &str, lists: &str, booted: bool) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for folder in ["bin", "scripts", "images/machine", "images/node", "contract"] {
            fs::create_dir_all(tree.path().join(folder)).unwrap();
        }
        fs::write(tree.path().join("Cargo.toml"), "").unwrap();
        for script in ["test-riscv64.sh", "undelivered.sh", "counted.sh"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script);
            fs::copy(from, tree.path().join("scripts").join(script)).unwrap();
        }
        tree.says("images/machine/build.sh", made, made.is_empty());
        tree.says("bin/apt-get", lists, lists.is_empty());
        tree.says("bin/qemu-system-riscv64", "", true);
        // `go version` succeeds, `go test` as told.
        tree.program("bin/go", &format!("[ \"$1\" = version ] || exit {}", i32::from(!booted)));
        tree
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn program(&self, name: &str, does: &str) {
        let path = self.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{does}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn says(&self, name: &str, words: &str, succeeds: bool) {
        self.program(name, &format!("cat >&2 <<'END'\n{words}END\nexit {}", i32::from(!succeeds)));
    }

    fn run(&self) -> (Option<i32>, String) {
        #[expect(clippy::disallowed_methods, reason = "a script, with programs of the test's own")]
        let output: Output = Command::new(self.path().join("scripts/test-riscv64.sh"))
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.path().join("bin").display()))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

#[test]
fn a_mirror_without_usable_lists_skips_riscv64() {
    for (made, lists, reason) in [
        (
            QUIET,
            STALE,
            "trixie-updates/main/binary-riscv64/Packages.xz: File has unexpected size (720 != 1108). Mirror sync in progress?",
        ),
        (QUIET, MISSING, "trixie/main/binary-riscv64/Packages: 404  Not Found"),
        (QUIET, MISMATCH, "trixie-security/main/binary-riscv64/Packages.xz: Hash Sum mismatch"),
        (
            STALE,
            STALE,
            "trixie-updates/main/binary-riscv64/Packages.xz: File has unexpected size (720 != 1108). Mirror sync in progress?",
        ),
    ] {
        let (code, said) = Tree::new(made, lists, true).run();
        let skipped: Vec<&str> = said.lines().filter(|line| line.starts_with("skipped ")).collect();
        assert_eq!((code, skipped.len()), (Some(0), 1), "{said}");
        assert!(
            skipped[0].starts_with("skipped  a machine of riscv64: http://deb.debian.org/")
                && skipped[0].ends_with(reason),
            "{said}"
        );
    }
}

#[test]
fn whatever_else_fails_on_riscv64_is_a_failure() {
    for (made, lists, booted) in [
        // The mirror is fine, or is when it is asked again; or something else is wrong with it.
        ("pause.c:1: error: no compiler\n", "", true),
        (QUIET, "", true),
        (QUIET, UNRESOLVED, true),
        (QUIET, "E: Unable to lock directory /tmp/lists/\n", true),
        // The lists are unusable, and it was something else that failed.
        ("pause.c:1: error: no compiler\n", STALE, true),
        (UNPACKED, STALE, true),
        (NO_PACKAGE, STALE, true),
        // The set was made, and does not boot.
        ("", STALE, false),
    ] {
        let tree = Tree::new(made, lists, booted);
        for _ in 0..2 {
            let (code, said) = tree.run();
            assert!(code == Some(1) && !said.contains("skipped  ") && !said.contains(PASSED), "{code:?} {said}");
        }
    }
}

#[test]
fn riscv64_that_has_passed_is_not_done_again() {
    let tree = Tree::new("", "", true);
    let (code, said) = tree.run();
    assert!(code == Some(0) && said.contains("1 passed, 0 failed, 0 skipped\n"), "{code:?} {said}");
    assert_eq!(tree.run(), (Some(0), PASSED.to_owned()));
    fs::write(tree.path().join("contract/new"), "").unwrap();
    assert!(tree.run().1.contains("1 passed, 0 failed, 0 skipped\n"));
}
