//! What is true of machines alone.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use sandbar::engine::ResourceKind;

use crate::fixture::{Scene, Subject};
use crate::trial;

/// How many are many.
const MANY: usize = 50;
/// What each may take of this machine's disk before it runs.
const EACH: u64 = 1 << 20;

/// All of them.
pub fn trials(subject: Option<&Arc<Subject>>) -> Vec<Trial> {
    vec![trial("machine::many_share_what_they_start_from".into(), subject, |scene| Box::pin(many(scene)))]
}

async fn many(scene: &Scene<'_>) -> Result<()> {
    let names: Vec<String> = (0..MANY).map(|_| scene.name()).collect();
    for name in &names {
        // The probe is as large as the rest of it.
        let node = sandbar::engine::NodeSpec { files: Vec::new(), ..scene.spec(name) };
        scene.create(&node).await?;
    }
    let folder = |name: &String| scene.folder().join("data/machines").join(name);
    let all = names.iter().map(|name| taken(&folder(name))).sum::<Result<u64>>()?;
    let each = all / MANY as u64;
    ensure!(each > 0, "a machine has files");
    ensure!(each < EACH, "each takes {each} bytes");
    for name in &names {
        for kind in [ResourceKind::Node, ResourceKind::Volume, ResourceKind::Network] {
            scene.engine.remove(&kind, name).await?;
        }
    }
    let resources = scene.engine.list_resources().await?;
    ensure!(!resources.iter().any(|resource| names.contains(&resource.name)), "{resources:?}");
    ensure!(!names.iter().any(|name| folder(name).exists()), "their files are gone");
    Ok(())
}

/// Bytes of the disk that a folder takes, with all that is in it.
fn taken(folder: &Path) -> Result<u64> {
    let mut all = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        all += std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
        if metadata.is_dir() {
            all += taken(&entry.path())?;
        }
    }
    Ok(all)
}
