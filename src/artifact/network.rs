//! How the network is reached: proxies, and whom to trust. What the environment says of both comes with the context.

use std::path::PathBuf;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, NoProxy, Proxy};

use super::{ArtifactError, Patience};
use crate::env::ProxyVariables;
use crate::spec::ReleasesUrl;

/// Redirections that are followed; places of releases keep their files elsewhere.
const REDIRECTIONS: usize = 10;

/// For which addresses a proxy is.
type ProxyKind = fn(String) -> reqwest::Result<Proxy>;

/// How the network is reached.
#[derive(Clone, Default)]
pub struct Network {
    /// What the environment says of proxies.
    pub proxies: ProxyVariables,
    /// A file with certificates of authorities that are trusted beside the system's.
    pub certificates: Option<PathBuf>,
    /// How long to wait for it.
    pub patience: Patience,
}

impl Network {
    /// A client for what is below that address. What begins with TLS never goes on without.
    pub fn client(&self, base: &ReleasesUrl) -> Result<Client, ArtifactError> {
        // Refused only where it has been done before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .no_proxy()
            .http1_only()
            .user_agent(concat!("sandbar/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.patience.stall)
            .read_timeout(self.patience.stall)
            .https_only(base.as_str().starts_with("https://"))
            .redirect(Policy::limited(REDIRECTIONS));
        let except = self.proxies.none.as_deref().and_then(NoProxy::from_string);
        let all = self.proxies.all.as_deref();
        let kinds: [(&'static str, Option<&str>, ProxyKind); 2] = [
            ("HTTP_PROXY", self.proxies.http.as_deref().or(all), Proxy::http),
            ("HTTPS_PROXY", self.proxies.https.as_deref().or(all), Proxy::https),
        ];
        for (variable, address, kind) in kinds {
            let Some(address) = address else { continue };
            let refused = |reason: &str| ArtifactError::Setting { variable, reason: reason.to_owned() };
            let address = with_scheme(address).ok_or_else(|| refused("it is no address of an HTTP proxy"))?;
            let proxy = kind(address).map_err(|_| refused("it is no address of an HTTP proxy"))?;
            builder = builder.proxy(proxy.no_proxy(except.clone()));
        }
        if let Some(path) = &self.certificates {
            let refused = |reason: String| ArtifactError::Setting { variable: "SSL_CERT_FILE", reason };
            let pem = fs_err::read(path).map_err(|error| refused(error.to_string()))?;
            let none = || refused(format!("{} holds no certificate", path.display()));
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| none())?;
            if certificates.is_empty() {
                return Err(none());
            }
            builder = builder.tls_certs_merge(certificates);
        }
        builder.build().map_err(|error| ArtifactError::Unreachable {
            url: base.to_string(),
            reason: super::download::innermost(&error),
        })
    }
}

/// The address of a proxy as a client wants it: people leave the scheme out.
fn with_scheme(address: &str) -> Option<String> {
    match address.split_once("://") {
        None => Some(format!("http://{address}")),
        Some(("http" | "https", _)) => Some(address.to_owned()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(network: &Network) -> String {
        network.client(&ReleasesUrl::default()).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_value() {
        let proxies = ProxyVariables { all: Some("socks5://me:secret@proxy".to_owned()), ..ProxyVariables::default() };
        let words = error(&Network { proxies, ..Network::default() });
        assert_eq!(words, "HTTP_PROXY cannot be used: it is no address of an HTTP proxy");
        let proxies = ProxyVariables { https: Some("http://me:secret@".to_owned()), ..ProxyVariables::default() };
        let words = error(&Network { proxies, ..Network::default() });
        assert_eq!(words, "HTTPS_PROXY cannot be used: it is no address of an HTTP proxy");

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let network = Network { certificates: Some(file.clone()), ..Network::default() };
        assert!(
            error(&network).starts_with("SSL_CERT_FILE cannot be used: failed to open file"),
            "{}",
            error(&network)
        );
        fs_err::write(&file, "nothing").unwrap();
        assert_eq!(error(&network), format!("SSL_CERT_FILE cannot be used: {} holds no certificate", file.display()));
    }

    #[test]
    fn the_scheme_of_a_proxy_may_be_left_out() {
        assert_eq!(with_scheme("proxy:3128").as_deref(), Some("http://proxy:3128"));
        assert_eq!(with_scheme("https://proxy").as_deref(), Some("https://proxy"));
        assert_eq!(with_scheme("socks5h://proxy"), None);
    }
}
