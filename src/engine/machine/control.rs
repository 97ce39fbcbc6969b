//! What this machine and a node in a QEMU machine tell each other through the port `dev.sandbar.control`: JSON, one
//! message a line (contract/machine.md).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::device::Link;

/// Name of the port.
pub const PORT: &str = "dev.sandbar.control";

/// Name of the port on which the node says what a container's standard output has.
pub const LOG_PORT: &str = "dev.sandbar.log";

/// The address of QEMU's one guest on its user-mode network.
pub const GUEST: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 2, 15);

/// The version of these messages that this program speaks.
pub const VERSION: u32 = 3;

/// The first version in which a machine can wait for its identity.
pub const PARKS: u32 = 2;

/// The first version in which a machine makes itself small before its state is written.
pub const SHRINKS: u32 = 3;

/// Bytes of randomness that a guest gets with each boot and each restore.
pub const ENTROPY: usize = 64;

/// What a guest says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromGuest {
    /// It runs: the sign of life.
    Hello {
        /// Version of its messages.
        version: u32,
        /// Version of Sandbar in it.
        #[serde(default)]
        sandbar: String,
    },
    /// It has come so far.
    Phase {
        /// Such as `disks`.
        name: String,
        /// Milliseconds since power-on.
        #[serde(default)]
        millis: u64,
    },
    /// Programs can be run in it.
    Ready {
        /// Milliseconds since power-on.
        #[serde(default)]
        millis: u64,
    },
    /// It has come as far as it can without an identity, and waits for it.
    Parked {
        /// Milliseconds since power-on.
        #[serde(default)]
        millis: u64,
    },
    /// It cannot go on.
    Failed {
        /// Why, in words.
        reason: String,
    },
    /// Its clock and its randomness are new.
    ClockSet,
    /// What nobody needs of its memory is zeroes.
    Shrunk,
    /// It does not do what it was told.
    Refused {
        /// Type of what it was told.
        #[serde(default)]
        name: String,
        /// Why not, in words.
        reason: String,
    },
    /// It is about to power off.
    Stopped,
    /// Something of a later version.
    #[serde(other)]
    Unknown,
}

/// What a guest is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToGuest {
    /// What it is, once after [`FromGuest::Hello`].
    Boot(Box<Boot>),
    /// Whose it is, once after [`FromGuest::Parked`].
    Identity(Box<Identity>),
    /// What time it is, after a restore or after this machine has slept.
    Clock(Moment),
    /// Its memory is about to be written to a file.
    Shrink,
    /// It is to stop and to power off.
    #[serde(rename_all = "camelCase")]
    Stop {
        /// How long its pods may take.
        grace_millis: u64,
    },
}

/// What a machine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Boot {
    /// Whose it is; none where it is to wait for that.
    #[serde(flatten)]
    pub whose: Whose,
    /// Environment of the node's first process.
    pub environment: BTreeMap<String, String>,
    /// Its network.
    pub network: BootNetwork,
    /// The board that it plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether programs of another architecture run in it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub emulate_binaries: bool,
}

/// Whose a machine is that is switched on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Whose {
    /// That of a cluster.
    Known(Identity),
    /// Nobody's yet.
    Nobodys {
        /// Always true: it is to wait for its identity.
        park: bool,
        /// Now, and randomness.
        #[serde(flatten)]
        moment: Moment,
    },
}

/// The time, and randomness that nobody else gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Now.
    pub time: Timestamp,
    /// Fresh randomness, base64.
    pub entropy: String,
}

/// What makes a machine somebody's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Now, and randomness.
    #[serde(flatten)]
    pub moment: Moment,
    /// Its name.
    pub hostname: String,
    /// Files to place before the node starts.
    pub files: Vec<BootFile>,
    /// How its SSH server proves what it is, and whom it lets in.
    pub ssh: BootSsh,
}

/// A file of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootFile {
    /// Where it is in the node.
    pub path: String,
    /// Its mode.
    pub mode: u32,
    /// What is in it, base64.
    pub content: String,
}

/// The keys of a guest's SSH server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BootSsh {
    /// Its own private key, OpenSSH PEM.
    pub host_key: String,
    /// The public keys that are let in, a line each.
    pub authorized_keys: Vec<String>,
}

/// The network of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BootNetwork {
    /// Its address with the length of the prefix.
    pub address: String,
    /// Where everything else is.
    pub gateway: String,
    /// Who knows names.
    pub dns: String,
    /// How fast and how good it is to be, where it is not to be what this host has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

impl BootNetwork {
    /// What QEMU's user-mode network has for its one guest.
    #[must_use]
    pub fn of_qemu() -> Self {
        Self { address: format!("{GUEST}/24"), gateway: "10.0.2.2".to_owned(), dns: "10.0.2.3".to_owned(), link: None }
    }
}

impl BootFile {
    /// The file of that mode and content.
    #[must_use]
    pub fn new(path: String, mode: u32, content: &[u8]) -> Self {
        Self { path, mode, content: STANDARD.encode(content) }
    }
}

/// Randomness as messages have it.
#[must_use]
pub fn entropy(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

impl ToGuest {
    /// The line to send.
    #[must_use]
    pub fn line(&self) -> String {
        // Texts and numbers alone: there is nothing that JSON could not hold.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

impl FromGuest {
    /// What a line means; none where it is no message.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_guest_are_understood_or_passed_over() {
        let cases: [(&str, Option<FromGuest>); 10] = [
            (
                r#"{"type":"hello","version":1,"sandbar":"0.1.0"}"#,
                Some(FromGuest::Hello { version: 1, sandbar: "0.1.0".to_owned() }),
            ),
            (
                r#"{"type":"phase","name":"disks","millis":812,"more":[]}"#,
                Some(FromGuest::Phase { name: "disks".to_owned(), millis: 812 }),
            ),
            (r#"{"type":"parked","millis":4100}"#, Some(FromGuest::Parked { millis: 4100 })),
            (r#"{"type":"clockSet"}"#, Some(FromGuest::ClockSet)),
            (r#"{"type":"shrunk"}"#, Some(FromGuest::Shrunk)),
            (r#"{"type":"stopped"}"#, Some(FromGuest::Stopped)),
            (r#"{"type":"sings","song":7}"#, Some(FromGuest::Unknown)),
            (r#"{"type":"hello"}"#, None),
            ("", None),
            ("\u{1b}[2J[    0.1] kernel", None),
        ];
        for (line, expected) in cases {
            assert_eq!(FromGuest::parse(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_guest_is_told_in_one_line() {
        let time: Timestamp = "2026-11-26T12:00:00.123456789Z".parse().unwrap();
        let moment = Moment { time, entropy: entropy(&[1, 2, 3]) };
        let identity = Identity {
            moment: moment.clone(),
            hostname: "sandbar-a".to_owned(),
            files: vec![BootFile::new("/etc/sandbar/config.yaml".to_owned(), 0o600, b"a: 1\n")],
            ssh: BootSsh { host_key: "key\n".to_owned(), authorized_keys: vec!["ssh-ed25519 AAAA".to_owned()] },
        };
        let boot = Boot {
            whose: Whose::Known(identity.clone()),
            environment: BTreeMap::from([("A".to_owned(), "b\nc".to_owned())]),
            network: BootNetwork::of_qemu(),
            model: None,
            emulate_binaries: true,
        };
        let parked = Boot { whose: Whose::Nobodys { park: true, moment }, ..boot.clone() };
        let line = ToGuest::Boot(Box::new(parked)).line();
        insta::assert_snapshot!(line, @r#"{"type":"boot","park":true,"time":"2026-11-26T12:00:00.123456789Z","entropy":"AQID","environment":{"A":"b\nc"},"network":{"address":"10.0.2.15/24","gateway":"10.0.2.2","dns":"10.0.2.3"},"emulateBinaries":true}"#);
        let line = ToGuest::Identity(Box::new(identity)).line();
        insta::assert_snapshot!(line, @r#"{"type":"identity","time":"2026-11-26T12:00:00.123456789Z","entropy":"AQID","hostname":"sandbar-a","files":[{"path":"/etc/sandbar/config.yaml","mode":384,"content":"YTogMQo="}],"ssh":{"hostKey":"key\n","authorizedKeys":["ssh-ed25519 AAAA"]}}"#);
        let line = ToGuest::Boot(Box::new(boot)).line();
        insta::assert_snapshot!(line, @r#"{"type":"boot","time":"2026-11-26T12:00:00.123456789Z","entropy":"AQID","hostname":"sandbar-a","files":[{"path":"/etc/sandbar/config.yaml","mode":384,"content":"YTogMQo="}],"ssh":{"hostKey":"key\n","authorizedKeys":["ssh-ed25519 AAAA"]},"environment":{"A":"b\nc"},"network":{"address":"10.0.2.15/24","gateway":"10.0.2.2","dns":"10.0.2.3"},"emulateBinaries":true}"#);
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(ToGuest::Shrink.line(), "{\"type\":\"shrink\"}\n");
        assert_eq!(ToGuest::Stop { grace_millis: 1500 }.line(), "{\"type\":\"stop\",\"graceMillis\":1500}\n");
    }
}
