//! `up` on the real engine, ended in the middle, and clusters that are there for one command.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, ExitStatus, Stdio};

use crate::CLUSTER;
use crate::suite::{Outcome, Suite, eventually, json, text};

/// Ctrl-C leaves nothing; SIGKILL something that the next `up` completes.
pub fn up_in_the_middle(suite: &Suite) -> Outcome {
    let name = format!("{CLUSTER}-cut");
    // While the engine makes things, and while the node starts.
    let walked = ["container", "node"].into_iter().try_for_each(|phase| walk(suite, &name, phase));
    suite.sandbar(["rm", &name, "--yes"])?;
    walked?;
    nothing_of(suite, &name)
}

fn walk(suite: &Suite, name: &str, phase: &str) -> Outcome {
    let mut up = Begun::until(suite, name, phase)?;
    signal(suite, "-INT", &up.process)?;
    let (ended, said) = up.end()?;
    if ended.code() != Some(130) {
        return Err(format!("interrupted in phase {phase}, it ended with {ended}: {said}"));
    }
    nothing_of(suite, name).map_err(|error| format!("interrupted in phase {phase}: {error}\n{said}"))?;

    let mut up = Begun::until(suite, name, phase)?;
    signal(suite, "-KILL", &up.process)?;
    up.end()?;
    let report = json(&suite.sandbar(["up", name, "--output", "json", "--timeout", "3m"])?)?;
    assert_eq!(text(&report, "/outcome")?, "created", "killed in phase {phase}");
    let context = format!("--context=sandbar-{name}");
    assert_eq!(suite.kubectl([&context, "get", "--raw", "/readyz"])?, "ok");
    suite.sandbar(["rm", name, "--yes"])?;
    Ok(())
}

fn nothing_of(suite: &Suite, name: &str) -> Outcome {
    let left: Vec<_> = suite.resources()?.into_iter().filter(|resource| resource.contains(name)).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("left: {left:?}")) }
}

/// A cluster for one command goes with the command, and one whose owner was killed with the next `gc`.
pub fn for_one_command(suite: &Suite) -> Outcome {
    let name = format!("{CLUSTER}-once");
    let kubectl = suite.kubectl_command()?.get_program().to_string_lossy().into_owned();
    let ephemeral = ["up", &name, "--ephemeral", "--quiet", "--"];
    let said = suite.sandbar(ephemeral.iter().copied().chain([kubectl.as_str(), "get", "--raw", "/readyz"]))?;
    assert!(said.ends_with("ok"), "{said}");
    let gone = || {
        let left = suite.resources()?;
        if left.iter().any(|resource| resource.contains(&name)) { Err(format!("{left:?}")) } else { Ok(()) }
    };
    gone()?;

    let mut running = suite
        .command(env!("CARGO_BIN_EXE_sandbar"))
        .args(ephemeral.iter().copied().chain(["/bin/sleep", "30"]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let node = format!("sandbar-{name}");
    eventually("there is a node", || suite.client_ok(["inspect", "--format", "{{.Id}}", &node]))?;
    signal(suite, "-KILL", &running)?;
    running.wait().map_err(|error| error.to_string())?;
    suite.sandbar(["gc", "--yes"])?;
    gone()
}

/// An `up` that runs.
struct Begun {
    process: Child,
    /// Its events, line by line.
    events: Lines<BufReader<ChildStderr>>,
    /// Those that were read.
    said: String,
}

impl Begun {
    /// One that has come to a phase.
    fn until(suite: &Suite, name: &str, phase: &str) -> Outcome<Self> {
        let mut process = suite
            .command(env!("CARGO_BIN_EXE_sandbar"))
            .args(["up", name, "--events", "json"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let events = BufReader::new(process.stderr.take().ok_or("no events")?).lines();
        let mut begun = Self { process, events, said: String::new() };
        loop {
            let Some(line) = begun.events.next() else {
                return Err(format!("it ended before phase {phase}: {}", begun.said));
            };
            let line = line.map_err(|error| error.to_string())?;
            begun.said.push_str(&format!("{line}\n"));
            let event = json(&line)?;
            if event["event"] == "phaseStarted" && event["phase"] == phase {
                return Ok(begun);
            }
        }
    }

    /// How it ends, and all that it said.
    fn end(&mut self) -> Outcome<(ExitStatus, String)> {
        for line in self.events.by_ref() {
            self.said.push_str(&format!("{}\n", line.map_err(|error| error.to_string())?));
        }
        let ended = self.process.wait().map_err(|error| error.to_string())?;
        Ok((ended, std::mem::take(&mut self.said)))
    }
}

fn signal(suite: &Suite, signal: &str, to: &Child) -> Outcome {
    let sent = suite.command("/bin/kill").args([signal, &to.id().to_string()]).status();
    if sent.map_err(|error| error.to_string())?.success() { Ok(()) } else { Err(format!("kill {signal} failed")) }
}
