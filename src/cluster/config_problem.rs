//! What a node finds wrong in its configuration, said of the files that the user wrote. Pure.

use std::fmt;
use std::path::PathBuf;

use super::inputs::config_path;
use crate::node::StatusReport;
use crate::spec::{ConfigEntry, line_of_config_key};

/// How the node begins what it says of a configuration that is wrong, where it gives no report.
const INVALID: &str = "invalid configuration: ";
/// The code of a warning that tells of a wrong configuration.
const CODE: &str = "ConfigInvalid";

/// One thing that is wrong in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The file; none where the value comes from no file.
    pub file: Option<PathBuf>,
    /// Line, from 1, where one can be named.
    pub line: Option<u64>,
    /// The key's whole path, such as `apiServer.tls.minVersion`, where it is about a key.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub nearest: Option<String>,
}

/// A cluster file as it was read, to find lines in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFileText {
    /// Its path as the user knows it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl ConfigProblem {
    /// Reads one of the node's lines: `FILE:LINE: KEY: MESSAGE (did you mean NEAREST?)`, all but the message optional.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (mut file, mut line) = (None, None);
        let mut rest = text;
        if text.starts_with('/')
            && let Some((place, words)) = text.split_once(": ")
        {
            let numbered = place.rsplit_once(':').and_then(|(path, number)| Some((path, number.parse().ok()?)));
            file = Some(PathBuf::from(numbered.map_or(place, |(path, _)| path)));
            line = numbered.map(|(_, number)| number);
            rest = words;
        }
        let key = rest.split_once(": ").filter(|(key, _)| !key.is_empty() && !key.contains(char::is_whitespace));
        let message = key.map_or(rest, |(_, message)| message);
        let nearest = message.strip_suffix("?)").and_then(|message| message.rsplit_once(" (did you mean "));
        Self {
            file,
            line,
            key: key.map(|(key, _)| key.to_owned()),
            message: nearest.map_or(message, |(message, _)| message).to_owned(),
            nearest: nearest.map(|(_, nearest)| nearest.to_owned()),
        }
    }

    /// All that a node says: the messages of its warnings by their codes or, without them, its last words.
    pub(super) fn all<'a>(warnings: impl Iterator<Item = (&'a str, &'a str)>, words: &str) -> Vec<Self> {
        let told: Vec<Self> = warnings.filter(|(code, _)| *code == CODE).map(|(_, text)| Self::parse(text)).collect();
        if !told.is_empty() {
            return told;
        }
        let words = words.strip_prefix(INVALID).into_iter();
        words.flat_map(|words| words.split("; ")).map(Self::parse).collect()
    }

    /// The same of the file that the user wrote, where it is about one of the drop-ins that `entries` became in the node.
    #[must_use]
    pub fn of_user(mut self, entries: &[ConfigEntry], cluster_file: Option<&ClusterFileText>) -> Self {
        let own = entries.iter().enumerate().find(|(index, entry)| self.file == Some(config_path(*index, entry)));
        match own {
            Some((_, ConfigEntry::File(path))) => self.file = Some(path.clone()),
            Some((index, ConfigEntry::Inline(_))) => {
                // The lines of the drop-in are not those of the cluster file, in which the keys stand as the user wrote them.
                let key = self.key.as_deref().unwrap_or_default();
                self.line = cluster_file.and_then(|file| line_of_config_key(&file.text, index, key));
                self.file = cluster_file.map(|file| file.path.clone());
            }
            None => {}
        }
        self
    }
}

/// The same for what a node's report says of its configuration.
pub fn of_users_files(report: &mut StatusReport, entries: &[ConfigEntry], cluster_file: Option<&ClusterFileText>) {
    for warning in report.warnings.iter_mut().filter(|warning| warning.code == CODE) {
        let problem = ConfigProblem::parse(&warning.message).of_user(entries, cluster_file);
        if let Some(nearest) = &problem.nearest {
            warning.hint = format!("did you mean `{nearest}`?");
        }
        warning.message = problem.to_string();
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}, line {line}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, _) => {}
        }
        match &self.key {
            Some(key) if self.message == "unknown key" => write!(f, "unknown key `{key}`"),
            Some(key) => write!(f, "`{key}` {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// All problems in one text: one as it is, several a line each.
pub(super) fn words(problems: &[ConfigProblem]) -> String {
    match problems {
        [one] => one.to_string(),
        several => {
            let line = |problem: &ConfigProblem| match &problem.nearest {
                Some(nearest) => format!("\n  {problem} (did you mean `{nearest}`?)"),
                None => format!("\n  {problem}"),
            };
            let lines: String = several.iter().map(line).collect();
            format!("the configuration has {} mistakes:{lines}", several.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: Option<u64>, file: Option<&str>, key: Option<&str>, message: &str) -> ConfigProblem {
        let key = key.map(str::to_owned);
        ConfigProblem { file: file.map(PathBuf::from), line, key, message: message.to_owned(), nearest: None }
    }

    #[test]
    fn the_nodes_lines_are_taken_apart() {
        let file = "/etc/sandbar/config.d/10-extra.yaml";
        let cases = [
            (
                format!("{file}:3: dns.x: must be a list, not 1"),
                Some(3),
                Some(file),
                Some("dns.x"),
                "must be a list, not 1",
            ),
            (format!("{file}: is larger than 1 MiB"), None, Some(file), None, "is larger than 1 MiB"),
            (format!("{file}: cannot be read: no"), None, Some(file), None, "cannot be read: no"),
            ("node.x: is too long".to_owned(), None, None, Some("node.x"), "is too long"),
            ("cannot be read: yaml".to_owned(), None, None, None, "cannot be read: yaml"),
        ];
        for (text, line, file, key, message) in cases {
            assert_eq!(ConfigProblem::parse(&text), problem(line, file, key, message), "{text}");
        }
        let parsed = ConfigProblem::parse("/a.yaml:1: dns.baseDomian: unknown key (did you mean baseDomain?)");
        assert_eq!(parsed.nearest.as_deref(), Some("baseDomain"));
        assert_eq!(parsed.to_string(), "/a.yaml, line 1: unknown key `dns.baseDomian`");
    }

    #[test]
    fn problems_are_those_of_the_users_files() {
        let inline = serde_json::json!({"dns": {"baseDomian": "x"}}).as_object().unwrap().clone();
        let entries = [ConfigEntry::File("/home/me/my extra.yaml".into()), ConfigEntry::Inline(inline)];
        let text = "spec:\n  config:\n    - my extra.yaml\n    - dns:\n        baseDomian: x\n".to_owned();
        let file = ClusterFileText { path: "sandbar.yaml".into(), text };
        let of_user = |text: &str, file| ConfigProblem::parse(text).of_user(&entries, file).to_string();
        let first = "/etc/sandbar/config.d/10-my-extra.yaml:2: dns: must be a mapping, not 1";
        assert_eq!(of_user(first, Some(&file)), "/home/me/my extra.yaml, line 2: `dns` must be a mapping, not 1");
        let second = "/etc/sandbar/config.d/11-inline.yaml:3: dns.baseDomian: unknown key";
        assert_eq!(of_user(second, Some(&file)), "sandbar.yaml, line 5: unknown key `dns.baseDomian`");
        assert_eq!(of_user(second, None), "unknown key `dns.baseDomian`");
        let other = "/etc/sandbar/config.yaml:3: node.x: is wrong";
        assert_eq!(of_user(other, Some(&file)), "/etc/sandbar/config.yaml, line 3: `node.x` is wrong");
    }

    #[test]
    fn warnings_say_more_than_the_last_words() {
        let warnings = [("Other", "not this"), ("ConfigInvalid", "a: is wrong"), ("ConfigInvalid", "b: is wrong")];
        let told = ConfigProblem::all(warnings.into_iter(), "invalid configuration: c: is wrong");
        assert_eq!(words(&told), "the configuration has 2 mistakes:\n  `a` is wrong\n  `b` is wrong");
        let told = ConfigProblem::all([].into_iter(), "invalid configuration: c: is wrong; d: is wrong");
        assert_eq!(told.len(), 2);
        assert!(ConfigProblem::all([].into_iter(), "usage: sandbarctl").is_empty());
    }
}
