//! Keeping what a failed node said, before anything is rolled back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::host::{Host, node_of};
use super::{ClusterError, wait};
use crate::engine::{Engine, Reader};
use crate::node::{Node, StatusReport};
use crate::spec::ClusterName;
use crate::store::write_atomic;

/// How long collecting one of them may take: whoever failed may hang, too.
const DEADLINE: Duration = Duration::from_secs(5);
/// How much of one log is kept.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// How many lines are asked for.
const LINES: u32 = 5000;
/// How many failures are kept, of all clusters.
const FAILURES: usize = 20;

/// Writes what can be had into a new folder and returns it; none where not even the folder could be made.
pub(super) async fn collect(
    host: &Host<'_>,
    engine: &Arc<dyn Engine>,
    name: &ClusterName,
    error: &ClusterError,
    last: Option<&StatusReport>,
) -> Option<PathBuf> {
    let folder = host.store.failure_folder(name, (host.now)()).ok()?;
    let mut summary = format!("cluster {name}: {error}\n");
    if let Some(report) = last {
        summary += &format!("waiting for: {}\n", wait::waiting_for(report));
        save(&folder, "status.json", &serde_json::to_vec_pretty(report).unwrap_or_default());
    }
    save(&folder, "error.txt", summary.as_bytes());
    let resource = name.resource();
    if let Ok(state) = engine.inspect_node(&resource).await {
        let state = format!("{state:#?}\n");
        save(&folder, "container.txt", state.as_bytes());
    }
    if let Ok(console) = engine.logs(&resource, false, Some(LINES)).await {
        save(&folder, "console.log", &read(console).await);
    }
    let logs = tokio::time::timeout(DEADLINE, node_of(engine, name).logs(None, false, Some(LINES))).await;
    if let Ok(Ok(logs)) = logs {
        save(&folder, "node.log", &read(logs).await);
    }
    prune(host);
    Some(folder)
}

async fn read(stream: Reader) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut limited = stream.take(MOST_BYTES);
    // What came until a hang or a broken connection is worth keeping.
    let _ = tokio::time::timeout(DEADLINE, limited.read_to_end(&mut bytes)).await;
    bytes
}

fn save(folder: &Path, name: &str, bytes: &[u8]) {
    if !bytes.is_empty() {
        // The failure itself is what the user has to hear of, not that one log of it is missing.
        let _ = write_atomic(&folder.join(name), bytes);
    }
}

fn prune(host: &Host<'_>) {
    let Ok(failures) = host.store.failures() else { return };
    for old in failures.iter().rev().skip(FAILURES) {
        // Old logs that cannot be removed harm nobody.
        let _ = std::fs::remove_dir_all(old);
    }
}
