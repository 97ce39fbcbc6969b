//! An image out of the user's own Podman by its program: it begins to write at once, while the API writes a temporary
//! file first.

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use super::call::STALL;
use crate::engine::{ImageInfo, Reader};
use crate::process::{Program, Streaming};

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// The docker-archive of an image; none where the program does not get as far as its first byte, as when it has another
/// store than the API. The image is asked for by its ID, so it is no other one.
pub(super) async fn save(podman: &Program, reference: &str, image: &ImageInfo) -> Option<Reader> {
    let id = image.id.trim_start_matches("sha256:");
    let program = podman.clone().args(["save", "--quiet", "--format", "docker-archive", id]);
    // A further argument is a name for the archive, which an ID alone does not give.
    let name = image.names.iter().find(|name| *name == reference);
    let running = name.into_iter().fold(program, Program::arg).streaming();
    let running = running.inspect_err(|error| tracing::debug!(%error, "the API is asked instead")).ok()?;
    let mut saving = Saving { running: Some(running) };
    match saving.next().await {
        Ok(Some(first)) => {
            let rest = stream::try_unfold(saving, async |mut saving| {
                Ok::<_, std::io::Error>(saving.next().await?.map(|piece| (piece, saving)))
            });
            let first = stream::iter([Ok(first)]);
            Some(Box::pin(StreamReader::new(Box::pin(futures_util::StreamExt::chain(first, rest)))))
        }
        Ok(None) => None,
        Err(error) => {
            tracing::debug!(%error, "the API is asked instead");
            None
        }
    }
}

/// A program that stands still is one that failed.
async fn in_time<T>(next: impl Future<Output = T>) -> std::io::Result<T> {
    let stalled = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "podman save sent nothing more");
    tokio::time::timeout(STALL, next).await.map_err(stalled)
}

/// A running `podman save`, killed when it is dropped.
struct Saving {
    running: Option<Streaming>,
}

impl Saving {
    /// The next piece; a program that fails is an error, not an end.
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        let Some(running) = &mut self.running else { return Ok(None) };
        let mut piece = BytesMut::with_capacity(CHUNK);
        if let Some(stdout) = &mut running.stdout
            && in_time(stdout.read_buf(&mut piece)).await?? > 0
        {
            return Ok(Some(piece.freeze()));
        }
        if let Some(running) = self.running.take() {
            in_time(running.wait()).await?.map_err(std::io::Error::other)?;
        }
        Ok(None)
    }
}
