//! TLS to an engine: which files make it safe, and what goes wrong with it, in words.
//!
//! A folder has what Docker's own client keeps in it: `ca.pem`, the only authority that counts where it is there, and
//! `cert.pem` with `key.pem`, by which the engine knows who calls.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::engine::TlsProblem;
use crate::tls;

/// Which files make a connection safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Material {
    /// The folder with `ca.pem`, `cert.pem` and `key.pem`.
    pub folder: PathBuf,
    /// Whether the engine has to prove who it is. Docker's contexts and its `DOCKER_TLS` can do without.
    pub verify: bool,
}

impl fmt::Display for Material {
    /// As the query of an address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.to_string_lossy().replace('%', "%25").replace('&', "%26");
        write!(f, "certs={folder}{}", if self.verify { "" } else { "&verify=false" })
    }
}

impl Material {
    /// From the query of an address, `certs=FOLDER` and then perhaps `&verify=false`.
    pub fn parse(query: &str) -> Result<Self, String> {
        let (certs, rest) = query.split_once('&').map_or((query, None), |(certs, rest)| (certs, Some(rest)));
        let verify = match rest {
            None | Some("verify=true") => true,
            Some("verify=false") => false,
            Some(other) => return Err(format!("{other:?} is not verify=true or verify=false")),
        };
        let folder = certs.strip_prefix("certs=").ok_or_else(|| format!("{certs:?} is not certs=FOLDER"))?;
        let folder = PathBuf::from(folder.replace("%26", "&").replace("%25", "%"));
        if folder.is_absolute() {
            Ok(Self { folder, verify })
        } else {
            Err(format!("{} is not an absolute path", folder.display()))
        }
    }

    /// Makes a connection safe: the engine there is the one of that host, and knows who calls.
    pub async fn secure(&self, stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, TlsProblem> {
        let config = self.config()?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TlsProblem::Failed { reason: format!("{host} is no name that a certificate can have") })?;
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        connected.map_err(|error| self.problem(&error, host).unwrap_or_else(|| failed(&error)))
    }

    /// What an error says of TLS; none where that is not its cause.
    pub fn problem(&self, error: &(dyn Error + 'static), host: &str) -> Option<TlsProblem> {
        use rustls::Error as Tls;
        Some(match tls::cause(error)? {
            Tls::InvalidCertificate(reason) => match reason {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    TlsProblem::UnknownAuthority { authority: self.authority() }
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsProblem::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsProblem::NotYetValid,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    TlsProblem::OtherName { host: host.to_owned() }
                }
                other => TlsProblem::Failed { reason: format!("its certificate cannot be used: {other}") },
            },
            Tls::InvalidMessage(_) => TlsProblem::NotSpoken,
            Tls::AlertReceived(alert) => TlsProblem::Refused {
                folder: self.folder.clone(),
                // `CertificateRequired` and the like, which name themselves.
                reason: format!("{alert:?}"),
            },
            other => TlsProblem::Failed { reason: other.to_string() },
        })
    }

    fn authority(&self) -> Option<PathBuf> {
        Some(self.ca()).filter(|file| file.is_file())
    }

    fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    fn config(&self) -> Result<ClientConfig, TlsProblem> {
        if !self.folder.is_dir() {
            return Err(TlsProblem::MissingFile { path: self.folder.clone() });
        }
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(&provider)?);
        let (certificate, key) = (self.folder.join("cert.pem"), self.folder.join("key.pem"));
        match (certificate.exists(), key.exists()) {
            (false, false) => Ok(builder.with_no_client_auth()),
            (true, false) => Err(TlsProblem::MissingFile { path: key }),
            (false, true) => Err(TlsProblem::MissingFile { path: certificate }),
            (true, true) => {
                let chain = certificates(&certificate)?;
                let secret = PrivateKeyDer::from_pem_file(&key).map_err(|error| unusable(&key, &error))?;
                builder.with_client_auth_cert(chain, secret).map_err(|error| unusable(&certificate, &error))
            }
        }
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsProblem> {
        if !self.verify {
            return Ok(Arc::new(Anybody(Arc::clone(provider))));
        }
        let Some(file) = self.authority() else {
            let system = rustls_platform_verifier::Verifier::new(Arc::clone(provider));
            return Ok(Arc::new(system.map_err(|error| failed(&error))?));
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&file)? {
            roots.add(certificate).map_err(|error| unusable(&file, &error))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        Ok(verifier.map_err(|error| unusable(&file, &error))?)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(unusable(path, &"there is no certificate in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn unusable(path: &Path, reason: &dyn fmt::Display) -> TlsProblem {
    TlsProblem::UnusableFile { path: path.to_owned(), reason: reason.to_string() }
}

fn failed(error: &dyn fmt::Display) -> TlsProblem {
    TlsProblem::Failed { reason: error.to_string() }
}

/// Whether what answered a plain request is a server that speaks TLS: Go's says so in an answer, others break off.
pub(super) fn is_demanded(status: u16, words: &str) -> bool {
    status == 400 && words.contains("HTTP request to an HTTPS server")
}

/// Lets everybody be the engine, as long as he has the key of the certificate that he shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "../../../tests/support/certificates.rs"]
mod certificates;
#[cfg(test)]
mod tests;
