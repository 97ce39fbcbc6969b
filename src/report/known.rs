//! What is known to be private before a report is written: literally, so that it is found in whatever surroundings.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, Input, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::keys::is_secret_key;
use super::patterns::joins_before;
use super::tokens::{Kind, is_token};

/// Values that anybody would try first hide nothing, and masking them everywhere would hide what a report is for.
const NO_SECRETS: [&str; 20] = [
    "true",
    "false",
    "null",
    "none",
    "yes",
    "no",
    "on",
    "off",
    "default",
    "root",
    "admin",
    "user",
    "username",
    "localhost",
    "kube-system",
    "kubernetes",
    "password",
    "secret",
    "opaque",
    "test",
];
/// Shorter ones stand in every text by chance.
const SHORTEST: usize = 3;
/// Shorter ones, and plain words, are masked where they stand alone.
const SHORTEST_INSIDE: usize = 8;
/// A longer one is masked by its lines, or in base64 by its form.
const LONGEST: usize = 2048;
/// How deep JSON in strings of JSON is looked into.
const DEPTH: usize = 4;

/// What is known to be private.
#[derive(Debug, Default)]
pub struct Known {
    secrets: BTreeSet<Vec<u8>>,
    names: BTreeMap<Vec<u8>, Kind>,
}

/// Finds what is known, in all the forms that it may have.
pub(super) struct Literals {
    automaton: AhoCorasick,
    patterns: Vec<Pattern>,
}

struct Pattern {
    kind: Kind,
    original: Vec<u8>,
    /// Whether it counts only where no letter or digit is beside it.
    alone: bool,
}

impl Known {
    /// A secret value. Of one with several lines each line counts, since texts are looked at line by line.
    pub fn secret(&mut self, value: &[u8]) {
        let value = value.trim_ascii();
        if value.len() < SHORTEST || is_token(value) || is_common(value) {
            return;
        }
        if value.contains(&b'\n') {
            for line in value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
                self.line_of_secret(line);
            }
        }
        if value.len() <= LONGEST {
            self.secrets.insert(value.to_vec());
        }
        if let Ok(json) = serde_json::from_slice::<Value>(value) {
            self.leaves(&json);
        }
    }

    fn line_of_secret(&mut self, line: &[u8]) {
        // What marks the ends of keys and certificates is no secret.
        if line.len() >= 16 && line.len() <= LONGEST && !line.starts_with(b"-----") {
            self.secrets.insert(line.to_vec());
        }
        for word in line.split(|byte| byte.is_ascii_whitespace() || b"\"':=,;".contains(byte)) {
            if word.len() >= SHORTEST_INSIDE && word.len() < line.len() && is_random(word) {
                self.secrets.insert(word.to_vec());
            }
        }
    }

    /// Every text in a secret that is JSON, such as the credentials of registries.
    fn leaves(&mut self, json: &Value) {
        match json {
            Value::String(text) if !text.starts_with('{') => {
                self.secret(text.as_bytes());
                // `auth` is the user and the password together.
                if let Ok(Some((_, password))) = STANDARD.decode(text).map(|pair| {
                    String::from_utf8(pair)
                        .ok()
                        .and_then(|pair| pair.split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())))
                }) {
                    self.secret(password.as_bytes());
                }
            }
            Value::Array(all) => all.iter().for_each(|one| self.leaves(one)),
            Value::Object(all) => all.values().for_each(|one| self.leaves(one)),
            _ => {}
        }
    }

    /// A name that is masked where it stands alone.
    pub fn name(&mut self, kind: Kind, name: &str) {
        if name.len() >= 2 && !is_token(name.as_bytes()) && !NO_SECRETS.contains(&name) {
            self.names.insert(name.as_bytes().to_vec(), kind);
        }
    }

    /// A host's name or domain, unless everybody has it.
    pub fn host(&mut self, host: &str) {
        let host = host.trim_start_matches("*.").trim_end_matches('.');
        if host.contains('.') && is_host(host) && !is_everybodys(host) {
            self.name(Kind::Host, host);
        }
    }

    /// Variables of an environment, as `NAME=VALUE`.
    pub fn variables<'a>(&mut self, variables: impl IntoIterator<Item = &'a str>) {
        for (name, value) in variables.into_iter().filter_map(|variable| variable.split_once('=')) {
            if is_secret_key(name.as_bytes()) {
                self.secret(value.as_bytes());
            }
        }
    }

    /// What in JSON is secret by the name that it has, and which hosts it names.
    pub fn json(&mut self, json: &Value) {
        self.json_to(json, DEPTH);
    }

    fn json_to(&mut self, json: &Value, depth: usize) {
        match json {
            Value::Object(all) => {
                if let (Some(Value::String(name)), Some(Value::String(value))) = (all.get("name"), all.get("value"))
                    && is_secret_key(name.as_bytes())
                {
                    self.secret(value.as_bytes());
                }
                for (key, value) in all {
                    self.member(key, value);
                    self.json_to(value, depth);
                }
            }
            Value::Array(all) => {
                let mut texts = all.iter().map(Value::as_str).peekable();
                while let Some(text) = texts.next() {
                    let Some(text) = text else { continue };
                    if let Some(Some(next)) = texts.peek()
                        && text.starts_with('-')
                        && is_secret_key(text.as_bytes())
                    {
                        self.secret(next.as_bytes());
                    }
                    self.variables([text]);
                }
                for one in all {
                    self.json_to(one, depth);
                }
            }
            // Annotations have whole objects in them.
            Value::String(text) if depth > 0 && text.starts_with(['{', '[']) => {
                if let Ok(inner) = serde_json::from_str::<Value>(text) {
                    self.json_to(&inner, depth - 1);
                }
            }
            _ => {}
        }
    }

    fn member(&mut self, key: &str, value: &Value) {
        const HOSTS: [&str; 7] = ["host", "hosts", "hostname", "hostnames", "externalName", "serverName", "domainName"];
        if is_secret_key(key.as_bytes())
            && let Value::String(text) = value
        {
            self.secret(text.as_bytes());
            // Keys of kubeconfigs are in base64, and their text is known elsewhere without it.
            if key.ends_with("-data")
                && let Ok(decoded) = STANDARD.decode(text)
            {
                self.secret(&decoded);
            }
        }
        let texts: Vec<&str> = match value {
            Value::String(text) => vec![text],
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if HOSTS.contains(&key) {
            for text in &texts {
                self.host(text);
            }
        }
        if key == "image" || key == "Image" || key == "imageID" || key == "names" {
            // The first part of an image's name is a host where it has a dot or a port.
            let registries = texts.iter().filter_map(|text| text.split_once('/')).map(|(first, _)| first);
            registries.for_each(|first| self.host(first.split(':').next().unwrap_or(first)));
        }
    }

    /// Everything in all its forms, to be found.
    pub(super) fn literals(self, keep_names: bool) -> Result<Literals, aho_corasick::BuildError> {
        let mut forms: BTreeMap<Vec<u8>, Pattern> = BTreeMap::new();
        for original in self.secrets {
            for (form, alone) in forms_of(&original) {
                forms.entry(form).or_insert_with(|| Pattern { kind: Kind::Secret, original: original.clone(), alone });
            }
        }
        for (name, kind) in self.names.into_iter().filter(|_| !keep_names) {
            forms.entry(name.clone()).or_insert(Pattern { kind, original: name, alone: true });
        }
        let (texts, patterns): (Vec<_>, Vec<_>) = forms.into_iter().unzip();
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts)?;
        Ok(Literals { automaton, patterns })
    }
}

impl Literals {
    /// The first of them from there on: where it is, its kind, and what it was in its plain form.
    pub fn next(&self, text: &[u8], from: usize) -> Option<(std::ops::Range<usize>, Kind, &[u8])> {
        let mut at = from;
        loop {
            let found = self.automaton.find(Input::new(text).range(at..))?;
            let pattern = &self.patterns[found.pattern().as_usize()];
            let joined_after = text.get(found.end()).is_some_and(u8::is_ascii_alphanumeric);
            if pattern.alone && (joined_after || joins_before(text, found.start())) {
                at = found.start() + 1;
                continue;
            }
            return Some((found.range(), pattern.kind, &pattern.original));
        }
    }
}

/// A secret as it may stand in a text, and whether only where nothing is beside it.
fn forms_of(secret: &[u8]) -> Vec<(Vec<u8>, bool)> {
    let alone = secret.len() < SHORTEST_INSIDE || secret.iter().all(u8::is_ascii_lowercase);
    let mut forms = vec![(secret.to_vec(), alone)];
    let mut text_forms = |text: &str| {
        let escaped = json_escaped(text);
        // Go escapes these in JSON, too, and JSON in JSON is escaped twice.
        let go = escaped.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        let twice = json_escaped(&escaped);
        for form in [escaped, go, twice, text.replace('\'', "''"), percent(text, false), percent(text, true)] {
            forms.push((form.into_bytes(), alone));
        }
    };
    if let Ok(text) = std::str::from_utf8(secret) {
        text_forms(text);
    }
    if secret.len() >= 4 {
        for lead in 0..3 {
            forms.extend(inside_base64(secret, lead).map(|form| (form, false)));
        }
        // With a line's end after it, as `echo | base64` makes it.
        let with_end = [secret, b"\n"].concat();
        for form in [STANDARD.encode(secret), STANDARD.encode(&with_end), STANDARD_NO_PAD.encode(secret)] {
            forms.push((form.into_bytes(), false));
        }
    }
    forms
}

/// As it stands between the quotes of a text in JSON.
fn json_escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The part of base64 that a text makes, whatever `lead` bytes are before it and whatever comes after it.
fn inside_base64(secret: &[u8], lead: usize) -> impl Iterator<Item = Vec<u8>> + use<> {
    let padded = [&vec![0; lead][..], secret].concat();
    // The first characters depend on what is before, the last on what comes after.
    let skip = (lead * 8).div_ceil(6);
    let keep = padded.len() * 8 / 6;
    let cut = move |text: String| text.as_bytes().get(skip..keep).map(<[u8]>::to_vec);
    let forms = [cut(STANDARD_NO_PAD.encode(&padded)), cut(URL_SAFE_NO_PAD.encode(&padded))];
    // Less is found in any text by chance.
    forms.into_iter().flatten().filter(|form| form.len() >= 7)
}

/// Percent-encoded, as in URLs; `lower` has the digits in lower case.
fn percent(text: &str, lower: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| match (plain(byte), lower) {
            (true, _) => char::from(byte).to_string(),
            (false, false) => format!("%{byte:02X}"),
            (false, true) => format!("%{byte:02x}"),
        })
        .collect()
}

fn is_common(value: &[u8]) -> bool {
    let short_number = value.len() < 6 && value.iter().all(u8::is_ascii_digit);
    short_number || NO_SECRETS.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether a word looks as if it was drawn and not written.
pub(super) fn is_random(word: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| word.iter().any(is);
    has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
        || has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
}

/// Whether what stands for the host in a URL is a name: an address may be there, the path of a socket, or a version.
pub(super) fn is_host(text: &str) -> bool {
    !text.starts_with('%')
        && text.contains(|c: char| c.is_ascii_alphabetic())
        && text.parse::<std::net::IpAddr>().is_err()
}

/// Whether a host's name tells nothing of whose machine this is: loopback, names inside of a cluster, and what every
/// cluster names.
pub(super) fn is_everybodys(host: &str) -> bool {
    const NAMES: [&str; 16] = [
        "localhost",
        "svc",
        "cluster.local",
        "sandbar.internal",
        "k8s.io",
        "kubernetes.io",
        "sandbar.dev",
        "docker.io",
        "quay.io",
        "ghcr.io",
        "gcr.io",
        "github.com",
        "localdomain",
        "host.containers.internal",
        "host.docker.internal",
        "openshift.io",
    ];
    let host = host.to_ascii_lowercase();
    NAMES.iter().any(|name| host == *name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')))
        || host.contains(".svc.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masked(known: Known, text: &str) -> String {
        let literals = known.literals(false).unwrap();
        let (mut at, mut result) = (0, String::new());
        while let Some((range, kind, _)) = literals.next(text.as_bytes(), at) {
            result += &text[at..range.start];
            result += &format!("<{kind}>");
            at = range.end;
        }
        result + &text[at..]
    }

    #[test]
    fn a_secret_is_found_in_all_its_forms() {
        let secret = "p<ss w\"rd/1+2";
        let url_encoded = "p%3Css%20w%22rd%2F1%2B2";
        let forms = [
            secret.to_owned(),
            STANDARD.encode(secret),
            STANDARD.encode(format!("{secret}\n")),
            URL_SAFE_NO_PAD.encode(secret),
            url_encoded.to_owned(),
            url_encoded.to_lowercase(),
            json_escaped(secret),
            "p\\u003css w\\\"rd/1+2".to_owned(),
        ];
        for form in forms {
            let mut known = Known::default();
            known.secret(secret.as_bytes());
            let text = masked(known, &format!("before {form} after"));
            assert!(text.starts_with("before <secret>") && text.ends_with(" after"), "{form}: {text}");
        }
    }

    #[test]
    fn a_secret_is_found_inside_base64_of_something_longer() {
        for lead in 0..6 {
            let text = STANDARD.encode(format!("{}hunter2-hunter2:me", "x".repeat(lead)));
            let mut known = Known::default();
            known.secret(b"hunter2-hunter2");
            assert!(masked(known, &text).contains("<secret>"), "{lead}");
        }
    }

    #[test]
    fn what_is_secret_by_its_name_is_learned_from_json() {
        let mut known = Known::default();
        known.json(&json!({
            "env": [{"name": "DB_PASSWORD", "value": "first-1"}, {"name": "COLOUR", "value": "green"}],
            "Env": ["API_TOKEN=second-2", "HOME=/root"],
            "args": ["--password", "third-3", "--secret=fourth-4"],
            "annotations": {"last": "{\"clientSecret\":\"fifth-5\"}"},
            "host": "shop.corp.example", "image": "registry.corp.example/a:1",
        }));
        let text = masked(
            known,
            "first-1 second-2 third-3 fourth-4 fifth-5 green /root shop.corp.example registry.corp.example",
        );
        assert_eq!(text, "<secret> <secret> <secret> <secret> <secret> green /root <host> <host>");
    }

    #[test]
    fn common_words_are_no_secrets_and_plain_ones_count_alone() {
        let mut known = Known::default();
        for word in ["true", "5432", "ab", "postgres", "secret-1"] {
            known.secret(word.as_bytes());
        }
        let text = "true 5432 ab secret-1 postgresql postgres";
        assert_eq!(masked(known, text), "true 5432 ab secret-1 postgresql <secret>");
    }

    #[test]
    fn everybodys_hosts_are_known() {
        for host in
            ["localhost", "hello.default.localhost", "db.default.svc", "a.b.svc.cluster.local", "registry.k8s.io"]
        {
            assert!(is_everybodys(host), "{host}");
        }
        assert!(!is_everybodys("corp.example") && !is_everybodys("notk8s.io"));
    }
}
