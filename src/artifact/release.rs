//! What a release is made of, where each file of it is, and what is known of it beforehand. Pure.

use super::Digest;
use crate::spec::{ReleasesUrl, without_password};

/// What a build of a release knows of its node images: `ARCHITECTURE=DIGEST/IMAGE`, separated by commas, with the digest of
/// the archive and the ID of the image in it (`images/build.sh digests` prints it).
const PINS: Option<&str> = option_env!("SANDBAR_NODE_DIGESTS");

/// A release of one version.
#[derive(Debug, Clone)]
pub struct Release {
    /// Below which address.
    pub base: ReleasesUrl,
    /// Its version, such as `0.1.0`.
    pub version: String,
    /// What is known of its node images, by architecture.
    pub pins: Vec<(String, Pin)>,
    /// What its nodes run in.
    pub kind: NodeKind,
}

/// What a node of a release runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A container: it is made from an image.
    Container,
    /// A machine of QEMU: it is made from a kernel and a disk.
    Machine,
}

/// A node image that is known before it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Of the archive.
    pub archive: Digest,
    /// ID of the image in it: `sha256:` and the digest of its configuration.
    pub image: String,
}

impl Release {
    /// The one of this program's version.
    #[must_use]
    pub fn of_this_version(base: ReleasesUrl, kind: NodeKind) -> Self {
        let pins = match kind {
            NodeKind::Container => pins(PINS.unwrap_or_default()),
            // The release's own list of digests says what they are.
            NodeKind::Machine => Vec::new(),
        };
        Self { base, version: env!("CARGO_PKG_VERSION").to_owned(), pins, kind }
    }

    /// What is known of the node image for an architecture, such as `amd64`.
    #[must_use]
    pub fn pin(&self, architecture: &str) -> Option<&Pin> {
        self.pins.iter().find(|(name, _)| name == architecture).map(|(_, pin)| pin)
    }

    /// Name of the archive with the node image for an architecture.
    #[must_use]
    pub fn archive(&self, architecture: &str) -> String {
        let what = match self.kind {
            NodeKind::Container => "node",
            NodeKind::Machine => "machine",
        };
        format!("sandbar-{what}-{}-{architecture}.tar.zst", self.version)
    }

    /// Where a file of it is. It may hold a password.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("{}/v{}/{name}", self.base.as_str(), self.version)
    }

    /// Where a file of it is, as it may be shown.
    #[must_use]
    pub fn shown(&self, name: &str) -> String {
        without_password(&self.url(name)).into_owned()
    }

    /// What a CI system calls a cache with its node image for this machine, so that another version or image is another
    /// cache.
    #[must_use]
    pub fn key(&self, architecture: &str) -> String {
        let pin = self.pin(architecture).map(|pin| format!("-{}", &pin.archive.as_str()[..12]));
        format!("sandbar-node-{}-{architecture}{}", self.version, pin.unwrap_or_default())
    }
}

/// The architecture of this program, as images call it.
#[must_use]
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Reads [`PINS`]; what is none is left out, which a test of the release's build would see.
fn pins(text: &str) -> Vec<(String, Pin)> {
    let parse = |entry: &str| {
        let (architecture, rest) = entry.trim().split_once('=')?;
        let (archive, image) = rest.split_once('/')?;
        let image = image.strip_prefix("sha256:").unwrap_or(image).parse::<Digest>().ok()?;
        Some((architecture.to_owned(), Pin { archive: archive.parse().ok()?, image: format!("sha256:{image}") }))
    };
    text.split(',').filter_map(parse).collect()
}

/// The digest of a file in a list as `sha256sum` writes it.
pub(super) fn listed(sums: &str, name: &str) -> Option<Digest> {
    sums.lines().find_map(|line| {
        let (digest, file) = line.split_once(' ')?;
        // A second blank is text, an asterisk binary; programs differ in what they write.
        let file = file.trim_start_matches([' ', '*']).trim_end();
        (file.trim_start_matches("./") == name).then(|| digest.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_says_where_its_files_are() {
        let base = "https://me:secret@mirror.example/sandbar".parse().unwrap();
        let release = Release { base, version: "0.1.0".to_owned(), pins: Vec::new(), kind: NodeKind::Container };
        let name = release.archive("arm64");
        assert_eq!(name, "sandbar-node-0.1.0-arm64.tar.zst");
        assert_eq!(release.url(&name), format!("https://me:secret@mirror.example/sandbar/v0.1.0/{name}"));
        assert_eq!(release.shown(&name), format!("https://mirror.example/sandbar/v0.1.0/{name}"));
        assert_eq!(release.key("arm64"), "sandbar-node-0.1.0-arm64");
        let machines = Release { kind: NodeKind::Machine, ..release };
        assert_eq!(machines.archive("arm64"), "sandbar-machine-0.1.0-arm64.tar.zst");
    }

    #[test]
    fn what_a_build_knows_is_read() {
        let (archive, image) = ("a".repeat(64), "B".repeat(64));
        let known = pins(&format!("amd64={archive}/sha256:{image}, arm64={archive}/short,nothing"));
        let pin = Pin { archive: archive.parse().unwrap(), image: format!("sha256:{}", "b".repeat(64)) };
        assert_eq!(known, [("amd64".to_owned(), pin)]);
        let release = Release {
            base: ReleasesUrl::default(),
            version: "1.0.0".to_owned(),
            pins: known,
            kind: NodeKind::Container,
        };
        assert_eq!(release.key("amd64"), "sandbar-node-1.0.0-amd64-aaaaaaaaaaaa");
        assert_eq!(release.key("arm64"), "sandbar-node-1.0.0-arm64");
        assert_eq!(pins(""), []);
    }

    #[test]
    fn a_digest_is_found_in_a_list() {
        let digest = "0".repeat(64);
        for line in [format!("{digest}  node.tar"), format!("{digest} *node.tar\r"), format!("{digest}  ./node.tar")] {
            let sums = format!("{}  other\n{line}\n", "1".repeat(64));
            assert_eq!(listed(&sums, "node.tar").unwrap().as_str(), digest, "{line}");
        }
        for sums in
            ["", "<html>", "0000  node.tar", &format!("{digest}  a/node.tar"), &format!("{digest}  node.tar.zst")]
        {
            assert_eq!(listed(sums, "node.tar"), None, "{sums}");
        }
    }
}
