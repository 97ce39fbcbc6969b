//! `sandbar device`

use std::path::Path;

use serde::Serialize;

use super::target::FoundFile;
use crate::cluster;
use crate::context::Context;
use crate::device::{self, Device, ProfileError};
use crate::error::{Failure, FailureKind};
use crate::ui::{OutputFormat, Table, bytes};

/// Devices that a cluster's machine can play: boards such as a Raspberry Pi, on any laptop
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbar device ls
  sandbar device show raspberry-pi-4
  sandbar up --device raspberry-pi-4")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the devices that come with this program
    #[command(after_help = "Examples:\n  sandbar device ls\n  sandbar device ls --output json")]
    Ls,
    /// Show a device: what the machine is like, and what is not emulated
    ///
    /// A profile of your own is a TOML file; `sandbar schema device` prints its keys.
    #[command(after_help = "\
Examples:
  sandbar device show jetson-tx1
  sandbar device show ./my-board.toml
  sandbar device show raspberry-pi-4 --toml > my-board.toml   begin one of your own")]
    Show {
        /// The name of a device, or the path of a profile: it has a `/` or ends with `.toml`
        #[arg(value_name = "NAME|FILE")]
        device: String,
        /// The profile as it stands, to make one of your own
        #[arg(long)]
        toml: bool,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    schema_version: u32,
    #[serde(flatten)]
    device: &'a Device,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Ls => list(context),
        Action::Show { device, toml } => show(context, device, *toml),
    }
}

/// The device that a cluster is to be: that of `--device`, else the cluster file's.
pub(super) fn wanted(
    context: &Context,
    flag: Option<&str>,
    file: Option<&FoundFile>,
) -> Result<Option<Box<Device>>, Failure> {
    let of_file = || file.and_then(|found| Some((found.file.spec.device.as_deref()?, found.folder.as_path())));
    let Some((text, folder)) = flag.map(|text| (text, context.folder.as_path())).or_else(of_file) else {
        return Ok(None);
    };
    let (text, file) = read(text, folder)?;
    Ok(Some(Box::new(device::parse(&text, &file)?)))
}

/// The text of a profile, and what it is called in errors.
fn read(text: &str, folder: &Path) -> Result<(String, String), Failure> {
    if !device::is_path(text) {
        let found = device::find(text)?;
        return Ok((found.text.to_owned(), found.name.to_owned()));
    }
    let unreadable = |reason: String| ProfileError::Unreadable { path: text.into(), reason };
    match cluster::read_users_file(&folder.join(text)) {
        Ok(Some(profile)) => Ok((profile, text.to_owned())),
        Ok(None) => Err(unreadable("there is no such file".to_owned()).into()),
        Err(error) => Err(unreadable(error.to_string()).into()),
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let devices: Vec<Device> = device::shipped().iter().map(device::Shipped::device).collect();
    match context.settings.output {
        OutputFormat::Name => {
            context.printer.text(&device::names().map(|name| format!("{name}\n")).collect::<String>())?;
        }
        OutputFormat::Table => {
            let mut table = Table::new(&["name", "device", "architecture", "cpu", "cores", "memory", "disk"]);
            for device in &devices {
                table.row([
                    device.name.clone(),
                    device.title.clone(),
                    device.architecture.name().to_owned(),
                    cpu(device).to_owned(),
                    device.cores.to_string(),
                    memory(device),
                    device.disk.size.to_string(),
                ]);
            }
            context.printer.text(&table.render())?;
        }
        format => context.printer.report(format, &serde_json::json!({"schemaVersion": 1, "devices": devices}))?,
    }
    Ok(())
}

fn show(context: &Context, text: &str, toml: bool) -> Result<(), Failure> {
    let (profile, file) = read(text, &context.folder)?;
    let device = device::parse(&profile, &file)?;
    if toml {
        return Ok(context.printer.text(&profile)?);
    }
    match context.settings.output {
        OutputFormat::Name => context.printer.text(&format!("{}\n", device.name))?,
        OutputFormat::Table => context.printer.text(&described(context, &device))?,
        format => context.printer.report(format, &Shown { schema_version: 1, device: &device })?,
    }
    Ok(())
}

fn cpu(device: &Device) -> &str {
    device.cpu.as_ref().map_or("-", |cpu| &cpu.model)
}

/// What it has, and what else it is sold with.
fn memory(device: &Device) -> String {
    let memory = &device.memory;
    let others: Vec<String> =
        memory.choices.iter().filter(|choice| **choice != memory.default).map(ToString::to_string).collect();
    if others.is_empty() {
        memory.default.to_string()
    } else {
        format!("{} (or {})", memory.default, others.join(", "))
    }
}

fn described(context: &Context, device: &Device) -> String {
    let style = context.style;
    let mut rows = vec![
        ("architecture", device.architecture.name().to_owned()),
        ("model", device.model.clone().unwrap_or_else(|| "what QEMU says of itself".to_owned())),
        ("cpu", device.cpu.as_ref().map_or_else(|| "the best that QEMU has".to_owned(), |cpu| cpu.model.clone())),
    ];
    rows.extend(device.cpu.iter().filter_map(|cpu| Some(("", cpu.note.clone()?))));
    rows.push(("cores", device.cores.to_string()));
    rows.push(("memory", memory(device)));
    rows.push(("disk", disk(device)));
    rows.push(("network", network(device)));
    rows.extend(device.node_labels().into_iter().map(|(key, value)| ("label", format!("{key}={value}"))));
    let evictions: Vec<String> =
        device.kubelet.eviction_hard.iter().map(|(signal, least)| format!("{signal} < {least}")).collect();
    rows.push(("evicts at", evictions.join(", ")));
    let (high, low) = (device.kubelet.image_gc_high, device.kubelet.image_gc_low);
    rows.push(("images", format!("unused ones are removed when the disk is {high} % full, down to {low} %")));
    rows.extend(device.not_emulated.iter().map(|words| ("not emulated", words.clone())));
    let mut text = format!("{}: {}\n\n", style.strong(&device.name), device.title);
    for (key, value) in rows {
        text += &format!("  {}  {value}\n", style.faint(&format!("{key:<12}")));
    }
    text
}

fn disk(device: &Device) -> String {
    let disk = &device.disk;
    let rate = |rate: u64| format!("{}/s", bytes(rate));
    let limits = [
        disk.read_bytes_per_second.map(|read| format!("reads {}", rate(read))),
        disk.write_bytes_per_second.map(|write| format!("writes {}", rate(write))),
        disk.read_iops.map(|read| format!("{read} reads/s")),
        disk.write_iops.map(|write| format!("{write} writes/s")),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let speed = if limits.is_empty() { "as fast as this host's".to_owned() } else { limits.join(", ") };
    format!("{}; {speed}", disk.size)
}

fn network(device: &Device) -> String {
    let link = &device.network;
    let rate = |kbit: u64| {
        if kbit.is_multiple_of(1000) { format!("{} Mbit/s", kbit / 1000) } else { format!("{kbit} kbit/s") }
    };
    let limits = [
        link.download_kbit.map(|kbit| format!("{} in", rate(kbit))),
        link.upload_kbit.map(|kbit| format!("{} out", rate(kbit))),
        link.latency_millis.map(|millis| format!("{millis} ms more for a round trip")),
        link.loss_percent.map(|loss| format!("{loss} of the packets lost")),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    if limits.is_empty() { "as this host's".to_owned() } else { limits.join(", ") }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        let hint = error.hint();
        Self::new(FailureKind::Usage, error).hint(hint)
    }
}
