//! What to type about what a node warns of: it knows nothing of the command line. Pure.

use crate::node::StatusReport;
use crate::spec::{ClusterName, ClusterSpec};

/// Puts the command that helps into the warnings of a node's report for which there is one.
pub fn next_commands(report: &mut StatusReport, name: &ClusterName, spec: &ClusterSpec) {
    for warning in &mut report.warnings {
        let command = match warning.code.as_str() {
            "MemoryExhausted" | "MemoryLow" => more_memory(name, spec),
            "NamesOutsideFail" => {
                Some("`sandbar doctor` tries the network and the resolvers of this machine".to_owned())
            }
            "AuthorityEnds" | "AuthorityEnded" => Some(format!(
                "an authority cannot be renewed: `sandbar rm {name}` and `sandbar up {name}` make a new cluster, without \
                 what is in this one"
            )),
            _ => None,
        };
        if let Some(command) = command {
            warning.hint = command;
        }
    }
}

/// Twice the memory, where the limit is ours.
fn more_memory(name: &ClusterName, spec: &ClusterSpec) -> Option<String> {
    let limit = spec.memory.as_ref()?.bytes();
    let mebibytes = limit.saturating_mul(2).div_ceil(1 << 20);
    let amount = if mebibytes % 1024 == 0 { format!("{}Gi", mebibytes / 1024) } else { format!("{mebibytes}Mi") };
    Some(format!("`sandbar up {name} --recreate --memory {amount}` gives it more and keeps its data"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hint(code: &str, memory: Option<&str>) -> String {
        let name: ClusterName = "edge".parse().unwrap();
        let mut spec = ClusterSpec::with_defaults(name.clone());
        spec.memory = memory.map(|amount| amount.parse().unwrap());
        let mut report: StatusReport = serde_json::from_value(json!({
            "schemaVersion": 1, "contractVersion": 1, "healthy": true, "node": {},
            "warnings": [{"code": code, "message": "m", "hint": "the node's"}],
        }))
        .unwrap();
        next_commands(&mut report, &name, &spec);
        report.warnings.remove(0).hint
    }

    #[test]
    fn warnings_get_the_command_that_helps() {
        let more =
            |amount: &str| format!("`sandbar up edge --recreate --memory {amount}` gives it more and keeps its data");
        assert_eq!(hint("MemoryExhausted", Some("512Mi")), more("1Gi"));
        assert_eq!(hint("MemoryLow", Some("700Mi")), more("1400Mi"));
        assert_eq!(hint("MemoryLow", Some("1G")), more("1908Mi"));
        // A limit of somebody else's is his to change.
        assert_eq!(hint("MemoryLow", None), "the node's");
        assert!(hint("NamesOutsideFail", None).starts_with("`sandbar doctor` "));
        assert!(hint("AuthorityEnds", None).contains("`sandbar rm edge` and `sandbar up edge`"));
        assert_eq!(hint("Unknown", Some("1Gi")), "the node's");
    }
}
