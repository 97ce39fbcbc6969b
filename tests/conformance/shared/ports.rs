//! Ports of nodes on this machine, and the networks behind them.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sandbar::engine::{EngineError, RunState};

use super::fails;
use crate::fixture::{Scene, forward, labels, listener};

pub async fn refuses_a_taken_port(scene: &Scene<'_>) -> Result<()> {
    let (engine, name) = (&scene.engine, scene.name());
    let (free, free_port) = listener()?;
    let (held, held_port) = listener()?;
    drop(free);
    let mut node = scene.spec(&name);
    node.ports = vec![forward(free_port), forward(held_port)];
    node.ports[1].node_port = 80;
    scene.create(&node).await?;
    let refused = engine.start_node(&name).await;
    fails!(refused, EngineError::PortTaken { port, address } if port == held_port && address.is_loopback());
    ensure!(engine.inspect_node(&name).await?.is_some_and(|node| node.run != RunState::Running));
    drop(held);
    engine.start_node(&name).await.map(drop).context("once the port is free it starts")
}

pub async fn refuses_the_port_of_another_node(scene: &Scene<'_>) -> Result<()> {
    let (free, port) = listener()?;
    drop(free);
    let names = [scene.name(), scene.name()];
    for name in &names {
        let mut node = scene.spec(name);
        node.ports = vec![forward(port)];
        scene.create(&node).await?;
    }
    scene.engine.start_node(&names[0]).await?;
    fails!(scene.engine.start_node(&names[1]).await, EngineError::PortTaken { port: p, .. } if p == port);
    scene.engine.stop_node(&names[0], Duration::from_secs(5)).await?;
    scene.engine.start_node(&names[1]).await.map(drop).context("a stopped node holds no port")
}

pub async fn keeps_a_port_over_stop_and_start(scene: &Scene<'_>) -> Result<()> {
    let (free, port) = listener()?;
    drop(free);
    let name = scene.name();
    let mut node = scene.spec(&name);
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

pub async fn names_its_subnets(scene: &Scene<'_>) -> Result<()> {
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
