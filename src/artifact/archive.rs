//! An archive on its way into an engine. Old engines take no zstd, so that is undone here; everything else passes as it is.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fs_err::File;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

/// How a frame of zstd begins (RFC 8878, 3.1.1).
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// How a frame begins that is to be skipped; the last four bits are anything (RFC 8878, 3.1.2).
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];
/// Memory that a frame may want for its window, in bytes: as much as `zstd --long` without a number.
const LARGEST_WINDOW: u64 = 128 << 20;
/// How much is passed on at a time.
const CHUNK: usize = 256 * 1024;
/// How many chunks may wait to be taken.
const AHEAD: usize = 8;

/// An archive that is being read.
pub struct OpenedArchive {
    /// Its content.
    pub reader: Pin<Box<dyn AsyncRead + Send>>,
    /// How large the file is, in bytes.
    pub total: u64,
    /// How much of the file has been read.
    pub done: Arc<AtomicU64>,
}

/// The first file of an archive of what machines start from; a folder with it is packed as it is read.
const FIRST: &str = "manifest.json";

/// Opens an archive, or a folder to be packed as one, to be read once. Needs a running tokio.
pub fn open(path: &Path) -> io::Result<OpenedArchive> {
    if path.is_dir() {
        return pack(path);
    }
    let file = File::open(path)?;
    let total = file.metadata()?.len();
    let done = Arc::new(AtomicU64::new(0));
    let counted = BufReader::with_capacity(CHUNK, Counted { file, done: Arc::clone(&done) });
    let reader = passed(move |pass_on| unpack(counted, pass_on));
    Ok(OpenedArchive { reader, total, done })
}

/// The files of a folder, and of none below it, as an archive that begins with its manifest.
fn pack(folder: &Path) -> io::Result<OpenedArchive> {
    let mut files = Vec::new();
    let mut total = 0;
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let metadata = fs_err::metadata(entry.path())?;
        if metadata.is_file() {
            total += metadata.len();
            files.push(entry.path());
        }
    }
    files.sort_by_key(|file| (!file.ends_with(FIRST), file.clone()));
    let done = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&done);
    let reader = passed(move |pass_on| {
        let mut archive = tar::Builder::new(Passing { pass_on, done: counter });
        // A hole would be told in a form of its own.
        archive.sparse(false);
        for file in &files {
            let name = file.file_name().unwrap_or_default();
            match archive.append_path_with_name(file, name) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                appended => appended?,
            }
        }
        archive.finish()
    });
    Ok(OpenedArchive { reader, total, done })
}

/// A stream of what somebody passes on; it blocks, and so has a thread of its own.
fn passed(
    work: impl FnOnce(&mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> + Send + 'static,
) -> Pin<Box<dyn AsyncRead + Send>> {
    let (send, receive) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut pass_on = |bytes: &[u8]| send.blocking_send(Ok(Bytes::copy_from_slice(bytes))).is_ok();
        if let Err(error) = work(&mut pass_on) {
            // Nobody may be there any more to be told.
            let _ = send.blocking_send(Err(error));
        }
    });
    let stream = futures_util::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
    Box::pin(StreamReader::new(Box::pin(stream)))
}

/// Passes on what is written to it.
struct Passing<'a> {
    pass_on: &'a mut dyn FnMut(&[u8]) -> bool,
    done: Arc<AtomicU64>,
}

impl io::Write for Passing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !(self.pass_on)(bytes) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.done.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Counted {
    file: File,
    done: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.done.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Passes on what it reads, or what is packed in it, until nobody wants any more. Blocking.
fn unpack(mut from: impl BufRead, pass_on: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
    let start = from.fill_buf()?;
    let is_skippable = start.len() > 3 && start[1..4] == SKIPPABLE;
    if !start.starts_with(&MAGIC) && !is_skippable {
        return copy(&mut from, pass_on).map(drop);
    }
    while !from.fill_buf()?.is_empty() {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(LARGEST_WINDOW);
        let mut frame = match StreamingDecoder::new_with_decoder(&mut from, &mut decoder) {
            Ok(frame) => frame,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                io::copy(&mut Read::by_ref(&mut from).take(length.into()), &mut io::sink())?;
                continue;
            }
            Err(error) => return Err(damaged(&error)),
        };
        match copy(&mut frame, pass_on) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err(damaged(&error)),
        }
        if decoder.get_checksum_from_data().is_some_and(|sum| Some(sum) != decoder.get_calculated_checksum()) {
            return Err(damaged(&"its checksum is another one"));
        }
    }
    Ok(())
}

/// What exactly is wrong in the middle of compressed data helps nobody who reads it.
fn damaged(reason: &dyn std::fmt::Display) -> io::Error {
    tracing::debug!(%reason, "an archive is damaged");
    io::Error::new(io::ErrorKind::InvalidData, "the archive is cut off or damaged")
}

/// Whether there was somebody who wanted all of it.
fn copy(from: &mut impl Read, pass_on: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<bool> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut filled = 0;
        // Decoders hand out little at a time.
        while filled < CHUNK {
            match from.read(&mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            return Ok(true);
        }
        if !pass_on(&buffer[..filled]) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use tokio::io::AsyncReadExt;

    use super::*;

    fn packed(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    async fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("archive");
        fs_err::write(&path, bytes)?;
        let mut archive = open(&path)?;
        let mut content = Vec::new();
        archive.reader.read_to_end(&mut content).await?;
        assert_eq!((archive.total, archive.done.load(Ordering::Relaxed)), (bytes.len() as u64, bytes.len() as u64));
        Ok(content)
    }

    #[tokio::test]
    async fn what_is_packed_is_unpacked_and_everything_else_passes() {
        let content: Vec<u8> = (0..600_000_u32).map(|number| (number / 7).to_le_bytes()[0]).collect();
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &packed(&content)].concat();
        let twice = [packed(&content[..5]), packed(&content[5..])].concat();
        for bytes in [content.clone(), packed(&content), twice, skipped] {
            assert_eq!(read(&bytes).await.unwrap(), content);
        }
        assert_eq!(read(b"").await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_folder_is_packed_with_its_manifest_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let large = vec![7; CHUNK * 2 + 3];
        for (name, content) in [("kernel", b"k".as_slice()), ("manifest.json", b"{}"), ("a.img", &large)] {
            fs_err::write(file(name), content).unwrap();
        }
        fs_err::create_dir(file("other")).unwrap();
        let mut archive = open(folder.path()).unwrap();
        let mut bytes = Vec::new();
        archive.reader.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(archive.total, large.len() as u64 + 3);
        let mut found = Vec::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.push((entry.path().unwrap().display().to_string(), content));
        }
        let named = |name: &str, content: &[u8]| (name.to_owned(), content.to_vec());
        assert_eq!(found, [named("manifest.json", b"{}"), named("a.img", &large), named("kernel", b"k")]);
    }

    #[tokio::test]
    async fn what_is_damaged_is_never_passed_as_whole() {
        let bytes = packed(&(0..600_000_u32).map(|number| (number / 7).to_le_bytes()[0]).collect::<Vec<u8>>());
        let mut changed = bytes.clone();
        // In the checksum at the end.
        *changed.last_mut().unwrap() ^= 1;
        for bytes in [&bytes[..bytes.len() - 5], &bytes[..bytes.len() / 2], &bytes[..6], &changed] {
            let error = read(bytes).await.unwrap_err().to_string();
            assert_eq!(error, "the archive is cut off or damaged");
        }
    }
}
