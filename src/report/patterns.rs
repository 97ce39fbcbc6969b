//! What is private by its form, wherever it stands.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::bytes::{Regex, RegexBuilder};

use crate::spec::Cidr;

/// The forms, compiled once a report.
pub(super) struct Patterns {
    /// `scheme://`, user and password if any, host.
    pub url: Regex,
    /// `Bearer` or `Basic` and what follows.
    pub scheme: Regex,
    /// JSON web tokens (RFC 7519), and keys of services that have a form of their own.
    pub key: Regex,
    /// Addresses of mail.
    pub email: Regex,
    /// Hardware addresses.
    pub mac: Regex,
    /// What may be an IPv4 address.
    pub v4: Regex,
    /// What may be an IPv6 address.
    pub v6: Regex,
    /// Home directories.
    pub home: Regex,
    /// Long runs of base64.
    pub base64: Regex,
    /// Colours and the like of terminals (ECMA-48), also as JSON writes them.
    pub colour: Regex,
}

impl Patterns {
    pub fn new() -> Result<Self, regex::Error> {
        let new = |pattern: &str| RegexBuilder::new(pattern).unicode(false).case_insensitive(false).build();
        Ok(Self {
            url: new(
                r#"([A-Za-z][A-Za-z0-9+.-]*://)(?:([^\s/"'<>\\]+)@)?(\[[0-9A-Fa-f:.%a-z]+\]|[^\s/:?#"'<>\\,;(){}\[\]|`*]+)?"#,
            )?,
            scheme: new(r"([Bb][Ee][Aa][Rr][Ee][Rr]|[Bb][Aa][Ss][Ii][Cc])([ +]|%20)+([A-Za-z0-9._~+/=-]{8,})")?,
            // The forms are those that the services publish for scanners of secrets:
            // <https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns>.
            key: new(concat!(
                r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]+)?",
                r"|(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}",
                r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}",
                r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",
                r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}|hf_[A-Za-z0-9]{30,}|dop_v1_[a-f0-9]{60,}",
                r"|sk-[A-Za-z0-9_-]{20,}|hvs\.[A-Za-z0-9_-]{20,}|dckr_pat_[A-Za-z0-9_-]{20,}",
            ))?,
            email: new(r"[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+([A-Za-z]{2,})\b")?,
            mac: new(r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5,}")?,
            v4: new(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")?,
            v6: new(r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.[0-9]{1,3}){3})?")?,
            home: new(r"(/home/|/Users/|\\+Users\\+)([A-Za-z0-9._-]+)")?,
            colour: new(r"(?:\x1b|\\u001[bB]|\\x1[bB]|\\033)\[[0-9;?]*[A-Za-z]")?,
            base64: new(r"[A-Za-z0-9+/_-]{64,}={0,2}")?,
        })
    }
}

/// Whether a key of a service's form is one: `sk-` is the end of many words.
pub(super) fn is_service_key(key: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| key.iter().any(is);
    !key.starts_with(b"sk-") || has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase)
}

/// Whether credentials follow `Bearer` or `Basic`, and not just the next word of a sentence.
pub(super) fn is_credential(scheme: &[u8], value: &[u8]) -> bool {
    if scheme.eq_ignore_ascii_case(b"basic") {
        return STANDARD.decode(value).is_ok_and(|pair| pair.contains(&b':'));
    }
    value.iter().any(u8::is_ascii_digit) || value.len() > 24
}

/// Whether it ends as a mail's domain does, and not as a unit of systemd or a file.
pub(super) fn is_mail_domain(last: &[u8]) -> bool {
    const OTHERS: [&str; 12] =
        ["service", "socket", "slice", "scope", "mount", "timer", "target", "path", "device", "swap", "yaml", "json"];
    !OTHERS.iter().any(|other| last.eq_ignore_ascii_case(other.as_bytes()))
}

/// Whether a long run is base64 of something and not a path, a digest or a name.
pub(super) fn is_long_base64(run: &[u8]) -> bool {
    let digits = run.iter().filter(|byte| byte.is_ascii_digit()).count();
    digits >= 2
        && run.split(|byte| b"/_-".contains(byte)).any(|part| {
            let has = |is: fn(&u8) -> bool| part.iter().any(is);
            part.len() >= 16 && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
        })
}

/// Which addresses may be told.
pub(super) struct Addresses {
    /// Networks of pods and services: the same in most clusters, and nobody outside is reached by them.
    pub inside: Vec<Cidr>,
}

impl Addresses {
    /// The address in a text that has its form, if it is one that may not be told.
    pub fn private(&self, text: &[u8]) -> Option<IpAddr> {
        let address: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
        // Names in programs have its form, too: `a::b`.
        let digits = text.iter().any(u8::is_ascii_digit) || text.iter().position(|byte| *byte == b':') == Some(4);
        let told = !digits
            || match address.to_canonical() {
                IpAddr::V4(v4) => self.is_told(v4),
                IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || is_short(v6),
            };
        (!told).then_some(address)
    }

    fn is_told(&self, address: Ipv4Addr) -> bool {
        let [first, .., last] = address.octets();
        // Loopback, "any", multicast, broadcast and masks.
        let common = address.is_loopback() || first == 0 || first >= 224;
        common || (last == 0 && first == 255) || self.inside.iter().any(|net| net.overlaps(Cidr::new(address, 32)))
    }
}

/// `::1` and the like are no one's address.
fn is_short(address: Ipv6Addr) -> bool {
    address.segments()[..6].iter().all(|part| *part == 0) && address.segments()[6] == 0
}

/// Whether a match stands alone: it is not the middle of a longer number, name or version.
pub(super) fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    let at = |at: usize| text.get(at).copied().unwrap_or(b' ');
    let longer_number = at(end) == b'.' && at(end + 1).is_ascii_digit();
    let longer_name = at(end) == b':' && at(end + 1) == b':';
    !(joins_before(text, start) || joins(at(end)) || longer_number || longer_name)
}

/// Whether what begins there goes on with what is before it. An escaped line's end or tab is not a letter.
pub(super) fn joins_before(text: &[u8], start: usize) -> bool {
    let Some(before) = start.checked_sub(1) else { return false };
    let escaped = b"nrt".contains(&text[before]) && before > 0 && text[before - 1] == b'\\';
    joins(text[before]) && !escaped
}

fn joins(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}
