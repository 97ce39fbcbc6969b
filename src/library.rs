//! Clusters for the integration tests of Rust programs: the command line's own way of making one, as a value.
//!
//! Nothing is done here that `cluster` does not do; this is the one door to it beside the command line.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::cluster::{Addresses, Ephemeral, Host, Lease, UpReport, UpRequest};
use crate::context::{Context, Settings};
use crate::env::Env;
use crate::error::{Failure, FailureKind};
use crate::spec::{ClusterName, Flags};

/// A running cluster that is removed when the value is dropped.
///
/// It is a new one, under a free name unless the flags give it one, with a kubeconfig of its own; the user's is not touched.
/// Where the process is killed before it could remove it, the next `sandbar gc` does. Several may be there at a time.
///
/// ```no_run
/// # async fn test() -> Result<(), Box<dyn std::error::Error>> {
/// use sandbar::Cluster;
/// use sandbar::spec::Flags;
///
/// let cluster = Cluster::up(Flags { memory: Some("1Gi".parse()?), ..Flags::default() }).await?;
/// println!("{} with {}", cluster.addresses().api, cluster.kubeconfig().display());
/// // … what is to be tested …
/// cluster.remove().await?;
/// # Ok(())
/// # }
/// ```
pub struct Cluster {
    context: Context,
    report: UpReport,
    /// None once it was removed or is kept.
    ephemeral: Option<Ephemeral>,
}

impl Cluster {
    /// Makes a cluster as `sandbar up` with these flags would, in the environment of this process, and returns when it
    /// answers from this machine, or fails after two minutes. What fails leaves nothing. It does not heed signals: their
    /// meaning is the program's own. Needs a running tokio with time and I/O.
    pub async fn up(flags: Flags) -> Result<Self, Failure> {
        Self::up_in(Env::of_process(), flags, None).await
    }

    /// The same in another environment (`SANDBAR_ENGINE`, `SANDBAR_HOME`, …) and with another time-out.
    pub async fn up_in(env: Env, flags: Flags, timeout: Option<Duration>) -> Result<Self, Failure> {
        let settings = Settings { quiet: true, timeout, ..Settings::default() };
        let context = Context::of_process(env, settings, "up")?;
        let request = UpRequest { flags, file: None, recreate: false, lease: Lease::Owned, timeout: context.timeout() };
        let (ephemeral, report) = Box::pin(Ephemeral::make(&host(&context), request)).await?;
        Ok(Self { context, report, ephemeral: Some(ephemeral) })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ClusterName {
        &self.report.name
    }

    /// How it is reached.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.report.addresses
    }

    /// What `up` said of it.
    #[must_use]
    pub fn report(&self) -> &UpReport {
        &self.report
    }

    /// A kubeconfig that has this cluster alone, as the current context. It goes with the cluster.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        // Whoever has the value has not given it up yet.
        self.ephemeral.as_ref().map_or(Path::new(""), |ephemeral| &ephemeral.kubeconfig)
    }

    /// Removes it with everything of it. Dropping it does the same, but blocks the thread and has no one to tell of a failure.
    pub async fn remove(mut self) -> Result<(), Failure> {
        match self.ephemeral.take() {
            Some(ephemeral) => Ok(ephemeral.remove(&host(&self.context)).await?),
            None => Ok(()),
        }
    }

    /// Keeps it, to look at it after the test: from now on it is a cluster like others, which `sandbar rm` removes.
    pub async fn keep(mut self) -> Result<ClusterName, Failure> {
        if let Some(ephemeral) = self.ephemeral.take() {
            ephemeral.keep(&host(&self.context)).await?;
        }
        Ok(self.report.name.clone())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("report", &self.report).finish_non_exhaustive()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(ephemeral) = self.ephemeral.take() else { return };
        let (context, name) = (&self.context, self.report.name.clone());
        let work = move || -> Result<(), Failure> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Failure::new(FailureKind::Host, error))?;
            Ok(runtime.block_on(ephemeral.remove(&host(context)))?)
        };
        // On a thread of its own: the one that drops it may be in the middle of a runtime, which cannot wait.
        let removed = std::thread::scope(|scope| scope.spawn(work).join());
        match removed {
            Ok(Ok(())) => {}
            // It has no owner any more, so that `gc` removes what is left.
            Ok(Err(error)) => tracing::warn!(%name, %error, "a cluster was not removed; `sandbar gc` does it"),
            Err(_) => tracing::warn!(%name, "a cluster was not removed; `sandbar gc` does it"),
        }
    }
}

fn host(context: &Context) -> Host<'_> {
    Host { heeds_signals: false, ..context.host() }
}
