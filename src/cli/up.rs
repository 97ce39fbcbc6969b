//! `sandbar up`

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use super::{device, duration, ephemeral, target, up_report};
use crate::cluster::{self, ClusterFileText, Lease, RequestFile, UpRequest};
use crate::context::Context;
use crate::error::Failure;
use crate::spec::{Cidr, ClusterName, Cpus, ExtraPort, Flags, Memory, NodeImage};
use crate::ui::reporter::Event;

/// Make a cluster, start it, or find that nothing is to be done
///
/// It is done when the cluster answers from this machine: the API, the ingress on both ports, the kubeconfig context.
/// Interrupted at whatever moment, it leaves nothing, or something that the next `up` completes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbar up                                   with ./sandbar.yaml where there is one
  sandbar up edge --http-port 8080             another cluster, at another port
  sandbar up --memory 2Gi --cpus 2 --recreate  new limits for a cluster that keeps its data
  sandbar up --manifest deploy/                apply a kustomization at each start
  sandbar up review --ttl 8h                   `sandbar gc` may remove it after that
  sandbar up --node-image ./node.tar.zst       without a network: from an archive that you have
  sandbar up --ephemeral -- make e2e           a cluster of its own for one command
  sandbar up --device raspberry-pi-4           in a machine that plays a board
  sandbar up --events json --output json       for programs")]
pub(super) struct Args {
    /// Name of the cluster: the cluster file's where it is left out, else `default`
    name: Option<ClusterName>,
    /// Device that a machine of QEMU plays: the name of one (`sandbar device ls`), or the path of a profile of your own
    ///
    /// It says architecture, processor, cores, memory, disk and network; --cpus and --memory win over it. A cluster stays the
    /// device that it was made as.
    #[arg(long, value_name = "NAME|FILE")]
    device: Option<String>,
    /// Let containers of another architecture run, through an emulator in the machine: amd64's on arm64, arm64's on amd64
    ///
    /// `sandbar image load` then takes their images. They are several times slower than those of the node's own architecture. A
    /// cluster that has it keeps it; `--emulate-binaries=false` takes it back.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    emulate_binaries: Option<bool>,
    /// Start a new machine from nothing, also where the state of one of its kind is kept, and keep none
    ///
    /// A machine that is emulated starts from a copy of the state that the first of its kind had before it was anybody's: several
    /// seconds sooner. This is for those who want to see all of a start.
    #[arg(long)]
    cold: bool,
    /// Node image: one in the engine's store or in a registry, or an archive [default: the one of this version]
    ///
    /// An archive is a path: it begins with `.` or `/`, or ends with `.tar`, `.tar.gz`, `.tgz` or `.tar.zst`; a folder in OCI
    /// layout is one, too. Without this, the engine's store, the cache and the release of this version are asked in turn; `--verbose`
    /// says which had it.
    #[arg(long, value_name = "REF|FILE", alias = "image")]
    node_image: Option<NodeImage>,
    /// Port of the API on this machine [default: 6443, or a free one]
    #[arg(long, value_name = "PORT")]
    api_port: Option<u16>,
    /// Port of the ingress on this machine [default: 80, or a free one]
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// Port of the ingress with TLS on this machine [default: 443, or a free one]
    #[arg(long, value_name = "PORT")]
    https_port: Option<u16>,
    /// A further port: HOST:NODE, or one number for both
    #[arg(short, long = "port", value_name = "HOST:NODE")]
    ports: Vec<ExtraPort>,
    /// Address that listens [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    listen_address: Option<IpAddr>,
    /// CPUs that the node may use, such as 2 or 1.5
    #[arg(long, value_name = "CPUS")]
    cpus: Option<Cpus>,
    /// Memory that the node may use, such as 2Gi
    #[arg(long, value_name = "MEMORY")]
    memory: Option<Memory>,
    /// A label of the node
    #[arg(short, long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Network of pods [default: 10.42.0.0/16, or one that overlaps nothing]
    #[arg(long, value_name = "CIDR")]
    cluster_network: Option<Cidr>,
    /// Network of services [default: 10.43.0.0/16, or one that overlaps nothing]
    #[arg(long, value_name = "CIDR")]
    service_network: Option<Cidr>,
    /// A configuration drop-in
    #[arg(long = "config", value_name = "FILE")]
    config: Vec<PathBuf>,
    /// A manifest, or a folder with a kustomization.yaml, applied at each start
    #[arg(long = "manifest", value_name = "PATH")]
    manifests: Vec<PathBuf>,
    /// Make the node anew, with other settings or another image; the cluster's data stay
    #[arg(long)]
    recreate: bool,
    /// How long the cluster is wanted from now on, such as 8h, after which `sandbar gc` removes it; `never` takes that back
    #[arg(long, value_name = "TIME", value_parser = duration::lease)]
    ttl: Option<Lease>,
    /// Make a new cluster for one command, and remove it afterwards, whatever happens
    ///
    /// Without a name it gets a free one. The command has a kubeconfig with this cluster alone in `KUBECONFIG` and the name in
    /// `SANDBAR_CLUSTER`; your own kubeconfig is not touched. Its exit code is this one's.
    #[arg(long, requires = "command", conflicts_with_all = ["recreate", "ttl"])]
    ephemeral: bool,
    /// With --ephemeral: the command and its arguments, after `--`
    #[arg(last = true, requires = "ephemeral", value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn label(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let file = target::cluster_file(context)?;
    // A name that is not the file's means another cluster, unless the user named the file himself.
    let file = file
        .filter(|found| found.named || args.name.is_none() || found.file.metadata.name.as_ref() == args.name.as_ref());
    if let Some(found) = file.as_ref().filter(|found| !found.named) {
        context.reporter.report(&Event::Note { text: format!("using cluster file ./{}", found.path.display()) });
    }
    let device = device::wanted(context, args.device.as_deref(), file.as_ref())?;
    let absolute = |paths: Vec<PathBuf>| paths.into_iter().map(|path| context.folder.join(path)).collect();
    let flags = Flags {
        name: args.name,
        engine: context.settings.engine,
        device,
        emulate_binaries: args.emulate_binaries,
        cold: args.cold,
        image: args.node_image.map(|image| image.below(&context.folder)),
        listen_address: args.listen_address,
        api_port: args.api_port,
        http_port: args.http_port,
        https_port: args.https_port,
        extra_ports: args.ports,
        fewer_ports: Vec::new(),
        cpus: args.cpus,
        memory: args.memory,
        labels: args.labels,
        cluster_network: args.cluster_network,
        service_network: args.service_network,
        config: absolute(args.config),
        manifests: absolute(args.manifests),
    };
    let request = UpRequest {
        flags,
        file: file.map(|found| RequestFile {
            file: found.file,
            folder: found.folder,
            source: ClusterFileText { path: found.path, text: found.text },
        }),
        recreate: args.recreate,
        lease: args.ttl.unwrap_or_default(),
        timeout: context.timeout(),
    };
    if args.ephemeral {
        return ephemeral::run(context, request, &args.command).await;
    }
    up_report::print(context, Box::pin(cluster::up(&context.host(), &request))).await
}
