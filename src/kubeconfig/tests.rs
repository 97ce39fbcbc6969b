//! The pure edits, text in and text out.

use super::edit::{self, Part, merge, remove};
use super::entry::Entry;

/// Base64 of `-----BEGIN X-----`.
const PEM: &str = "LS0tLS1CRUdJTiBYLS0tLS0=";

pub(super) fn entry(name: &str) -> Entry {
    Entry {
        name: name.to_owned(),
        server: "https://127.0.0.1:6443".to_owned(),
        certificate_authority_data: PEM.to_owned(),
        client_certificate_data: PEM.to_owned(),
        client_key_data: PEM.to_owned(),
    }
}

/// What a careful person's file looks like.
const CAREFUL: &str = r#"# mine, do not touch
apiVersion: v1
kind: Config
preferences: {}   # nothing yet
clusters:
  # the one at work
  - name: work   # since 2019
    cluster:
      server: "https://work.example:6443"
      insecure-skip-tls-verify: true
contexts:
- context: {cluster: work, user: 'me'}
  name: work

current-context: "work"
users:
- name: me
  user:
    exec:
      args: [-c, 'no']
      command: sh
x-unknown:
  - 1e3
  - yes
# the end
"#;

fn assert_round_trip(text: &str) {
    let contents = edit::inspect(text).unwrap();
    let restore: Vec<String> = contents.current.into_iter().collect();
    let merged = merge(text, &entry("sandbar-a"), true).unwrap();
    let after = edit::inspect(&merged).unwrap();
    assert_eq!(after.current.as_deref(), Some("sandbar-a"));
    for part in Part::ALL {
        assert!(after.names(part).contains(&"sandbar-a".to_owned()), "{merged}");
    }
    assert_eq!(merge(&merged, &entry("sandbar-a"), true).unwrap(), merged, "merging again changes nothing");
    assert_eq!(remove(&merged, "sandbar-a", &restore).unwrap(), text, "through:\n{merged}");
}

#[test]
fn an_empty_file_becomes_one_as_kubectl_writes_it() {
    let merged = merge("", &entry("sandbar-a"), true).unwrap();
    insta::assert_snapshot!(merged, @"
    apiVersion: v1
    kind: Config
    clusters:
    - cluster:
        certificate-authority-data: LS0tLS1CRUdJTiBYLS0tLS0=
        server: https://127.0.0.1:6443
      name: sandbar-a
    contexts:
    - context:
        cluster: sandbar-a
        user: sandbar-a
      name: sandbar-a
    current-context: sandbar-a
    users:
    - name: sandbar-a
      user:
        client-certificate-data: LS0tLS1CRUdJTiBYLS0tLS0=
        client-key-data: LS0tLS1CRUdJTiBYLS0tLS0=
    ");
    insta::assert_snapshot!(remove(&merged, "sandbar-a", &[]).unwrap(), @"
    apiVersion: v1
    kind: Config
    clusters: []
    contexts: []
    users: []
    ");
}

#[test]
fn everything_around_our_entries_stays() {
    let merged = merge(CAREFUL, &entry("sandbar-a"), true).unwrap();
    insta::assert_snapshot!(merged, @r#"
    # mine, do not touch
    apiVersion: v1
    kind: Config
    preferences: {}   # nothing yet
    clusters:
      # the one at work
      - name: work   # since 2019
        cluster:
          server: "https://work.example:6443"
          insecure-skip-tls-verify: true
      - cluster:
          certificate-authority-data: LS0tLS1CRUdJTiBYLS0tLS0=
          server: https://127.0.0.1:6443
        name: sandbar-a
    contexts:
    - context: {cluster: work, user: 'me'}
      name: work
    - context:
        cluster: sandbar-a
        user: sandbar-a
      name: sandbar-a

    current-context: "sandbar-a"
    users:
    - name: me
      user:
        exec:
          args: [-c, 'no']
          command: sh
    - name: sandbar-a
      user:
        client-certificate-data: LS0tLS1CRUdJTiBYLS0tLS0=
        client-key-data: LS0tLS1CRUdJTiBYLS0tLS0=
    x-unknown:
      - 1e3
      - yes
    # the end
    "#);
}

#[test]
fn merging_and_removing_gives_the_same_bytes() {
    let kubectl =
        "apiVersion: v1\nclusters: []\ncontexts: []\ncurrent-context: \"\"\nkind: Config\npreferences: {}\nusers: []\n";
    let pretty = "{\n    \"kind\": \"Config\",\n    \"clusters\": [\n        {\n            \"name\": \"a\",\n            \"cluster\": {\n                \"server\": \"x\"\n            }\n        }\n    ],\n    \"contexts\": [\n        {\n            \"name\": \"a\"\n        }\n    ],\n    \"users\": [],\n    \"current-context\": \"a\"\n}\n";
    for text in [
        CAREFUL,
        &CAREFUL.replace('\n', "\r\n"),
        &format!("\u{feff}{CAREFUL}"),
        kubectl,
        pretty,
        "{\"clusters\":[{\"name\":\"a\"}],\"contexts\":[],\"users\":[{\"name\":\"u\"}]}",
        "{\n\t\"clusters\": [],\n\t\"contexts\": [],\n\t\"users\": [{\"name\": \"u\", \"user\": {}}]\n}\n",
        "---\nclusters: []\ncontexts: [] # none\n\nusers: []\n...\n",
        "kind: Config\nclusters:\n-\n  # first\n  name: x\n  cluster: {server: y}\ncontexts: []\nusers: []\n",
        "clusters:\n- name: x\n  note: |\n    text\n\n    # no comment\n\n# a comment\ncontexts: [{name: a}]\nusers: []\n",
        "  kind: Config\n  clusters:\n  - {name: x}\n  contexts: []\n  users:\n      - name: u\n        user:\n",
    ] {
        assert_round_trip(text);
    }
}

#[test]
fn renewed_certificates_replace_what_is_there_and_keep_the_namespace() {
    let merged = merge(CAREFUL, &entry("sandbar-a"), true).unwrap();
    let chosen = merged.replace("    user: sandbar-a\n", "    user: sandbar-a\n    namespace: shop # mine\n");
    let mut renewed = entry("sandbar-a");
    renewed.server = "https://127.0.0.1:20001".to_owned();
    renewed.client_key_data = format!("{PEM}Cg==");
    let expected = chosen
        .replace("https://127.0.0.1:6443", &renewed.server)
        .replace(&format!("client-key-data: {PEM}\n"), &format!("client-key-data: {}\n", renewed.client_key_data));
    assert_eq!(merge(&chosen, &renewed, true).unwrap(), expected);
}

#[test]
fn fields_that_would_win_over_ours_are_replaced() {
    let merged = merge("", &entry("a"), false).unwrap();
    let tampered = merged.replace("    server:", "    insecure-skip-tls-verify: true\n    server:");
    assert_eq!(merge(&tampered, &entry("a"), false).unwrap(), merged);
}

#[test]
fn a_name_that_stands_twice_stands_once_afterwards() {
    let twice = "clusters:\n- name: a\n- name: b\n- name: a\ncontexts: [{name: a}, {name: b}, {name: a}]\n";
    let merged = merge(twice, &entry("a"), false).unwrap();
    let contents = edit::inspect(&merged).unwrap();
    assert_eq!((contents.clusters, contents.contexts), (vec!["a".into(), "b".into()], vec!["a".into(), "b".into()]));
    assert_eq!(remove(twice, "a", &[]).unwrap(), "clusters:\n- name: b\ncontexts: [{name: b}]\n");
}

#[test]
fn the_first_context_that_is_left_comes_back() {
    let both = merge(&merge(CAREFUL, &entry("a"), true).unwrap(), &entry("b"), true).unwrap();
    let current = |text: &str| edit::inspect(text).unwrap().current;
    let restore = |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.to_owned()).collect() };
    for (candidates, expected) in [
        (restore(&["a", "work"]), Some("a")),
        (restore(&["gone", "work"]), Some("work")),
        (restore(&["gone", "", "work"]), Some("")),
        (restore(&["b", "gone"]), None),
        (restore(&[]), None),
    ] {
        assert_eq!(current(&remove(&both, "b", &candidates).unwrap()).as_deref(), expected, "{candidates:?}");
    }
    let elsewhere = both.replace("current-context: \"b\"", "current-context: \"work\"");
    assert_eq!(current(&remove(&elsewhere, "b", &restore(&["a"])).unwrap()).as_deref(), Some("work"));
}

#[test]
fn an_empty_current_context_comes_back() {
    for text in ["kind: Config\ncurrent-context: \"\"\n", "kind: Config\n", "{\"kind\": \"Config\"}"] {
        let restore: Vec<String> = edit::inspect(text).unwrap().current.into_iter().collect();
        let gone = remove(&merge(text, &entry("a"), true).unwrap(), "a", &restore).unwrap();
        assert_eq!(edit::inspect(&gone).unwrap(), edit::inspect(text).unwrap(), "{gone}");
    }
}

#[test]
fn what_cannot_be_edited_is_refused_with_the_reason() {
    let refused = |text: &str| merge(text, &entry("a"), true).unwrap_err().to_string();
    let cases = [
        "kind: Config\nclusters:\n- name: [\n",
        "kind: Config\n\tclusters: []\n",
        "- a\n",
        "text",
        "kind: Pod\n",
        "clusters: {}\n",
        "clusters: []\nclusters: []\n",
        "current-context: [a]\n",
        "a: &x []\nclusters: *x\n",
        "kind: Config\n---\nkind: Config\n",
        "? clusters\n: []\n",
        "current-context: &c x\nother: *c\n",
    ];
    let report: Vec<String> = cases.iter().map(|text| format!("{text:?}\n  {}", refused(text))).collect();
    insta::assert_snapshot!(report.join("\n"), @r#"
    "kind: Config\nclusters:\n- name: [\n"
      line 3, column 9: unclosed bracket '['
    "kind: Config\n\tclusters: []\n"
      line 1, column 7: while scanning a plain scalar, found a tab
    "- a\n"
      it is not a kubeconfig: its top level is not a mapping
    "text"
      it is not a kubeconfig: its top level is not a mapping
    "kind: Pod\n"
      it is not a kubeconfig: its kind is Pod
    "clusters: {}\n"
      it is not a kubeconfig: clusters is not a list
    "clusters: []\nclusters: []\n"
      it is not a kubeconfig: the key clusters stands twice
    "current-context: [a]\n"
      it is not a kubeconfig: current-context is not a text
    "a: &x []\nclusters: *x\n"
      it cannot be edited without rewriting it: clusters is a YAML alias
    "kind: Config\n---\nkind: Config\n"
      line 2, column 1: it holds more than one YAML document
    "? clusters\n: []\n"
      it cannot be edited without rewriting it: a key is written with a question mark
    "current-context: &c x\nother: *c\n"
      it cannot be edited without rewriting it: it holds a YAML anchor
    "#);
}

#[test]
fn reads_a_nodes_kubeconfig() {
    let text = merge(&merge("", &entry("other"), false).unwrap(), &entry("sandbar-a"), true).unwrap();
    let read = Entry::parse(&text).unwrap();
    assert_eq!(read, entry("sandbar-a"));
    assert_eq!(read.client_key().unwrap(), b"-----BEGIN X-----");
    assert!(!format!("{read:?}").contains(PEM));
    let wrong = |from: &str, to: &str| Entry::parse(&text.replace(from, to)).unwrap_err().to_string();
    assert_eq!(wrong("current-context: sandbar-a", "current-context: b"), "the node's kubeconfig has no context b");
    assert_eq!(wrong("user: sandbar-a\n", "user: c\n"), "the node's kubeconfig has no user c");
    assert_eq!(wrong(PEM, "AAAA"), "certificate-authority-data in the node's kubeconfig is not base64 of PEM");
    assert_eq!(Entry::parse("contexts: [").unwrap_err().to_string(), "the node's kubeconfig cannot be read (line 1)");
    assert_eq!(Entry::parse("").unwrap_err().to_string(), "the node's kubeconfig has no current context");
}

/// Kubeconfigs as people and programs write them: with comments, blank lines, odd indentation, quotes, unknown fields.
mod random {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 5] = ["work", "arn:aws:eks:eu:1:cluster/x", "me@home", "yes", "ünïcode & co"];
    const COMMENTS: [&str; 5] = ["", "# a comment", "#- name: not one", "", "  # indented"];

    fn line_of_list() -> impl Strategy<Value = (usize, usize, usize, bool)> {
        (0..NAMES.len(), 0..COMMENTS.len(), 0..4usize, any::<bool>())
    }

    /// One list in the block style, the flow style, as `[]`, or missing.
    fn list(part: Part) -> impl Strategy<Value = String> {
        let style = (0..5usize, 0..3usize, prop::collection::vec(line_of_list(), 0..4));
        style.prop_map(move |(style, indent, items)| {
            let pad = " ".repeat(indent * 2);
            let comment = |i: usize| if COMMENTS[i].is_empty() { String::new() } else { format!("{}\n", COMMENTS[i]) };
            let quote = |name: &str, single: bool| {
                if single { format!("'{name}'") } else { format!("\"{name}\"") }
            };
            match (style, items.is_empty()) {
                (0, _) => String::new(),
                (1, _) | (_, true) => format!("{}: [] # none yet\n", part.list()),
                (2, false) => {
                    let items: Vec<String> = items
                        .iter()
                        .map(|(name, _, _, single)| format!("{{name: {}, x: [1, 0x2]}}", quote(NAMES[*name], *single)))
                        .collect();
                    format!("{}: [{}]   # flow\n", part.list(), items.join(" , "))
                }
                _ => {
                    let items: Vec<String> = items
                        .iter()
                        .map(|(name, above, shape, single)| {
                            let name = quote(NAMES[*name], *single);
                            let value = match shape {
                                0 => format!("{pad}- name: {name}   # inline\n{pad}  {}: {{a: b}}\n", part.item()),
                                1 => format!("{pad}- {}:\n{pad}      note: |\n{pad}        # text\n\n{pad}        more\n{pad}  name: {name}\n", part.item()),
                                2 => format!("{pad}-\n{pad}   # inside\n{pad}   name: {name}\n{pad}   {}:\n", part.item()),
                                _ => format!("{pad}- {{name: {name}}}\n"),
                            };
                            format!("{}{value}", comment(*above))
                        })
                        .collect();
                    format!("{}:\n{}", part.list(), items.concat())
                }
            }
        })
    }

    fn kubeconfig() -> impl Strategy<Value = String> {
        let current = prop_oneof![
            Just(String::new()),
            Just("current-context: work\n".to_owned()),
            Just("current-context: 'me@home' # quoted\n".to_owned()),
            Just("current-context: \"\"\n".to_owned()),
        ];
        let other = prop_oneof![
            Just(String::new()),
            Just("preferences: {}\n".to_owned()),
            Just("x-list:\n- 1\n-  two # kept\n\n".to_owned()),
            Just("x-text: >-\n  folded\n\n  text\n\n".to_owned()),
        ];
        let lists = (list(Part::Cluster), list(Part::Context), list(Part::User));
        (lists, current, other, any::<prop::sample::Index>(), 0..4usize).prop_map(
            |((clusters, contexts, users), current, other, order, form)| {
                let mut parts =
                    ["apiVersion: v1\nkind: Config\n".to_owned(), clusters, contexts, users, current, other];
                let by = order.index(parts.len());
                parts.rotate_left(by);
                let text = parts.concat();
                match form {
                    0 => format!("---\n{text}"),
                    1 => text.replace('\n', "\r\n"),
                    2 => format!("\u{feff}{text}# end\n"),
                    _ => text,
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        /// Every line that was there is there afterwards, in its order; removing gives back the very same bytes where
        /// the lists existed.
        #[test]
        fn nothing_outside_our_entries_changes(text in kubeconfig()) {
            let contents = edit::inspect(&text).unwrap();
            let merged = merge(&text, &entry("sandbar-a"), true).unwrap();
            let mut rest = merged.lines();
            for line in text.lines().filter(|line| !line.contains("current-context") && !line.contains('[')) {
                prop_assert!(rest.any(|candidate| candidate == line), "lost {line:?} of\n{text}\nin\n{merged}");
            }
            prop_assert_eq!(&merge(&merged, &entry("sandbar-a"), true).unwrap(), &merged);
            // The dangling context of a random file does not come back, since there is none of that name.
            let restore: Vec<String> = contents.current.clone().into_iter().collect();
            let removed = remove(&merged, "sandbar-a", &restore).unwrap();
            let dangling = contents.current.iter().any(|name| !name.is_empty() && !contents.contexts.contains(name));
            let lists = Part::ALL.iter().all(|part| text.contains(&format!("{}:", part.list())));
            if lists && !dangling {
                prop_assert_eq!(removed, text);
            } else {
                let after = edit::inspect(&removed).unwrap();
                prop_assert_eq!((after.clusters, after.contexts, after.users), (contents.clusters, contents.contexts, contents.users));
            }
        }

        /// Whatever the bytes are: an answer, and one that holds what was asked for.
        #[test]
        fn no_text_makes_it_panic(text in "([a-z:\\-\\[\\]{}#'\"&*!|> \t\r\n]|clusters:|name: a|- |contexts:|current-context: )*") {
            if let Ok(merged) = merge(&text, &entry("a"), true) {
                let current = edit::inspect(&merged).unwrap().current;
                prop_assert_eq!(current.as_deref(), Some("a"));
            }
            let _ = remove(&text, "a", &[]);
        }
    }
}
