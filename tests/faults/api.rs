//! A client of the API server through the forwarded port, as a program of the user's would be: it asks with the kubeconfig's
//! certificate, gives up soon, and repeats nothing.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use reqwest::{Certificate, Client, Identity, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::suite::Outcome;

/// The client. It belongs to one thread.
pub struct Api {
    runtime: Runtime,
    client: Client,
    server: String,
}

impl Api {
    /// As the current context of the kubeconfig says; each request has so long.
    pub fn new(kubeconfig: &Path, limit: Duration) -> Outcome<Self> {
        // Refused only where it has been done before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let words = |error: reqwest::Error| error.to_string();
        let text = std::fs::read_to_string(kubeconfig).map_err(|error| error.to_string())?;
        let file: Value = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
        let context = &named(&file, "contexts", &file["current-context"])?["context"];
        let cluster = &named(&file, "clusters", &context["cluster"])?["cluster"];
        let user = &named(&file, "users", &context["user"])?["user"];
        let mut identity = pem(&user["client-certificate-data"])?;
        identity.extend(pem(&user["client-key-data"])?);
        let client = Client::builder()
            .no_proxy()
            .timeout(limit)
            .tls_certs_only(Certificate::from_pem_bundle(&pem(&cluster["certificate-authority-data"])?).map_err(words)?)
            .identity(Identity::from_pem(&identity).map_err(words)?)
            .build()
            .map_err(words)?;
        let server = cluster["server"].as_str().ok_or("no server")?.to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { runtime: runtime.map_err(|error| error.to_string())?, client, server })
    }

    /// An object or a list.
    pub fn get(&self, path: &str) -> Outcome<Value> {
        self.answer(self.client.get(self.server.clone() + path), StatusCode::OK)
    }

    /// Makes an object.
    pub fn create(&self, path: &str, object: &Value) -> Outcome<Value> {
        let body = object.to_string();
        let request =
            self.client.post(self.server.clone() + path).header("Content-Type", "application/json").body(body);
        self.answer(request, StatusCode::CREATED)
    }

    fn answer(&self, request: reqwest::RequestBuilder, wanted: StatusCode) -> Outcome<Value> {
        self.runtime.block_on(async {
            let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
            let status = answer.status();
            let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
            if status != wanted {
                return Err(format!("{status}: {text}"));
            }
            serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))
        })
    }
}

fn named<'a>(file: &'a Value, list: &str, name: &Value) -> Outcome<&'a Value> {
    let entries = file[list].as_array().into_iter().flatten();
    entries.into_iter().find(|entry| entry["name"] == *name).ok_or_else(|| format!("no {name} in {list}"))
}

fn pem(data: &Value) -> Outcome<Vec<u8>> {
    let text = data.as_str().ok_or("a certificate or key is missing")?;
    base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| error.to_string())
}
