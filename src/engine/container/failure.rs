//! What engines' errors mean. Podman and Docker word the same things differently; the words stand here alone.

use std::net::IpAddr;
use std::time::Duration;

use bollard::errors::Error;

use super::endpoint::CallError;
use crate::engine::{EngineError, PortForward};
use crate::error::chain;

/// What was going on when an engine failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// `podman` or `docker`.
    pub engine: &'a str,
    /// Where its API is.
    pub endpoint: &'a str,
    /// Whether it runs as an ordinary user.
    pub rootless: bool,
    /// What it should do, such as `create the node`.
    pub operation: &'a str,
    /// `node`, `network`, `volume`, `image` or `path`.
    pub what: &'static str,
    /// Name of that.
    pub name: &'a str,
    /// The ports that were asked for.
    pub ports: &'a [PortForward],
}

impl Attempt<'_> {
    /// The error for one of bollard's.
    pub fn failed(&self, error: &Error) -> EngineError {
        match error {
            Error::DockerResponseServerError { status_code, message } => self.refused(*status_code, message),
            Error::RequestTimeoutError => self.timed_out(Duration::ZERO),
            Error::HyperLegacyError { .. }
            | Error::HyperResponseError { .. }
            | Error::IOError { .. }
            | Error::SocketNotFoundError(_) => self.unreachable(&chain(error)),
            Error::DockerStreamError { error } => self.refused(500, error),
            other => self.refused(0, &chain(other)),
        }
    }

    /// The error for one of a call without bollard.
    pub fn call_failed(&self, error: &CallError) -> EngineError {
        match error {
            CallError::Lost(words) => self.unreachable(words),
            CallError::Tls(problem) => EngineError::Tls {
                engine: self.engine.to_owned(),
                endpoint: self.endpoint.to_owned(),
                problem: Box::new(problem.clone()),
            },
            CallError::Status(status, words) => self.refused(*status, words),
            CallError::Malformed(words) => self.refused(0, &format!("its answer makes no sense: {words}")),
        }
    }

    /// The API does not answer.
    pub fn unreachable(&self, reason: &str) -> EngineError {
        EngineError::Unreachable {
            engine: self.engine.to_owned(),
            endpoint: self.endpoint.to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// It took too long.
    pub fn timed_out(&self, after: Duration) -> EngineError {
        EngineError::TimedOut { engine: self.engine.to_owned(), operation: self.operation.to_owned(), after }
    }

    /// The engine answered with an error: HTTP status and words.
    pub fn refused(&self, status: u16, words: &str) -> EngineError {
        let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        let name = self.name.to_owned();
        if says(&PRIVILEGED_PORT)
            && let Some((address, port)) = port_named(words, self.ports)
        {
            EngineError::PortPrivileged { port, address }
        } else if says(&TAKEN)
            && let Some((address, port)) = port_named(words, self.ports)
        {
            EngineError::PortTaken { port, address }
        } else if says(&["image not known", "No such image", "no such image"]) {
            EngineError::NotFound { what: "image", name }
        } else if says(&["already in use by", "is already in use", "already exists", "already used"]) && self.creates()
        {
            EngineError::AlreadyExists { what: self.what, name }
        } else if self.what == "node" && says(&NOT_RUNNING) {
            EngineError::NotRunning { name }
        } else if status == 404 || (self.what == "node" && says(&["no such container", "No such container"])) {
            EngineError::NotFound { what: self.what, name }
        } else if self.operation.starts_with("start") && says(&NO_PRIVILEGE) {
            EngineError::PrivilegeRefused {
                engine: self.engine.to_owned(),
                rootless: self.rootless,
                reason: words.to_owned(),
            }
        } else {
            EngineError::Refused {
                engine: self.engine.to_owned(),
                operation: self.operation.to_owned(),
                reason: words.to_owned(),
            }
        }
    }

    fn creates(&self) -> bool {
        self.operation.starts_with("create")
    }
}

/// How the engines say that a container does not run.
const NOT_RUNNING: [&str; 6] = [
    "can only kill running containers",
    "can only create exec sessions on running containers",
    "is not running",
    // Docker, between the end of a container and its next start.
    "is restarting, wait until the container is running",
    "must be in Created or Running state",
    "container is stopped",
];

/// How the runtimes say that they may not do what a privileged container needs.
const NO_PRIVILEGE: [&str; 5] =
    ["unable to apply caps", "error setting rlimit", "setrlimit", "OCI permission denied", "operation not permitted"];

/// How the engines say that a host port is held.
const TAKEN: [&str; 4] =
    ["address already in use", "port is already allocated", "ports are not available", "Ports are not available"];

/// How rootless engines say that a port below 1024 is not theirs to open.
const PRIVILEGED_PORT: [&str; 2] = ["cannot expose privileged port", "bind: permission denied"];

/// The forward that an engine's words name: `…:PORT` or `port PORT`.
fn port_named(words: &str, ports: &[PortForward]) -> Option<(IpAddr, u16)> {
    let named = |port: &&PortForward| {
        [":", "port "].iter().any(|before| {
            let number = format!("{before}{}", port.host_port);
            let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_digit());
            words.match_indices(&number).any(|(at, _)| ends(&words[at + number.len()..]))
        })
    };
    let with_address = |port: &&PortForward| words.contains(&port.host_address.to_string());
    let mut candidates = ports.iter().filter(named);
    let port = candidates.clone().find(with_address).or_else(|| candidates.next())?;
    Some((port.host_address, port.host_port))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn attempt<'a>(operation: &'a str, what: &'static str, ports: &'a [PortForward]) -> Attempt<'a> {
        Attempt { engine: "podman", endpoint: "unix:///p", rootless: false, operation, what, name: "sandbar-a", ports }
    }

    #[test]
    fn a_taken_port_is_recognised_in_every_wording() {
        let ports = [
            PortForward { host_address: Ipv4Addr::LOCALHOST.into(), host_port: 80, node_port: 80 },
            PortForward { host_address: Ipv4Addr::LOCALHOST.into(), host_port: 8080, node_port: 443 },
            PortForward { host_address: Ipv6Addr::LOCALHOST.into(), host_port: 8080, node_port: 443 },
        ];
        let v4: IpAddr = Ipv4Addr::LOCALHOST.into();
        let cases = [
            ("cannot listen on the TCP port: listen tcp4 127.0.0.1:8080: bind: address already in use", v4, 8080),
            (
                "cannot listen on the TCP port: listen tcp6 [::1]:8080: bind: address already in use",
                Ipv6Addr::LOCALHOST.into(),
                8080,
            ),
            ("rootlessport listen tcp 127.0.0.1:80: bind: address already in use", v4, 80),
            (
                "driver failed programming external connectivity on endpoint sandbar-a (0f): Bind for 127.0.0.1:80 failed: \
              port is already allocated",
                v4,
                80,
            ),
            ("Error starting userland proxy: listen tcp4 127.0.0.1:8080: bind: address already in use", v4, 8080),
            (
                "Ports are not available: exposing port TCP 127.0.0.1:80 -> 0.0.0.0:0: listen tcp 127.0.0.1:80: bind: \
              Only one usage of each socket address (protocol/network address/port) is normally permitted.",
                v4,
                80,
            ),
        ];
        for (words, address, port) in cases {
            let error = attempt("start the node", "node", &ports).refused(500, words);
            assert!(
                matches!(error, EngineError::PortTaken { port: p, address: a } if (a, p) == (address, port)),
                "{words}: {error:?}"
            );
        }
        let privileged =
            "rootlessport cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80'";
        let error = attempt("start the node", "node", &ports).refused(500, privileged);
        assert!(matches!(error, EngineError::PortPrivileged { port: 80, .. }), "{error:?}");
        let other = attempt("start the node", "node", &ports).refused(500, "listen tcp4 1.2.3.4:80: cannot assign");
        assert!(matches!(other, EngineError::Refused { .. }), "{other:?}");
    }

    #[test]
    fn the_engines_words_become_facts() {
        let cases = [
            (
                attempt("create the node", "node", &[]),
                500,
                "creating container storage: the container name \"sandbar-a\" \
              is already in use by 0c6a. You have to remove that container: that name is already in use",
                "node sandbar-a exists already",
            ),
            (
                attempt("create the node", "node", &[]),
                409,
                "Conflict. The container name \"/sandbar-a\" is already in use \
              by container \"0c\".",
                "node sandbar-a exists already",
            ),
            (
                attempt("create the network", "network", &[]),
                500,
                "network name sandbar-a already used: network already \
              exists",
                "network sandbar-a exists already",
            ),
            (
                attempt("send the signal", "node", &[]),
                500,
                "can only kill running containers. 43 is in state exited: \
              container state improper",
                "node sandbar-a is not running",
            ),
            (
                attempt("send the signal", "node", &[]),
                409,
                "Container 43 is not running",
                "node sandbar-a is not running",
            ),
            (
                attempt("run a program in the node", "node", &[]),
                409,
                "Container 43 is restarting, wait until the container is running",
                "node sandbar-a is not running",
            ),
            (attempt("start the node", "node", &[]), 404, "no such container", "node sandbar-a does not exist"),
            (
                attempt("start the node", "node", &[]),
                500,
                "runc: runc create failed: unable to start container process: \
              unable to apply caps: operation not permitted: OCI permission denied",
                "podman cannot run privileged containers: runc: runc create failed: unable to start container process: \
              unable to apply caps: operation not permitted: OCI permission denied",
            ),
            (attempt("create the node", "node", &[]), 500, "disk full", "podman could not create the node: disk full"),
        ];
        for (attempt, status, words, expected) in cases {
            assert_eq!(attempt.refused(status, words).to_string(), expected);
        }
    }
}
