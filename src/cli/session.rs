//! A program in the node, joined to this terminal.

use std::io::IsTerminal;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::cluster::Found;
use crate::context::Context;
use crate::engine::{ExecRequest, ExecSession, TerminalSize};
use crate::error::{Failure, FailureKind};
use crate::spec::ClusterName;

/// Size of a terminal that does not say.
const USUAL: TerminalSize = TerminalSize { columns: 80, rows: 24 };

/// Whether the program should have a terminal: where both ends of ours are one.
pub(super) fn wants_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Runs a program in the node of a cluster with this process' streams; its exit code is the failure's.
pub(super) async fn run(
    context: &Context,
    found: &Found,
    name: &ClusterName,
    command: Vec<String>,
    environment: Vec<String>,
) -> Result<(), Failure> {
    let terminal = wants_terminal().then(|| context.platform.terminal_size().unwrap_or(USUAL));
    let mut environment = environment;
    if terminal.is_some() {
        environment.extend(context.env.term.iter().map(|term| format!("TERM={term}")));
    }
    let request = ExecRequest { command, environment, stdin: true, terminal, bulk: false };
    let session = found.engine.exec(&name.resource(), request).await?;
    context.reporter.finish();
    let raw = match terminal {
        Some(_) => Some(context.platform.raw_mode()?),
        None => None,
    };
    let code = join(context, session, terminal.is_some()).await;
    drop(raw);
    match u8::try_from(code?.clamp(0, 255)).unwrap_or(u8::MAX) {
        0 => Ok(()),
        code => Err(Failure::new(FailureKind::Child(code), anyhow::anyhow!("exit code {code}"))),
    }
}

async fn join(context: &Context, session: ExecSession, terminal: bool) -> Result<i64, Failure> {
    let ExecSession { stdin, stdout, stderr, control } = session;
    if let Some(stdin) = stdin {
        // It ends with the process: nobody can take back a read of the terminal.
        tokio::spawn(copy(tokio::io::stdin(), stdin));
    }
    let outputs = async { tokio::join!(copy(stdout, tokio::io::stdout()), copy(stderr, tokio::io::stderr())) };
    tokio::pin!(outputs);
    let mut resizes = if terminal { Some(context.platform.resizes()?) } else { None };
    loop {
        let resize = async {
            match &mut resizes {
                Some(resizes) => resizes.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = &mut outputs => break,
            // A size that the node does not learn makes lines ugly, not wrong.
            size = resize => { let _ = control.resize(size).await; }
        }
    }
    Ok(control.wait().await?)
}

/// Copies without waiting for a full buffer. A broken pipe on either side ends it; the exit code says the rest.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..read]).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
