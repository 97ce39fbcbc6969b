//! Certificates for an engine of the tests' own and for its users, as Docker's client keeps them.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, Error, IsCa, Issuer, KeyPair, date_time_ymd};

/// An authority of the tests' own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new one.
    pub fn new() -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of the tests");
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Writes `ca.pem`, `cert.pem` and `key.pem` for whoever has those names; valid until the end of that year.
    pub fn write(&self, folder: &Path, names: &[&str], until: i32) -> Result<(), Box<dyn std::error::Error>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("ca.pem"), &self.pem)?;
        std::fs::write(folder.join("cert.pem"), params.signed_by(&key, &self.issuer)?.pem())?;
        std::fs::write(folder.join("key.pem"), key.serialize_pem())?;
        Ok(())
    }
}
