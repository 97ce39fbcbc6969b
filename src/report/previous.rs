//! The report of the last failure, as a part of a later one.

use std::collections::BTreeMap;
use std::path::Path;

use regex::bytes::Regex;

use super::{Content, Gathered, PartError, Subject, archive, map_path};

/// Name of the archive in the folder of a failure.
pub const ARCHIVE: &str = "report.tar.gz";

/// The files of the last failure's report. Its tokens are not those of this one, so what they stand for takes their place
/// until everything is masked again.
pub(super) fn gather(subject: &Subject<'_>) -> Result<Gathered, PartError> {
    let mut gathered = Gathered::default();
    let prefix = format!("{}-", subject.name);
    let failures = subject.store.failures()?;
    let own = |folder: &&std::path::PathBuf| {
        // A time has no dash, the name of another cluster may begin like this one's.
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(&prefix).is_some_and(|time| !time.contains('-'))
    };
    let Some(last) = failures.iter().rev().find(own) else { return Ok(gathered) };
    let bytes = match std::fs::read(last.join(ARCHIVE)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(gathered),
        bytes => bytes?,
    };
    let tokens = tokens(&map_path(&last.join(ARCHIVE)));
    for (path, text) in archive::unpack(&bytes)? {
        gathered.add(&format!("last-failure/{path}"), Content::Text(put_back(&text, &tokens)?));
    }
    Ok(gathered)
}

fn tokens(map: &Path) -> BTreeMap<String, String> {
    #[derive(serde::Deserialize)]
    struct Map {
        tokens: BTreeMap<String, String>,
    }
    // Without the map tokens cannot be put back, and are masked for good.
    let map = std::fs::read(map).ok().and_then(|text| serde_json::from_slice::<Map>(&text).ok());
    map.map(|map| map.tokens).unwrap_or_default()
}

/// The text with what the tokens stand for, and with a word in place of those that stand for something secret.
fn put_back(text: &[u8], tokens: &BTreeMap<String, String>) -> Result<Vec<u8>, PartError> {
    let form = Regex::new(r"(?-u)\b(?:secret|ip|host|user|email|mac|home)-[0-9]+\b");
    let form = form.map_err(|error| PartError::Unavailable(error.to_string()))?;
    let put = form.replace_all(text, |found: &regex::bytes::Captures<'_>| {
        let token = String::from_utf8_lossy(&found[0]).into_owned();
        tokens.get(&token).map_or_else(|| b"(masked)".to_vec(), |original| original.clone().into_bytes())
    });
    Ok(put.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_put_back_but_for_secrets() {
        let tokens = BTreeMap::from([("ip-1".to_owned(), "192.0.2.1".to_owned())]);
        let text = put_back(b"from ip-1 with secret-1, ip-12", &tokens).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "from 192.0.2.1 with (masked), (masked)");
    }
}
