//! What every engine must do.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use sandbar::engine::{EngineError, ExecRequest, ExecSession, Labels, ResourceKind, RunState, TerminalSize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::fixture::{Scene, Subject, forward, labels, listener, run_program, spec};
use crate::image::{IMAGE, append, digest};
use crate::probe::pattern;
use crate::trial;

/// All of them for one engine.
pub fn trials(engine: &str, subject: Option<&Arc<Subject>>) -> Vec<Trial> {
    macro_rules! all {
        ($($name:ident),* $(,)?) => {
            vec![$(trial(format!("{engine}::{}", stringify!($name)), subject, |scene| Box::pin($name(scene)))),*]
        };
    }
    all![
        says_what_it_is,
        makes_nothing_without_our_label,
        makes_each_thing_once,
        makes_no_node_without_its_parts,
        goes_through_a_nodes_life,
        knows_what_is_not_there,
        leaves_alone_what_is_not_ours,
        refuses_a_taken_port,
        refuses_the_port_of_another_node,
        keeps_a_port_over_stop_and_start,
        runs_programs,
        keeps_outputs_apart,
        moves_large_streams,
        moves_bulk_input,
        ends_input_when_it_is_dropped,
        gives_a_terminal,
        ends_programs_with_their_node,
        places_files_before_the_start,
        copies_both_ways,
        keeps_the_volume,
        lists_what_is_ours,
        tells_the_log,
        pauses,
        measures,
        knows_its_images,
        exports_and_imports_images,
        removes_a_running_node,
        removes_nothing_that_is_used,
        names_its_subnets,
    ]
}

/// Ensures that a call failed in a certain way.
macro_rules! fails {
    ($call:expr, $pattern:pat $(if $guard:expr)?) => {
        match $call {
            Err($pattern) $(if $guard)? => {}
            Err(error) => bail!("{} failed otherwise: {error:?}", stringify!($call)),
            Ok(_) => bail!("{} did not fail", stringify!($call)),
        }
    };
}

async fn says_what_it_is(scene: &Scene<'_>) -> Result<()> {
    let info = scene.engine.info();
    for text in [&info.kind, &info.version, &info.endpoint, &info.privilege] {
        ensure!(!text.is_empty(), "{info:?}");
    }
    Ok(())
}

async fn makes_nothing_without_our_label(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.name());
    let foreign = Labels::from([("other".to_owned(), "label".to_owned())]);
    fails!(engine.create_network(&name, &foreign).await, EngineError::Refused { .. });
    fails!(engine.create_volume(&name, &foreign).await, EngineError::Refused { .. });
    engine.create_network(&name, &labels(&name)).await?;
    engine.create_volume(&name, &labels(&name)).await?;
    let mut node = spec(&name);
    node.labels = foreign;
    fails!(engine.create_node(&node).await, EngineError::Refused { .. });
    ensure!(engine.inspect_node(&name).await?.is_none());
    Ok(())
}

async fn makes_each_thing_once(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.name());
    let node = spec(&name);
    scene.create(&node).await?;
    let again = engine.create_network(&name, &node.labels).await;
    fails!(again, EngineError::AlreadyExists { what: "network", name: n } if n == name);
    engine.create_volume(&name, &node.labels).await.context("a volume of ours is kept")?;
    fails!(engine.create_node(&node).await, EngineError::AlreadyExists { what: "node", name: n } if n == name);
    ensure!(engine.inspect_node(&name).await?.context("the first one is still there")?.run == RunState::Created);
    Ok(())
}

async fn makes_no_node_without_its_parts(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.name());
    let mut node = spec(&name);
    fails!(engine.create_node(&node).await, EngineError::NotFound { what: "network", .. });
    engine.create_network(&name, &node.labels).await?;
    fails!(engine.create_node(&node).await, EngineError::NotFound { what: "volume", .. });
    engine.create_volume(&name, &node.labels).await?;
    node.image = "localhost/there-is-no-such-image:1".into();
    fails!(engine.create_node(&node).await, EngineError::NotFound { what: "image", name } if name == node.image);
    ensure!(engine.inspect_node(&name).await?.is_none());
    Ok(())
}

async fn goes_through_a_nodes_life(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.name());
    let (free, port) = listener()?;
    drop(free);
    let mut node = spec(&name);
    node.ports = vec![forward(port)];
    scene.create(&node).await?;
    let state = async || engine.inspect_node(&name).await?.context("the node is there");

    let created = state().await?;
    ensure!(
        (created.run, &created.ports, &created.labels["dev.sandbar.cluster"])
            == (RunState::Created, &node.ports, &name)
    );
    ensure!(created.image_id.starts_with("sha256:") && created.created.contains('T'), "{}", created.created);
    engine.start_node(&name).await?;
    let running = state().await?;
    ensure!(running.run == RunState::Running && running.address.is_some(), "{running:?}");
    ensure!(running.ports == node.ports, "{running:?}");
    engine.start_node(&name).await.context("one that runs is fine")?;

    engine.stop_node(&name, Duration::from_secs(5)).await?;
    let stopped = state().await?;
    ensure!(matches!(stopped.run, RunState::Exited { code: 0, out_of_memory: false }), "{stopped:?}");
    ensure!(stopped.ports == node.ports && stopped.address.is_none(), "{stopped:?}");
    engine.stop_node(&name, Duration::from_secs(5)).await.context("one that is stopped is fine")?;

    engine.start_node(&name).await?;
    engine.kill_node(&name, "SIGKILL").await?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !matches!(state().await?.run, RunState::Exited { code: 137, .. }) {
        ensure!(tokio::time::Instant::now() < deadline, "killed and still {:?}", state().await?.run);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fails!(engine.kill_node(&name, "SIGKILL").await, EngineError::NotRunning { .. });
    engine.start_node(&name).await.context("a killed node is started again")?;
    ensure!(state().await?.run == RunState::Running);
    Ok(())
}

async fn knows_what_is_not_there(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.name());
    ensure!(engine.inspect_node(&name).await?.is_none());
    fails!(engine.start_node(&name).await, EngineError::NotFound { what: "node", name: n } if n == name);
    fails!(engine.stop_node(&name, Duration::ZERO).await, EngineError::NotFound { what: "node", .. });
    fails!(engine.kill_node(&name, "SIGTERM").await, EngineError::NotFound { what: "node", .. });
    fails!(engine.pause_node(&name).await, EngineError::NotFound { what: "node", .. });
    fails!(engine.unpause_node(&name).await, EngineError::NotFound { what: "node", .. });
    fails!(scene.probe(&name, &["both"], None).await.map_err(unwrapped), EngineError::NotFound { what: "node", .. });
    fails!(engine.logs(&name, false, None).await, EngineError::NotFound { what: "node", .. });
    fails!(engine.stats(&name).await, EngineError::NotFound { what: "node", .. });
    fails!(engine.copy_out(&name, "/etc").await, EngineError::NotFound { what: "node", .. });
    let nothing = Box::pin(std::io::Cursor::new(vec![0; 1024]));
    fails!(engine.copy_in(&name, "/", nothing).await, EngineError::NotFound { what: "node", .. });
    for kind in [ResourceKind::Node, ResourceKind::Volume, ResourceKind::Network] {
        engine.remove(&kind, &name).await.context("what is not there is not an error")?;
    }
    // A node that was there and went: nobody remembers it.
    scene.create(&spec(&name)).await?;
    engine.remove(&ResourceKind::Node, &name).await?;
    fails!(engine.start_node(&name).await, EngineError::NotFound { what: "node", .. });
    engine.create_node(&spec(&name)).await?;
    engine.start_node(&name).await.context("the next of that name is another one")
}

async fn leaves_alone_what_is_not_ours(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.name());
    let node = spec(&name);
    scene.make_foreign(&ResourceKind::Volume, &name)?;
    fails!(engine.create_volume(&name, &node.labels).await, EngineError::Foreign { what: "volume", .. });
    scene.make_foreign(&ResourceKind::Network, &name)?;
    fails!(engine.create_network(&name, &node.labels).await, EngineError::Foreign { what: "network", .. });
    fails!(engine.create_node(&node).await, EngineError::Foreign { .. });

    let other = scene.name();
    let node = spec(&other);
    engine.create_network(&other, &node.labels).await?;
    engine.create_volume(&other, &node.labels).await?;
    scene.make_foreign(&ResourceKind::Node, &other)?;
    fails!(engine.create_node(&node).await, EngineError::Foreign { what: "node", .. });
    fails!(engine.inspect_node(&other).await, EngineError::Foreign { what: "node", .. });
    fails!(engine.start_node(&other).await, EngineError::Foreign { what: "node", .. });
    fails!(engine.stop_node(&other, Duration::ZERO).await, EngineError::Foreign { what: "node", .. });
    fails!(engine.kill_node(&other, "SIGKILL").await, EngineError::Foreign { what: "node", .. });
    fails!(engine.copy_out(&other, "/etc").await, EngineError::Foreign { what: "node", .. });
    for (kind, name) in [(ResourceKind::Volume, &name), (ResourceKind::Network, &name), (ResourceKind::Node, &other)] {
        // Twice, since what is gone would be no error.
        for _ in 0..2 {
            fails!(engine.remove(&kind, name).await, EngineError::Foreign { .. });
        }
    }
    ensure!(engine.list_nodes().await?.iter().all(|node| node.name != other));
    let resources = engine.list_resources().await?;
    ensure!(resources.iter().all(|resource| resource.name != name), "{resources:?}");
    Ok(())
}

async fn refuses_a_taken_port(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.name());
    let (free, free_port) = listener()?;
    let (held, held_port) = listener()?;
    drop(free);
    let mut node = spec(&name);
    node.ports = vec![forward(free_port), forward(held_port)];
    node.ports[1].node_port = 80;
    scene.create(&node).await?;
    let refused = engine.start_node(&name).await;
    fails!(refused, EngineError::PortTaken { port, address } if port == held_port && address.is_loopback());
    ensure!(engine.inspect_node(&name).await?.is_some_and(|node| node.run != RunState::Running));
    drop(held);
    engine.start_node(&name).await.context("once the port is free it starts")
}

async fn refuses_the_port_of_another_node(scene: &Scene<'_>) -> Result<()> {
    let (free, port) = listener()?;
    drop(free);
    let names = [scene.name(), scene.name()];
    for name in &names {
        let mut node = spec(name);
        node.ports = vec![forward(port)];
        scene.create(&node).await?;
    }
    scene.engine.start_node(&names[0]).await?;
    fails!(scene.engine.start_node(&names[1]).await, EngineError::PortTaken { port: p, .. } if p == port);
    scene.engine.stop_node(&names[0], Duration::from_secs(5)).await?;
    scene.engine.start_node(&names[1]).await.context("a stopped node holds no port")
}

async fn keeps_a_port_over_stop_and_start(scene: &Scene<'_>) -> Result<()> {
    let (free, port) = listener()?;
    drop(free);
    let name = scene.name();
    let mut node = spec(&name);
    node.ports = vec![forward(port)];
    scene.create(&node).await?;
    for _ in 0..2 {
        scene.engine.start_node(&name).await?;
        let listed = scene.engine.list_nodes().await?;
        let found = listed.iter().find(|node| node.name == name).context("it is listed")?;
        ensure!(found.ports == node.ports && found.run == RunState::Running, "{found:?}");
        scene.engine.stop_node(&name, Duration::from_secs(5)).await?;
    }
    Ok(())
}

async fn runs_programs(scene: &Scene<'_>) -> Result<()> {
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

async fn keeps_outputs_apart(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let output = scene.probe(&name, &["both"], None).await?;
    ensure!((&output.stdout[..], &output.stderr[..], output.code) == (b"to stdout\n", b"to stderr\n", 0), "{output:?}");
    Ok(())
}

async fn moves_large_streams(scene: &Scene<'_>) -> Result<()> {
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
async fn moves_bulk_input(scene: &Scene<'_>) -> Result<()> {
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

async fn ends_input_when_it_is_dropped(scene: &Scene<'_>) -> Result<()> {
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

async fn gives_a_terminal(scene: &Scene<'_>) -> Result<()> {
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

async fn ends_programs_with_their_node(scene: &Scene<'_>) -> Result<()> {
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

async fn places_files_before_the_start(scene: &Scene<'_>) -> Result<()> {
    let name = scene.name();
    let mut node = spec(&name);
    node.files = vec![
        ("/etc/sandbar/config.yaml".into(), 0o600, b"a: b\n".to_vec()),
        ("/etc/sandbar/config.d/deep/er/10.yaml".into(), 0o644, vec![b'x'; 100_000]),
    ];
    scene.create(&node).await?;
    for (path, mode, content) in &node.files {
        let (found_mode, found) = file(scene, &name, &path.to_string_lossy()).await?;
        ensure!(found_mode & 0o777 == *mode && found == *content, "{}: {found_mode:o}", path.display());
    }
    scene.engine.start_node(&name).await?;
    let (_, found) = file(scene, &name, "/etc/sandbar/config.yaml").await?;
    ensure!(found == b"a: b\n");
    Ok(())
}

async fn copies_both_ways(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let content = pattern(3 << 20);
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "one/two.bin", 0o640, &content)?;
    let archive = archive.into_inner()?;
    scene.engine.copy_in(&name, "/etc", Box::pin(std::io::Cursor::new(archive.clone()))).await?;
    ensure!(file(scene, &name, "/etc/one/two.bin").await? == (0o640, content.clone()));
    let folder = read(scene.engine.copy_out(&name, "/etc/one").await?).await?;
    let mut folder = tar::Archive::new(folder.as_slice());
    let paths: Vec<_> = folder.entries()?.map(|entry| Ok(entry?.path()?.into_owned())).collect::<Result<_>>()?;
    ensure!(paths.iter().any(|path| path.ends_with("one/two.bin")), "{paths:?}");

    fails!(scene.engine.copy_out(&name, "/etc/none").await, EngineError::NotFound { what: "path", .. });
    let into = scene.engine.copy_in(&name, "/etc/none", Box::pin(std::io::Cursor::new(archive.clone()))).await;
    fails!(into, EngineError::NotFound { what: "path", .. });

    scene.engine.stop_node(&name, Duration::from_secs(5)).await?;
    ensure!(file(scene, &name, "/etc/one/two.bin").await?.1 == content, "also out of a stopped node");
    scene.engine.copy_in(&name, "/var", Box::pin(std::io::Cursor::new(archive))).await.context("and into one")?;
    ensure!(file(scene, &name, "/var/one/two.bin").await?.1 == content);
    Ok(())
}

async fn keeps_the_volume(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "kept", 0o644, b"kept\n")?;
    let archive = archive.into_inner()?;
    scene.engine.copy_in(&name, "/var/lib/sandbar", Box::pin(std::io::Cursor::new(archive))).await?;
    scene.engine.remove(&ResourceKind::Node, &name).await?;
    scene.engine.create_volume(&name, &labels(&name)).await?;
    scene.engine.create_node(&spec(&name)).await?;
    scene.engine.start_node(&name).await?;
    ensure!(file(scene, &name, "/var/lib/sandbar/kept").await?.1 == b"kept\n");
    scene.engine.remove(&ResourceKind::Node, &name).await?;
    scene.engine.remove(&ResourceKind::Volume, &name).await?;
    scene.engine.create_volume(&name, &labels(&name)).await?;
    scene.engine.create_node(&spec(&name)).await?;
    scene.engine.start_node(&name).await?;
    let gone = scene.engine.copy_out(&name, "/var/lib/sandbar/kept").await;
    fails!(gone, EngineError::NotFound { what: "path", .. });
    Ok(())
}

async fn lists_what_is_ours(scene: &Scene<'_>) -> Result<()> {
    let (running, stopped) = (scene.running().await?, scene.name());
    scene.create(&spec(&stopped)).await?;
    let nodes = scene.engine.list_nodes().await?;
    for (name, run) in [(&running, RunState::Running), (&stopped, RunState::Created)] {
        let listed = nodes.iter().find(|node| node.name == *name).context("it is listed")?;
        ensure!(listed.run == run && listed.labels["dev.sandbar.version"] == "0.0.0", "{listed:?}");
        let inspected = scene.engine.inspect_node(name).await?.context("it is there")?;
        ensure!((&listed.image_id, &listed.labels) == (&inspected.image_id, &inspected.labels), "{inspected:?}");
    }
    let resources = scene.engine.list_resources().await?;
    for kind in [ResourceKind::Node, ResourceKind::Volume, ResourceKind::Network] {
        let found = resources.iter().find(|resource| resource.kind == kind && resource.name == running);
        let found = found.with_context(|| format!("{kind:?} is listed"))?;
        ensure!(found.labels["dev.sandbar.cluster"] == running, "{found:?}");
    }
    Ok(())
}

async fn tells_the_log(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while text(scene, &name, None).await?.is_empty() {
        ensure!(tokio::time::Instant::now() < deadline, "the first process says nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ensure!(text(scene, &name, None).await? == "started\n");
    let mut follow = BufReader::new(scene.engine.logs(&name, true, None).await?).lines();
    ensure!(follow.next_line().await?.as_deref() == Some("started"));
    scene.engine.stop_node(&name, Duration::from_secs(5)).await?;
    let rest = async {
        while follow.next_line().await?.is_some() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(10), rest).await.context("the log ends with the node")??;
    scene.engine.start_node(&name).await?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while text(scene, &name, None).await?.matches("started").count() < 2 {
        ensure!(tokio::time::Instant::now() < deadline, "the second start says nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ensure!(text(scene, &name, Some(1)).await? == "started\n");
    Ok(())
}

async fn pauses(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.running().await?);
    let state = async || anyhow::Ok(engine.inspect_node(&name).await?.context("the node is there")?.run);
    engine.pause_node(&name).await?;
    ensure!(state().await? == RunState::Paused);
    let refused = scene.probe(&name, &["both"], None).await.map_err(unwrapped);
    fails!(refused, EngineError::Refused { .. });
    ensure!(engine.list_nodes().await?.iter().any(|node| node.name == name && node.run == RunState::Paused));
    engine.unpause_node(&name).await?;
    ensure!(state().await? == RunState::Running);
    fails!(engine.unpause_node(&name).await, EngineError::Refused { .. });
    engine.pause_node(&name).await?;
    engine.stop_node(&name, Duration::from_secs(5)).await.context("what is paused can be stopped")?;
    ensure!(matches!(state().await?, RunState::Exited { .. }));
    fails!(engine.pause_node(&name).await, EngineError::NotRunning { .. });
    engine.start_node(&name).await?;
    engine.pause_node(&name).await?;
    engine.remove(&ResourceKind::Node, &name).await.context("what is paused can be removed")?;
    ensure!(engine.inspect_node(&name).await?.is_none());
    Ok(())
}

async fn measures(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let stats = scene.engine.stats(&name).await?;
    ensure!(stats.memory_bytes > 0, "{stats:?}");
    scene.engine.stop_node(&name, Duration::from_secs(5)).await?;
    fails!(scene.engine.stats(&name).await, EngineError::NotRunning { .. });
    Ok(())
}

async fn knows_its_images(scene: &Scene<'_>) -> Result<()> {
    let image = scene.engine.inspect_image(IMAGE).await?.context("the suite's image is there")?;
    ensure!(image.names.contains(&IMAGE.to_owned()), "{image:?}");
    ensure!(image.labels["dev.sandbar.contract"] == "1", "{image:?}");
    ensure!(image.id.starts_with("sha256:") && image.id.len() == 71, "{image:?}");
    ensure!(image.diff_ids.len() == 1 && image.diff_ids[0].starts_with("sha256:"), "{image:?}");
    ensure!(["amd64", "arm64"].contains(&image.architecture.as_str()), "{image:?}");
    ensure!(scene.engine.inspect_image(&image.id).await?.as_ref() == Some(&image));
    ensure!(scene.engine.inspect_image("localhost/there-is-no-such-image:1").await?.is_none());
    Ok(())
}

async fn exports_and_imports_images(scene: &Scene<'_>) -> Result<()> {
    let image = scene.engine.inspect_image(IMAGE).await?.context("the suite's image is there")?;
    let archive = read(scene.engine.export_image(IMAGE).await?).await?;
    let mut digests = Vec::new();
    let mut manifest = serde_json::Value::Null;
    for entry in tar::Archive::new(archive.as_slice()).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content)?;
        digests.push(format!("sha256:{}", digest(&content)));
        if path.as_os_str() == "manifest.json" {
            manifest = serde_json::from_slice(&content)?;
        }
    }
    ensure!(manifest[0]["RepoTags"][0] == IMAGE, "{manifest}");
    ensure!(image.diff_ids.iter().all(|layer| digests.contains(layer)), "layers come uncompressed: {digests:?}");
    let names = scene.engine.import_image(Box::pin(std::io::Cursor::new(archive.clone()))).await?;
    ensure!(names == [IMAGE], "{names:?}");
    let half = archive[..archive.len() / 2].to_vec();
    fails!(scene.engine.import_image(Box::pin(std::io::Cursor::new(half))).await, EngineError::Refused { .. });
    let none = scene.engine.export_image("localhost/there-is-no-such-image:1").await;
    fails!(none, EngineError::NotFound { what: "image", .. });
    Ok(())
}

async fn removes_a_running_node(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.running().await?);
    let begun = std::time::Instant::now();
    for _ in 0..2 {
        engine.remove(&ResourceKind::Node, &name).await?;
    }
    ensure!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
    ensure!(engine.inspect_node(&name).await?.is_none());
    for kind in [ResourceKind::Volume, ResourceKind::Network] {
        for _ in 0..2 {
            engine.remove(&kind, &name).await?;
        }
    }
    ensure!(engine.list_resources().await?.iter().all(|resource| resource.name != name));
    Ok(())
}

async fn removes_nothing_that_is_used(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    for kind in [ResourceKind::Volume, ResourceKind::Network] {
        fails!(scene.engine.remove(&kind, &name).await, EngineError::Refused { .. });
    }
    ensure!(scene.engine.inspect_node(&name).await?.is_some_and(|node| node.run == RunState::Running));
    Ok(())
}

async fn names_its_subnets(scene: &Scene<'_>) -> Result<()> {
    let name = scene.name();
    scene.engine.create_network(&name, &labels(&name)).await?;
    let subnets = scene.engine.subnets().await?;
    let is_ipv4 = |subnet: &String| {
        let parts = subnet.split_once('/');
        parts.is_some_and(|(network, prefix)| network.parse::<Ipv4Addr>().is_ok() && prefix.parse::<u8>().is_ok())
    };
    ensure!(!subnets.is_empty() && subnets.iter().all(is_ipv4), "{subnets:?}");
    Ok(())
}

/// The engine's own error, where a helper wrapped it.
fn unwrapped(error: anyhow::Error) -> EngineError {
    error.downcast().unwrap_or_else(|error| EngineError::Refused {
        engine: "the suite".into(),
        operation: "do its part".into(),
        reason: format!("{error:#}"),
    })
}

async fn read(mut reader: sandbar::engine::Reader) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

async fn text(scene: &Scene<'_>, name: &str, tail: Option<u32>) -> Result<String> {
    Ok(String::from_utf8(read(scene.engine.logs(name, false, tail).await?).await?)?)
}

/// Mode and content of a file in a node.
async fn file(scene: &Scene<'_>, name: &str, path: &str) -> Result<(u32, Vec<u8>)> {
    let archive = read(scene.engine.copy_out(name, path).await?).await?;
    let mut archive = tar::Archive::new(archive.as_slice());
    let mut entry = archive.entries()?.next().context("one entry")??;
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut content)?;
    Ok((entry.header().mode()? & 0o7777, content))
}
