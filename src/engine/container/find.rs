//! Where engines may be, in the order in which they are asked; `docs/engines.md` says the same to users.
//!
//! What the user named is asked alone: an address, `CONTAINER_HOST` (Podman), `DOCKER_HOST`, `DOCKER_CONTEXT`. Else
//! Podman's usual sockets and a Podman that can be started, then Docker's current context, or else its usual sockets.
//! A cluster's commands begin where its engine was before.

use std::path::{Path, PathBuf};

use super::docker_context::{self, Chosen};
use super::endpoint::Endpoint;
use super::tls::Material;
use super::{ConnectOptions, EngineChoice, service};
use crate::engine::EngineError;
use crate::env::Env;

/// A place where an engine's API may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// What most likely answers there.
    pub engine: &'static str,
    pub endpoint: Endpoint,
    /// Whether it is an ordinary user's engine, by where it is.
    pub rootless: bool,
    /// By what the user named it; then it may be another machine's, or another user's.
    pub named: Option<String>,
}

/// What to do next to find an engine.
#[derive(Debug)]
pub(super) enum Step {
    /// Ask there.
    Ask(Candidate),
    /// Start a service of Sandbar's own with this Podman.
    Start(PathBuf),
    /// What the user named is nothing that can be asked.
    Fail(EngineError),
}

/// What decides where to look.
struct Look<'a> {
    choice: &'a EngineChoice,
    remembered: Option<&'a str>,
    env: &'a Env,
    service_dir: &'a Path,
    superuser: bool,
    /// A Podman that can be started.
    podman: Option<PathBuf>,
    exists: &'a dyn Fn(&Path) -> bool,
}

/// The steps for a user's choice. Sockets that do not exist are left out, unless the user named them.
pub(super) fn steps(options: &ConnectOptions<'_>) -> Vec<Step> {
    let look = Look {
        choice: &options.choice,
        remembered: options.remembered,
        env: options.env,
        service_dir: &options.service_dir,
        superuser: options.platform.is_superuser(),
        // Where containers need a virtual machine, the program alone is none.
        podman: program("podman", options.env).filter(|_| options.platform.runs_containers()),
        exists: &|path| path.exists() || options.platform.has_pipe(path),
    };
    look.steps()
}

/// A program on the snapshot's `PATH`.
pub(super) fn program(name: &str, env: &Env) -> Option<PathBuf> {
    which::which_in(name, env.path.as_ref(), Path::new("/")).ok()
}

/// Whether a socket is that of a service of Sandbar's own.
pub(super) fn is_own(endpoint: &Endpoint, options: &ConnectOptions<'_>) -> bool {
    *endpoint == Endpoint::Unix(service::socket(&options.service_dir))
}

impl Look<'_> {
    fn steps(&self) -> Vec<Step> {
        let Some(text) = self.remembered.filter(|_| !matches!(self.choice, EngineChoice::At(_))) else {
            return self.usual();
        };
        let remembered = self.named(self.engine(), text, "where the cluster was made");
        match Endpoint::parse(text) {
            // All sockets of a user's Podman lead to the same containers, and his services come and go.
            Ok(Endpoint::Unix(path)) if *self.choice == EngineChoice::Podman => {
                let others = self.podmans();
                let first = (self.exists)(&path) && !others.iter().any(|step| step.is_at(text));
                first.then_some(remembered).into_iter().chain(others).collect()
            }
            // Anything else has containers of its own: the cluster is there or nowhere, whatever the environment says by now.
            _ => vec![remembered],
        }
    }

    fn usual(&self) -> Vec<Step> {
        let (podman, docker) = (*self.choice != EngineChoice::Docker, *self.choice != EngineChoice::Podman);
        if let EngineChoice::At(text) = self.choice {
            return vec![self.named("the engine", text, "")];
        }
        if let Some(text) = self.env.container_host.as_ref().filter(|_| podman) {
            return vec![self.named("podman", text, "CONTAINER_HOST")];
        }
        if let Some(text) = self.env.docker_host.as_ref().filter(|_| docker) {
            return vec![self.named_with("docker", text, "DOCKER_HOST", self.tls_of_environment())];
        }
        let context = if docker { docker_context::chosen(self.env) } else { None };
        if let Some(context) = context.as_ref().filter(|context| context.by_environment) {
            return vec![self.of_context(context)];
        }
        let mut steps = Vec::new();
        if podman {
            steps.extend(self.podmans());
        }
        match context {
            Some(context) => steps.push(self.of_context(&context)),
            None if docker => steps.extend(self.ask("docker", self.dockers())),
            None => {}
        }
        steps
    }

    /// The Podman of this system, and those of virtual machines.
    fn podmans(&self) -> Vec<Step> {
        let here = self.ask("podman", self.podman_here());
        let start = self.podman.clone().map(Step::Start);
        here.chain(start).chain(self.ask("podman", self.podman_machines())).collect()
    }

    /// What most likely is meant by a choice.
    fn engine(&self) -> &'static str {
        if *self.choice == EngineChoice::Podman { "podman" } else { "docker" }
    }

    fn named(&self, engine: &'static str, text: &str, by: &str) -> Step {
        match Endpoint::parse(text) {
            Ok(endpoint) => {
                let rootless = self.is_a_users(engine, &endpoint);
                Step::Ask(Candidate { engine, endpoint, rootless, named: Some(by.to_owned()) })
            }
            Err(reason) => Step::Fail(EngineError::Unreachable {
                engine: engine.to_owned(),
                endpoint: with_name(text, Some(by)),
                reason,
            }),
        }
    }

    /// The same with TLS, which only an address of the network has.
    fn named_with(&self, engine: &'static str, text: &str, by: &str, tls: Option<Material>) -> Step {
        match (self.named(engine, text, by), tls) {
            (Step::Ask(candidate), Some(tls)) => {
                Step::Ask(Candidate { endpoint: candidate.endpoint.with_tls(tls, text), ..candidate })
            }
            (step, _) => step,
        }
    }

    /// What Docker's client takes for TLS from the environment.
    fn tls_of_environment(&self) -> Option<Material> {
        let Env { docker_tls, docker_tls_verify, .. } = self.env;
        if !docker_tls && !docker_tls_verify {
            return None;
        }
        let usual = || docker_context::folder(self.env);
        let folder = self.env.docker_cert_path.clone().or_else(usual)?;
        // The cluster will be asked for from other folders.
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        Some(Material { folder, verify: *docker_tls_verify })
    }

    fn of_context(&self, context: &Chosen) -> Step {
        let by = format!("context {}", context.name);
        match context.engine() {
            Ok((host, tls)) => self.named_with("docker", &host, &by, tls),
            Err(reason) => Step::Fail(EngineError::Unreachable { engine: "docker".into(), endpoint: by, reason }),
        }
    }

    fn ask(&self, engine: &'static str, paths: Vec<PathBuf>) -> impl Iterator<Item = Step> {
        paths.into_iter().filter(|path| (self.exists)(path)).map(move |path| {
            let endpoint = Endpoint::at(path);
            let rootless = self.is_a_users(engine, &endpoint);
            Step::Ask(Candidate { engine, endpoint, rootless, named: None })
        })
    }

    /// Sockets of a Podman of this system: of its own service, and of the one that Sandbar starts.
    fn podman_here(&self) -> Vec<PathBuf> {
        let own = service::socket(self.service_dir);
        let system = if self.superuser {
            Some("/run/podman/podman.sock".into())
        } else {
            self.env.xdg_runtime_dir.as_ref().map(|dir| dir.join("podman/podman.sock"))
        };
        system.into_iter().chain([own]).collect()
    }

    /// Sockets of Podman Machine (`podman machine inspect`, `ConnectionInfo.PodmanSocket`; newer ones are in the folder
    /// for temporary files) and of Lima's Podman. On Windows Podman Machine has a pipe (`ConnectionInfo.PodmanPipe`).
    fn podman_machines(&self) -> Vec<PathBuf> {
        let temporary = [&self.env.temporary_dir, &self.env.xdg_runtime_dir];
        let temporary = temporary.into_iter().flatten().map(|dir| dir.join("podman/podman-machine-default-api.sock"));
        let machines = ["podman.sock", "podman-machine-default/podman.sock", "qemu/podman.sock"];
        let machines = machines.map(|path| Path::new(".local/share/containers/podman/machine").join(path));
        let lima = PathBuf::from(".lima/podman/sock/podman.sock");
        let pipe = PathBuf::from("//./pipe/podman-machine-default");
        temporary.chain(self.at_home(machines.into_iter().chain([lima]))).chain([pipe]).collect()
    }

    /// Sockets of Docker: the system's, a user's own, Docker Desktop, Colima, Rancher Desktop, `OrbStack`, Lima. On Windows
    /// Docker Desktop has two pipes, of which Rancher Desktop serves the first, too.
    fn dockers(&self) -> Vec<PathBuf> {
        let own = self.env.xdg_runtime_dir.as_ref().map(|dir| dir.join("docker.sock"));
        let machines = [
            ".docker/run/docker.sock",
            ".docker/desktop/docker.sock",
            ".colima/default/docker.sock",
            ".colima/docker.sock",
            ".config/colima/default/docker.sock",
            ".rd/docker.sock",
            ".orbstack/run/docker.sock",
            ".lima/docker/sock/docker.sock",
            ".lima/docker-rootful/sock/docker.sock",
        ];
        let machines = self.at_home(machines.into_iter().map(PathBuf::from));
        let pipes = ["//./pipe/docker_engine", "//./pipe/dockerDesktopLinuxEngine"].map(PathBuf::from);
        std::iter::once("/var/run/docker.sock".into()).chain(own).chain(machines).chain(pipes).collect()
    }

    fn at_home(&self, paths: impl Iterator<Item = PathBuf>) -> impl Iterator<Item = PathBuf> {
        paths.filter_map(|path| Some(self.env.home.as_ref()?.join(path)))
    }

    /// Whether a socket belongs to an ordinary user's engine, by where it is. In a home folder are those of virtual
    /// machines, in which Docker is root's; what Podman is there it says itself.
    fn is_a_users(&self, engine: &str, endpoint: &Endpoint) -> bool {
        let Endpoint::Unix(path) = endpoint else { return false };
        let below = |dir: &Option<PathBuf>| dir.as_ref().is_some_and(|dir| path.starts_with(dir));
        let users = below(&self.env.xdg_runtime_dir) || path.starts_with("/run/user");
        let podmans = path.starts_with(self.service_dir) || below(&self.env.temporary_dir) || below(&self.env.home);
        !self.superuser && (users || (engine != "docker" && podmans))
    }
}

impl Step {
    fn is_at(&self, address: &str) -> bool {
        let Ok(there) = Endpoint::parse(address) else { return false };
        matches!(self, Self::Ask(candidate) if candidate.endpoint == there)
    }
}

/// An address, and by what it was named.
pub(super) fn with_name(address: &str, named: Option<&str>) -> String {
    match named {
        Some(by) if !by.is_empty() => format!("{address} ({by})"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A laptop: which files exist there, and what is in the environment.
    struct Laptop {
        folder: tempfile::TempDir,
        env: Env,
        superuser: bool,
        podman: Option<PathBuf>,
        exist: Vec<PathBuf>,
    }

    impl Laptop {
        /// With a home and a runtime folder, and nothing in them.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let env = Env {
                home: Some(folder.path().join("home")),
                xdg_runtime_dir: Some("/run/user/1000".into()),
                temporary_dir: Some("/tmp/mine".into()),
                ..Env::default()
            };
            Self { folder, env, superuser: false, podman: None, exist: Vec::new() }
        }

        /// With sockets there; `~` is the home folder.
        fn with(mut self, sockets: &[&str]) -> Self {
            let home = self.folder.path().join("home").display().to_string();
            self.exist.extend(sockets.iter().map(|socket| PathBuf::from(socket.replace('~', &home))));
            self
        }

        /// With Podman installed.
        fn with_podman(self) -> Self {
            Self { podman: Some("/usr/bin/podman".into()), ..self }
        }

        /// The steps, one a word: `podman:unix:///…`, `start`, `fail:…`; a rootless one ends with `!`.
        fn steps(&self, choice: &EngineChoice, remembered: Option<&str>) -> Vec<String> {
            let look = Look {
                choice,
                remembered,
                env: &self.env,
                service_dir: Path::new("/sandbar/run"),
                superuser: self.superuser,
                podman: self.podman.clone(),
                exists: &|path| self.exist.iter().any(|it| it == path),
            };
            // The order is what counts, not the separators that the system puts into paths.
            let plain = |text: &str| text.replace('\\', "/");
            let home = plain(&self.folder.path().join("home").display().to_string());
            let words = |step: Step| match step {
                Step::Ask(Candidate { engine, endpoint, rootless, named }) => {
                    let address = with_name(&endpoint.to_string(), named.as_deref());
                    format!("{engine}:{address}{}", if rootless { "!" } else { "" })
                }
                Step::Start(_) => "start".to_owned(),
                Step::Fail(error) => format!("fail:{error}"),
            };
            look.steps().into_iter().map(|step| plain(&words(step)).replace(&home, "~")).collect()
        }

        fn any(&self) -> Vec<String> {
            self.steps(&EngineChoice::Any, None)
        }
    }

    const EVERYWHERE: [&str; 21] = [
        "/run/podman/podman.sock",
        "/run/user/1000/podman/podman.sock",
        "/sandbar/run/podman.sock",
        "/tmp/mine/podman/podman-machine-default-api.sock",
        "~/.local/share/containers/podman/machine/podman.sock",
        "~/.local/share/containers/podman/machine/podman-machine-default/podman.sock",
        "~/.local/share/containers/podman/machine/qemu/podman.sock",
        "~/.lima/podman/sock/podman.sock",
        "//./pipe/podman-machine-default",
        "/var/run/docker.sock",
        "/run/user/1000/docker.sock",
        "~/.docker/run/docker.sock",
        "~/.docker/desktop/docker.sock",
        "~/.colima/default/docker.sock",
        "~/.config/colima/default/docker.sock",
        "~/.rd/docker.sock",
        "~/.orbstack/run/docker.sock",
        "~/.lima/docker/sock/docker.sock",
        "~/.lima/docker-rootful/sock/docker.sock",
        "//./pipe/docker_engine",
        "//./pipe/dockerDesktopLinuxEngine",
    ];

    #[test]
    fn the_order_is_podman_then_docker() {
        let laptop = Laptop::new().with(&EVERYWHERE).with_podman();
        insta::assert_snapshot!(laptop.any().join("\n"), @r"
        podman:unix:///run/user/1000/podman/podman.sock!
        podman:unix:///sandbar/run/podman.sock!
        start
        podman:unix:///tmp/mine/podman/podman-machine-default-api.sock!
        podman:unix://~/.local/share/containers/podman/machine/podman.sock!
        podman:unix://~/.local/share/containers/podman/machine/podman-machine-default/podman.sock!
        podman:unix://~/.local/share/containers/podman/machine/qemu/podman.sock!
        podman:unix://~/.lima/podman/sock/podman.sock!
        podman:npipe:////./pipe/podman-machine-default
        docker:unix:///var/run/docker.sock
        docker:unix:///run/user/1000/docker.sock!
        docker:unix://~/.docker/run/docker.sock
        docker:unix://~/.docker/desktop/docker.sock
        docker:unix://~/.colima/default/docker.sock
        docker:unix://~/.config/colima/default/docker.sock
        docker:unix://~/.rd/docker.sock
        docker:unix://~/.orbstack/run/docker.sock
        docker:unix://~/.lima/docker/sock/docker.sock
        docker:unix://~/.lima/docker-rootful/sock/docker.sock
        docker:npipe:////./pipe/docker_engine
        docker:npipe:////./pipe/dockerDesktopLinuxEngine
        ");
    }

    #[test]
    fn nothing_there_is_nothing_to_ask() {
        assert_eq!(Laptop::new().any(), [""; 0]);
        assert_eq!(Laptop::new().with_podman().any(), ["start"]);
    }

    #[test]
    fn the_superuser_has_the_systems_podman() {
        let laptop = Laptop { superuser: true, ..Laptop::new().with(&EVERYWHERE[..3]) };
        assert_eq!(laptop.any(), ["podman:unix:///run/podman/podman.sock", "podman:unix:///sandbar/run/podman.sock"]);
    }

    #[test]
    fn a_choice_leaves_the_other_engine_out() {
        let laptop = Laptop::new().with(&["/run/user/1000/podman/podman.sock", "/var/run/docker.sock"]).with_podman();
        let podman = ["podman:unix:///run/user/1000/podman/podman.sock!", "start"];
        assert_eq!(laptop.steps(&EngineChoice::Podman, None), podman);
        assert_eq!(laptop.steps(&EngineChoice::Docker, None), ["docker:unix:///var/run/docker.sock"]);
    }

    #[test]
    fn what_the_user_named_is_asked_alone() {
        let mut laptop = Laptop::new().with(&EVERYWHERE).with_podman();
        laptop.env.docker_context = Some("none".into());
        let missing = "fail:docker is installed, but its API at context none does not answer: there is no such context \
                       in ~/.docker";
        assert_eq!(laptop.any(), [missing]);
        laptop.env.docker_host = Some("tcp://engine:2375".into());
        assert_eq!(laptop.any(), ["docker:tcp://engine:2375 (DOCKER_HOST)"]);
        laptop.env.docker_tls = true;
        laptop.env.docker_host = Some("tcp://engine".into());
        assert_eq!(laptop.any(), ["docker:tcp://engine:2376?certs=~/.docker&verify=false (DOCKER_HOST)"]);
        laptop.env.docker_tls_verify = true;
        laptop.env.docker_cert_path = laptop.env.home.as_ref().map(|home| home.join("certs"));
        assert_eq!(laptop.any(), ["docker:tcp://engine:2376?certs=~/certs (DOCKER_HOST)"]);
        laptop.env.docker_host = Some("unix:///run/d.sock".into());
        assert_eq!(laptop.any(), ["docker:unix:///run/d.sock (DOCKER_HOST)"]);
        laptop.env.docker_host = Some("tcp://engine:2375".into());
        (laptop.env.docker_tls, laptop.env.docker_tls_verify) = (false, false);
        laptop.env.container_host = Some("unix:///run/user/7/p.sock".into());
        assert_eq!(laptop.any(), ["podman:unix:///run/user/7/p.sock (CONTAINER_HOST)!"]);
        // Each variable is about its own engine.
        assert_eq!(laptop.steps(&EngineChoice::Docker, None), ["docker:tcp://engine:2375 (DOCKER_HOST)"]);
        let at = EngineChoice::At("unix:///elsewhere".into());
        assert_eq!(laptop.steps(&at, None), ["the engine:unix:///elsewhere"]);
        laptop.env.container_host = Some("ssh://core@host".into());
        assert_eq!(laptop.any(), ["podman:ssh://core@host (CONTAINER_HOST)"]);
        laptop.env.container_host = Some("fd://".into());
        let refused = "fail:podman is installed, but its API at fd:// (CONTAINER_HOST) does not answer: fd:// is not supported; \
                       unix://, tcp:// and ssh:// are";
        assert_eq!(laptop.any(), [refused]);
    }

    #[test]
    fn the_current_context_takes_the_place_of_dockers_sockets() {
        let laptop = Laptop::new().with(&["/run/user/1000/podman/podman.sock", "/var/run/docker.sock"]);
        let folder = laptop.env.home.clone().unwrap().join(".docker");
        let meta = docker_context::tests::meta_of(&folder, "colima");
        fs_err::create_dir_all(meta.parent().unwrap()).unwrap();
        fs_err::write(folder.join("config.json"), r#"{"currentContext":"colima"}"#).unwrap();
        fs_err::write(meta, r#"{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///colima.sock"}}}"#).unwrap();
        let expected =
            ["podman:unix:///run/user/1000/podman/podman.sock!", "docker:unix:///colima.sock (context colima)"];
        assert_eq!(laptop.any(), expected);
    }

    #[test]
    fn a_cluster_is_looked_for_where_it_was_made() {
        let sockets = ["/run/user/1000/podman/podman.sock", "/var/run/docker.sock", "/old/podman.sock"];
        let laptop = Laptop::new().with(&sockets).with_podman();
        let made = "where the cluster was made";
        // Another Docker has not got it.
        let docker = laptop.steps(&EngineChoice::Docker, Some("unix:///home/me/.colima/default/docker.sock"));
        assert_eq!(docker, [format!("docker:unix:///home/me/.colima/default/docker.sock ({made})")]);
        let tcp = laptop.steps(&EngineChoice::Podman, Some("tcp://there:1"));
        assert_eq!(tcp, [format!("podman:tcp://there:1 ({made})")]);
        // A user's Podman has, whichever service answers.
        let usual = ["podman:unix:///run/user/1000/podman/podman.sock!", "start"];
        assert_eq!(laptop.steps(&EngineChoice::Podman, Some("unix:///gone/podman.sock")), usual);
        assert_eq!(laptop.steps(&EngineChoice::Podman, Some("unix:///run/user/1000/podman/podman.sock")), usual);
        let old = laptop.steps(&EngineChoice::Podman, Some("unix:///old/podman.sock"));
        assert_eq!(old[0], format!("podman:unix:///old/podman.sock ({made})"));
        assert_eq!(old[1..], usual);
        // What the environment says by now is about other clusters.
        let env = Env {
            docker_host: Some("unix:///new.sock".into()),
            container_host: Some("unix:///new.sock".into()),
            ..laptop.env.clone()
        };
        let moved = Laptop { env, ..laptop };
        let docker = moved.steps(&EngineChoice::Docker, Some("unix:///var/run/docker.sock"));
        assert_eq!(docker, [format!("docker:unix:///var/run/docker.sock ({made})")]);
        assert_eq!(moved.steps(&EngineChoice::Podman, Some("unix:///gone/podman.sock")), usual);
    }
}
