//! What runs in a container that is made to look at the engine: `sandbarctl host-check`, which answers as the node contract
//! says and as its script wants.

use serde_json::{Value, json};

use super::behaviour::{Behaviour, Script};
use super::program::base;
use super::state::{Folder, Run};

/// The verb of `sandbarctl`, also in [`super::NodeBehaviour::verbs`].
const VERB: &str = "host-check";
/// What is tried, as the contract has it, with what is found where all is well.
const PASSED: [(&str, &str); 11] = [
    ("capabilities", "all that a node needs"),
    ("mounts", "shared and writable"),
    ("cgroups", "writable, v2"),
    ("limits", "1048576 open files in a process"),
    ("sysctls", "the settings of its network can be made"),
    ("overlay", "an overlay can be mounted on the volume"),
    ("inotify", "enough instances and watches"),
    ("disk", "20480 MiB free where the engine keeps volumes"),
    ("memory", "8192 MiB of memory available"),
    ("veth", "a pod's network can be made"),
    ("nftables", "the rules of services can be loaded"),
];

/// Runs it: its output is in the log afterwards, and it has ended unless it hangs.
pub(super) fn run(folder: &Folder, name: &str, command: &[String], behaviour: &Behaviour) -> std::io::Result<Run> {
    let [program, verb, ..] = command else { return Ok(Run::Exited(127)) };
    let script = if base(program) != "sandbarctl" || verb != VERB {
        let stderr = format!("exec: {program:?}: executable file not found in $PATH\n");
        Script { stderr, exit_code: 127, ..Script::default() }
    } else if let Some(script) = behaviour.node.verbs.get(VERB) {
        script.clone()
    } else {
        Script { stdout: format!("{}\n", report(behaviour)), ..Script::default() }
    };
    fs_err::write(folder.node_log(name), script.stdout + &script.stderr)?;
    Ok(if script.hangs { Run::Running } else { Run::Exited(script.exit_code) })
}

/// The report of a host on which all is well but what the script says.
fn report(behaviour: &Behaviour) -> Value {
    let now = jiff::Timestamp::now();
    let skewed = now.checked_add(jiff::SignedDuration::from_secs(behaviour.node.clock_ahead_seconds)).unwrap_or(now);
    let checks = PASSED.map(|(code, message)| {
        let (result, message) = match behaviour.node.findings.get(code) {
            Some((result, message)) => (result.as_str(), message.as_str()),
            None => ("passed", message),
        };
        json!({ "code": code, "result": result, "message": message })
    });
    json!({
        "schemaVersion": 1, "contractVersion": behaviour.node.contract_version, "time": skewed.to_string(),
        "checks": checks, "memory": { "availableBytes": 8_u64 << 30 },
        "storage": { "path": "/var/lib/sandbar", "capacityBytes": 40_u64 << 30, "availableBytes": 20_u64 << 30 },
    })
}
