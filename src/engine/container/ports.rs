//! Ports of nodes that come here through the connection to their engine.
//!
//! On the engine's host they are published at loopback, under the numbers that they have here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::ssh::Line;
use super::{ContainerEngine, state};
use crate::engine::{EngineError, NodeSpec, PortForward, SshProblem};
use crate::platform::look::{Look, look};

/// Label with the address of this machine at which the ports are.
const LABEL_LISTEN: &str = "dev.sandbar.listen";

/// What is asked of an engine whose ports come through a connection.
pub(super) fn spec_there(spec: &NodeSpec) -> NodeSpec {
    let mut there = spec.clone();
    if let Some(port) = spec.ports.first() {
        there.labels.insert(LABEL_LISTEN.to_owned(), port.host_address.to_string());
    }
    for port in &mut there.ports {
        port.host_address = Ipv4Addr::LOCALHOST.into();
    }
    there
}

/// The forwards of a container as they are here.
fn here(container: &state::Container) -> Vec<PortForward> {
    let listen = container.labels().get(LABEL_LISTEN).and_then(|text| text.parse::<IpAddr>().ok());
    let listen = listen.unwrap_or(Ipv4Addr::LOCALHOST.into());
    container.forwards().into_iter().map(|port| PortForward { host_address: listen, ..port }).collect()
}

impl ContainerEngine {
    /// Brings the ports of a node here, where that is for us to do.
    pub(super) async fn bring_ports(&self, name: &str) -> Result<(), EngineError> {
        let Some(line) = self.inner.line.as_ref().filter(|line| !line.has(name)) else { return Ok(()) };
        let Some(container) = self.container(name).await? else { return Ok(()) };
        self.forward(line, name, &here(&container)).await
    }

    /// Ends the forwards of nodes that are none of these.
    pub(super) async fn keep_ports_of(&self, known: &[&str]) {
        let Some(line) = &self.inner.line else { return };
        for node in line.nodes().iter().filter(|node| !known.contains(&node.as_str())) {
            line.cancel(node).await;
        }
    }

    async fn forward(&self, line: &Line, name: &str, ports: &[PortForward]) -> Result<(), EngineError> {
        let port = |port: &PortForward| {
            let here = SocketAddr::new(port.host_address, port.host_port);
            format!("{here}:127.0.0.1:{}", port.host_port)
        };
        let forwards: Vec<String> = ports.iter().map(port).collect();
        let Err(problem) = line.forward(name, &forwards).await else { return Ok(()) };
        // ssh says that it cannot listen; which port it is, and why, a look tells.
        for port in ports {
            let (address, port) = (port.host_address, port.host_port);
            match look(address, port) {
                Look::Held => return Err(EngineError::PortTaken { port, address }),
                Look::Forbidden => return Err(EngineError::PortPrivileged { port, address }),
                Look::Free | Look::Astray => {}
            }
        }
        Err(self.ssh_failed(problem))
    }

    fn ssh_failed(&self, problem: SshProblem) -> EngineError {
        EngineError::Ssh { endpoint: self.inner.info.endpoint.clone(), problem: Box::new(problem) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_host_has_the_ports_at_loopback_alone() {
        let port = PortForward { host_address: Ipv4Addr::UNSPECIFIED.into(), host_port: 8080, node_port: 80 };
        let spec = NodeSpec {
            name: "sandbar-a".into(),
            hostname: "a".into(),
            image: "i".into(),
            labels: [].into(),
            ports: vec![port],
            environment: [].into(),
            cpu_millis: None,
            memory_bytes: None,
            hardware: None,
            emulate_binaries: false,
            cold: false,
            files: Vec::new(),
            purpose: crate::engine::Purpose::Node,
        };
        let there = spec_there(&spec);
        assert_eq!(there.ports, [PortForward { host_address: Ipv4Addr::LOCALHOST.into(), ..port }]);
        assert_eq!(there.labels["dev.sandbar.listen"], "0.0.0.0");
    }
}
