//! bollard's calls over the connections of an [`Endpoint`].

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bollard::BollardRequest;
use bollard::errors::Error;
use hyper::Response;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::endpoint::{CallError, Endpoint};
use crate::platform;

type Answer = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Error>> + Send>>;

/// Sends requests there, whatever their address says, over connections that are kept for a while.
pub(super) fn over(endpoint: &Endpoint) -> impl Fn(BollardRequest) -> Answer + Send + Sync + use<> {
    let client = Client::builder(TokioExecutor::new()).build(Connector(endpoint.clone()));
    move |request| {
        let answer = client.request(request);
        Box::pin(async { answer.await.map_err(|err| Error::HyperLegacyError { err }) })
    }
}

#[derive(Clone)]
struct Connector(Endpoint);

impl tower_service::Service<hyper::Uri> for Connector {
    type Response = Line;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Line>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: hyper::Uri) -> Self::Future {
        let endpoint = self.0.clone();
        Box::pin(async move {
            let stream = endpoint.connect().await.map_err(|error| match error {
                CallError::Tls(problem) => std::io::Error::other(problem),
                CallError::Lost(words) | CallError::Malformed(words) | CallError::Status(_, words) => {
                    std::io::Error::other(words)
                }
            })?;
            Ok(Line(TokioIo::new(stream)))
        })
    }
}

/// A connection as hyper's client has them.
struct Line(TokioIo<Box<dyn platform::Connection>>);

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
