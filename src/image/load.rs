//! The way of an image into a node: what is it, what does the node lack, send that.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{MaybeDone, maybe_done};
use futures_util::stream;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio_util::io::{ReaderStream, StreamReader};

use super::ImageError;
use super::archive::{Archive, ArchivedImage, Opened};
use super::aside::Aside;
use super::filter::{LeaveOut, counted, filter, hides_digests, is_compressed, peek};
use super::header::{BLOCK, padding};
use super::hint::announce;
use crate::engine::{Engine, EngineError, ImageInfo, Reader};
use crate::node::{ImportedImage, Node, NodeError};

/// How often progress is told.
const TELL: Duration = Duration::from_millis(100);
/// How a node says that it lacks what an archive leaves out.
const LACKS: &str = "the node does not have";
/// How much of a layout's file is read at a time.
const CHUNK: usize = 256 * 1024;

/// Where an image comes from.
pub enum Source {
    /// A container engine's own store.
    Engine {
        /// The engine, which need not be the one that the node runs in.
        store: Arc<dyn Engine>,
        /// The image, by name or ID.
        reference: String,
    },
    /// A docker-archive, an OCI archive, or a folder in OCI layout.
    File(PathBuf),
    /// An archive that is read once, such as standard input.
    Stream(Reader),
}

/// An image to get into a node.
pub struct Request<'a> {
    /// The engine that the node runs in.
    pub engine: &'a dyn Engine,
    /// Name of the node in the engine.
    pub node_name: &'a str,
    /// The node.
    pub node: &'a dyn Node,
    /// Where it comes from.
    pub source: Source,
    /// Names for it in place of those that it has; only for a source with one image.
    pub names: Vec<String>,
    /// Folder for a file that has to be put aside meanwhile.
    pub folder: &'a Path,
}

/// An image that is in the node now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loaded {
    /// Its name.
    pub name: String,
    /// Digest of its configuration.
    pub id: String,
    /// Layers that were sent.
    pub layers_moved: u64,
    /// Layers that the node had.
    pub layers_present: u64,
    /// Bytes that were sent, of layers.
    pub bytes_moved: u64,
}

/// Gets an image into a node. `progress` is told the bytes so far and, where it is known, of how many.
pub async fn load(
    request: Request<'_>,
    progress: &(dyn Fn(u64, Option<u64>) + Sync),
) -> Result<Vec<Loaded>, ImageError> {
    let Request { engine, node_name, node, source, names, folder } = request;
    let job = Job { engine, node_name, node, names, folder, progress };
    match source {
        Source::Engine { store, reference } => job.engine_image(store.as_ref(), &reference).await,
        Source::File(path) => job.file(path).await,
        Source::Stream(stream) => job.stream(stream).await,
    }
}

/// What to do with an image of the engine, once the node has said what it lacks.
enum Decision {
    /// Nothing any more: the node had it.
    Tagged(Vec<Loaded>),
    /// It is on its way.
    Sent,
    /// This archive does not tell in time what could be left out of it.
    PutAside(Reader),
}

struct Job<'a> {
    engine: &'a dyn Engine,
    node_name: &'a str,
    node: &'a dyn Node,
    names: Vec<String>,
    folder: &'a Path,
    progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
}

impl Job<'_> {
    async fn engine_image(&self, store: &dyn Engine, reference: &str) -> Result<Vec<Loaded>, ImageError> {
        // The engine needs a while until its first byte, the node until it has answered and until it can take something
        // in: all three begin as early as they can. What turns out to be for nothing is dropped.
        let mut export = pin!(maybe_done(store.export_image(reference)));
        let found = store.inspect_image(reference);
        let look = async { tokio::try_join!(async { Ok(found.await?) }, self.architecture()) };
        let (image, architecture) = beside(export.as_mut(), look).await?;
        let not_there =
            || ImageError::NotInEngine { engine: store.info().kind.clone(), reference: reference.to_owned() };
        let image = image.ok_or_else(not_there)?;
        if !fits(&image.architecture, slice::from_ref(&architecture)) {
            // Most nodes run one architecture: only who needs it asks.
            let others = beside(export.as_mut(), self.architectures(architecture)).await?;
            check_architecture(reference, &image.architecture, &others)?;
        }
        let names = if self.names.is_empty() { names_for(reference, &image) } else { self.names.clone() };
        let moved = Arc::new(AtomicU64::new(0));
        let (hand_over, archive) = deferred();
        let decide = async {
            let missing = beside(export.as_mut(), self.missing(&image.diff_ids)).await?;
            if missing.is_empty() {
                let tagged = self.tag_only(&image.id, &names, image.diff_ids.len()).await?;
                if let Some(loaded) = tagged {
                    return Ok::<_, ImageError>(Decision::Tagged(loaded));
                }
            }
            export.as_mut().await;
            // It is taken once, here.
            let Some(archive) = export.as_mut().take_output() else { return Ok(Decision::Sent) };
            let digests: HashSet<_> =
                image.diff_ids.iter().filter(|layer| !missing.contains(*layer)).cloned().collect();
            let (start, archive) = peek(archive?, BLOCK).await?;
            if !digests.is_empty() && hides_digests(&start) {
                return Ok(Decision::PutAside(archive));
            }
            let leave_out = LeaveOut { digests, ..LeaveOut::default() };
            // Nobody takes it where the node has failed already, which is told by the other side.
            let _ = hand_over.send(filter(archive, leave_out, moved.clone()));
            Ok(Decision::Sent)
        };
        let (mut deciding, mut sending) =
            (pin!(decide), pin!(self.send(archive, &image.diff_ids, &names, &moved, None)));
        let mut decided = false;
        let sent = loop {
            tokio::select! {
                decision = &mut deciding, if !decided => match decision? {
                    Decision::Tagged(loaded) => return Ok(loaded),
                    Decision::PutAside(archive) => return self.put_aside(archive, names.clone()).await,
                    Decision::Sent => decided = true,
                },
                sent = &mut sending => break sent,
            }
        };
        let again = async || Ok::<_, ImageError>(store.export_image(reference).await?);
        self.or_again(sent, again, &image.diff_ids, &names).await
    }

    /// An archive whose order tells too late which layer is which: it is written down first.
    async fn put_aside(&self, archive: Reader, names: Vec<String>) -> Result<Vec<Loaded>, ImageError> {
        let aside = Aside::write(archive, self.folder).await?;
        let &Self { engine, node_name, node, folder, progress, .. } = self;
        Job { engine, node_name, node, names, folder, progress }.file(aside.path().to_owned()).await
    }

    async fn file(&self, path: PathBuf) -> Result<Vec<Loaded>, ImageError> {
        let to_open = path.clone();
        let opened = blocking(move || Archive::open(&to_open));
        let file = async || {
            let opened = tokio::fs::File::open(&path).await;
            let opened = opened.map_err(|source| ImageError::Open { path: path.clone(), source })?;
            Ok::<_, ImageError>(Box::pin(opened) as Reader)
        };
        let Opened::Indexed(archive) = opened.await? else {
            let total = tokio::fs::metadata(&path).await.ok().map(|metadata| metadata.len());
            return self.send_whole(file().await?, total).await;
        };
        let (archive, images) = self.images_of(archive).await?;
        let missing = self.missing_of(&images).await?;
        if let [image] = &images[..] {
            let names = if self.names.is_empty() { image.names.clone() } else { self.names.clone() };
            if missing.is_empty()
                && !names.is_empty()
                && let Some(loaded) = self.tag_only(&image.id, &names, image.layers.len()).await?
            {
                return Ok(loaded);
            }
        }
        let layers = || images.iter().flat_map(|image| &image.layers);
        // Of several images nobody knows which will come first.
        let order: Vec<_> =
            if images.len() == 1 { layers().map(|layer| layer.diff_id.clone()).collect() } else { Vec::new() };
        let had = layers().filter(|layer| !missing.contains(&layer.diff_id));
        let leave_out = LeaveOut { paths: had.map(|layer| layer.path.clone()).collect(), ..LeaveOut::default() };
        match archive {
            Archive::Tar { files, .. } => {
                let sizes = layers().filter(|layer| missing.contains(&layer.diff_id));
                let total = sizes.filter_map(|layer| Some(files.get(&layer.path)?.1)).sum();
                self.send_filtered(file().await?, file, leave_out, &order, Some(total)).await
            }
            Archive::Layout { root } => {
                let listed = root.clone();
                let files = blocking(move || Archive::layout_files(&listed)).await?;
                let total =
                    files.iter().filter(|(path, _)| !leave_out.paths.contains(path)).map(|(_, size)| size).sum();
                let packed = async || Ok::<_, ImageError>(pack(root.clone(), files.clone()));
                self.send_filtered(packed().await?, packed, leave_out, &order, Some(total)).await
            }
        }
    }

    /// A stream is seen once: what the node holds is asked before, and files are known by their digests alone.
    async fn stream(&self, stream: Reader) -> Result<Vec<Loaded>, ImageError> {
        let (start, stream) = peek(stream, 4).await?;
        if start.is_empty() {
            return Err(ImageError::Empty);
        }
        if is_compressed(&start) {
            return self.send_whole(stream, None).await;
        }
        let held = self.node.images().await?;
        let digests = held.into_iter().flat_map(|image| image.diff_ids).collect();
        let moved = Arc::new(AtomicU64::new(0));
        let archive = filter(stream, LeaveOut { digests, ..LeaveOut::default() }, moved.clone());
        self.send(archive, &[], &self.names, &moved, None).await
    }

    /// The images of an archive that the node can run: for its own architecture where there is a choice.
    async fn images_of(&self, archive: Archive) -> Result<(Archive, Vec<ArchivedImage>), ImageError> {
        let archive = Arc::new(archive);
        let images_for = async |architectures: Vec<String>| {
            let archive = Arc::clone(&archive);
            blocking(move || {
                let images = archive.images(&architectures)?;
                for image in &images {
                    let name = image.names.first().unwrap_or(&image.id);
                    check_architecture(name, &image.architecture, &architectures)?;
                }
                Ok(images)
            })
            .await
        };
        let own = self.architecture().await?;
        let images = match images_for(vec![own.clone()]).await {
            Err(ImageError::WrongArchitecture { .. }) => images_for(self.architectures(own).await?).await,
            other => other,
        }?;
        Ok((Arc::into_inner(archive).unwrap_or_else(|| unreachable!("whoever else had it has ended")), images))
    }

    /// The node's own architecture and those that it emulates, which only the node knows.
    async fn architectures(&self, own: String) -> Result<Vec<String>, ImageError> {
        let emulated = self.node.version().await?.emulated;
        Ok([own].into_iter().chain(emulated).collect())
    }

    /// The node's architecture, by its image: that costs no call into the node.
    async fn architecture(&self) -> Result<String, ImageError> {
        let missing = || EngineError::NotFound { what: "node", name: self.node_name.to_owned() };
        let node = self.engine.inspect_node(self.node_name).await?.ok_or_else(missing)?;
        match self.engine.inspect_image(&node.image_id).await? {
            Some(image) if !image.architecture.is_empty() => Ok(image.architecture),
            // Its image may be gone while it runs.
            _ => Ok(self.node.version().await?.architecture),
        }
    }

    async fn missing(&self, digests: &[String]) -> Result<HashSet<String>, ImageError> {
        if digests.is_empty() {
            return Ok(HashSet::new());
        }
        Ok(self.node.image_missing(digests).await?.into_iter().collect())
    }

    /// Which layers of several images the node lacks, by the digests of their content.
    async fn missing_of(&self, images: &[ArchivedImage]) -> Result<HashSet<String>, ImageError> {
        let all: HashSet<_> =
            images.iter().flat_map(|image| &image.layers).map(|layer| layer.diff_id.clone()).collect();
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort();
        self.missing(&all).await
    }

    /// Gives names to an image whose layers the node has. None where the node does not have the image itself.
    async fn tag_only(&self, id: &str, names: &[String], layers: usize) -> Result<Option<Vec<Loaded>>, ImageError> {
        match self.node.image_tag(id, names).await {
            Err(NodeError::Failed { message, .. }) => {
                tracing::debug!(message, "the image itself is not there");
                Ok(None)
            }
            Err(error) => Err(error.into()),
            Ok(()) => {
                let loaded = |name: &String| Loaded {
                    name: name.clone(),
                    id: id.to_owned(),
                    layers_moved: 0,
                    layers_present: layers as u64,
                    bytes_moved: 0,
                };
                Ok(Some(names.iter().map(loaded).collect()))
            }
        }
    }

    /// Sends an archive without what is to be left out. Where the node lost one of these in the meantime, everything
    /// is sent.
    async fn send_filtered(
        &self,
        archive: Reader,
        again: impl AsyncFn() -> Result<Reader, ImageError>,
        leave_out: LeaveOut,
        layers: &[String],
        total: Option<u64>,
    ) -> Result<Vec<Loaded>, ImageError> {
        let whole = leave_out.paths.is_empty();
        let moved = Arc::new(AtomicU64::new(0));
        let sent = self.send(filter(archive, leave_out, moved.clone()), layers, &self.names, &moved, total).await;
        if whole { sent } else { self.or_again(sent, again, layers, &self.names).await }
    }

    /// What was sent, or all of it once more where the node lost a layer that was left out.
    async fn or_again(
        &self,
        sent: Result<Vec<Loaded>, ImageError>,
        again: impl AsyncFn() -> Result<Reader, ImageError>,
        layers: &[String],
        names: &[String],
    ) -> Result<Vec<Loaded>, ImageError> {
        match sent {
            Err(ImageError::Node(NodeError::Failed { message, .. })) if message.contains(LACKS) => {
                tracing::debug!(message, "sent once more, whole");
                let moved = Arc::new(AtomicU64::new(0));
                let archive = filter(again().await?, LeaveOut::default(), moved.clone());
                self.send(archive, layers, names, &moved, None).await
            }
            sent => sent,
        }
    }

    async fn send_whole(&self, archive: Reader, total: Option<u64>) -> Result<Vec<Loaded>, ImageError> {
        let moved = Arc::new(AtomicU64::new(0));
        self.send(counted(archive, moved.clone()), &[], &self.names, &moved, total).await
    }

    /// Sends an archive; with the layers of its image, first to last, they are announced.
    async fn send(
        &self,
        archive: Reader,
        layers: &[String],
        names: &[String],
        moved: &AtomicU64,
        total: Option<u64>,
    ) -> Result<Vec<Loaded>, ImageError> {
        let mut import = self.node.image_import(announce(layers, archive), names);
        let mut tick = tokio::time::interval(TELL);
        let tell = || {
            let moved = moved.load(Ordering::Relaxed);
            (self.progress)(moved, total.map(|total| total.max(moved)));
        };
        let imported = loop {
            tokio::select! {
                imported = &mut import => break imported,
                _ = tick.tick() => tell(),
            }
        };
        tell();
        Ok(imported.map_err(own_error)?.into_iter().map(Loaded::from).collect())
    }
}

impl From<ImportedImage> for Loaded {
    fn from(image: ImportedImage) -> Self {
        let ImportedImage { name, id, layers_moved, layers_present, bytes_moved } = image;
        Self { name, id, layers_moved, layers_present, bytes_moved }
    }
}

/// What is wrong with an archive comes back from the node's client inside its own error.
fn own_error(error: NodeError) -> ImageError {
    match error {
        NodeError::Input(error) => match error.downcast::<ImageError>() {
            Ok(error) => error,
            Err(error) => ImageError::Read(error),
        },
        error => ImageError::Node(error),
    }
}

fn fits(found: &str, architectures: &[String]) -> bool {
    found.is_empty() || architectures.iter().any(|architecture| architecture == found)
}

/// Refuses an image for another architecture than these, of which the first is the node's own.
fn check_architecture(image: &str, found: &str, architectures: &[String]) -> Result<(), ImageError> {
    if fits(found, architectures) {
        return Ok(());
    }
    let node = architectures.first().cloned().unwrap_or_default();
    Err(ImageError::WrongArchitecture { image: image.to_owned(), found: found.to_owned(), node })
}

/// What comes of some work, beside which something else goes on until it is done.
async fn beside<T>(mut other: Pin<&mut MaybeDone<impl Future>>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        let goes_on = matches!(*other, MaybeDone::Future(_));
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = &mut other, if goes_on => {}
        }
    }
}

/// A stream that is handed over later.
fn deferred() -> (oneshot::Sender<Reader>, Reader) {
    let (hand_over, handed_over) = oneshot::channel::<Reader>();
    let pieces = stream::once(async {
        let archive = handed_over.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
        Ok::<_, std::io::Error>(ReaderStream::with_capacity(archive, CHUNK))
    });
    (hand_over, Box::pin(StreamReader::new(Box::pin(futures_util::TryStreamExt::try_flatten(pieces)))))
}

/// The name that the user asked by, as the engine has it; of an image that was asked for by its ID all it has.
fn names_for(reference: &str, image: &ImageInfo) -> Vec<String> {
    let tagged = if reference.rsplit('/').next().is_some_and(|last| last.contains(':')) {
        reference.to_owned()
    } else {
        format!("{reference}:latest")
    };
    let asked = |name: &&String| **name == tagged || name.ends_with(&format!("/{tagged}"));
    match image.names.iter().find(asked) {
        Some(name) => vec![name.clone()],
        None => image.names.clone(),
    }
}

/// A layout's files as a tar stream.
pub(super) fn pack(root: PathBuf, files: Vec<(String, u64)>) -> Reader {
    let packing = Packing { root, files: files.into_iter(), open: None, ended: false };
    let pieces = stream::try_unfold(packing, async |mut packing| {
        let piece = packing.next().await?;
        Ok::<_, std::io::Error>(piece.map(|piece| (piece, packing)))
    });
    Box::pin(StreamReader::new(Box::pin(pieces)))
}

/// Files of a layout on their way into a tar stream.
struct Packing {
    root: PathBuf,
    files: std::vec::IntoIter<(String, u64)>,
    open: Option<OpenFile>,
    ended: bool,
}

/// The file that is being packed.
struct OpenFile {
    file: tokio::fs::File,
    path: String,
    size: u64,
    left: u64,
}

impl Packing {
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        if let Some(mut open) = self.open.take() {
            if open.left > 0 {
                let mut piece = vec![0; CHUNK.min(usize::try_from(open.left).unwrap_or(CHUNK))];
                let read = open.file.read(&mut piece).await?;
                if read == 0 {
                    let OpenFile { path, size, left, .. } = open;
                    return Err(ImageError::Truncated { path, found: size - left, size }.into());
                }
                piece.truncate(read);
                open.left -= read as u64;
                self.open = Some(open);
                return Ok(Some(piece.into()));
            }
            let filling = usize::try_from(padding(open.size)).unwrap_or_default();
            if filling > 0 {
                return Ok(Some(vec![0; filling].into()));
            }
        }
        let Some((path, size)) = self.files.next() else {
            let first = !std::mem::replace(&mut self.ended, true);
            return Ok(first.then(|| vec![0; 2 * BLOCK].into()));
        };
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_path(&path)?;
        header.set_cksum();
        let file = tokio::fs::File::open(self.root.join(&path)).await?;
        self.open = Some(OpenFile { file, path, size, left: size });
        Ok(Some(Bytes::copy_from_slice(header.as_bytes())))
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ImageError::Read(std::io::Error::other(error))))
}
