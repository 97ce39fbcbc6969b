//! The image that a node is made from: getting it into the engine, whether it fits, and whether its name means another one
//! by now.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::image_source::{Choice, Seen, Source, choose};
use super::{ClusterError, Host};
use crate::artifact::{self, ArtifactError, Cache, Fetch, NodeKind, Release};
use crate::engine::machine::architecture::Architecture;
use crate::engine::{Engine, EngineError, ImageInfo, LABEL_CONTRACT, NodeState, Reader};
use crate::image;
use crate::node::{CONTRACT_VERSION, WarningReport};
use crate::spec::{ClusterFile, ClusterSpec, NodeImage, ReleasesUrl};
use crate::ui::reporter::{self, Event, Phase};

/// How often progress is told.
const TELL: Duration = Duration::from_millis(100);

/// The image of a new node, wanted in an engine.
pub(super) struct Wanted<'a> {
    pub host: &'a Host<'a>,
    pub engine: &'a dyn Engine,
    pub image: &'a NodeImage,
    pub release: Release,
    /// The architecture of the node, where it is not the engine's.
    pub architecture: Option<Architecture>,
    /// ID of the image that the cluster was made from, if it was and the same image is meant.
    pub remembered: Option<&'a str>,
    pub cancelled: &'a CancellationToken,
}

/// An image that is in the engine.
pub(super) struct Provided {
    pub info: ImageInfo,
    /// What the engine is to be told: the name where it means this very image, else the ID.
    pub reference: String,
}

/// The release of this version, where the environment or else the cluster file says that releases are.
pub(super) fn release(
    host: &Host<'_>,
    engine: &dyn Engine,
    file: Option<&ClusterFile>,
) -> Result<Release, ClusterError> {
    let of_file = || file.and_then(|file| file.spec.releases.clone()).unwrap_or_default();
    let base = match host.releases {
        Some(text) => text
            .parse::<ReleasesUrl>()
            .map_err(|error| ArtifactError::Setting { variable: "SANDBAR_RELEASES", reason: error.to_string() })?,
        None => of_file(),
    };
    let containers = engine.info().takes_container_images();
    Ok(Release::of_this_version(base, if containers { NodeKind::Container } else { NodeKind::Machine }))
}

/// What the engine has under the name of an image; an archive has none.
pub(crate) async fn named(
    engine: &dyn Engine,
    image: &NodeImage,
    architecture: Option<Architecture>,
) -> Result<Option<ImageInfo>, EngineError> {
    match (image, architecture) {
        (NodeImage::Reference(reference), Some(architecture)) => {
            engine.inspect_image_of(reference.as_str(), architecture.name()).await
        }
        (NodeImage::Reference(reference), None) => engine.inspect_image(reference.as_str()).await,
        (NodeImage::Archive(_), _) => Ok(None),
    }
}

impl Wanted<'_> {
    /// Gets it into the engine from the first place that has it; `named` is what [`named`] found.
    pub async fn provide(&self, named: Option<ImageInfo>) -> Result<Provided, ClusterError> {
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Err(ClusterError::Interrupted { removed: false }),
            provided = self.get(named) => provided,
        }
    }

    async fn get(&self, named: Option<ImageInfo>) -> Result<Provided, ClusterError> {
        let architecture = match self.architecture {
            Some(architecture) => {
                // Nothing is downloaded for what could not run.
                self.engine.can_run(architecture.name()).await?;
                architecture.name().to_owned()
            }
            None => architecture(self.engine, named.as_ref()).await?,
        };
        let Choice { source, passed } = choose(self.image, &self.release, self.see(named, &architecture).await?)?;
        let kind = &self.engine.info().kind;
        for reason in &passed {
            self.explain(reason);
        }
        self.explain(&match &source {
            Source::Store(info) => format!("taken from {kind}'s store: {}", info.id),
            Source::File(path) => format!("taken from {}", path.display()),
            Source::Registry(reference) => format!("{kind} pulls {reference}"),
            Source::Cache(path) => format!("taken from the cache: {}", path.display()),
            Source::Release => format!("taken from release {} at {}", self.release.version, self.release.base),
        });
        let info = match source {
            Source::Store(info) => info,
            Source::File(path) | Source::Cache(path) => self.load(&path).await?,
            Source::Registry(reference) => self.pull(reference.as_str()).await?,
            Source::Release => self.load(&self.fetch().node_image(&self.release, &architecture).await?).await?,
        };
        fits(self.image, &info, &architecture, self.architecture.is_some())?;
        let own_name = match self.image {
            NodeImage::Reference(reference) => Some(reference.to_string()),
            NodeImage::Archive(_) => None,
        };
        let means_it = |name: &String| *name == info.id || info.names.contains(name);
        let reference = own_name.filter(means_it).unwrap_or_else(|| info.id.clone());
        Ok(Provided { info, reference })
    }

    /// Looks at what there is, as far as it can matter.
    async fn see(&self, named: Option<ImageInfo>, architecture: &str) -> Result<Seen, ClusterError> {
        let mut seen = Seen {
            engine: self.engine.info().kind.clone(),
            architecture: architecture.to_owned(),
            named,
            ..Seen::default()
        };
        match self.image {
            NodeImage::Archive(path) => {
                seen.is_there = path.exists();
                if seen.is_there && !self.engine.info().takes_container_images() {
                    // The import looks whether it is there already.
                } else if seen.is_there {
                    let packed = image::identify(path.clone(), architecture).await;
                    if let Some(id) = packed.map_err(|error| unusable(path, &error))? {
                        seen.packed = self.engine.inspect_image(&id).await?;
                    }
                } else if let Some(id) = self.remembered {
                    seen.remembered = self.engine.inspect_image(id).await?;
                }
            }
            image if image.is_default() => {
                let pin = self.release.pin(architecture);
                if let Some(pin) = pin {
                    seen.pinned = self.engine.inspect_image(&pin.image).await?;
                }
                let in_store = if pin.is_some() { &seen.pinned } else { &seen.named };
                if in_store.is_none() {
                    seen.cached = Some(self.fetch().cached(&self.release, architecture).await?);
                }
            }
            NodeImage::Reference(_) => {}
        }
        Ok(seen)
    }

    fn fetch(&self) -> Fetch<'_> {
        Fetch {
            cache: Cache::of(self.host.store.dirs()),
            network: self.host.network.clone(),
            platform: self.host.platform,
            reporter: self.host.reporter,
            command: self.host.command,
        }
    }

    /// Loads an archive or a folder into the engine's store.
    async fn load(&self, path: &Path) -> Result<ImageInfo, ClusterError> {
        let kind = &self.engine.info().kind;
        let phase = reporter::phase(self.host.reporter, "load", format!("Node image goes into {kind}"));
        let failure = Arc::new(Mutex::new(None));
        let is_layout = path.is_dir() && self.engine.info().takes_container_images();
        let (reader, total, done) = if is_layout {
            let (reader, total) = image::packed(path.to_owned()).await.map_err(|error| unusable(path, &error))?;
            (reader, total, None)
        } else {
            let archive = artifact::open(path).map_err(|error| unusable(path, &error))?;
            (archive.reader, archive.total, Some(archive.done))
        };
        let watched = Watched { reader, failure: Arc::clone(&failure) };
        let names = tell(&phase, total, done.as_deref(), self.engine.import_image(Box::pin(watched))).await;
        let names = names.map_err(|error| match failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The engine only knows that it got no more.
            Some(reason) => ClusterError::ArchiveUnusable { path: path.to_owned(), reason },
            None => error.into(),
        })?;
        let nothing = || unusable(path, &"the engine found no image in it");
        let info = self.engine.inspect_image(names.first().ok_or_else(nothing)?).await?.ok_or_else(nothing)?;
        phase.done();
        Ok(info)
    }

    async fn pull(&self, reference: &str) -> Result<ImageInfo, ClusterError> {
        let kind = &self.engine.info().kind;
        let phase = reporter::phase(self.host.reporter, "pull", format!("{kind} pulls {reference}"));
        self.engine.pull_image(reference, &|words| phase.detail(words)).await?;
        let missing = || EngineError::NotFound { what: "image", name: reference.to_owned() };
        let info = self.engine.inspect_image(reference).await?.ok_or_else(missing)?;
        phase.done();
        Ok(info)
    }

    fn explain(&self, words: &str) {
        self.host.reporter.report(&Event::Explanation { text: format!("node image: {words}") });
    }
}

fn unusable(path: &Path, reason: &impl ToString) -> ClusterError {
    ClusterError::ArchiveUnusable { path: path.to_owned(), reason: reason.to_string() }
}

/// Tells how far it is while something is done.
async fn tell<T>(phase: &Phase<'_>, total: u64, done: Option<&AtomicU64>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut clock = tokio::time::interval(TELL);
    loop {
        tokio::select! {
            result = &mut work => return result,
            _ = clock.tick() => if let Some(done) = done {
                phase.bytes(done.load(Ordering::Relaxed), Some(total));
            },
        }
    }
}

/// Keeps why an archive could not be read on: who reads it may have other words for it.
struct Watched {
    reader: Reader,
    failure: Arc<Mutex<Option<String>>>,
}

impl tokio::io::AsyncRead for Watched {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let polled = self.reader.as_mut().poll_read(context, buffer);
        if let std::task::Poll::Ready(Err(error)) = &polled {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
        polled
    }
}

/// The engine's architecture, where it has that image. Podman runs a program for each part of its answer, 0.25 s in all, so
/// an engine of this machine is not asked where the image is for this machine.
pub(crate) async fn architecture(engine: &dyn Engine, named: Option<&ImageInfo>) -> Result<String, EngineError> {
    match named {
        Some(info) if engine.info().host.is_none() && info.architecture == artifact::host_architecture() => {
            Ok(info.architecture.clone())
        }
        _ => engine.architecture().await,
    }
}

/// Refuses an image that is for another machine, or speaks a contract that this program does not know. `of_device`: the
/// architecture is a device's.
pub(crate) fn fits(
    image: &NodeImage,
    info: &ImageInfo,
    architecture: &str,
    of_device: bool,
) -> Result<(), ClusterError> {
    let unfit = |reason: String| Err(ClusterError::ImageUnfit { image: image.clone(), reason, of_device: None });
    let Some(contract) = info.labels.get(LABEL_CONTRACT) else {
        return unfit(format!("it has no label {LABEL_CONTRACT}"));
    };
    let oldest = CONTRACT_VERSION.saturating_sub(1).max(1);
    if !contract.parse().is_ok_and(|version| (oldest..=CONTRACT_VERSION).contains(&version)) {
        return unfit(format!("it speaks contract version {contract}, this sandbar speaks {CONTRACT_VERSION}"));
    }
    if !info.architecture.is_empty() && info.architecture != architecture {
        let what = if of_device { "device is" } else { "engine runs" };
        return Err(ClusterError::ImageUnfit {
            image: image.clone(),
            reason: format!("it is for {}, the {what} {architecture}", info.architecture),
            of_device: of_device.then(|| architecture.to_owned()),
        });
    }
    Ok(())
}

/// The user is told that the name of the node's image means another one by now; that is not changed by itself.
pub(super) fn other(
    spec: &ClusterSpec,
    node: Option<&NodeState>,
    image: Result<Option<ImageInfo>, EngineError>,
) -> Option<WarningReport> {
    match (node, image) {
        (Some(node), Ok(Some(image))) if node.image_id != image.id => Some(WarningReport {
            code: "ImageChanged".to_owned(),
            message: format!("image {} is another one than this node was made from", spec.image),
            hint: format!("`sandbar up {} --recreate` uses it and keeps the data", spec.name),
        }),
        (_, Ok(_)) => None,
        // The node that there is needs it no more.
        (_, Err(error)) => {
            tracing::debug!(%error, "the node's image is not compared");
            None
        }
    }
}
