//! The container that is thrown away: made with all that a node gets, it runs `sandbarctl host-check` once.
//!
//! It has the labels of a cluster of its own, whose lock is held while it is there: what is left of it when this process is
//! killed is found and removed by `gc`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::finding::Finding;
use super::fix::Fix;
use crate::cluster::{ClusterError, Host};
use crate::engine::{
    Engine, EngineError, LABEL_CLUSTER, LABEL_HOME, LABEL_VERSION, Labels, NodeSpec, Purpose, ResourceKind,
};
use crate::node::{HostCheck, HostReport, HostResult};
use crate::platform::Platform;
use crate::spec::{ClusterName, ClusterSpec, MINIMUM_MEMORY_BYTES};

/// What it runs.
const COMMAND: [&str; 4] = ["sandbarctl", "host-check", "--output", "json"];
/// How long it may take; it takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most that is read of what it prints; a report is two kilobytes.
const MOST_BYTES: u64 = 1 << 20;
/// Lasting settings of inotify.
const INOTIFY: [&str; 2] = ["fs.inotify.max_user_instances=512", "fs.inotify.max_user_watches=65536"];

/// What was seen in the container.
pub(super) struct Seen {
    /// What it said, or what it printed in place of a report.
    pub report: Result<HostReport, String>,
    /// This machine's clock before and after.
    pub before: Timestamp,
    pub after: Timestamp,
}

/// Makes the container, reads what it says, and removes it, whatever happens. Begins nothing more once it is cancelled.
pub(super) async fn look(
    host: &Host<'_>,
    engine: &Arc<dyn Engine>,
    spec: &ClusterSpec,
    cancelled: &CancellationToken,
) -> Result<Seen, ClusterError> {
    let name = ClusterName::check(RandomState::new().build_hasher().finish());
    let lock = host.lock(&name).await?;
    let seen = run(host, engine, spec, &name, cancelled).await;
    let removed = remove(engine, &name).await;
    if removed.is_ok() {
        lock.remove();
    }
    match (seen, removed) {
        (seen, Ok(())) => seen,
        (Ok(_), Err(error)) => Err(error.into()),
        (Err(source), Err(undo)) => {
            Err(ClusterError::NotUndone { source: Box::new(source), undo: Box::new(undo.into()) })
        }
    }
}

/// Removes what there is of it, however far it came.
async fn remove(engine: &Arc<dyn Engine>, name: &ClusterName) -> Result<(), EngineError> {
    engine.remove(&ResourceKind::Node, &name.resource()).await?;
    engine.remove(&ResourceKind::Volume, &name.resource()).await
}

async fn run(
    host: &Host<'_>,
    engine: &Arc<dyn Engine>,
    spec: &ClusterSpec,
    name: &ClusterName,
    cancelled: &CancellationToken,
) -> Result<Seen, ClusterError> {
    // What the engine is doing at the moment it ends also when nobody listens: a step that was begun is waited for.
    let go_on = || if cancelled.is_cancelled() { Err(ClusterError::Interrupted { removed: true }) } else { Ok(()) };
    let labels: Labels = [
        (LABEL_CLUSTER, name.to_string()),
        (LABEL_VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        (LABEL_HOME, host.store.home_id()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let container = NodeSpec {
        purpose: Purpose::Check { command: COMMAND.map(str::to_owned).into() },
        name: name.resource(),
        hostname: name.to_string(),
        image: spec.image.to_string(),
        labels,
        ports: Vec::new(),
        environment: std::collections::BTreeMap::new(),
        cpu_millis: spec.cpus.as_ref().map(crate::spec::Cpus::millis),
        memory_bytes: spec.memory.as_ref().map(crate::spec::Memory::bytes),
        hardware: None,
        emulate_binaries: false,
        cold: false,
        files: Vec::new(),
    };
    go_on()?;
    engine.create_volume(&container.name, &container.labels).await?;
    go_on()?;
    engine.create_node(&container).await?;
    go_on()?;
    let before = (host.now)();
    engine.start_node(&container.name).await?;
    let mut printed = Vec::new();
    let read = async {
        // Followed, it ends with the container.
        let log = engine.logs(&container.name, true, None).await?;
        let lost = |error: std::io::Error| EngineError::Refused {
            engine: engine.info().kind.clone(),
            operation: "read what the container printed".to_owned(),
            reason: error.to_string(),
        };
        log.take(MOST_BYTES).read_to_end(&mut printed).await.map_err(lost)
    };
    let read = tokio::select! {
        read = tokio::time::timeout(PATIENCE, read) => read,
        () = cancelled.cancelled() => return Err(ClusterError::Interrupted { removed: true }),
    };
    read.map_err(|_| EngineError::TimedOut {
        engine: engine.info().kind.clone(),
        operation: "run `sandbarctl host-check` to its end".to_owned(),
        after: PATIENCE,
    })??;
    Ok(Seen { report: HostReport::parse(&printed), before, after: (host.now)() })
}

/// What the node says of something that it tried, with what helps.
pub(super) fn of_node(check: &HostCheck, rootless: bool, engine: &str, platform: &dyn Platform) -> Finding {
    let message = check.message.as_str();
    let finding = match check.result {
        HostResult::Passed => return Finding::passed(message),
        HostResult::Warning => Finding::warning(message),
        HostResult::Failed => Finding::failed(message),
    };
    let superuser = if rootless {
        "run it as the superuser's: `sudo sandbar up`"
    } else {
        "where the engine runs in a container or CI job, give that one everything (`--privileged`)"
    };
    match check.code.as_str() {
        "capabilities" | "mounts" | "sysctls" => finding.hint(superuser),
        "cgroups" if rootless => finding.hint(
            "delegate the controllers: `sudo mkdir -p /etc/systemd/system/user@.service.d && printf \
             '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo tee \
             /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload`, then log in again",
        ),
        "cgroups" => finding.hint(format!(
            "{superuser}; on a Raspberry Pi add `cgroup_enable=memory cgroup_memory=1` to the kernel's command line"
        )),
        "limits" => finding.hint(format!(
            "raise them for the engine: `sudo systemctl edit {engine}.service` with LimitNOFILE=1048576, LimitNPROC=infinity \
             and TasksMax=infinity below [Service], then `sudo systemctl restart {engine}`"
        )),
        "overlay" => finding.hint(
            "put the engine's storage on ext4, xfs or btrfs; where the kernel has it as a module: `sudo modprobe overlay`",
        ),
        "veth" => finding.hint("where the kernel has it as a module: `sudo modprobe veth`"),
        "nftables" => finding.hint(
            "where the kernel has it as modules: `sudo modprobe -a nf_tables nft_chain_nat nft_masq nft_numgen nft_fib_ipv4 \
             nft_ct nft_redir`",
        ),
        "inotify" => inotify(finding, platform),
        "disk" => finding.hint(format!(
            "`{engine} system prune` removes containers, networks and images that nothing uses; `sandbar ls --all` shows what \
             Sandbar has"
        )),
        "memory" => with_memory_hint(finding, platform),
        _ => finding,
    }
}

fn inotify(finding: Finding, platform: &dyn Platform) -> Finding {
    let [instances, watches] = INOTIFY;
    if !platform.runs_containers() {
        return finding.hint(format!("`podman machine ssh sudo sysctl -w {instances} {watches}`"));
    }
    let now = format!("SUDO sysctl -w {instances} {watches}");
    let lasting = format!("printf '{instances}\\n{watches}\\n' | SUDO tee /etc/sysctl.d/60-sandbar.conf");
    finding.fix(Some(Fix::of_superuser(&[&now, &lasting], platform)))
}

/// What so many bytes of memory are to a node.
pub(super) fn memory(available: u64, platform: &dyn Platform) -> Finding {
    let mebibytes = available >> 20;
    if available >= MINIMUM_MEMORY_BYTES {
        return Finding::passed(format!("{mebibytes} MiB of memory available"));
    }
    let least = MINIMUM_MEMORY_BYTES >> 20;
    let finding = Finding::failed(format!("{mebibytes} MiB of memory available, a node needs {least} MiB"));
    with_memory_hint(finding, platform)
}

fn with_memory_hint(finding: Finding, platform: &dyn Platform) -> Finding {
    if platform.runs_containers() {
        finding.hint("end other programs, or other clusters: `sandbar ls` lists them, `sandbar stop NAME` stops one")
    } else {
        finding.hint(
            "give the engine's virtual machine more: `podman machine set --memory 4096`, or Docker Desktop's settings",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Outcome;
    use super::*;

    #[test]
    fn what_a_node_finds_comes_with_what_helps() {
        let platform = crate::platform::native();
        let find = |code: &str, result, rootless| {
            let check = HostCheck { code: code.to_owned(), result, message: "so".to_owned() };
            of_node(&check, rootless, "docker", platform)
        };
        for code in
            ["capabilities", "mounts", "cgroups", "limits", "sysctls", "overlay", "veth", "nftables", "disk", "memory"]
        {
            assert_eq!(find(code, HostResult::Passed, false).hints, [""; 0], "{code}");
            assert_eq!(find(code, HostResult::Failed, true).hints.len(), 1, "{code}");
        }
        assert!(find("limits", HostResult::Warning, false).hints[0].contains("docker.service"));
        // Where containers run in a virtual machine, there is nothing of this system's to set.
        let fix = find("inotify", HostResult::Failed, true).fix;
        let sets = "sysctl -w fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=65536";
        assert_eq!(fix.map(|fix| fix.commands[0].ends_with(sets)), platform.runs_containers().then_some(true));
        let (little, enough) = (memory(100 << 20, platform), memory(1 << 30, platform));
        assert_eq!(little.message, "100 MiB of memory available, a node needs 512 MiB");
        assert_eq!((little.outcome, enough.outcome), (Outcome::Failed, Outcome::Passed));
    }
}
