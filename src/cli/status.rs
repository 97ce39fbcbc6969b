//! `sandbar status`

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::target;
use crate::cluster::{self, Addresses, ClusterFileText, ContextPlace, Found, Lifecycle, node_of};
use crate::context::Context;
use crate::engine::{EngineInfo, Kept, MachineReport};
use crate::error::{Failure, FailureKind};
use crate::node::{Node, StatusReport};
use crate::spec::{ClusterName, resolve_name};
use crate::ui::reporter::Event;
use crate::ui::{OutputFormat, Style, Table, bytes, left, since};

/// Show how a cluster is: its components, addresses, warnings
///
/// Exit code 0 when it is healthy, 1 when it is not, 5 when there is none.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sandbar status\n  sandbar status edge --output json")]
pub(super) struct Args {
    /// Name of the cluster
    name: Option<ClusterName>,
}

/// What `status --output json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    schema_version: u32,
    name: &'a ClusterName,
    state: Lifecycle,
    healthy: bool,
    engine: &'a EngineInfo,
    /// The device that its machine plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    /// What its machine is, where it runs in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<&'a MachineReport>,
    context: String,
    /// The kubeconfig that has the context.
    kubeconfig: Option<&'a Path>,
    addresses: &'a Addresses,
    /// Until when it is wanted.
    expires: Option<Timestamp>,
    /// URLs of hosts that have a route.
    hosts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    /// The state that its next start goes on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<Kept>,
    /// The node's own report, while it gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a StatusReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let name = target::cluster(context, args.name)?;
    let found = cluster::find(&context.host(), &name).await?;
    let (node, mut problem) = match found.state {
        Lifecycle::Running | Lifecycle::Interrupted | Lifecycle::Orphaned if found.node.is_some() => {
            match node_of(&found.engine, &name).status().await {
                Ok(mut report) => {
                    if let Some(record) = &found.record {
                        let file = cluster_file(context, &name);
                        cluster::of_users_files(&mut report, &record.spec.config, file.as_ref());
                        cluster::next_commands(&mut report, &name, &record.spec);
                        let (host, now) = (context.host(), (context.now)());
                        report.warnings.extend(cluster::certificate_warning(&host, &name, &record.kubeconfig, now));
                    }
                    (Some(report), None)
                }
                Err(error) => (None, Some(error.to_string())),
            }
        }
        state => (None, Some(format!("it is {}", state.word()))),
    };
    let healthy = node.as_ref().is_some_and(|report| report.healthy) && found.state != Lifecycle::Interrupted;
    if let Some(report) = node.as_ref().filter(|_| !healthy) {
        problem = Some(format!("waiting for {}", cluster::waiting_for(report)));
    }
    let memory_bytes = memory(&found, &name, node.as_ref()).await;
    let machine = found.engine.machine(&name.resource()).await.unwrap_or_else(|error| {
        context.reporter.report(&Event::Warning { text: error.to_string() });
        None
    });
    let device = found.record.as_ref().and_then(|record| record.spec.device.as_deref());
    let place = context_place(context, &name, &found);
    let report = Report {
        schema_version: 1,
        name: &name,
        state: found.state,
        healthy,
        engine: found.engine.info(),
        device: device.map(|device| device.name.as_str()),
        machine: machine.as_ref(),
        context: name.resource(),
        kubeconfig: place.as_ref().map(ContextPlace::file),
        addresses: &found.addresses,
        expires: found.record.as_ref().and_then(|record| record.expires),
        hosts: node.iter().flat_map(|node| &node.ingress.hosts).map(|host| found.addresses.of_host(host)).collect(),
        memory_bytes,
        kept: found.node.as_ref().and_then(|node| node.kept),
        node: node.as_ref(),
        problem: problem.clone(),
    };
    match context.settings.output {
        OutputFormat::Name => context.printer.text(&format!("{name}\n"))?,
        OutputFormat::Table => context.printer.text(&text(context, &report, place.as_ref()))?,
        format => context.printer.report(format, &report)?,
    }
    if healthy { Ok(()) } else { Err(unhealthy(&name, &found, node.as_ref(), problem)) }
}

/// What a node that answers takes of this machine's memory: worth a line, and its want no failure. A container knows it by
/// itself, and Docker 20.10 would take a second to say it; of a machine only the engine knows.
async fn memory(found: &Found, name: &ClusterName, node: Option<&StatusReport>) -> Option<u64> {
    let known = node?.memory.filter(|_| found.engine.info().takes_container_images());
    match known {
        Some(memory) => Some(memory.used_bytes),
        None => found.engine.stats(&name.resource()).await.ok().map(|stats| stats.memory_bytes),
    }
}

/// The text of the cluster file, if it is this cluster's. One that cannot be read now says nothing of a node that runs.
fn cluster_file(context: &Context, name: &ClusterName) -> Option<ClusterFileText> {
    let found = target::cluster_file(context).ok().flatten()?;
    let own = resolve_name(None, Some(&found.file)) == *name;
    own.then_some(ClusterFileText { path: found.path, text: found.text })
}

fn unhealthy(name: &ClusterName, found: &Found, report: Option<&StatusReport>, problem: Option<String>) -> Failure {
    let problem = problem.unwrap_or_else(|| "it gives no reason".to_owned());
    let network =
        |node: &StatusReport| node.components.iter().any(|one| one.name == "network" && one.state == "degraded");
    let hint = match found.state {
        Lifecycle::Running if report.is_some_and(network) => format!(
            "`sandbar restart {name}` connects its network again; where the engine has taken it away, \
             `sandbar up {name} --recreate`"
        ),
        Lifecycle::Running => format!("`sandbar logs --cluster {name}` shows what its components say"),
        Lifecycle::Stopped => format!("`sandbar start {name}` starts it"),
        Lifecycle::Paused => format!("`sandbar unpause {name}` lets it go on"),
        Lifecycle::Removing | Lifecycle::Orphaned => format!("`sandbar rm {name}` removes it"),
        Lifecycle::Interrupted | Lifecycle::Missing | Lifecycle::Unknown => format!("`sandbar up {name}` completes it"),
    };
    Failure::new(FailureKind::Failed, anyhow::anyhow!("cluster {name} is not healthy: {problem}")).hint(hint)
}

/// Where a kubectl of this machine finds the cluster. A kubeconfig that cannot be read is said, and has nothing.
fn context_place(context: &Context, name: &ClusterName, found: &Found) -> Option<ContextPlace> {
    let noted = found.record.as_ref().map(|record| record.kubeconfig.clone()).unwrap_or_default();
    cluster::context_place(&context.host(), name, &noted).unwrap_or_else(|error| {
        context.reporter.report(&Event::Warning { text: format!("{:#}", anyhow::Error::new(error)) });
        None
    })
}

fn text(context: &Context, report: &Report<'_>, place: Option<&ContextPlace>) -> String {
    let style = context.style;
    let word = match (report.healthy, report.state) {
        (true, _) => "healthy",
        (false, Lifecycle::Running) => "not healthy",
        (false, state) => state.word(),
    };
    let mut text = format!("cluster {} is {}\n\n", style.strong(report.name.as_str()), style.state(word));
    let mut rows =
        vec![("engine", format!("{} {} ({})", report.engine.kind, report.engine.version, report.engine.privilege))];
    rows.extend(report.device.map(|device| ("device", device.to_owned())));
    rows.extend(report.machine.map(|machine| ("machine", machine_text(machine))));
    rows.extend([
        ("context", context_text(report, place)),
        ("api", report.addresses.api.clone()),
        ("http", report.addresses.http.clone()),
        ("https", report.addresses.https.clone()),
    ]);
    if let Some(expires) = report.expires {
        rows.push(("expires", left(expires, (context.now)())));
    }
    rows.extend(report.hosts.iter().map(|url| ("route", url.clone())));
    if let Some(memory) = report.memory_bytes {
        rows.push(("memory", bytes(memory)));
    }
    if let Some(kept) = report.kept {
        let age = since(kept.since, (context.now)());
        rows.push((
            "kept state",
            format!("{}, {age} old; `sandbar start {}` goes on from it", bytes(kept.bytes), report.name),
        ));
    }
    if let Some(node) = report.node {
        rows.push(("kubernetes", node.node.kubernetes_version.clone()));
        if node.storage.capacity_bytes > 0 {
            let (free, all) = (bytes(node.storage.available_bytes), bytes(node.storage.capacity_bytes));
            rows.push(("storage", format!("{free} of {all} free")));
        }
    }
    for (key, value) in rows {
        text += &format!("  {}  {value}\n", style.faint(&format!("{key:<10}")));
    }
    if let Some(node) = report.node {
        text += "\n";
        text += &node_text(style, (context.now)(), node);
    }
    text
}

/// What a machine is, and what runs its instructions and why.
fn machine_text(machine: &MachineReport) -> String {
    let cpu = machine.cpu.as_ref().map(|cpu| format!(" {cpu}")).unwrap_or_default();
    let what = format!("{}{cpu}, {} cores, {}", machine.architecture, machine.cores, bytes(machine.memory_bytes));
    match &machine.accelerator {
        Some(accelerator) if machine.because.is_empty() => format!("{what}; run by {accelerator}"),
        Some(accelerator) => format!("{what}; run by {accelerator} ({})", machine.because),
        None => what,
    }
}

/// The context, and where it is if not where one expects it.
fn context_text(report: &Report<'_>, place: Option<&ContextPlace>) -> String {
    let (context, name) = (&report.context, report.name);
    match place {
        Some(ContextPlace::Here(_)) => context.clone(),
        Some(ContextPlace::Elsewhere(file)) => format!("{context} (in {})", file.display()),
        None => format!("{context} (in no kubeconfig; `sandbar kubeconfig merge {name}` puts it there)"),
    }
}

/// What a node says of itself: its components and warnings.
pub(crate) fn node_text(style: Style, now: Timestamp, node: &StatusReport) -> String {
    let mut text = components(style, now, node);
    for warning in &node.warnings {
        let hint = if warning.hint.is_empty() { String::new() } else { format!(" ({})", warning.hint) };
        text += &format!("{} {}{hint}\n", style.attention("warning:"), warning.message);
    }
    text
}

fn components(style: Style, now: Timestamp, node: &StatusReport) -> String {
    let mut table = Table::new(&["component", "state", "since", "restarts", "detail"]);
    for component in &node.components {
        let since = component.since.parse().map_or_else(|_| "-".to_owned(), |then| since(then, now));
        let waits =
            (!component.waiting_for.is_empty()).then(|| format!("waiting for {}", component.waiting_for.join(", ")));
        let detail = [component.reason.clone(), component.last_error.clone(), waits.unwrap_or_default()];
        let detail = detail.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        let state = style.state(&component.state);
        table.row([component.name.clone(), state, since, component.restarts.to_string(), detail]);
    }
    table.render()
}
