//! Somebody who writes objects one after the other, whatever happens to the node, and remembers what was acknowledged.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Api;
use crate::suite::{Outcome, eventually};

/// Where the objects are.
const PATH: &str = "/api/v1/namespaces/default/configmaps";
/// What they are labelled with.
const LABEL: &str = "faults.test/writer";
/// How long a write may take.
const LIMIT: Duration = Duration::from_secs(3);
/// How long after a write the next one begins: a steady load that leaves the node's two cores to others.
const PAUSE: Duration = Duration::from_millis(15);

/// The writer; it ends with the value.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// How many writes were begun, and how many failed.
    begun: AtomicU64,
    failed: AtomicU64,
    acknowledged: Mutex<BTreeSet<u64>>,
    last_error: Mutex<String>,
}

impl Writer {
    /// Begins to write.
    pub fn start(kubeconfig: &Path, name: &'static str) -> Outcome<Self> {
        let api = Api::new(kubeconfig, LIMIT)?;
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !own.over.load(Ordering::Relaxed) {
                let number = own.begun.fetch_add(1, Ordering::SeqCst);
                match api.create(PATH, &object(name, number)) {
                    Ok(_) => _ = own.acknowledged.lock().unwrap().insert(number),
                    // It may be written all the same: nothing was promised.
                    Err(error) => {
                        own.failed.fetch_add(1, Ordering::Relaxed);
                        *own.last_error.lock().unwrap() = error;
                    }
                }
                std::thread::sleep(PAUSE);
            }
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Waits until a write is acknowledged that begins after this call.
    pub fn awaits_acknowledgement(&self) -> Outcome {
        let begun = self.shared.begun.load(Ordering::SeqCst);
        eventually("a write is acknowledged", || {
            let latest = self.shared.acknowledged.lock().unwrap().last().copied();
            if latest.is_some_and(|latest| latest >= begun) {
                Ok(())
            } else {
                Err(self.shared.last_error.lock().unwrap().clone())
            }
        })
    }

    /// Ends, and makes sure that everything is there that was acknowledged. Returns how many writes that were, and how many
    /// were not acknowledged.
    pub fn finish(mut self, kubeconfig: &Path, name: &'static str) -> Outcome<(usize, u64)> {
        self.end();
        let api = Api::new(kubeconfig, Duration::from_secs(30))?;
        let mut found = BTreeSet::new();
        let mut next = String::new();
        loop {
            let list = api.get(&format!("{PATH}?labelSelector={LABEL}%3D{name}&limit=500&continue={next}"))?;
            for item in list["items"].as_array().into_iter().flatten() {
                let number: u64 = item["data"]["number"].as_str().unwrap_or_default().parse().unwrap();
                if item["data"] == object(name, number)["data"] {
                    found.insert(number);
                }
            }
            match list["metadata"]["continue"].as_str() {
                Some(token) if !token.is_empty() => token.clone_into(&mut next),
                _ => break,
            }
        }
        let acknowledged = self.shared.acknowledged.lock().unwrap();
        let lost: Vec<_> = acknowledged.difference(&found).collect();
        if lost.is_empty() {
            Ok((acknowledged.len(), self.shared.failed.load(Ordering::Relaxed)))
        } else {
            Err(format!("{} of {} acknowledged writes are lost: {lost:?}", lost.len(), acknowledged.len()))
        }
    }

    fn end(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

fn object(name: &str, number: u64) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": format!("{name}-{number}"), "labels": {LABEL: name}},
        "data": {"number": number.to_string(), "filler": "x".repeat(500)},
    })
}
