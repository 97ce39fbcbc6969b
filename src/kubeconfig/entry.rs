//! What a kubeconfig says of one cluster: where it is, whom to trust, who one is.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use super::edit::Part;
use crate::yaml::Node;

/// One cluster, one user and the context that joins them, all under one name.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name of all three, such as `sandbar-default`.
    pub name: String,
    /// URL of the API server, such as `https://127.0.0.1:6443`.
    pub server: String,
    /// The cluster's CA certificates, base64 of PEM.
    pub certificate_authority_data: String,
    /// The user's certificate, base64 of PEM.
    pub client_certificate_data: String,
    /// The user's private key, base64 of PEM. A secret: not in any message, not in [`fmt::Debug`].
    pub client_key_data: String,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("server", &self.server).finish_non_exhaustive()
    }
}

/// Why a node's kubeconfig cannot be used. Its text is never quoted, since it holds a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// It is not YAML, or a field has another type.
    #[error("the node's kubeconfig cannot be read (line {line})")]
    Unreadable {
        /// Line, from 1; 0 where it is not known.
        line: u64,
    },
    /// Something that is needed is not in it.
    #[error("the node's kubeconfig has no {what}")]
    Missing {
        /// Such as `context sandbar-default`.
        what: String,
    },
    /// A field is not base64 of PEM.
    #[error("{field} in the node's kubeconfig is not base64 of PEM")]
    NotPem {
        /// Its key.
        field: &'static str,
    },
}

impl Entry {
    /// The entry behind the current context (or else the only one) of a kubeconfig that `sandbarctl kubeconfig` printed.
    pub fn parse(kubeconfig: &str) -> Result<Self, EntryError> {
        let file = File::parse(kubeconfig)?;
        let wanted = file.current_context.as_deref().filter(|name| !name.is_empty());
        file.entry(wanted)
    }

    /// The entry behind that context of a kubeconfig, which has to be complete in it.
    pub fn of_context(kubeconfig: &str, name: &str) -> Result<Self, EntryError> {
        File::parse(kubeconfig)?.entry(Some(name))
    }

    /// The cluster's CA certificates as PEM.
    pub fn certificate_authority(&self) -> Result<Vec<u8>, EntryError> {
        pem("certificate-authority-data", &self.certificate_authority_data)
    }

    /// The user's certificate as PEM.
    pub fn client_certificate(&self) -> Result<Vec<u8>, EntryError> {
        pem("client-certificate-data", &self.client_certificate_data)
    }

    /// The user's private key as PEM.
    pub fn client_key(&self) -> Result<Vec<u8>, EntryError> {
        pem("client-key-data", &self.client_key_data)
    }

    /// The fields of its value in a list, in the order in which kubectl writes them.
    pub(super) fn fields(&self, part: Part) -> Vec<(&'static str, &str)> {
        match part {
            Part::Cluster => {
                vec![("certificate-authority-data", &self.certificate_authority_data), ("server", &self.server)]
            }
            Part::Context => vec![("cluster", &self.name), ("user", &self.name)],
            Part::User => vec![
                ("client-certificate-data", &self.client_certificate_data),
                ("client-key-data", &self.client_key_data),
            ],
        }
    }

    /// Whether an item of a list says what this entry says. A context may say more.
    pub(super) fn is_in(&self, part: Part, item: &Node) -> bool {
        let fields = self.fields(part);
        let Some(value) = item.get(part.item()) else { return false };
        item.get_str("name") == Some(self.name.as_str())
            && fields.iter().all(|(key, text)| value.get_str(key) == Some(text))
            && (part == Part::Context || value.pairs().is_some_and(|pairs| pairs.len() == fields.len()))
    }
}

fn pem(field: &'static str, data: &str) -> Result<Vec<u8>, EntryError> {
    let bytes = BASE64.decode(data).map_err(|_| EntryError::NotPem { field })?;
    if bytes.starts_with(b"-----BEGIN ") { Ok(bytes) } else { Err(EntryError::NotPem { field }) }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    users: Vec<NamedUser>,
    current_context: Option<String>,
}

impl File {
    fn parse(kubeconfig: &str) -> Result<Self, EntryError> {
        serde_saphyr::from_str(kubeconfig)
            .map_err(|error| EntryError::Unreadable { line: error.location().map_or(0, |at| at.line()) })
    }

    /// The entry behind a context, or else the only one.
    fn entry(&self, wanted: Option<&str>) -> Result<Entry, EntryError> {
        let missing = |what: String| EntryError::Missing { what };
        let context = match (wanted, self.contexts.as_slice()) {
            (Some(name), all) => {
                all.iter().find(|context| context.name == name).ok_or_else(|| missing(format!("context {name}")))?
            }
            (None, [only]) => only,
            (None, _) => return Err(missing("current context".to_owned())),
        };
        let (cluster, user) = (&context.context.cluster, &context.context.user);
        let cluster = &self
            .clusters
            .iter()
            .find(|candidate| &candidate.name == cluster)
            .ok_or_else(|| missing(format!("cluster {cluster}")))?
            .cluster;
        let user = &self
            .users
            .iter()
            .find(|candidate| &candidate.name == user)
            .ok_or_else(|| missing(format!("user {user}")))?
            .user;
        if cluster.server.is_empty() {
            return Err(missing("server".to_owned()));
        }
        let entry = Entry {
            name: context.name.clone(),
            server: cluster.server.clone(),
            certificate_authority_data: cluster.certificate_authority_data.clone(),
            client_certificate_data: user.client_certificate_data.clone(),
            client_key_data: user.client_key_data.clone(),
        };
        entry.certificate_authority()?;
        entry.client_certificate()?;
        entry.client_key()?;
        Ok(entry)
    }
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    #[serde(default)]
    server: String,
    #[serde(default)]
    certificate_authority_data: String,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    #[serde(default)]
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    #[serde(default)]
    client_certificate_data: String,
    #[serde(default)]
    client_key_data: String,
}
