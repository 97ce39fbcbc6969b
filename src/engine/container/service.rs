//! A Podman service of Sandbar's own, where Podman is installed and none runs: on a private socket, ended by itself
//! when nobody used it for a while, shared by all that follow.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::endpoint::Endpoint;
use crate::engine::EngineError;
use crate::env::Env;
use crate::error::chain;
use crate::platform::Platform;
use crate::process::Program;

/// Seconds without a request after which the service ends.
const IDLE_SECONDS: u32 = 600;
/// How long it may take to answer; on a busy machine half a second is seen.
const START: Duration = Duration::from_secs(5);
/// How long one attempt may take.
const PING: Duration = Duration::from_millis(900);
/// How long to wait for another command that starts it.
const LOCK: Duration = Duration::from_secs(10);
/// How often is asked: a service has no way to tell that it is there.
const ASK: Duration = Duration::from_millis(5);

/// Where the service's socket is.
pub(super) fn socket(dir: &Path) -> PathBuf {
    dir.join("podman.sock")
}

/// The endpoint of a service that answers, started now if none does. It runs in `dir`: it outlives the command, and Podman's
/// monitor leaves a file `oom` in its folder when a container is out of memory.
pub(super) async fn ensure(
    program: &Path,
    dir: &Path,
    platform: &dyn Platform,
    env: &Env,
) -> Result<Endpoint, EngineError> {
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
        service(program, &endpoint, env).folder(dir).detached(File::create(&log)?).map_err(std::io::Error::other)
    };
    start().map_err(|error| failed(format!("the service could not be started: {}", chain(&error))))?;
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
fn service(program: &Path, endpoint: &Endpoint, env: &Env) -> Program {
    let elsewhere = ["CONTAINER_HOST", "CONTAINER_CONNECTION"];
    let variables = env.all.iter().filter(|(name, _)| !elsewhere.iter().any(|other| name == other));
    Program::new(program)
        .args(["system", "service", "--time", &IDLE_SECONDS.to_string(), &endpoint.to_string()])
        .envs(variables.map(|(name, value)| (name, value)))
}

/// One command at a time starts the service.
async fn lock(dir: &Path, platform: &dyn Platform) -> std::io::Result<File> {
    platform.create_private_dir(dir)?;
    let file = File::create(dir.join("podman-service.lock"))?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    let words = "another sandbar has been starting it for too long";
    let late = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, words);
    tokio::time::timeout(LOCK, locked).await.map_err(late)?.map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_started_on_its_own_socket() {
        let endpoint = Endpoint::Unix("/run/sandbar/podman.sock".into());
        let env = |name: &str| Env { all: vec![(name.into(), "x".into())], ..Env::default() };
        let started = |env: &Env| service(Path::new("/usr/bin/podman"), &endpoint, env);
        let words = format!("{:?}", started(&Env::default()));
        assert!(words.contains("system service --time 600 unix:///run/sandbar/podman.sock"), "{words}");
        assert_eq!(started(&env("CONTAINER_HOST")), started(&Env::default()), "it is always this machine's own");
        assert_ne!(started(&env("XDG_RUNTIME_DIR")), started(&Env::default()));
    }
}
