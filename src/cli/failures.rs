//! From what went wrong to what the user can do about it: kind, exit code and hints, exhaustively.

use crate::artifact::ArtifactError;
use crate::cluster::probe::ProbeError;
use crate::cluster::{CarryError, ClusterError, ConfigProblem, NoLease};
use crate::doctor::{FixError, Unfit};
use crate::engine::{EngineError, SshProblem, TlsProblem};
use crate::error::{Failure, FailureKind};
use crate::kubeconfig::KubeconfigError;
use crate::node::NodeError;
use crate::report::ReportError;
use crate::spec::SpecError;
use crate::store::StoreError;

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::WithReport { source, archive } => {
                Self::from(*source).hint(format!("a report with its logs is kept in {}", archive.display()))
            }
            ClusterError::Report(error) => error.into(),
            ClusterError::Removed { source } => {
                Self::from(*source).hint("the cluster was removed again, as it was never finished")
            }
            ClusterError::NotUndone { source, undo } => Self::from(*source).hint(format!(
                "what was begun could not be removed ({undo}); `sandbar up` goes on with it, `sandbar rm` removes it"
            )),
            ClusterError::EngineAway { name, source } => {
                let kept = format!("cluster {name} was made there, and nothing of it was changed");
                match source {
                    // Where to look is in the cluster's record: what the environment says makes no difference.
                    EngineError::Unreachable { .. } => Self::new(FailureKind::Host, source).hint(kept),
                    source => Self::from(source).hint(kept),
                }
            }
            ClusterError::Engine(error) => error.into(),
            ClusterError::Node(error) => error.into(),
            ClusterError::Store(error) => error.into(),
            ClusterError::Kubeconfig(error) => error.into(),
            ClusterError::Spec(error) => error.into(),
            ClusterError::Artifact(error) => error.into(),
            other => {
                let kind = kind(&other);
                let hints = hints(&other);
                hints.into_iter().fold(Self::new(kind, other), Self::hint)
            }
        }
    }
}

fn kind(error: &ClusterError) -> FailureKind {
    match error {
        ClusterError::NoSuchCluster { .. } => FailureKind::NoSuchCluster,
        ClusterError::Input(_)
        | ClusterError::ArchiveUnusable { .. }
        | ClusterError::Exists { .. }
        | ClusterError::NoLease { .. }
        | ClusterError::ConfigInvalid { .. }
        | ClusterError::NeedsRecreate { .. }
        | ClusterError::PortsFixed { .. }
        | ClusterError::NotForwarded { .. }
        | ClusterError::Immutable { .. } => FailureKind::Usage,
        ClusterError::OtherHome { .. }
        | ClusterError::Unfit(_)
        | ClusterError::NoImage { .. }
        | ClusterError::ImageUnfit { .. }
        | ClusterError::PortTaken { .. }
        | ClusterError::PortAstray { .. }
        | ClusterError::NoPortLeft { .. }
        | ClusterError::NoNetworkLeft
        | ClusterError::Probe(ProbeError::SomeoneElse { .. }) => FailureKind::Host,
        ClusterError::TimedOut { .. } => FailureKind::TimedOut,
        ClusterError::Interrupted { .. } => FailureKind::Interrupted,
        _ => FailureKind::Failed,
    }
}

fn hints(error: &ClusterError) -> Vec<String> {
    match error {
        ClusterError::NoSuchCluster { known, .. } if known.is_empty() => vec!["`sandbar up` makes one".to_owned()],
        ClusterError::NoSuchCluster { known, .. } => {
            let names: Vec<&str> = known.iter().map(crate::spec::ClusterName::as_str).collect();
            vec![format!("there is: {}", names.join(", "))]
        }
        ClusterError::Exists { name } => {
            vec![format!("leave the name out to have a free one picked, or remove it first: `sandbar rm {name}`")]
        }
        ClusterError::NoLease { name, reason } => match reason {
            NoLease::Unlimited => vec![format!("`sandbar renew {name} --ttl 1h` gives it an hour from now on")],
            NoLease::Owned => Vec::new(),
            NoLease::Unfinished => vec![format!("`sandbar up {name}` completes it, with `--ttl` for a time")],
            NoLease::Removing => vec![format!("`sandbar rm {name}` completes that")],
        },
        ClusterError::Paused { name } => vec![format!("`sandbar unpause {name}` lets it go on")],
        ClusterError::ConfigInvalid { problems } => match problems.as_slice() {
            [ConfigProblem { nearest: Some(nearest), .. }] => vec![format!("did you mean `{nearest}`?")],
            _ => Vec::new(),
        },
        ClusterError::Unfit(Unfit(report)) => {
            let fix = report.fix.iter().map(|fix| format!("`{}`", fix.commands.join("` and `")));
            let more = format!("`sandbar doctor {}` says more", report.code);
            report.hints.iter().cloned().chain(fix).chain([more]).collect()
        }
        ClusterError::OtherHome { .. } => vec!["give this one another name: `sandbar up NAME`".to_owned()],
        ClusterError::NoImage { engine, image } if engine == "docker" => vec![
            format!("`podman save {image} | docker load` brings it from Podman, where `make image` builds it"),
            "`--node-image` names another one, or an archive".to_owned(),
        ],
        ClusterError::NoImage { .. } => {
            vec!["`make image` builds the node image, `--node-image` names another one, or an archive".to_owned()]
        }
        ClusterError::ImageUnfit { of_device: Some(architecture), .. } => vec![format!(
            "a release has sandbar-machine-{}-{architecture}.tar.zst, which is taken without `--node-image`; from the sources, \
             `make machine-image ARCH={architecture}` makes it for `--node-image build/{architecture}/machine`",
            env!("CARGO_PKG_VERSION")
        )],
        ClusterError::ImageUnfit { .. } => {
            vec![
                "without `--node-image` the image of this version is taken; `make image` builds one that fits"
                    .to_owned(),
            ]
        }
        ClusterError::ArchiveUnusable { .. } => vec![
            "an archive is what `podman save` and `docker save` write, compressed or not, or `images/build.sh archive`"
                .to_owned(),
        ],
        ClusterError::NeedsRecreate { name, changes } => {
            let mut hints: Vec<String> = changes.iter().map(ToString::to_string).collect();
            if !hints.is_empty() {
                hints = vec![format!("what would change:\n{}", hints.join("\n"))];
            }
            hints.push(format!("`sandbar up {name} --recreate` makes the node anew with them and keeps its data"));
            hints
        }
        ClusterError::PortsFixed { .. } => {
            vec!["the same with --recreate makes the node anew with other ports and keeps its data".to_owned()]
        }
        ClusterError::NotForwarded { known, .. } if known.is_empty() => {
            vec!["it has no further ports; `sandbar port ls` lists all".to_owned()]
        }
        ClusterError::NotForwarded { known, .. } => {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            vec![format!("there is: {}", known.join(", "))]
        }
        ClusterError::Immutable { name, .. } => {
            vec![format!("`sandbar rm {name}` and `sandbar up` make a new one, without what is in it now")]
        }
        ClusterError::PortTaken { .. } => vec![
            "end that program, or choose another port with --api-port, --http-port, --https-port or --port \
             (for a cluster that exists: together with --recreate)"
                .to_owned(),
        ],
        ClusterError::PortAstray { port, .. } => vec![
            format!(
                "`sudo iptables -t nat -S | grep 'dport {port} '` shows the rule; a killed container can leave it behind"
            ),
            "remove that container, restart this machine, or choose another port".to_owned(),
        ],
        ClusterError::NoPortLeft { purpose, .. } => vec![format!("choose one with --{purpose}-port")],
        ClusterError::NoNetworkLeft => vec!["choose them with --cluster-network and --service-network".to_owned()],
        ClusterError::TimedOut { .. } => vec!["`--timeout 5m` waits longer".to_owned()],
        ClusterError::NodeEnded { out_of_memory: true, .. } => vec!["give it more with --memory".to_owned()],
        ClusterError::Probe(ProbeError::SomeoneElse { .. }) => {
            vec![
                "another program answers on that port; choose another one with --http-port and --https-port".to_owned(),
            ]
        }
        _ => Vec::new(),
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let (kind, hint) = match &error {
            EngineError::NotInstalled { .. } => (
                FailureKind::Host,
                Some(
                    "install Podman (`sudo apt-get install podman`, or https://podman.io) or Docker \
                     (https://docs.docker.com/engine/install)"
                        .to_owned(),
                ),
            ),
            EngineError::NoQemu { program } => (FailureKind::Host, Some(qemu(program))),
            EngineError::QemuTooOld { .. } => (
                FailureKind::Host,
                Some(
                    "Debian 12 has a newer one in bookworm-backports: `sudo apt-get install -t bookworm-backports \
                     qemu-system`; https://www.qemu.org/download has those of other systems"
                        .to_owned(),
                ),
            ),
            EngineError::NotEnough { what: "memory", .. } => {
                (FailureKind::Host, Some("end other programs, or give the machine less with --memory".to_owned()))
            }
            EngineError::NotEnough { .. } => {
                (FailureKind::Host, Some("make room there; `sandbar paths` says where machines are".to_owned()))
            }
            EngineError::Unreachable { engine, endpoint, reason } => {
                (FailureKind::Host, Some(unreachable(engine, endpoint, reason)))
            }
            EngineError::Tls { problem, .. } => (FailureKind::Host, Some(insecure(problem))),
            EngineError::Ssh { endpoint, problem } => (FailureKind::Host, Some(no_way(endpoint, problem))),
            EngineError::PrivilegeRefused { rootless: true, .. } => (
                FailureKind::Host,
                Some("Podman as root works: `sudo sandbar up`; or give this user cgroup v2 delegation".to_owned()),
            ),
            EngineError::PrivilegeRefused { engine, .. } => (
                FailureKind::Host,
                Some(format!(
                    "{engine} itself lacks a capability or a limit that a node needs; where it runs in a container, \
                     that one has to be privileged"
                )),
            ),
            EngineError::PortTaken { .. } => (FailureKind::Host, None),
            EngineError::PortPrivileged { .. } => (
                FailureKind::Host,
                Some(
                    "choose one from 1024 on, or allow it: `sudo sysctl net.ipv4.ip_unprivileged_port_start=80`"
                        .to_owned(),
                ),
            ),
            EngineError::Foreign { what, name } => {
                let what = if *what == "node" { String::new() } else { format!("{what} ") };
                (
                    FailureKind::Host,
                    Some(format!(
                        "remove it (`podman {what}rm {name}` or `docker {what}rm {name}`), or give the cluster another \
                         name"
                    )),
                )
            }
            EngineError::NotRunning { .. } => (FailureKind::Failed, Some("`sandbar start` starts it".to_owned())),
            EngineError::TimedOut { .. } => (FailureKind::TimedOut, None),
            // Docker gives each network a subnet out of about thirty.
            EngineError::Refused { reason, .. } if reason.contains("address pool") => (
                FailureKind::Host,
                Some(
                    "remove networks that nothing uses: `docker network prune`; or give Docker more of them with \
                     default-address-pools in its daemon.json"
                        .to_owned(),
                ),
            ),
            EngineError::Refused { engine, reason, .. } if reason.to_lowercase().contains("no space left") => (
                FailureKind::Host,
                Some(format!("make room where {engine} keeps its images: `{engine} system df` shows what is there")),
            ),
            EngineError::NotFound { .. } | EngineError::AlreadyExists { .. } | EngineError::Refused { .. } => {
                (FailureKind::Failed, None)
            }
        };
        let failure = Self::new(kind, error);
        hint.into_iter().fold(failure, Self::hint)
    }
}

/// How QEMU's program for an architecture is installed, by the names of packages.
fn qemu(program: &str) -> String {
    // https://packages.debian.org and https://packages.fedoraproject.org; before Debian 13, riscv64 is in qemu-system-misc.
    let (debian, fedora) = match program {
        "qemu-system-aarch64" => ("qemu-system-arm", "qemu-system-aarch64"),
        "qemu-system-riscv64" => ("qemu-system-riscv (before Debian 13, qemu-system-misc)", "qemu-system-riscv"),
        _ => ("qemu-system-x86", "qemu-system-x86"),
    };
    format!(
        "install QEMU 9 or later, which has it: on Debian and Ubuntu the package {debian}, on Fedora {fedora}, on macOS `brew \
         install qemu`, on Windows `winget install SoftwareFreedomConservancy.QEMU`"
    )
}

/// What helps where an engine's API does not answer: first what the user said of it, then what the system says.
fn unreachable(engine: &str, endpoint: &str, reason: &str) -> String {
    let variables = ["CONTAINER_HOST", "DOCKER_HOST"];
    if let Some(name) = variables.into_iter().find(|name| endpoint.ends_with(&format!("({name})"))) {
        format!("`{engine} info` says more; check {name}, or unset it")
    } else if endpoint.ends_with("(where the cluster was made)") {
        format!(
            "start that {engine}; if it has another address now, {} says so",
            if engine == "podman" { "CONTAINER_HOST" } else { "DOCKER_HOST" }
        )
    } else if endpoint.contains("context ") {
        "`docker context ls` lists the contexts; `docker context use NAME` or DOCKER_CONTEXT chooses one".to_owned()
    } else if engine == "docker" && reason.contains("ermission denied") {
        "let this user use it: `sudo usermod -aG docker $USER`, then log in again; or use Podman: --engine podman"
            .to_owned()
    } else if engine == "docker" {
        "start it: `sudo systemctl start docker`, or Docker Desktop, Colima or Rancher Desktop; or use Podman: --engine \
         podman"
            .to_owned()
    } else {
        "`podman info` says more; where Podman has a machine, `podman machine start` starts it".to_owned()
    }
}

/// What helps where there is no safe connection to an engine.
fn insecure(problem: &TlsProblem) -> String {
    match problem {
        TlsProblem::MissingFile { .. } => {
            "DOCKER_CERT_PATH names the folder with ca.pem, cert.pem and key.pem; without it, it is ~/.docker"
                .to_owned()
        }
        TlsProblem::UnusableFile { path, .. } => {
            format!("`openssl x509 -noout -text -in {}` shows what is in a certificate", path.display())
        }
        TlsProblem::UnknownAuthority { authority: Some(file) } => {
            format!("copy the ca.pem of that engine to {}, or name another folder in DOCKER_CERT_PATH", file.display())
        }
        TlsProblem::UnknownAuthority { authority: None } => {
            "put the ca.pem of that engine into the folder that DOCKER_CERT_PATH names".to_owned()
        }
        TlsProblem::Expired | TlsProblem::NotYetValid => {
            "`date` shows whether this machine's clock is right; else the engine needs a new certificate".to_owned()
        }
        TlsProblem::OtherName { host } => format!(
            "reach it by a name that is in its certificate, or make it one for {host} \
             (`subjectAltName`; for docker:dind, DOCKER_TLS_SAN)"
        ),
        TlsProblem::Refused { folder, .. } => {
            format!("the engine wants cert.pem and key.pem, signed by its own authority, in {}", folder.display())
        }
        TlsProblem::NotSpoken => {
            "unset DOCKER_TLS_VERIFY and DOCKER_TLS for an engine without TLS, which usually is at port 2375".to_owned()
        }
        TlsProblem::Demanded => {
            "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder with ca.pem, cert.pem and key.pem".to_owned()
        }
        TlsProblem::Failed { .. } => "`docker info` with the same environment says more".to_owned(),
    }
}

/// What helps where there is no way through SSH to an engine.
fn no_way(endpoint: &str, problem: &SshProblem) -> String {
    let address = endpoint.split(' ').next().unwrap_or(endpoint);
    // ssh(1) takes such an address, without a path.
    let place = address.strip_prefix("ssh://").unwrap_or(address).split('/').next().unwrap_or_default();
    match problem {
        SshProblem::NotInstalled => "install OpenSSH's client: `sudo apt-get install openssh-client`".to_owned(),
        SshProblem::NotShared => format!(
            "run sandbar in the Windows Subsystem for Linux, whose ssh can, or on the host itself: `ssh ssh://{place}`"
        ),
        SshProblem::HostKeyUnknown { .. } => {
            format!("`ssh ssh://{place}` shows the key; compare it with the host's and accept it")
        }
        SshProblem::HostKeyChanged { host } => {
            format!(
                "if the host was made anew, `ssh-keygen -R {host}` forgets the old key; if not, somebody is in between"
            )
        }
        SshProblem::PermissionDenied { .. } => format!(
            "`ssh -o BatchMode=yes ssh://{place} true` has to work: nobody can be asked for a password, `ssh-add` adds a key to \
             the agent"
        ),
        SshProblem::NoConnection { .. } => format!("`ssh -v ssh://{place} true` says more"),
        SshProblem::NoSocket { .. } => {
            "start the engine there (`systemctl enable --now docker`, or `systemctl --user enable --now \
             podman.socket`), or put the path of its socket into the address: ssh://USER@HOST/PATH"
                .to_owned()
        }
        SshProblem::SocketDenied { .. } => {
            "let that user use it: on that host, `sudo usermod -aG docker USER`, then log in again".to_owned()
        }
        SshProblem::Forward { .. } => {
            "the host's sshd_config has to allow it: AllowTcpForwarding and AllowStreamLocalForwarding".to_owned()
        }
        SshProblem::Failed { .. } => format!("`ssh ssh://{place} true` says more"),
    }
}

/// What to do where the network is not there, or not to be trusted.
const BY_HAND: &str = "without a network: download it elsewhere, then `sandbar up --node-image FILE`";
/// What to do where releases are elsewhere.
const MOVED: &str = "SANDBAR_RELEASES, or `releases:` in sandbar.yaml, says where releases are";

impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        let error = match error {
            ArtifactError::Store(error) => return error.into(),
            error => error,
        };
        let (kind, hints) = match &error {
            ArtifactError::NotReleased { url, .. } if url.contains("/sandbar-machine-") => (
                FailureKind::Host,
                vec![
                    MOVED.to_owned(),
                    "`sandbar up --node-image FILE` takes an archive that you have; from the sources, `make machine-image` (with \
                     `ARCH=arm64` for another architecture) makes what machines start from, and `images/machine/build.sh archive` \
                     packs it"
                        .to_owned(),
                ],
            ),
            ArtifactError::NotReleased { .. } => (
                FailureKind::Host,
                vec![
                    MOVED.to_owned(),
                    "`sandbar up --node-image FILE` takes an archive that you have; from the sources, `make image` builds the \
                     node image"
                        .to_owned(),
                ],
            ),
            ArtifactError::Refused { .. } => (FailureKind::Host, vec![MOVED.to_owned(), BY_HAND.to_owned()]),
            ArtifactError::Unreachable { .. } => (
                FailureKind::Host,
                vec![
                    format!("behind a proxy: `HTTPS_PROXY=http://HOST:PORT sandbar up`; {MOVED}"),
                    BY_HAND.to_owned(),
                ],
            ),
            ArtifactError::Untrusted { .. } => (
                FailureKind::Host,
                vec![
                    "where a company's own authority signs, name its certificate: `SSL_CERT_FILE=FILE sandbar up`".to_owned(),
                    BY_HAND.to_owned(),
                ],
            ),
            ArtifactError::BrokeOff { .. } => {
                (FailureKind::Failed, vec!["`sandbar up` goes on from there".to_owned(), BY_HAND.to_owned()])
            }
            ArtifactError::NotListed { .. } => (FailureKind::Failed, vec![MOVED.to_owned()]),
            ArtifactError::WrongDigest { .. } => (
                FailureKind::Failed,
                vec![
                    "nothing of it was kept; `sandbar up` downloads it again".to_owned(),
                    format!("if it happens again, the file there is not the release's: {MOVED}"),
                ],
            ),
            ArtifactError::DiskFull { folder, .. } => (
                FailureKind::Host,
                vec![
                    format!("make room there (`df -h {}` shows how much there is)", folder.display()),
                    "`sandbar cache prune` removes what other versions have left; SANDBAR_HOME moves Sandbar's own files".to_owned(),
                ],
            ),
            ArtifactError::Busy { .. } => {
                (FailureKind::TimedOut, vec!["end that process, then `sandbar up` again".to_owned()])
            }
            ArtifactError::Setting { .. } => (FailureKind::Usage, Vec::new()),
            ArtifactError::File { .. } | ArtifactError::Store(_) => {
                (FailureKind::Host, vec!["SANDBAR_HOME moves Sandbar's own files to another folder".to_owned()])
            }
        };
        hints.into_iter().fold(Self::new(kind, error), Self::hint)
    }
}

impl From<FixError> for Failure {
    fn from(error: FixError) -> Self {
        match error {
            error @ (FixError::Process(_) | FixError::Failed { .. }) => Self::new(FailureKind::Failed, error),
        }
    }
}

impl From<CarryError> for Failure {
    fn from(error: CarryError) -> Self {
        match error {
            CarryError::Engine(error) => error.into(),
            error @ CarryError::NotRemoved { .. } => Self::new(FailureKind::Failed, error),
            error @ CarryError::Unreadable { .. } => Self::new(FailureKind::Usage, error),
            error @ CarryError::TooLarge { .. } => {
                Self::new(FailureKind::Usage, error).hint("pipe it: `sandbar kubectl apply -f - < FILE`")
            }
        }
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Engine(error) => error.into(),
            error @ NodeError::TimedOut { .. } => Self::new(FailureKind::TimedOut, error),
            error @ NodeError::NotReachable { .. } => Self::new(FailureKind::Failed, error)
                .hint("`sandbar logs` shows why; `sandbar restart` starts it again"),
            error @ NodeError::Contract { .. } => {
                Self::new(FailureKind::Failed, error).hint("use the sandbar that made the cluster, or make it anew")
            }
            error @ (NodeError::Failed { .. } | NodeError::Malformed { .. } | NodeError::Input(_)) => {
                Self::new(FailureKind::Failed, error)
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            error @ StoreError::Locked { .. } => {
                Self::new(FailureKind::TimedOut, error).hint("`--timeout 5m` waits longer")
            }
            error @ StoreError::Damaged { .. } => Self::new(FailureKind::Failed, error)
                .hint("move the file away; the cluster itself is found in the engine"),
            error @ StoreError::Newer { .. } => Self::new(FailureKind::Failed, error).hint("use the newer sandbar"),
            error @ StoreError::Io { .. } => {
                Self::new(FailureKind::Host, error).hint("SANDBAR_HOME moves Sandbar's own files to another folder")
            }
        }
    }
}

impl From<KubeconfigError> for Failure {
    fn from(error: KubeconfigError) -> Self {
        let hint = match &error {
            KubeconfigError::NoLocation => "name one with --kubeconfig FILE".to_owned(),
            KubeconfigError::NotEdited { .. } | KubeconfigError::NotText { .. } | KubeconfigError::NotAFile { .. } => {
                "mend the file, or use another one with --kubeconfig FILE".to_owned()
            }
            KubeconfigError::ReadOnly { .. } | KubeconfigError::Io { .. } => {
                "make it writable, or use another one with --kubeconfig FILE".to_owned()
            }
            KubeconfigError::Undone { .. } => {
                "find the program that writes it (one that synchronises files?), or use another file with --kubeconfig FILE"
                    .to_owned()
            }
            KubeconfigError::Locked { path, .. } => {
                format!("if no kubectl or sandbar runs, remove it: rm {}", path.display())
            }
        };
        let kind = match &error {
            KubeconfigError::Locked { .. } => FailureKind::TimedOut,
            _ => FailureKind::Host,
        };
        Self::new(kind, error).hint(hint)
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        let hint = match &error {
            SpecError::TooLittleMemory { .. } => Some("give it at least 512Mi; 1Gi leaves room for pods"),
            SpecError::DeviceNeedsMachine { .. } => Some("leave the engine out, or the device"),
            SpecError::EmulationNeedsMachine { .. } => Some(
                "`--engine machine` does it; containers run what their host does, where `qemu-user-static` is installed on it",
            ),
            SpecError::OtherName { .. } => Some("leave the name out, or use another file with --file"),
            SpecError::PortZero { .. }
            | SpecError::SamePort { .. }
            | SpecError::NetworksOverlap { .. }
            | SpecError::NetworkSize { .. }
            | SpecError::Label { .. } => None,
        };
        let failure = Self::new(FailureKind::Usage, error);
        hint.into_iter().fold(failure, Self::hint)
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        match error {
            // The folder is the one that the user named, or is in.
            error @ ReportError::Store(StoreError::Io { .. }) => {
                Self::new(FailureKind::Failed, error).hint("`-o FILE` writes it elsewhere, `-o -` to standard output")
            }
            ReportError::Store(error) => error.into(),
            error @ (ReportError::Obfuscate(_) | ReportError::Archive(_)) => Self::new(FailureKind::Failed, error),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(FailureKind::Failed, error)
    }
}

#[cfg(test)]
mod tests {
    use super::{EngineError, Failure, FailureKind, unreachable};

    #[test]
    fn a_docker_without_a_subnet_left_is_helped() {
        // As 20.10 and 27 say it.
        for reason in [
            "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
            "all predefined address pools have been fully subnetted",
        ] {
            let (engine, operation) = ("docker".to_owned(), "create the network".to_owned());
            let failure = Failure::from(EngineError::Refused { engine, operation, reason: reason.to_owned() });
            assert_eq!(failure.kind, FailureKind::Host);
            assert!(failure.hints[0].contains("`docker network prune`"), "{:?}", failure.hints);
        }
    }

    #[test]
    fn an_engine_that_does_not_answer_is_helped_by_where_it_was_looked_for() {
        let socket = "unix:///var/run/docker.sock";
        let cases = [
            ("docker", "tcp://engine:2375 (DOCKER_HOST)", "refused", "check DOCKER_HOST, or unset it"),
            ("podman", "unix:///p.sock (CONTAINER_HOST)", "No such file", "check CONTAINER_HOST, or unset it"),
            ("docker", "unix:///c.sock (context colima)", "No such file", "`docker context ls`"),
            ("docker", "context none", "there is no such context in /home/me/.docker", "`docker context ls`"),
            ("docker", "unix:///c.sock (where the cluster was made)", "No such file", "DOCKER_HOST says so"),
            ("docker", socket, "Permission denied (os error 13)", "usermod -aG docker"),
            ("docker", socket, "there is no such socket", "systemctl start docker"),
            ("podman", "unix:///p.sock", "no subuid ranges found", "podman info"),
        ];
        for (engine, endpoint, reason, expected) in cases {
            let hint = unreachable(engine, endpoint, reason);
            assert!(hint.contains(expected), "{engine} {endpoint} {reason}: {hint}");
        }
    }
}
