//! What every engine must do.

mod files;
mod ports;
mod programs;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use sandbar::engine::{EngineError, Labels, ResourceKind, RunState};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::fixture::{Scene, Subject, forward, labels, listener};
use crate::trial;

/// All of them for one engine.
pub fn trials(engine: &str, subject: Option<&Arc<Subject>>) -> Vec<Trial> {
    macro_rules! all {
        ($($test:path),* $(,)?) => {
            vec![$({
                let name = stringify!($test).rsplit(':').next().unwrap_or_default();
                trial(format!("{engine}::{}", name.trim()), subject, |scene| Box::pin($test(scene)))
            }),*]
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
        ports::refuses_a_taken_port,
        ports::refuses_the_port_of_another_node,
        ports::keeps_a_port_over_stop_and_start,
        programs::runs_programs,
        programs::keeps_outputs_apart,
        programs::moves_large_streams,
        programs::moves_bulk_input,
        programs::ends_input_when_it_is_dropped,
        programs::gives_a_terminal,
        programs::ends_programs_with_their_node,
        files::places_files_before_the_start,
        files::copies_both_ways,
        files::keeps_the_volume,
        lists_what_is_ours,
        tells_the_log,
        pauses,
        measures,
        files::knows_its_images,
        files::exports_and_imports_images,
        removes_a_running_node,
        removes_nothing_that_is_used,
        ports::names_its_subnets,
    ]
}

/// Ensures that a call failed in a certain way.
macro_rules! fails {
    ($call:expr, $pattern:pat $(if $guard:expr)?) => {
        match $call {
            Err($pattern) $(if $guard)? => {}
            Err(error) => anyhow::bail!("{} failed otherwise: {error:?}", stringify!($call)),
            Ok(_) => anyhow::bail!("{} did not fail", stringify!($call)),
        }
    };
}

use fails;

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
    let mut node = scene.spec(&name);
    node.labels = foreign;
    fails!(engine.create_node(&node).await, EngineError::Refused { .. });
    ensure!(engine.inspect_node(&name).await?.is_none());
    Ok(())
}

async fn makes_each_thing_once(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.name());
    let node = scene.spec(&name);
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
    let mut node = scene.spec(&name);
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
    let mut node = scene.spec(&name);
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
    scene.create(&scene.spec(&name)).await?;
    engine.remove(&ResourceKind::Node, &name).await?;
    fails!(engine.start_node(&name).await, EngineError::NotFound { what: "node", .. });
    engine.create_node(&scene.spec(&name)).await?;
    engine.start_node(&name).await.map(drop).context("the next of that name is another one")
}

async fn leaves_alone_what_is_not_ours(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.name());
    let node = scene.spec(&name);
    scene.make_foreign(&ResourceKind::Volume, &name)?;
    fails!(engine.create_volume(&name, &node.labels).await, EngineError::Foreign { what: "volume", .. });
    scene.make_foreign(&ResourceKind::Network, &name)?;
    fails!(engine.create_network(&name, &node.labels).await, EngineError::Foreign { what: "network", .. });
    fails!(engine.create_node(&node).await, EngineError::Foreign { .. });

    let other = scene.name();
    let node = scene.spec(&other);
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

async fn lists_what_is_ours(scene: &Scene<'_>) -> Result<()> {
    let (running, stopped) = (scene.running().await?, scene.name());
    scene.create(&scene.spec(&stopped)).await?;
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
