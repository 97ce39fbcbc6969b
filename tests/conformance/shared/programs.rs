//! Programs in a node, their streams and their terminals.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sandbar::engine::{EngineError, ExecRequest, ExecSession, TerminalSize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::{fails, unwrapped};
use crate::fixture::{Scene, run_program};
use crate::image::digest;
use crate::probe::pattern;

pub async fn runs_programs(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    for code in [0, 1, 6, 126, 255] {
        let output = scene.probe(&name, &["exit", &code.to_string()], None).await?;
        ensure!(output.code == code, "{output:?}");
    }
    ensure!(scene.probe(&name, &["hostname"], None).await?.text() == "probe\n");
    ensure!(scene.probe(&name, &["environment", "COLOUR"], None).await?.text() == "blue\n");
    let command = ["node-probe", "environment", "COLOUR"].map(str::to_owned).into();
    let request = ExecRequest { command, environment: vec!["COLOUR=green".into()], ..ExecRequest::default() };
    ensure!(run_program(scene.engine.as_ref(), &name, request, None).await?.text() == "green\n");

    let command = vec!["there-is-no-such-program".to_owned()];
    let output =
        run_program(scene.engine.as_ref(), &name, ExecRequest { command, ..ExecRequest::default() }, None).await;
    let output = output?;
    ensure!(output.code == 127, "{output:?}");
    ensure!(String::from_utf8_lossy(&output.stderr).contains("not found in $PATH"), "{output:?}");

    scene.engine.stop_node(&name, Duration::from_secs(5)).await?;
    let refused = scene.probe(&name, &["both"], None).await.map_err(unwrapped);
    fails!(refused, EngineError::NotRunning { name: n } if n == name);
    Ok(())
}

pub async fn keeps_outputs_apart(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let output = scene.probe(&name, &["both"], None).await?;
    ensure!((&output.stdout[..], &output.stderr[..], output.code) == (b"to stdout\n", b"to stderr\n", 0), "{output:?}");
    Ok(())
}

pub async fn moves_large_streams(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let large = pattern(24 << 20);
    let output = scene.probe(&name, &["count"], Some(&large)).await?;
    ensure!(output.text() == format!("{} {}\n", large.len(), digest(&large)), "{}", output.text());
    let output = scene.probe(&name, &["produce", &large.len().to_string()], None).await?;
    ensure!(output.stdout == large, "{} bytes came", output.stdout.len());
    // Both ways at once, more than all buffers on the way hold.
    let output = scene.probe(&name, &["cat"], Some(&large[..8 << 20])).await?;
    ensure!(output.stdout == large[..8 << 20] && output.code == 0, "{} bytes came back", output.stdout.len());
    Ok(())
}

/// In bulk, with whatever a terminal would take for a command.
pub async fn moves_bulk_input(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let mut large = pattern(24 << 20);
    large.splice(1000..1000, *b"\x03\x04\x10\x11\x1a\x1c");
    let request = |arguments: &[&str]| ExecRequest {
        command: ["node-probe"].iter().chain(arguments).map(|&word| word.to_owned()).collect(),
        stdin: true,
        bulk: true,
        ..ExecRequest::default()
    };
    let run = async |arguments: &[&str], input: &[u8]| {
        run_program(scene.engine.as_ref(), &name, request(arguments), Some(input)).await
    };
    let output = run(&["count"], &large).await?;
    ensure!(output.text() == format!("{} {}\n", large.len(), digest(&large)), "{}", output.text());
    ensure!(run(&["exit", "7"], b"").await?.code == 7);
    let output = run(&["both"], b"").await?;
    ensure!((&output.stdout[..], &output.stderr[..], output.code) == (b"to stdout\n", b"to stderr\n", 0), "{output:?}");

    scene.engine.stop_node(&name, Duration::from_secs(5)).await?;
    fails!(run(&["both"], b"").await, EngineError::NotRunning { name: n } if n == name);
    Ok(())
}

pub async fn ends_input_when_it_is_dropped(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let command = vec!["node-probe".to_owned(), "cat".to_owned()];
    let request = ExecRequest { command, stdin: true, ..ExecRequest::default() };
    let ExecSession { stdin, mut stdout, control, .. } = scene.engine.exec(&name, request).await?;
    let mut stdin = stdin.context("input was asked for")?;
    stdin.write_all(b"last words").await?;
    stdin.flush().await?;
    drop(stdin);
    let mut text = String::new();
    stdout.read_to_string(&mut text).await?;
    ensure!(text == "last words" && control.wait().await? == 0);

    let command = vec!["node-probe".to_owned(), "cat".to_owned()];
    let request = ExecRequest { command, ..ExecRequest::default() };
    let session = scene.engine.exec(&name, request).await?;
    ensure!(session.stdin.is_none(), "input was not asked for");
    ensure!(session.control.wait().await? == 0, "a program without input sees its end");
    Ok(())
}

pub async fn gives_a_terminal(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let command = vec!["node-probe".to_owned(), "size".to_owned()];
    let terminal = Some(TerminalSize { columns: 101, rows: 31 });
    let request = ExecRequest { command, stdin: true, terminal, ..ExecRequest::default() };
    let ExecSession { stdin, stdout, mut stderr, control } = scene.engine.exec(&name, request).await?;
    let mut stdin = stdin.context("input was asked for")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut next = async || lines.next_line().await?.context("the terminal ended");
    // An engine may set the first size a moment after the program began.
    while next().await?.trim() != "101 x 31" {}
    control.resize(TerminalSize { columns: 99, rows: 9 }).await?;
    while next().await?.trim() != "99 x 9" {}
    stdin.write_all(b"hello\n").await?;
    stdin.flush().await?;
    while next().await?.trim() != "typed hello" {}
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).await?;
    ensure!(rest.is_empty(), "a terminal has one output: {rest}");
    ensure!(control.wait().await? == 0);

    let command = ["node-probe", "produce", "10"].map(str::to_owned).into();
    let request = ExecRequest { command, terminal, ..ExecRequest::default() };
    let output = run_program(scene.engine.as_ref(), &name, request, None).await?;
    ensure!(output.stdout == pattern(10), "any byte may begin a terminal's output: {output:?}");
    Ok(())
}

pub async fn ends_programs_with_their_node(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let command = vec!["node-probe".to_owned(), "hang".to_owned()];
    let request = ExecRequest { command, ..ExecRequest::default() };
    let mut session = scene.engine.exec(&name, request).await?;
    let mut said = [0; 8];
    session.stdout.read_exact(&mut said).await?;
    scene.engine.kill_node(&name, "SIGKILL").await?;
    let end = async {
        let mut rest = Vec::new();
        // It may end or break off; it must not go on.
        let _ = session.stdout.read_to_end(&mut rest).await;
        session.control.wait().await
    };
    match tokio::time::timeout(Duration::from_secs(15), end).await {
        Err(_) => bail!("its end is not noticed"),
        Ok(Ok(0)) => bail!("a program that was ended did not succeed"),
        Ok(Ok(_) | Err(_)) => Ok(()),
    }
}
