//! Until when the certificate in a kubeconfig lets its user in.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, Error, RootCertStore};

use super::entry::Entry;

/// When the user's certificate of an entry ends, if that is before `moment`; none as well where it cannot be told, as for a
/// user who is let in by something else.
///
/// The library that decides it for connections is asked whether it would let the user in at that moment: it says when a
/// certificate ended.
#[must_use]
pub fn ends_before(entry: &Entry, moment: Timestamp) -> Option<Timestamp> {
    let authorities = CertificateDer::from_pem_slice(&entry.certificate_authority().ok()?).ok()?;
    let user = CertificateDer::from_pem_slice(&entry.client_certificate().ok()?).ok()?;
    let mut roots = RootCertStore::empty();
    roots.add(authorities).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let moment = Duration::from_secs(u64::try_from(moment.as_second()).ok()?);
    match verifier.verify_client_cert(&user, &[], UnixTime::since_unix_epoch(moment)) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Timestamp::from_second(i64::try_from(not_after.as_secs()).ok()?).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};

    use super::*;

    /// An entry whose certificate is valid in 2026, and another authority's PEM.
    fn entry() -> (Entry, String) {
        let authority = |name: &str| {
            let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            (parameters.self_signed(&key).unwrap().pem(), Issuer::new(parameters, key))
        };
        let (pem, issuer) = authority("cluster");
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (parameters.not_before, parameters.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 1));
        let key = KeyPair::generate().unwrap();
        let user = parameters.signed_by(&key, &issuer).unwrap().pem();
        let entry = Entry {
            name: "sandbar-edge".to_owned(),
            server: "https://127.0.0.1:6443".to_owned(),
            certificate_authority_data: STANDARD.encode(pem),
            client_certificate_data: STANDARD.encode(user),
            client_key_data: STANDARD.encode(key.serialize_pem()),
        };
        (entry, authority("another").0)
    }

    #[test]
    fn the_end_is_told_when_it_is_near() {
        let (entry, another) = entry();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(ends_before(&entry, at("2026-12-01T00:00:00Z")), None);
        assert_eq!(ends_before(&entry, at("2027-01-02T00:00:00Z")), Some(at("2027-01-01T00:00:00Z")));
        assert_eq!(ends_before(&entry, at("2036-01-02T00:00:00Z")), Some(at("2027-01-01T00:00:00Z")));
        // Who is not let in at all is another matter.
        let foreign = Entry { certificate_authority_data: STANDARD.encode(another), ..entry.clone() };
        assert_eq!(ends_before(&foreign, at("2026-12-01T00:00:00Z")), None);
        let none = Entry { client_certificate_data: String::new(), ..entry };
        assert_eq!(ends_before(&none, at("2036-01-02T00:00:00Z")), None);
    }
}
