//! Where the value of a secret's name is in a line: quoted, escaped or bare, after `:`, `=`, or as the next argument. Pure.

use std::ops::Range;

use super::keys::{KeySpan, SecretKeys};

/// What follows a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// It is there.
    Here(Range<usize>),
    /// It is the block of lines below, which are indented deeper than so many characters.
    Below(usize),
    /// None, or nothing that could be one.
    None,
}

/// Calls `found` with every value in a line that has such a name before it.
pub(super) fn values(keys: &SecretKeys, line: &[u8], mut found: impl FnMut(Value)) {
    let mut at = 0;
    while let Some(key) = keys.next(line, at) {
        let value = value_of(line, &key);
        at = match &value {
            Value::Here(range) => range.end.max(key.end),
            Value::Below(_) | Value::None => key.end,
        };
        if value != Value::None {
            found(value);
        }
    }
}

/// The value of `value:` below a `name:` of a secret, as in lists of variables.
pub(super) fn value_of_plain(line: &[u8], key: &[u8]) -> Option<Range<usize>> {
    let start = line.iter().position(|byte| !b" -\"'".contains(byte))?;
    let end = start + key.len();
    if line.get(start..end)? != key {
        return None;
    }
    match value_of(line, &KeySpan { start, end }) {
        Value::Here(range) => Some(range),
        Value::Below(_) | Value::None => None,
    }
}

fn value_of(line: &[u8], key: &KeySpan) -> Value {
    let mut at = key.end;
    // The end of a quoted name, its quote perhaps escaped.
    at += count(&line[at..], b'\\');
    if line.get(at).is_some_and(|byte| b"\"'".contains(byte)) {
        at += 1;
    }
    let spaces = count(&line[at..], b' ');
    let separator = line.get(at + spaces);
    let yaml = separator == Some(&b':');
    let is_flag = line[key.start..].starts_with(b"-");
    if separator.is_some_and(|byte| b":=".contains(byte)) {
        at += spaces + 1;
        if line.get(at) == Some(&b'>') && line.get(at - 1) == Some(&b'=') {
            at += 1;
        }
    } else if !(is_flag && (spaces > 0 || line.get(at).is_some_and(|byte| b",]".contains(byte)))) {
        return Value::None;
    } else if spaces == 0 {
        // The next of a list of arguments.
        at += 1;
    }
    at += line[at.min(line.len())..].iter().take_while(|byte| b" \t".contains(byte)).count();
    let rest = &line[at.min(line.len())..];
    if yaml && (matches!(rest, [b'|' | b'>']) || matches!(rest, [b'|' | b'>', b'+' | b'-'])) {
        return Value::Below(indentation(line));
    }
    let range = extent(line, at, yaml && starts_line(line, key));
    if is_value(&line[range.clone()]) { Value::Here(range) } else { Value::None }
}

/// How far a value reaches that begins there.
fn extent(line: &[u8], at: usize, to_the_end: bool) -> Range<usize> {
    let rest = &line[at.min(line.len())..];
    let escapes = count(rest, b'\\');
    if let Some(quote) = rest.get(escapes).filter(|byte| b"\"'".contains(byte)) {
        let start = at + escapes + 1;
        let inside = &line[start..];
        let mut end = 0;
        while end < inside.len() {
            let slashes = count(&inside[end..], b'\\');
            match inside.get(end + slashes) {
                Some(byte) if byte == quote && slashes == escapes => return start..start + end,
                Some(_) if slashes > 0 => end += slashes + usize::from(slashes % 2 == 1),
                Some(_) => end += 1,
                None => break,
            }
        }
        return start..line.len();
    }
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b",;&\"'}])>".contains(byte);
    let mut length = rest.iter().position(ends).unwrap_or(rest.len());
    // `Authorization: Bearer …`: the word says how, what follows is it.
    if ["bearer", "basic", "digest", "token"].iter().any(|word| rest[..length].eq_ignore_ascii_case(word.as_bytes())) {
        let start = at + length + count(&rest[length..], b' ');
        length = line[start..].iter().position(ends).unwrap_or(line.len() - start);
        return start..start + length;
    }
    if to_the_end {
        let comment = rest.windows(2).position(|pair| pair == b" #").unwrap_or(rest.len());
        return at..at + rest[..comment].trim_ascii_end().len();
    }
    while length > 0 && rest[length - 1] == b'\\' {
        length -= 1;
    }
    at..at + length
}

/// Whether it is a value at all: not what YAML and JSON have for "none", not the beginning of a structure, not a reference.
fn is_value(text: &[u8]) -> bool {
    let none = ["", "true", "false", "null", "none", "nil", "~", "<nil>", "<none>", "[redacted]"];
    let is_none = none.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    let structure = text.first().is_some_and(|byte| b"{[&*|>".contains(byte));
    let reference = text.starts_with(b"$(") || text.starts_with(b"${");
    !(is_none || structure || reference || super::tokens::is_token(text))
}

/// Whether nothing but spaces, dashes and quotes is before the name.
fn starts_line(line: &[u8], key: &KeySpan) -> bool {
    line[..key.start].iter().all(|byte| b" \"'".contains(byte)) || line[..key.start].trim_ascii() == b"-"
}

/// How many spaces a line begins with, the dash of a list counted as one.
pub(super) fn indentation(line: &[u8]) -> usize {
    line.iter().take_while(|byte| b" -".contains(byte)).count()
}

fn count(text: &[u8], byte: u8) -> usize {
    text.iter().take_while(|other| **other == byte).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Vec<String> {
        let keys = SecretKeys::new().unwrap();
        let mut all = Vec::new();
        values(&keys, line.as_bytes(), |value| {
            all.push(match value {
                Value::Here(range) => line[range].to_owned(),
                Value::Below(indent) => format!("below {indent}"),
                Value::None => "none".to_owned(),
            });
        });
        all
    }

    #[test]
    fn values_are_found_in_every_notation() {
        let cases = [
            ("password: hunter2", &["hunter2"][..]),
            ("  password: correct horse battery # mine", &["correct horse battery"]),
            (r#"{"password":"hun\"ter2","a":1}"#, &[r#"hun\"ter2"#]),
            (r#"{"note":"{\"password\":\"hunter2\",\"b\":1}"}"#, &["hunter2"]),
            ("DB_PASSWORD=hunter2 other=1", &["hunter2"]),
            ("run --password hunter2 --user me --token=abc", &["hunter2", "abc"]),
            (r#"["--password","hunter2"]"#, &["hunter2"]),
            (r#"args: ["--password", "hunter2"]"#, &["hunter2"]),
            ("Authorization: Bearer abc.def", &["abc.def"]),
            ("msg=\"login\" password='a b' x=y", &["a b"]),
            ("url?token=abc&user=me", &["abc"]),
            ("password: |", &["below 0"]),
            ("  - secret: >-", &["below 4"]),
            ("automountServiceAccountToken: false", &[]),
            ("secretName: db", &[]),
            ("password: $(DB_PASSWORD)", &[]),
            ("password: secret-3", &[]),
            ("the token is invalid", &[]),
            ("token: ", &[]),
            ("password=\"", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(found(line), expected, "{line}");
        }
    }

    #[test]
    fn the_value_of_a_listed_variable_is_found() {
        for (line, expected) in
            [("  value: hunter2", Some("hunter2")), ("  - value: \"a b\"", Some("a b")), ("  values: a", None)]
        {
            let range = value_of_plain(line.as_bytes(), b"value");
            assert_eq!(range.map(|range| &line[range]), expected, "{line}");
        }
    }
}
