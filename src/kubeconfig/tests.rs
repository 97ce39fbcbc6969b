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
        "---\nclusters: []\ncontexts: [] # none\n\nusers: []\n...\n",
        "kind: Config\nclusters:\n-\n  # first\n  name: x\n  cluster: {server: y}\ncontexts: []\nusers: []\n",
        "clusters:\n- name: x\n  note: |\n    text\n\n    # no comment\n\n# a comment\ncontexts: [{name: a}]\nusers: []\n",
        "  kind: Config\n  clusters:\n  - {name: x}\n  contexts: []\n  users:\n      - name: u\n        user:\n",
    ] {
        assert_round_trip(text);
    }
}
