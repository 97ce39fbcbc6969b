//! A Podman service of Sandbar's own, where Podman is installed and none runs: on a private socket, ended by itself
//! when nobody used it for a while, shared by all that follow.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::endpoint::Endpoint;
use crate::engine::EngineError;
use crate::platform::Platform;

/// Seconds without a request after which the service ends.
const IDLE_SECONDS: u32 = 600;
/// How long it may take to answer; on a busy machine half a second is seen.
const START: Duration = Duration::from_secs(5);
/// How long one attempt may take.
const PING: Duration = Duration::from_millis(900);
/// How often is asked: a service has no way to tell that it is there.
const ASK: Duration = Duration::from_millis(5);

/// Where the service's socket is.
pub(super) fn socket(dir: &Path) -> PathBuf {
    dir.join("podman.sock")
}

/// The endpoint of a service that answers, started now if none does.
pub(super) async fn ensure(program: &Path, dir: &Path, platform: &dyn Platform) -> Result<Endpoint, EngineError> {
    let endpoint = Endpoint::Unix(socket(dir));
    let failed =
        |reason: String| EngineError::Unreachable { engine: "podman".into(), endpoint: endpoint.to_string(), reason };
    let lock = lock(dir, platform).await.map_err(|error| failed(error.to_string()))?;
    // Another command may have started it while this one waited for the lock.
    if endpoint.ping(PING).await.is_ok() {
        return Ok(endpoint);
    }
    let log = dir.join("podman-service.log");
    let start = || {
        match fs_err::remove_file(socket(dir)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut command = command(program, &endpoint);
        command.stdout(Stdio::null()).stderr(Stdio::from(File::create(&log)?));
        platform.spawn_detached(&mut command)
    };
    start().map_err(|error| failed(format!("{} could not be started: {error}", program.display())))?;
    let begun = tokio::time::Instant::now();
    let result = loop {
        if endpoint.ping(PING).await.is_ok() {
            break Ok(endpoint.clone());
        }
        let said = fs_err::read_to_string(&log).unwrap_or_default();
        if let Some(words) = said.lines().find(|line| line.starts_with("Error:")) {
            break Err(failed(words.trim_start_matches("Error:").trim().to_owned()));
        }
        if begun.elapsed() > START {
            break Err(failed(format!("the service did not answer within {START:?}; see {}", log.display())));
        }
        tokio::time::sleep(ASK).await;
    };
    drop(lock);
    result
}

/// `podman system service` on that socket, always for this machine's own Podman.
#[expect(clippy::disallowed_methods, reason = "it outlives this process, and its output is nobody's")]
fn command(program: &Path, endpoint: &Endpoint) -> Command {
    let mut command = Command::new(program);
    command.args(["system", "service", "--time", &IDLE_SECONDS.to_string(), &endpoint.to_string()]);
    command.env_remove("CONTAINER_HOST").env_remove("CONTAINER_CONNECTION").env("LC_ALL", "C");
    command
}

/// One command at a time starts the service.
async fn lock(dir: &Path, platform: &dyn Platform) -> std::io::Result<File> {
    platform.create_private_dir(dir)?;
    let file = File::create(dir.join("podman-service.lock"))?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    locked.await.map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_started_on_its_own_socket() {
        let command = command(Path::new("/usr/bin/podman"), &Endpoint::Unix("/run/sandbar/podman.sock".into()));
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        assert_eq!(arguments, ["system", "service", "--time", "600", "unix:///run/sandbar/podman.sock"]);
    }
}
