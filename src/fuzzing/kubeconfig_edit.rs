//! The edit of a kubeconfig.

use crate::kubeconfig::Entry;
use crate::kubeconfig::edit::{Contents, Part, inspect, merge, remove};
use crate::yaml::{self, Kind};

/// The entry's name, which an input may have already.
const NAME: &str = "sandbar-a";

/// An edit is refused or changes nothing but our entries and the current context; taking them out again gives back the
/// bytes of a file that had the three lists.
pub fn kubeconfig_edit(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Without a private key behind it.
    _ = Entry::parse(text);
    let pem = "LS0tLS1CRUdJTiBYLS0tLS0=".to_owned();
    let entry = Entry {
        name: NAME.to_owned(),
        server: "https://127.0.0.1:6443".to_owned(),
        certificate_authority_data: pem.clone(),
        client_certificate_data: pem.clone(),
        client_key_data: pem,
    };
    let Ok(before) = inspect(text) else {
        assert!(merge(text, &entry, true).is_err() && remove(text, NAME, &[]).is_err(), "it edits what it cannot read");
        return;
    };
    for make_current in [false, true] {
        let Ok(merged) = merge(text, &entry, make_current) else { continue };
        let after = inspect(&merged).expect("what was written can be read");
        for part in Part::ALL {
            assert_eq!(foreign(&after, part), foreign(&before, part), "{text}\nbecame\n{merged}");
            assert_eq!(after.names(part).iter().filter(|name| *name == NAME).count(), 1, "{merged}");
        }
        let current = if make_current { Some(NAME) } else { before.current.as_deref() };
        assert_eq!(after.current.as_deref(), current, "{merged}");
        assert_eq!(merge(&merged, &entry, make_current).as_ref(), Ok(&merged), "merging again changes it");
        if !make_current && Part::ALL.iter().all(|part| foreign(&before, *part).len() == before.names(*part).len()) {
            expect_inserted(text, &merged);
        }
        let restore: Vec<String> = before.current.iter().cloned().collect();
        let removed = remove(&merged, NAME, &restore).expect("what was put in can be taken out");
        let last = inspect(&removed).expect("what was written can be read");
        for part in Part::ALL {
            assert_eq!(foreign(&last, part), last.names(part), "{removed}");
            assert_eq!(foreign(&last, part), foreign(&before, part), "{text}\nbecame\n{removed}");
        }
        if !make_current && comes_back(text, &before) {
            assert_eq!(
                removed.trim_end_matches(['\r', '\n']),
                text.trim_end_matches(['\r', '\n']),
                "through\n{merged}"
            );
        }
    }
}

/// Names of a list that are not ours.
fn foreign(contents: &Contents, part: Part) -> Vec<&str> {
    contents.names(part).iter().map(String::as_str).filter(|name| *name != NAME).collect()
}

/// Every byte that was there is there, in its order, but for the brackets of an empty list and blanks, which may be around
/// them. Those of lists that are written as usual are held to their very bytes when the entries are taken out again.
fn expect_inserted(text: &str, merged: &str) {
    let mut rest = merged.bytes();
    let mut left = text.bytes().filter(|byte| !matches!(byte, b'[' | b']' | b'~') && !byte.is_ascii_whitespace());
    if let Some(lost) = left.find(|wanted| !rest.any(|byte| byte == *wanted)) {
        // An empty list may be written as a null in words, which gives way to its first item.
        let is_null = ["null", "Null", "NULL"].iter().any(|null| text.contains(null));
        assert!(is_null, "lost {:?} of\n{text}\nin\n{merged}", char::from(lost));
    }
}

/// Whether taking our entries out gives back the very bytes: where they are none of the text's own, and each list is
/// there with an item or as `[]`, as kubectl writes it.
fn comes_back(text: &str, before: &Contents) -> bool {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Ok(Some(root)) = yaml::parse(body) else { return false };
    Part::ALL.into_iter().all(|part| {
        let ours = before.names(part).iter().any(|name| name == NAME);
        let written = root.pairs().unwrap_or_default().iter().find(|(key, _)| key.as_str() == Some(part.list()));
        let kept = written.is_some_and(|(key, list)| match &list.kind {
            Kind::Sequence { items, .. } => {
                !items.is_empty()
                    || (body[key.span.end..].starts_with(": []") && list.span.end == key.span.end + ": []".len())
            }
            _ => false,
        });
        kept && !ours
    }) && before.current.as_deref() != Some(NAME)
}
