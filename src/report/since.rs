//! Lines of logs from some time on. Pure.

use jiff::Timestamp;

/// The lines that were written then or later; one without a time belongs to the one before it.
pub(super) fn lines_since(text: Vec<u8>, since: Option<Timestamp>) -> Vec<u8> {
    let Some(since) = since else { return text };
    let mut kept = Vec::new();
    let mut keep = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if let Some(time) = time_of(line) {
            keep = time >= since;
        }
        if keep {
            kept.extend_from_slice(line);
        }
    }
    kept
}

/// The last bytes of a text, from the beginning of a line on.
pub(super) fn last(text: Vec<u8>, most: usize) -> Vec<u8> {
    if text.len() <= most {
        return text;
    }
    let tail = &text[text.len() - most..];
    let start = tail.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    tail[start..].to_vec()
}

/// The time with which a line begins: as containerd writes it (`time="…"`), or as a word of its own.
fn time_of(line: &[u8]) -> Option<Timestamp> {
    let head = std::str::from_utf8(&line[..line.len().min(60)]).ok()?;
    let word = match head.strip_prefix("time=\"") {
        Some(rest) => rest.split('"').next()?,
        None => head.split_ascii_whitespace().next()?,
    };
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_times_and_belong_to_those_before() {
        let text = "2026-01-01T00:00:00Z old\n  of old\n2026-01-01T02:00:00.5Z new\n  of new\ntime=\"2026-01-01T00:30:00Z\" x\n";
        let since = Some("2026-01-01T01:00:00Z".parse().unwrap());
        let kept = lines_since(text.as_bytes().to_vec(), since);
        assert_eq!(String::from_utf8(kept).unwrap(), "2026-01-01T02:00:00.5Z new\n  of new\n");
        assert_eq!(lines_since(text.into(), None), text.as_bytes());
    }

    #[test]
    fn the_end_of_a_text_begins_with_a_line() {
        assert_eq!(last(b"first\nsecond\nthird\n".to_vec(), 10), b"third\n");
        assert_eq!(last(b"abc".to_vec(), 10), b"abc");
    }
}
