//! Files of this machine: Sandbar's own folder, and the user's kubeconfig.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use super::check::Outcome;
use super::finding::Finding;
use super::fix::Fix;
use crate::kubeconfig::{self, KubeconfigError, Locations, MergeOptions};
use crate::platform::Platform;
use crate::process::quoted;
use crate::store::Store;

/// What Sandbar writes of its own for a cluster is less; logs of a failure may be as much.
const ROOM: usize = 2 << 20;
/// After this a lock of kubectl's, which it has for milliseconds, belongs to nobody any more.
const STALE: Duration = Duration::from_mins(1);

/// Writes to the folder of Sandbar's own files, and reads what they say of clusters.
pub(super) fn data(store: &Store) -> Finding {
    let finding = room(&store.dirs().data);
    if finding.outcome == Outcome::Failed {
        return finding;
    }
    match store.list() {
        Err(error) => Finding::of_failure(Outcome::Failed, error),
        Ok((_, broken)) => {
            broken.into_iter().next().map_or(finding, |error| Finding::of_failure(Outcome::Warning, error))
        }
    }
}

/// Writes to the folder of Sandbar's own files, or to the nearest one above that is there.
pub(super) fn room(folder: &Path) -> Finding {
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    let tried = tempfile::tempfile_in(existing).and_then(|mut file| file.write_all(&vec![0; ROOM]));
    let Err(error) = tried else {
        return Finding::passed(format!("{} can be written", folder.display()));
    };
    let help = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free at least 2 MiB there",
        _ => "make it writable for this user",
    };
    Finding::failed(format!("cannot write to {}: {error}", existing.display()))
        .hint(format!("{help}, or move Sandbar's own files: `export SANDBAR_HOME=FOLDER`"))
}

/// Sees whether a cluster's entries could be written to the kubeconfig, as `up` does first.
pub(super) fn kubeconfig(locations: Result<&Locations, KubeconfigError>, platform: &dyn Platform) -> Finding {
    const AT_ONCE: MergeOptions = MergeOptions { make_current: true, timeout: Duration::ZERO };
    let checked = locations.and_then(|locations| {
        kubeconfig::check(locations, "sandbar-default", AT_ONCE, &mut |_| {}).map(|()| locations)
    });
    let locations = match checked {
        Ok(locations) => locations,
        Err(error @ KubeconfigError::Locked { .. }) => return locked(error),
        Err(error) => return Finding::of_failure(Outcome::Failed, error),
    };
    for path in locations.files() {
        if path.metadata().is_ok_and(|metadata| !platform.is_private(&metadata)) {
            let command = format!("chmod 600 {}", quoted(path.as_os_str()));
            return Finding::warning(format!("other users of this machine may read the keys in {}", path.display()))
                .fix(Some(Fix::of_user([command])));
        }
    }
    Finding::passed(format!("{} can be changed", locations.default_file().display()))
}

/// A lock that is held. One that says nothing of its holder and is old was left by a kubectl that was killed.
fn locked(error: KubeconfigError) -> Finding {
    let KubeconfigError::Locked { path, holder, age, .. } = &error else {
        return Finding::of_failure(Outcome::Failed, error);
    };
    let stale = age.filter(|age| holder.is_none() && *age > STALE);
    let more = match (holder, stale) {
        (Some(holder), _) => format!(", held by {holder}"),
        (None, Some(age)) => format!(", {} min old", age.as_secs() / 60),
        (None, None) => String::new(),
    };
    let message = format!("kubeconfig is locked: {} exists{more}", path.display());
    let fix = stale.map(|_| Fix::of_user([format!("rm {}", quoted(path.as_os_str()))]));
    // Who holds it for a moment lets it go.
    let outcome = if stale.is_some() { Outcome::Failed } else { Outcome::Warning };
    Finding { message, ..Finding::of_failure(outcome, error) }.fix(fix)
}
