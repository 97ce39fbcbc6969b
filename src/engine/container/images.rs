//! Images in the engine's store.

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters as query;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio_util::io::ReaderStream;

use super::call::{PACK, QUICK, STALL};
use super::{ContainerEngine, save, state};
use crate::engine::{EngineError, ImageInfo, Reader};

impl ContainerEngine {
    pub(super) async fn image(&self, reference: &str) -> Result<Option<ImageInfo>, EngineError> {
        let attempt = self.attempt("inspect the image", "image", reference);
        let image = self.within_optional(QUICK, attempt, self.docker().inspect_image(reference)).await?;
        Ok(image.map(state::image))
    }

    pub(super) async fn exported(&self, reference: &str) -> Result<Reader, EngineError> {
        let attempt = self.attempt("export the image", "image", reference);
        if let Some(podman) = &self.inner.local {
            let image = self.image(reference).await?;
            let image = image.ok_or_else(|| EngineError::NotFound { what: "image", name: reference.to_owned() })?;
            if let Some(archive) = save::save(podman, reference, &image).await {
                return Ok(archive);
            }
        }
        let stream = Box::pin(export(self.docker().clone(), reference.to_owned()));
        self.flow(attempt, PACK, stream).await
    }

    pub(super) async fn imported(&self, archive: Reader) -> Result<Vec<String>, EngineError> {
        let attempt = self.attempt("import the image", "image", "");
        let body = bollard::body_try_stream(ReaderStream::with_capacity(archive, 256 * 1024));
        let options = query::ImportImageOptionsBuilder::new().build();
        let answer = self.docker().import_image(options, body, None);
        let lines = self.within(PACK, attempt, answer.try_collect::<Vec<_>>()).await?;
        let lines: Vec<_> = lines.into_iter().filter_map(|line| line.stream).collect();
        Ok(state::imported(&lines.concat()))
    }

    pub(super) async fn pulled(&self, reference: &str, progress: &(dyn Fn(String) + Sync)) -> Result<(), EngineError> {
        let attempt = self.attempt("pull the image", "image", reference);
        let options = query::CreateImageOptionsBuilder::new().from_image(reference).build();
        let mut pieces = std::pin::pin!(self.docker().create_image(Some(options), None, None));
        loop {
            let piece = tokio::time::timeout(STALL, pieces.next()).await.map_err(|_| attempt.timed_out(STALL))?;
            let Some(piece) = piece else { return Ok(()) };
            if let Some(words) = piece.map_err(|error| attempt.failed(&error))?.status {
                progress(words);
            }
        }
    }
}

/// The export as a stream that owns what it needs.
fn export(docker: Docker, reference: String) -> impl Stream<Item = Result<bytes::Bytes, Error>> + Send {
    let (send, receive) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        let mut pieces = std::pin::pin!(docker.export_image(&reference));
        while let Some(piece) = pieces.next().await {
            if send.send(piece).await.is_err() {
                break;
            }
        }
    });
    futures_util::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)))
}
