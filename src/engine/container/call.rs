//! One call to an engine: its deadline, and its failure in words.

use std::future::Future;
use std::time::Duration;

use bollard::errors::Error;
use futures_util::{Stream, StreamExt};
use tokio_util::io::StreamReader;

use super::ContainerEngine;
use super::failure::Attempt;
use crate::engine::{EngineError, Reader};

/// For calls that only look or change a record.
pub(super) const QUICK: Duration = Duration::from_secs(30);
/// For calls that start or remove something.
pub(super) const SLOW: Duration = Duration::from_secs(90);
/// For an answer that begins only when an image was packed.
pub(super) const PACK: Duration = Duration::from_mins(10);
/// For the next piece of something that flows.
pub(super) const STALL: Duration = Duration::from_mins(2);

impl ContainerEngine {
    pub(super) fn attempt<'a>(&'a self, operation: &'a str, what: &'static str, name: &'a str) -> Attempt<'a> {
        let info = &self.inner.info;
        Attempt {
            engine: &info.kind,
            endpoint: &info.endpoint,
            rootless: info.rootless,
            operation,
            what,
            name,
            ports: &[],
        }
    }

    /// Waits for one of bollard's calls, up to a deadline.
    pub(super) async fn within<T>(
        &self,
        deadline: Duration,
        attempt: Attempt<'_>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, EngineError> {
        match tokio::time::timeout(deadline, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(attempt.failed(&error)),
            Err(_) => Err(attempt.timed_out(deadline)),
        }
    }

    /// The same where "there is no such thing" is an answer.
    pub(super) async fn within_optional<T>(
        &self,
        deadline: Duration,
        attempt: Attempt<'_>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, EngineError> {
        match self.within(deadline, attempt, call).await {
            Ok(value) => Ok(Some(value)),
            Err(EngineError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A stream of bollard's as a reader, its first piece awaited, so that "no such thing" is an error here.
    pub(super) async fn flow(
        &self,
        attempt: Attempt<'_>,
        first: Duration,
        stream: impl Stream<Item = Result<bytes::Bytes, Error>> + Send + 'static,
    ) -> Result<Reader, EngineError> {
        let mut stream = Box::pin(stream);
        let begin = match tokio::time::timeout(first, stream.next()).await {
            Err(_) => return Err(attempt.timed_out(first)),
            Ok(None) => None,
            Ok(Some(Err(error))) => return Err(attempt.failed(&error)),
            Ok(Some(Ok(piece))) => Some(Ok(piece)),
        };
        let rest = futures_util::stream::try_unfold(stream, async |mut stream| {
            match tokio::time::timeout(STALL, stream.next()).await {
                Err(_) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "the engine sent nothing more")),
                Ok(None) => Ok(None),
                Ok(Some(piece)) => piece.map(|piece| Some((piece, stream))).map_err(std::io::Error::other),
            }
        });
        Ok(Box::pin(StreamReader::new(Box::pin(futures_util::stream::iter(begin).chain(rest)))))
    }
}
