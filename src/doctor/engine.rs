//! The engine, and what is checked with its help.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::check::{Check, CheckReport, Outcome, Place};
use super::container::{self, Seen};
use super::finding::Finding;
use super::fix::Fix;
use super::run::Request;
use super::{clock, ports, subnets};
use crate::cluster::{ClusterError, Host, node_image};
use crate::engine::{Engine, EngineError, EngineInfo};
use crate::platform::Platform;
use crate::store::Record;

/// What was found with an engine, and which one it was.
pub(super) struct Checked {
    pub engine: Option<EngineInfo>,
    pub reports: Vec<CheckReport>,
}

/// Does the checks that need an engine. The error is an interruption.
pub(super) async fn check(
    host: &Host<'_>,
    request: &Request,
    cancelled: &CancellationToken,
) -> Result<Checked, ClusterError> {
    let asked = |place: Place| request.checks.iter().copied().filter(move |check| check.place == place);
    if asked(Place::Engine).chain(asked(Place::Container)).next().is_none() {
        return Ok(Checked { engine: None, reports: Vec::new() });
    }
    let connected = host.engines.connect(request.spec.engine, None, true).await.map(|(engine, _)| engine);
    let connected = connected.map_err(|error| error.for_architecture(request.spec.architecture()));
    // What is wrong with Sandbar's own files, the check of that name tells.
    let records = host.store.list().map(|(records, _)| records).unwrap_or_default();
    let mut reports = Vec::new();
    for check in asked(Place::Engine) {
        reports.push(CheckReport::new(check, of_engine(check, host, request, &connected, &records).await));
    }
    let checks: Vec<&'static Check> = asked(Place::Container).collect();
    if !checks.is_empty() {
        let looked = match &connected {
            Ok(engine) => look(host, request, engine, cancelled).await?,
            Err(_) => Looked::Not(Finding::skipped("no engine answers")),
        };
        reports.extend(checks.into_iter().map(|check| CheckReport::new(check, of_container(check, host, &looked))));
    }
    Ok(Checked { engine: connected.ok().map(|engine| engine.info().clone()), reports })
}

async fn of_engine(
    check: &Check,
    host: &Host<'_>,
    request: &Request,
    connected: &Result<Arc<dyn Engine>, EngineError>,
    records: &[Record],
) -> Finding {
    let rootless = match connected {
        Ok(engine) => engine.info().rootless,
        Err(_) => !host.platform.is_superuser(),
    };
    match (check.code, connected) {
        ("engine-reachable", Ok(engine)) => {
            if let Some(architecture) = request.spec.architecture()
                && let Err(error) = engine.can_run(architecture.name()).await
            {
                return Finding::of_failure(Outcome::Failed, error);
            }
            let EngineInfo { kind, version, endpoint, privilege, .. } = engine.info();
            Finding::passed(format!("{kind} {version} at {endpoint} ({privilege})"))
        }
        ("engine-reachable", Err(error)) => unreachable(error, host.platform),
        ("subnets", Ok(engine)) => match engine.subnets().await {
            Ok(subnets) => subnets::check(&request.spec, records, &subnets, host.platform.routes()),
            Err(error) => Finding::of_failure(Outcome::Failed, error),
        },
        // Routes alone say something, too.
        ("subnets", Err(_)) => subnets::check(&request.spec, records, &[], host.platform.routes()),
        (code, _) => match ports::CODES.iter().position(|port| *port == code) {
            Some(index) => ports::check(index, &request.spec, records, rootless, host.platform),
            None => Finding::skipped("it has nothing to do with an engine"),
        },
    }
}

/// In the words of every command that needs an engine; where a service of the system's is to be started, with the command.
fn unreachable(error: &EngineError, platform: &dyn Platform) -> Finding {
    let service = match error {
        EngineError::Unreachable { engine, endpoint, .. } if platform.has_systemd() => service(engine, endpoint),
        _ => None,
    };
    let fix = service.map(|command| Fix::of_superuser(&[command], platform));
    Finding::of_failure(Outcome::Failed, error.clone()).fix(fix)
}

/// What starts the service behind a usual socket.
fn service(engine: &str, endpoint: &str) -> Option<&'static str> {
    match engine {
        "podman" if endpoint.contains("unix:///run/podman/podman.sock") => Some("SUDO systemctl start podman.socket"),
        "podman" if endpoint.contains("unix:///run/user/") && endpoint.contains("/podman/podman.sock") => {
            Some("systemctl --user start podman.socket")
        }
        "docker" if endpoint.contains("/run/docker.sock") => Some("SUDO systemctl start docker"),
        _ => None,
    }
}

/// Whether the container has said something.
enum Looked {
    /// It has.
    At { seen: Seen, report: crate::node::HostReport, engine: EngineInfo },
    /// It has not, and why.
    Not(Finding),
}

async fn look(
    host: &Host<'_>,
    request: &Request,
    engine: &Arc<dyn Engine>,
    cancelled: &CancellationToken,
) -> Result<Looked, ClusterError> {
    if !engine.info().takes_container_images() {
        return Ok(Looked::Not(Finding::skipped("a machine brings a kernel and a system of its own")));
    }
    let spec = &request.spec;
    let fit = async {
        match node_image::named(engine.as_ref(), &spec.image, spec.architecture()).await? {
            Some(info) => {
                let architecture = node_image::architecture(engine.as_ref(), Some(&info)).await?;
                node_image::fits(&spec.image, &info, &architecture, false)?;
                Ok::<_, ClusterError>(true)
            }
            None => Ok(false),
        }
    };
    match fit.await {
        Ok(true) => {}
        Ok(false) => {
            let words = format!("image {} is not in {}'s store", spec.image, engine.info().kind);
            return Ok(Looked::Not(Finding::skipped(words).hint("`sandbar up` brings it there")));
        }
        Err(error) => return Ok(Looked::Not(Finding::of_failure(Outcome::Failed, error))),
    }
    let seen = match container::look(host, engine, spec, cancelled).await {
        Ok(seen) => seen,
        Err(error @ ClusterError::Interrupted { .. }) => return Err(error),
        Err(error) => return Ok(Looked::Not(Finding::of_failure(Outcome::Failed, error))),
    };
    Ok(match &seen.report {
        Ok(report) => Looked::At { report: report.clone(), engine: engine.info().clone(), seen },
        Err(words) if words.contains("there is no command") => Looked::Not(
            Finding::skipped(format!("image {} is older than this check", spec.image))
                .hint("`make image` builds a newer one"),
        ),
        Err(words) => Looked::Not(Finding::failed(format!("the container ended without a report: {words}"))),
    })
}

fn of_container(check: &Check, host: &Host<'_>, looked: &Looked) -> Finding {
    let (seen, report, engine) = match looked {
        Looked::At { seen, report, engine } => (seen, report, engine),
        Looked::Not(finding) if check.code == "container-starts" => return finding.clone(),
        Looked::Not(_) => return Finding::skipped("see container-starts"),
    };
    match check.code {
        "container-starts" => Finding::passed(format!("started in {} ({})", engine.kind, engine.privilege)),
        "clock" => clock::check(report.time, seen.before, seen.after),
        code => match report.checks.iter().find(|found| found.code == code) {
            Some(found) => container::of_node(found, engine.rootless, &engine.kind, host.platform),
            None => Finding::skipped("this node image does not try it"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_the_system_are_started_by_their_names() {
        for (engine, endpoint, command) in [
            ("podman", "unix:///run/podman/podman.sock (CONTAINER_HOST)", Some("SUDO systemctl start podman.socket")),
            ("podman", "unix:///run/user/1000/podman/podman.sock", Some("systemctl --user start podman.socket")),
            ("podman", "unix:///home/me/run/podman.sock", None),
            ("docker", "unix:///var/run/docker.sock", Some("SUDO systemctl start docker")),
            ("docker", "tcp://10.0.0.1:2375", None),
        ] {
            assert_eq!(service(engine, endpoint), command, "{engine} {endpoint}");
        }
    }
}
