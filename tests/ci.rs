//! What CI systems run, as they run it: the steps of `ci/action.yml` and `ci/gitlab.yml` against a release, that of `make dist`
//! or one that is made here of this build's program and the node image, in a Docker that has nothing.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test without the test harness, and its own way to run programs"
)]

#[path = "support/dockerd.rs"]
mod dockerd;
#[path = "support/release_server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod release_server;
#[path = "support/required.rs"]
mod required;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use dockerd::Dockerd;
use libtest_mimic::{Arguments, Failed, Trial};
use release_server::{Offer, Server, digest};
use serde_json::Value;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const TEST: &str = "docker::the_action_and_the_template_bring_a_cluster_up";

type Outcome<T = ()> = Result<T, String>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let asked = !arguments.list && arguments.filter.as_ref().is_none_or(|filter| TEST.contains(filter.as_str()));
    let system = if asked { System::new() } else { Err("not asked for".to_owned()) };
    let required = match &system {
        Err(reason) if asked => {
            eprintln!("skipped: {TEST}: {reason}");
            required::failure("docker", reason)
        }
        _ => None,
    };
    let ignored = system.is_err();
    let run = move || system.and_then(|system| story(&system)).map_err(Failed::from);
    let trials = [Trial::test(TEST, run).with_ignored_flag(ignored)].into_iter().chain(required).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A CI system with one runner.
struct System {
    server: Server,
    engine: Dockerd,
    folder: tempfile::TempDir,
}

impl System {
    fn new() -> Outcome<Self> {
        let words = |error: std::io::Error| error.to_string();
        let folder = tempfile::tempdir().map_err(words)?;
        let release = release(folder.path())?;
        let engine = Dockerd::start()?;
        let server = Server::start();
        for (name, content) in release {
            server.offer(&format!("/v{VERSION}/{name}"), Offer::new(content));
        }
        server.offer("/ci/install.sh", Offer::new(fs::read("ci/install.sh").map_err(words)?));
        Ok(Self { server, engine, folder })
    }

    /// The environment of a step on a machine that has been used by nobody.
    fn environment(&self, runner: &str) -> BTreeMap<String, String> {
        let home = self.folder.path().join(runner);
        fs::create_dir_all(home.join("temp")).unwrap();
        let path = |name: &str| home.join(name).display().to_string();
        let mut all = BTreeMap::from([
            ("HOME".to_owned(), home.display().to_string()),
            ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("SANDBAR_ENGINE".to_owned(), "docker".to_owned()),
            ("RUNNER_TEMP".to_owned(), path("temp")),
        ]);
        for name in ["GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_ENV"] {
            fs::write(path(name), "").unwrap();
            all.insert(name.to_owned(), path(name));
        }
        all.extend(self.engine.environment().map(|(name, value)| (name.to_owned(), value)));
        all
    }

    fn downloads(&self) -> usize {
        self.server.requests(".tar.zst").len()
    }
}

/// The files of a release: those of the folder `SANDBAR_TEST_RELEASE`, as `make dist` leaves it, or else what a job on a machine
/// such as this one needs, made here of this build's program.
fn release(folder: &Path) -> Outcome<Vec<(String, Vec<u8>)>> {
    let words = |error: std::io::Error| error.to_string();
    if let Some(made) = std::env::var_os("SANDBAR_TEST_RELEASE") {
        let files = fs::read_dir(&made).map_err(|error| format!("{}: {error}", made.display()))?;
        let read = |file: std::io::Result<fs::DirEntry>| {
            let file = file?;
            Ok((file.file_name().to_string_lossy().into_owned(), fs::read(file.path())?))
        };
        return files.map(read).collect::<std::io::Result<_>>().map_err(words);
    }
    let node = pack_node()?;
    fs::copy(env!("CARGO_BIN_EXE_sandbar"), folder.join("sandbar")).map_err(words)?;
    let packed = folder.join("sandbar.tar.gz");
    succeed(Command::new("tar").arg("-czf").arg(&packed).arg("-C").arg(folder).arg("sandbar"))?;
    let machine = std::env::consts::ARCH;
    let mut files = vec![
        (format!("sandbar-{VERSION}-{machine}-unknown-linux-gnu.tar.gz"), fs::read(packed).map_err(words)?),
        (format!("sandbar-node-{VERSION}-{}.tar.zst", sandbar::artifact::host_architecture()), node),
    ];
    let sums: String = files.iter().map(|(name, content)| format!("{}  {name}\n", digest(content))).collect();
    files.push(("SHA256SUMS".to_owned(), sums.into_bytes()));
    Ok(files)
}

/// The node image of this version out of Podman's store, packed as a release's is, but quickly.
fn pack_node() -> Outcome<Vec<u8>> {
    let image = format!("localhost/sandbar-node:{VERSION}");
    let there = Command::new("podman").args(["image", "exists", &image]).status();
    if !there.map_err(|error| format!("podman: {error}"))?.success() {
        return Err(format!("there is no image {image}; `make image` builds it"));
    }
    let words = |error: std::io::Error| format!("zstd: {error}");
    let mut save = Command::new("podman")
        .args(["save", "--quiet", "--format", "docker-archive", &image])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(words)?;
    let archive = save.stdout.take().ok_or("podman save has no output")?;
    let packed = Command::new("zstd").args(["-q", "-1", "-c"]).stdin(archive).output().map_err(words)?;
    let saved = save.wait().map_err(words)?;
    if saved.success() && packed.status.success() { Ok(packed.stdout) } else { Err(format!("podman save: {saved}")) }
}

fn story(system: &System) -> Outcome {
    let mut action = Action::new(system);
    action.run()?;
    assert_eq!(system.downloads(), 1, "the runner had nothing");
    action.see_the_node()?;
    action.end()?;

    // The next job has the first one's cache, and an engine that has nothing.
    succeed(
        Command::new(system.engine.client())
            .envs(system.engine.environment())
            .args(["image", "prune", "--all", "--force"]),
    )?;
    template(system, &action.cache())?;
    assert_eq!(system.downloads(), 1, "the cache had it");
    Ok(())
}

/// A job with GitHub's action.
struct Action<'a> {
    system: &'a System,
    environment: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
}

impl<'a> Action<'a> {
    fn new(system: &'a System) -> Self {
        Self { system, environment: system.environment("github"), outputs: BTreeMap::new() }
    }

    fn run(&mut self) -> Outcome {
        let action = read_yaml("ci/action.yml");
        for step in action["runs"]["steps"].as_array().unwrap() {
            // The cache is another action, which finds nothing the first time.
            let Some(script) = step["run"].as_str() else { continue };
            assert_eq!(step["shell"], "sh");
            let mut command = Command::new("sh");
            command.args(["-e", "-c", script]).env_clear().envs(&self.environment);
            for (name, value) in step["env"].as_object().unwrap() {
                command.env(name, self.fill(value.as_str().unwrap(), &action["inputs"]));
            }
            succeed(&mut command)?;
            let id = step["id"].as_str().unwrap();
            for (name, value) in self.taken("GITHUB_OUTPUT") {
                self.outputs.insert(format!("steps.{id}.outputs.{name}"), value);
            }
            let variables = self.taken("GITHUB_ENV");
            self.environment.extend(variables);
            let folders = self.take("GITHUB_PATH");
            for folder in folders.lines() {
                let path = format!("{folder}:{}", self.environment["PATH"]);
                self.environment.insert("PATH".to_owned(), path);
            }
        }
        Ok(())
    }

    /// An expression's value.
    fn fill(&self, text: &str, inputs: &Value) -> String {
        let name = text.trim_start_matches("${{").trim_end_matches("}}").trim();
        match name.strip_prefix("inputs.") {
            Some("version") => VERSION.to_owned(),
            Some("releases") => self.system.server.url(),
            Some(input) => inputs[input]["default"].as_str().unwrap().to_owned(),
            None if name == "github.action_path" => path("ci"),
            None => panic!("{text} is not known here"),
        }
    }

    /// What a step has written to a file of the runner's, which is then empty.
    fn take(&self, file: &str) -> String {
        let text = fs::read_to_string(&self.environment[file]).unwrap();
        fs::write(&self.environment[file], "").unwrap();
        text
    }

    /// The same, as names and values.
    fn taken(&self, file: &str) -> Vec<(String, String)> {
        self.take(file)
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .collect()
    }

    fn cache(&self) -> PathBuf {
        assert!(self.outputs["steps.install.outputs.key"].starts_with(&format!("sandbar-node-{VERSION}-")));
        self.outputs["steps.install.outputs.path"].clone().into()
    }

    /// What a user's own step would do.
    fn see_the_node(&self) -> Outcome {
        assert_eq!(self.outputs["steps.up.outputs.kubeconfig"], self.environment["KUBECONFIG"]);
        see_the_node(&self.environment)
    }

    fn end(&self) -> Outcome {
        succeed(Command::new(program(&self.environment)).args(["rm", "--yes"]).env_clear().envs(&self.environment))
            .map(drop)
    }
}

/// A job with GitLab's template, and a cache that another one has left.
fn template(system: &System, cache: &Path) -> Outcome {
    let job = &read_yaml("ci/gitlab.yml")[".sandbar"];
    let mut environment = system.environment("gitlab");
    let project = environment["HOME"].clone();
    environment.extend([
        ("CI_PROJECT_DIR".to_owned(), project.clone()),
        ("CI_JOB_ID".to_owned(), "1234".to_owned()),
        ("SANDBAR_RELEASES".to_owned(), system.server.url()),
    ]);
    for (name, value) in job["variables"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        let value = value.replace("$CI_PROJECT_DIR", &project).replace("$CI_JOB_ID", "1234");
        environment.insert(name.clone(), value);
    }
    environment.insert("SANDBAR_VERSION".to_owned(), VERSION.to_owned());
    environment.insert("SANDBAR_INSTALL".to_owned(), format!("{}/ci/install.sh", system.server.url()));
    let kept = Path::new(&project).join(job["cache"]["paths"][0].as_str().unwrap());
    fs::create_dir_all(&kept).unwrap();
    for entry in fs::read_dir(cache).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), kept.join(entry.file_name())).unwrap();
    }
    let lines = |part: &str| {
        let lines: Vec<&str> = job[part].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        lines.join("\n")
    };
    let run = |script: &str| succeed(Command::new("sh").args(["-e", "-c", script]).env_clear().envs(&environment));
    let before = run(&lines("before_script"));
    let seen = before.and_then(|_| see_the_node(&environment));
    run(&lines("after_script"))?;
    seen?;
    let left =
        succeed(Command::new(program(&environment)).args(["ls", "--output", "name"]).env_clear().envs(&environment))?;
    assert_eq!(left, "");
    Ok(())
}

/// The program that a job has installed.
fn program(environment: &BTreeMap<String, String>) -> PathBuf {
    let folder =
        environment.get("SANDBAR_BIN").cloned().unwrap_or_else(|| format!("{}/.local/bin", environment["HOME"]));
    Path::new(&folder).join("sandbar")
}

fn see_the_node(environment: &BTreeMap<String, String>) -> Outcome {
    let arguments = ["kubectl", "get", "nodes", "--no-headers"];
    let nodes = succeed(Command::new(program(environment)).args(arguments).env_clear().envs(environment))?;
    if nodes.lines().count() == 1 && nodes.contains(" Ready ") { Ok(()) } else { Err(format!("the node: {nodes}")) }
}

fn read_yaml(name: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path(name)).unwrap()).unwrap()
}

fn path(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name).display().to_string()
}

/// Runs a program, which has to end with 0, and returns its output.
fn succeed(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{command:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)))
}
