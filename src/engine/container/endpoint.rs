//! Where an engine's API is, and the few calls that are made there without bollard.
//!
//! `_ping` tells in its headers what `/version` needs half a second for in Podman; states are read as text, since an
//! engine may know states that a fixed list lacks (Podman's `stopping`); an exec's stream is taken over as it is,
//! since on a terminal any byte may begin a chunk.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};

/// Address of an engine's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A UNIX socket.
    Unix(PathBuf),
    /// `host:port`, plain HTTP.
    Tcp(String),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
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
    /// The engine answered with an error.
    Status(u16, String),
    /// The answer cannot be understood.
    Malformed(String),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Endpoint {
    /// Understands `unix:///path`, `/path`, `tcp://host:port` and `http://host:port`; a port left out is Docker's 2375.
    pub fn parse(text: &str) -> Result<Self, String> {
        let absolute = |path: &str| {
            let path = PathBuf::from(path);
            if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(format!("{text} is not an absolute path")) }
        };
        match text.split_once("://") {
            Some(("unix", path)) => absolute(path),
            Some(("tcp" | "http", address)) => Ok(Self::Tcp(with_port(address.trim_end_matches('/')))),
            Some((scheme, _)) => Err(format!("{scheme}:// is not supported; unix:// and tcp:// are")),
            None => absolute(text),
        }
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
            #[cfg(unix)]
            Self::Unix(path) => tokio::net::UnixStream::connect(path).await.ok()?.peer_cred().ok()?.pid(),
            _ => None,
        }
    }

    async fn connect(&self) -> std::io::Result<Pin<Box<dyn Stream>>> {
        Ok(match self {
            #[cfg(unix)]
            Self::Unix(path) => Box::pin(tokio::net::UnixStream::connect(path).await?),
            #[cfg(not(unix))]
            Self::Unix(_) => return Err(std::io::ErrorKind::Unsupported.into()),
            Self::Tcp(address) => Box::pin(tokio::net::TcpStream::connect(address.as_str()).await?),
        })
    }

    /// One request on a connection of its own.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<(Response<Incoming>, tokio::task::JoinHandle<()>), CallError> {
        let lost = |error: &dyn fmt::Display| CallError::Lost(error.to_string());
        let stream = self.connect().await.map_err(|error| lost(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
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
        let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
        if !upgrade && !response.status().is_success() {
            let status = response.status().as_u16();
            let bytes = read(response).await?;
            return Err(CallError::Status(status, message(&bytes)));
        }
        Ok((response, driver))
    }
}

fn with_port(address: &str) -> String {
    let host_alone = address.ends_with(']') || !address.contains(':');
    if host_alone { format!("{address}:2375") } else { address.to_owned() }
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
        let cases = [
            ("unix:///run/podman/podman.sock", unix("/run/podman/podman.sock")),
            ("/run/docker.sock", unix("/run/docker.sock")),
            ("tcp://127.0.0.1:2375/", Ok(Endpoint::Tcp("127.0.0.1:2375".into()))),
            ("tcp://engine", Ok(Endpoint::Tcp("engine:2375".into()))),
            ("tcp://[::1]", Ok(Endpoint::Tcp("[::1]:2375".into()))),
            ("tcp://[::1]:1", Ok(Endpoint::Tcp("[::1]:1".into()))),
            ("ssh://core@host", Err("ssh:// is not supported; unix:// and tcp:// are".into())),
            ("unix://relative", Err("unix://relative is not an absolute path".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(Endpoint::parse(text), expected, "{text}");
        }
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
