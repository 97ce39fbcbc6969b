//! One process of a node after the other is killed, whichever chance takes, as soon as the node has healed from the one before.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::NODE;
use crate::api::Api;
use crate::application::{self, HOST};
use crate::processes::{Process, below, census};
use crate::random::Random;
use crate::suite::{Outcome, Suite, eventually, get};
use crate::writer::Writer;

/// How many are killed, where nothing else is said.
const KILLS: u64 = 40;
/// Says something else; `make soak` does.
const KILLS_VARIABLE: &str = "SANDBAR_TEST_KILLS";
/// The kinds of processes of a node that is at rest.
const KINDS: [&str; 7] = ["sandbar-init", "sandbar-node", "containerd", "containerd-shim", "haproxy", "pause", "hello"];
/// How many the application has.
const PODS: usize = 2;
/// Who writes.
const WRITER: &str = "storm";

/// The storm.
pub fn storm(suite: &Suite) -> Outcome {
    application::deploy(suite)?;
    let kills = std::env::var(KILLS_VARIABLE).map_or(KILLS, |count| count.parse().unwrap());
    let mut chance = Random::new();
    let node = Node::at_rest(suite)?;
    let writer = Writer::start(&suite.kubeconfig(), WRITER)?;
    writer.awaits_acknowledgement()?;
    let mut took: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for number in 1..=kills {
        let (kind, victim) = node.victim(&mut chance)?;
        let begun = Instant::now();
        let killed = suite.command("/bin/kill").args(["-9", &victim.id.to_string()]).status().unwrap();
        assert!(killed.success(), "{victim:?}");
        node.heals_from(&victim, &writer).map_err(|error| format!("kill {number}, of {kind}: {error}"))?;
        let time = begun.elapsed();
        eprintln!("kill {number} of {kills}: {kind}, healed after {} ms", time.as_millis());
        took.entry(kind).or_default().push(time);
    }
    let (acknowledged, failed) = writer.finish(&suite.kubeconfig(), WRITER)?;
    let mut all: Vec<Duration> = took.values().flatten().copied().collect();
    eprintln!("{kills} kills, {acknowledged} writes acknowledged, {failed} failed; time to heal:");
    for (kind, times) in &mut took {
        eprintln!("  {kind}: {}", median_and_worst(times));
    }
    eprintln!("  all: {}", median_and_worst(&mut all));
    Ok(())
}

fn median_and_worst(times: &mut [Duration]) -> String {
    times.sort();
    let (median, worst) = (times[times.len() / 2].as_secs_f64(), times[times.len() - 1].as_secs_f64());
    format!("{} times, median {median:.1} s, worst {worst:.1} s", times.len())
}

/// A node that was seen when all was well.
struct Node<'a> {
    suite: &'a Suite,
    api: Api,
    /// The container's first process, as it was last seen.
    first: Cell<u32>,
    /// What processes it has then.
    counts: BTreeMap<String, usize>,
}

impl<'a> Node<'a> {
    fn at_rest(suite: &'a Suite) -> Outcome<Self> {
        suite.healthy(NODE)?;
        let api = Api::new(&suite.kubeconfig(), Duration::from_secs(5))?;
        let mut node = Self { suite, api, first: Cell::new(0), counts: BTreeMap::new() };
        node.counts = eventually("the node is at rest", || {
            let counts = census(&node.processes()?);
            let pods = ["containerd-shim", "pause", "hello"].iter().all(|&kind| counts.get(kind) == Some(&PODS));
            let nothing_else = counts.keys().all(|name| KINDS.contains(&name.as_str()));
            if pods && nothing_else && counts.len() == KINDS.len() { Ok(counts) } else { Err(format!("{counts:?}")) }
        })?;
        Ok(node)
    }

    /// A process: each kind is as likely as any other, and so is each of its kind.
    fn victim(&self, chance: &mut Random) -> Outcome<(&'static str, Process)> {
        let kind = KINDS[usize::try_from(chance.below(KINDS.len() as u64)).unwrap()];
        let mut those = self.processes()?;
        those.retain(|process| process.name == kind);
        let index = usize::try_from(chance.below(those.len().max(1) as u64)).unwrap();
        those.into_iter().nth(index).map(|process| (kind, process)).ok_or_else(|| format!("there is no {kind}"))
    }

    /// Waits until all is well again: as many processes as before without the one that was killed, a write that began
    /// afterwards is acknowledged, both pods are ready, the application answers, and the node says that it is healthy.
    fn heals_from(&self, victim: &Process, writer: &Writer) -> Outcome {
        let complete = || {
            let now = self.processes()?;
            let counts = census(&now);
            let missing = KINDS.iter().find(|&&kind| counts.get(kind) != self.counts.get(kind));
            match missing {
                Some(kind) => Err(format!("{kind}: {:?} of {:?}", counts.get(*kind), self.counts.get(*kind))),
                None if now.contains(victim) => Err(format!("{victim:?} lives")),
                None => Ok(()),
            }
        };
        eventually("its processes are there again", complete)?;
        writer.awaits_acknowledgement()?;
        eventually("the pods are ready", || {
            let deployment = self.api.get("/apis/apps/v1/namespaces/default/deployments/hello")?;
            let ready =
                deployment["status"]["readyReplicas"] == PODS && deployment["status"]["unavailableReplicas"].is_null();
            if ready { Ok(()) } else { Err(deployment["status"].to_string()) }
        })?;
        let http = self.suite.http()?;
        eventually("the application answers", || get(http, HOST))?;
        self.suite.healthy(NODE)?;
        // Whatever the death of one drew after it.
        eventually("its processes are still there", complete)
    }

    /// Its processes; the engine is asked for the first one only when that is gone.
    fn processes(&self) -> Outcome<Vec<Process>> {
        let known = below(self.first.get())?;
        if !known.is_empty() {
            return Ok(known);
        }
        let first = self.suite.client_ok(["inspect", "--format", "{{.State.Pid}}", NODE])?;
        self.first.set(first.trim().parse().map_err(|error| format!("{error} in {first:?}"))?);
        below(self.first.get())
    }
}
