//! What cannot be asked of the fake: finding engines, losing them, and what a container is given.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use sandbar::engine::container::{ConnectOptions, ContainerEngine, EngineChoice};
use sandbar::engine::{Engine, EngineError, ExecRequest, LABEL_CLUSTER, NodeSpec, NodeState, ResourceKind, RunState};
use sandbar::env::Env;
use sandbar::platform::look::{Look, look};
use tokio::io::AsyncReadExt;

use crate::dockerd::Dockerd;
use crate::fixture::{Scene, Subject, forward, listener, run_program};
use crate::image::{self, IMAGE};
use crate::trial;

/// For one engine.
pub fn trials(engine: &str, subject: Option<&Arc<Subject>>) -> Vec<Trial> {
    macro_rules! all {
        ($($name:ident),* $(,)?) => {
            vec![$(trial(format!("{engine}::{}", stringify!($name)), subject, |scene| Box::pin($name(scene)))),*]
        };
    }
    let mut all = all![gives_what_a_node_needs, limits_what_a_node_takes, starts_again_what_died, forwards_a_port];
    if engine == "podman" {
        all.extend(all![
            notices_the_end_of_its_service,
            notices_the_end_of_a_node_that_nobody_told_it,
            removes_the_volume_that_podman_made_for_a_node,
            outlives_its_service
        ]);
    } else {
        all.extend(all![makes_a_lost_volume_anew_as_its_own, outlives_its_daemon, starts_again_what_lost_its_shim]);
    }
    all
}

/// Without any engine.
pub fn detection_trials() -> Vec<Trial> {
    let trial = |name: &str, run: fn() -> Result<()>| {
        Trial::test(format!("detection::{name}"), move || run().map_err(|error| format!("{error:#}").into()))
    };
    vec![
        trial("says_that_nothing_is_installed", says_that_nothing_is_installed),
        trial("says_that_an_engine_is_unreachable", says_that_an_engine_is_unreachable),
        trial("says_why_a_service_does_not_start", says_why_a_service_does_not_start),
    ]
}

/// Tries to reach an engine, within a second.
fn connect(choice: EngineChoice, env: &Env) -> Result<EngineError> {
    let folder = tempfile::tempdir()?;
    let platform = sandbar::platform::native();
    let service_dir = folder.path().join("run");
    let options = ConnectOptions { choice, remembered: None, env, platform, service_dir, will_create: true };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let begun = Instant::now();
    let Err(error) = runtime.block_on(ContainerEngine::connect(&options)) else { bail!("something answered") };
    ensure!(begun.elapsed() < Duration::from_secs(1), "it took {:?}", begun.elapsed());
    Ok(error)
}

fn says_that_nothing_is_installed() -> Result<()> {
    let empty = tempfile::tempdir()?;
    let env = Env { path: Some(empty.path().into()), ..Env::default() };
    // A socket that runs on this host although its program is not on the path would answer.
    for (choice, socket, looked_for) in [
        (EngineChoice::Podman, "/run/podman/podman.sock", "podman"),
        (EngineChoice::Docker, "/var/run/docker.sock", "docker"),
    ] {
        if Path::new(socket).exists() {
            eprintln!("skipped: {looked_for} as not installed: {socket} exists");
            continue;
        }
        let error = connect(choice, &env)?.to_string();
        ensure!(error == format!("no container engine is installed (looked for {looked_for})"), "{error}");
    }
    Ok(())
}

fn says_that_an_engine_is_unreachable() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("none.sock");
    let address = format!("unix://{}", socket.display());
    let env = Env { container_host: Some(address.clone()), ..Env::default() };
    let error = connect(EngineChoice::Any, &env)?.to_string();
    let expected = format!(
        "podman is installed, but its API at {address} (CONTAINER_HOST) does not answer: No such file or directory (os error 2)"
    );
    ensure!(error == expected, "{error}");
    // One that takes the connection and never answers.
    let listener = std::os::unix::net::UnixListener::bind(&socket)?;
    let error = connect(EngineChoice::At(address), &Env::default())?;
    ensure!(
        matches!(&error, EngineError::Unreachable { reason, .. } if reason.starts_with("no answer within")),
        "{error}"
    );
    drop(listener);
    Ok(())
}

fn says_why_a_service_does_not_start() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for socket in ["/run/podman/podman.sock", "/var/run/docker.sock"] {
        if Path::new(socket).exists() {
            eprintln!("skipped: a service that does not start: an engine runs at {socket}");
            return Ok(());
        }
    }
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("podman");
    std::fs::write(&program, "#!/bin/sh\necho 'Error: no subuid ranges found for user' >&2\nexit 125\n")?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    let env = Env { path: Some(folder.path().into()), ..Env::default() };
    let error = connect(EngineChoice::Any, &env)?;
    let EngineError::Unreachable { engine, reason, .. } = error else { bail!("{error:?}") };
    ensure!((engine.as_str(), reason.as_str()) == ("podman", "no subuid ranges found for user"), "{reason}");
    Ok(())
}

async fn gives_what_a_node_needs(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let read = async |path: &str| anyhow::Ok(scene.probe(&name, &["read", path], None).await?.text());
    let status = read("/proc/self/status").await?;
    let line = |text: &str, key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key));
        found.map(|value| value.trim().to_owned()).with_context(|| format!("no {key}"))
    };
    // All that this process' engine can give: SYS_ADMIN, NET_ADMIN and SYS_PTRACE stand for them.
    let capabilities = u64::from_str_radix(&line(&status, "CapEff:")?, 16)?;
    for bit in [12, 19, 21] {
        ensure!(capabilities & (1 << bit) != 0, "capability {bit} is missing in {capabilities:x}");
    }
    ensure!(line(&status, "Seccomp:")? == "0", "seccomp filters");
    let cgroup = read("/proc/1/cgroup").await?;
    ensure!(cgroup.lines().all(|line| line.ends_with(":/")), "no cgroup namespace of its own: {cgroup}");
    let mounts = read("/proc/self/mounts").await?;
    for (path, kind) in [("/run", "tmpfs"), ("/tmp", "tmpfs")] {
        let options = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let mount =
            options.into_iter().find(|mount| mount[1] == path).with_context(|| format!("{path} is no mount"))?;
        ensure!(mount[2] == kind && !mount[3].split(',').any(|option| option == "noexec"), "{mount:?}");
    }
    ensure!(mounts.lines().any(|line| line.split(' ').nth(1) == Some("/var/lib/sandbar")), "{mounts}");
    // What is masked otherwise is not, and its cgroups are there, writable or for the node to make so.
    ensure!(!read("/proc/kallsyms").await?.is_empty(), "system paths are masked");
    ensure!(
        mounts.lines().any(|line| line.split(' ').nth(2).is_some_and(|kind| kind.starts_with("cgroup"))),
        "{mounts}"
    );
    let privileged = scene.client(&["inspect", "--format", "{{.HostConfig.Privileged}}", &name])?;
    if scene.engine.info().privilege == "all capabilities" {
        ensure!(privileged == "false", "privileged: {privileged}");
        let disk = scene.probe(&name, &["mode", "/dev/loop-control"], None).await?;
        ensure!(disk.code == 1, "devices of the host are there: {disk:?}");
    }
    Ok(())
}

async fn limits_what_a_node_takes(scene: &Scene<'_>) -> Result<()> {
    let name = scene.name();
    let mut node = scene.spec(&name);
    (node.memory_bytes, node.cpu_millis) = (Some(256 << 20), Some(1500));
    scene.create(&node).await?;
    scene.engine.start_node(&name).await?;
    let read = async |path: &str| anyhow::Ok(scene.probe(&name, &["read", path], None).await?.text().trim().to_owned());
    if read("/sys/fs/cgroup/cgroup.controllers").await?.is_empty() {
        ensure!(read("/sys/fs/cgroup/memory/memory.limit_in_bytes").await? == "268435456");
        ensure!(read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").await? == "150000");
        ensure!(read("/sys/fs/cgroup/pids/pids.max").await? == "max");
    } else {
        ensure!(read("/sys/fs/cgroup/memory.max").await? == "268435456");
        ensure!(read("/sys/fs/cgroup/cpu.max").await? == "150000 100000");
        ensure!(read("/sys/fs/cgroup/pids.max").await? == "max");
    }
    Ok(())
}

async fn starts_again_what_died(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let pid = scene.client(&["inspect", "--format", "{{.State.Pid}}", &name])?;
    let process = rustix::process::Pid::from_raw(pid.parse()?).context("a process")?;
    rustix::process::kill_process(process, rustix::process::Signal::KILL)?;
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let run = scene.engine.inspect_node(&name).await?.context("the node is there")?.run;
        let now = scene.client(&["inspect", "--format", "{{.State.Pid}}", &name])?;
        if run == RunState::Running && now != pid {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "it is still {run:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn forwards_a_port(scene: &Scene<'_>) -> Result<()> {
    let (_, port) = scene.forwarding().await?;
    let held = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    ensure!(held.is_err(), "the engine holds the port while the node runs");
    Ok(())
}

/// A node is killed together with its monitor, as by a machine that ends everything at once: it counts as ended, its
/// ports lead nowhere, and it can be removed.
async fn notices_the_end_of_a_node_that_nobody_told_it(scene: &Scene<'_>) -> Result<()> {
    let (name, port) = scene.forwarding().await?;
    kill_with_monitor(scene, &name).await?;
    let gone = |node: NodeState| node.run == RunState::Gone;
    ensure!(scene.engine.inspect_node(&name).await?.is_some_and(gone), "it is gone");
    let listed = scene.engine.list_nodes().await?.into_iter().find(|node| node.name == name);
    ensure!(listed.is_some_and(gone), "the list says so, too");
    if !scene.engine.info().rootless {
        // The rule that led into it is still there, and there it leads nowhere.
        ensure!(look(Ipv4Addr::LOCALHOST.into(), port) == Look::Astray, "its port is astray");
    }
    // Whoever ends it by himself leaves it in a state of its own.
    let _ = scene.client(&["stop", "--time", "1", &name]);
    scene.engine.remove(&ResourceKind::Node, &name).await?;
    ensure!(scene.engine.inspect_node(&name).await?.is_none(), "it is removed");
    ensure!(look(Ipv4Addr::LOCALHOST.into(), port) == Look::Free, "and its port is free");
    Ok(())
}

/// A volume that goes while Podman makes the node is made anew with the node, as nobody's: it goes with the node. One that
/// was there before is somebody's.
async fn removes_the_volume_that_podman_made_for_a_node(scene: &Scene<'_>) -> Result<()> {
    let create = |name: &str| {
        let label = format!("{LABEL_CLUSTER}={name}");
        let volume = format!("{name}:/var/lib/sandbar");
        scene.client(&["create", "--name", name, "--label", &label, "--volume", &volume, IMAGE])
    };
    let volumes = || scene.client(&["volume", "ls", "--format", "{{.Name}}"]);
    let name = scene.name();
    create(&name)?;
    ensure!(volumes()?.contains(&name), "Podman made the volume");
    scene.engine.remove(&ResourceKind::Node, &name).await?;
    ensure!(!volumes()?.contains(&name), "the volume is left");

    let name = scene.name();
    scene.make_foreign(&ResourceKind::Volume, &name)?;
    create(&name)?;
    scene.engine.remove(&ResourceKind::Node, &name).await?;
    ensure!(scene.engine.inspect_node(&name).await?.is_none(), "the node is left");
    ensure!(volumes()?.contains(&name), "somebody's volume is gone");
    Ok(())
}

/// Docker makes a volume that is not there together with a node as well, and gives it the labels that it was told.
async fn makes_a_lost_volume_anew_as_its_own(scene: &Scene<'_>) -> Result<()> {
    let name = scene.name();
    scene.create(&scene.spec(&name)).await?;
    let format = "{{range .HostConfig.Mounts}}{{index .VolumeOptions.Labels \"dev.sandbar.cluster\"}}{{end}}";
    let label = scene.client(&["inspect", "--format", format, &name])?;
    ensure!(Some(&label) == scene.spec(&name).labels.get(LABEL_CLUSTER), "{label:?}");
    Ok(())
}

/// Ends a container's monitor, which would tell Podman, and its first process.
#[expect(clippy::disallowed_methods, reason = "the suite looks at the engine from outside")]
async fn kill_with_monitor(scene: &Scene<'_>, name: &str) -> Result<()> {
    let numbers = scene.client(&["inspect", "--format", "{{.State.ConmonPid}} {{.State.Pid}}", name])?;
    let numbers: Vec<&str> = numbers.split_ascii_whitespace().collect();
    let killed = std::process::Command::new("kill").arg("-9").args(&numbers).status()?;
    ensure!(killed.success(), "kill {numbers:?}");
    let begun = Instant::now();
    while numbers.iter().any(|number| Path::new("/proc").join(number).exists()) {
        ensure!(begun.elapsed() < Duration::from_secs(10), "{numbers:?} do not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// The engine's API dies while a program runs and while something is asked of it: errors, no waiting for ever.
async fn notices_the_end_of_its_service(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let folder = tempfile::tempdir()?;
    let address = format!("unix://{}", folder.path().join("p.sock").display());
    let (mut service, engine) = service_at(&address, folder.path()).await?;
    let command = vec!["node-probe".to_owned(), "hang".to_owned()];
    let mut session = engine.exec(&name, ExecRequest { command, ..ExecRequest::default() }).await?;
    let mut said = [0; 8];
    session.stdout.read_exact(&mut said).await?;
    service.kill().await?;
    let lost = async {
        let mut rest = Vec::new();
        let _ = session.stdout.read_to_end(&mut rest).await;
        session.control.wait().await
    };
    let lost = tokio::time::timeout(Duration::from_secs(5), lost).await.context("the loss is not noticed")?;
    ensure!(matches!(lost, Err(EngineError::Unreachable { .. })), "{lost:?}");
    let asked = engine.list_nodes().await;
    ensure!(matches!(asked, Err(EngineError::Unreachable { .. })), "{asked:?}");
    ensure!(matches!(engine.start_node(&name).await, Err(EngineError::Unreachable { .. })));
    Ok(())
}

/// A service that serves no more takes no node along: it runs on, its port leads into it, and the next service has it.
async fn outlives_its_service(scene: &Scene<'_>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let address = format!("unix://{}", folder.path().join("p.sock").display());
    let (mut service, engine) = service_at(&address, folder.path()).await?;
    let (free, port) = listener()?;
    drop(free);
    // Its name is the scene's, which removes it.
    let name = scene.name();
    let node = NodeSpec { ports: vec![forward(port)], ..scene.spec(&name) };
    engine.create_network(&name, &node.labels).await?;
    engine.create_volume(&name, &node.labels).await?;
    engine.create_node(&node).await?;
    engine.start_node(&name).await?;
    let pid = scene.client(&["inspect", "--format", "{{.State.Pid}}", &name])?;
    service.kill().await?;
    ensure!(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err(), "its port is still its own");
    let (_service, engine) = service_at(&address, folder.path()).await?;
    let run = engine.inspect_node(&name).await?.context("the node is there")?.run;
    let now = scene.client(&["inspect", "--format", "{{.State.Pid}}", &name])?;
    ensure!((run, now) == (RunState::Running, pid), "it was started again");
    let command = ["node-probe", "both"].map(str::to_owned).into();
    let request = ExecRequest { command, ..ExecRequest::default() };
    ensure!(run_program(&engine, &name, request, None).await?.text() == "to stdout\n");
    Ok(())
}

/// A Podman service of the suite's own, and the way to it.
async fn service_at(address: &str, folder: &Path) -> Result<(tokio::process::Child, ContainerEngine)> {
    if let Some(socket) = address.strip_prefix("unix://") {
        // What a service that was killed leaves is in the way of the next one.
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let service = tokio::process::Command::new("podman")
        .args(["system", "service", "--time", "0", address])
        .kill_on_drop(true)
        .spawn()?;
    let env = Env::of_process();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let options = ConnectOptions {
            choice: EngineChoice::At(address.to_owned()),
            remembered: None,
            env: &env,
            platform: sandbar::platform::native(),
            service_dir: folder.to_owned(),
            will_create: false,
        };
        match ContainerEngine::connect(&options).await {
            Ok(engine) => return Ok((service, engine)),
            Err(error) => ensure!(Instant::now() < deadline, "the service does not come: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The shim that keeps a container for containerd is killed: its node ends with it, and is started again.
#[expect(clippy::disallowed_methods, reason = "the suite looks at the engine from outside")]
async fn starts_again_what_lost_its_shim(scene: &Scene<'_>) -> Result<()> {
    let name = scene.running().await?;
    let pid = scene.client(&["inspect", "--format", "{{.State.Pid}}", &name])?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let shim = status.lines().find_map(|line| line.strip_prefix("PPid:")).context("it has a parent")?.trim();
    let killed = std::process::Command::new("kill").args(["-9", shim]).status()?;
    ensure!(killed.success(), "kill {shim}");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        // The process first: what runs after another one was seen is no longer the old one. Between them there is none, 0.
        let now = scene.client(&["inspect", "--format", "{{.State.Pid}}", &name])?;
        let run = scene.engine.inspect_node(&name).await?.context("the node is there")?.run;
        if run == RunState::Running && now != pid && now != "0" {
            break;
        }
        ensure!(Instant::now() < deadline, "it is still {run:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ensure!(scene.probe(&name, &["both"], None).await?.text() == "to stdout\n");
    Ok(())
}

/// The daemon dies while a program runs and while something is asked of it: errors, no waiting for ever. Once it is there
/// again, so is the node, and it comes back by itself with a daemon that was stopped.
async fn outlives_its_daemon(scene: &Scene<'_>) -> Result<()> {
    let mut dockerd = Dockerd::start().map_err(anyhow::Error::msg)?;
    let env = Env::default();
    let folder = tempfile::tempdir()?;
    let options = ConnectOptions {
        choice: EngineChoice::At(dockerd.address()),
        remembered: None,
        env: &env,
        platform: sandbar::platform::native(),
        service_dir: folder.path().to_owned(),
        will_create: true,
    };
    let engine = ContainerEngine::connect(&options).await?;
    engine.import_image(Box::pin(std::io::Cursor::new(image::archive(&image::build_probe()?)?))).await?;
    let name = "sandbar-probe-daemon";
    let node = scene.spec(name);
    engine.create_network(name, &node.labels).await?;
    engine.create_volume(name, &node.labels).await?;
    engine.create_node(&node).await?;
    engine.start_node(name).await?;
    let request = |program: &str| {
        let command = vec!["node-probe".to_owned(), program.to_owned()];
        ExecRequest { command, ..ExecRequest::default() }
    };
    let mut session = engine.exec(name, request("hang")).await?;
    let mut said = [0; 8];
    session.stdout.read_exact(&mut said).await?;
    dockerd.kill().map_err(anyhow::Error::msg)?;
    let lost = async {
        let mut rest = Vec::new();
        let _ = session.stdout.read_to_end(&mut rest).await;
        session.control.wait().await
    };
    let lost = tokio::time::timeout(Duration::from_secs(5), lost).await;
    let asked = engine.list_nodes().await;
    let begun = engine.start_node(name).await;
    // The containers of a daemon that is gone go with its next one, whatever is found here.
    dockerd.start_again().map_err(anyhow::Error::msg)?;
    let lost = lost.context("the loss is not noticed")?;
    ensure!(matches!(lost, Err(EngineError::Unreachable { .. })), "{lost:?}");
    ensure!(matches!(asked, Err(EngineError::Unreachable { .. })), "{asked:?}");
    ensure!(matches!(begun, Err(EngineError::Unreachable { .. })), "{begun:?}");
    // Docker 20.10 ends what a daemon that was killed has left, and takes that for the user's wish.
    engine.start_node(name).await.context("what was left is started")?;
    dockerd.stop().and_then(|()| dockerd.start_again()).map_err(anyhow::Error::msg)?;
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let run = engine.inspect_node(name).await?.context("the node is there")?.run;
        if run == RunState::Running {
            break;
        }
        ensure!(Instant::now() < deadline, "it is still {run:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ensure!(run_program(&engine, name, request("both"), None).await?.text() == "to stdout\n");
    for kind in [ResourceKind::Node, ResourceKind::Volume, ResourceKind::Network] {
        engine.remove(&kind, name).await?;
    }
    Ok(())
}
