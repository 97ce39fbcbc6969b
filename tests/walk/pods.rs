//! Work in pods: logs, programs, attached streams, copied files, forwarded ports, the way out; with an ordinary kubectl
//! and with the node's own.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};

use crate::suite::{Outcome, Suite, eventually, get, path, with_input};
use crate::{CLUSTER, NODE};

/// An image with a shell and its tools.
const TOOLS_IMAGE: &str = "localhost/tools:1";
/// A pod that reads lines and says what it got, and beside it a container of a user who is nobody special.
const TOOLS: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: tools, annotations: {kubectl.kubernetes.io/default-container: tools}}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  containers:
  - name: tools
    image: localhost/tools:1
    stdin: true
    command: [/bin/sh, -c, 'echo started; while read -r line; do echo \"got $line\"; done']
  - name: user
    image: localhost/tools:1
    securityContext: {runAsUser: 1000}
    command: [/bin/sleep, infinity]
";

/// `logs`, `exec`, `attach`, `cp` and `port-forward` of kubectl.
pub fn streams(suite: &Suite) -> Outcome {
    suite.up()?;
    suite.build_tools(TOOLS_IMAGE)?;
    suite.sandbar(["image", "load", TOOLS_IMAGE, "--cluster", CLUSTER])?;
    let manifest = suite.folder("tools-pod")?.join("pod.yaml");
    fs::write(&manifest, TOOLS).unwrap();
    suite.kubectl(["apply", "-f", &path(&manifest)])?;
    suite.kubectl(["wait", "--for=condition=Ready", "pod/tools", "--timeout=120s"])?;

    let (out, code) = exec(suite, &["exec", "tools", "--", "/bin/sh", "-c", "echo out; exit 7"], b"")?;
    assert_eq!((out.as_str(), code), ("out\n", Some(7)));
    let (out, code) = exec(suite, &["exec", "-i", "tools", "--", "/bin/cat"], b"through\n")?;
    assert_eq!((out.as_str(), code), ("through\n", Some(0)));

    // Without an input of its own a program has the node's /dev/null, which must not become its user's.
    let (out, code) =
        exec(suite, &["exec", "tools", "-c", "user", "--", "/bin/sh", "-c", "id -u; chmod 0 /proc/self/fd/0"], b"")?;
    assert_eq!((out.as_str(), code), ("1000\n", Some(1)));
    let null = suite.client_ok(["exec", NODE, "stat", "-c", "%u %a", "/dev/null"])?;
    assert_eq!(null.trim(), "0 666");

    // What is attached reads what the pod prints; its end is not the pod's.
    exec(suite, &["attach", "-i", "tools"], b"a line\n")?;
    eventually("the attached line arrives", || {
        let logs = suite.kubectl(["logs", "tools"])?;
        if logs == "started\ngot a line\n" { Ok(()) } else { Err(logs) }
    })?;

    let folder = suite.folder("copied")?;
    let (there, back) = (folder.join("there"), folder.join("back"));
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&there, &content).unwrap();
    suite.kubectl(["cp", &path(&there), "tools:/tmp/there"])?;
    suite.kubectl(["cp", "tools:/tmp/there", &path(&back)])?;
    assert!(fs::read(&back).unwrap() == content, "what was copied there and back differs");

    let pod = suite.kubectl(["get", "pod", "--selector", "app.kubernetes.io/name=hello", "--output", "name"])?;
    let pod = pod.lines().next().ok_or("no pod")?.to_owned();
    let answer = forwarded(suite, &pod)?;
    assert!(answer.contains("Hello from the edge!"), "{answer}");
    Ok(())
}

/// A pod reaches what is outside, under the node's address.
pub fn way_out(suite: &Suite) -> Outcome {
    let node = suite.client_ok(["exec", NODE, "ip", "-4", "route", "show", "default"])?;
    let gateway = node.split_ascii_whitespace().nth(2).ok_or_else(|| node.clone())?;
    let gateway: Ipv4Addr = gateway.parse().map_err(|_| node.clone())?;
    let listener = TcpListener::bind((gateway, 0)).map_err(|error| format!("{gateway}: {error}"))?;
    let port = listener.local_addr().unwrap().port().to_string();
    let accepted = std::thread::spawn(move || {
        let (mut stream, peer) = listener.accept().map_err(|error| error.to_string())?;
        let mut said = String::new();
        stream.read_to_string(&mut said).map_err(|error| error.to_string())?;
        Ok::<_, String>((peer.ip().to_string(), said))
    });
    let shell = format!("echo from a pod | nc -w 5 {gateway} {port}");
    let called = suite.kubectl(["exec", "tools", "--", "/bin/sh", "-c", &shell]);
    if called.is_err() {
        // The listener must not be waited for.
        let _ = std::net::TcpStream::connect((gateway, port.parse::<u16>().unwrap()));
    }
    let (peer, said) = accepted.join().unwrap()?;
    called?;
    let address = suite.sandbar(["status", CLUSTER, "--output", "json"])?;
    assert_eq!(said, "from a pod\n");
    assert!(address.contains(&format!("\"{peer}\"")), "{peer} is not the node's in {address}");
    Ok(())
}

/// What a user without a kubectl of his own does: the node's, and programs in the node.
pub fn nodes_own(suite: &Suite) -> Outcome {
    let sandbar = |arguments: &[&str]| suite.sandbar(arguments.iter().copied());
    let rolled = sandbar(&["kubectl", "--cluster", CLUSTER, "rollout", "status", "deployment/hello", "--timeout=60s"])?;
    assert!(rolled.contains("successfully rolled out"), "{rolled}");
    let names = sandbar(&["kubectl", "--cluster", CLUSTER, "get", "pod", "tools", "-o", "name"])?;
    assert_eq!(names, "pod/tools\n");
    let failed = suite.sandbar_output(["kubectl", "--cluster", CLUSTER, "get", "pod", "nobody"])?;
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let said = sandbar(&["exec", "--cluster", CLUSTER, "--", "/bin/sh", "-c", "echo $0 in the node"])?;
    assert_eq!(said, "/bin/sh in the node\n");
    let failed = suite.sandbar_output(["exec", "--cluster", CLUSTER, "--", "/bin/sh", "-c", "exit 9"])?;
    assert_eq!(failed.status.code(), Some(9), "{failed:?}");
    for component in ["kubelet", "containerd", "init"] {
        let logs = sandbar(&["logs", "--cluster", CLUSTER, "--tail", "5", component])?;
        assert!(!logs.trim().is_empty(), "{component} says nothing");
    }
    let manifest = suite.folder("tools-pod")?.join("pod.yaml");
    let deleted = sandbar(&["kubectl", "--cluster", CLUSTER, "delete", "-f", &path(&manifest), "--wait=true"])?;
    assert!(deleted.contains("\"tools\" deleted"), "{deleted}");
    Ok(())
}

/// Runs kubectl with an input; its output and exit code.
fn exec(suite: &Suite, arguments: &[&str], input: &[u8]) -> Outcome<(String, Option<i32>)> {
    let output = with_input(suite.kubectl_command()?.args(arguments), input)?;
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code()))
}

/// What a pod answers through a forwarded port.
fn forwarded(suite: &Suite, pod: &str) -> Outcome<String> {
    let forward = suite.folder("forward")?.join("log");
    let log = fs::File::create(&forward).unwrap();
    let mut kubectl = suite.kubectl_command()?;
    let mut child =
        kubectl.args(["port-forward", pod, ":8080"]).stdout(log).spawn().map_err(|error| error.to_string())?;
    let answer = eventually("the forwarded port answers", || {
        let text = fs::read_to_string(&forward).unwrap();
        let port = text.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u16>().ok());
        get((Ipv4Addr::LOCALHOST, port.ok_or_else(|| text.clone())?).into(), "any")
    });
    child.kill().map_err(|error| error.to_string())?;
    child.wait().map_err(|error| error.to_string())?;
    answer
}
