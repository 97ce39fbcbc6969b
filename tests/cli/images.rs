//! `image load` and what bad images get.

use insta::assert_snapshot;
use sandbar::engine::ImageInfo;

use crate::sandbox::Sandbox;

/// A docker-archive of one image without layers, for an architecture.
pub fn archive(architecture: &str) -> Vec<u8> {
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
    );
    let manifest = r#"[{"Config":"config.json","RepoTags":["localhost/tiny:1"],"Layers":[]}]"#;
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in [("config.json", config.as_str()), ("manifest.json", manifest)] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn images_that_cannot_be_loaded_are_refused_with_the_reason() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["image", "load", "hello:1"]), @r"
    stderr:
    error: there is no cluster default
    hint: `sandbar up` makes one
    ----- exit code 5
    ");
    sandbox.succeed(&["up"]);
    assert_snapshot!(sandbox.run(&["image", "load", "hello:1"]), @r"
    stderr:
    error: cannot load hello:1
      because: fake has no image hello:1
    hint: `fake images` lists those that it has
    ----- exit code 1
    ");
    assert_snapshot!(sandbox.run(&["image", "load", "gone.tar"]), @r"
    stderr:
    error: cannot load gone.tar
      because: cannot open ~/gone.tar
      because: failed to query resolved metadata `~/gone.tar`: No such file or directory (os error 2)
    ----- exit code 1
    ");
    std::fs::write(sandbox.path("text.tar"), "this is no archive\n".repeat(100)).unwrap();
    assert_snapshot!(sandbox.run(&["image", "load", "text.tar"]), @r"
    stderr:
    error: cannot load text.tar
      because: it is not an image archive (no tar archive)
    ----- exit code 1
    ");
    std::fs::write(sandbox.path("cut.tar"), &archive("amd64")[..1100]).unwrap();
    assert_snapshot!(sandbox.run(&["image", "load", "cut.tar"]), @r"
    stderr:
    error: cannot load cut.tar
      because: the archive ends in the middle of a header after config.json
    hint: write the archive again, with `podman save --output FILE IMAGE`
    ----- exit code 1
    ");
    std::fs::write(sandbox.path("arm.tar"), archive("arm64")).unwrap();
    assert_snapshot!(sandbox.run(&["image", "load", "arm.tar"]), @r"
    stderr:
    error: cannot load arm.tar
      because: image localhost/tiny:1 is for arm64, the node is amd64
    hint: build it for the node: `podman build --platform linux/amd64 …`; a machine runs it, slowly, with `sandbar up --emulate-binaries --recreate`
    ----- exit code 1
    ");
    sandbox
        .engine
        .add_image(ImageInfo {
            id: format!("sha256:{}", "5".repeat(64)),
            names: vec!["localhost/arm:1".to_owned()],
            labels: sandbar::engine::Labels::new(),
            diff_ids: Vec::new(),
            architecture: "arm64".to_owned(),
            size_bytes: 1,
        })
        .unwrap();
    assert_snapshot!(sandbox.run(&["image", "load", "localhost/arm:1"]), @r"
    stderr:
    error: cannot load localhost/arm:1
      because: image localhost/arm:1 is for arm64, the node is amd64
    hint: build it for the node: `podman build --platform linux/amd64 …`; a machine runs it, slowly, with `sandbar up --emulate-binaries --recreate`
    ----- exit code 1
    ");
}

#[test]
fn a_node_that_emulates_another_architecture_takes_its_images() {
    let sandbox = Sandbox::new();
    let mut behaviour = sandbox.engine.behaviour().unwrap();
    behaviour.node.emulated = vec!["arm64".to_owned()];
    sandbox.engine.set_behaviour(&behaviour).unwrap();
    sandbox.succeed(&["up"]);
    std::fs::write(sandbox.path("arm.tar"), archive("arm64")).unwrap();
    assert_snapshot!(sandbox.run(&["image", "load", "arm.tar"]), @r"
    localhost/tiny:1: no layer moved
    ----- exit code 0
    ");
    std::fs::write(sandbox.path("riscv.tar"), archive("riscv64")).unwrap();
    let refused = sandbox.run(&["image", "load", "riscv.tar"]);
    assert!(refused.contains("is for riscv64, the node is amd64"), "{refused}");
}

#[test]
fn an_archive_is_loaded_and_listed() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up"]);
    std::fs::write(sandbox.path("tiny.tar"), archive("amd64")).unwrap();
    assert_snapshot!(sandbox.run(&["image", "load", "tiny.tar"]), @r"
    localhost/tiny:1: no layer moved
    ----- exit code 0
    ");
    let names = sandbox.succeed(&["image", "ls", "--output", "name"]);
    assert!(names.lines().any(|name| name == "localhost/tiny:1"), "{names}");
}
