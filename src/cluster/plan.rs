//! Which steps lead from what is observed to a cluster that runs. Pure.

use crate::engine::RunState;

/// What `up` should reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// Digest of the specification that the node should be made from.
    pub digest: String,
    /// Whether the cluster was never finished, so that nothing in it counts.
    pub fresh: bool,
    /// Whether a node made from another specification is made anew on its volume.
    pub recreate: bool,
    /// Whether one that differs in its ports alone can have others as it is.
    pub sets_ports: bool,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Whether its network exists.
    pub network: bool,
    /// Whether its volume exists.
    pub volume: bool,
    /// Its node, and the digest of the specification it was made from.
    pub node: Option<(RunState, String)>,
}

/// One step; each can be done again without harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Removes the node, not its volume.
    RemoveNode,
    /// Removes the volume of a cluster that was never finished.
    RemoveVolume,
    /// Makes the network.
    CreateNetwork,
    /// Makes the volume.
    CreateVolume,
    /// Makes the node.
    CreateNode,
    /// Gives the node other ports.
    SetPorts,
    /// Thaws the node.
    UnpauseNode,
    /// Starts the node.
    StartNode,
}

/// The steps from what is observed to a running node, in order. None means that it runs.
///
/// A finished cluster whose node was made from something else is not touched without [`Goal::recreate`]; the caller
/// has told the user by then.
#[must_use]
pub fn plan(goal: &Goal, observed: &Observed) -> Vec<Step> {
    let differs = observed.node.as_ref().is_some_and(|(_, digest)| *digest != goal.digest);
    let gone = observed.node.as_ref().is_some_and(|(run, _)| *run == RunState::Gone);
    let replace = observed.node.is_some() && (goal.recreate || gone || (goal.fresh && differs));
    let mut steps = Vec::new();
    if replace {
        steps.push(Step::RemoveNode);
    }
    // What an unfinished cluster wrote belongs to the specification it was begun with.
    let renew_volume = replace && goal.fresh && observed.volume;
    if renew_volume {
        steps.push(Step::RemoveVolume);
    }
    if !observed.network {
        steps.push(Step::CreateNetwork);
    }
    if !observed.volume || renew_volume {
        steps.push(Step::CreateVolume);
    }
    if differs && !replace && goal.sets_ports {
        steps.push(Step::SetPorts);
    }
    match &observed.node {
        Some((run, _)) if !replace => match run {
            RunState::Running => {}
            RunState::Paused => steps.push(Step::UnpauseNode),
            RunState::Created | RunState::Exited { .. } | RunState::Gone | RunState::Other { .. } => {
                steps.push(Step::StartNode);
            }
        },
        _ => steps.extend([Step::CreateNode, Step::StartNode]),
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::Step::*;
    use super::*;

    fn goal(fresh: bool, recreate: bool) -> Goal {
        Goal { digest: "new".into(), fresh, recreate, sets_ports: false }
    }

    fn observed(network: bool, volume: bool, node: Option<(RunState, &str)>) -> Observed {
        Observed { network, volume, node: node.map(|(run, digest)| (run, digest.to_owned())) }
    }

    #[test]
    fn from_nothing_everything_is_made() {
        let steps = plan(&goal(true, false), &Observed::default());
        assert_eq!(steps, [CreateNetwork, CreateVolume, CreateNode, StartNode]);
    }

    #[test]
    fn wherever_it_was_interrupted_the_rest_is_done() {
        let fresh = goal(true, false);
        assert_eq!(plan(&fresh, &observed(true, false, None)), [CreateVolume, CreateNode, StartNode]);
        assert_eq!(plan(&fresh, &observed(true, true, None)), [CreateNode, StartNode]);
        assert_eq!(plan(&fresh, &observed(true, true, Some((RunState::Created, "new")))), [StartNode]);
        assert_eq!(plan(&fresh, &observed(true, true, Some((RunState::Running, "new")))), []);
    }

    #[test]
    fn what_was_begun_otherwise_and_never_finished_begins_anew() {
        let steps = plan(&goal(true, false), &observed(true, true, Some((RunState::Running, "old"))));
        assert_eq!(steps, [RemoveNode, RemoveVolume, CreateVolume, CreateNode, StartNode]);
    }

    #[test]
    fn a_finished_cluster_keeps_its_volume_whatever_happens() {
        for run in [RunState::Created, RunState::Running, RunState::Paused] {
            for recreate in [false, true] {
                for digest in ["old", "new"] {
                    let steps = plan(&goal(false, recreate), &observed(true, true, Some((run.clone(), digest))));
                    assert!(!steps.contains(&RemoveVolume), "{run:?} {recreate} {digest}");
                    assert_eq!(steps.contains(&RemoveNode), recreate);
                }
            }
        }
        assert_eq!(plan(&goal(false, false), &observed(true, true, None)), [CreateNode, StartNode]);
    }

    #[test]
    fn other_ports_are_set_before_it_is_started() {
        let goal = Goal { sets_ports: true, ..goal(false, false) };
        let exited = RunState::Exited { code: 0, out_of_memory: false };
        assert_eq!(plan(&goal, &observed(true, true, Some((RunState::Running, "old")))), [SetPorts]);
        assert_eq!(plan(&goal, &observed(true, true, Some((exited, "old")))), [SetPorts, StartNode]);
        assert_eq!(plan(&goal, &observed(true, true, Some((RunState::Running, "new")))), []);
        let anew = Goal { recreate: true, ..goal };
        assert!(!plan(&anew, &observed(true, true, Some((RunState::Running, "old")))).contains(&SetPorts));
    }

    #[test]
    fn a_node_that_does_not_run_is_started_or_thawed() {
        let finished = goal(false, false);
        let exited = RunState::Exited { code: 137, out_of_memory: false };
        assert_eq!(plan(&finished, &observed(true, true, Some((exited, "new")))), [StartNode]);
        assert_eq!(plan(&finished, &observed(true, true, Some((RunState::Paused, "new")))), [UnpauseNode]);
        assert_eq!(plan(&finished, &observed(true, true, Some((RunState::Running, "new")))), []);
        // What the engine has lost can only be made anew.
        let gone = observed(true, true, Some((RunState::Gone, "new")));
        assert_eq!(plan(&finished, &gone), [RemoveNode, CreateNode, StartNode]);
    }
}
