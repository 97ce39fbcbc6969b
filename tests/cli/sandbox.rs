//! The hermetic surroundings of one test.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use sandbar::engine::ImageInfo;
use sandbar::engine::fake::{Behaviour, FakeEngine};

/// A home directory, an engine and the program.
pub struct Sandbox {
    home: tempfile::TempDir,
    /// The engine that the program uses, to set it up and to look into it.
    pub engine: FakeEngine,
}

impl Sandbox {
    /// With the node image in the engine.
    pub fn new() -> Self {
        let sandbox = Self::without_image();
        sandbox.add_node_image('1');
        sandbox
    }

    /// Puts a node image with that digit in its ID into the engine, in place of another one of its name.
    pub fn add_node_image(&self, digit: char) {
        let image = ImageInfo {
            id: format!("sha256:{}", digit.to_string().repeat(64)),
            names: vec![concat!("localhost/sandbar-node:", env!("CARGO_PKG_VERSION")).to_owned()],
            labels: [("dev.sandbar.contract".to_owned(), "1".to_owned())].into(),
            diff_ids: vec![format!("sha256:{}", "2".repeat(64))],
            architecture: "amd64".to_owned(),
            size_bytes: 1,
        };
        self.engine.add_image(image).unwrap();
    }

    /// With an engine that has nothing.
    pub fn without_image() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sandbar"), home.path().join("bin/sandbar")).unwrap();
        let engine = FakeEngine::open(home.path().join("engine"));
        Self { home, engine }
    }

    /// A path below the home directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file below the home directory, in which the program runs.
    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Puts a program of this machine onto the path.
    pub fn link(&self, program: &str) {
        let program = std::path::Path::new(program);
        std::os::unix::fs::symlink(program, self.path("bin").join(program.file_name().unwrap())).unwrap();
    }

    /// Puts a kubectl of that version onto the path, which prints its arguments.
    pub fn install_kubectl(&self, version: &str) {
        let script = format!(
            "#!/bin/sh\ncase \"$1\" in version) echo '{{\"clientVersion\":{{\"gitVersion\":\"{version}\"}}}}';; \
             *) echo \"own: $*\";; esac\n"
        );
        self.write("bin/kubectl", &script);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(self.path("bin/kubectl"), mode).unwrap();
    }

    /// Changes what the engine is told to do.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        let mut behaviour = self.engine.behaviour().unwrap();
        change(&mut behaviour);
        self.engine.set_behaviour(&behaviour).unwrap();
    }

    /// The program with these arguments, not yet run.
    #[expect(clippy::disallowed_methods, reason = "the program under test is no program that the library runs")]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", self.path("bin"))
            // Nobody is there: a test that wants a release says where.
            .env("SANDBAR_RELEASES", "http://127.0.0.1:9")
            .env("SANDBAR_ENGINE", format!("fake:{}", self.path("engine").display()))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program and shows all that it said, in a form that is the same on each machine.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.show(&self.output(arguments))
    }

    /// Runs the program, which has to succeed, and returns its stdout.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}\n{}", self.show(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the program, which has to succeed, with that place of releases.
    pub fn succeed_with(&self, arguments: &[&str], releases: &str) {
        let output = self.command(arguments).env("SANDBAR_RELEASES", releases).output().unwrap();
        assert!(output.status.success(), "{arguments:?}\n{}", self.show(&output));
    }

    /// Runs the program, which has to succeed, and reads its stdout as JSON.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--output", "json"]);
        serde_json::from_str(&self.succeed(&arguments)).unwrap()
    }

    /// What there is in engine, store and kubeconfig; empty after a complete removal.
    pub fn remains(&self) -> Vec<String> {
        let behaviour = self.engine.behaviour().unwrap();
        self.engine.set_behaviour(&Behaviour::default()).unwrap();
        let mut found: Vec<String> = Vec::new();
        let resources = runtime().block_on(sandbar::engine::Engine::list_resources(&self.engine)).unwrap();
        found.extend(resources.iter().map(|resource| format!("{:?} {}", resource.kind, resource.name)));
        let data = self.path(".local/share/sandbar");
        for folder in ["clusters", "locks"] {
            let entries = std::fs::read_dir(data.join(folder)).into_iter().flatten();
            found.extend(entries.map(|entry| format!("{folder}/{}", entry.unwrap().file_name().display())));
        }
        if self.kubeconfig().contains("sandbar-") {
            found.push("kubeconfig".to_owned());
        }
        self.engine.set_behaviour(&behaviour).unwrap();
        found
    }

    /// The user's kubeconfig.
    pub fn kubeconfig(&self) -> String {
        std::fs::read_to_string(self.path(".kube/config")).unwrap_or_default()
    }

    /// Output, errors and exit code in one text.
    pub fn show(&self, output: &Output) -> String {
        let text = |bytes: &[u8]| self.redact(&String::from_utf8_lossy(bytes));
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let out = if out.is_empty() { out } else { format!("{out}----- ") };
        let err = if err.is_empty() { err } else { format!("stderr:\n{err}----- ") };
        match output.status.code() {
            Some(code) => format!("{out}{err}exit code {code}"),
            None => format!("{out}{err}{}", output.status),
        }
    }

    fn redact(&self, text: &str) -> String {
        let text = text.replace(&self.home.path().display().to_string(), "~");
        let text = replace_number_after(&text, "127.0.0.1:", "PORT");
        let text = replace_number_after(&text, "localhost:", "PORT");
        let text = text.replace("localhost:PORT", "localhost");
        let text = replace_number_after(&text, "(process ", "PID");
        let words = text.split_inclusive([' ', '\n', ',', ')']).map(redact_word).collect::<String>();
        words.replace("TIME s", "TIME").lines().map(columns).collect()
    }
}

/// Ctrl-C for a running program.
pub fn interrupt(program: &Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(program.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

/// A runtime for the engine's own calls.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Replaces the digits that follow `before`.
fn replace_number_after(text: &str, before: &str, with: &str) -> String {
    let mut parts = text.split(before);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let with = if rest.len() == part.len() { "" } else { with };
        result += &format!("{before}{with}{rest}");
    }
    result
}

/// A table's columns are as wide as its values, which are different on each machine.
fn columns(line: &str) -> String {
    let content = line.trim_start();
    let mut text = line[..line.len() - content.len()].to_owned();
    let words: Vec<&str> = content.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    text += &words.join("  ");
    text + "\n"
}

/// Times with one decimal and names of folders made of times are different in each run.
fn redact_word(word: &str) -> String {
    let bare = word.trim_end_matches([' ', '\n', ',', ')']);
    let rest = &word[bare.len()..];
    let is_time = bare.split_once('.').is_some_and(|(seconds, tenths)| {
        let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        digits(seconds) && digits(tenths) && tenths.len() == 1
    });
    let is_age = bare.strip_suffix('s').is_some_and(|age| !age.is_empty() && age.chars().all(|c| c.is_ascii_digit()));
    if is_time {
        format!("TIME{rest}")
    } else if is_age {
        format!("AGE{rest}")
    } else if let Some((folder, _)) = bare.rsplit_once('-').filter(|(folder, _)| folder.contains("/failures/")) {
        format!("{folder}-WHEN{rest}")
    } else {
        word.to_owned()
    }
}
