//! `up` and `rm` killed again and again, at moments that are left to chance.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::random::Random;
use crate::sandbox::Sandbox;

/// How often a command is killed.
const KILLS: u64 = 100;
/// How often that is tried at most: some commands are through before.
const CYCLES: u64 = 1000;

/// How long a command takes, which changes with what else this machine does.
struct Length(Duration);

impl Length {
    /// A moment within it.
    fn moment(&self, random: &mut Random) -> Duration {
        Duration::from_micros(random.below(u64::try_from(self.0.as_micros()).unwrap().max(1)))
    }

    /// Learns from a command that was killed after that time, or was through by then.
    fn learn(&mut self, killed: bool, moment: Duration) {
        if !killed {
            self.0 = self.0 * 9 / 10;
        } else if moment > self.0 * 9 / 10 {
            self.0 = self.0 * 10 / 9;
        }
    }
}

/// How long a command takes here that nobody kills.
fn time(sandbox: &Sandbox, command: &[&str]) -> Duration {
    let started = Instant::now();
    sandbox.succeed(command);
    started.elapsed()
}

/// Kills a command after that time; whether it was killed before it was through.
fn cut(sandbox: &Sandbox, command: &[&str], after: Duration) -> bool {
    let mut child = sandbox.command(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.success() || status.code().is_none(), "{command:?} failed: {status}");
    !status.success()
}

#[test]
fn a_hundred_ups_and_rms_that_are_killed_leave_nothing_after_gc() {
    let sandbox = Sandbox::new();
    let mut random = Random::new();
    let (mut up, mut rm) = (Length(time(&sandbox, &["up"])), Length(time(&sandbox, &["rm"])));
    let mut kills = 0;
    for cycle in 0..CYCLES {
        let (command, length) = if cycle % 2 == 0 { ("up", &mut up) } else { ("rm", &mut rm) };
        if command == "rm" {
            sandbox.succeed(&["up"]);
        }
        let moment = length.moment(&mut random);
        let killed = cut(&sandbox, &[command], moment);
        length.learn(killed, moment);
        kills += u64::from(killed);
        // What came through is a cluster that somebody wants; `gc` leaves that alone.
        sandbox.succeed(&["gc", "--yes"]);
        if !sandbox.succeed(&["ls", "--output", "name"]).is_empty() {
            sandbox.succeed(&["status"]);
            sandbox.succeed(&["rm"]);
        }
        assert_eq!(sandbox.remains(), Vec::<String>::new(), "cycle {cycle}, {command} killed after {moment:?}");
        if kills == KILLS {
            return;
        }
    }
    panic!("only {kills} of {CYCLES} were killed before they were through");
}

#[test]
fn of_two_ups_at_once_one_waits_says_so_and_succeeds() {
    let sandbox = Sandbox::new();
    // Long enough for the other one to come while this one holds the cluster's lock.
    sandbox.behave(|behaviour| _ = behaviour.delays_millis.insert("start_node".to_owned(), 1000));
    let spawn = || {
        let mut up = sandbox.command(&["up", "--output", "json"]);
        up.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let outputs = [spawn(), spawn()].map(|up| up.wait_with_output().unwrap());
    let mut outcomes = Vec::new();
    let mut waits = Vec::new();
    for output in &outputs {
        assert!(output.status.success(), "{}", sandbox.show(output));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        outcomes.push(report["outcome"].as_str().unwrap().to_owned());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Who holds a lock writes down a moment later who it is.
        waits.push(
            said.contains("waiting for `sandbar up` (process ") || said.contains("waiting for another sandbar, "),
        );
    }
    outcomes.sort();
    assert_eq!(outcomes, ["created", "unchanged"]);
    waits.sort_unstable();
    assert_eq!(waits, [false, true], "{outputs:?}");
    sandbox.succeed(&["rm"]);
    assert_eq!(sandbox.remains(), Vec::<String>::new());
}
