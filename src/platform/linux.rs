//! Linux: everything is read from `/proc` (`man 5 proc`).

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::Path;

use super::ports::overlap;
use super::unix::System;
use super::{HostFacts, PortHolder, Route, Usage};

/// The kernel's default, should it not say.
const EPHEMERAL: RangeInclusive<u16> = 32768..=60999;
/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Linux.
pub struct Linux;

impl System for Linux {
    fn port_holder(&self, address: IpAddr, port: u16) -> Option<PortHolder> {
        let inodes: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .into_iter()
            .filter_map(|table| std::fs::read_to_string(table).ok())
            .flat_map(|table| listeners(&table))
            .filter(|listener| listener.port == port && overlap(listener.address, address))
            .map(|listener| listener.inode)
            .collect();
        holder_of(&inodes)
    }

    fn runs_containers(&self) -> bool {
        true
    }

    fn boot_id(&self) -> Option<String> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned())
    }

    fn usage(&self, process: u32) -> io::Result<Usage> {
        // proc_pid_stat(5): what follows the name in brackets is counted from field 3 on; times are 14 and 15, pages 24.
        let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        let fields: Vec<&str> = text.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
        let field =
            |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
        let page = rustix::param::page_size() as u64;
        let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        Ok(Usage { memory_bytes: field(24) * page, cpu_nanos: (field(14) + field(15)) * tick })
    }

    fn accelerator(&self) -> Result<&'static str, String> {
        let opened = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
        opened.map(|_| "kvm").map_err(|error| format!("/dev/kvm cannot be opened: {error}"))
    }

    fn ephemeral_ports(&self) -> RangeInclusive<u16> {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
        parse_range(&text).unwrap_or(EPHEMERAL)
    }

    fn routes(&self) -> io::Result<Vec<Route>> {
        std::fs::read_to_string("/proc/net/route").map(|table| parse_routes(&table))
    }

    fn available_memory(&self) -> Option<u64> {
        parse_memory(&std::fs::read_to_string("/proc/meminfo").ok()?)
    }

    fn uses_xdg(&self) -> bool {
        true
    }

    fn makes_holes(&self) -> bool {
        true
    }

    fn make_hole(&self, file: &File, at: u64, length: u64) -> io::Result<()> {
        use rustix::fs::FallocateFlags;
        Ok(rustix::fs::fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, length)?)
    }

    fn add_facts(&self, facts: &mut HostFacts) {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        if let Some(name) = pretty_name(&read("/etc/os-release")) {
            facts.system = name;
        }
        let memory = read("/proc/meminfo");
        facts.memory_bytes = memory_line(&memory, "MemTotal:");
        facts.available_bytes = memory_line(&memory, "MemAvailable:");
        facts.cgroups = cgroups(&read("/proc/self/mounts"));
    }
}

/// The name of the system (os-release(5)).
fn pretty_name(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

/// Bytes of a line of `/proc/meminfo`, which has kibibytes.
fn memory_line(memory: &str, name: &str) -> Option<u64> {
    let value = memory.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Which versions of control groups are mounted (cgroups(7)).
fn cgroups(mounts: &str) -> Option<&'static str> {
    let has = |kind: &str| mounts.lines().any(|line| line.split(' ').nth(2) == Some(kind));
    match (has("cgroup"), has("cgroup2")) {
        (true, true) => Some("1 and 2"),
        (true, false) => Some("1"),
        (false, true) => Some("2"),
        (false, false) => None,
    }
}

/// What is available according to `/proc/meminfo`, with the free part of the swap, in bytes.
fn parse_memory(text: &str) -> Option<u64> {
    Some(memory_line(text, "MemAvailable:")? + memory_line(text, "SwapFree:").unwrap_or_default())
}

/// A listening socket.
#[derive(Debug, PartialEq, Eq)]
struct Listener {
    address: IpAddr,
    port: u16,
    inode: u64,
}

/// The listening sockets of `/proc/net/tcp` or `/proc/net/tcp6`; lines that are not understood do not count.
fn listeners(table: &str) -> Vec<Listener> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        let listens = *fields.get(3)? == LISTEN;
        let listener = Listener {
            address: parse_address(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
            inode: fields.get(9)?.parse().ok()?,
        };
        listens.then_some(listener)
    };
    table.lines().filter_map(line).collect()
}

/// An address as the kernel prints it: words of the machine's byte order, in hexadecimal.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let words: Vec<[u8; 4]> = (0..hex.len() / 8)
        .map(|i| Some(u32::from_str_radix(hex.get(i * 8..i * 8 + 8)?, 16).ok()?.to_ne_bytes()))
        .collect::<Option<_>>()?;
    match words.as_slice() {
        [v4] if hex.len() == 8 => Some(Ipv4Addr::from(*v4).into()),
        [a, b, c, d] if hex.len() == 32 => {
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip([a, b, c, d].into_iter().flatten()) {
                *to = *from;
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// The process that has one of these sockets open. Of several, such as a server's workers, the one with the lowest
/// number, which most often is the parent.
fn holder_of(inodes: &[u64]) -> Option<PortHolder> {
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let mut pids: Vec<u32> =
        std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter().find(|pid| has_open(*pid, &links)).and_then(describe)
}

fn has_open(pid: u32, links: &[String]) -> bool {
    // Processes of other users cannot be looked into, and processes end while one looks.
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries
        .flatten()
        .any(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| links.iter().any(|link| Path::new(link) == to)))
}

fn describe(pid: u32) -> Option<PortHolder> {
    let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned();
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    Some(PortHolder { pid, container: container_name(&program, &arguments), program })
}

/// Podman's monitor of a container holds its ports and has the container's name among its arguments (`-n NAME`).
fn container_name<T: AsRef<str>>(program: &str, arguments: &[T]) -> Option<String> {
    if program != "conmon" {
        return None;
    }
    let at = arguments.iter().position(|argument| argument.as_ref() == "-n")?;
    arguments.get(at + 1).map(|name| name.as_ref().to_owned())
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    match (numbers.next()?, numbers.next()?) {
        (Ok(first), Ok(last)) if first <= last => Some(first..=last),
        _ => None,
    }
}

/// The routes of `/proc/net/route` that are up, without the default route and loopback.
fn parse_routes(table: &str) -> Vec<Route> {
    /// `RTF_UP` of `<linux/route.h>`.
    const UP: u32 = 1;
    let word = |text: &str| u32::from_str_radix(text, 16).ok();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let interface = (*fields.first()?).to_owned();
        let network = Ipv4Addr::from(word(fields.get(1)?)?.to_ne_bytes());
        let flags = word(fields.get(3)?)?;
        let prefix = u32::from(Ipv4Addr::from(word(fields.get(7)?)?.to_ne_bytes())).leading_ones();
        let prefix = u8::try_from(prefix).ok()?;
        (flags & UP != 0 && prefix > 0 && interface != "lo").then_some(Route { network, prefix, interface })
    };
    let mut routes: Vec<Route> = table.lines().skip(1).filter_map(line).collect();
    routes.sort_unstable();
    routes.dedup();
    routes
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn reads_the_kernels_table_of_sockets() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0\n   \
             1: 0100007F:0050 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0\n   \
             2: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4713 1 0\n   \
             3: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4714 1 0\n\
             rubbish\n";
        let localhost = IpAddr::from(Ipv4Addr::LOCALHOST);
        let expected = [
            Listener { address: localhost, port: 6443, inode: 4711 },
            Listener { address: Ipv6Addr::UNSPECIFIED.into(), port: 443, inode: 4713 },
            Listener { address: localhost, port: 8080, inode: 4714 },
        ];
        assert_eq!(listeners(table), expected);
    }

    #[test]
    fn names_the_process_that_listens() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let holder = Linux.port_holder(address.ip(), address.port()).expect("this process holds it");
        assert_eq!((holder.pid, &holder.container), (std::process::id(), &None));
        assert!(!holder.program.is_empty());
        drop(listener);
        assert_eq!(Linux.port_holder(address.ip(), address.port()), None);
    }

    #[test]
    fn knows_podmans_monitor() {
        let arguments = ["/usr/bin/conmon", "--api-version", "1", "-c", "0123", "-n", "web", "--exit-dir", "/run"];
        assert_eq!(container_name("conmon", &arguments).as_deref(), Some("web"));
        assert_eq!(container_name("nginx", &arguments), None);
        assert_eq!(container_name("conmon", &arguments[..6]), None);
    }

    #[test]
    fn reads_routes() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
            tun0\t00002A0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
            lo\t0000007F\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n\
            down\t0000000A\t00000000\t0000\t0\t0\t0\t000000FF\t0\t0\t0\n\
            short\t0000\n";
        let routes: Vec<_> = parse_routes(table).iter().map(|route| format!("{route} {}", route.interface)).collect();
        assert_eq!(routes, ["10.42.0.0/16 tun0", "192.168.1.0/24 eth0"]);
    }

    #[test]
    fn facts_are_read_from_the_systems_own_files() {
        assert_eq!(pretty_name("ID=x\nPRETTY_NAME=\"Some Linux 1\"\n").as_deref(), Some("Some Linux 1"));
        assert_eq!(memory_line("MemTotal:       2048 kB\n", "MemTotal:"), Some(2 << 20));
        let (one, two) = ("cgroup /a cgroup rw 0 0\n", "cgroup2 /b cgroup2 rw 0 0\n");
        assert_eq!(
            [cgroups(one), cgroups(two), cgroups(&[one, two].concat()), cgroups("")],
            [Some("1"), Some("2"), Some("1 and 2"), None]
        );
    }

    #[test]
    fn reads_memory() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:    1000000 kB\nSwapFree:         500000 kB\n";
        assert_eq!(parse_memory(text), Some(1_500_000 << 10));
        assert_eq!(parse_memory("MemAvailable:    1000 kB\n"), Some(1000 << 10));
        assert_eq!(parse_memory("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn reads_ranges() {
        assert_eq!(parse_range("32768\t60999\n"), Some(32768..=60999));
        assert_eq!(parse_range("60999 32768"), None);
        assert_eq!(parse_range(""), None);
    }
}
