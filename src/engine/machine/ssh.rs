//! Programs in a machine, over one connection to its SSH server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use russh::client::{self, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Disconnect, Pty, cipher, kex};
use tokio::sync::{mpsc, watch};

use super::keys::Keys;
use crate::engine::streams::{Chunk, Stdin, reader};
use crate::engine::{EngineError, ExecControl, ExecRequest, ExecSession, TerminalSize};

/// Who is let in.
const USER: &str = "root";
/// How many pieces of an output may wait for its reader. Both come through one channel: who does not read one of them stops
/// the other after so many.
const CHUNKS: usize = 1024;
/// SSH's number of the stream of standard error (RFC 4254, 5.2).
const STDERR: u32 = 1;
/// What shells say of a program that a signal ended: this and its number.
const BY_SIGNAL: i64 = 128;
/// How long the end of a program may take to be told once its outputs have ended.
const END: Duration = Duration::from_secs(10);
/// How often is looked whether a silent machine is still there.
const ALIVE: Duration = Duration::from_secs(15);

/// Why there is no connection, or no program.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// Nobody listens, or not yet.
    #[error("nobody listens at port {port}")]
    Connect {
        /// The port.
        port: u16,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// Who listens is not that machine.
    #[error("another program than this machine listens at port {port}")]
    Stranger {
        /// The port.
        port: u16,
    },
    /// It did not answer in time.
    #[error("it did not answer within {after:?}")]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// Anything else.
    #[error(transparent)]
    Ssh(#[from] russh::Error),
}

/// A connection.
pub struct Ssh {
    handle: Handle<Pinned>,
}

/// Accepts one key and no other.
struct Pinned {
    key: PublicKey,
}

impl client::Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.key_data() == self.key.key_data(),
            PublicKeyOrCertificate::Certificate(_) => false,
        })
    }
}

impl Ssh {
    /// Connects to the machine with those keys, whose server is at that port of this machine.
    pub async fn connect(port: u16, keys: &Keys, deadline: Duration) -> Result<Self, SshError> {
        let connect = async {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let stream = tokio::net::TcpStream::connect(address).await;
            let stream = stream.map_err(|source| SshError::Connect { port, source })?;
            stream.set_nodelay(true).map_err(|source| SshError::Connect { port, source })?;
            let mut config = client::Config { keepalive_interval: Some(ALIVE), ..client::Config::default() };
            // What costs an emulated processor least.
            config.preferred.kex = vec![kex::CURVE25519].into();
            config.preferred.cipher = vec![cipher::AES_128_GCM, cipher::CHACHA20_POLY1305].into();
            let pinned = Pinned { key: keys.host_public().clone() };
            let connected = client::connect_stream(Arc::new(config), stream, pinned).await;
            let mut handle = connected.map_err(|error| match error {
                russh::Error::UnknownKey => SshError::Stranger { port },
                error => SshError::Ssh(error),
            })?;
            let key = PrivateKeyWithHashAlg::new(keys.client(), None);
            if !handle.authenticate_publickey(USER, key).await?.success() {
                return Err(SshError::Stranger { port });
            }
            Ok(Self { handle })
        };
        tokio::time::timeout(deadline, connect).await.unwrap_or(Err(SshError::TimedOut { after: deadline }))
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Runs a program.
    pub async fn exec(&self, request: &ExecRequest, deadline: Duration) -> Result<ExecSession, SshError> {
        let open = async {
            let channel = self.handle.channel_open_session().await?;
            for variable in &request.environment {
                if let Some((name, value)) = variable.split_once('=') {
                    channel.set_env(false, name, value).await?;
                }
            }
            if let Some(TerminalSize { columns, rows }) = request.terminal {
                let modes: [(Pty, u32); 0] = [];
                let term = terminal_of(&request.environment);
                channel.request_pty(false, term, columns.into(), rows.into(), 0, 0, &modes).await?;
            }
            // An argument list as it is: no shell takes it apart again.
            let command = serde_json::to_vec(&request.command).unwrap_or_default();
            channel.exec(true, command).await?;
            Ok::<_, SshError>(channel)
        };
        let channel = tokio::time::timeout(deadline, open).await;
        let channel = channel.unwrap_or(Err(SshError::TimedOut { after: deadline }))?;
        let (mut read, write) = channel.split();
        let (stdout, stdout_chunks) = mpsc::channel(CHUNKS);
        let (stderr, stderr_chunks) = mpsc::channel(CHUNKS);
        let (ended, end) = watch::channel(None);
        tokio::spawn(async move { forward(&mut read, stdout, stderr, &ended).await });
        let write = Arc::new(write);
        let stdin = if request.stdin {
            Some(Box::pin(Stdin::new(write.make_writer())) as _)
        } else {
            write.eof().await?;
            None
        };
        let terminal = request.terminal.is_some();
        let control = Box::new(SshControl { end, write, terminal });
        Ok(ExecSession { stdin, stdout: reader(stdout_chunks), stderr: reader(stderr_chunks), control })
    }

    /// Ends the connection; what runs over it ends, too.
    pub async fn close(&self) {
        if let Err(error) = self.handle.disconnect(Disconnect::ByApplication, "", "en").await {
            tracing::debug!(%error, "the connection was over already");
        }
    }
}

fn terminal_of(environment: &[String]) -> &str {
    environment.iter().find_map(|variable| variable.strip_prefix("TERM=")).unwrap_or("xterm-256color")
}

/// Hands out what a program says until it is over.
async fn forward(
    from: &mut ChannelReadHalf,
    stdout: mpsc::Sender<Chunk>,
    stderr: mpsc::Sender<Chunk>,
    ended: &watch::Sender<Option<i64>>,
) {
    let mut status = None;
    let mut whole = false;
    while let Some(message) = from.wait().await {
        let (to, data): (_, Bytes) = match message {
            ChannelMsg::Data { data } => (&stdout, data),
            ChannelMsg::ExtendedData { data, ext: STDERR } => (&stderr, data),
            ChannelMsg::ExitStatus { exit_status } => {
                status = Some(i64::from(exit_status));
                continue;
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                status = Some(BY_SIGNAL + signal_number(&signal_name));
                continue;
            }
            ChannelMsg::Eof => {
                whole = true;
                continue;
            }
            ChannelMsg::Close | ChannelMsg::Failure => {
                whole |= status.is_some();
                break;
            }
            _ => continue,
        };
        // One reader may go away before the other, and the end matters without both.
        let _ = to.send(Ok(data)).await;
    }
    if !whole {
        // Whoever reads learns that this was no proper end.
        let cut = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the connection to the machine ended");
        let _ = stdout.send(Err(cut)).await;
    }
    // Whoever waits reads both to their ends first.
    drop((stdout, stderr));
    ended.send_replace(status);
}

fn signal_number(signal: &russh::Sig) -> i64 {
    use russh::Sig;
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(name) => name.parse().unwrap_or_default(),
    }
}

/// Control of a running program.
struct SshControl {
    end: watch::Receiver<Option<i64>>,
    write: Arc<ChannelWriteHalf<client::Msg>>,
    terminal: bool,
}

impl SshControl {
    fn failed(operation: &str, reason: &impl ToString) -> EngineError {
        EngineError::Refused { engine: "machine".into(), operation: operation.into(), reason: reason.to_string() }
    }
}

#[async_trait]
impl ExecControl for SshControl {
    async fn wait(&self) -> Result<i64, EngineError> {
        let operation = "wait for the program";
        let mut end = self.end.clone();
        let told = async {
            // The sender goes without a word when the connection ends.
            while end.borrow().is_none() {
                end.changed().await.ok()?;
            }
            *end.borrow()
        };
        let timed_out = || EngineError::TimedOut { engine: "machine".into(), operation: operation.into(), after: END };
        let told = tokio::time::timeout(END, told).await.map_err(|_| timed_out())?;
        told.ok_or_else(|| Self::failed(operation, &"the connection to the machine ended"))
    }

    async fn resize(&self, size: TerminalSize) -> Result<(), EngineError> {
        let operation = "resize the terminal";
        if !self.terminal {
            return Err(Self::failed(operation, &"the program has none"));
        }
        let told = self.write.window_change(size.columns.into(), size.rows.into(), 0, 0).await;
        told.map_err(|error| Self::failed(operation, &error))
    }
}
