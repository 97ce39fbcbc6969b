//! Loading into fake nodes, from every source.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::engine::fake::FakeEngine;
use crate::engine::{Engine, LABEL_CLUSTER, Labels, NodeSpec};
use crate::node::{Node, NodeClient};

/// An archive of one image, in both forms at a time if wanted.
struct Maker {
    architecture: &'static str,
    layers: Vec<Vec<u8>>,
}

impl Maker {
    fn new(layers: &[&[u8]]) -> Self {
        Self { architecture: "amd64", layers: layers.iter().map(|layer| layer.to_vec()).collect() }
    }

    fn config(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| sha256(layer)).collect();
        let config = json!({
            "architecture": self.architecture, "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        config.to_string().into_bytes()
    }

    fn id(&self) -> String {
        sha256(&self.config())
    }

    /// As Podman writes it: layers first, links for older readers, the manifest last.
    fn docker(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let path = |layer: &Vec<u8>| format!("{}.tar", hex(layer));
        let mut files: Vec<_> = self.layers.iter().map(|layer| (path(layer), layer.clone())).collect();
        let config = format!("{}.json", hex(&self.config()));
        let layers: Vec<_> = self.layers.iter().map(path).collect();
        let manifest = json!([{ "Config": config, "RepoTags": [name], "Layers": layers }]);
        files.push((config, self.config()));
        files.push(("manifest.json".into(), manifest.to_string().into_bytes()));
        files
    }

    /// As the OCI image layout has it.
    fn oci(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let blob = |content: &[u8]| (format!("blobs/sha256/{}", hex(content)), content.to_vec());
        let descriptor = |content: &[u8]| json!({ "digest": sha256(content), "size": content.len() });
        let layers: Vec<_> = self.layers.iter().map(|layer| descriptor(layer)).collect();
        let manifest = json!({ "schemaVersion": 2, "config": descriptor(&self.config()), "layers": layers });
        let manifest = manifest.to_string().into_bytes();
        let mut entry = descriptor(&manifest);
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().into_bytes();
        let mut files =
            vec![("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()), ("index.json".into(), index)];
        files.extend([blob(&manifest), blob(&self.config())]);
        files.extend(self.layers.iter().map(|layer| blob(layer)));
        files
    }
}

fn hex(content: &[u8]) -> String {
    sha256(content).replace("sha256:", "")
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A fake engine with a running node.
struct Scene {
    folder: tempfile::TempDir,
    engine: Arc<FakeEngine>,
    node: NodeClient,
    told: Mutex<Vec<(u64, Option<u64>)>>,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Arc::new(FakeEngine::connect(folder.path()).unwrap());
        let image = tar(&Maker::new(&[b"the node"]).docker("localhost/sandbar-node:1"));
        engine.import_image(Box::pin(std::io::Cursor::new(image))).await.unwrap();
        let labels = Labels::from([(LABEL_CLUSTER.to_owned(), "a".to_owned())]);
        engine.create_network("sandbar-a", &labels).await.unwrap();
        engine.create_volume("sandbar-a", &labels).await.unwrap();
        let spec = NodeSpec {
            purpose: crate::engine::Purpose::Node,
            name: "sandbar-a".into(),
            hostname: "a".into(),
            image: "localhost/sandbar-node:1".into(),
            labels,
            ports: Vec::new(),
            environment: BTreeMap::new(),
            cpu_millis: None,
            memory_bytes: None,
            hardware: None,
            emulate_binaries: false,
            cold: false,
            files: Vec::new(),
        };
        engine.create_node(&spec).await.unwrap();
        engine.start_node("sandbar-a").await.unwrap();
        let node = NodeClient::new(engine.clone(), "sandbar-a");
        Self { folder, engine, node, told: Mutex::default() }
    }

    async fn load(&self, source: Source, names: &[&str]) -> Result<Vec<Loaded>, ImageError> {
        let request = Request {
            engine: self.engine.as_ref(),
            node_name: "sandbar-a",
            node: &self.node,
            source,
            names: names.iter().map(|&name| name.to_owned()).collect(),
            folder: self.folder.path(),
        };
        load(request, &|done, total| self.told.lock().unwrap().push((done, total))).await
    }

    async fn store(&self, reference: String, names: &[&str]) -> Result<Vec<Loaded>, ImageError> {
        self.load(Source::Engine { store: self.engine.clone(), reference }, names).await
    }

    async fn file(&self, archive: &[u8]) -> Result<Vec<Loaded>, ImageError> {
        let file = self.folder.path().join("archive.tar");
        std::fs::write(&file, archive).unwrap();
        self.load(Source::File(file), &[]).await
    }

    async fn stream(&self, archive: &[u8]) -> Result<Vec<Loaded>, ImageError> {
        self.load(Source::Stream(Box::pin(std::io::Cursor::new(archive.to_vec()))), &[]).await
    }

    async fn names(&self) -> Vec<String> {
        self.node.images().await.unwrap().into_iter().flat_map(|image| image.names).collect()
    }
}

fn counts(loaded: &[Loaded]) -> Vec<(&str, u64, u64, u64)> {
    loaded.iter().map(|l| (l.name.as_str(), l.layers_moved, l.layers_present, l.bytes_moved)).collect()
}

#[tokio::test]
async fn an_image_of_the_engine_moves_only_what_the_node_lacks() {
    let scene = Scene::new().await;
    let first = Maker::new(&[b"base layer", b"first"]);
    let import = async |maker: &Maker, name: &str| {
        let archive = Box::pin(std::io::Cursor::new(tar(&maker.docker(name))));
        scene.engine.import_image(archive).await.unwrap();
        scene.store(name.to_owned(), &[]).await.unwrap()
    };
    let loaded = import(&first, "localhost/hello:1").await;
    assert_eq!(counts(&loaded), [("localhost/hello:1", 2, 0, 15)]);
    assert_eq!(loaded[0].id, first.id());

    let second = Maker::new(&[b"base layer", b"second one"]);
    let loaded = import(&second, "localhost/hello:2").await;
    assert_eq!(counts(&loaded), [("localhost/hello:2", 1, 1, 10)]);

    // The same again: only a name.
    let loaded = scene.store("localhost/hello:2".into(), &["localhost/other:3"]).await.unwrap();
    assert_eq!(counts(&loaded), [("localhost/other:3", 0, 2, 0)]);
    assert_eq!(scene.names().await, ["localhost/hello:1", "localhost/hello:2", "localhost/other:3"]);

    // All its layers are there, in another image.
    let part = Maker::new(&[b"base layer"]);
    let loaded = import(&part, "localhost/part:1").await;
    assert_eq!(counts(&loaded), [("localhost/part:1", 0, 1, 0)]);
}

#[tokio::test]
async fn the_layers_are_announced_where_they_are_known() {
    let maker = Maker::new(&[b"base layer", b"second"]);
    let layers: Vec<_> = maker.layers.iter().map(|layer| sha256(layer)).collect();
    let archive = tar(&maker.docker("localhost/a:1"));

    let scene = Scene::new().await;
    scene.engine.import_image(Box::pin(std::io::Cursor::new(archive.clone()))).await.unwrap();
    scene.store("localhost/a:1".into(), &[]).await.unwrap();
    assert_eq!(scene.engine.announced("sandbar-a").unwrap(), layers, "an image of the engine");

    // All of them, also where the node has some.
    let more = Maker::new(&[b"base layer", b"second", b"third"]);
    let all: Vec<_> = more.layers.iter().map(|layer| sha256(layer)).collect();
    for files in [more.docker("localhost/b:1"), more.oci("localhost/b:1")] {
        let scene = Scene::new().await;
        scene.file(&archive).await.unwrap();
        assert_eq!(counts(&scene.file(&tar(&files)).await.unwrap()), [("localhost/b:1", 1, 2, 5)]);
        assert_eq!(scene.engine.announced("sandbar-a").unwrap(), all, "a file");
    }

    let scene = Scene::new().await;
    scene.stream(&archive).await.unwrap();
    assert!(scene.engine.announced("sandbar-a").unwrap().is_empty(), "nothing is known of a stream");

    let scene = Scene::new().await;
    let mut two = maker.docker("localhost/a:1");
    let other = Maker::new(&[b"theirs"]).docker("localhost/c:1");
    let manifests: Vec<Value> = [two.pop(), other.last().cloned()]
        .into_iter()
        .flatten()
        .flat_map(|(_, manifest)| serde_json::from_slice::<Vec<Value>>(&manifest).unwrap())
        .collect();
    two.extend_from_slice(&other[..other.len() - 1]);
    two.push(("manifest.json".into(), json!(manifests).to_string().into_bytes()));
    assert_eq!(scene.file(&tar(&two)).await.unwrap().len(), 2);
    assert!(scene.engine.announced("sandbar-a").unwrap().is_empty(), "two images have no one order");
}

#[tokio::test]
async fn every_form_of_archive_is_loaded_and_loaded_again() {
    let maker = Maker::new(&[b"base layer", b"second"]);
    for (form, files) in [("docker", maker.docker("localhost/a:1")), ("oci", maker.oci("localhost/a:1"))] {
        let scene = Scene::new().await;
        let archive = tar(&files);
        assert_eq!(counts(&scene.file(&archive).await.unwrap()), [("localhost/a:1", 2, 0, 16)], "{form}");
        let last = scene.told.lock().unwrap().last().copied();
        assert!(matches!(last, Some((done, Some(total))) if done >= 16 && total >= 16), "{form}: {last:?}");
        let imports = scene.engine.calls().unwrap()["sandbarctl image import"];
        assert_eq!(counts(&scene.file(&archive).await.unwrap()), [("localhost/a:1", 0, 2, 0)], "{form} again");
        assert_eq!(scene.engine.calls().unwrap()["sandbarctl image import"], imports, "{form}: no layer moved");

        let scene = Scene::new().await;
        assert_eq!(counts(&scene.stream(&archive).await.unwrap()), [("localhost/a:1", 2, 0, 16)], "{form} as a stream");
        assert_eq!(
            counts(&scene.stream(&archive).await.unwrap()),
            [("localhost/a:1", 0, 2, 0)],
            "{form} as a stream again"
        );
    }
}

#[tokio::test]
async fn afolder_in_oci_layout_is_loaded() {
    let scene = Scene::new().await;
    let maker = Maker::new(&[b"base layer", b"second"]);
    let layout = scene.folder.path().join("layout");
    tar::Archive::new(tar(&maker.oci("localhost/a:1")).as_slice()).unpack(&layout).unwrap();
    let loaded = scene.load(Source::File(layout.clone()), &["localhost/b:1"]).await.unwrap();
    assert_eq!(counts(&loaded), [("localhost/b:1", 2, 0, 16)]);
    assert_eq!(counts(&scene.load(Source::File(layout), &[]).await.unwrap()), [("localhost/a:1", 0, 2, 0)]);
}

#[tokio::test]
async fn a_layer_that_goes_missing_on_the_way_is_sent_after_all() {
    let scene = Scene::new().await;
    let maker = Maker::new(&[b"base layer", b"second"]);
    scene.file(&tar(&maker.docker("localhost/a:1"))).await.unwrap();
    // The node says that it has the layers, and has lost them when the archive comes.
    let mut behaviour = scene.engine.behaviour().unwrap();
    behaviour.node.verbs.insert("image missing".into(), crate::engine::fake::Script::default());
    behaviour.node.verbs.insert("image tag".into(), crate::engine::fake::Script { exit_code: 1, ..Default::default() });
    scene.engine.set_behaviour(&behaviour).unwrap();
    scene.node.image_remove(&["localhost/a:1".to_owned()]).await.unwrap();
    let loaded = scene.file(&tar(&maker.docker("localhost/a:1"))).await.unwrap();
    assert_eq!(counts(&loaded), [("localhost/a:1", 2, 0, 16)]);
}

#[tokio::test]
async fn bad_archives_are_told_in_words() {
    let scene = Scene::new().await;
    let maker = Maker::new(&[b"base layer"]);
    let files = maker.docker("localhost/a:1");
    let archive = tar(&files);
    let mut foreign = Maker::new(&[b"base layer"]);
    foreign.architecture = "arm64";
    let layer = &files[0].0;
    let cases: Vec<(Vec<u8>, String)> = vec![
        (Vec::new(), "the archive is empty".into()),
        (b"no archive".to_vec(), "it is not an image archive (no tar archive)".into()),
        (
            tar(&[("a".into(), vec![1])]),
            "it is not an image archive (neither manifest.json nor index.json is in it)".into(),
        ),
        (archive[..515].to_vec(), format!("the archive ends in the middle of {layer} (3 of 10 bytes are there)")),
        (archive[..1100].to_vec(), format!("the archive ends in the middle of a header after {layer}")),
        (tar(&foreign.docker("localhost/a:1")), "image localhost/a:1 is for arm64, the node is amd64".into()),
        (tar(&foreign.oci("localhost/a:1")), "image localhost/a:1 is for arm64, the node is amd64".into()),
        (
            tar(&[("manifest.json".into(), b"x".to_vec())]),
            "manifest.json cannot be understood: expected value at line 1 column 1".into(),
        ),
        (tar(&[files[0].clone(), files[2].clone()]), format!("{} is not there, which manifest.json names", files[1].0)),
    ];
    for (bytes, words) in cases {
        assert_eq!(scene.file(&bytes).await.unwrap_err().to_string(), words);
    }
    let none = scene.load(Source::File("/there/is/none.tar".into()), &[]).await.unwrap_err();
    assert_eq!(none.to_string(), "cannot open /there/is/none.tar");
    let none = scene.store("localhost/none:1".into(), &[]).await.unwrap_err();
    assert_eq!(none.to_string(), "fake has no image localhost/none:1");
    // A stream is seen once; that it breaks off is known when it does, and the node takes nothing from it.
    let cut = scene.stream(&archive[..515]).await.unwrap_err();
    assert_eq!(cut.to_string(), format!("the archive ends in the middle of {layer} (3 of 10 bytes are there)"));
    let damaged = tar(&[(layer.clone(), b"other lay!".to_vec()), files[1].clone(), files[2].clone()]);
    let told = scene.stream(&damaged).await.unwrap_err().to_string();
    assert!(told.contains("is damaged"), "{told}");
    assert!(scene.names().await.is_empty(), "nothing got a name");
}

#[tokio::test]
async fn the_image_of_an_index_that_fits_is_taken() {
    let scene = Scene::new().await;
    let mut other = Maker::new(&[b"theirs"]);
    other.architecture = "arm64";
    let ours = Maker::new(&[b"ours"]);
    let manifest_of = |maker: &Maker| maker.oci("x").swap_remove(2).1;
    let index = json!({ "schemaVersion": 2, "manifests": [
        { "digest": sha256(&manifest_of(&other)), "platform": { "architecture": "arm64", "os": "linux" } },
        { "digest": sha256(&manifest_of(&ours)), "platform": { "architecture": "amd64", "os": "linux" } },
    ]});
    let inner = index.to_string().into_bytes();
    let files = |index: &[u8]| {
        let outer = json!({ "schemaVersion": 2, "manifests": [
            { "digest": sha256(index), "annotations": { "io.containerd.image.name": "localhost/multi:1" } },
        ]});
        let mut files: BTreeMap<String, Vec<u8>> = [&other, &ours].iter().flat_map(|maker| maker.oci("x")).collect();
        files.insert("index.json".into(), outer.to_string().into_bytes());
        files.insert(format!("blobs/sha256/{}", hex(index)), index.to_vec());
        files.into_iter().collect::<Vec<_>>()
    };
    let path = scene.folder.path().join("multi.tar");
    std::fs::write(&path, tar(&files(&inner))).unwrap();
    let archive::Opened::Indexed(archive) = archive::Archive::open(Path::new(&path)).unwrap() else { panic!("a tar") };
    let images = archive.images(&["amd64".to_owned()]).unwrap();
    assert_eq!((images[0].names.as_slice(), images[0].id.clone()), (&["localhost/multi:1".to_owned()][..], ours.id()));
    // Its own before one that is emulated.
    let [amd64, arm64, riscv64] = ["amd64", "arm64", "riscv64"].map(str::to_owned);
    assert_eq!(archive.images(&[amd64, arm64.clone()]).unwrap()[0].id, ours.id());
    assert_eq!(archive.images(&[riscv64, arm64]).unwrap()[0].id, other.id());
    let told = archive.images(&["riscv64".to_owned()]).unwrap_err().to_string();
    assert_eq!(told, "image localhost/multi:1 is for arm64, amd64, the node is riscv64");
    let _: Value = serde_json::from_slice(&inner).unwrap();
}

#[test]
fn an_archive_of_an_older_docker_is_known_by_its_first_file() {
    let first = |name: &str| tar(&[(name.to_owned(), Vec::new())]);
    let hex = hex(b"any");
    for (name, expected) in [
        (format!("{hex}/VERSION"), true),
        (format!("{hex}.json"), true),
        (format!("{hex}.tar"), false),
        (format!("blobs/sha256/{hex}"), false),
        ("manifest.json".to_owned(), false),
        (hex[..60].to_owned(), false),
    ] {
        assert_eq!(filter::hides_digests(&first(&name)[..header::BLOCK]), expected, "{name}");
    }
    assert!(!filter::hides_digests(b""));
}
