//! QEMU's argument list for a machine, a pure function of what the machine is and what this host is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::control;
use crate::engine::PortForward;
use crate::platform::Channel;

/// QEMU's name for the machine's network.
pub(super) const NETWORK: &str = "net";

/// The port of the node's SSH server.
pub const SSH_PORT: u16 = 22;

/// An architecture of machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// `x86_64`.
    Amd64,
    /// `aarch64`.
    Arm64,
    /// RISC-V with 64 bits.
    Riscv64,
}

impl Architecture {
    /// The architecture of that name, as images have it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Amd64, Self::Arm64, Self::Riscv64].into_iter().find(|architecture| architecture.name() == name)
    }

    /// Its name, as images have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Riscv64 => "riscv64",
        }
    }

    /// The program that emulates it.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-system-x86_64",
            Self::Arm64 => "qemu-system-aarch64",
            Self::Riscv64 => "qemu-system-riscv64",
        }
    }

    /// QEMU's machine for it. PCI and virtio alone: no board has less to emulate.
    fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "q35,vmport=off,hpet=off",
            Self::Arm64 | Self::Riscv64 => "virt",
        }
    }

    fn console(self) -> &'static str {
        match self {
            Self::Arm64 => "ttyAMA0",
            Self::Amd64 | Self::Riscv64 => "ttyS0",
        }
    }
}

/// What runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// Linux' own.
    Kvm,
    /// macOS' own.
    Hvf,
    /// Windows' own.
    Whpx,
    /// QEMU's translation of them, which is everywhere.
    Tcg,
}

impl Accelerator {
    /// QEMU's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Hvf => "hvf",
            Self::Whpx => "whpx",
            Self::Tcg => "tcg",
        }
    }

    fn argument(self) -> String {
        match self {
            // A thread for each of the guest's cores, and room for the translation of the whole node, which is 150 MB.
            Self::Tcg => "tcg,thread=multi,tb-size=512".to_owned(),
            other => other.name().to_owned(),
        }
    }
}

/// A machine as QEMU is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineArguments {
    /// Its name, in the list of processes.
    pub name: String,
    /// What it is.
    pub architecture: Architecture,
    /// What runs its instructions.
    pub accelerator: Accelerator,
    /// QEMU's model of its processor; none: this host's own where it runs by itself, else the best that QEMU has.
    pub cpu: Option<String>,
    /// Its cores.
    pub cores: u32,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// The kernel.
    pub kernel: PathBuf,
    /// What the kernel starts.
    pub initramfs: PathBuf,
    /// What the kernel is told beside where its console is.
    pub kernel_arguments: String,
    /// The node's root file system, shared by all machines.
    pub system: PathBuf,
    /// The cluster's data, qcow2.
    pub data: PathBuf,
    /// Where its serial console is written.
    pub console: PathBuf,
    /// Where what its node says is written.
    pub log: PathBuf,
    /// Where QEMU is told what to do.
    pub qmp: Channel,
    /// Where the guest is told what it is.
    pub control: Channel,
    /// The port of this machine that leads to its SSH server.
    pub ssh: u16,
    /// Ports of this machine that lead to ports of the guest.
    pub ports: Vec<PortForward>,
}

/// The arguments, the program's name not among them.
#[must_use]
pub fn arguments(machine: &MachineArguments) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    let mut option = |name: &str, value: String| list.extend([format!("-{name}"), value]);
    option("name", format!("{},debug-threads=on", escaped(&machine.name)));
    option("machine", machine.architecture.machine().to_owned());
    option("accel", machine.accelerator.argument());
    option("cpu", cpu(machine));
    option("smp", machine.cores.to_string());
    option("m", format!("{}M", machine.memory_mib));
    option("kernel", plain(&machine.kernel));
    option("initrd", plain(&machine.initramfs));
    option("append", format!("console={} {}", machine.architecture.console(), machine.kernel_arguments));
    option("device", "virtio-rng-pci".to_owned());
    // Memory that the guest frees is given back to this host.
    option("device", "virtio-balloon-pci,free-page-reporting=on".to_owned());
    option(
        "blockdev",
        format!(
            "driver=raw,node-name=system,read-only=on,file.driver=file,file.locking=off,file.filename={}",
            path(&machine.system)
        ),
    );
    option("device", "virtio-blk-pci,drive=system,serial=system".to_owned());
    // What the guest has synced is on this host's disk, as writeback has it.
    option(
        "blockdev",
        format!(
            "driver=qcow2,node-name=data,discard=unmap,file.driver=file,file.discard=unmap,file.filename={}",
            path(&machine.data)
        ),
    );
    option("device", "virtio-blk-pci,drive=data,serial=data,discard=on".to_owned());
    option("netdev", network(machine));
    option("device", format!("virtio-net-pci,netdev={NETWORK},romfile="));
    option("chardev", channel("control", &machine.control));
    option("device", "virtio-serial-pci".to_owned());
    option("device", format!("virtserialport,chardev=control,name={}", control::PORT));
    option("chardev", format!("file,id=log,append=on,path={}", path(&machine.log)));
    option("device", format!("virtserialport,chardev=log,name={}", control::LOG_PORT));
    option("chardev", format!("file,id=console,append=on,path={}", path(&machine.console)));
    option("serial", "chardev:console".to_owned());
    option("chardev", channel("qmp", &machine.qmp));
    option("mon", "chardev=qmp,mode=control".to_owned());
    list.extend(["-S", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot"].into_iter().map(str::to_owned));
    list
}

fn cpu(machine: &MachineArguments) -> String {
    let default = || match (machine.accelerator, machine.architecture) {
        (Accelerator::Kvm | Accelerator::Hvf, _) => "host".to_owned(),
        // It has no "max" there.
        (Accelerator::Whpx, _) => "qemu64".to_owned(),
        (Accelerator::Tcg, _) => "max".to_owned(),
    };
    machine.cpu.clone().unwrap_or_else(default)
}

fn network(machine: &MachineArguments) -> String {
    let mut value = format!("user,id={NETWORK}");
    value.push_str(&format!(",hostfwd=tcp:127.0.0.1:{}-:{SSH_PORT}", machine.ssh));
    for forward in &machine.ports {
        value.push_str(&format!(",hostfwd={}-:{}", host_side(forward), forward.node_port));
    }
    value
}

/// The side of a forward that is here, as QEMU has it.
pub(super) fn host_side(forward: &PortForward) -> String {
    format!("tcp:{}", SocketAddr::new(forward.host_address, forward.host_port))
}

fn channel(id: &str, channel: &Channel) -> String {
    match channel {
        Channel::Socket(socket) => format!("socket,id={id},server=on,wait=off,path={}", path(socket)),
        Channel::Pipe(name) => format!("pipe,id={id},path={}", escaped(name)),
    }
}

/// A path in an option with parts.
fn path(path: &Path) -> String {
    escaped(&plain(path))
}

fn plain(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// QEMU takes two commas for one that is meant.
fn escaped(text: &str) -> String {
    text.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;

    fn machine() -> MachineArguments {
        let set = Path::new("/data/images/1");
        let forward =
            |host_port, node_port| PortForward { host_address: IpAddr::V4(Ipv4Addr::LOCALHOST), host_port, node_port };
        MachineArguments {
            name: "sandbar-a".to_owned(),
            architecture: Architecture::Amd64,
            accelerator: Accelerator::Tcg,
            cpu: None,
            cores: 2,
            memory_mib: 3072,
            kernel: set.join("kernel"),
            initramfs: set.join("initramfs"),
            kernel_arguments: "quiet panic=-1".to_owned(),
            system: set.join("system.img"),
            data: "/data/machines/a, b/data.qcow2".into(),
            console: "/data/machines/a, b/console.log".into(),
            log: "/data/machines/a, b/node.log".into(),
            qmp: Channel::Socket("/run/m/1/qmp".into()),
            control: Channel::Socket("/run/m/1/control".into()),
            ssh: 30022,
            ports: vec![forward(6443, 6443), forward(8080, 80)],
        }
    }

    /// Two words a line, as they are typed.
    fn text(machine: &MachineArguments) -> String {
        let mut lines: Vec<String> = Vec::new();
        for word in arguments(machine) {
            match lines.last_mut() {
                Some(line) if line.starts_with('-') && !line.contains(' ') && !word.starts_with('-') => {
                    line.push_str(&format!(" {word}"));
                }
                _ => lines.push(word),
            }
        }
        lines.join("\n")
    }

    #[test]
    fn linux_without_kvm() {
        insta::assert_snapshot!(text(&machine()));
    }

    #[test]
    fn a_cortex_a72_anywhere() {
        let cpu = Some("cortex-a72".to_owned());
        insta::assert_snapshot!(text(&MachineArguments { architecture: Architecture::Arm64, cpu, ..machine() }));
    }

    #[test]
    fn an_apple_laptop() {
        let architecture = Architecture::Arm64;
        insta::assert_snapshot!(text(&MachineArguments { architecture, accelerator: Accelerator::Hvf, ..machine() }));
    }

    #[test]
    fn windows() {
        let there = r"C:\Users\me\AppData\Local\sandbar";
        let file = |name: &str| PathBuf::from(format!(r"{there}\{name}"));
        insta::assert_snapshot!(text(&MachineArguments {
            accelerator: Accelerator::Whpx,
            kernel: file("kernel"),
            initramfs: file("initramfs"),
            system: file("system.img"),
            data: file("data.qcow2"),
            console: file("console.log"),
            log: file("node.log"),
            qmp: Channel::Pipe("sandbar-1-qmp".to_owned()),
            control: Channel::Pipe("sandbar-1-control".to_owned()),
            ..machine()
        }));
    }

    #[test]
    fn ports_of_every_address() {
        let forward = PortForward { host_address: IpAddr::V6(Ipv6Addr::LOCALHOST), host_port: 443, node_port: 443 };
        let list = arguments(&MachineArguments { ports: vec![forward], ..machine() });
        assert!(list.contains(&"user,id=net,hostfwd=tcp:127.0.0.1:30022-:22,hostfwd=tcp:[::1]:443-:443".to_owned()));
    }
}
