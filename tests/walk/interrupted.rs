//! `up` on the real engine, ended in the middle, and clusters that are there for one command.

use std::process::{Child, Stdio};

use crate::suite::{CLUSTER, Outcome, Suite, eventually, json, text};

/// Ctrl-C leaves nothing; SIGKILL something that the next `up` completes.
pub fn up_in_the_middle(suite: &Suite) -> Outcome {
    let name = format!("{CLUSTER}-cut");
    let node = format!("sandbar-{name}");
    let walked = walk(suite, &name, &node);
    suite.sandbar(["rm", &name, "--yes"])?;
    walked?;
    let left = suite.resources()?;
    assert!(!left.iter().any(|resource| resource.contains(&name)), "{left:?}");
    Ok(())
}

fn walk(suite: &Suite, name: &str, node: &str) -> Outcome {
    let mut running = begun(suite, name, node)?;
    signal(suite, "-INT", &running)?;
    let ended = running.wait().map_err(|error| error.to_string())?;
    assert_eq!(ended.code(), Some(130));
    let left = suite.resources()?;
    assert!(!left.iter().any(|resource| resource.contains(name)), "{left:?}");

    let mut running = begun(suite, name, node)?;
    signal(suite, "-KILL", &running)?;
    running.wait().map_err(|error| error.to_string())?;
    let report = json(&suite.sandbar(["up", name, "--output", "json", "--timeout", "3m"])?)?;
    assert_eq!(text(&report, "/outcome")?, "created");
    let context = format!("--context=sandbar-{name}");
    assert_eq!(suite.kubectl([&context, "get", "--raw", "/readyz"])?, "ok");
    Ok(())
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

/// An `up` that has come as far as a node in the engine.
fn begun(suite: &Suite, name: &str, node: &str) -> Outcome<Child> {
    let running = suite
        .command(env!("CARGO_BIN_EXE_sandbar"))
        .args(["up", name, "--quiet"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    eventually("there is a node", || suite.client_ok(["inspect", "--format", "{{.Id}}", node]))?;
    Ok(running)
}

fn signal(suite: &Suite, signal: &str, to: &Child) -> Outcome {
    let sent = suite.command("/bin/kill").args([signal, &to.id().to_string()]).status();
    if sent.map_err(|error| error.to_string())?.success() { Ok(()) } else { Err(format!("kill {signal} failed")) }
}
