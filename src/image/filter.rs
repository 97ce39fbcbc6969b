//! An archive on its way to a node, without the files that the node has. Memory is constant whatever its size.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;

use super::ImageError;
use super::header::{BLOCK, Details, Header, padding, parse};
use crate::engine::Reader;

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// Which files of an archive need not be sent.
#[derive(Debug, Clone, Default)]
pub(super) struct LeaveOut {
    /// Their paths.
    pub paths: HashSet<String>,
    /// Digests that the node has: files whose path says that they have one of them.
    pub digests: HashSet<String>,
}

impl LeaveOut {
    fn matches(&self, path: &str) -> bool {
        self.paths.contains(path) || promised_digest(path).is_some_and(|digest| self.digests.contains(&digest))
    }
}

/// The digest that a path says its content has: `blobs/sha256/HEX` in an OCI layout, `HEX.tar` where Podman or Skopeo
/// wrote a docker-archive.
pub(super) fn promised_digest(path: &str) -> Option<String> {
    let hex = path.strip_prefix("blobs/sha256/").or_else(|| path.strip_suffix(".tar"))?;
    let is_hex = hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| format!("sha256:{hex}"))
}

/// Whether an archive begins as Docker before 25 writes it: layers in folders named after something else than their
/// content. `start` is its first header.
pub(super) fn hides_digests(start: &[u8]) -> bool {
    let (hex, rest) = start.split_at(start.len().min(64));
    let is_hex = hex.len() == 64 && hex.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex && (rest.starts_with(b"/") || rest.starts_with(b".json"))
}

/// The archive without what is to be left out; bytes of content that pass are added to `moved`. One that breaks off is
/// an error that says where, see [`super::ImageError`].
pub(super) fn filter(from: Reader, leave_out: LeaveOut, moved: Arc<AtomicU64>) -> Reader {
    let filter = Filter {
        from,
        buffer: BytesMut::new(),
        leave_out,
        moved,
        details: Details::default(),
        held: BytesMut::new(),
        part: Part::Header,
        path: None,
    };
    let pieces = stream::try_unfold(filter, async |mut filter| {
        let piece = filter.next().await.map_err(std::io::Error::from)?;
        Ok::<_, std::io::Error>(piece.map(|piece| (piece, filter)))
    });
    Box::pin(StreamReader::new(Box::pin(pieces)))
}

/// What comes next in the stream.
#[derive(Debug, Clone, Copy)]
enum Part {
    Header,
    /// Content that goes on or is left out: what is left of it, of how much, and of the filling after it.
    Content {
        left: u64,
        size: u64,
        filling: u64,
        send: bool,
    },
    /// The rest after the end: zeroes, and whatever else a writer adds.
    Rest,
}

struct Filter {
    from: Reader,
    buffer: BytesMut,
    leave_out: LeaveOut,
    moved: Arc<AtomicU64>,
    details: Details,
    /// Headers about the entry that follows, to be sent or left out with it.
    held: BytesMut,
    part: Part,
    /// The entry that was seen last.
    path: Option<String>,
}

impl Filter {
    /// The next piece to send, or none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, ImageError> {
        loop {
            match self.part {
                Part::Header => {
                    let Some(block) = self.block().await? else { return Ok(None) };
                    if let Some(piece) = self.header(&block).await? {
                        return Ok(Some(piece));
                    }
                }
                Part::Content { left: 0, filling: 0, .. } => self.part = Part::Header,
                Part::Content { left, size, filling, send } => {
                    if self.buffer.is_empty() && !self.fill().await? {
                        let path = self.path.clone().unwrap_or_default();
                        return Err(ImageError::Truncated { path, found: size - left, size });
                    }
                    let take = usize::try_from(left + filling).unwrap_or(usize::MAX).min(self.buffer.len());
                    let piece = self.buffer.split_to(take).freeze();
                    let content = left.min(take as u64);
                    let filling = filling - (take as u64 - content);
                    self.part = Part::Content { left: left - content, size, filling, send };
                    if send {
                        self.moved.fetch_add(content, Ordering::Relaxed);
                        return Ok(Some(piece));
                    }
                }
                Part::Rest => {
                    if self.buffer.is_empty() && !self.fill().await? {
                        return Ok(None);
                    }
                    return Ok(Some(self.buffer.split().freeze()));
                }
            }
        }
    }

    /// Deals with one header block; what is to be sent of it comes back.
    async fn header(&mut self, block: &[u8; BLOCK]) -> Result<Option<Bytes>, ImageError> {
        match parse(block, &mut self.details, self.path.as_deref())? {
            Header::End => {
                self.part = Part::Rest;
                let mut piece = std::mem::take(&mut self.held);
                piece.extend_from_slice(block);
                Ok(Some(piece.freeze()))
            }
            Header::Details { kind, size } => {
                self.held.extend_from_slice(block);
                let begin = self.held.len();
                let whole = usize::try_from(size + padding(size)).unwrap_or(usize::MAX);
                while self.buffer.len() < whole {
                    if !self.fill().await? {
                        return Err(self.breaks_off());
                    }
                }
                self.held.extend_from_slice(&self.buffer.split_to(whole));
                let end = begin + usize::try_from(size).unwrap_or_default();
                self.details.extend(kind, &self.held[begin..end]);
                Ok(None)
            }
            Header::Entry { path, size, is_file, .. } => {
                let send = !(is_file && self.leave_out.matches(&path));
                self.part = Part::Content { left: size, size, filling: padding(size), send };
                self.path = Some(path);
                let mut piece = std::mem::take(&mut self.held);
                piece.extend_from_slice(block);
                Ok(send.then(|| piece.freeze()))
            }
        }
    }

    /// The next block, or none where the stream ends properly without the two blocks of zeroes.
    async fn block(&mut self) -> Result<Option<[u8; BLOCK]>, ImageError> {
        while self.buffer.len() < BLOCK {
            if !self.fill().await? {
                if !(self.buffer.is_empty() && self.held.is_empty()) {
                    return Err(self.breaks_off());
                }
                return if self.path.is_none() { Err(ImageError::Empty) } else { Ok(None) };
            }
        }
        let mut block = [0; BLOCK];
        block.copy_from_slice(&self.buffer.split_to(BLOCK));
        Ok(Some(block))
    }

    fn breaks_off(&self) -> ImageError {
        match &self.path {
            None => ImageError::NotAnArchive,
            Some(path) => ImageError::BreaksOff { after: path.clone() },
        }
    }

    /// Reads more; whether there was more.
    async fn fill(&mut self) -> Result<bool, ImageError> {
        self.buffer.reserve(CHUNK);
        Ok(self.from.read_buf(&mut self.buffer).await.map_err(ImageError::Read)? > 0)
    }
}

/// Whether a stream begins like something compressed, which passes as it is.
pub(super) fn is_compressed(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b]) || start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

/// The first bytes of a stream, and the stream as it was.
pub(super) async fn peek(mut from: Reader, length: usize) -> Result<(Vec<u8>, Reader), ImageError> {
    let mut start = vec![0; length];
    let mut read = 0;
    while read < start.len() {
        match from.read(&mut start[read..]).await.map_err(ImageError::Read)? {
            0 => break,
            more => read += more,
        }
    }
    start.truncate(read);
    let whole: Reader = Box::pin(AsyncReadExt::chain(std::io::Cursor::new(start.clone()), from));
    Ok((start, whole))
}

/// Counts what passes, for a stream that is not looked into.
pub(super) fn counted(from: Reader, moved: Arc<AtomicU64>) -> Reader {
    struct Counted(Reader, Arc<AtomicU64>);
    impl AsyncRead for Counted {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let before = buffer.filled().len();
            let polled = self.0.as_mut().poll_read(cx, buffer);
            self.1.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
            polled
        }
    }
    Box::pin(Counted(from, moved))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, content.as_slice()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// Sends an archive in pieces of that size through a filter.
    fn send(archive: &[u8], piece: usize, leave_out: LeaveOut) -> (std::io::Result<Vec<u8>>, u64) {
        let pieces: Vec<_> =
            archive.chunks(piece).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
        let moved = Arc::new(AtomicU64::new(0));
        let mut sent = filter(Box::pin(StreamReader::new(stream::iter(pieces))), leave_out, moved.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bytes = Vec::new();
        let read = runtime.block_on(sent.read_to_end(&mut bytes));
        (read.map(|_| bytes), moved.load(Ordering::Relaxed))
    }

    proptest! {
        #[test]
        fn what_is_sent_is_the_archive_of_the_rest(
            files in prop::collection::vec(("[a-z]{1,8}(/[a-z]{1,120}){0,2}", prop::collection::vec(any::<u8>(), 0..2000)), 0..6),
            out in any::<u8>(),
            piece in 1_usize..3000,
        ) {
            let leave_out = |at: usize| out & (1 << at) != 0;
            let files: Vec<_> = files.into_iter().enumerate().map(|(at, (path, content))| (format!("{at}{path}"), content)).collect();
            let paths = files.iter().enumerate().filter(|(at, _)| leave_out(*at)).map(|(_, (path, _))| path.clone());
            let paths: HashSet<_> = paths.collect();
            let rest: Vec<_> = files.iter().filter(|(path, _)| !paths.contains(path)).cloned().collect();
            let (sent, moved) = send(&archive(&files), piece, LeaveOut { paths, ..LeaveOut::default() });
            prop_assert_eq!(sent.unwrap(), archive(&rest));
            prop_assert_eq!(moved, rest.iter().map(|(_, content)| content.len() as u64).sum::<u64>());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000), piece in 1_usize..1000) {
            let (sent, _) = send(&bytes, piece, LeaveOut::default());
            prop_assert!(sent.is_ok() || bytes.len() < BLOCK || bytes[..BLOCK].iter().any(|byte| *byte != 0));
        }
    }

    #[test]
    fn one_that_breaks_off_says_where() {
        let files = [("a.tar".to_owned(), vec![1; 1000]), ("manifest.json".to_owned(), vec![2; 600])];
        let whole = archive(&files);
        let cases = [
            (0, "the archive is empty"),
            (100, "it is not an image archive (no tar archive)"),
            (512 + 300, "the archive ends in the middle of a.tar (300 of 1000 bytes are there)"),
            (512 + 1024 + 10, "the archive ends in the middle of a header after a.tar"),
            (512 + 1024 + 512 + 599, "the archive ends in the middle of manifest.json (599 of 600 bytes are there)"),
        ];
        for (length, words) in cases {
            for piece in [1, 512, 4096] {
                let (sent, _) = send(&whole[..length], piece, LeaveOut::default());
                assert_eq!(sent.unwrap_err().to_string(), words, "{length} bytes in pieces of {piece}");
            }
        }
    }

    #[test]
    fn headers_about_an_entry_that_never_comes_are_sent_or_refused() {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("path", b"x".as_slice())]).unwrap();
        let closed = builder.into_inner().unwrap();
        let (sent, _) = send(&closed, 512, LeaveOut::default());
        assert_eq!(sent.unwrap(), closed);
        let open = &closed[..closed.len() - 2 * BLOCK];
        let (sent, _) = send(open, 512, LeaveOut::default());
        assert_eq!(sent.unwrap_err().to_string(), "it is not an image archive (no tar archive)");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, open).unwrap();
        let refused = super::super::archive::Archive::open(file.path()).unwrap_err();
        assert_eq!(refused.to_string(), "it is not an image archive (no tar archive)");
    }

    #[test]
    fn digests_in_paths_are_seen() {
        let hex = "0a".repeat(32);
        assert_eq!(promised_digest(&format!("blobs/sha256/{hex}")), Some(format!("sha256:{hex}")));
        assert_eq!(promised_digest(&format!("{hex}.tar")), Some(format!("sha256:{hex}")));
        assert_eq!(promised_digest(&format!("{hex}/layer.tar")), None);
        assert_eq!(promised_digest("manifest.json"), None);
    }
}
