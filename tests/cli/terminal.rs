//! Questions, which are asked on a terminal only: these tests give the program one, with `script` (util-linux).

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::sandbox::Sandbox;

/// How long a program may take to show what is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that believes in its terminal.
struct Terminal {
    script: Child,
    output: Receiver<Vec<u8>>,
    shown: Vec<u8>,
}

impl Terminal {
    /// Runs `program`, whose words have no spaces, on a terminal, in the surroundings that `like` has.
    #[expect(clippy::disallowed_methods, reason = "the program under test is no program that the library runs")]
    fn open(program: &[&str], like: &Command) -> Self {
        let mut command = Command::new("/usr/bin/script");
        command.args(["--quiet", "--return", "--flush", "--command", &program.join(" "), "/dev/null"]);
        command.env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("TERM", "xterm").env("SHELL", "/bin/sh").current_dir(like.get_current_dir().unwrap());
        let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut screen = script.stdout.take().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { script, output, shown: Vec::new() }
    }

    /// Waits until the program has shown this.
    fn expect(&mut self, text: &str) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        while !self.screen().contains(text) {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(more) => self.shown.extend(more),
                Err(error) => panic!("waited for {text:?} ({error}), and saw:\n{}", self.screen()),
            }
        }
        self
    }

    /// Types this.
    fn answer(&mut self, text: &str) -> &mut Self {
        self.script.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
        self
    }

    /// Waits for the end: the exit code and all that was shown, without what moves the cursor.
    fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(more) = self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.shown.extend(more);
        }
        assert!(Instant::now() < deadline, "the program goes on, and has shown:\n{}", self.screen());
        (self.script.wait().unwrap().code(), self.screen())
    }

    fn screen(&self) -> String {
        console::strip_ansi_codes(&String::from_utf8_lossy(&self.shown)).replace("\r\n", "\n")
    }
}

impl Drop for Terminal {
    /// A test that failed leaves no program behind that waits for an answer.
    fn drop(&mut self) {
        // One that has ended is what is wanted.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

fn terminal(sandbox: &Sandbox, arguments: &[&str]) -> Terminal {
    Terminal::open(&[&[env!("CARGO_BIN_EXE_sandbar")], arguments].concat(), &sandbox.command(&[]))
}

#[test]
fn init_asks_for_what_it_was_not_told_and_says_what_is_wrong_with_an_answer() {
    let sandbox = Sandbox::without_image();
    let mut terminal = terminal(&sandbox, &["init"]);
    terminal.expect("Name of the cluster [default]: ").answer("No Name\r").expect("a cluster's name");
    terminal.answer("edge\r").expect("Memory that it may use (such as 2Gi; empty for no limit): ");
    terminal.answer("plenty\r").expect("`plenty` is not an amount of memory");
    terminal.answer("2Gi\r");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.ends_with("wrote sandbar.yaml\n\nnext: sandbar up\n"), "{screen}");
    let written = std::fs::read_to_string(sandbox.path("sandbar.yaml")).unwrap();
    assert!(written.contains("  name: edge\n") && written.contains("  memory: 2Gi\n"), "{written}");
}

#[test]
fn init_asks_nothing_that_it_was_told() {
    let sandbox = Sandbox::without_image();
    let (code, screen) = terminal(&sandbox, &["init", "--name", "edge", "--memory", "2Gi"]).end();
    assert_eq!((code, screen.as_str()), (Some(0), "wrote sandbar.yaml\n\nnext: sandbar up\n"));
    let (code, screen) = terminal(&sandbox, &["init", "--yes", "--force"]).end();
    assert_eq!((code, screen.as_str()), (Some(0), "wrote sandbar.yaml\n\nnext: sandbar up\n"));
}

#[test]
fn ctrl_c_at_a_question_writes_nothing() {
    let sandbox = Sandbox::without_image();
    let mut terminal = terminal(&sandbox, &["init"]);
    terminal.expect("Name of the cluster").answer("\u{3}");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(130), "{screen}");
    assert!(!sandbox.path("sandbar.yaml").exists(), "{screen}");
}

#[test]
fn rm_all_shows_what_it_would_remove_and_leaves_it_unless_the_answer_is_yes() {
    let sandbox = Sandbox::new();
    sandbox.succeed(&["up", "edge"]);
    for answer in ["n", "\r", "\u{3}"] {
        let mut terminal = terminal(&sandbox, &["rm", "--all"]);
        terminal.expect("cluster edge\nRemove all of it, with all its data? [y/N]").answer(answer);
        let (code, screen) = terminal.end();
        assert_eq!(code, Some(130), "{screen}");
        assert_eq!(sandbox.succeed(&["ls", "--output", "name"]), "edge\n", "{screen}");
    }
    let mut terminal = terminal(&sandbox, &["rm", "--all"]);
    terminal.expect("[y/N]").answer("y");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("cluster edge is removed"), "{screen}");
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}

/// A machine that has cargo, go and apt-get, and nothing that a cluster needs.
fn bare_machine(sandbox: &Sandbox) -> Command {
    use std::os::unix::fs::{PermissionsExt, symlink};
    for name in ["cargo", "go", "apt-get"] {
        let path = sandbox.path("bin").join(name);
        std::fs::write(&path, "#!/bin/sh\necho \"$0 $*\" >>\"$HOME/ran\"\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in ["sh", "cat", "id", "env"] {
        symlink(which::which(name).unwrap(), sandbox.path("bin").join(name)).unwrap();
    }
    sandbox.command(&[])
}

#[test]
fn what_is_missing_is_installed_only_when_the_answer_is_yes() {
    let sandbox = Sandbox::without_image();
    let like = bare_machine(&sandbox);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/requirements.sh");

    let mut terminal = Terminal::open(&[script, "up"], &like);
    terminal.expect("podman: runs the cluster's container").expect("? [Y/n] ").answer("n\n");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(3), "{screen}");
    assert!(screen.ends_with("Nothing was installed.\n"), "{screen}");
    assert!(!sandbox.path("ran").exists());

    let mut terminal = Terminal::open(&[script, "up"], &like);
    terminal.expect("? [Y/n] ").answer("\n");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("Installed: ") && screen.contains(" mmdebstrap"), "{screen}");
    let ran = std::fs::read_to_string(sandbox.path("ran")).unwrap();
    assert!(ran.contains("apt-get install -y") && ran.contains("mmdebstrap"), "{ran}");
}
