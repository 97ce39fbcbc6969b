//! Two machines for the tests: network namespaces that reach each other by a cable and nothing else.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::laptop::succeed;

/// The engine's address, of TEST-NET-2 (RFC 5737).
pub const ENGINE_ADDRESS: &str = "198.51.100.1";
/// The laptop's.
const LAPTOP_ADDRESS: &str = "198.51.100.2";

/// The network of both.
pub struct Network {
    /// The namespace of the engine's machine.
    pub engine: String,
    /// The namespace of the laptop.
    pub laptop: String,
}

impl Network {
    /// Makes it, or says why that cannot be done here.
    pub fn new() -> Outcome<Self> {
        let name = |machine: &str| format!("sandbar-{machine}-{}", std::process::id());
        let network = Self { engine: name("engine"), laptop: name("laptop") };
        for namespace in [&network.engine, &network.laptop] {
            ip(["netns", "add", namespace])?;
            ip(["-n", namespace, "link", "set", "lo", "up"])?;
        }
        let (engine, laptop) = (&network.engine, &network.laptop);
        ip(["-n", laptop, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", engine])?;
        for (namespace, address) in [(engine, ENGINE_ADDRESS), (laptop, LAPTOP_ADDRESS)] {
            ip(["-n", namespace, "address", "add", &format!("{address}/30"), "dev", "eth0"])?;
            ip(["-n", namespace, "link", "set", "eth0", "up"])?;
        }
        Ok(network)
    }

    /// A program on the engine's machine.
    pub fn on_engine(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.engine)).arg(program);
        command
    }

    /// A program on the laptop, which knows the engine's machine as `docker`.
    pub fn on_laptop(&self, program: &Path, hosts: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.laptop)).args(["unshare", "--mount", "sh", "-c"]);
        command.arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"").arg(hosts).arg(program);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in [&self.laptop, &self.engine] {
            if let Err(error) = ip(["netns", "delete", namespace]) {
                eprintln!("what the tests' network leaves: {error}");
            }
        }
    }
}

fn ip<const N: usize>(arguments: [&str; N]) -> Outcome {
    succeed(Command::new("ip").args(arguments)).map(drop)
}
