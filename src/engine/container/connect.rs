//! Finding an engine and reaching it, each failure with its own words and within a second.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::{ClientVersion, Docker};
use serde::de::DeserializeOwned;

use super::description::{docker, podman};
use super::endpoint::{CallError, Endpoint};
use super::find::{self, Candidate, Step};
use super::ssh::Line;
use super::{ContainerEngine, create, service, transport};
use crate::engine::{EngineError, EngineInfo};
use crate::env::Env;
use crate::platform::Platform;
use crate::process::Program;

/// How long a socket may take that exists. One that systemd activates starts a Podman first.
const PING: Duration = Duration::from_millis(900);
/// How long an engine may take that is on a network, its host's name and TLS included.
const PING_FAR: Duration = Duration::from_secs(10);
/// How long a rootless Podman may take to describe itself, which costs it several programs.
const DESCRIBE: Duration = Duration::from_secs(5);
/// bollard's own deadline is out of the way: each call has one of its own.
const NO_DEADLINE_SECONDS: u64 = 24 * 3600;

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
    /// The one at this address, such as `unix:///path` or `tcp://host:port`.
    At(String),
}

impl EngineChoice {
    /// From what a user writes: `auto`, `podman`, `docker`, or an address.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Any),
            "podman" => Ok(Self::Podman),
            "docker" => Ok(Self::Docker),
            text if text.contains("://") || text.starts_with(['/', '\\']) => {
                Endpoint::parse(text).map(|_| Self::At(text.to_owned()))
            }
            text => Err(format!("{text:?} is no engine; auto, podman, docker and addresses such as unix:///path are")),
        }
    }
}

/// What is needed to find and reach an engine.
pub struct ConnectOptions<'a> {
    /// Which one.
    pub choice: EngineChoice,
    /// Where the engine was before, for a cluster that exists.
    pub remembered: Option<&'a str>,
    /// The environment: what names engines and the folders where their sockets are.
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
        let mut failure = None;
        for step in find::steps(options) {
            let started = matches!(step, Step::Start(_));
            let own = matches!(&step, Step::Ask(candidate) if find::is_own(&candidate.endpoint, options));
            let error = match take(step, options).await {
                Ok(engine) => return Ok(engine),
                Err(error) => error,
            };
            tracing::debug!(%error, "passed over");
            // A service of Sandbar's own ends by itself when it is not needed; why it does not start says most.
            if started {
                failure = Some(error);
            } else if !own {
                failure.get_or_insert(error);
            }
        }
        Err(failure.unwrap_or_else(|| nothing_there(options)))
    }

    /// Refuses an engine that cannot run what a node needs, if nodes are to be created. The engine itself says whether
    /// it is an ordinary user's; where its socket is was a guess.
    async fn checked(self, candidate: &Candidate, options: &ConnectOptions<'_>) -> Result<Self, EngineError> {
        if !options.will_create || (self.is_podman() && !candidate.rootless) {
            return Ok(self);
        }
        let path = if self.is_podman() { format!("{}/info", libpod(&self.inner.info.version)) } else { "/info".into() };
        let (rootless, lacks) = if self.is_podman() {
            let host = self.describe::<podman::Description>(&path).await?.host;
            (host.security.rootless, host.lacks())
        } else {
            let description = self.describe::<docker::Description>(&path).await?;
            (description.is_rootless(), description.lacks())
        };
        match lacks {
            None => Ok(self.with_rootless(rootless)),
            Some(reason) => {
                let kind = &self.inner.info.kind;
                let engine = if rootless { format!("rootless {kind}") } else { kind.clone() };
                Err(EngineError::PrivilegeRefused { engine, rootless, reason })
            }
        }
    }

    async fn describe<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let attempt = self.attempt("describe itself", "node", "");
        let described = tokio::time::timeout(DESCRIBE, self.inner.endpoint.get::<T>(path)).await;
        described.map_err(|_| attempt.timed_out(DESCRIBE))?.map_err(|error| attempt.call_failed(&error))
    }
}

/// Takes a step towards an engine.
async fn take(step: Step, options: &ConnectOptions<'_>) -> Result<ContainerEngine, EngineError> {
    let candidate = match step {
        Step::Ask(candidate) => candidate,
        Step::Start(program) => {
            let endpoint = service::ensure(&program, &options.service_dir, options.platform, options.env).await?;
            let rootless = !options.platform.is_superuser();
            Candidate { engine: "podman", endpoint, rootless, named: None }
        }
        Step::Fail(error) => return Err(error),
    };
    let (candidate, line) = open(candidate, options).await?;
    reach(&candidate, line, options.env).await?.checked(&candidate, options).await
}

/// Opens the way to an engine behind SSH; others have theirs.
async fn open(
    mut candidate: Candidate,
    options: &ConnectOptions<'_>,
) -> Result<(Candidate, Option<Line>), EngineError> {
    let endpoint = find::with_name(&candidate.endpoint.to_string(), candidate.named.as_deref());
    let Endpoint::Ssh(ssh) = &mut candidate.endpoint else { return Ok((candidate, None)) };
    let opened = Line::open(&ssh.address, candidate.engine, &options.service_dir, options.env, options.platform).await;
    let line = opened.map_err(|problem| EngineError::Ssh { endpoint, problem: Box::new(problem) })?;
    ssh.socket = Some(line.socket());
    candidate.rootless = line.far_socket().starts_with("/run/user/");
    Ok((candidate, Some(line)))
}

async fn reach(candidate: &Candidate, line: Option<Line>, env: &Env) -> Result<ContainerEngine, EngineError> {
    let Candidate { engine, endpoint, rootless, named } = candidate;
    let unreachable = |engine: &str, reason: String| EngineError::Unreachable {
        engine: engine.to_owned(),
        endpoint: find::with_name(&endpoint.to_string(), named.as_deref()),
        reason,
    };
    let patience = if matches!(endpoint, Endpoint::Unix(_)) { PING } else { PING_FAR };
    let pong = endpoint.ping(patience).await;
    if let (Err(_), Some(line)) = (&pong, &line)
        && let Some(problem) = line.explain().await
    {
        let endpoint = find::with_name(&endpoint.to_string(), named.as_deref());
        return Err(EngineError::Ssh { endpoint, problem: Box::new(problem) });
    }
    let pong = pong.map_err(|error| match error {
        CallError::Lost(words) | CallError::Malformed(words) => unreachable(engine, words),
        CallError::Status(status, words) => unreachable(engine, format!("HTTP status {status}: {words}")),
        CallError::Tls(problem) => EngineError::Tls {
            engine: (*engine).to_owned(),
            endpoint: find::with_name(&endpoint.to_string(), named.as_deref()),
            problem: Box::new(problem),
        },
    })?;
    let kind = if pong.podman.is_some() { "podman" } else { "docker" };
    let version = client_version(&pong.api);
    let docker = match endpoint {
        // A socket or a pipe, whichever the system has: it has just answered there.
        Endpoint::Unix(path) | Endpoint::Pipe(path) => {
            Docker::connect_with_local(&path.to_string_lossy(), NO_DEADLINE_SECONDS, &version)
        }
        Endpoint::Tcp(_) | Endpoint::Ssh(_) => Docker::connect_with_custom_transport(
            transport::over(endpoint),
            Some("http://engine"),
            NO_DEADLINE_SECONDS,
            &version,
        ),
    };
    let docker = docker.map_err(|error| unreachable(kind, error.to_string()))?;
    let info = EngineInfo {
        kind: kind.to_owned(),
        version: pong.podman.or(pong.docker).unwrap_or(pong.api),
        endpoint: endpoint.to_string(),
        rootless: *rootless,
        privilege: create::Privilege::of(*rootless).words().to_owned(),
        host: endpoint.elsewhere().await,
    };
    let local = if kind == "podman" && named.is_none() {
        find::program("podman", env).map(|path| local(path, env))
    } else {
        None
    };
    Ok(ContainerEngine::new(docker, endpoint.clone(), info, local, line.map(Arc::new)))
}

/// The same user's Podman as a program, for what its API does by way of a temporary file. It has what it needs to find the
/// user's storage or virtual machine, in the variables of each system, and nothing that leads it to another engine.
fn local(path: PathBuf, env: &Env) -> Program {
    /// Where macOS and Windows have a user's files; without the first, no program of Windows has a network.
    const FOLDERS: [&str; 6] = ["SYSTEMROOT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "TEMP", "TMPDIR"];
    let variables = [
        ("PATH", env.path.clone()),
        ("HOME", env.home.clone().map(PathBuf::into_os_string)),
        ("XDG_RUNTIME_DIR", env.xdg_runtime_dir.clone().map(PathBuf::into_os_string)),
    ];
    let folders = env.all.iter().filter(|(name, _)| FOLDERS.iter().any(|folder| name.eq_ignore_ascii_case(folder)));
    Program::new(path)
        .envs(variables.into_iter().filter_map(|(name, value)| Some((name, value?))))
        .envs(folders.map(|(name, value)| (name, value)))
}

/// What to say where no engine answers and no socket refused.
fn nothing_there(options: &ConnectOptions<'_>) -> EngineError {
    let looked_for = match options.choice {
        EngineChoice::Podman => "podman",
        EngineChoice::Docker => "docker",
        EngineChoice::Any | EngineChoice::At(_) => "podman, docker",
    };
    if options.choice != EngineChoice::Podman && find::program("docker", options.env).is_some() {
        let endpoint = options.platform.docker_host();
        return EngineError::Unreachable {
            engine: "docker".into(),
            endpoint: endpoint.into(),
            reason: format!("there is no such {}", if endpoint.starts_with("npipe:") { "pipe" } else { "socket" }),
        };
    }
    EngineError::NotInstalled { looked_for: looked_for.into() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_writes_is_an_engine_or_an_address() {
        assert_eq!(EngineChoice::parse("auto"), Ok(EngineChoice::Any));
        assert_eq!(EngineChoice::parse("podman"), Ok(EngineChoice::Podman));
        assert_eq!(EngineChoice::parse("/run/p.sock"), Ok(EngineChoice::At("/run/p.sock".into())));
        let wrong = EngineChoice::parse("podmann").unwrap_err();
        assert_eq!(wrong, "\"podmann\" is no engine; auto, podman, docker and addresses such as unix:///path are");
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
