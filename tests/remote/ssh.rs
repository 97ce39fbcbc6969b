//! An engine behind SSH, which is all that its machine offers.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::laptop::{Laptop, succeed, words};
use crate::{Far, Outcome, docker, text};

/// Where Debian has it; it wants to be called by its path.
const SSHD: &str = "/usr/sbin/sshd";
const PORT: u16 = 2222;

/// An `sshd` of the tests' own on the engine's machine.
struct Sshd {
    process: Child,
    /// Whether the folder that it wants was made for it.
    made: bool,
}

/// What an sshd of the system has its service manager make.
const FOLDER: &str = "/run/sshd";

impl Sshd {
    /// Starts it; it lets the user of `user_key` in, as whom the tests run.
    fn start(far: &Far) -> Outcome<Self> {
        for (name, what) in [("host_key", "host"), ("user_key", "user"), ("other_key", "stranger")] {
            if !far.path(name).exists() {
                let file = text(&far.path(name));
                succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", what, "-f", &file]))?;
            }
        }
        fs::copy(far.path("user_key.pub"), far.path("authorized_keys")).map_err(words)?;
        let made = !Path::new(FOLDER).exists();
        fs::create_dir_all(FOLDER).map_err(words)?;
        let config = [
            format!("Port {PORT}"),
            format!("HostKey {}", text(&far.path("host_key"))),
            format!("AuthorizedKeysFile {}", text(&far.path("authorized_keys"))),
            "PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password".to_owned(),
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\n".to_owned(),
        ];
        fs::write(far.path("sshd_config"), config.join("\n")).map_err(words)?;
        let mut command = far.network.on_engine("setpriv");
        command.args(["--pdeathsig", "TERM", "--", SSHD, "-D", "-e", "-f"]).arg(far.path("sshd_config"));
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(words)?;
        let mut said = BufReader::new(process.stderr.take().ok_or("sshd has no output")?).lines();
        let listens = said.by_ref().map_while(Result::ok).any(|line| line.starts_with("Server listening on 0.0.0.0"));
        // From here on it is ended whatever happens.
        let sshd = Self { process, made };
        // Nobody may make it wait for a reader.
        std::thread::spawn(move || said.for_each(drop));
        if listens { Ok(sshd) } else { Err("sshd does not listen".to_owned()) }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        let removed = if self.made { fs::remove_dir(FOLDER) } else { Ok(()) };
        if let Err(error) = ended.and(removed) {
            eprintln!("what the tests' sshd leaves: {error}");
        }
    }
}

/// The user's settings of ssh: which key he has and which hosts he knows.
fn settings(far: &Far, laptop: &Laptop<'_>, key: &str, known: bool) -> Outcome {
    let host_key = fs::read_to_string(far.path("host_key.pub")).map_err(words)?;
    let known = if known { format!("[docker]:{PORT} {host_key}") } else { String::new() };
    fs::write(laptop.path("known_hosts"), known).map_err(words)?;
    let config = format!(
        "Host *\nIdentityFile {}\nIdentitiesOnly yes\nUserKnownHostsFile {}\nControlMaster auto\nControlPath {}\n\
         LocalForward 127.0.0.1:7777 127.0.0.1:7777\n",
        text(&far.path(key)),
        text(&laptop.path("known_hosts")),
        text(&laptop.path("his-own-%C")),
    );
    fs::write(laptop.path("ssh_config"), config).map_err(words)?;
    // ssh looks for settings in the home of whoever runs the tests, not where HOME is.
    let ssh = laptop.path("bin/ssh");
    fs::write(&ssh, format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", text(&laptop.path("ssh_config"))))
        .map_err(words)?;
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).map_err(words)
}

/// The folders of connections.
fn connections(laptop: &Laptop<'_>) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(laptop.path("sandbar/run")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| text(path).contains("/ssh-")).collect()
}

/// Ends the one connection as a network that fails would.
fn cut(laptop: &Laptop<'_>) -> Outcome {
    let folders = connections(laptop);
    let [folder] = folders.as_slice() else { return Err(format!("connections: {folders:?}")) };
    let check =
        Command::new("ssh").args(["-F", "none", "-O", "check", "-S"]).arg(folder.join("control")).arg("x").output();
    let said = String::from_utf8_lossy(&check.map_err(words)?.stderr).into_owned();
    let pid = said.split("pid=").nth(1).and_then(|rest| rest.split(')').next()?.parse::<i32>().ok());
    let pid = pid.and_then(rustix::process::Pid::from_raw).ok_or(said)?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).map_err(|error| error.to_string())
}

/// Stops the node, gives its address to another container, and starts it by `start`: then it has another one.
fn another_address(far: &Far, start: impl FnOnce() -> Outcome) -> Outcome {
    let client = |arguments: &[&str]| succeed(docker(&far.dockerd).args(arguments));
    let address = || {
        let form = "{{(index .NetworkSettings.Networks \"sandbar-ci\").IPAddress}}";
        client(&["inspect", "--format", form, "sandbar-ci"]).map(|text| text.trim().to_owned())
    };
    let before = address()?;
    client(&["stop", "sandbar-ci"])?;
    let image = concat!("localhost/sandbar-node:", env!("CARGO_PKG_VERSION"));
    let other = ["run", "--detach", "--name", "other", "--network", "sandbar-ci"];
    let taken =
        client(&[&other[..], &["--tmpfs", "/var/lib/sandbar", "--entrypoint", "/bin/sleep", image, "600"]].concat());
    let started = taken.and_then(|_| start());
    let after = address();
    client(&["rm", "--force", "other"])?;
    started?;
    let after = after?;
    if before == after { Err(format!("the address is still {before}")) } else { Ok(()) }
}

pub fn is_reached_through_one_connection(far: &Far) -> Outcome {
    let _sshd = Sshd::start(far)?;
    let host = format!("ssh://root@docker:{PORT}{}", far.socket());
    far.laptop(&[("DOCKER_HOST", &host)], |laptop| {
        settings(far, laptop, "user_key", true)?;
        // Without a cluster nothing stays.
        laptop.json(&["ls"])?;
        assert_eq!(connections(laptop), [""; 0].map(std::path::PathBuf::from));
        let report = laptop.json(&["up", "ci"])?;
        let api = report["addresses"]["api"].as_str().unwrap_or_default().to_owned();
        assert!(api.starts_with("https://127.0.0.1:"), "{report}");
        assert_eq!(report["engine"]["endpoint"], host);
        assert_eq!(laptop.readyz()?, "ok");
        let bound = succeed(docker(&far.dockerd).args([
            "inspect",
            "--format",
            "{{json .HostConfig.PortBindings}}",
            "sandbar-ci",
        ]))?;
        assert!(bound.contains("127.0.0.1") && !bound.contains("0.0.0.0"), "{bound}");
        another_address(far, || laptop.json(&["start", "ci"]).map(drop))?;
        assert_eq!(laptop.readyz()?, "ok");
        // Whoever asks next begins the connection anew, also where nothing names the engine any more.
        laptop.environment.clear();
        cut(laptop)?;
        assert!(laptop.readyz().is_err(), "the connection is cut");
        assert_eq!(laptop.json(&["status", "ci"])?["healthy"], true);
        assert_eq!(laptop.readyz()?, "ok");
        succeed(&mut laptop.sandbar(&["stop", "ci"]))?;
        assert_eq!(connections(laptop).len(), 0, "a cluster that is stopped needs none");
        assert_eq!(laptop.json(&["start", "ci"])?["addresses"]["api"], api);
        assert_eq!(laptop.readyz()?, "ok");
        succeed(&mut laptop.sandbar(&["rm", "ci", "--yes"]))?;
        assert_eq!(connections(laptop).len(), 0, "nothing is left");
        Ok(())
    })
}

pub fn what_is_wrong_with_ssh_is_said(far: &Far) -> Outcome {
    let _sshd = Sshd::start(far)?;
    let (good, socket) = (format!("ssh://root@docker:{PORT}"), far.socket());
    let usual = format!("{good}{socket}");
    let cases = [
        ("user_key", false, usual.clone(), "the host key of docker is not known"),
        (
            "other_key",
            true,
            usual.clone(),
            "docker does not let this user in: root@docker: Permission denied (publickey)",
        ),
        ("user_key", true, format!("ssh://root@docker:1{socket}"), "port 1: Connection refused"),
        ("user_key", true, format!("ssh://root@nowhere:{PORT}{socket}"), "Could not resolve hostname nowhere"),
        ("user_key", true, format!("{good}/run/none.sock"), "there is no socket /run/none.sock on that host"),
    ];
    far.laptop(&[("DOCKER_HOST", &usual)], |laptop| {
        for (key, known, host, expected) in &cases {
            settings(far, laptop, key, *known)?;
            laptop.environment = vec![("DOCKER_HOST", host.clone())];
            let (code, said) = laptop.fails(&["up", "ci"])?;
            assert!(code == 3 && said.contains(expected) && said.contains("hint: "), "{expected}: {code} {said}");
        }
        assert_eq!(connections(laptop).len(), 0);
        settings(far, laptop, "user_key", true)
    })
}

/// Why this machine cannot.
pub fn missing() -> Option<&'static str> {
    (!Path::new(SSHD).exists()).then_some("sshd is not installed")
}
