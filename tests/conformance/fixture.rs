//! What a test stands on: an engine with the probe image in it, and nodes that are gone afterwards.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::FutureExt;
use sandbar::engine::container::{ConnectOptions, ContainerEngine, EngineChoice};
use sandbar::engine::fake::{Behaviour, FakeEngine};
use sandbar::engine::machine::programs::Programs;
use sandbar::engine::machine::{MachineEngine, MachineOptions, Places};
use sandbar::engine::{
    Engine, EngineError, ExecRequest, LABEL_CLUSTER, Labels, NodeSpec, PortForward, Purpose, ResourceKind,
};
use sandbar::env::Env;
use sandbar::store::Dirs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::dockerd::Dockerd;
use crate::image::{self, IMAGE};
use crate::machine_set;
use crate::probe::Probe;

/// No test takes longer than this.
const TEST: Duration = Duration::from_mins(5);

/// A test: a function of a scene.
pub type Test = for<'a> fn(&'a Scene<'a>) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// An engine under test.
pub struct Subject {
    kind: &'static str,
    reach: Box<dyn Fn() -> Reaching + Send + Sync>,
    fake: Option<FakeEngine>,
    /// The image that nodes are made from, and the probe where that is not in the image.
    image: String,
    program: Option<Vec<u8>>,
    /// A Docker of the suite's own.
    dockerd: Option<Dockerd>,
    /// Keeps the folder of the fake and of Podman's service as long as the suite.
    folder: tempfile::TempDir,
}

type Reaching = Pin<Box<dyn Future<Output = Result<Arc<dyn Engine>, EngineError>>>>;

impl Subject {
    /// The fake, with the probe's programs.
    pub fn fake() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let engine = FakeEngine::open(folder.path()).with_program("node-probe", Arc::new(Probe));
        let mut behaviour = Behaviour::default();
        behaviour.node.log = vec!["started".into()];
        engine.set_behaviour(&behaviour)?;
        let shared = engine.clone();
        let reach = move || -> Reaching {
            let engine: Arc<dyn Engine> = Arc::new(shared.clone());
            Box::pin(async { Ok(engine) })
        };
        let subject = Self {
            kind: "fake",
            reach: Box::new(reach),
            fake: Some(engine),
            image: IMAGE.to_owned(),
            program: None,
            dockerd: None,
            folder,
        };
        subject.load(&image::archive(b"no program: the fake has its own")?)?;
        Ok(subject)
    }

    /// A real engine; the error says why it cannot be tested here.
    pub fn real(kind: &'static str) -> Result<Self> {
        match kind {
            "podman" => Self::reached(kind, EngineChoice::Podman, None),
            "machine" => Self::machine(),
            _ => match Dockerd::start() {
                Ok(dockerd) => Self::reached(kind, EngineChoice::At(dockerd.address()), Some(dockerd)),
                // One that runs here already does as well.
                Err(reason) => Self::reached(kind, EngineChoice::Docker, None).context(reason),
            },
        }
    }

    /// QEMU's machines, in which the node is the real one, and the probe a program beside it.
    fn machine() -> Result<Self> {
        let set = machine_set::find(sandbar::artifact::host_architecture()).map_err(anyhow::Error::msg)?;
        let folder = tempfile::tempdir()?;
        let dirs = Dirs::below(folder.path());
        let programs = Programs { path: std::env::var_os("PATH"), folder: folder.path().to_owned() };
        let mut environment: Vec<(String, String)> = std::env::vars().collect();
        environment.push(("SANDBAR_HOME".to_owned(), folder.path().display().to_string()));
        let reach = move || -> Reaching {
            let options = MachineOptions {
                places: Places {
                    machines: dirs.machines(),
                    images: dirs.machine_images(),
                    run: dirs.runtime.join("m"),
                },
                programs: programs.clone(),
                program: env!("CARGO_BIN_EXE_sandbar").into(),
                word: "supervise",
                environment: environment.clone(),
                platform: sandbar::platform::native(),
            };
            Box::pin(async move { Ok(Arc::new(MachineEngine::connect(options).await?) as Arc<dyn Engine>) })
        };
        let archive = folder.path().join("machine.tar");
        machine_set::pack(&set, &archive)?;
        let mut subject = Self {
            kind: "machine",
            reach: Box::new(reach),
            fake: None,
            image: String::new(),
            program: Some(image::build_probe()?),
            dockerd: None,
            folder,
        };
        let names = block_on(async {
            let archive = tokio::fs::File::open(&archive).await?;
            Ok(subject.engine().await?.import_image(Box::pin(archive)).await?)
        })?;
        std::fs::remove_file(&archive)?;
        subject.image.clone_from(names.first().context("the import brought nothing")?);
        Ok(subject)
    }

    fn reached(kind: &'static str, choice: EngineChoice, dockerd: Option<Dockerd>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let env = Env::of_process();
        let service_dir = folder.path().to_owned();
        let reach = move || -> Reaching {
            let (env, service_dir, choice) = (env.clone(), service_dir.clone(), choice.clone());
            Box::pin(async move {
                let platform = sandbar::platform::native();
                let options =
                    ConnectOptions { choice, remembered: None, env: &env, platform, service_dir, will_create: true };
                Ok(Arc::new(ContainerEngine::connect(&options).await?) as Arc<dyn Engine>)
            })
        };
        let image = IMAGE.to_owned();
        let subject = Self { kind, reach: Box::new(reach), fake: None, image, program: None, dockerd, folder };
        block_on(async {
            let engine = subject.engine().await?;
            ensure!(engine.info().kind == kind, "what answers is {}", engine.info().kind);
            Ok(())
        })?;
        subject.load(&image::archive(&image::build_probe()?)?)?;
        Ok(subject)
    }

    /// A connection of its own: each test has its own runtime.
    pub async fn engine(&self) -> Result<Arc<dyn Engine>> {
        Ok((self.reach)().await?)
    }

    fn load(&self, archive: &[u8]) -> Result<()> {
        let archive = archive.to_vec();
        block_on(async {
            let names = self.engine().await?.import_image(Box::pin(std::io::Cursor::new(archive))).await?;
            ensure!(names == [IMAGE], "the import brought {names:?}");
            Ok(())
        })
    }
}

/// Runs something on a runtime of its own.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Runs a test on an engine, and removes what it made whatever happens.
pub fn run(subject: &Subject, test: Test) -> Result<()> {
    block_on(async {
        let engine = subject.engine().await?;
        let scene = Scene { subject, engine, names: Mutex::default(), foreign: Mutex::default() };
        let outcome = tokio::time::timeout(TEST, AssertUnwindSafe(test(&scene)).catch_unwind()).await;
        let cleared = scene.clear().await;
        match outcome {
            Err(_) => bail!("the test did not end within {TEST:?}"),
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Ok(Ok(outcome)) => outcome.and(cleared),
        }
    })
}

/// One test's view of an engine.
pub struct Scene<'a> {
    pub subject: &'a Subject,
    pub engine: Arc<dyn Engine>,
    names: Mutex<Vec<String>>,
    foreign: Mutex<Vec<(ResourceKind, String)>>,
}

impl Scene<'_> {
    /// A name that no other test has; what bears it is removed at the end.
    pub fn name(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sandbar-probe-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        self.names.lock().expect("no test panics while it holds this").push(name.clone());
        name
    }

    /// Where the engine keeps what it makes, where that is a folder of the suite's own.
    pub fn folder(&self) -> &std::path::Path {
        self.subject.folder.path()
    }

    /// What a small node is made of.
    pub fn spec(&self, name: &str) -> NodeSpec {
        let program = self.subject.program.iter();
        let mut node = spec(name);
        node.image.clone_from(&self.subject.image);
        node.files.extend(program.map(|program| ("/usr/bin/node-probe".into(), 0o755, program.clone())));
        node
    }

    /// Makes a node with its network and volume.
    pub async fn create(&self, spec: &NodeSpec) -> Result<()> {
        self.engine.create_network(&spec.name, &spec.labels).await?;
        self.engine.create_volume(&spec.name, &spec.labels).await?;
        Ok(self.engine.create_node(spec).await?)
    }

    /// The name of a node that runs.
    pub async fn running(&self) -> Result<String> {
        let name = self.name();
        self.create(&self.spec(&name)).await?;
        self.engine.start_node(&name).await?;
        Ok(name)
    }

    /// The name of a node that runs, and the port of loopback that leads into it.
    pub async fn forwarding(&self) -> Result<(String, u16)> {
        let (free, port) = listener()?;
        drop(free);
        let name = self.name();
        self.create(&NodeSpec { ports: vec![forward(port)], ..self.spec(&name) }).await?;
        self.engine.start_node(&name).await?;
        Ok((name, port))
    }

    /// Runs a program of the probe to its end.
    pub async fn probe(&self, node: &str, arguments: &[&str], input: Option<&[u8]>) -> Result<Output> {
        let command = std::iter::once("node-probe").chain(arguments.iter().copied()).map(str::to_owned).collect();
        let request = ExecRequest { command, stdin: input.is_some(), ..ExecRequest::default() };
        Ok(run_program(self.engine.as_ref(), node, request, input).await?)
    }

    /// Puts something of somebody else in the way, removed at the end.
    pub fn make_foreign(&self, kind: &ResourceKind, name: &str) -> Result<()> {
        if let Some(fake) = &self.subject.fake {
            return Ok(fake.add_foreign(kind, name)?);
        }
        let arguments: &[&str] = match kind {
            ResourceKind::Node => &["create", "--name", name, IMAGE],
            ResourceKind::Volume => &["volume", "create", name],
            ResourceKind::Network => &["network", "create", name],
        };
        self.client(arguments)?;
        self.foreign.lock().expect("no test panics while it holds this").push((kind.clone(), name.to_owned()));
        Ok(())
    }

    /// Runs the engine's own client.
    pub fn client(&self, arguments: &[&str]) -> Result<String> {
        let mut client = match &self.subject.dockerd {
            Some(dockerd) => Command::new(dockerd.client()),
            None => Command::new(self.subject.kind),
        };
        client.envs(self.subject.dockerd.iter().flat_map(Dockerd::environment));
        let output = client.args(arguments).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} {arguments:?}: {stderr}", self.subject.kind);
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    async fn clear(&self) -> Result<()> {
        for (kind, name) in self.foreign.lock().expect("no test panics while it holds this").drain(..) {
            match kind {
                ResourceKind::Node => self.client(&["rm", "--force", &name])?,
                ResourceKind::Volume => self.client(&["volume", "rm", &name])?,
                ResourceKind::Network => self.client(&["network", "rm", &name])?,
            };
        }
        let names = std::mem::take(&mut *self.names.lock().expect("no test panics while it holds this"));
        for name in names {
            for kind in [ResourceKind::Node, ResourceKind::Volume, ResourceKind::Network] {
                match self.engine.remove(&kind, &name).await {
                    Ok(()) | Err(EngineError::Foreign { .. }) => {}
                    Err(error) => return Err(error).with_context(|| format!("clearing {kind:?} {name}")),
                }
            }
        }
        Ok(())
    }
}

/// What a program said.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub code: i64,
}

impl Output {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Runs a program to its end, feeding it while its outputs are read.
pub async fn run_program(
    engine: &dyn Engine,
    node: &str,
    request: ExecRequest,
    input: Option<&[u8]>,
) -> Result<Output, EngineError> {
    let mut session = engine.exec(node, request).await?;
    let stdin = session.stdin.take();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let feed = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            stdin.write_all(input).await?;
            stdin.shutdown().await?;
        }
        std::io::Result::Ok(())
    };
    let read = tokio::join!(feed, session.stdout.read_to_end(&mut stdout), session.stderr.read_to_end(&mut stderr));
    let lost = |error: std::io::Error| EngineError::Refused {
        engine: engine.info().kind.clone(),
        operation: "move a program's streams".into(),
        reason: error.to_string(),
    };
    read.0.map_err(lost)?;
    read.1.map_err(lost)?;
    read.2.map_err(lost)?;
    Ok(Output { stdout, stderr, code: session.control.wait().await? })
}

/// What a small node is made of.
fn spec(name: &str) -> NodeSpec {
    NodeSpec {
        purpose: Purpose::Node,
        name: name.to_owned(),
        hostname: "probe".into(),
        image: IMAGE.into(),
        labels: labels(name),
        ports: Vec::new(),
        environment: [("COLOUR".to_owned(), "blue".to_owned())].into(),
        cpu_millis: None,
        memory_bytes: None,
        hardware: None,
        emulate_binaries: false,
        cold: false,
        files: Vec::new(),
    }
}

/// Our labels.
pub fn labels(cluster: &str) -> Labels {
    [(LABEL_CLUSTER.to_owned(), cluster.to_owned()), ("dev.sandbar.version".to_owned(), "0.0.0".to_owned())].into()
}

/// A forward from a port of loopback.
pub fn forward(host_port: u16) -> PortForward {
    PortForward { host_address: Ipv4Addr::LOCALHOST.into(), host_port, node_port: 6443 }
}

/// A listener on a port that was free, outside the range that outgoing connections use.
pub fn listener() -> Result<(TcpListener, u16)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let base = 20_000 + std::process::id() % 2_000;
    for _ in 0..5_000 {
        let port = u16::try_from(base + NEXT.fetch_add(1, Ordering::Relaxed))?;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok((listener, port));
        }
    }
    bail!("no free port");
}

/// Where the suite's own files are.
pub fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}
