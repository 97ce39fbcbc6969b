//! Files into and out of a node.

use bollard::query_parameters as query;
use tokio_util::io::ReaderStream;

use super::ContainerEngine;
use super::call::{PACK, QUICK, SLOW};
use crate::engine::{EngineError, Reader};

impl ContainerEngine {
    pub(super) async fn put(&self, name: &str, directory: &str, archive: Reader) -> Result<(), EngineError> {
        let attempt = self.attempt("copy into the node", "node", name);
        let id = self.id(name).await?;
        if self.is_podman() && directory != "/" {
            // Podman would make the folder, Docker does not.
            let options = query::ContainerArchiveInfoOptionsBuilder::new().path(directory).build();
            let looked = self.docker().get_container_archive_info(&id, Some(options));
            let looked = self.within(QUICK, attempt, looked).await;
            self.missing_path(looked, name, directory).await?;
        }
        let options = query::UploadToContainerOptionsBuilder::new().path(directory).build();
        let body = bollard::body_try_stream(ReaderStream::with_capacity(archive, 64 * 1024));
        let copied = self.within(PACK, attempt, self.docker().upload_to_container(&id, Some(options), body)).await;
        self.missing_path(copied, name, directory).await
    }

    pub(super) async fn get(&self, name: &str, path: &str) -> Result<Reader, EngineError> {
        let attempt = self.attempt("copy out of the node", "node", name);
        let id = self.id(name).await?;
        let options = query::DownloadFromContainerOptionsBuilder::new().path(path).build();
        let flow = self.flow(attempt, SLOW, self.docker().download_from_container(&id, Some(options))).await;
        self.missing_path(flow, name, path).await
    }

    /// "No such thing" of a copy means the path, when the container is there.
    pub(super) async fn missing_path<T>(
        &self,
        copied: Result<T, EngineError>,
        name: &str,
        path: &str,
    ) -> Result<T, EngineError> {
        let lacks_path =
            |reason: &str| ["no such file", "No such file", "could not be found"].iter().any(|w| reason.contains(w));
        match copied {
            Err(EngineError::NotFound { what: "node", .. }) if self.container(name).await?.is_some() => {
                Err(EngineError::NotFound { what: "path", name: path.to_owned() })
            }
            Err(EngineError::Refused { reason, .. }) if lacks_path(&reason) => {
                Err(EngineError::NotFound { what: "path", name: path.to_owned() })
            }
            result => result,
        }
    }
}
