//! Finding an engine and reaching it, each failure with its own words and within a second.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::{ClientVersion, Docker};
use serde::Deserialize;

use super::endpoint::{CallError, Endpoint};
use super::{ContainerEngine, create, service};
use crate::engine::{EngineError, EngineInfo};
use crate::env::Env;
use crate::platform::Platform;
use crate::process::Program;

/// How long a socket may take that exists. One that systemd activates starts a Podman first.
const PING: Duration = Duration::from_millis(900);
/// How long a rootless Podman may take to describe itself, which costs it several programs.
const DESCRIBE: Duration = Duration::from_secs(5);
/// bollard's own deadline is out of the way: each call has one of its own.
const NO_DEADLINE_SECONDS: u64 = 24 * 3600;
/// cgroup controllers without which a kubelet does not start.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// Which engine the user wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// Podman, or else Docker.
    #[default]
    Any,
    /// Podman alone.
    Podman,
    /// Docker alone.
    Docker,
    /// The one at this address, `unix:///path` or `tcp://host:port`.
    At(String),
}

impl EngineChoice {
    /// From what a user writes: `podman`, `docker`, or an address.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "podman" => Ok(Self::Podman),
            "docker" => Ok(Self::Docker),
            text if text.contains("://") || text.starts_with('/') => {
                Endpoint::parse(text).map(|_| Self::At(text.to_owned()))
            }
            text => Err(format!("{text:?} is no engine; podman, docker and addresses such as unix:///path are")),
        }
    }
}

/// What is needed to find and reach an engine.
pub struct ConnectOptions<'a> {
    /// Which one.
    pub choice: EngineChoice,
    /// The environment: `PATH`, `CONTAINER_HOST`, `DOCKER_HOST`, `XDG_RUNTIME_DIR`, the home directory.
    pub env: &'a Env,
    /// The system that this runs on.
    pub platform: &'static dyn Platform,
    /// Folder for the socket and the log of a Podman service of Sandbar's own; made private.
    pub service_dir: PathBuf,
    /// Whether nodes will be created, so that an engine which cannot run them is to be refused now.
    pub will_create: bool,
}

impl ContainerEngine {
    /// Finds an engine and reaches it, starting a Podman service where Podman is installed and none runs.
    pub async fn connect(options: &ConnectOptions<'_>) -> Result<Self, EngineError> {
        let mut first_failure = None;
        for candidate in candidates(options)? {
            match reach(&candidate, options.env).await {
                Ok(engine) => return engine.checked(options).await,
                Err(error) => {
                    tracing::debug!(%error, "passed over");
                    first_failure.get_or_insert(error);
                }
            }
        }
        let podman = matches!(options.choice, EngineChoice::Any | EngineChoice::Podman);
        if podman
            && options.env.container_host.is_none()
            && let Some(program) = find("podman", options.env)
        {
            let endpoint = service::ensure(&program, &options.service_dir, options.platform).await?;
            let rootless = !options.platform.is_superuser();
            let candidate = Candidate { engine: "podman", endpoint, rootless, named: false };
            return reach(&candidate, options.env).await?.checked(options).await;
        }
        Err(first_failure.unwrap_or_else(|| nothing_there(options)))
    }

    /// Refuses an engine that cannot run what a node needs, if nodes are to be created.
    async fn checked(self, options: &ConnectOptions<'_>) -> Result<Self, EngineError> {
        if !(options.will_create && self.inner.info.rootless && self.is_podman()) {
            return Ok(self);
        }
        let attempt = self.attempt("describe itself", "node", "");
        let path = format!("{}/info", libpod(&self.inner.info.version));
        let described = tokio::time::timeout(DESCRIBE, self.inner.endpoint.get::<Description>(&path)).await;
        let described = described.map_err(|_| attempt.timed_out(DESCRIBE))?;
        let described = described.map_err(|error| attempt.call_failed(&error))?;
        match described.host.lacks() {
            None => Ok(self),
            Some(reason) => Err(EngineError::PrivilegeRefused { engine: "rootless podman".into(), reason }),
        }
    }
}

/// A place where an engine's API may be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    engine: &'static str,
    endpoint: Endpoint,
    rootless: bool,
    /// Whether the user named it; then it may be another machine's, or another user's.
    named: bool,
}

/// Where to look, in order. Sockets that do not exist are left out, unless the user named them.
fn candidates(options: &ConnectOptions<'_>) -> Result<Vec<Candidate>, EngineError> {
    let env = options.env;
    let named = |engine: &'static str, text: &str| {
        let endpoint = Endpoint::parse(text).map_err(|reason| EngineError::Unreachable {
            engine: engine.to_owned(),
            endpoint: text.to_owned(),
            reason,
        })?;
        let rootless = is_a_users(&endpoint, options);
        Ok(vec![Candidate { engine, endpoint, rootless, named: true }])
    };
    if let EngineChoice::At(text) = &options.choice {
        return named("the engine", text);
    }
    let mut all = Vec::new();
    let mut add = |engine: &'static str, path: PathBuf| {
        if path.exists() {
            let endpoint = Endpoint::Unix(path);
            let rootless = is_a_users(&endpoint, options);
            all.push(Candidate { engine, endpoint, rootless, named: false });
        }
    };
    if options.choice != EngineChoice::Docker {
        if let Some(text) = &env.container_host {
            return named("podman", text);
        }
        if options.platform.is_superuser() {
            add("podman", "/run/podman/podman.sock".into());
        } else if let Some(dir) = &env.xdg_runtime_dir {
            add("podman", dir.join("podman/podman.sock"));
        }
        add("podman", service::socket(&options.service_dir));
    }
    if options.choice != EngineChoice::Podman {
        if let Some(text) = &env.docker_host {
            // Podman first where both are there: it is what `Any` prefers.
            if options.choice == EngineChoice::Docker || (all.is_empty() && find("podman", env).is_none()) {
                return named("docker", text);
            }
        }
        if options.choice == EngineChoice::Docker || find("podman", env).is_none() {
            let mut add = |path: PathBuf| {
                if path.exists() {
                    let endpoint = Endpoint::Unix(path);
                    let rootless = is_a_users(&endpoint, options);
                    all.push(Candidate { engine: "docker", endpoint, rootless, named: false });
                }
            };
            if let Some(dir) = &env.xdg_runtime_dir {
                add(dir.join("docker.sock"));
            }
            if let Some(home) = &env.home {
                add(home.join(".docker/run/docker.sock"));
            }
            add("/var/run/docker.sock".into());
        }
    }
    Ok(all)
}

/// Whether a socket belongs to an ordinary user's engine, by where it is.
fn is_a_users(endpoint: &Endpoint, options: &ConnectOptions<'_>) -> bool {
    match endpoint {
        Endpoint::Tcp(_) => false,
        Endpoint::Unix(path) => {
            let below = |dir: &Option<PathBuf>| dir.as_ref().is_some_and(|dir| path.starts_with(dir));
            let own = below(&options.env.xdg_runtime_dir) || path.starts_with(&options.service_dir);
            let users = own || below(&options.env.home) || path.starts_with("/run/user");
            users && !options.platform.is_superuser()
        }
    }
}

async fn reach(candidate: &Candidate, env: &Env) -> Result<ContainerEngine, EngineError> {
    let Candidate { engine, endpoint, rootless, named } = candidate;
    let unreachable = |engine: &str, reason: String| EngineError::Unreachable {
        engine: engine.to_owned(),
        endpoint: endpoint.to_string(),
        reason,
    };
    let pong = endpoint.ping(PING).await.map_err(|error| {
        let reason = match error {
            CallError::Lost(words) | CallError::Malformed(words) => words,
            CallError::Status(status, words) => format!("HTTP status {status}: {words}"),
        };
        unreachable(engine, reason)
    })?;
    let kind = if pong.podman_version.is_some() { "podman" } else { "docker" };
    let version = client_version(&pong.api_version);
    let docker = match endpoint {
        Endpoint::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), NO_DEADLINE_SECONDS, &version),
        Endpoint::Tcp(address) => {
            Docker::connect_with_http(&format!("http://{address}"), NO_DEADLINE_SECONDS, &version)
        }
    };
    let docker = docker.map_err(|error| unreachable(kind, error.to_string()))?;
    let info = EngineInfo {
        kind: kind.to_owned(),
        version: pong.podman_version.unwrap_or(pong.api_version),
        endpoint: endpoint.to_string(),
        rootless: *rootless,
        privilege: create::Privilege::of(*rootless).words().to_owned(),
    };
    let local = if kind == "podman" && !named { find("podman", env).map(|path| local(path, env)) } else { None };
    Ok(ContainerEngine::new(docker, endpoint.clone(), info, local))
}

/// The same user's Podman as a program, for what its API does by way of a temporary file.
fn local(path: PathBuf, env: &Env) -> Program {
    let variables = [
        ("PATH", env.path.clone()),
        ("HOME", env.home.clone().map(PathBuf::into_os_string)),
        ("XDG_RUNTIME_DIR", env.xdg_runtime_dir.clone().map(PathBuf::into_os_string)),
    ];
    Program::new(path).envs(variables.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// What to say where no engine answers and no socket refused.
fn nothing_there(options: &ConnectOptions<'_>) -> EngineError {
    let looked_for = match options.choice {
        EngineChoice::Podman => "podman",
        EngineChoice::Docker => "docker",
        EngineChoice::Any | EngineChoice::At(_) => "podman, docker",
    };
    if options.choice != EngineChoice::Podman && find("docker", options.env).is_some() {
        return EngineError::Unreachable {
            engine: "docker".into(),
            endpoint: "unix:///var/run/docker.sock".into(),
            reason: "there is no such socket".into(),
        };
    }
    EngineError::NotInstalled { looked_for: looked_for.into() }
}

/// A program on the snapshot's `PATH`.
fn find(program: &str, env: &Env) -> Option<PathBuf> {
    which::which_in(program, env.path.as_ref(), Path::new("/")).ok()
}

/// The newest version that both sides speak; the engine's own is never above what bollard knows in what is used here.
fn client_version(api_version: &str) -> ClientVersion {
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let mut parts = api_version.split('.');
    let (major, minor) = (number(parts.next()).unwrap_or(1), number(parts.next()).unwrap_or(40));
    let newest = bollard::API_DEFAULT_VERSION;
    if (major, minor) < (newest.major_version, newest.minor_version) {
        ClientVersion { major_version: major, minor_version: minor }
    } else {
        ClientVersion { major_version: newest.major_version, minor_version: newest.minor_version }
    }
}

/// Where Podman's own API begins.
pub(super) fn libpod(version: &str) -> String {
    format!("/v{version}/libpod")
}

/// A request's address with the path of another call of Podman's own API.
pub(super) fn libpod_uri(uri: &hyper::Uri, version: &str, path: &str) -> hyper::Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = format!("{}{path}", libpod(version)).parse().ok();
    hyper::Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// The part of Podman's `info` that decides whether a node can run.
#[derive(Debug, Deserialize)]
struct Description {
    host: Host,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    cgroup_version: String,
    #[serde(default)]
    cgroup_controllers: Vec<String>,
}

impl Host {
    /// What a rootless Podman lacks, in words.
    fn lacks(&self) -> Option<String> {
        if self.cgroup_version != "v2" {
            return Some(format!(
                "without root it needs cgroup v2, and this host has cgroup {}; a Podman run by root works",
                self.cgroup_version
            ));
        }
        let missing: Vec<_> =
            CONTROLLERS.into_iter().filter(|name| !self.cgroup_controllers.iter().any(|have| have == name)).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "the cgroup controllers {} are not delegated to this user; a Podman run by root works",
                missing.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_writes_is_an_engine_or_an_address() {
        assert_eq!(EngineChoice::parse("podman"), Ok(EngineChoice::Podman));
        assert_eq!(EngineChoice::parse("/run/p.sock"), Ok(EngineChoice::At("/run/p.sock".into())));
        let wrong = EngineChoice::parse("podmann").unwrap_err();
        assert_eq!(wrong, "\"podmann\" is no engine; podman, docker and addresses such as unix:///path are");
    }

    #[test]
    fn a_rootless_podman_needs_delegated_controllers() {
        let host = |version: &str, controllers: &[&str]| Host {
            cgroup_version: version.into(),
            cgroup_controllers: controllers.iter().map(|&name| name.into()).collect(),
        };
        assert_eq!(host("v2", &["cpu", "io", "memory", "pids"]).lacks(), None);
        let lacks = host("v2", &["memory", "pids"]).lacks().unwrap();
        assert!(lacks.starts_with("the cgroup controllers cpu are not delegated"), "{lacks}");
        let lacks = host("v1", &[]).lacks().unwrap();
        assert!(lacks.starts_with("without root it needs cgroup v2, and this host has cgroup v1"), "{lacks}");
    }

    #[test]
    fn the_api_version_is_the_older_of_both() {
        let cases = [
            ("1.41", (1, 41)),
            ("1.24", (1, 24)),
            ("9.99", {
                let newest = bollard::API_DEFAULT_VERSION;
                (newest.major_version, newest.minor_version)
            }),
        ];
        for (text, expected) in cases {
            let version = client_version(text);
            assert_eq!((version.major_version, version.minor_version), expected, "{text}");
        }
    }

    #[test]
    fn podmans_own_calls_keep_the_transport() {
        let uri: hyper::Uri = "unix://2f72756e/v1.41/containers/create?name=a".parse().unwrap();
        let expected = "unix://2f72756e/v4.3.1/libpod/containers/create";
        assert_eq!(libpod_uri(&uri, "4.3.1", "/containers/create").to_string(), expected);
    }
}
