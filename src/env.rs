//! The one place that reads the environment. A snapshot, taken once in `main`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// What the environment says, of all that Sandbar looks at. Empty variables count as not set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Env {
    /// Everything, for programs of the user's own that take over the terminal (kubectl).
    pub all: Vec<(OsString, OsString)>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// The files in `KUBECONFIG`, in their order.
    pub kubeconfig: Vec<PathBuf>,
    /// `PATH`, where programs are looked for.
    pub path: Option<OsString>,
    /// `NO_COLOR`: no colours wherever (<https://no-color.org>).
    pub no_color: bool,
    /// `TERM`.
    pub term: Option<String>,
    /// `SHELL`, for completions.
    pub shell: Option<String>,
    /// `CONTAINER_HOST`, where Podman's API is.
    pub container_host: Option<String>,
    /// `DOCKER_HOST`, where Docker's API is.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`, which of Docker's contexts to use.
    pub docker_context: Option<String>,
    /// `DOCKER_CONFIG`, where the settings of Docker's client are.
    pub docker_config: Option<PathBuf>,
    /// `DOCKER_TLS`: `DOCKER_HOST` speaks TLS, and need not prove who it is.
    pub docker_tls: bool,
    /// `DOCKER_TLS_VERIFY`: `DOCKER_HOST` speaks TLS.
    pub docker_tls_verify: bool,
    /// `DOCKER_CERT_PATH`, the folder with the files for that.
    pub docker_cert_path: Option<PathBuf>,
    /// `TMPDIR`, where Podman Machine has its sockets.
    pub temporary_dir: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, `XDG_DATA_HOME`, `XDG_CACHE_HOME` and `XDG_STATE_HOME`, where a user's own files are.
    pub xdg_config_home: Option<PathBuf>,
    /// See [`Env::xdg_config_home`].
    pub xdg_data_home: Option<PathBuf>,
    /// See [`Env::xdg_config_home`].
    pub xdg_cache_home: Option<PathBuf>,
    /// See [`Env::xdg_config_home`].
    pub xdg_state_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, where a user's own sockets are.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `SANDBAR_HOME`: all of Sandbar's own files below one folder.
    pub sandbar_home: Option<PathBuf>,
    /// `SANDBAR_CLUSTER`: the cluster of commands that name none; set for the command of `up --ephemeral`.
    pub sandbar_cluster: Option<String>,
    /// `SANDBAR_ENGINE`: `auto`, `podman`, `docker`, an address, or `fake:FOLDER` in tests.
    pub sandbar_engine: Option<String>,
    /// `SANDBAR_RELEASES`: where releases are downloaded from, in place of the usual place and of the cluster file's.
    pub sandbar_releases: Option<String>,
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    pub proxies: ProxyVariables,
    /// The names of those for a protocol that are set, in the letters in which they are. Values may hold passwords.
    pub proxy_names: Vec<String>,
    /// `SSL_CERT_FILE`: certificates of authorities that are trusted beside the system's.
    pub ssl_cert_file: Option<PathBuf>,
    /// `SANDBAR_LOG`: filter of the program's own log, as the tracing crate has it.
    pub sandbar_log: Option<String>,
}

/// What the environment says of proxies, in either case of its letters, lower case first.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyVariables {
    /// `http_proxy` or `HTTP_PROXY`.
    pub http: Option<String>,
    /// `https_proxy` or `HTTPS_PROXY`.
    pub https: Option<String>,
    /// `all_proxy` or `ALL_PROXY`, where the one for a protocol is not set.
    pub all: Option<String>,
    /// `no_proxy` or `NO_PROXY`: hosts, domains and networks that are reached without one.
    pub none: Option<String>,
}

impl Env {
    /// The environment of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn of_process() -> Self {
        Self { all: std::env::vars_os().collect(), ..Self::from_lookup(|name| std::env::var_os(name)) }
    }

    /// From a function that looks variables up, so that tests need no process of their own.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let path = |name: &str| set(name).map(PathBuf::from);
        let list = |value: &OsStr| std::env::split_paths(value).filter(|file| !file.as_os_str().is_empty()).collect();
        let proxy_names = ["http_proxy", "https_proxy", "all_proxy"].map(|name| [name.to_owned(), name.to_uppercase()]);
        Self {
            all: Vec::new(),
            proxy_names: proxy_names.into_iter().flatten().filter(|name| set(name).is_some()).collect(),
            home: path("HOME").or_else(|| path("USERPROFILE")),
            kubeconfig: set("KUBECONFIG").map(|value| list(&value)).unwrap_or_default(),
            path: set("PATH"),
            no_color: set("NO_COLOR").is_some(),
            term: text("TERM"),
            shell: text("SHELL"),
            container_host: text("CONTAINER_HOST"),
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_config: path("DOCKER_CONFIG"),
            docker_tls: set("DOCKER_TLS").is_some(),
            docker_tls_verify: set("DOCKER_TLS_VERIFY").is_some(),
            docker_cert_path: path("DOCKER_CERT_PATH"),
            temporary_dir: path("TMPDIR"),
            xdg_config_home: path("XDG_CONFIG_HOME"),
            xdg_data_home: path("XDG_DATA_HOME"),
            xdg_cache_home: path("XDG_CACHE_HOME"),
            xdg_state_home: path("XDG_STATE_HOME"),
            xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
            sandbar_home: path("SANDBAR_HOME"),
            sandbar_cluster: text("SANDBAR_CLUSTER"),
            sandbar_engine: text("SANDBAR_ENGINE"),
            sandbar_releases: text("SANDBAR_RELEASES"),
            proxies: ProxyVariables {
                http: text("http_proxy").or_else(|| text("HTTP_PROXY")),
                https: text("https_proxy").or_else(|| text("HTTPS_PROXY")),
                all: text("all_proxy").or_else(|| text("ALL_PROXY")),
                none: text("no_proxy").or_else(|| text("NO_PROXY")),
            },
            ssl_cert_file: path("SSL_CERT_FILE"),
            sandbar_log: text("SANDBAR_LOG"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_variables_are_not_set_and_lists_are_split() {
        let env = Env::from_lookup(|name| match name {
            "HOME" => Some("/home/me".into()),
            "KUBECONFIG" => std::env::join_paths(["/a", "", "/b"]).ok(),
            "NO_COLOR" | "SANDBAR_HOME" | "https_proxy" => Some("".into()),
            "HTTPS_PROXY" => Some("http://proxy:3128".into()),
            "no_proxy" => Some("small".into()),
            "NO_PROXY" => Some("CAPITAL".into()),
            _ => None,
        });
        assert_eq!(env.home, Some("/home/me".into()));
        assert_eq!(env.kubeconfig, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert!(!env.no_color);
        assert_eq!(env.sandbar_home, None);
        let proxies = ProxyVariables {
            https: Some("http://proxy:3128".into()),
            none: Some("small".into()),
            ..ProxyVariables::default()
        };
        assert!(env.proxies == proxies);
    }
}
