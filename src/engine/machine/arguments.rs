//! QEMU's argument list for a machine, a pure function of what the machine is and what this host is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::architecture::Architecture;
use super::{control, migration};
use crate::device::DiskLimits;
use crate::engine::PortForward;
use crate::platform::Channel;

/// QEMU's name for the machine's network.
pub(super) const NETWORK: &str = "net";

/// QEMU's object that is the guest's memory, where it is not all of it.
const MEMORY: &str = "ram";
/// QEMU's object that is the memory with the node's root file system.
pub const SYSTEM: &str = "system";

/// The port of the node's SSH server.
pub const SSH_PORT: u16 = 22;

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
            // A thread for each of the guest's cores, and room for half of the translation of the whole node, which is 0.48 GiB
            // when it is healthy. It is emptied once on the way there, and most of what was in it is not needed again.
            Self::Tcg => "tcg,thread=multi,tb-size=256".to_owned(),
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
    /// QEMU's machine with its version, such as `pc-q35-10.0`; none: the newest that it has.
    pub machine_type: Option<String>,
    /// What runs its instructions.
    pub accelerator: Accelerator,
    /// QEMU's model of its processor; none: the best that QEMU has. Where this host runs it by itself it is the host's own.
    pub cpu: Option<String>,
    /// What it says that it is; none: what QEMU's machine is.
    pub model: Option<String>,
    /// A device tree in place of QEMU's, with that model in it.
    pub device_tree: Option<PathBuf>,
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
    /// How many bytes that has, where the guest finds it in its memory: whatever programs it has running from there, this host has
    /// once for all machines, and none of it is in the machine's state. None: it is a disk.
    pub system_memory: Option<u64>,
    /// The cluster's data, qcow2.
    pub data: PathBuf,
    /// How fast they are.
    pub disk: DiskLimits,
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
    /// Whether it waits for a state to go on from, in place of starting anew.
    pub incoming: bool,
}

impl MachineArguments {
    /// What has to be the same for a state of one machine to be one of another: the arguments, but for names and places.
    #[must_use]
    pub fn essence(&self) -> Vec<String> {
        let nowhere = Channel::Socket(PathBuf::new());
        arguments(&Self {
            name: String::new(),
            kernel: PathBuf::new(),
            initramfs: PathBuf::new(),
            system: PathBuf::new(),
            data: PathBuf::new(),
            device_tree: None,
            console: PathBuf::new(),
            log: PathBuf::new(),
            qmp: nowhere.clone(),
            control: nowhere,
            ssh: 0,
            ports: Vec::new(),
            incoming: false,
            ..self.clone()
        })
    }

    /// Where in the guest's memory the node's root file system is, and how long it is, where a device tree has to say so.
    #[must_use]
    pub fn system_region(&self) -> Option<(u64, u64)> {
        let length = self.system_memory.filter(|_| self.architecture.has_device_tree())?;
        Some((self.architecture.memory_base() + (self.memory_before_system() << 20), length))
    }

    /// How many MiB of memory are before it: the machine's own, and one that nobody has where those are odd. The kernel maps persistent memory
    /// from multiples of 2 MiB alone.
    fn memory_before_system(&self) -> u64 {
        self.memory_mib.next_multiple_of(2)
    }

    /// QEMU's machine with its settings.
    fn machine(&self) -> String {
        let usual = self.architecture.machine();
        let Some(exact) = &self.machine_type else { return usual.to_owned() };
        usual.split_once(',').map_or_else(|| exact.clone(), |(_, settings)| format!("{exact},{settings}"))
    }
}

/// The arguments, the program's name not among them.
#[must_use]
pub fn arguments(machine: &MachineArguments) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    let mut option = |name: &str, value: String| list.extend([format!("-{name}"), value]);
    board(machine, "", &mut option);
    if !machine.incoming {
        // A guest that goes on has its kernel in its memory, and QEMU takes longer to read it than all else until it listens.
        kernel(machine, &mut option);
    }
    match (&machine.device_tree, &machine.model) {
        (Some(tree), _) => option("dtb", plain(tree)),
        (None, Some(model)) if !machine.architecture.has_device_tree() => {
            option("smbios", format!("type=1,manufacturer=Sandbar,product={}", escaped(model)));
        }
        (None, _) => {}
    }
    option("device", "virtio-rng-pci".to_owned());
    // Memory that the guest frees is given back to this host.
    option("device", "virtio-balloon-pci,free-page-reporting=on".to_owned());
    if machine.system_memory.is_none() {
        option(
            "blockdev",
            format!(
                "driver=raw,node-name=system,read-only=on,file.driver=file,file.locking=off,file.filename={}",
                path(&machine.system)
            ),
        );
        option("device", "virtio-blk-pci,drive=system,serial=system".to_owned());
    }
    // What the guest has synced is on this host's disk, as writeback has it.
    option(
        "blockdev",
        format!(
            "driver=qcow2,node-name=data,discard=unmap,file.driver=file,file.discard=unmap,file.filename={}",
            path(&machine.data)
        ),
    );
    if machine.disk.is_unlimited() {
        option("device", "virtio-blk-pci,drive=data,serial=data,discard=on".to_owned());
    } else {
        option("object", throttle(&machine.disk));
        option("blockdev", "driver=throttle,node-name=limited,throttle-group=disk,discard=unmap,file=data".to_owned());
        option("device", "virtio-blk-pci,drive=limited,serial=data,discard=on".to_owned());
    }
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
    if machine.incoming {
        list.extend(["-incoming", "defer", "-object"].map(str::to_owned));
        list.push(migration::holding(NETWORK));
    }
    list.extend(["-S", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot"].into_iter().map(str::to_owned));
    list
}

/// The arguments with which QEMU writes the device tree of a machine to a file, and ends. It opens no channel, no disk and no port. A tree is
/// written for each start alone, so that a random number in it is in no other; where QEMU can be told to, it leaves them out.
#[must_use]
pub fn device_tree_arguments(machine: &MachineArguments, file: &Path) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    let mut option = |name: &str, value: String| list.extend([format!("-{name}"), value]);
    let randomness = if machine.architecture == Architecture::Arm64 { ",dtb-randomness=off" } else { "" };
    board(machine, &format!("{randomness},dumpdtb={}", path(file)), &mut option);
    kernel(machine, &mut option);
    list.extend(["-nodefaults", "-no-user-config", "-nographic"].into_iter().map(str::to_owned));
    list
}

/// What is the same whatever is connected to it.
fn board(machine: &MachineArguments, more: &str, option: &mut impl FnMut(&str, String)) {
    option("name", format!("{},debug-threads=on", escaped(&machine.name)));
    option("machine", format!("{}{more}", machine.machine()));
    option("accel", machine.accelerator.argument());
    option("cpu", cpu(machine));
    option("smp", machine.cores.to_string());
    memory(machine, option);
}

/// What it starts from.
fn kernel(machine: &MachineArguments, option: &mut impl FnMut(&str, String)) {
    option("kernel", plain(&machine.kernel));
    option("initrd", plain(&machine.initramfs));
    let mut told = format!("console={} {}", machine.architecture.console(), machine.kernel_arguments);
    if machine.system_region().is_some() {
        // What QEMU takes for a second node of memory is none of the kernel's.
        told.push_str(&format!(" numa=off mem={}M", machine.memory_mib));
    }
    option("append", told);
}

/// The guest's memory. The node's root file system is persistent memory in it, as far as its kernel is concerned: a device of its own
/// where the machine is a PC, and else what follows the rest, where only a device tree says what it is.
fn memory(machine: &MachineArguments, option: &mut impl FnMut(&str, String)) {
    let Some(bytes) = machine.system_memory else {
        return option("m", format!("{}M", machine.memory_mib));
    };
    let before = machine.memory_before_system();
    let all = before + bytes.div_ceil(1 << 20);
    let file =
        format!("memory-backend-file,id={SYSTEM},size={bytes},share=on,readonly=on,mem-path={}", path(&machine.system));
    if machine.architecture.has_device_tree() {
        option("m", format!("{all}M"));
        option("object", format!("memory-backend-ram,id={MEMORY},size={before}M"));
        option("object", file);
        option("numa", format!("node,memdev={MEMORY},cpus=0-{}", machine.cores.saturating_sub(1)));
        option("numa", format!("node,memdev={SYSTEM}"));
    } else {
        option("m", format!("size={}M,maxmem={all}M", machine.memory_mib));
        option("object", file);
        option("device", format!("virtio-pmem-pci,memdev={SYSTEM}"));
    }
}

fn cpu(machine: &MachineArguments) -> String {
    match (machine.accelerator, machine.architecture) {
        // No host runs the instructions of another processor than its own.
        (Accelerator::Kvm | Accelerator::Hvf, _) | (Accelerator::Whpx, Architecture::Arm64) => "host".to_owned(),
        // It has no "max" there.
        (Accelerator::Whpx, _) => "qemu64".to_owned(),
        (Accelerator::Tcg, architecture) => machine.cpu.clone().unwrap_or_else(|| match architecture {
            // Signing pointers by the architecture's own algorithm takes a tenth of all time, and nobody checks which it is.
            Architecture::Arm64 => "max,pauth-impdef=on".to_owned(),
            Architecture::Amd64 => "max".to_owned(),
            // Its vectors, which QEMU computes element by element, make a program of the node take twice as long.
            Architecture::Riscv64 => "rv64".to_owned(),
        }),
    }
}

/// The group of limits of a disk, in the form that QEMU keeps stable (`ThrottleLimits` of its QAPI).
fn throttle(disk: &DiskLimits) -> String {
    let limits = [
        ("bps-read", disk.read_bytes_per_second),
        ("bps-write", disk.write_bytes_per_second),
        ("iops-read", disk.read_iops),
        ("iops-write", disk.write_iops),
    ];
    let limits: serde_json::Map<String, serde_json::Value> =
        limits.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), limit?.into()))).collect();
    serde_json::json!({"qom-type": "throttle-group", "id": "disk", "limits": limits}).to_string()
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
pub(super) mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;

    pub(crate) fn machine() -> MachineArguments {
        let set = Path::new("/data/images/1");
        let forward =
            |host_port, node_port| PortForward { host_address: IpAddr::V4(Ipv4Addr::LOCALHOST), host_port, node_port };
        MachineArguments {
            name: "sandbar-a".to_owned(),
            architecture: Architecture::Amd64,
            machine_type: None,
            accelerator: Accelerator::Tcg,
            cpu: None,
            model: None,
            device_tree: None,
            cores: 2,
            memory_mib: 3072,
            kernel: set.join("kernel"),
            initramfs: set.join("initramfs"),
            kernel_arguments: "quiet panic=-1".to_owned(),
            system: set.join("system.img"),
            system_memory: None,
            data: "/data/machines/a, b/data.qcow2".into(),
            disk: DiskLimits::default(),
            console: "/data/machines/a, b/console.log".into(),
            log: "/data/machines/a, b/node.log".into(),
            qmp: Channel::Socket("/run/m/1/qmp".into()),
            control: Channel::Socket("/run/m/1/control".into()),
            ssh: 30022,
            ports: vec![forward(6443, 6443), forward(8080, 80)],
            incoming: false,
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

    /// What QEMU is told for each profile on each system; what is the same for all machines is in the snapshots above.
    #[test]
    fn every_device_on_every_system() {
        let same: Vec<String> = text(&machine()).lines().map(str::to_owned).collect();
        let systems = [
            ("linux on amd64", Architecture::Amd64, Accelerator::Kvm),
            ("linux on arm64", Architecture::Arm64, Accelerator::Kvm),
            ("macos on arm64", Architecture::Arm64, Accelerator::Hvf),
            ("windows on amd64", Architecture::Amd64, Accelerator::Whpx),
        ];
        for profile in crate::device::shipped() {
            let device = profile.device();
            let mut shown = String::new();
            for (system, host, own) in systems {
                let accelerator = if host == device.architecture { own } else { Accelerator::Tcg };
                let arguments = MachineArguments {
                    architecture: device.architecture,
                    accelerator,
                    cpu: device.cpu.as_ref().map(|cpu| cpu.model.clone()),
                    cores: device.cores,
                    memory_mib: device.memory.default.bytes() >> 20,
                    device_tree: device
                        .model
                        .as_ref()
                        .filter(|_| device.architecture.has_device_tree())
                        .map(|_| "/run/m/1/tree".into()),
                    model: device.model.clone(),
                    disk: device.disk.limits(),
                    ..machine()
                };
                let own: Vec<String> = text(&arguments)
                    .lines()
                    .filter(|line| !same.iter().any(|other| other == line))
                    .map(str::to_owned)
                    .collect();
                shown.push_str(&format!("{system}: {}\n  {}\n", device.architecture.program(), own.join("\n  ")));
            }
            insta::assert_snapshot!(format!("device_{}", profile.name), shown);
        }
    }

    #[test]
    fn the_root_is_in_the_memory_where_files_can_be() {
        let shown = [Architecture::Amd64, Architecture::Arm64].map(|architecture| {
            let disk = MachineArguments { architecture, ..machine() };
            let system_memory = Some(300 << 20);
            let memory = MachineArguments { system_memory, device_tree: disk.device_tree.clone(), ..disk.clone() };
            let (disk, memory) = (text(&disk), text(&memory));
            let only = |one: &str, other: &str| {
                let lines = one.lines().filter(|line| !other.lines().any(|there| there == *line));
                lines.map(|line| format!("  {line}\n")).collect::<String>()
            };
            format!("{}\n{}in place of\n{}", architecture.name(), only(&memory, &disk), only(&disk, &memory))
        });
        insta::assert_snapshot!(shown.join("\n"));
        let board = MachineArguments { architecture: Architecture::Arm64, system_memory: Some(300 << 20), ..machine() };
        assert_eq!(board.system_region(), Some((0x1_0000_0000, 300 << 20)));
        let odd = MachineArguments { memory_mib: 1001, ..board.clone() };
        assert_eq!(odd.system_region(), Some(((1 << 30) + (1002 << 20), 300 << 20)));
        let list = arguments(&odd).join(" ");
        assert!(
            list.contains("-m 1302M -object memory-backend-ram,id=ram,size=1002M") && list.contains(" mem=1001M"),
            "{list}"
        );
        assert_eq!(MachineArguments { architecture: Architecture::Amd64, ..board }.system_region(), None);
    }

    #[test]
    fn a_device_tree_is_written_without_anything_that_is_opened() {
        let board = MachineArguments {
            architecture: Architecture::Arm64,
            cpu: Some("cortex-a72".to_owned()),
            kernel: "kernel".into(),
            initramfs: "initramfs".into(),
            ..machine()
        };
        let list = device_tree_arguments(&board, Path::new("/run/a, b/tree"));
        assert_eq!(
            list.join(" "),
            "-name sandbar-a,debug-threads=on -machine virt,dtb-randomness=off,dumpdtb=/run/a,, b/tree -accel \
             tcg,thread=multi,tb-size=256 -cpu cortex-a72 -smp 2 -m 3072M -kernel kernel -initrd initramfs -append \
             console=ttyAMA0 quiet panic=-1 -nodefaults -no-user-config -nographic"
        );
    }

    #[test]
    fn a_state_is_of_the_same_machine_wherever_that_is() {
        let here = machine();
        let there = MachineArguments {
            name: "sandbar-b".to_owned(),
            data: "/elsewhere/data.qcow2".into(),
            qmp: Channel::Socket("/run/m/2/qmp".into()),
            ssh: 30023,
            ports: Vec::new(),
            incoming: true,
            ..here.clone()
        };
        assert_eq!(here.essence(), there.essence());
        let others = [
            MachineArguments { cores: 4, ..here.clone() },
            MachineArguments { memory_mib: 1024, ..here.clone() },
            MachineArguments { cpu: Some("Haswell".to_owned()), ..here.clone() },
            MachineArguments { machine_type: Some("pc-q35-9.2".to_owned()), ..here.clone() },
            MachineArguments { kernel_arguments: "quiet".to_owned(), ..here.clone() },
        ];
        for other in others {
            assert_ne!(here.essence(), other.essence(), "{other:?}");
        }
    }

    #[test]
    fn a_restored_machine_is_of_the_version_that_it_was() {
        let machine_type = Some("pc-q35-10.0".to_owned());
        let list = arguments(&MachineArguments { machine_type, incoming: true, ..machine() }).join(" ");
        assert!(list.contains("-machine pc-q35-10.0,vmport=off,hpet=off -accel"), "{list}");
        let held = "-incoming defer -object filter-buffer,id=hold,netdev=net,interval=600000000 -S";
        assert!(list.contains(held), "packets wait from the start: {list}");
        assert!(!list.contains("-kernel") && !list.contains("-initrd") && !list.contains("-append"), "{list}");
        let architecture = Architecture::Arm64;
        let machine_type = Some("virt-10.0".to_owned());
        let list = arguments(&MachineArguments { architecture, machine_type, ..machine() }).join(" ");
        assert!(list.contains("-machine virt-10.0 -accel"), "{list}");
    }

    #[test]
    fn riscv64_without_vectors() {
        let list = arguments(&MachineArguments { architecture: Architecture::Riscv64, ..machine() });
        let at = list.iter().position(|word| word == "-cpu").unwrap();
        assert_eq!(list[at + 1], "rv64");
    }

    #[test]
    fn ports_of_every_address() {
        let forward = PortForward { host_address: IpAddr::V6(Ipv6Addr::LOCALHOST), host_port: 443, node_port: 443 };
        let list = arguments(&MachineArguments { ports: vec![forward], ..machine() });
        assert!(list.contains(&"user,id=net,hostfwd=tcp:127.0.0.1:30022-:22,hostfwd=tcp:[::1]:443-:443".to_owned()));
    }
}
