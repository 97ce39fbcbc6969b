//! Docker's contexts: named engines in the folder of the Docker client's settings.
//!
//! The layout is the client's own (docker/cli, `cli/context/store`): `config.json` names the current one, and
//! `contexts/meta/DIGEST/meta.json` describes each, in a folder named after the SHA-256 of its name.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::tls::Material;
use crate::env::Env;

/// The context that is none: `DOCKER_HOST`, or the usual socket.
const DEFAULT: &str = "default";

/// A context that the user chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub name: String,
    /// Whether the environment names it, and not the client's settings.
    pub by_environment: bool,
    folder: PathBuf,
}

/// The part of `config.json` that is needed.
#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(rename = "currentContext", default)]
    current: String,
}

/// A context's `meta.json`.
#[derive(Debug, Deserialize)]
struct Meta {
    #[serde(rename = "Endpoints", default)]
    endpoints: BTreeMap<String, MetaEndpoint>,
}

#[derive(Debug, Deserialize)]
struct MetaEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_tls_verify: bool,
}

/// The folder of the Docker client's settings.
pub(super) fn folder(env: &Env) -> Option<PathBuf> {
    env.docker_config.clone().or_else(|| Some(env.home.as_ref()?.join(".docker")))
}

/// The context that `DOCKER_CONTEXT` or else the client's settings choose; none where that is the default one. Settings
/// that cannot be read choose none: they are another program's, which says more about them.
pub(super) fn chosen(env: &Env) -> Option<Chosen> {
    let folder = folder(env)?;
    let (name, by_environment) = match &env.docker_context {
        Some(name) => (name.clone(), true),
        None => (current(&folder.join("config.json"))?, false),
    };
    (name != DEFAULT && !name.is_empty()).then_some(Chosen { name, by_environment, folder })
}

fn current(file: &Path) -> Option<String> {
    let read = || serde_json::from_str::<Settings>(&fs_err::read_to_string(file)?).map_err(std::io::Error::from);
    match read() {
        Ok(settings) => Some(settings.current),
        Err(error) => {
            tracing::debug!(%error, file = %file.display(), "Docker's settings are passed over");
            None
        }
    }
}

impl Chosen {
    /// The address of its engine and what makes it safe, or why there is none.
    pub fn engine(&self) -> Result<(String, Option<Material>), String> {
        let file = self.folder.join("contexts/meta").join(digest(&self.name)).join("meta.json");
        let text = match fs_err::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(format!("there is no such context in {}", self.folder.display()));
            }
            Err(error) => return Err(error.to_string()),
        };
        let meta: Meta = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        let endpoint = meta.endpoints.get("docker").filter(|endpoint| !endpoint.host.is_empty());
        let endpoint = endpoint.ok_or_else(|| format!("{} names no host", file.display()))?;
        let certificates = self.folder.join("contexts/tls").join(digest(&self.name)).join("docker");
        // The client speaks TLS where there are certificates, or where it is told not to look at the engine's.
        let tls = (certificates.is_dir() || endpoint.skip_tls_verify)
            .then_some(Material { folder: certificates, verify: !endpoint.skip_tls_verify });
        Ok((endpoint.host.clone(), tls))
    }
}

fn digest(name: &str) -> String {
    Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Where a context is described.
    pub fn meta_of(folder: &Path, name: &str) -> PathBuf {
        folder.join("contexts/meta").join(digest(name)).join("meta.json")
    }

    fn write(folder: &Path, name: &str, content: &str) {
        let file = folder.join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, content).unwrap();
    }

    fn context(folder: &Path, name: &str, content: &str) {
        write(folder, &format!("contexts/meta/{}/meta.json", digest(name)), content);
    }

    #[test]
    fn a_folder_is_named_after_the_digest_of_the_name() {
        // As `docker context create desktop-linux` makes it.
        assert_eq!(digest("desktop-linux"), "fe9c6bd7a66301f49ca9b6a70b217107cd1284598bfc254700c989b916da791e");
    }

    #[test]
    fn the_environment_chooses_before_the_settings() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".docker");
        let env = Env { home: Some(home.path().to_owned()), ..Env::default() };
        assert_eq!(chosen(&env), None, "no settings");
        write(&folder, "config.json", r#"{"auths":{},"currentContext":"colima"}"#);
        let by_settings = chosen(&env).unwrap();
        assert_eq!((by_settings.name.as_str(), by_settings.by_environment), ("colima", false));
        let named = Env { docker_context: Some("work".into()), ..env.clone() };
        let by_environment = chosen(&named).unwrap();
        assert_eq!((by_environment.name.as_str(), by_environment.by_environment), ("work", true));
        let usual = Env { docker_context: Some("default".into()), ..env.clone() };
        assert_eq!(chosen(&usual), None);
        let elsewhere = Env { docker_config: Some(home.path().join("elsewhere")), ..env.clone() };
        assert_eq!(chosen(&elsewhere), None);
        for nothing in [r#"{"currentContext":"default"}"#, "{}", "not JSON"] {
            write(&folder, "config.json", nothing);
            assert_eq!(chosen(&env), None, "{nothing}");
        }
        assert_eq!(chosen(&Env::default()), None, "no home");
    }

    #[test]
    fn a_context_leads_to_an_address_or_says_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let engine = |name: &str| {
            let folder = folder.path().to_owned();
            Chosen { name: name.into(), by_environment: true, folder }.engine()
        };
        let colima = r#"{"Name":"colima","Metadata":{"Description":"colima"},
            "Endpoints":{"docker":{"Host":"unix:///home/me/.colima/default/docker.sock","SkipTLSVerify":false}}}"#;
        context(folder.path(), "colima", colima);
        assert_eq!(engine("colima").unwrap(), ("unix:///home/me/.colima/default/docker.sock".to_owned(), None));
        let secure = r#"{"Name":"secure","Endpoints":{"docker":{"Host":"tcp://far:2376"}}}"#;
        context(folder.path(), "secure", secure);
        let tls = format!("contexts/tls/{}/docker", digest("secure"));
        write(folder.path(), &format!("{tls}/ca.pem"), "");
        let material = Material { folder: folder.path().join(tls), verify: true };
        assert_eq!(engine("secure").unwrap(), ("tcp://far:2376".to_owned(), Some(material.clone())));
        context(folder.path(), "secure", &secure.replace("2376\"", "2376\",\"SkipTLSVerify\":true"));
        assert_eq!(engine("secure").unwrap().1, Some(Material { verify: false, ..material }));
        assert_eq!(engine("none").unwrap_err(), format!("there is no such context in {}", folder.path().display()));
        context(folder.path(), "bare", r#"{"Name":"bare","Endpoints":{"kubernetes":{"Host":"https://k"}}}"#);
        assert!(engine("bare").unwrap_err().ends_with("meta.json names no host"));
        context(folder.path(), "torn", r#"{"Name":"torn","#);
        assert!(engine("torn").unwrap_err().contains("meta.json: EOF"), "{:?}", engine("torn"));
    }
}
