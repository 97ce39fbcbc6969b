//! Clusters that are there for one command: new ones, with a kubeconfig of their own, whose owner is this process.
//!
//! The kubeconfig is in the cluster's own folder and so goes with it. The owner holds a lock for as long as it lives: a
//! cluster whose owner was killed is told by that and collected by `gc`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;

use super::host::Host;
use super::remove::remove;
use super::up::{UpReport, UpRequest, up};
use super::{ClusterError, Lease};
use crate::kubeconfig::Locations;
use crate::spec::{ClusterName, Flags};
use crate::store::{ClusterLock, Record, StoreError};

/// How many names are tried until one is free.
const NAMES: u32 = 20;

/// A cluster for one command.
pub struct Ephemeral {
    /// Its name.
    pub name: ClusterName,
    /// A kubeconfig that has this cluster alone.
    pub kubeconfig: PathBuf,
    owner: ClusterLock,
}

impl Ephemeral {
    /// Makes a new cluster as `request` says. Without a name it gets a free one; one that exists already is refused. The
    /// user's own kubeconfig is not touched.
    pub async fn make(host: &Host<'_>, mut request: UpRequest) -> Result<(Self, UpReport), ClusterError> {
        let asked = request.flags.name.clone();
        if let (None, Some(found)) = (&asked, &mut request.file) {
            // The file says how the cluster is made; its name is that of another one.
            found.file.metadata.name = None;
        }
        let mut left = NAMES;
        loop {
            let name = match &asked {
                Some(name) => name.clone(),
                None => free_name(host)?,
            };
            left -= 1;
            match Self::make_named(host, &request, name).await {
                Err(ClusterError::Exists { .. }) if asked.is_none() && left > 0 => {}
                made => return made,
            }
        }
    }

    async fn make_named(
        host: &Host<'_>,
        request: &UpRequest,
        name: ClusterName,
    ) -> Result<(Self, UpReport), ClusterError> {
        let owner = match host.store.own(&name, host.command).await {
            Err(StoreError::Locked { .. }) => return Err(ClusterError::Exists { name }),
            owner => owner?,
        };
        let request = UpRequest {
            flags: Flags { name: Some(name.clone()), ..request.flags.clone() },
            lease: Lease::Owned,
            ..request.clone()
        };
        let kubeconfig = host.store.private_kubeconfig(&name);
        let up = match Locations::new(Some(&kubeconfig), &[], None) {
            Ok(locations) => Box::pin(up(&host.with_kubeconfig(locations), &request)).await,
            Err(error) => Err(error.into()),
        };
        match up {
            Ok(report) => Ok((Self { name, kubeconfig, owner }, report)),
            Err(error) => {
                owner.remove();
                Err(error)
            }
        }
    }

    /// Makes it a cluster like others, which stays until somebody removes it.
    pub async fn keep(self, host: &Host<'_>) -> Result<(), ClusterError> {
        let _lock = host.lock(&self.name).await?;
        if let Some(record) = host.store.load(&self.name)? {
            host.store.save(&Record { ephemeral: false, ..record })?;
        }
        self.owner.remove();
        Ok(())
    }

    /// Removes it with everything of it. What could not be removed has no owner any more, which `gc` sees.
    pub async fn remove(self, host: &Host<'_>) -> Result<(), ClusterError> {
        let removed = match Locations::new(Some(&self.kubeconfig), &[], None) {
            Ok(locations) => remove(&host.with_kubeconfig(locations), &self.name).await,
            Err(error) => Err(error.into()),
        };
        self.owner.remove();
        removed.map(drop)
    }
}

/// A name that no cluster has yet, such as `e-x7k2mq`.
fn free_name(host: &Host<'_>) -> Result<ClusterName, ClusterError> {
    let taken = host.store.names()?;
    loop {
        let name = random_name();
        if !taken.contains(&name) {
            return Ok(name);
        }
    }
}

fn random_name() -> ClusterName {
    // The standard library's one source of randomness: each state has keys of its own.
    ClusterName::ephemeral(RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_each_time() {
        let names: std::collections::BTreeSet<ClusterName> = (0..20).map(|_| random_name()).collect();
        assert_eq!(names.len(), 20);
    }
}
