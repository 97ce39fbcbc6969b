//! Where something stands in a cluster file. Pure.

use crate::yaml::{self, Kind, Node};

/// The line (from 1) of a key of the `index`th entry of `spec.config`, as deep as the key is found; none where the text has
/// no such entry.
#[must_use]
pub fn line_of_config_key(text: &str, index: usize, key: &str) -> Option<u64> {
    let root = yaml::parse(text).ok().flatten()?;
    let Kind::Sequence { items, .. } = &root.get("spec")?.get("config")?.kind else { return None };
    let entry = items.get(index)?;
    let at = find(entry, key).unwrap_or(entry.span.start);
    Some(text.get(..at)?.matches('\n').count() as u64 + 1)
}

/// Where the deepest key of a dotted path stands.
fn find(node: &Node, path: &str) -> Option<usize> {
    match &node.kind {
        Kind::Mapping { pairs, .. } => pairs.iter().find_map(|(key, value)| {
            let rest = path.strip_prefix(key.as_str()?)?;
            match rest.chars().next() {
                None => Some(key.span.start),
                Some('.') => find(value, &rest[1..]).or(Some(key.span.start)),
                Some('[') => find(value, rest).or(Some(key.span.start)),
                Some(_) => None,
            }
        }),
        Kind::Sequence { items, .. } => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            let item = items.get(index.parse::<usize>().ok()?)?;
            find(item, rest.trim_start_matches('.')).or(Some(item.span.start))
        }
        Kind::Scalar { .. } | Kind::Alias(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_drop_in_has_a_line() {
        let text = "\
kind: Cluster
spec:
  config:
    - extra.yaml
    - apiServer:
        tls:
          minVersoin: 1
        names: [a, b]
      list:
        - x: 1
          y: 2
";
        for (index, key, line) in [
            (1, "apiServer.tls.minVersoin", Some(7)),
            (1, "apiServer.tls", Some(6)),
            (1, "apiServer.names[1]", Some(8)),
            (1, "apiServer.other", Some(5)),
            (1, "list[0].y", Some(11)),
            (1, "nothing", Some(5)),
            (0, "", Some(4)),
            (2, "apiServer", None),
        ] {
            assert_eq!(line_of_config_key(text, index, key), line, "{index} {key}");
        }
        assert_eq!(line_of_config_key("spec: [", 0, "a"), None);
    }
}
