//! What runs in a fake node: a `sandbarctl` that answers as the node contract says and as its script wants.

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::behaviour::{Behaviour, NodeBehaviour};
use super::program::{ProgramRun, play};
use super::state::{Folder, Node, State, now_millis, rfc3339};
use super::store;

/// Exit status of `sandbarctl` for bad usage.
const USAGE: i64 = 2;
/// Exit status of `sandbarctl` when a deadline passed.
const TIMED_OUT: i64 = 4;
/// Exit status of `sandbarctl` when `sandbar-node` does not answer.
const UNREACHABLE: i64 = 6;

/// The name under which a call into a node is counted: `sandbarctl VERB` or `exec`.
pub(super) fn operation(command: &[String]) -> String {
    match command {
        [program, rest @ ..] if super::program::base(program) == "sandbarctl" => format!("sandbarctl {}", verb(rest)),
        _ => "exec".into(),
    }
}

/// The verb among the arguments of `sandbarctl`, such as `status` or `image import`.
fn verb(arguments: &[String]) -> String {
    match arguments {
        [group, verb, ..] if group == "image" => format!("image {verb}"),
        [verb, ..] => verb.clone(),
        [] => String::new(),
    }
}

/// What the first process does at each start: an identity once, and its lines into the log.
pub(super) fn first_process_started(folder: &Folder, name: &str, behaviour: &Behaviour) -> std::io::Result<()> {
    let identity = folder.volume(name).join("cluster-id");
    if !identity.exists() {
        let seed = format!("{name} {} {}", std::process::id(), jiff::Timestamp::now());
        let hex = store::hex(&Sha256::digest(seed));
        let id = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]].join("-");
        fs_err::write(identity, id)?;
    }
    let mut log = fs_err::OpenOptions::new().create(true).append(true).open(folder.node_log(name))?;
    for line in &behaviour.node.log {
        std::io::Write::write_all(&mut log, format!("{line}\n").as_bytes())?;
    }
    Ok(())
}

/// Runs one call of `sandbarctl`.
pub(super) async fn sandbarctl(folder: &Folder, name: &str, run: &mut ProgramRun) -> std::io::Result<i64> {
    let arguments = run.command[1..].to_vec();
    let verb = verb(&arguments);
    let behaviour = folder.behaviour()?;
    if let Some(script) = behaviour.node.verbs.get(&verb) {
        return play(script, run).await;
    }
    if verb != "version" && verb != "status" && verb != "stop" && !is_reachable(folder, name)? {
        return fail(run, UNREACHABLE, "sandbar-node cannot be reached: node.sock does not exist").await;
    }
    match verb.as_str() {
        "version" => print_json(run, &version(&behaviour.node)).await,
        "status" => status(folder, name, run, &arguments[1..]).await,
        "kubeconfig" => kubeconfig(name, run, &arguments[1..]).await,
        "logs" => logs(&behaviour, run, &arguments[1..]).await,
        "stop" => {
            let stop = |state: &mut State, behaviour: &Behaviour| {
                if let Some(node) = state.nodes.get_mut(name) {
                    node.run = super::state::Run::Exited(behaviour.node.exit_code);
                }
            };
            folder.change(stop)?;
            Ok(0)
        }
        "image ls" => print_json(run, &json!({ "images": store::NodeImages::read(folder, name)?.images })).await,
        "image missing" => {
            let mut asked = String::new();
            run.stdin.read_to_string(&mut asked).await?;
            let held = store::NodeImages::read(folder, name)?;
            let mut missing = String::new();
            for digest in asked.lines().filter(|digest| !held.holds(digest)) {
                missing.push_str(digest);
                missing.push('\n');
            }
            run.stdout.write_all(missing.as_bytes()).await?;
            Ok(0)
        }
        "image tag" => {
            let [id, names @ ..] = &arguments[2..] else { return fail(run, USAGE, "image tag ID NAME…").await };
            finish(run, store::NodeImages::tag(folder, name, id, names)).await
        }
        "image rm" => finish(run, store::NodeImages::remove(folder, name, &arguments[2..])).await,
        "image import" => {
            let mut archive = Vec::new();
            run.stdin.read_to_end(&mut archive).await?;
            let names = values(&arguments, "--name");
            match store::NodeImages::import(folder, name, &archive, &names, &behaviour.node.architectures()) {
                Ok(report) => print_json(run, &json!({ "images": report })).await,
                Err(words) => fail(run, 1, &words).await,
            }
        }
        other => fail(run, USAGE, &format!("unknown command {other:?}")).await,
    }
}

async fn finish(run: &mut ProgramRun, result: Result<(), String>) -> std::io::Result<i64> {
    match result {
        Ok(()) => Ok(0),
        Err(words) => fail(run, 1, &words).await,
    }
}

async fn fail(run: &mut ProgramRun, code: i64, words: &str) -> std::io::Result<i64> {
    run.write_error(format!("sandbarctl: {words}\n").as_bytes()).await?;
    Ok(code)
}

async fn print_json(run: &mut ProgramRun, value: &Value) -> std::io::Result<i64> {
    run.stdout.write_all(format!("{value}\n").as_bytes()).await?;
    Ok(0)
}

fn version(node: &NodeBehaviour) -> Value {
    let mut report = json!({
        "contractVersion": node.contract_version, "version": node.version,
        "kubernetesVersion": node.kubernetes_version, "architecture": node.architecture,
    });
    if !node.emulated.is_empty() {
        report["emulated"] = json!(node.emulated);
    }
    report
}

/// Milliseconds since the node's start, and what the engine knows of it.
fn since_start(folder: &Folder, name: &str) -> std::io::Result<(u64, Option<Node>)> {
    let node = folder.look(|state, _| state.nodes.get(name).cloned())?;
    let since = node.as_ref().map_or(0, |node| now_millis().saturating_sub(node.started_millis));
    Ok((since, node))
}

fn is_reachable(folder: &Folder, name: &str) -> std::io::Result<bool> {
    let (since, _) = since_start(folder, name)?;
    Ok(folder.behaviour()?.node.reachable_after_millis.is_some_and(|after| since >= after))
}

/// `status [--wait healthy|NAME] [--timeout D] [--watch]`.
async fn status(folder: &Folder, name: &str, run: &mut ProgramRun, arguments: &[String]) -> std::io::Result<i64> {
    let wait = values(arguments, "--wait").pop();
    let watch = arguments.iter().any(|argument| argument == "--watch");
    let timeout = match values(arguments, "--timeout").pop().map(|text| duration(&text)) {
        Some(None) => return fail(run, USAGE, "invalid duration in --timeout").await,
        Some(timeout) => timeout,
        None => None,
    };
    let begun = tokio::time::Instant::now();
    let mut printed = None;
    loop {
        let reachable = is_reachable(folder, name)?;
        if !reachable && wait.is_none() && !watch {
            return fail(run, UNREACHABLE, "sandbar-node cannot be reached: node.sock does not exist").await;
        }
        let report = report(folder, name)?;
        let healthy = reachable && report["healthy"] == Value::Bool(true);
        let is_ready = |component: &str| {
            let named = |c: &&Value| c["name"] == component;
            report["components"]
                .as_array()
                .and_then(|all| all.iter().find(named))
                .is_some_and(|c| c["state"] == "ready")
        };
        let holds = match wait.as_deref() {
            None => !watch,
            Some("healthy") => healthy,
            Some(component) => reachable && is_ready(component),
        };
        if watch && reachable && printed.as_ref() != Some(&report) {
            print_json(run, &report).await?;
            printed = Some(report.clone());
        }
        if holds {
            if !watch {
                print_json(run, &report).await?;
            }
            return Ok(i64::from(wait.is_none() && !healthy));
        }
        if timeout.is_some_and(|timeout| begun.elapsed() >= timeout) {
            if !watch {
                print_json(run, &report).await?;
            }
            let wanted = wait.unwrap_or_default();
            return fail(run, TIMED_OUT, &format!("timed out waiting for {wanted}")).await;
        }
        // The script has times, the folder no events: what is shown changes at the script's times only.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The status report as the contract has it.
fn report(folder: &Folder, name: &str) -> std::io::Result<Value> {
    let behaviour = folder.behaviour()?.node;
    let (since, node) = since_start(folder, name)?;
    let started = node.as_ref().map_or(0, |node| node.started_millis);
    let config = fs_err::read_to_string(folder.node_root(name).join("etc/sandbar/config.yaml")).unwrap_or_default();
    let configured = |key: &str| {
        let value = config.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'));
        value.map(|value| value.trim().trim_matches('"').to_owned())
    };
    let cluster = configured("clusterName").unwrap_or_else(|| name.trim_start_matches("sandbar-").to_owned());
    let mut components = Vec::new();
    let mut phases = Vec::new();
    for component in &behaviour.components {
        let ready = component.ready_millis.is_some_and(|at| since >= at);
        let at = if ready { started + component.ready_millis.unwrap_or_default() } else { started };
        components.push(json!({
            "name": component.name, "state": if ready { "ready" } else { component.state.as_str() },
            "since": rfc3339(at), "restarts": 0, "lastError": component.last_error,
            "waitingFor": if ready { &[][..] } else { component.waiting_for.as_slice() },
            "reason": if ready { "" } else { component.reason.as_str() },
        }));
        let mut phase = json!({ "name": component.name, "startMillis": 0 });
        if ready {
            phase["readyMillis"] = json!(component.ready_millis);
        }
        phases.push(phase);
    }
    let all_ready = components.iter().all(|component| component["state"] == "ready");
    let base_domain = configured("baseDomain").unwrap_or_else(|| format!("{cluster}.sandbar.internal"));
    Ok(json!({
        "schemaVersion": 1, "contractVersion": behaviour.contract_version,
        "healthy": all_ready && !behaviour.unhealthy,
        "node": {
            "name": node.as_ref().map_or("", |node| node.hostname.as_str()),
            "clusterId": fs_err::read_to_string(folder.volume(name).join("cluster-id")).unwrap_or_default(),
            "clusterName": cluster, "version": behaviour.version, "kubernetesVersion": behaviour.kubernetes_version,
            "architecture": behaviour.architecture, "started": rfc3339(started), "address": "10.89.0.2",
        },
        "components": components, "phases": phases,
        "network": {
            "clusterNetwork": ["10.42.0.0/16"], "serviceNetwork": ["10.43.0.0/16"], "dns": "10.43.0.10",
            "baseDomain": base_domain,
        },
        "ingress": {
            "domains": [format!("{cluster}.localhost"), format!("apps.{base_domain}")], "hosts": behaviour.hosts,
        },
        "storage": { "path": "/var/lib/sandbar", "capacityBytes": 20_u64 << 30, "availableBytes": 10_u64 << 30 },
        "memory": { "usedBytes": 200_u64 << 20, "limitBytes": 0 },
        "warnings": behaviour.warnings,
    }))
}

/// `kubeconfig --server URL [--name N]`.
async fn kubeconfig(node: &str, run: &mut ProgramRun, arguments: &[String]) -> std::io::Result<i64> {
    let Some(server) = values(arguments, "--server").pop() else {
        return fail(run, USAGE, "--server is missing").await;
    };
    let name = values(arguments, "--name").pop().unwrap_or_else(|| node.to_owned());
    let pem = |kind: &str| {
        let body = base64::engine::general_purpose::STANDARD.encode(format!("{kind} of the fake node {node}"));
        let text = format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n");
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let (authority, certificate, key) = (pem("CERTIFICATE"), pem("CERTIFICATE"), pem("EC PRIVATE KEY"));
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    \
         server: {server}\n    certificate-authority-data: {authority}\ncontexts:\n- name: {name}\n  context:\n    \
         cluster: {name}\n    user: {name}\nusers:\n- name: {name}\n  user:\n    \
         client-certificate-data: {certificate}\n    client-key-data: {key}\n"
    );
    run.stdout.write_all(text.as_bytes()).await?;
    Ok(0)
}

/// `logs [--follow] [--tail N] [COMPONENT]`.
async fn logs(behaviour: &Behaviour, run: &mut ProgramRun, arguments: &[String]) -> std::io::Result<i64> {
    let mut rest = arguments.iter();
    let (mut follow, mut until_eof, mut tail, mut component) = (false, false, usize::MAX, None);
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--follow" | "-f" => follow = true,
            "--until-eof" => until_eof = true,
            "--tail" => tail = rest.next().and_then(|number| number.parse().ok()).unwrap_or(usize::MAX),
            "--output" => _ = rest.next(),
            other => component = Some(other),
        }
    }
    let known = |name: &str| behaviour.node.components.iter().any(|component| component.name == name);
    if let Some(name) = component.filter(|name| !known(name)) {
        return fail(run, 1, &format!("no component {name:?}")).await;
    }
    let name = component.unwrap_or("init");
    let lines: Vec<String> = behaviour.node.log.iter().map(|line| format!("{name} {line}\n")).collect();
    let shown: String = lines[lines.len().saturating_sub(tail)..].concat();
    run.stdout.write_all(shown.as_bytes()).await?;
    if follow && until_eof {
        run.stdin.read_to_end(&mut Vec::new()).await?;
    } else if follow {
        std::future::pending::<()>().await;
    }
    Ok(0)
}

/// The values of an option, given as `--name value` or `--name=value`.
fn values(arguments: &[String], option: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == option {
            found.extend(rest.next().cloned());
        } else if let Some(value) = argument.strip_prefix(option).and_then(|rest| rest.strip_prefix('=')) {
            found.push(value.to_owned());
        }
    }
    found
}

/// A Go duration of one number and one unit, or several such, as in `1m30s`.
fn duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = rest[number..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| number + end);
        let seconds = match &rest[number..unit] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += rest[..number].parse::<f64>().ok()? * seconds;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then(|| Duration::from_secs_f64(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let cases = [("1.5s", Some(1500)), ("300ms", Some(300)), ("1m30s", Some(90_000)), ("3", None), ("", None)];
        for (text, millis) in cases {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }
}
