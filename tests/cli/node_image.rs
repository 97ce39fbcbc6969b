//! Where the image of a new node comes from, and the cache.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use insta::assert_snapshot;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::release_server::{Fault, Offer, Server, digest};
use crate::sandbox::Sandbox;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const NAME: &str = concat!("sandbar-node-", env!("CARGO_PKG_VERSION"), "-amd64.tar.zst");

/// A docker-archive of a node image without layers. `more` makes it larger.
fn archive(name: &str, architecture: &str, contract: &str, more: usize) -> Vec<u8> {
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] },
        "config": { "Labels": { "dev.sandbar.contract": contract } },
    })
    .to_string();
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": [name], "Layers": [] }]).to_string();
    // Something that does not get smaller.
    let more: Vec<u8> = (0..more.div_ceil(32)).flat_map(|n| digest(&n.to_le_bytes()).into_bytes()).take(more).collect();
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in [("manifest.json", manifest.as_bytes()), ("config.json", config.as_bytes()), ("more", &more)]
    {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn of_this_version() -> Vec<u8> {
    archive(&format!("localhost/sandbar-node:{VERSION}"), "amd64", "1", 100)
}

fn packed(archive: &[u8]) -> Vec<u8> {
    compress_to_vec(archive, CompressionLevel::Fastest)
}

/// A server with the release of this version.
fn released(offer: Offer) -> Server {
    let server = Server::start();
    server.release(VERSION, NAME, offer);
    server
}

/// Runs the program with that place of releases.
fn run(sandbox: &Sandbox, releases: &str, arguments: &[&str]) -> String {
    sandbox.show(&sandbox.command(arguments).env("SANDBAR_RELEASES", releases).output().unwrap())
}

/// What was said of where the image came from.
fn said(output: &str) -> String {
    output.lines().filter(|line| line.contains("node image: ")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn without_anything_the_release_is_downloaded_once() {
    let (sandbox, server) = (Sandbox::without_image(), released(Offer::new(packed(&of_this_version()))));
    let up = run(&sandbox, &server.url(), &["up", "--verbose"]);
    assert!(up.ends_with("exit code 0"), "{up}");
    assert_snapshot!(said(&up), @r"
    node image: fake's store has no localhost/sandbar-node:0.1.0
    node image: the cache has no sandbar-node-0.1.0-amd64.tar.zst
    node image: taken from release 0.1.0 at http://127.0.0.1:PORT
    ");
    assert!(up.contains(&format!("downloading http://127.0.0.1:PORT/v{VERSION}/{NAME}\n")), "{up}");
    // What the cluster was made from is in the engine: neither a start nor another cluster needs the server.
    drop(server);
    sandbox.succeed(&["stop"]);
    sandbox.succeed(&["start"]);
    let second = sandbox.run(&["up", "second", "--verbose"]);
    assert_snapshot!(said(&second), @r"
    node image: taken from fake's store: sha256:a7f67ab631a9634b523d47d12529f64acd3b3601da2b4eb750e89f5f9e3ad023
    ");
}

#[test]
fn what_the_engine_lost_comes_from_the_cache() {
    let (sandbox, server) = (Sandbox::without_image(), released(Offer::new(packed(&of_this_version()))));
    sandbox.succeed_with(&["up"], &server.url());
    drop(server);
    let bare = Sandbox::without_image();
    copy(&sandbox.path(".cache/sandbar/artifacts"), &bare.path(".cache/sandbar/artifacts"));
    assert_snapshot!(said(&bare.run(&["up", "--verbose"])), @r"
    node image: fake's store has no localhost/sandbar-node:0.1.0
    node image: taken from the cache: ~/.cache/sandbar/artifacts/sandbar-node-0.1.0-amd64.tar.zst
    ");

    // A damaged file is of no use, and not used.
    let third = Sandbox::without_image();
    copy(&sandbox.path(".cache/sandbar/artifacts"), &third.path(".cache/sandbar/artifacts"));
    std::fs::write(third.path(&format!(".cache/sandbar/artifacts/{NAME}")), "damaged").unwrap();
    let up = third.run(&["up", "--verbose"]);
    assert_snapshot!(up, @r"
    stderr:
    ✓ Engine answers  TIME
    node image: fake's store has no localhost/sandbar-node:0.1.0
    node image: sandbar-node-0.1.0-amd64.tar.zst in the cache is of no use: it was changed or damaged
    node image: taken from release 0.1.0 at http://127.0.0.1:PORT
    downloading http://127.0.0.1:PORT/v0.1.0/sandbar-node-0.1.0-amd64.tar.zst
    error: http://127.0.0.1:PORT/v0.1.0/SHA256SUMS cannot be reached: Connection refused (os error 111)
    hint: behind a proxy: `HTTPS_PROXY=http://HOST:PORT sandbar up`; SANDBAR_RELEASES, or `releases:` in sandbar.yaml, says where releases are
    hint: without a network: download it elsewhere, then `sandbar up --node-image FILE`
    ----- exit code 3
    ");
    assert!(third.remains().is_empty(), "{:?}", third.remains());
}

#[test]
fn a_release_that_is_not_there_is_said_with_what_to_do() {
    let (sandbox, server) = (Sandbox::without_image(), Server::start());
    assert_snapshot!(run(&sandbox, &server.url(), &["up"]), @r"
    stderr:
    downloading http://127.0.0.1:PORT/v0.1.0/sandbar-node-0.1.0-amd64.tar.zst
    error: there is no http://127.0.0.1:PORT/v0.1.0/SHA256SUMS (HTTP status 404)
    hint: SANDBAR_RELEASES, or `releases:` in sandbar.yaml, says where releases are
    hint: `sandbar up --node-image FILE` takes an archive that you have; from the sources, `make image` builds the node image
    ----- exit code 3
    ");
    server.release(VERSION, NAME, Offer::new("something else"));
    server.offer(&format!("/v{VERSION}/SHA256SUMS"), Offer::new(format!("{}  {NAME}\n", "0".repeat(64))));
    assert_snapshot!(run(&sandbox, &server.url(), &["up"]), @r"
    stderr:
    downloading http://127.0.0.1:PORT/v0.1.0/sandbar-node-0.1.0-amd64.tar.zst
    error: http://127.0.0.1:PORT/v0.1.0/sandbar-node-0.1.0-amd64.tar.zst is not what it should be: its SHA-256 digest is f41f3fa625ff120ddca7ef456bf66371ecea23c129f4e4c32367101edb516cf8, not 0000000000000000000000000000000000000000000000000000000000000000
    hint: nothing of it was kept; `sandbar up` downloads it again
    hint: if it happens again, the file there is not the release's: SANDBAR_RELEASES, or `releases:` in sandbar.yaml, says where releases are
    ----- exit code 1
    ");
    assert_snapshot!(run(&sandbox, "ftp://releases", &["up"]), @r"
    stderr:
    error: SANDBAR_RELEASES cannot be used: the address of releases is not http://HOST/PATH or https://HOST/PATH
    ----- exit code 2
    ");
    assert!(sandbox.remains().is_empty(), "{:?}", sandbox.remains());
    assert!(!sandbox.path(&format!(".cache/sandbar/artifacts/{NAME}")).exists());
}

#[test]
fn a_cluster_file_says_where_releases_are_and_the_environment_says_it_louder() {
    let server = released(Offer::new(packed(&of_this_version())));
    let file = format!("apiVersion: sandbar.dev/v1alpha1\nkind: Cluster\nspec:\n  releases: {}/\n", server.url());
    let sandbox = Sandbox::without_image();
    sandbox.write("sandbar.yaml", &file);
    let output = sandbox.command(&["up"]).env_remove("SANDBAR_RELEASES").output().unwrap();
    assert!(output.status.success(), "{}", sandbox.show(&output));
    assert_eq!(server.requests(NAME).len(), 1);

    let sandbox = Sandbox::without_image();
    sandbox.write("sandbar.yaml", &file);
    let empty = Server::start();
    let output = sandbox.command(&["up"]).env("SANDBAR_RELEASES", empty.url()).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", sandbox.show(&output));
    assert_eq!((server.requests(NAME).len(), empty.requests("SHA256SUMS").len()), (1, 1));
}

#[test]
fn an_archive_of_the_users_is_taken_as_it_is() {
    let sandbox = Sandbox::without_image();
    let own = archive("localhost/own:1", "amd64", "1", 10);
    std::fs::write(sandbox.path("own.tar"), &own).unwrap();
    std::fs::write(sandbox.path("own.tar.zst"), packed(&own)).unwrap();
    assert_snapshot!(said(&sandbox.run(&["up", "--node-image", "own.tar.zst", "--verbose"])), @r"
    node image: taken from ~/own.tar.zst
    ");
    // The same image, by its ID, once what is in the archive can be seen.
    assert_snapshot!(said(&sandbox.run(&["up", "plain", "--node-image", "./own.tar", "--verbose"])), @r"
    node image: taken from fake's store: sha256:a7f67ab631a9634b523d47d12529f64acd3b3601da2b4eb750e89f5f9e3ad023
    ");
    // The archive is gone, the image is not.
    std::fs::remove_file(sandbox.path("own.tar")).unwrap();
    assert_snapshot!(said(&sandbox.run(&["up", "plain", "--recreate", "--verbose"])), @r"
    node image: ~/own.tar is not there any more
    node image: taken from fake's store: sha256:a7f67ab631a9634b523d47d12529f64acd3b3601da2b4eb750e89f5f9e3ad023
    ");
    assert_snapshot!(sandbox.run(&["up", "third", "--node-image", "own.tar"]), @r"
    stderr:
    error: node image ~/own.tar cannot be used: there is no such file or folder
    hint: an archive is what `podman save` and `docker save` write, compressed or not, or `images/build.sh archive`
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["ls", "--output", "name"]), @r"
    default
    plain
    ----- exit code 0
    ");
}

#[test]
fn what_is_no_node_image_is_refused() {
    let sandbox = Sandbox::without_image();
    let write = |name: &str, bytes: &[u8]| std::fs::write(sandbox.path(name), bytes).unwrap();
    write("arm.tar.zst", &packed(&archive("localhost/own:1", "arm64", "1", 10)));
    assert_snapshot!(sandbox.run(&["up", "--node-image", "arm.tar.zst"]), @r"
    stderr:
    error: image ~/arm.tar.zst is not a node image that this sandbar can run: it is for arm64, the engine runs amd64
    hint: without `--node-image` the image of this version is taken; `make image` builds one that fits
    ----- exit code 3
    ");
    write("new.tar", &archive("localhost/own:1", "amd64", "9", 10));
    assert_snapshot!(sandbox.run(&["up", "--node-image", "new.tar"]), @r"
    stderr:
    error: image ~/new.tar is not a node image that this sandbar can run: it speaks contract version 9, this sandbar speaks 1
    hint: without `--node-image` the image of this version is taken; `make image` builds one that fits
    ----- exit code 3
    ");
    let whole = packed(&archive("localhost/own:1", "amd64", "1", 100_000));
    write("cut.tar.zst", &whole[..whole.len() / 2]);
    assert_snapshot!(sandbox.run(&["up", "--node-image", "cut.tar.zst"]), @r"
    stderr:
    error: node image ~/cut.tar.zst cannot be used: the archive is cut off or damaged
    hint: an archive is what `podman save` and `docker save` write, compressed or not, or `images/build.sh archive`
    ----- exit code 2
    ");
    assert_snapshot!(sandbox.run(&["up", "--node-image", "localhost/none:1"]), @r"
    stderr:
    error: fake has no image localhost/none:1
    hint: `make image` builds the node image, `--node-image` names another one, or an archive
    ----- exit code 3
    ");
    assert!(sandbox.remains().is_empty(), "{:?}", sandbox.remains());
}

#[test]
fn an_image_of_a_registry_is_pulled_by_the_engine() {
    let sandbox = Sandbox::without_image();
    assert_snapshot!(sandbox.run(&["up", "--node-image", "registry.example/node:1"]), @r"
    stderr:
    error: fake could not pull the image: registry.example/node:1: manifest unknown
    ----- exit code 1
    ");
    let id = format!("sha256:{}", "7".repeat(64));
    sandbox.behave(|behaviour| behaviour.registry = BTreeMap::from([("registry.example/node:1".to_owned(), id)]));
    assert_snapshot!(said(&sandbox.run(&["up", "--node-image", "registry.example/node:1", "--verbose"])), @r"
    node image: fake's store has no registry.example/node:1
    node image: fake pulls registry.example/node:1
    ");
}

#[test]
fn the_cache_is_shown_and_emptied() {
    let (sandbox, server) = (Sandbox::without_image(), released(Offer::new(packed(&of_this_version()))));
    assert_snapshot!(sandbox.run(&["cache", "path"]), @r"
    ~/.cache/sandbar/artifacts
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["cache", "key", "--output", "json"]), @r#"
    {
      "schemaVersion": 1,
      "key": "sandbar-node-0.1.0-amd64"
    }
    ----- exit code 0
    "#);
    assert_snapshot!(sandbox.run(&["cache", "prune"]), @r"
    nothing to remove
    ----- exit code 0
    ");
    sandbox.succeed_with(&["up"], &server.url());
    let artifacts = sandbox.path(".cache/sandbar/artifacts");
    for name in [
        "sandbar-node-0.0.9-amd64.tar.zst",
        "sandbar-node-0.0.9-amd64.tar.zst.sha256",
        "sandbar-node-9-arm64.tar.zst.part",
        // Of this version, for devices.
        concat!("sandbar-machine-", env!("CARGO_PKG_VERSION"), "-arm64.tar.zst"),
    ] {
        std::fs::write(artifacts.join(name), "123").unwrap();
    }
    let files = sandbox.json(&["cache", "ls"]);
    let names: Vec<_> = files["files"].as_array().unwrap().iter().map(|file| (&file["name"], &file["kind"])).collect();
    assert_eq!(
        serde_json::to_value(names).unwrap(),
        serde_json::json!([
            ["sandbar-machine-0.1.0-arm64.tar.zst", "machineImage"],
            ["sandbar-node-0.0.9-amd64.tar.zst", "nodeImage"],
            [NAME, "nodeImage"],
            ["sandbar-node-9-arm64.tar.zst", "part"]
        ])
    );
    assert_snapshot!(sandbox.run(&["cache", "prune"]), @r"
    removed sandbar-node-0.0.9-amd64.tar.zst (3 B)
    removed sandbar-node-9-arm64.tar.zst (3 B)
    ----- exit code 0
    ");
    assert_snapshot!(sandbox.run(&["cache", "prune", "--all", "--output", "name"]), @r"
    sandbar-machine-0.1.0-arm64.tar.zst
    sandbar-node-0.1.0-amd64.tar.zst
    ----- exit code 0
    ");
    assert_eq!(std::fs::read_dir(artifacts).unwrap().count(), 0);
    // A cluster does not need it.
    sandbox.succeed(&["restart"]);
}

#[test]
fn ctrl_c_ends_a_download_and_keeps_what_has_come() {
    let bytes = packed(&archive(&format!("localhost/sandbar-node:{VERSION}"), "amd64", "1", 600_000));
    let half = bytes.len() / 2;
    let (sandbox, server) = (Sandbox::without_image(), released(Offer::new(bytes).with([Fault::Stall(half)])));
    let mut command = sandbox.command(&["up"]);
    command.env("SANDBAR_RELEASES", server.url()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.spawn().unwrap();
    let part = sandbox.path(&format!(".cache/sandbar/artifacts/{NAME}.part"));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while std::fs::metadata(&part).map_or(0, |metadata| metadata.len()) < half as u64 {
        assert!(std::time::Instant::now() < until, "nothing comes");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    crate::sandbox::interrupt(&program);
    assert_eq!(program.wait_with_output().unwrap().status.code(), Some(130));
    assert!(sandbox.remains().is_empty(), "{:?}", sandbox.remains());
    sandbox.succeed_with(&["up"], &server.url());
    assert_eq!(server.requests(NAME)[1].header("range"), Some(format!("bytes={half}-").as_str()));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
