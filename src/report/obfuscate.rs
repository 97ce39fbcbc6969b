//! Masks what is private in a text, line by line: the same thing is the same token in all texts of a report. Pure.
//!
//! Secrets are masked always; addresses, host and user names unless their owner wants them readable. What is known
//! ([`Known`]) is found in all its forms; everything else by the name before it or by its own form. A name that tells of
//! nobody stays: loopback, networks of pods and services, `localhost`, names inside of the cluster.

use std::borrow::Cow;

use regex::bytes::{Captures, Regex};

use super::keys::{SecretKeys, is_secret_key};
use super::known::{Known, Literals, is_everybodys, is_host};
use super::patterns::{self, Addresses, Patterns};
use super::tokens::{Kind, Tokens, is_token};
use super::values::{Value, indentation, value_of_plain, values};
use crate::spec::Cidr;

/// A pattern or the automaton of what is known could not be made: there is too much of it.
#[derive(Debug, thiserror::Error)]
#[error("what is private cannot be looked for: {0}")]
pub struct ObfuscateError(String);

/// Learns what is private from texts, before any is masked: what stands next to a name in one text may stand alone in
/// another.
pub struct Learner {
    keys: SecretKeys,
    patterns: Patterns,
    /// What is known so far.
    pub known: Known,
}

impl Learner {
    /// One that knows nothing.
    pub fn new() -> Result<Self, ObfuscateError> {
        let keys = SecretKeys::new().map_err(|error| ObfuscateError(error.to_string()))?;
        let patterns = Patterns::new().map_err(|error| ObfuscateError(error.to_string()))?;
        Ok(Self { keys, patterns, known: Known::default() })
    }

    /// Learns from a text.
    pub fn text(&mut self, text: &[u8]) {
        for line in text.split(|byte| *byte == b'\n') {
            let line = &*plain(&self.patterns.colour, Cow::Borrowed(line));
            values(&self.keys, line, |value| {
                // A plain word is masked where it stands next to its name; elsewhere it is a word.
                if let Value::Here(range) = value
                    && line[range.clone()].len() >= 6
                    && super::known::is_random(&line[range.clone()])
                {
                    self.known.secret(&line[range]);
                }
            });
            if find(line, b"://").is_none() {
                continue;
            }
            for url in self.patterns.url.captures_iter(line) {
                if let Some(user) = url.get(2)
                    && let Some(colon) = user.as_bytes().iter().position(|byte| *byte == b':')
                {
                    self.known.secret(&user.as_bytes()[colon + 1..]);
                }
                if let Some(host) = url.get(3).and_then(|host| std::str::from_utf8(host.as_bytes()).ok()) {
                    self.known.host(host);
                }
            }
        }
    }

    /// The end of learning. `inside` are the networks of pods and services, `keep_names` leaves all but secrets readable.
    pub fn obfuscator(self, inside: Vec<Cidr>, keep_names: bool) -> Result<Obfuscator, ObfuscateError> {
        let literals = self.known.literals(keep_names).map_err(|error| ObfuscateError(error.to_string()))?;
        let addresses = Addresses { inside };
        let (keys, patterns) = (self.keys, self.patterns);
        Ok(Obfuscator { keys, patterns, literals, addresses, keep_names, tokens: Tokens::default() })
    }
}

/// Masks what is private in texts.
pub struct Obfuscator {
    keys: SecretKeys,
    patterns: Patterns,
    literals: Literals,
    addresses: Addresses,
    keep_names: bool,
    /// The tokens so far.
    pub tokens: Tokens,
}

/// What lines above say of a line.
#[derive(Debug, Default)]
struct Above {
    /// In the middle of a PEM block (RFC 7468).
    pem: bool,
    /// In a block of lines that is a secret's value: those that are indented deeper.
    block: Option<usize>,
    /// The name of a variable was a secret's, and its value follows.
    named: bool,
}

impl Obfuscator {
    /// The text with tokens in place of what is private; as many lines as before.
    pub fn text(&mut self, text: &[u8]) -> Vec<u8> {
        let mut above = Above::default();
        let mut result = Vec::with_capacity(text.len());
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                result.push(b'\n');
            }
            let line = plain(&self.patterns.colour, Cow::Borrowed(line));
            let line = self.block(&line, &mut above);
            let line = self.pem(line, &mut above);
            result.extend_from_slice(&self.line(line));
        }
        result
    }

    /// A line of a secret's value that has several lines, or after the name of a variable.
    fn block<'a>(&mut self, line: &'a [u8], above: &mut Above) -> Cow<'a, [u8]> {
        if let Some(indent) = above.block {
            let inside = indentation_of_text(line);
            if line.trim_ascii().is_empty() {
                return Cow::Borrowed(line);
            }
            if inside > indent {
                let token = self.tokens.of(Kind::Secret, line.trim_ascii());
                return Cow::Owned([&line[..inside], token.as_bytes()].concat());
            }
            above.block = None;
        }
        if std::mem::take(&mut above.named)
            && let Some(range) = value_of_plain(line, b"value")
        {
            let token = self.tokens.of(Kind::Secret, &line[range.clone()]);
            return Cow::Owned([&line[..range.start], token.as_bytes(), &line[range.end..]].concat());
        }
        values(&self.keys, line, |value| {
            if let Value::Below(indent) = value {
                above.block = Some(indent);
            }
        });
        above.named = value_of_plain(line, b"name").is_some_and(|range| is_secret_key(&line[range]));
        Cow::Borrowed(line)
    }

    /// Keys and certificates, on one line or over several, with whatever a log has before each line.
    fn pem<'a>(&mut self, line: Cow<'a, [u8]>, above: &mut Above) -> Cow<'a, [u8]> {
        const BEGIN: &[u8] = b"-----BEGIN ";
        const END: &[u8] = b"-----END ";
        if above.pem {
            let end = find(&line, END);
            let body = &line[..end.unwrap_or(line.len())];
            let trimmed = body.trim_ascii_end();
            let start = trimmed.iter().rposition(|byte| !is_base64(*byte)).map_or(0, |at| at + 1);
            let is_body = is_pem_body(&trimmed[start..]);
            above.pem = end.is_none() && is_body;
            if !is_body {
                return line;
            }
            let token = self.tokens.of(Kind::Secret, &trimmed[start..]);
            return Cow::Owned([&line[..start], token.as_bytes(), &line[trimmed.len()..]].concat());
        }
        if find(&line, BEGIN).is_none() {
            return line;
        }
        let mut result = Vec::new();
        let mut rest: &[u8] = &line;
        while let Some(begin) = find(rest, BEGIN) {
            // The marks stay: they say what it was.
            let mark = begin + BEGIN.len();
            let body = find(&rest[mark..], b"-----").map_or(rest.len(), |dashes| mark + dashes + 5);
            let end = find(&rest[body..], END).map(|end| body + end);
            result.extend_from_slice(&rest[..body]);
            let inside = &rest[body..end.unwrap_or(rest.len())];
            if !inside.trim_ascii().is_empty() {
                result.extend_from_slice(self.tokens.of(Kind::Secret, inside).as_bytes());
            }
            above.pem = end.is_none();
            rest = &rest[end.unwrap_or(rest.len())..];
            let Some(after) = rest.strip_prefix(END).and_then(|after| find(after, b"-----").map(|at| (at + 5, after)))
            else {
                break;
            };
            result.extend_from_slice(END);
            result.extend_from_slice(&after.1[..after.0]);
            rest = &after.1[after.0..];
        }
        result.extend_from_slice(rest);
        Cow::Owned(result)
    }

    fn line<'a>(&mut self, line: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        let Self { keys, patterns, literals, addresses, keep_names, tokens } = self;
        let line = known(literals, tokens, line);
        let line = replace(&patterns.key, line, |text, _| {
            let key = text.get(0)?.as_bytes();
            patterns::is_service_key(key).then(|| tokens.of(Kind::Secret, key).into())
        });
        let line = replace(&patterns.scheme, line, |text, _| {
            let (scheme, gap, value) = (text.get(1)?.as_bytes(), text.get(2)?.as_bytes(), text.get(3)?.as_bytes());
            let masked = patterns::is_credential(scheme, value) && !is_token(value);
            masked.then(|| [scheme, gap, tokens.of(Kind::Secret, value).as_bytes()].concat())
        });
        let line = replace(&patterns.url, line, |text, _| url(text, tokens, addresses, *keep_names));
        let line = named(keys, tokens, line);
        let line = replace(&patterns.base64, line, |text, _| {
            let run = text.get(0)?.as_bytes();
            patterns::is_long_base64(run).then(|| tokens.of(Kind::Secret, run).into())
        });
        if *keep_names {
            return line;
        }
        let line = replace(&patterns.email, line, |text, _| {
            let masked = patterns::is_mail_domain(text.get(1)?.as_bytes());
            masked.then(|| tokens.of(Kind::Email, text.get(0).map_or(&[], |all| all.as_bytes())).into())
        });
        let line = replace(&patterns.mac, line, |text, line| {
            let found = text.get(0)?;
            // More of them are a fingerprint.
            let masked = found.len() == 17 && patterns::stands_alone(line, found.start(), found.end());
            masked.then(|| tokens.of(Kind::Mac, found.as_bytes()).into())
        });
        let mut address = |text: &Captures<'_>, line: &[u8]| {
            let found = text.get(0)?;
            let alone = patterns::stands_alone(line, found.start(), found.end());
            let address = alone.then(|| addresses.private(found.as_bytes())).flatten()?;
            Some(tokens.of(Kind::Ip, address.to_string().as_bytes()).into())
        };
        // One of IPv4 is looked for in what only looked like one of IPv6, such as times before it.
        let line = replace(&patterns.v6, line, &mut address);
        let line = replace(&patterns.v4, line, &mut address);
        replace(&patterns.home, line, |text, _| {
            let (folder, name) = (text.get(1)?.as_bytes(), text.get(2)?.as_bytes());
            (!is_token(name)).then(|| [folder, tokens.of(Kind::User, name).as_bytes()].concat())
        })
    }
}

/// A line without colours: what they are written with would hide the beginnings of words.
fn plain<'a>(colour: &Regex, line: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
    replace(colour, line, |_, _| Some(Vec::new()))
}

/// What is known to be private.
fn known<'a>(literals: &Literals, tokens: &mut Tokens, line: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
    let mut result = Vec::new();
    let mut at = 0;
    while let Some((range, kind, original)) = literals.next(&line, at) {
        result.extend_from_slice(&line[at..range.start]);
        result.extend_from_slice(tokens.of(kind, original).as_bytes());
        at = range.end;
    }
    if at == 0 {
        return line;
    }
    result.extend_from_slice(&line[at..]);
    Cow::Owned(result)
}

/// Values that have a secret's name before them.
fn named<'a>(keys: &SecretKeys, tokens: &mut Tokens, line: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
    let mut ranges = Vec::new();
    values(keys, &line, |value| {
        if let Value::Here(range) = value {
            ranges.push(range);
        }
    });
    if ranges.is_empty() {
        return line;
    }
    let (mut result, mut at) = (Vec::new(), 0);
    for range in ranges {
        result.extend_from_slice(&line[at..range.start]);
        result.extend_from_slice(tokens.of(Kind::Secret, &line[range.clone()]).as_bytes());
        at = range.end;
    }
    result.extend_from_slice(&line[at..]);
    Cow::Owned(result)
}

/// A URL with its user, password and host masked.
fn url(text: &Captures<'_>, tokens: &mut Tokens, addresses: &Addresses, keep_names: bool) -> Option<Vec<u8>> {
    let mut result = text.get(1)?.as_bytes().to_vec();
    if let Some(who) = text.get(2) {
        let (user, password) = match who.as_bytes().iter().position(|byte| *byte == b':') {
            Some(colon) => (&who.as_bytes()[..colon], Some(&who.as_bytes()[colon + 1..])),
            // One word may be a user's name or a token; nobody can tell.
            None => (&b""[..], Some(who.as_bytes())),
        };
        if !user.is_empty() {
            let masked = if keep_names || is_token(user) { user.to_vec() } else { tokens.of(Kind::User, user).into() };
            result.extend(masked);
            result.push(b':');
        }
        let password = password.unwrap_or_default();
        result.extend(if is_token(password) { password.to_vec() } else { tokens.of(Kind::Secret, password).into() });
        result.push(b'@');
    }
    if let Some(host) = text.get(3).map(|host| host.as_bytes()) {
        let name = String::from_utf8_lossy(host);
        let bare = name.trim_matches(['[', ']']);
        let told = match bare.parse::<std::net::IpAddr>() {
            Ok(_) => addresses.private(bare.as_bytes()).is_none(),
            Err(_) => is_everybodys(bare) || is_token(host) || !is_host(bare),
        };
        let kind = if bare.parse::<std::net::IpAddr>().is_ok() { Kind::Ip } else { Kind::Host };
        result.extend(if told || keep_names { host.to_vec() } else { tokens.of(kind, bare.as_bytes()).into() });
    }
    Some(result)
}

/// Every match for which there is something else replaced by it.
fn replace<'a>(
    pattern: &Regex,
    line: Cow<'a, [u8]>,
    mut with: impl FnMut(&Captures<'_>, &[u8]) -> Option<Vec<u8>>,
) -> Cow<'a, [u8]> {
    let (mut result, mut at) = (Vec::new(), 0);
    for found in pattern.captures_iter(&line) {
        let Some(range) = found.get(0).map(|all| all.range()) else { continue };
        if let Some(text) = with(&found, &line) {
            result.extend_from_slice(&line[at..range.start]);
            result.extend(text);
            at = range.end;
        }
    }
    if at == 0 {
        return line;
    }
    result.extend_from_slice(&line[at..]);
    Cow::Owned(result)
}

fn indentation_of_text(line: &[u8]) -> usize {
    // Below a list's entry the text may begin with dashes, which are a part of it.
    let spaces = line.iter().take_while(|byte| **byte == b' ').count();
    spaces.min(indentation(line))
}

/// Whether a word is a line of a key, and not the end of a sentence below one that was cut off.
fn is_pem_body(word: &[u8]) -> bool {
    !word.is_empty() && word.len().is_multiple_of(4) && (word.len() >= 16 || !word.iter().all(u8::is_ascii_lowercase))
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests;
