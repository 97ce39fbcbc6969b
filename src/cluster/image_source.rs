//! Where the image of a new node comes from: the first place, in one order for everybody, that has it. Pure.

use std::path::PathBuf;

use super::ClusterError;
use crate::artifact::{Cached, Release};
use crate::engine::ImageInfo;
use crate::spec::{ImageReference, NodeImage};

/// A place that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The engine's own store.
    Store(ImageInfo),
    /// An archive or folder of the user's.
    File(PathBuf),
    /// A registry that the engine asks.
    Registry(ImageReference),
    /// The cache.
    Cache(PathBuf),
    /// A release, by way of the cache.
    Release,
}

/// What was found out before. What is not asked for stays none.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// `podman`, `docker`.
    pub engine: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// What the reference means in the store.
    pub named: Option<ImageInfo>,
    /// The image that this program was built for, as the store has it.
    pub pinned: Option<ImageInfo>,
    /// The image that an archive holds, as the store has it.
    pub packed: Option<ImageInfo>,
    /// The image that the cluster was made from, as the store has it.
    pub remembered: Option<ImageInfo>,
    /// Whether the archive is there.
    pub is_there: bool,
    /// What the cache has, if it was looked at.
    pub cached: Option<Cached>,
}

/// The place, and why none before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub source: Source,
    pub passed: Vec<String>,
}

/// The first place that has the image: the engine's store by digest, what the user named, the cache, a release.
pub(super) fn choose(image: &NodeImage, release: &Release, seen: Seen) -> Result<Choice, ClusterError> {
    match image {
        NodeImage::Archive(path) => archive(path.clone(), seen),
        NodeImage::Reference(reference) if image.is_default() => Ok(of_this_version(reference, release, seen)),
        NodeImage::Reference(reference) => match seen.named {
            Some(info) => Ok(taken(Source::Store(info))),
            None if reference.names_a_registry() => Ok(Choice {
                source: Source::Registry(reference.clone()),
                passed: vec![format!("{}'s store has no {reference}", seen.engine)],
            }),
            None => Err(ClusterError::NoImage { engine: seen.engine, image: reference.clone() }),
        },
    }
}

fn taken(source: Source) -> Choice {
    Choice { source, passed: Vec::new() }
}

fn archive(path: PathBuf, seen: Seen) -> Result<Choice, ClusterError> {
    match (seen.packed, seen.is_there, seen.remembered) {
        (Some(info), ..) => Ok(taken(Source::Store(info))),
        (None, true, _) => Ok(taken(Source::File(path))),
        // The cluster was made from it; what counts is in the store.
        (None, false, Some(info)) => {
            let passed = vec![format!("{} is not there any more", path.display())];
            Ok(Choice { source: Source::Store(info), passed })
        }
        (None, false, None) => {
            let reason = "there is no such file or folder".to_owned();
            Err(ClusterError::ArchiveUnusable { path, reason })
        }
    }
}

fn of_this_version(reference: &ImageReference, release: &Release, seen: Seen) -> Choice {
    let Seen { engine, architecture, named, pinned, cached, .. } = seen;
    let mut passed = Vec::new();
    let in_store = match (release.pin(&architecture), pinned, named) {
        (Some(_), Some(info), _) | (None, _, Some(info)) => Some(info),
        (Some(_), None, Some(_)) => {
            passed.push(format!("{reference} in {engine}'s store is not the image of this release"));
            None
        }
        (_, None | Some(_), None) => {
            passed.push(format!("{engine}'s store has no {reference}"));
            None
        }
    };
    if let Some(info) = in_store {
        return Choice { source: Source::Store(info), passed };
    }
    let name = release.archive(&architecture);
    let source = match cached.unwrap_or(Cached::Missing) {
        Cached::Whole { path } => Source::Cache(path),
        Cached::Missing => {
            passed.push(format!("the cache has no {name}"));
            Source::Release
        }
        Cached::Unfit { reason } => {
            passed.push(format!("{name} in the cache is of no use: {reason}"));
            Source::Release
        }
    };
    Choice { source, passed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{NodeKind, Pin};

    fn image(digit: char) -> ImageInfo {
        ImageInfo {
            id: format!("sha256:{}", digit.to_string().repeat(64)),
            names: Vec::new(),
            labels: std::collections::BTreeMap::new(),
            diff_ids: Vec::new(),
            architecture: "amd64".to_owned(),
            size_bytes: 1,
        }
    }

    fn release(pinned: bool) -> Release {
        let pin = Pin { archive: "a".repeat(64).parse().unwrap(), image: image('1').id };
        Release {
            base: crate::spec::ReleasesUrl::default(),
            version: "1.0.0".to_owned(),
            pins: if pinned { vec![("amd64".to_owned(), pin)] } else { Vec::new() },
            kind: NodeKind::Container,
        }
    }

    fn seen() -> Seen {
        Seen { engine: "podman".to_owned(), architecture: "amd64".to_owned(), ..Seen::default() }
    }

    fn words(text: &str, pinned: bool, seen: Seen) -> String {
        let image = if text.is_empty() { NodeImage::default() } else { text.parse().unwrap() };
        match choose(&image, &release(pinned), seen) {
            Err(error) => format!("error: {error}"),
            Ok(Choice { source, passed }) => {
                let source = match source {
                    Source::Store(info) => format!("store {}", &info.id[7..8]),
                    Source::File(path) | Source::Cache(path) => path.display().to_string(),
                    Source::Registry(reference) => format!("registry {reference}"),
                    Source::Release => "release".to_owned(),
                };
                passed
                    .into_iter()
                    .chain([source])
                    .collect::<Vec<_>>()
                    .join("; ")
                    .replace(env!("CARGO_PKG_VERSION"), "VERSION")
            }
        }
    }

    #[test]
    fn the_image_of_this_version_comes_from_the_first_place_that_has_it() {
        let whole = || Some(Cached::Whole { path: "/cache/a".into() });
        let unfit = || Some(Cached::Unfit { reason: "it was damaged".to_owned() });
        let none = "podman's store has no localhost/sandbar-node:VERSION";
        for (pinned, seen, expected) in [
            (false, Seen { named: Some(image('2')), cached: whole(), ..seen() }, "store 2".to_owned()),
            (true, Seen { named: Some(image('2')), pinned: Some(image('1')), ..seen() }, "store 1".to_owned()),
            (
                true,
                Seen { named: Some(image('2')), cached: whole(), ..seen() },
                "localhost/sandbar-node:VERSION in podman's store is not the image of this release; /cache/a"
                    .to_owned(),
            ),
            (false, Seen { cached: whole(), ..seen() }, format!("{none}; /cache/a")),
            (
                true,
                Seen { cached: unfit(), ..seen() },
                format!("{none}; sandbar-node-1.0.0-amd64.tar.zst in the cache is of no use: it was damaged; release"),
            ),
            (false, seen(), format!("{none}; the cache has no sandbar-node-1.0.0-amd64.tar.zst; release")),
        ] {
            assert_eq!(words("", pinned, seen), expected);
        }
    }

    #[test]
    fn what_the_user_names_comes_from_nowhere_else() {
        let whole = || Some(Cached::Whole { path: "/cache/a".into() });
        for (text, seen, expected) in [
            ("node:2", Seen { named: Some(image('2')), ..seen() }, "store 2"),
            ("node:2", Seen { cached: whole(), ..seen() }, "error: podman has no image node:2"),
            ("localhost/node:2", seen(), "error: podman has no image localhost/node:2"),
            ("example.com/node:2", Seen { named: Some(image('2')), ..seen() }, "store 2"),
            ("example.com/node:2", seen(), "podman's store has no example.com/node:2; registry example.com/node:2"),
            ("/a.tar", Seen { packed: Some(image('3')), is_there: true, ..seen() }, "store 3"),
            ("/a.tar", Seen { is_there: true, remembered: Some(image('4')), ..seen() }, "/a.tar"),
            ("/a.tar", Seen { remembered: Some(image('4')), ..seen() }, "/a.tar is not there any more; store 4"),
            ("/a.tar", seen(), "error: node image /a.tar cannot be used: there is no such file or folder"),
        ] {
            assert_eq!(words(text, true, seen), expected, "{text}");
        }
    }
}
