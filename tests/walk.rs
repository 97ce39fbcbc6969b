//! The walk of the README, from nothing to an application that answers, through every failure that it has to outlive.
//!
//! On each engine one cluster with the real node image, and the steps in their order: each starts from what the ones
//! before it left, as a user's do. A machine without an engine or the image skips them, with the reason.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test without the test harness, and its own way to run programs"
)]

#[path = "support/dockerd.rs"]
mod dockerd;
#[path = "walk/engine.rs"]
mod engine;
#[path = "walk/interrupted.rs"]
mod interrupted;
#[path = "walk/pods.rs"]
mod pods;
#[path = "walk/report.rs"]
mod report;
#[path = "support/required.rs"]
mod required;
#[path = "walk/settings.rs"]
mod settings;
#[path = "walk/suite.rs"]
mod suite;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use sandbar::platform::native;

use suite::{Outcome, Suite, eventually, get, json, path, text};

/// Name of the cluster, and so of nothing that a user has.
const CLUSTER: &str = "sandbar-walk";
/// Name of its container, network and volume.
const NODE: &str = "sandbar-sandbar-walk";
/// The host of the example's Ingress.
const HOST: &str = "hello.default.localhost";
/// The example's image.
const IMAGE: &str = "localhost/hello:1";
/// The step that needs the right to mount.
const FULL_DISK: &str = "a_disk_that_fills_up_loses_nothing_acknowledged";
/// What was in the user's kubeconfig before.
const KUBECONFIG: &str = "# mine\napiVersion: v1\nkind: Config\nclusters: []\ncontexts:\n- name: work\n  context: {cluster: c, user: u}\ncurrent-context: work\nusers: []\n";

/// A step: its name and what is done.
type Step = (&'static str, fn(&Suite) -> Outcome);

/// The steps in their order.
const STEPS: [Step; 22] = [
    ("the_engine_is_fit", fit),
    ("up_ends_with_a_cluster_that_answers", up),
    ("up_again_changes_nothing", up_again),
    ("the_image_is_loaded_from_the_engine", load),
    ("the_image_again_moves_no_layer", load_again),
    ("an_image_with_one_more_layer_moves_that_layer", load_more),
    ("archives_are_loaded_or_refused", archives),
    ("the_application_answers_through_the_ingress", apply),
    ("what_it_keeps_outlives_its_pods", delete_pods),
    ("logs_exec_attach_cp_and_forwarding_work", pods::streams),
    ("pods_reach_what_is_outside", pods::way_out),
    ("the_nodes_own_programs_work", pods::nodes_own),
    ("nothing_private_is_in_a_report", report::nothing_private),
    ("stop_and_start_keep_everything", stop_and_start),
    ("killed_processes_of_the_node_heal_and_lose_nothing", kill_inside),
    ("a_killed_first_process_heals", kill_first),
    ("start_heals_what_the_engine_was_told_to_kill", kill_by_engine),
    ("two_clusters_live_side_by_side", settings::side_by_side),
    ("up_can_be_ended_in_the_middle", interrupted::up_in_the_middle),
    ("a_cluster_is_there_for_one_command", interrupted::for_one_command),
    (FULL_DISK, full_disk),
    ("rm_leaves_nothing", remove),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The steps are a story.
    arguments.test_threads = Some(1);
    let trials = engine::ALL.into_iter().flat_map(|engine| story(engine, &arguments)).collect();
    // Whatever happens, a cluster goes with the last one who knows its suite.
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The steps on one engine; those that this machine cannot go are left out, with the reason.
fn story(engine: &str, arguments: &Arguments) -> Vec<Trial> {
    let names = STEPS.map(|(name, _)| format!("{engine}::{name}"));
    let asked = arguments.filter.as_ref().is_none_or(|filter| names.iter().any(|name| name.contains(filter.as_str())));
    let suite = if asked && !arguments.list { Suite::new(engine) } else { Err("not asked for".to_owned()) };
    if let (true, Err(reason)) = (asked && !arguments.list, &suite) {
        eprintln!("skipped: {engine}: {reason}");
    }
    let required = match &suite {
        Err(reason) if asked && !arguments.list => required::failure(engine, reason),
        _ => None,
    };
    let suite = suite.ok().map(Arc::new);
    let may_mount = native().is_superuser();
    if suite.is_some() && !may_mount {
        eprintln!("skipped, since only the superuser may mount: {engine}::{FULL_DISK}");
    }
    let trial = |(name, (step_name, step)): (String, Step)| {
        let left_out = suite.is_none() || (step_name == FULL_DISK && !may_mount);
        let suite = suite.clone();
        let run = move || suite.map_or(Ok(()), |suite| suite.step(step)).map_err(Failed::from);
        Trial::test(name, run).with_ignored_flag(left_out)
    };
    names.into_iter().zip(STEPS).map(trial).chain(required).collect()
}

fn fit(suite: &Suite) -> Outcome {
    let report = json(&suite.sandbar(["doctor", "--output", "json"])?)?;
    for check in report["checks"].as_array().ok_or("no checks")? {
        // What a name or a port is on this machine is no matter of the engine's.
        let of_container =
            !["dns", "port-api", "port-http", "port-https", "disk"].iter().any(|code| check["code"] == *code);
        assert!(!of_container || check["result"] == "passed", "{check}");
    }
    let left = suite.sandbar(["ls", "--all", "--output", "name"])?;
    assert_eq!(left, "", "nothing is left of it");
    Ok(())
}

fn up(suite: &Suite) -> Outcome {
    let kubeconfig = suite.kubeconfig();
    fs::create_dir_all(kubeconfig.parent().unwrap()).unwrap();
    fs::write(&kubeconfig, KUBECONFIG).unwrap();
    let report = suite.up()?;
    assert_eq!(text(report, "/outcome")?, "created");
    assert_eq!(text(report, "/context")?, format!("sandbar-{CLUSTER}"));
    // The report's word is not enough: this is what a user would do next.
    assert_eq!(suite.kubectl(["config", "current-context"])?.trim(), format!("sandbar-{CLUSTER}"));
    assert_eq!(suite.kubectl(["get", "--raw", "/readyz"])?, "ok");
    let nodes = suite.kubectl(["get", "nodes", "--no-headers"])?;
    assert!(nodes.lines().count() == 1 && nodes.contains(" Ready "), "{nodes}");
    assert_eq!(text(report, "/kubernetesVersion")?, json(&suite.kubectl(["get", "--raw", "/version"])?)?["gitVersion"]);
    let status = json(&suite.sandbar(["status", CLUSTER, "--output", "json"])?)?;
    assert_eq!(status.pointer("/healthy").or(status.pointer("/node/healthy")), Some(&true.into()), "{status}");
    assert!(suite.sandbar(["ls"])?.contains(CLUSTER));
    Ok(())
}

fn up_again(suite: &Suite) -> Outcome {
    let first = suite.up()?;
    // The certificate is a new one each time, all else stays.
    let kubeconfig = || {
        let text = fs::read_to_string(suite.kubeconfig()).unwrap();
        text.lines().filter(|line| !line.contains("client-")).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = kubeconfig();
    let again = json(&suite.sandbar(["up", CLUSTER, "--output", "json"])?)?;
    assert_eq!(text(&again, "/outcome")?, "unchanged");
    assert_eq!((&again["clusterId"], &again["addresses"]), (&first["clusterId"], &first["addresses"]));
    assert_eq!(kubeconfig(), before);
    Ok(())
}

fn load(suite: &Suite) -> Outcome {
    suite.up()?;
    suite.build_hello(IMAGE)?;
    let report = json(&suite.sandbar(["image", "load", IMAGE, "--cluster", CLUSTER, "--output", "json"])?)?;
    assert_eq!(text(&report, "/images/0/name")?, IMAGE);
    assert!(suite.sandbar(["image", "ls", "--cluster", CLUSTER])?.contains("localhost/hello"));
    Ok(())
}

fn load_again(suite: &Suite) -> Outcome {
    suite.up()?;
    let report = json(&suite.sandbar(["image", "load", IMAGE, "--cluster", CLUSTER, "--output", "json"])?)?;
    assert_eq!(report.pointer("/images/0/layersMoved"), Some(&0.into()), "{report}");
    Ok(())
}

fn load_more(suite: &Suite) -> Outcome {
    const MORE: &str = "localhost/hello:more";
    suite.up()?;
    let folder = suite.folder("more")?;
    fs::write(folder.join("more"), "more").unwrap();
    fs::write(folder.join("Containerfile"), format!("FROM {IMAGE}\nCOPY more /more\n")).unwrap();
    suite.build(&folder, MORE)?;
    let report = json(&suite.sandbar(["image", "load", MORE, "--cluster", CLUSTER, "--output", "json"])?)?;
    suite.client_ok(["image", "rm", MORE])?;
    assert_eq!(text(&report, "/images/0/name")?, MORE);
    assert_eq!(report.pointer("/images/0/layersMoved"), Some(&1.into()), "{report}");
    assert_eq!(report.pointer("/images/0/layersPresent"), Some(&1.into()), "{report}");
    Ok(())
}

fn archives(suite: &Suite) -> Outcome {
    let folder = suite.folder("archives")?;
    let (whole, half) = (folder.join("whole.tar"), folder.join("half.tar"));
    suite.client_ok(["save", "--output", &path(&whole), IMAGE])?;
    let bytes = fs::read(&whole).unwrap();
    fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    let load = |file: &std::path::Path| {
        suite.sandbar_output(["image", "load", &path(file), "--cluster", CLUSTER, "--output", "json"])
    };
    let refused = load(&half)?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("the archive ends in the middle of "), "{refused:?}");
    let loaded = load(&whole)?;
    let report = json(&String::from_utf8_lossy(&loaded.stdout))?;
    assert_eq!((text(&report, "/images/0/name")?, report.pointer("/images/0/layersMoved")), (IMAGE, Some(&0.into())));
    Ok(())
}

fn apply(suite: &Suite) -> Outcome {
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hello");
    let http = suite.up().and_then(|_| suite.http())?;
    suite.kubectl(["apply", "-k", &path(&example)])?;
    suite.kubectl(["rollout", "status", "deployment/hello", "--timeout=120s"])?;
    let body = eventually("the application answers", || get(http, HOST))?;
    assert!(body.starts_with("Hello from the edge!\n"), "{body}");
    assert!(visits(&body)? > 0);
    // As the README says it, where curl is installed: it sends every *.localhost to this host by itself.
    if std::path::Path::new("/usr/bin/curl").exists() {
        let url = format!("http://{HOST}:{}", http.port());
        let https = suite.up().and_then(|report| text(report, "/addresses/https"))?;
        let https = https.replace("*.", "hello.").replace(&format!("hello.{CLUSTER}."), "hello.default.");
        for url in [&url, &https] {
            let curl = ["--silent", "--show-error", "--fail", "--insecure", url];
            let output = suite.command("/usr/bin/curl").args(curl).output().unwrap();
            assert!(output.status.success() && output.stdout.starts_with(b"Hello from the edge!"), "{output:?}");
        }
    }
    Ok(())
}

fn delete_pods(suite: &Suite) -> Outcome {
    let http = suite.http()?;
    let before = get(http, HOST)?;
    let pods = served(&before);
    suite.kubectl(["delete", "pod", "--selector", "app.kubernetes.io/name=hello"])?;
    suite.kubectl(["rollout", "status", "deployment/hello", "--timeout=120s"])?;
    let after = eventually("the application answers again", || get(http, HOST))?;
    assert!(visits(&after)? > visits(&before)?, "{before}{after}");
    let now = served(&after);
    assert!(pods.iter().all(|pod| now.contains(pod)) && now.len() > pods.len(), "{before}{after}");
    Ok(())
}

fn stop_and_start(suite: &Suite) -> Outcome {
    let http = suite.http()?;
    let addresses = suite.up()?["addresses"].clone();
    let before = visits(&get(http, HOST)?)?;
    suite.sandbar(["stop", CLUSTER])?;
    assert!(get(http, HOST).is_err(), "a stopped cluster answers");
    // What is stopped can be stopped, and says so when asked.
    suite.sandbar(["stop", CLUSTER])?;
    assert!(!suite.sandbar_output(["status", CLUSTER])?.status.success());
    suite.sandbar(["start", CLUSTER])?;
    assert_eq!(suite.kubectl(["get", "--raw", "/readyz"])?, "ok");
    let status = json(&suite.sandbar(["ls", "--output", "json"])?)?;
    assert!(status.to_string().contains(&text(&addresses, "/http")?.replace('*', "")[7..]), "{status} {addresses}");
    let body = eventually("the application answers after the start", || get(http, HOST))?;
    assert!(visits(&body)? > before);
    let pods = containers(suite)?;
    let report = json(&suite.sandbar(["restart", CLUSTER, "--output", "json"])?)?;
    assert_eq!((text(&report, "/outcome")?, &report["addresses"]), ("started", &addresses));
    eventually("the application answers after the restart", || get(http, HOST))?;
    // One of its pods is enough for that; what is said of the others is as it was before, until they are there again.
    eventually("all its containers were started again", || {
        let now = containers(suite)?;
        if now.lines().any(|line| pods.contains(line)) { Err(now) } else { Ok(()) }
    })
}

fn kill_inside(suite: &Suite) -> Outcome {
    let http = suite.http()?;
    for program in ["haproxy", "containerd", "sandbar-node"] {
        let pods = containers(suite)?;
        let acknowledged = suite.writing(program, || {
            suite.kill_in_node(program).map_err(|error| format!("{program}: {error}"))?;
            suite.healthy(NODE).map_err(|error| format!("after {program} was killed: {error}"))
        })?;
        eventually("the application answers", || get(http, HOST))?;
        suite.has(&acknowledged)?;
        suite.kubectl(["rollout", "status", "deployment/hello", "--timeout=120s"])?;
        assert_eq!(containers(suite)?, pods, "the same containers go on after {program} was killed");
    }
    Ok(())
}

/// The application's containers, and how often each was restarted.
fn containers(suite: &Suite) -> Outcome<String> {
    let each = "{range .items[*].status.containerStatuses[*]}{.containerID} {.restartCount}{\"\\n\"}{end}";
    let form = format!("jsonpath={each}");
    suite.kubectl(["get", "pod", "--selector", "app.kubernetes.io/name=hello", "--output", &form])
}

fn kill_first(suite: &Suite) -> Outcome {
    let http = suite.http()?;
    let pid = suite.client_ok(["inspect", "--format", "{{.State.Pid}}", NODE])?;
    let acknowledged = suite.writing("first", || {
        let killed = suite.command("/bin/kill").args(["-9", pid.trim()]).status().unwrap();
        assert!(killed.success());
        // The engine's restart policy brings it back; nobody is asked.
        eventually("the engine started the node again", || {
            let now = suite.client_ok(["inspect", "--format", "{{.State.Pid}}", NODE])?;
            if now.trim() != "0" && now != pid { Ok(()) } else { Err(format!("process {now}")) }
        })?;
        suite.healthy(NODE)
    })?;
    suite.has(&acknowledged)?;
    eventually("the application answers", || get(http, HOST)).map(drop)
}

fn kill_by_engine(suite: &Suite) -> Outcome {
    let http = suite.http()?;
    suite.client_ok(["kill", "--signal", "KILL", NODE])?;
    suite.sandbar(["start", CLUSTER])?;
    eventually("the application answers", || get(http, HOST)).map(drop)
}

fn full_disk(suite: &Suite) -> Outcome {
    let name = format!("{CLUSTER}-full");
    let (node, context) = (format!("sandbar-{name}"), format!("--context=sandbar-{name}"));
    let disk = suite.disk("disk", 700)?;
    let label = format!("dev.sandbar.cluster={name}");
    let device = format!("device={}", path(&disk.0));
    // A volume of ours that is there already is used.
    suite.client_ok([
        "volume",
        "create",
        "--label",
        &label,
        "-o",
        "type=none",
        "-o",
        "o=bind",
        "-o",
        &device,
        &node,
    ])?;
    let walk = || {
        suite.sandbar(["up", &name, "--quiet", "--timeout", "3m"])?;
        let payload = suite.folder("payload")?.join("payload");
        fs::write(&payload, vec![b'x'; 200_000]).unwrap();
        let file = format!("--from-file={}", path(&payload));
        let filler = disk.fill()?;
        let mut acknowledged = Vec::new();
        let refused = (0..1000).any(|number| {
            let configmap = format!("number-{number}");
            let create = [&context, "--request-timeout=20s", "create", "configmap", &configmap, &file];
            let created = suite.kubectl(create).is_ok();
            acknowledged.extend(created.then_some(configmap));
            !created
        });
        assert!(refused, "a full disk takes everything");
        eventually("status says that the disk is full", || {
            let status = suite.sandbar_output(["status", &name, "--output", "json"])?;
            let text = String::from_utf8_lossy(&status.stdout);
            if text.contains("\"DiskFull\"") && status.status.code() == Some(1) {
                Ok(())
            } else {
                Err(text.into_owned())
            }
        })?;
        let hint = "(free space where the engine keeps its volumes, or remove images and volumes in the cluster)";
        let said = |line: &str| {
            line.strip_prefix("warning: the volume is full: ").is_some_and(|rest| {
                let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
                rest == format!(" MiB of 700 MiB are free {hint}")
            })
        };
        // The datastore ends and starts again as long as it cannot write, and room comes and goes with that.
        eventually("status says it in words", || {
            let status = suite.sandbar_output(["status", &name])?;
            let (out, err) = (String::from_utf8_lossy(&status.stdout), String::from_utf8_lossy(&status.stderr));
            let unhealthy = err.starts_with(&format!("error: cluster {name} is not healthy: "));
            if out.lines().any(said) && unhealthy { Ok(()) } else { Err(format!("{out}{err}")) }
        })?;
        fs::remove_file(filler).unwrap();
        suite.healthy(&node)?;
        let found = suite.kubectl([&context, "get", "configmap", "--output", "name"])?;
        let lost: Vec<_> =
            acknowledged.iter().filter(|name| !found.lines().any(|line| line.ends_with(&format!("/{name}")))).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        Ok(())
    };
    // Whatever happened, the cluster goes before its disk does.
    let walked = catch_unwind(AssertUnwindSafe(walk));
    suite.sandbar(["rm", &name, "--yes"])?;
    walked.unwrap_or_else(|panic| resume_unwind(panic))
}

fn remove(suite: &Suite) -> Outcome {
    suite.up()?;
    suite.sandbar(["rm", CLUSTER, "--yes"])?;
    assert_eq!(suite.resources()?, Vec::<String>::new());
    assert_eq!(fs::read_to_string(suite.kubeconfig()).unwrap(), KUBECONFIG);
    // Again is no error, and then there is no such cluster.
    suite.sandbar(["rm", CLUSTER, "--yes"])?;
    assert_eq!(suite.sandbar_output(["status", CLUSTER])?.status.code(), Some(5));
    assert!(!suite.sandbar(["ls"])?.contains(CLUSTER));
    Ok(())
}

/// How many visits an answer of the application counts.
fn visits(body: &str) -> Outcome<u64> {
    let count = body.lines().find_map(|line| line.strip_prefix("Visits: ")?.trim().parse().ok());
    count.ok_or_else(|| format!("no visits in {body:?}"))
}

/// The pods that an answer of the application lists.
fn served(body: &str) -> Vec<String> {
    body.lines().filter_map(|line| line.strip_prefix("- ")).map(str::to_owned).collect()
}
