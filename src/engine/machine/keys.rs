//! The keys of one machine: its SSH server proves with one that it is that machine, whoever runs programs in it proves with
//! the other that it may.

use std::path::Path;
use std::sync::Arc;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey};
use russh::keys::{PrivateKey, PublicKey};
use serde::{Deserialize, Serialize};

use super::random;

/// Both keys as a file has them, OpenSSH PEM.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyFile {
    host: String,
    client: String,
}

/// The keys of a machine.
#[derive(Clone)]
pub struct Keys {
    host: PrivateKey,
    client: Arc<PrivateKey>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read, or the system gives no randomness.
    #[error("its keys cannot be had")]
    System(#[from] std::io::Error),
    /// It has no keys.
    #[error("its keys are damaged: {0}")]
    Damaged(String),
}

impl Keys {
    /// New ones.
    pub fn generate() -> Result<Self, KeysError> {
        let key = || -> Result<PrivateKey, KeysError> {
            let mut seed = [0; Ed25519PrivateKey::BYTE_SIZE];
            random::fill(&mut seed)?;
            Ok(PrivateKey::from(Ed25519Keypair::from_seed(&seed)))
        };
        Ok(Self { host: key()?, client: Arc::new(key()?) })
    }

    /// Those of a file.
    pub fn read(path: &Path) -> Result<Self, KeysError> {
        let file: KeyFile = serde_json::from_slice(&fs_err::read(path)?).map_err(|error| damaged(&error))?;
        let key = |text: &str| PrivateKey::from_openssh(text).map_err(|error| damaged(&error));
        Ok(Self { host: key(&file.host)?, client: Arc::new(key(&file.client)?) })
    }

    /// What a file of its owner's alone is to hold.
    pub fn to_file(&self) -> Result<Vec<u8>, KeysError> {
        let client = self.client.to_openssh(LineEnding::LF).map_err(|error| damaged(&error))?;
        let file = KeyFile { host: self.host_pem()?, client: client.to_string() };
        serde_json::to_vec(&file).map_err(|error| damaged(&error))
    }

    /// The server's own key, for the machine alone.
    pub fn host_pem(&self) -> Result<String, KeysError> {
        Ok(self.host.to_openssh(LineEnding::LF).map_err(|error| damaged(&error))?.to_string())
    }

    /// What the server is known by.
    #[must_use]
    pub fn host_public(&self) -> &PublicKey {
        self.host.public_key()
    }

    /// What the client proves itself with.
    #[must_use]
    pub fn client(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.client)
    }

    /// The line that lets the client in.
    pub fn client_public(&self) -> Result<String, KeysError> {
        self.client.public_key().to_openssh().map_err(|error| damaged(&error))
    }
}

fn damaged(error: &impl ToString) -> KeysError {
    KeysError::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_from_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let keys = Keys::generate().unwrap();
        std::fs::write(&path, keys.to_file().unwrap()).unwrap();
        let again = Keys::read(&path).unwrap();
        assert_eq!(again.host_public(), keys.host_public());
        assert_eq!(again.client_public().unwrap(), keys.client_public().unwrap());
        assert_ne!(keys.host_public().to_openssh().unwrap(), keys.client_public().unwrap());
        std::fs::write(&path, "{}").unwrap();
        assert!(matches!(Keys::read(&path), Err(KeysError::Damaged(_))));
    }
}
