//! Where two programs of one user on one machine reach each other: a UNIX socket, on Windows a named pipe.

use std::io;
use std::path::{Path, PathBuf};

use super::{Connection, Waiting};

/// A place where a program of this user listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// A UNIX socket in a folder of this user's alone.
    Socket(PathBuf),
    /// A named pipe, by its name alone.
    Pipe(String),
}

/// The longest path of a UNIX socket, in bytes: macOS' `sockaddr_un` has 104 with the zero at its end, Linux' 108.
const LONGEST_SOCKET: usize = 103;

impl Channel {
    /// The UNIX socket of that name in a folder; an error says that its path is too long for the system.
    pub fn socket(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        if path.as_os_str().len() > LONGEST_SOCKET {
            let words =
                format!("{} is longer than the {LONGEST_SOCKET} bytes that a socket's path may have", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        Ok(Self::Socket(path))
    }

    /// The path with which a named pipe is opened.
    #[must_use]
    pub fn pipe_path(name: &str) -> PathBuf {
        PathBuf::from(format!(r"\\.\pipe\{name}"))
    }
}

/// Takes calls on a channel. What is left of it is removed when it is dropped.
pub trait Listener: Send {
    /// The next one who calls.
    fn accept(&mut self) -> Waiting<'_, io::Result<Box<dyn Connection>>>;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::platform;

    #[tokio::test]
    async fn both_ends_hear_each_other_and_the_next_call_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let platform = platform::native();
        let channel = platform.channel(folder.path(), "s").unwrap();
        assert!(platform.call(&channel).await.is_err(), "nobody listens");
        let mut listener = platform.listen(&channel).unwrap();
        for _ in 0..2 {
            let (called, taken) = tokio::join!(platform.call(&channel), listener.accept());
            let (mut here, mut there) = (called.unwrap(), taken.unwrap());
            here.write_all(b"ping").await.unwrap();
            let mut heard = [0; 4];
            there.read_exact(&mut heard).await.unwrap();
            there.write_all(b"pong").await.unwrap();
            here.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"pong");
        }
        drop(listener);
        assert!(platform.call(&channel).await.is_err(), "nobody listens any more");
        // What a killed program left is no obstacle.
        drop(platform.listen(&channel).unwrap());
    }

    #[test]
    fn a_path_that_is_too_long_is_said() {
        let error = Channel::socket(Path::new(&"/x".repeat(60)), "s").unwrap_err();
        assert!(error.to_string().ends_with("is longer than the 103 bytes that a socket's path may have"), "{error}");
    }
}
