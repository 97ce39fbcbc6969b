//! Where an engine's API is, and the few calls that are made there without bollard.
//!
//! `_ping` tells in its headers what `/version` needs half a second for in Podman; states are read as text, since an
//! engine may know states that a fixed list lacks (Podman's `stopping`); an exec's stream is taken over as it is,
//! since on a terminal any byte may begin a chunk.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::ssh::Address;
use super::tls::{self, Material};
use crate::engine::TlsProblem;
use crate::error::chain;
use crate::platform::{self, Connection, pipe_path};

/// Address of an engine's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A UNIX socket.
    Unix(PathBuf),
    /// A named pipe of Windows, as [`pipe_path`] has it.
    Pipe(PathBuf),
    /// A host and a port.
    Tcp(Tcp),
    /// A host behind SSH.
    Ssh(Ssh),
}

/// An engine behind SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ssh {
    /// Where it is.
    pub address: Address,
    /// The socket of this machine that leads there, once there is one.
    pub socket: Option<PathBuf>,
}

/// An address of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tcp {
    /// `host:port`.
    pub address: String,
    /// What makes it safe; none is plain HTTP.
    pub tls: Option<Material>,
}

impl Tcp {
    /// The host alone, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Pipe(path) => write!(f, "npipe://{}", path.display()),
            Self::Ssh(ssh) => ssh.address.fmt(f),
            Self::Tcp(Tcp { address, tls: None }) => write!(f, "tcp://{address}"),
            Self::Tcp(Tcp { address, tls: Some(material) }) => write!(f, "tcp://{address}?{material}"),
        }
    }
}

/// What the headers of `_ping` say: versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pong {
    /// Version of the Docker API, such as `1.41`.
    pub api: String,
    /// Podman's own version, such as `4.3.1`; none for Docker.
    pub podman: Option<String>,
    /// Docker's own version, such as `20.10.24`; none for Podman.
    pub docker: Option<String>,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum CallError {
    /// No connection, or it was lost.
    Lost(String),
    /// There is no safe connection.
    Tls(TlsProblem),
    /// The engine answered with an error.
    Status(u16, String),
    /// The answer cannot be understood.
    Malformed(String),
}

impl Endpoint {
    /// Understands `unix:///path`, `/path`, `npipe:////./pipe/name`, `tcp://host:port` and `http://host:port`; a port left out
    /// is Docker's 2375. `tcp://host:port?certs=/folder` and `https://host:port?certs=/folder` have TLS, Docker's 2376 where
    /// the port is left out; this is also how a cluster remembers where it was made. `ssh://user@host:port/path/to.sock`
    /// is one behind SSH.
    pub fn parse(text: &str) -> Result<Self, String> {
        let absolute = |path: &str| {
            let path = PathBuf::from(path);
            if path.has_root() { Ok(Self::Unix(path)) } else { Err(format!("{text} is not an absolute path")) }
        };
        match text.split_once("://") {
            Some(("unix", path)) => absolute(path),
            Some(("npipe", path)) => pipe_path(path)
                .map(|path| Self::Pipe(path.into()))
                .ok_or_else(|| format!("{text} is no pipe of this machine, such as npipe:////./pipe/docker_engine")),
            Some(("tcp" | "http" | "https", address)) => {
                let (address, query) = address.split_once('?').map_or((address, None), |(a, query)| (a, Some(query)));
                let tls = query.map(Material::parse).transpose().map_err(|reason| format!("{text}: {reason}"))?;
                Ok(Self::tcp(address, tls))
            }
            Some(("ssh", address)) => match Address::parse(address) {
                Ok(address) => Ok(Self::Ssh(Ssh { address, socket: None })),
                Err(reason) => Err(format!("{text}: {reason}")),
            },
            Some((scheme, _)) => Err(format!("{scheme}:// is not supported; unix://, tcp:// and ssh:// are")),
            None => pipe_path(text).map_or_else(|| absolute(text), |path| Ok(Self::Pipe(path.into()))),
        }
    }

    /// The same at a path, which is a socket's or a pipe's.
    pub fn at(path: PathBuf) -> Self {
        match path.to_str().and_then(pipe_path) {
            Some(pipe) => Self::Pipe(pipe.into()),
            None => Self::Unix(path),
        }
    }

    /// That address of the network; a port left out is Docker's.
    pub fn tcp(address: &str, tls: Option<Material>) -> Self {
        let port = if tls.is_some() { 2376 } else { 2375 };
        Self::Tcp(Tcp { address: with_port(address.trim_end_matches('/'), port), tls })
    }

    /// The same with TLS, where it is an address of the network.
    pub fn with_tls(self, tls: Material, text: &str) -> Self {
        match self {
            // A port that was left out is another one.
            Self::Tcp(Tcp { tls: None, .. }) => {
                let address = text.split_once("://").map_or(text, |(_, address)| address);
                Self::tcp(address, Some(tls))
            }
            other => other,
        }
    }

    /// The host that published ports are on, where that is not this machine.
    pub async fn elsewhere(&self) -> Option<String> {
        let Self::Tcp(tcp) = self else { return None };
        // One that does not resolve by now is one that answered a moment ago.
        let here = match tokio::net::lookup_host(tcp.address.as_str()).await {
            Ok(mut addresses) => addresses.all(|address| address.ip().is_loopback()),
            Err(error) => {
                tracing::debug!(%error, address = tcp.address, "taken for another machine");
                false
            }
        };
        (!here).then(|| tcp.host().to_owned())
    }

    /// Asks whether the engine is there, and what it is.
    pub async fn ping(&self, deadline: Duration) -> Result<Pong, CallError> {
        let ask = async {
            let (response, _) = self.send(Method::GET, "/_ping", None).await?;
            let header = |name: &str| {
                let value = response.headers().get(name)?.to_str().ok()?;
                Some(value.to_owned())
            };
            let pong = Pong {
                api: header("api-version").unwrap_or_else(|| "1.40".into()),
                podman: header("libpod-api-version"),
                docker: header("server").and_then(|server| docker_version(&server)),
            };
            read(response).await?;
            Ok(pong)
        };
        let late = || CallError::Lost(format!("no answer within {deadline:?}"));
        tokio::time::timeout(deadline, ask).await.unwrap_or_else(|_| Err(late()))
    }

    /// `GET path` and the JSON that comes back.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        let (response, _) = self.send(Method::GET, path, None).await?;
        let bytes = read(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| CallError::Malformed(error.to_string()))
    }

    /// `POST path` with JSON, the connection becoming a stream both ways.
    pub async fn take_over(&self, path: &str, body: &serde_json::Value) -> Result<TokioIo<Upgraded>, CallError> {
        let (response, driver) = self.send(Method::POST, path, Some(body.to_string())).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgraded = hyper::upgrade::on(response).await.map_err(|error| CallError::Lost(error.to_string()))?;
            return Ok(TokioIo::new(upgraded));
        }
        drop(driver);
        let status = response.status().as_u16();
        let words = read(response).await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        Err(CallError::Status(status, words))
    }

    /// Number of the engine's process, where the system tells.
    pub async fn process(&self) -> Option<i32> {
        match self {
            Self::Unix(path) => platform::native().socket_server(path).await,
            _ => None,
        }
    }

    /// A connection to it, safe where that is asked for.
    pub async fn connect(&self) -> Result<Box<dyn Connection>, CallError> {
        let lost = |error: std::io::Error| CallError::Lost(error.to_string());
        match self {
            Self::Unix(path) | Self::Ssh(Ssh { socket: Some(path), .. }) => {
                platform::native().connect_socket(path).await.map_err(lost)
            }
            Self::Ssh(Ssh { socket: None, .. }) => Err(lost(std::io::ErrorKind::NotConnected.into())),
            Self::Pipe(path) => platform::native().connect_pipe(path).await.map_err(lost),
            Self::Tcp(tcp) => {
                let stream = TcpStream::connect(tcp.address.as_str()).await.map_err(lost)?;
                match &tcp.tls {
                    Some(material) => {
                        let secured = material.secure(stream, tcp.host()).await.map_err(CallError::Tls)?;
                        Ok(Box::new(secured))
                    }
                    None => Ok(Box::new(stream)),
                }
            }
        }
    }

    /// What an error of a connection says of TLS, or that it was lost.
    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> CallError {
        let problem = match self {
            Self::Tcp(Tcp { tls: Some(material), .. }) => material.problem(error, ""),
            _ => None,
        };
        problem.map_or_else(|| CallError::Lost(chain(error)), CallError::Tls)
    }

    /// One request on a connection of its own.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<(Response<Incoming>, tokio::task::JoinHandle<()>), CallError> {
        let stream = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        let driver = tokio::spawn(async move {
            // Its error, if any, is the answer's too.
            let _ = connection.with_upgrades().await;
        });
        let upgrade = body.is_some();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "engine")
            .header(header::CONTENT_TYPE, "application/json");
        if upgrade {
            request = request.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "tcp");
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| CallError::Malformed(error.to_string()))?;
        // Under TLS 1.3 an engine tells only now that it does not accept who calls.
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        if !upgrade && !response.status().is_success() {
            let status = response.status().as_u16();
            let words = message(&read(response).await?);
            if tls::is_demanded(status, &words) {
                return Err(CallError::Tls(TlsProblem::Demanded));
            }
            return Err(CallError::Status(status, words));
        }
        Ok((response, driver))
    }
}

fn with_port(address: &str, port: u16) -> String {
    let host_alone = address.ends_with(']') || !address.contains(':');
    if host_alone { format!("{address}:{port}") } else { address.to_owned() }
}

/// The version in `Docker/20.10.24+dfsg1 (linux)`, without what a distribution adds to it.
fn docker_version(server: &str) -> Option<String> {
    let version = server.strip_prefix("Docker/")?.split([' ', '+']).next()?;
    (!version.is_empty()).then(|| version.to_owned())
}

async fn read(response: Response<Incoming>) -> Result<Bytes, CallError> {
    let body = response.into_body().collect().await.map_err(|error| CallError::Lost(error.to_string()))?;
    Ok(body.to_bytes())
}

/// The words in an error's body, which is `{"message": …}` or plain text.
fn message(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let words = json.as_ref().and_then(|json| json["message"].as_str()).map(str::to_owned);
    words.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_as_the_engines_own_clients_do() {
        let unix = |path: &str| Ok(Endpoint::Unix(path.into()));
        let tcp = |address: &str, tls| Ok(Endpoint::Tcp(Tcp { address: address.into(), tls }));
        let certs = |folder: &str, verify| Some(Material { folder: folder.into(), verify });
        // An absolute path has a drive on Windows.
        let absolute = |path: &str| std::path::absolute(path).unwrap().display().to_string();
        let (client, encoded, decoded) = (absolute("/certs/client"), absolute("/a%26b"), absolute("/a&b"));
        let (client_url, other_url) =
            (format!("tcp://engine?certs={client}"), format!("https://engine:1/?certs={encoded}&verify=false"));
        let cases = [
            ("unix:///run/podman/podman.sock", unix("/run/podman/podman.sock")),
            ("/run/docker.sock", unix("/run/docker.sock")),
            ("tcp://127.0.0.1:2375/", tcp("127.0.0.1:2375", None)),
            ("tcp://engine", tcp("engine:2375", None)),
            ("tcp://[::1]", tcp("[::1]:2375", None)),
            ("tcp://[::1]:1", tcp("[::1]:1", None)),
            (client_url.as_str(), tcp("engine:2376", certs(&client, true))),
            (other_url.as_str(), tcp("engine:1", certs(&decoded, false))),
            ("tcp://engine?certs=a", Err("tcp://engine?certs=a: a is not an absolute path".into())),
            ("tcp://engine?tls=1", Err("tcp://engine?tls=1: \"tls=1\" is not certs=FOLDER".into())),
            ("npipe:////./pipe/docker_engine", Ok(Endpoint::Pipe("//./pipe/docker_engine".into()))),
            (r"\\.\pipe\docker_engine", Ok(Endpoint::Pipe("//./pipe/docker_engine".into()))),
            (
                "npipe://docker_engine",
                Err("npipe://docker_engine is no pipe of this machine, such as npipe:////./pipe/docker_engine".into()),
            ),
            ("ssh://-o", Err("ssh://-o: \"-o\" is no host".into())),
            ("fd://", Err("fd:// is not supported; unix://, tcp:// and ssh:// are".into())),
            ("unix://relative", Err("unix://relative is not an absolute path".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(Endpoint::parse(text), expected, "{text}");
            // What a cluster remembers leads to the same place.
            if let Ok(endpoint) = expected {
                assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint), "{text}");
            }
        }
    }

    #[test]
    fn a_host_stands_alone() {
        let host = |text: &str| match Endpoint::parse(text) {
            Ok(Endpoint::Tcp(tcp)) => tcp.host().to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [host("tcp://docker:2376"), host("tcp://[fd00::1]"), host("tcp://10.0.0.1")],
            ["docker", "fd00::1", "10.0.0.1"]
        );
    }

    #[test]
    fn dockers_version_is_in_the_name_of_its_server() {
        let cases = [
            ("Docker/20.10.24+dfsg1 (linux)", Some("20.10.24")),
            ("Docker/28.2.2 (linux)", Some("28.2.2")),
            ("Libpod/4.3.1 (linux)", None),
            ("Docker/", None),
        ];
        for (server, expected) in cases {
            assert_eq!(docker_version(server).as_deref(), expected, "{server}");
        }
    }

    #[test]
    fn the_words_of_an_error_are_found_in_json_and_text() {
        assert_eq!(message(br#"{"cause":"a","message":"b: a","response":500}"#), "b: a");
        assert_eq!(message(b"page not found\n"), "page not found");
    }
}
