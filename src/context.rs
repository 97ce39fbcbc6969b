//! What a command may know of its surroundings, built once in `main`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::artifact::{Network, Patience};
use crate::cli;
use crate::cluster::probe::{FakeProber, NetworkProber, Prober};
use crate::cluster::{EngineSource, Host};
use crate::engine::fake::FakeEngine;
use crate::engine::machine::programs::Programs;
use crate::engine::machine::supervisor::Supervised;
use crate::engine::machine::{self, MachineEngine, MachineOptions, Places};
use crate::engine::{Engine, EngineError, container};
use crate::env::Env;
use crate::error::{Failure, FailureKind};
use crate::kubeconfig::Locations;
use crate::platform::{self, Platform};
use crate::spec::EngineChoice;
use crate::store::{Dirs, Store};
use crate::ui::reporter::{Reporter, Silent};
use crate::ui::{Detail, JsonLines, OutputFormat, Printer, Style, Terminal};

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EventFormat {
    /// For programs: one JSON object a line on stderr.
    Json,
}

/// What the global flags say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `--file`
    pub file: Option<PathBuf>,
    /// `--engine`
    pub engine: Option<EngineChoice>,
    /// `--output`
    pub output: OutputFormat,
    /// `--events`
    pub events: Option<EventFormat>,
    /// `--quiet`
    pub quiet: bool,
    /// `--verbose`
    pub verbose: bool,
    /// `--yes`
    pub yes: bool,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--kubeconfig`
    pub kubeconfig: Option<PathBuf>,
}

/// What a command may know of its surroundings.
pub struct Context {
    /// The environment.
    pub env: Env,
    /// What the global flags say.
    pub settings: Settings,
    /// The folder that the user is in.
    pub folder: PathBuf,
    /// Where this program is, if the system says so.
    pub program: Option<PathBuf>,
    /// Sandbar's own files.
    pub store: Store,
    /// The system.
    pub platform: &'static dyn Platform,
    /// How the network is reached.
    pub network: Network,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// Results.
    pub printer: Printer,
    /// Progress.
    pub reporter: Arc<dyn Reporter>,
    /// Colours of results.
    pub style: Style,
    /// Colours of everything else.
    pub error_style: Style,
    /// Whether somebody can be asked.
    pub interactive: bool,
    /// The command, such as `up`, to say who holds a lock.
    pub command: &'static str,
}

impl Context {
    /// The context of this process.
    pub fn of_process(env: Env, settings: Settings, command: &'static str) -> Result<Self, Failure> {
        let platform = platform::native();
        let dirs = match &env.sandbar_home {
            Some(home) => Some(Dirs::below(&std::path::absolute(home).unwrap_or_else(|_| home.clone()))),
            None if platform.uses_xdg() && env.home.is_some() => Dirs::xdg(&env),
            None => Dirs::of_platform(),
        };
        let dirs = dirs.ok_or_else(|| {
            Failure::new(FailureKind::Host, anyhow::anyhow!("the home directory is not known"))
                .hint("set HOME, or SANDBAR_HOME to a folder for Sandbar's own files")
        })?;
        let folder = std::env::current_dir().map_err(|error| {
            Failure::new(FailureKind::Host, anyhow::Error::new(error).context("the current folder cannot be used"))
        })?;
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let escapes = (out || err) && env.term.as_deref() != Some("dumb") && platform.allow_escapes();
        let colours = |terminal: bool| Style::new(terminal && escapes && !env.no_color);
        let error_style = colours(err);
        let live = err && escapes;
        let reporter = reporter(&settings, live, error_style);
        Ok(Self {
            store: Store::new(dirs),
            program: std::env::current_exe().ok(),
            platform,
            network: Network {
                proxies: env.proxies.clone(),
                certificates: env.ssl_cert_file.as_ref().map(|file| folder.join(file)),
                patience: Patience::default(),
            },
            now: Timestamp::now,
            printer: Printer::new(Box::new(std::io::stdout())),
            reporter,
            style: colours(out),
            error_style,
            interactive: std::io::stdin().is_terminal() && err,
            folder,
            env,
            settings,
            command,
        })
    }

    /// What operations on clusters need.
    pub fn host(&self) -> Host<'_> {
        Host {
            store: &self.store,
            engines: self,
            reporter: self.reporter.as_ref(),
            platform: self.platform,
            network: &self.network,
            releases: self.env.sandbar_releases.as_deref(),
            kubeconfig: self.kubeconfig(),
            env: &self.env,
            now: self.now,
            command: self.command,
            patience: self.timeout(),
            has_deadline: self.settings.timeout.is_some(),
            heeds_signals: true,
        }
    }

    /// The kubeconfig files that count.
    pub fn kubeconfig(&self) -> Result<Locations, crate::kubeconfig::KubeconfigError> {
        let explicit = self.settings.kubeconfig.as_ref().map(|file| self.folder.join(file));
        // They are remembered, and a command in another folder has to find the same files.
        let list: Vec<PathBuf> = self.env.kubeconfig.iter().map(|file| self.folder.join(file)).collect();
        Locations::new(explicit.as_deref(), &list, self.env.home.as_deref())
    }

    /// The engine that `SANDBAR_ENGINE` asks for.
    fn engine_of_environment(&self) -> Result<container::EngineChoice, EngineError> {
        let Some(text) = &self.env.sandbar_engine else { return Ok(container::EngineChoice::Any) };
        container::EngineChoice::parse(text).map_err(|reason| EngineError::Refused {
            engine: "sandbar".to_owned(),
            operation: "use SANDBAR_ENGINE".to_owned(),
            reason,
        })
    }

    /// Where machines are.
    fn machine_places(&self) -> Places {
        let dirs = self.store.dirs();
        Places { machines: dirs.machines(), images: dirs.machine_images(), run: dirs.runtime.join("m") }
    }

    /// Where QEMU's programs are.
    fn qemu(&self) -> Programs {
        Programs { path: self.env.path.clone(), folder: self.folder.clone() }
    }

    /// The variables of this environment, for programs that need them all.
    fn variables(&self) -> Vec<(String, String)> {
        let text = |value: &std::ffi::OsString| value.to_str().map(str::to_owned);
        self.env.all.iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
    }

    /// QEMU's machines of this user.
    async fn machines(&self) -> Result<(Arc<dyn Engine>, Arc<dyn Prober>), EngineError> {
        let engine = MachineEngine::connect(MachineOptions {
            places: self.machine_places(),
            programs: self.qemu(),
            word: cli::supervise::WORD,
            program: self
                .program
                .clone()
                .ok_or_else(|| EngineError::NotInstalled { looked_for: "sandbar".to_owned() })?,
            environment: self.variables(),
            platform: self.platform,
        });
        Ok((Arc::new(engine.await?), Arc::new(NetworkProber::new())))
    }

    /// Podman or Docker.
    async fn containers(
        &self,
        choice: container::EngineChoice,
        endpoint: Option<&str>,
        will_create: bool,
    ) -> Result<Arc<dyn Engine>, EngineError> {
        let options = container::ConnectOptions {
            choice,
            remembered: endpoint,
            env: &self.env,
            platform: self.platform,
            service_dir: self.store.dirs().runtime.clone(),
            will_create,
        };
        Ok(Arc::new(container::ContainerEngine::connect(&options).await?))
    }

    /// Keeps a machine running until it is off: what this program does when it is started as its supervisor.
    pub async fn supervise(&self, name: &str) -> Result<(), Failure> {
        let places = self.machine_places();
        let supervised = Supervised {
            folder: places.machine(name),
            places,
            programs: self.qemu(),
            environment: self.variables(),
            platform: self.platform,
        };
        let ended = machine::supervisor::supervise(supervised).await;
        ended.map_err(|error| Failure::new(FailureKind::Failed, anyhow::Error::new(error)))
    }

    /// How long something may take.
    pub fn timeout(&self) -> Duration {
        const USUAL: Duration = Duration::from_mins(2);
        self.settings.timeout.unwrap_or(USUAL)
    }
}

fn reporter(settings: &Settings, live: bool, style: Style) -> Arc<dyn Reporter> {
    let stderr = || -> Box<dyn Write + Send> { Box::new(std::io::stderr()) };
    if settings.events == Some(EventFormat::Json) {
        return Arc::new(JsonLines::new(stderr(), Timestamp::now));
    }
    if settings.quiet {
        return Arc::new(Silent);
    }
    let detail = match (live, settings.verbose) {
        (true, _) => Detail::Live,
        (false, true) => Detail::Log,
        (false, false) => Detail::Lines,
    };
    Arc::new(Terminal::new(detail, settings.verbose, style, stderr()))
}

#[async_trait]
impl EngineSource for Context {
    async fn connect(
        &self,
        choice: EngineChoice,
        endpoint: Option<&str>,
        will_create: bool,
    ) -> Result<(Arc<dyn Engine>, Arc<dyn Prober>), EngineError> {
        let place = endpoint.or(self.env.sandbar_engine.as_deref());
        if let Some(folder) = place.and_then(|place| place.strip_prefix("fake:")) {
            let engine = FakeEngine::connect(folder)?;
            return Ok((Arc::new(engine.clone()), Arc::new(FakeProber::new(engine))));
        }
        let wanted = match (choice, self.settings.engine.unwrap_or_default()) {
            (EngineChoice::Machine, _) | (EngineChoice::Auto, EngineChoice::Machine) => return self.machines().await,
            (EngineChoice::Auto, EngineChoice::Auto) if self.env.sandbar_engine.as_deref() == Some(machine::KIND) => {
                return self.machines().await;
            }
            (EngineChoice::Podman, _) | (EngineChoice::Auto, EngineChoice::Podman) => container::EngineChoice::Podman,
            (EngineChoice::Docker, _) | (EngineChoice::Auto, EngineChoice::Docker) => container::EngineChoice::Docker,
            (EngineChoice::Auto, EngineChoice::Auto) => self.engine_of_environment()?,
        };
        let engine = self.containers(wanted, endpoint, will_create).await?;
        Ok((engine, Arc::new(NetworkProber::new())))
    }

    async fn image_store(&self) -> Result<Arc<dyn Engine>, EngineError> {
        let choice = match self.settings.engine.unwrap_or_default() {
            EngineChoice::Podman => container::EngineChoice::Podman,
            EngineChoice::Docker => container::EngineChoice::Docker,
            // The environment's word is about where nodes run.
            _ if self.env.sandbar_engine.as_deref() == Some(machine::KIND) => container::EngineChoice::Any,
            EngineChoice::Auto | EngineChoice::Machine => self.engine_of_environment()?,
        };
        self.containers(choice, None, false).await
    }
}
