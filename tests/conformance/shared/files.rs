//! Files and the volume of a node, and its images.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sandbar::engine::{EngineError, ResourceKind};

use super::{fails, read};
use crate::fixture::{Scene, labels};
use crate::image::{IMAGE, append, digest};
use crate::probe::pattern;

pub async fn places_files_before_the_start(scene: &Scene<'_>) -> Result<()> {
    let name = scene.name();
    let mut node = scene.spec(&name);
    let own = node.files.len();
    node.files.extend([
        ("/etc/sandbar/config.yaml".into(), 0o600, b"a: b\n".to_vec()),
        ("/etc/sandbar/config.d/deep/er/10.yaml".into(), 0o644, vec![b'x'; 100_000]),
    ]);
    scene.create(&node).await?;
    for (path, mode, content) in &node.files[own..] {
        let (found_mode, found) = file(scene, &name, &path.to_string_lossy()).await?;
        ensure!(found_mode & 0o777 == *mode && found == *content, "{}: {found_mode:o}", path.display());
    }
    scene.engine.start_node(&name).await?;
    let (_, found) = file(scene, &name, "/etc/sandbar/config.yaml").await?;
    ensure!(found == b"a: b\n");
    Ok(())
}

pub async fn copies_both_ways(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let content = pattern(3 << 20);
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "one/two.bin", 0o640, &content)?;
    let archive = archive.into_inner()?;
    scene.engine.copy_in(&name, "/etc", Box::pin(std::io::Cursor::new(archive.clone()))).await?;
    ensure!(file(scene, &name, "/etc/one/two.bin").await? == (0o640, content.clone()));
    let folder = read(scene.engine.copy_out(&name, "/etc/one").await?).await?;
    let mut folder = tar::Archive::new(folder.as_slice());
    let paths: Vec<_> = folder.entries()?.map(|entry| Ok(entry?.path()?.into_owned())).collect::<Result<_>>()?;
    ensure!(paths.iter().any(|path| path.ends_with("one/two.bin")), "{paths:?}");

    fails!(scene.engine.copy_out(&name, "/etc/none").await, EngineError::NotFound { what: "path", .. });
    let into = scene.engine.copy_in(&name, "/etc/none", Box::pin(std::io::Cursor::new(archive.clone()))).await;
    fails!(into, EngineError::NotFound { what: "path", .. });

    scene.engine.stop_node(&name, Duration::from_secs(5)).await?;
    ensure!(file(scene, &name, "/etc/one/two.bin").await?.1 == content, "also out of a stopped node");
    scene.engine.copy_in(&name, "/var", Box::pin(std::io::Cursor::new(archive))).await.context("and into one")?;
    ensure!(file(scene, &name, "/var/one/two.bin").await?.1 == content);
    Ok(())
}

pub async fn keeps_the_volume(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "kept", 0o644, b"kept\n")?;
    let archive = archive.into_inner()?;
    scene.engine.copy_in(&name, "/var/lib/sandbar", Box::pin(std::io::Cursor::new(archive))).await?;
    // A machine that is removed as it runs has lost its power: what nobody had written to the disk is gone.
    scene.engine.stop_node(&name, Duration::from_secs(5)).await?;
    scene.engine.remove(&ResourceKind::Node, &name).await?;
    scene.engine.create_volume(&name, &labels(&name)).await?;
    scene.engine.create_node(&scene.spec(&name)).await?;
    scene.engine.start_node(&name).await?;
    ensure!(file(scene, &name, "/var/lib/sandbar/kept").await?.1 == b"kept\n");
    scene.engine.remove(&ResourceKind::Node, &name).await?;
    scene.engine.remove(&ResourceKind::Volume, &name).await?;
    scene.engine.create_volume(&name, &labels(&name)).await?;
    scene.engine.create_node(&scene.spec(&name)).await?;
    scene.engine.start_node(&name).await?;
    let gone = scene.engine.copy_out(&name, "/var/lib/sandbar/kept").await;
    fails!(gone, EngineError::NotFound { what: "path", .. });
    Ok(())
}

pub async fn knows_its_images(scene: &Scene<'_>) -> Result<()> {
    let image = scene.engine.inspect_image(IMAGE).await?.context("the suite's image is there")?;
    ensure!(image.names.contains(&IMAGE.to_owned()), "{image:?}");
    ensure!(image.labels["dev.sandbar.contract"] == "1", "{image:?}");
    ensure!(image.id.starts_with("sha256:") && image.id.len() == 71, "{image:?}");
    ensure!(image.diff_ids.len() == 1 && image.diff_ids[0].starts_with("sha256:"), "{image:?}");
    ensure!(["amd64", "arm64"].contains(&image.architecture.as_str()), "{image:?}");
    ensure!(scene.engine.inspect_image(&image.id).await?.as_ref() == Some(&image));
    ensure!(scene.engine.inspect_image("localhost/there-is-no-such-image:1").await?.is_none());
    Ok(())
}

pub async fn exports_and_imports_images(scene: &Scene<'_>) -> Result<()> {
    let image = scene.engine.inspect_image(IMAGE).await?.context("the suite's image is there")?;
    let archive = read(scene.engine.export_image(IMAGE).await?).await?;
    let mut digests = Vec::new();
    let mut manifest = serde_json::Value::Null;
    for entry in tar::Archive::new(archive.as_slice()).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content)?;
        digests.push(format!("sha256:{}", digest(&content)));
        if path.as_os_str() == "manifest.json" {
            manifest = serde_json::from_slice(&content)?;
        }
    }
    ensure!(manifest[0]["RepoTags"][0] == IMAGE, "{manifest}");
    ensure!(image.diff_ids.iter().all(|layer| digests.contains(layer)), "layers come uncompressed: {digests:?}");
    let names = scene.engine.import_image(Box::pin(std::io::Cursor::new(archive.clone()))).await?;
    ensure!(names == [IMAGE], "{names:?}");
    let half = archive[..archive.len() / 2].to_vec();
    fails!(scene.engine.import_image(Box::pin(std::io::Cursor::new(half))).await, EngineError::Refused { .. });
    let none = scene.engine.export_image("localhost/there-is-no-such-image:1").await;
    fails!(none, EngineError::NotFound { what: "image", .. });
    Ok(())
}

/// Mode and content of a file in a node.
async fn file(scene: &Scene<'_>, name: &str, path: &str) -> Result<(u32, Vec<u8>)> {
    let archive = read(scene.engine.copy_out(name, path).await?).await?;
    let mut archive = tar::Archive::new(archive.as_slice());
    let mut entry = archive.entries()?.next().context("one entry")??;
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut content)?;
    Ok((entry.header().mode()? & 0o7777, content))
}
