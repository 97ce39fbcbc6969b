//! The probe's programs for the fake; `node-probe/main.go` has the same for real engines.

use async_trait::async_trait;
use sandbar::engine::TerminalSize;
use sandbar::engine::fake::{Program, ProgramRun};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::image::digest;

/// All of them.
pub struct Probe;

#[async_trait]
impl Program for Probe {
    async fn run(&self, run: &mut ProgramRun) -> std::io::Result<i64> {
        let arguments: Vec<_> = run.command.iter().skip(1).cloned().collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        match arguments[..] {
            ["cat"] => {
                tokio::io::copy(&mut run.stdin, &mut run.stdout).await?;
            }
            ["count"] => {
                let mut all = Vec::new();
                run.stdin.read_to_end(&mut all).await?;
                run.stdout.write_all(format!("{} {}\n", all.len(), digest(&all)).as_bytes()).await?;
            }
            ["produce", count] => {
                let count = count.parse().map_err(std::io::Error::other)?;
                run.stdout.write_all(&pattern(count)).await?;
            }
            ["both"] => {
                run.stdout.write_all(b"to stdout\n").await?;
                run.write_error(b"to stderr\n").await?;
            }
            ["exit", code] => return code.parse().map_err(std::io::Error::other),
            ["environment", name] => {
                let prefix = format!("{name}=");
                let value =
                    run.environment.iter().rev().find_map(|pair| pair.strip_prefix(&prefix)).unwrap_or_default();
                run.stdout.write_all(format!("{value}\n").as_bytes()).await?;
            }
            ["hostname"] => run.stdout.write_all(b"probe\n").await?,
            ["hang"] => {
                run.stdout.write_all(b"hanging\n").await?;
                std::future::pending::<()>().await;
            }
            ["size"] => size(run).await?,
            _ => {
                run.write_error(b"unknown\n").await?;
                return Ok(2);
            }
        }
        Ok(0)
    }
}

async fn size(run: &mut ProgramRun) -> std::io::Result<()> {
    let Some(terminal) = &mut run.terminal else { return run.stdout.write_all(b"no terminal\n").await };
    let mut typed = BufReader::new(&mut run.stdin).lines();
    loop {
        let TerminalSize { columns, rows } = *terminal.borrow_and_update();
        run.stdout.write_all(format!("{columns} x {rows}\r\n").as_bytes()).await?;
        tokio::select! {
            _ = terminal.changed() => {}
            line = typed.next_line() => {
                return run.stdout.write_all(format!("typed {}\r\n", line?.unwrap_or_default()).as_bytes()).await;
            }
        }
    }
}

/// The numbers 0 to 250 over and over.
pub fn pattern(count: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(count).collect()
}
