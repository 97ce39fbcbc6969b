//! Against a server that speaks TLS, and one that does not.

use std::path::Path;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::endpoint::{CallError, Endpoint};
use super::certificates::Authority;
use super::*;

/// How long a test waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A year that is far away.
const LATER: i32 = 2099;
const PONG: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";
/// What Go's server answers to a request without TLS.
const DEMAND: &str = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, words: &str) {
    // A caller that goes away at once is one that was refused.
    let _ = stream.read(&mut [0; 4096]).await;
    let _ = stream.write_all(words.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A server with the certificate of a folder, which wants one of the same authority; its port.
async fn server(folder: &Path) -> u16 {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificates(&folder.join("ca.pem")).unwrap().remove(0)).unwrap();
    let callers = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(callers)
        .with_single_cert(certificates(&folder.join("cert.pem")).unwrap(), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            match acceptor.accept(stream).into_fallible().await {
                Ok(stream) => answer(stream, PONG).await,
                // Closed with something unread it would be reset, of which Windows tells before it gives out the alert.
                Err((_, mut refused)) => {
                    let _ = refused.shutdown().await;
                    let _ = refused.read_to_end(&mut Vec::new()).await;
                }
            }
        }
    });
    port
}

/// A server without TLS; its port.
async fn plain(words: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer(stream, words).await;
        }
    });
    port
}

/// What asking there with the files of a folder comes to: the version of the API, or the problem.
async fn ask(host: &str, port: u16, tls: Option<(&Path, bool)>) -> Result<String, TlsProblem> {
    let tls = tls.map(|(folder, verify)| Material { folder: folder.to_owned(), verify });
    match Endpoint::tcp(&format!("{host}:{port}"), tls).ping(PATIENCE).await {
        Ok(pong) => Ok(pong.api),
        Err(CallError::Tls(problem)) => Err(problem),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_engine_with_a_certificate_is_reached_and_every_fault_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (ours, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    ours.write(&path("engine"), &["localhost"], LATER).unwrap();
    ours.write(&path("user"), &["user"], LATER).unwrap();
    other.write(&path("stranger"), &["user"], LATER).unwrap();
    let port = server(&path("engine")).await;
    let user = path("user");

    assert_eq!(ask("localhost", port, Some((&user, true))).await, Ok("1.41".into()));
    let name = TlsProblem::OtherName { host: "127.0.0.1".into() };
    assert_eq!(ask("127.0.0.1", port, Some((&user, true))).await, Err(name));
    assert_eq!(ask("127.0.0.1", port, Some((&user, false))).await, Ok("1.41".into()));
    let ca = path("stranger/ca.pem");
    let unknown = TlsProblem::UnknownAuthority { authority: Some(ca) };
    assert_eq!(ask("localhost", port, Some((&path("stranger"), true))).await, Err(unknown));
    // The engine does not know the stranger either, and says so after the handshake.
    let refused = ask("localhost", port, Some((&path("stranger"), false))).await;
    assert!(matches!(refused, Err(TlsProblem::Refused { .. })), "{refused:?}");
    for name in ["cert.pem", "key.pem"] {
        fs_err::remove_file(path("stranger").join(name)).unwrap();
        let left = ask("localhost", port, Some((&path("stranger"), false))).await;
        match name {
            "cert.pem" => assert_eq!(left, Err(TlsProblem::MissingFile { path: path("stranger/cert.pem") })),
            _ => assert!(matches!(&left, Err(TlsProblem::Refused { .. })), "{left:?}"),
        }
    }
    fs_err::write(user.join("ca.pem"), "nothing").unwrap();
    let unusable = ask("localhost", port, Some((&user, true))).await;
    assert!(matches!(unusable, Err(TlsProblem::UnusableFile { .. })), "{unusable:?}");
    let gone = TlsProblem::MissingFile { path: path("gone") };
    assert_eq!(ask("localhost", port, Some((&path("gone"), true))).await, Err(gone));
}

#[tokio::test]
async fn without_an_authority_those_of_the_system_count() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new().unwrap().write(folder.path(), &["localhost"], LATER).unwrap();
    let port = server(folder.path()).await;
    fs_err::remove_file(folder.path().join("ca.pem")).unwrap();
    let unknown = TlsProblem::UnknownAuthority { authority: None };
    assert_eq!(ask("localhost", port, Some((folder.path(), true))).await, Err(unknown));
}

#[tokio::test]
async fn a_certificate_has_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    authority.write(folder.path(), &["localhost"], 2021).unwrap();
    let port = server(folder.path()).await;
    assert_eq!(ask("localhost", port, Some((folder.path(), true))).await, Err(TlsProblem::Expired));
}

#[tokio::test]
async fn tls_on_one_side_alone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new().unwrap().write(folder.path(), &["localhost"], LATER).unwrap();
    assert_eq!(ask("localhost", plain(PONG).await, None).await, Ok("1.41".into()));
    assert_eq!(ask("localhost", plain(PONG).await, Some((folder.path(), true))).await, Err(TlsProblem::NotSpoken));
    assert_eq!(ask("localhost", plain(DEMAND).await, None).await, Err(TlsProblem::Demanded));
}
