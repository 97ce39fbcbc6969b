//! One file over HTTP, in as many connections as it takes.

use std::error::Error;
use std::io;
use std::path::Path;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Client, Response, StatusCode};

use super::part::Part;
use super::tries::Tries;
use super::{ArtifactError, Digest, Patience};
use crate::platform::Platform;
use crate::spec::without_password;

/// A list of digests is a few hundred bytes; what is much larger is something else.
const LARGEST_LIST: usize = 1 << 20;

/// What a download needs.
pub(super) struct Download<'a> {
    pub client: &'a Client,
    /// May hold a password.
    pub url: &'a str,
    pub patience: &'a Patience,
    pub platform: &'static dyn Platform,
    /// Is told bytes so far, and of how many where that is known.
    pub progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
    /// Is told sentences for the user.
    pub note: &'a (dyn Fn(String) + Sync),
}

/// Why a connection brought not all.
enum Stop {
    /// Another one may.
    Again(String),
    /// None will.
    Never(ArtifactError),
}

impl From<ArtifactError> for Stop {
    fn from(error: ArtifactError) -> Self {
        Self::Never(error)
    }
}

impl Download<'_> {
    /// A text of moderate size.
    pub async fn text(&self) -> Result<String, ArtifactError> {
        let mut tries = Tries::default();
        loop {
            match self.try_text().await {
                Ok(text) => return Ok(text),
                Err(Stop::Never(error)) => return Err(error),
                Err(Stop::Again(reason)) => self.pause(&mut tries, reason, 0, 0).await?,
            }
        }
    }

    async fn try_text(&self) -> Result<String, Stop> {
        let mut answer = self.send(self.client.get(self.url)).await?;
        if !answer.status().is_success() {
            return Err(self.refusal(answer.status()));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.lost(&error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > LARGEST_LIST {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file of that digest, which gets its name when it is complete. What an earlier try has left is gone on with.
    pub async fn file(&self, digest: &Digest, path: &Path, target: &Path) -> Result<(), ArtifactError> {
        let (path_of_part, wanted) = (path.to_owned(), digest.clone());
        // It may have to read what is there.
        let mut part = blocking(move || Part::open(&path_of_part, &wanted)).await?;
        let mut tries = Tries::default();
        loop {
            let before = part.length();
            match self.try_file(&mut part, path).await {
                Ok(()) if part.digest() == *digest => {
                    let target = target.to_owned();
                    return blocking(move || part.finish(&target)).await;
                }
                // Whatever was joined was of two files. What came in one piece is what the server has.
                Ok(()) if part.is_joined() => {
                    (self.note)("what was downloaded before does not fit; downloading all of it again".to_owned());
                    part.restart(None)?;
                }
                Ok(()) => {
                    let (url, found) = (self.shown(), part.digest());
                    part.discard()?;
                    return Err(ArtifactError::WrongDigest { url, expected: digest.clone(), found });
                }
                Err(Stop::Never(error)) => return Err(error),
                Err(Stop::Again(reason)) => self.pause(&mut tries, reason, before, part.length()).await?,
            }
        }
    }

    async fn try_file(&self, part: &mut Part, path: &Path) -> Result<(), Stop> {
        let mut request = self.client.get(self.url).header(ACCEPT_ENCODING, "identity");
        if part.length() > 0 {
            request = request.header(RANGE, format!("bytes={}-", part.length()));
            if let Some(validator) = part.validator() {
                request = request.header(IF_RANGE, validator);
            }
        }
        let mut answer = self.send(request).await?;
        let total = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let fits = range(answer.headers()).filter(|(start, _)| *start == part.length());
                let same = part.validator().is_none()
                    || validator(answer.headers()).is_none_or(|it| Some(&*it) == part.validator());
                let Some((_, total)) = fits.filter(|_| same) else {
                    part.restart(None)?;
                    return Err(Stop::Again("the server sent another part than the one that was asked for".to_owned()));
                };
                part.join();
                total
            }
            StatusCode::OK => {
                if part.length() > 0 {
                    (self.note)(
                        "the server has another file by now, or no parts; downloading all of it again".to_owned(),
                    );
                }
                part.restart(validator(answer.headers()))?;
                answer.content_length()
            }
            // All of it may be there; the digest will tell.
            StatusCode::RANGE_NOT_SATISFIABLE if length(answer.headers()) == Some(part.length()) => return Ok(()),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                part.restart(None)?;
                return Err(Stop::Again("the server has less of it than is there".to_owned()));
            }
            status => return Err(self.refusal(status)),
        };
        self.check_room(part, path, total)?;
        (self.progress)(part.length(), total);
        loop {
            let piece = answer.chunk().await.map_err(|error| self.lost(&error))?;
            let Some(piece) = piece else { break };
            part.append(&piece).map_err(|source| self.of_disk(path, source, total, part.length()))?;
            (self.progress)(part.length(), total);
        }
        match total {
            Some(total) if part.length() < total => Err(Stop::Again("the connection was closed".to_owned())),
            _ => Ok(()),
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Stop> {
        request.send().await.map_err(|error| self.lost(&error))
    }

    /// Waits before another try, or says why there is none.
    async fn pause(&self, tries: &mut Tries, reason: String, before: u64, now: u64) -> Result<(), ArtifactError> {
        match tries.next(now > before, now > 0, self.patience) {
            None if now == 0 => Err(ArtifactError::Unreachable { url: self.shown(), reason }),
            None => Err(ArtifactError::BrokeOff { url: self.shown(), reason, done: now }),
            Some(pause) => {
                if now > 0 {
                    let words = format!("the download broke off after {} ({reason}); going on", crate::ui::bytes(now));
                    (self.note)(words);
                } else {
                    tracing::debug!(%reason, url = self.shown(), "tried again");
                }
                tokio::time::sleep(pause).await;
                Ok(())
            }
        }
    }

    fn check_room(&self, part: &Part, path: &Path, total: Option<u64>) -> Result<(), ArtifactError> {
        let Some(total) = total else { return Ok(()) };
        let folder = path.parent().unwrap_or(Path::new("."));
        let needed = total.saturating_sub(part.length());
        let free = self.platform.free_space(folder).map_err(|source| ArtifactError::file("look at", folder, source))?;
        match free {
            Some(free) if free < needed => {
                Err(ArtifactError::DiskFull { folder: folder.to_owned(), needed: Some(needed), free: Some(free) })
            }
            _ => Ok(()),
        }
    }

    /// A disk that took not all. What it took stays for the next try.
    fn of_disk(&self, path: &Path, source: io::Error, total: Option<u64>, done: u64) -> ArtifactError {
        match ArtifactError::file("write", path, source) {
            ArtifactError::DiskFull { folder, .. } => {
                let free = self.platform.free_space(&folder).ok().flatten();
                ArtifactError::DiskFull { folder, needed: total.map(|total| total.saturating_sub(done)), free }
            }
            error => error,
        }
    }

    fn refusal(&self, status: StatusCode) -> Stop {
        let url = self.shown();
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                ArtifactError::NotReleased { url, status: status.as_u16() }.into()
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Stop::Again(status.to_string()),
            status if status.is_server_error() => Stop::Again(status.to_string()),
            status => ArtifactError::Refused { url, status: status.as_u16() }.into(),
        }
    }

    /// A connection that broke off or was never made.
    fn lost(&self, error: &reqwest::Error) -> Stop {
        let url = self.shown();
        if certificate(error) {
            return ArtifactError::Untrusted { url, reason: innermost(error) }.into();
        }
        if error.is_redirect() || error.is_builder() {
            return ArtifactError::Unreachable { url, reason: innermost(error) }.into();
        }
        if error.is_timeout() {
            return Stop::Again(format!("nothing came for {} s", self.patience.stall.as_secs_f32()));
        }
        Stop::Again(innermost(error))
    }

    fn shown(&self) -> String {
        without_password(self.url).into_owned()
    }
}

/// Work that would hold up everything else.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArtifactError> + Send + 'static,
) -> Result<T, ArtifactError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// What a server calls a content, where that can be asked with (a weak tag cannot, RFC 9110, 13.1.5).
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    text(ETAG).filter(|tag| !tag.starts_with("W/")).or_else(|| text(LAST_MODIFIED))
}

/// Where a part begins, and how long all of it is: `bytes 5-9/10`.
fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (part, total) = text.split_once('/')?;
    Some((part.split_once('-')?.0.trim().parse().ok()?, total.trim().parse().ok()))
}

/// How long all of it is, where no part of it could be had: `bytes */10`.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes */")?.trim().parse().ok()
}

/// Whether somebody could not prove who he is.
fn certificate(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner: Option<&(dyn Error + 'static)> = wrapped.map(|inner| inner as _);
        let tls = inner.unwrap_or(error).downcast_ref::<rustls::Error>();
        if tls.is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        next = error.source().or(inner.and_then(Error::source));
    }
    false
}

/// The words of the cause, which do not repeat the address.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if cause.is::<reqwest::Error>() { "the request failed".to_owned() } else { cause.to_string() }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn headers_say_which_part_it_is() {
        let with = |text: &'static str| HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_static(text))]);
        assert_eq!(range(&with("bytes 5-9/10")), Some((5, Some(10))));
        assert_eq!(range(&with("bytes 5-9/*")), Some((5, None)));
        for text in ["bytes */10", "5-9/10", "bytes a-9/10", ""] {
            assert_eq!(range(&with(text)), None, "{text}");
        }
        assert_eq!(length(&with("bytes */10")), Some(10));
        assert_eq!(length(&with("bytes 5-9/10")), None);
    }

    #[test]
    fn a_weak_tag_is_none() {
        let mut headers = HeaderMap::new();
        headers.insert(LAST_MODIFIED, HeaderValue::from_static("Thu, 26 Nov 2026 20:00:00 GMT"));
        headers.insert(ETAG, HeaderValue::from_static("W/\"1\""));
        assert_eq!(validator(&headers).as_deref(), Some("Thu, 26 Nov 2026 20:00:00 GMT"));
        headers.insert(ETAG, HeaderValue::from_static("\"1\""));
        assert_eq!(validator(&headers).as_deref(), Some("\"1\""));
        assert_eq!(validator(&HeaderMap::new()), None);
    }
}
