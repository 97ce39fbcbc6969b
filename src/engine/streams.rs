//! The streams of programs that run in nodes, alike for all engines.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use super::Reader;

/// A piece of an output, or why there are no more.
pub(super) type Chunk = std::io::Result<Bytes>;

/// An output of which the pieces come through a channel.
pub(super) fn reader(chunks: mpsc::Receiver<Chunk>) -> Reader {
    let stream = futures_util::stream::unfold(chunks, async |mut chunks| Some((chunks.recv().await?, chunks)));
    Box::pin(StreamReader::new(Box::pin(stream)))
}

/// Standard input of a program: ends when it is shut down or dropped.
pub(super) struct Stdin<W: AsyncWrite + Send + Unpin + 'static> {
    to: Option<W>,
}

impl<W: AsyncWrite + Send + Unpin + 'static> Stdin<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to: Some(to) }
    }

    fn inner(&mut self) -> std::io::Result<Pin<&mut W>> {
        self.to.as_mut().map(Pin::new).ok_or_else(|| std::io::ErrorKind::BrokenPipe.into())
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> AsyncWrite for Stdin<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.inner()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.inner()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.inner()?.poll_shutdown(cx)
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> Drop for Stdin<W> {
    fn drop(&mut self) {
        let (Some(mut to), Ok(runtime)) = (self.to.take(), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(async move {
            // The connection may be gone already, which ends the input as well.
            let _ = to.shutdown().await;
        });
    }
}
