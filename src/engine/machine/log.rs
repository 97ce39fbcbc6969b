//! What a machine's node said, which QEMU writes into a file.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::engine::Reader;
use crate::engine::streams::{Chunk, reader as of_chunks};

/// How much is read at a time.
const PIECE: usize = 64 * 1024;
/// How often is looked for more: QEMU writes the file and tells nobody.
const LOOK: Duration = Duration::from_millis(100);

/// The log from its beginning, or its last lines; goes on with what comes, if asked.
pub fn reader(path: &Path, follow: bool, tail: Option<u32>) -> io::Result<Reader> {
    let mut file = match std::fs::File::open(path) {
        // It was never started.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !follow => return Ok(Box::pin(tokio::io::empty())),
        file => file?,
    };
    if let Some(lines) = tail {
        let at = start_of(&mut file, lines)?;
        file.seek(SeekFrom::Start(at))?;
    }
    let (to, chunks) = mpsc::channel::<Chunk>(4);
    tokio::spawn(async move {
        loop {
            let mut piece = vec![0; PIECE];
            match file.read(&mut piece) {
                Ok(0) if !follow => return,
                Ok(0) => {
                    if to.is_closed() {
                        return;
                    }
                    tokio::time::sleep(LOOK).await;
                }
                Ok(read) => {
                    piece.truncate(read);
                    if to.send(Ok(Bytes::from(piece))).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let _ = to.send(Err(error)).await;
                    return;
                }
            }
        }
    });
    Ok(of_chunks(chunks))
}

/// The last line of a console that says something; empty where there is none.
pub fn last_line(path: &Path) -> io::Result<String> {
    let mut file = match std::fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        file => file?,
    };
    let at = start_of(&mut file, 3)?;
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(PIECE as u64).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // Nothing in it may move the cursor of whoever reads it.
    let mut lines =
        text.lines().map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned());
    Ok(lines.rfind(|line| !line.is_empty()).unwrap_or_default())
}

/// Where the last lines of a file begin.
fn start_of(file: &mut std::fs::File, lines: u32) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut at = end;
    let mut found = 0;
    let mut buffer = vec![0; PIECE];
    while at > 0 {
        let length = at.min(PIECE as u64);
        at -= length;
        file.seek(SeekFrom::Start(at))?;
        let piece = &mut buffer[..usize::try_from(length).unwrap_or_default()];
        file.read_exact(piece)?;
        for (index, byte) in piece.iter().enumerate().rev() {
            let place = at + index as u64;
            // The end of the last line begins no other.
            if *byte == b'\n' && place + 1 != end {
                found += 1;
                if found == lines {
                    return Ok(place + 1);
                }
            }
        }
    }
    Ok(if lines == 0 { end } else { 0 })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_those_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.log");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        for (tail, expected) in
            [(None, "one\ntwo\nthree\n"), (Some(2), "two\nthree\n"), (Some(9), "one\ntwo\nthree\n"), (Some(0), "")]
        {
            let mut text = String::new();
            reader(&path, false, tail).unwrap().read_to_string(&mut text).await.unwrap();
            assert_eq!(text, expected, "{tail:?}");
        }
    }

    #[tokio::test]
    async fn what_comes_later_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.log");
        std::fs::write(&path, "one\n").unwrap();
        let mut followed = reader(&path, true, Some(0)).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, b"two\n").unwrap();
        let mut text = [0; 4];
        followed.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"two\n");
    }
}
