//! A file of a release: out of the cache, or downloaded into it. One process does it; others wait for it.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use super::download::{Download, blocking};
use super::release::listed;
use super::{ArtifactError, Cache, Cached, Digest, Network, Release};
use crate::platform::Platform;
use crate::store::{FileLock, LockError};
use crate::ui::bytes;
use crate::ui::reporter::{self, Event, Reporter};

/// How often progress is told.
const TELL: Duration = Duration::from_millis(100);
/// The list of a release's digests.
const SUMS: &str = "SHA256SUMS";

/// What is needed to get files of releases.
pub struct Fetch<'a> {
    /// Where they are kept.
    pub cache: Cache,
    /// How the network is reached.
    pub network: Network,
    /// The system.
    pub platform: &'static dyn Platform,
    /// Is told what happens.
    pub reporter: &'a dyn Reporter,
    /// The command, to say who downloads.
    pub command: &'a str,
}

/// A lock whose file goes with it, also when what it was taken for is given up.
struct Held(Option<FileLock>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(lock) = self.0.take() {
            lock.remove();
        }
    }
}

impl Fetch<'_> {
    /// What the cache has of a release's node image.
    pub async fn cached(&self, release: &Release, architecture: &str) -> Result<Cached, ArtifactError> {
        let (cache, name) = (self.cache.clone(), release.archive(architecture));
        let expected = release.pin(architecture).map(|pin| pin.archive.clone());
        blocking(move || cache.look(&name, expected.as_ref())).await
    }

    /// Downloads a release's node image into the cache, unless another process has done it by the time it is its turn.
    pub async fn node_image(&self, release: &Release, architecture: &str) -> Result<PathBuf, ArtifactError> {
        let name = release.archive(architecture);
        self.platform
            .create_private_dir(self.cache.folder())
            .map_err(|source| ArtifactError::file("create", self.cache.folder(), source))?;
        let _lock = self.lock(&name).await?;
        if let Cached::Whole { path } = self.cached(release, architecture).await? {
            return Ok(path);
        }
        let client = self.network.client(&release.base)?;
        if !release.base.is_safe() {
            let text = format!("{} is not encrypted: whoever is in between can change what comes", release.base);
            self.reporter.report(&Event::Warning { text });
        }
        let (url, sums) = (release.url(&name), release.url(SUMS));
        // Without a live display it would be a long silence.
        self.reporter.report(&Event::Note { text: format!("downloading {}", release.shown(&name)) });
        let phase = reporter::phase(self.reporter, "download", format!("Downloading {name}"));
        let told = Mutex::new(None::<Instant>);
        let progress = |done: u64, total: Option<u64>| {
            let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if Some(done) == total || told.is_none_or(|at| at.elapsed() >= TELL) {
                *told = Some(Instant::now());
                phase.bytes(done, total);
            }
        };
        let note = |text: String| self.reporter.report(&Event::Note { text });
        let (patience, platform) = (&self.network.patience, self.platform);
        let download = |url| Download { client: &client, url, patience, platform, progress: &progress, note: &note };
        let expected = match release.pin(architecture) {
            Some(pin) => pin.archive.clone(),
            None => self.listed(release, &name, download(&sums)).await?,
        };
        let target = self.cache.path(&name);
        download(&url).file(&expected, &self.cache.part(&name), &target).await?;
        phase.done();
        Ok(target)
    }

    /// The digest that a release says a file has.
    async fn listed(&self, release: &Release, name: &str, list: Download<'_>) -> Result<Digest, ArtifactError> {
        let sums = list.text().await?;
        let missing = || ArtifactError::NotListed { url: release.shown(SUMS), name: name.to_owned() };
        listed(&sums, name).ok_or_else(missing)
    }

    /// Waits for its turn as long as whoever has it makes progress.
    async fn lock(&self, name: &str) -> Result<Held, ArtifactError> {
        let mut told = false;
        let mut before = self.standing(name);
        loop {
            let mut waiting = |holder: &str| {
                if !std::mem::replace(&mut told, true) {
                    self.reporter.report(&Event::Waiting { text: format!("{holder}, which downloads {name}") });
                }
            };
            let patience = self.network.patience.stall * 2;
            match self.cache.lock(name, self.command, patience, &mut waiting).await {
                Ok(lock) => return Ok(Held(Some(lock))),
                Err(LockError::Store(error)) => return Err(error.into()),
                Err(LockError::Held { holder, waited, .. }) => {
                    let now = self.standing(name);
                    if now == before {
                        return Err(ArtifactError::Busy { name: name.to_owned(), holder, waited });
                    }
                    tracing::debug!(progress = bytes(now.map_or(0, |(length, _)| length)), name, "waited for");
                    before = now;
                }
            }
        }
    }

    /// How far a download is: any change of it is progress.
    fn standing(&self, name: &str) -> Option<(u64, Option<SystemTime>)> {
        let metadata = fs_err::metadata(self.cache.part(name)).ok()?;
        Some((metadata.len(), metadata.modified().ok()))
    }
}
