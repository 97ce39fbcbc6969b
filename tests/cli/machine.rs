//! Machines where QEMU is not what it should be.

use std::os::unix::fs::PermissionsExt;

use crate::sandbox::Sandbox;

/// What `up` says of a machine, with no engine named by the environment.
fn up(sandbox: &Sandbox) -> String {
    let output = sandbox.command(&["up", "--engine", "machine"]).env_remove("SANDBAR_ENGINE").output().unwrap();
    sandbox.show(&output)
}

#[test]
fn without_qemu_its_package_is_named() {
    let sandbox = Sandbox::new();
    let said = up(&sandbox);
    let program = sandbar::engine::machine::host_program();
    assert!(said.contains(&format!("error: {program} is not installed\n")), "{said}");
    assert!(said.contains("hint: install QEMU 9 or later, which has it: on Debian"), "{said}");
    assert!(said.trim_end().ends_with("----- exit code 3"), "{said}");
    assert!(sandbox.remains().is_empty());
}

#[test]
fn a_qemu_that_is_too_old_is_refused() {
    let sandbox = Sandbox::new();
    let program = format!("bin/{}", sandbar::engine::machine::host_program());
    sandbox.write(&program, "#!/bin/sh\necho 'QEMU emulator version 7.2.17 (Debian 1:7.2+dfsg-7)'\n");
    std::fs::set_permissions(sandbox.path(&program), PermissionsExt::from_mode(0o755)).unwrap();
    let said = up(&sandbox);
    let words = "error: QEMU 7.2.17 is too old: machines need TIME or later, which can keep a machine's memory in a file (mapped-ram)\n";
    assert!(said.contains(words), "{said}");
    assert!(said.contains("bookworm-backports") && said.trim_end().ends_with("----- exit code 3"), "{said}");
}
