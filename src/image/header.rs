//! Headers of tar archives: as much as is needed to find files in a stream and to leave some out.

use super::ImageError;

/// Bytes of a block: of a header, and of what content is filled up to (tar(5)).
pub(super) const BLOCK: usize = 512;
/// Longest path that an archive may give; no image has a longer one.
const LONGEST_PATH: u64 = 64 * 1024;

/// Largest file that an archive may announce, in bytes: more than any disk has, and little enough to be added up.
const LARGEST_FILE: u64 = 1 << 60;

/// What a header announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Header {
    /// The end of the archive.
    End,
    /// A file, a folder or a link, with its path and the bytes of its content.
    Entry {
        path: String,
        size: u64,
        is_file: bool,
        /// Where a link leads.
        link: String,
    },
    /// Something about the entry that follows: its content is to be given to [`Details::extend`].
    Details { kind: u8, size: u64 },
}

/// What stood before an entry about it: GNU's long names, or POSIX' extended headers.
#[derive(Debug, Default)]
pub(super) struct Details {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl Details {
    /// Takes the content of a [`Header::Details`].
    pub fn extend(&mut self, kind: u8, content: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
        match kind {
            b'L' => self.path = Some(text(content)),
            b'K' => self.link = Some(text(content)),
            b'x' => {
                for (key, value) in records(content) {
                    match key {
                        "path" => self.path = Some(value.to_owned()),
                        "linkpath" => self.link = Some(value.to_owned()),
                        "size" => self.size = value.parse().ok(),
                        _ => {}
                    }
                }
            }
            // Global headers say nothing about paths and sizes that an image would use.
            _ => {}
        }
    }
}

/// Records of an extended header: `LENGTH KEY=VALUE\n` each.
fn records(mut content: &[u8]) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    while let Some(space) = content.iter().position(|byte| *byte == b' ') {
        let length = std::str::from_utf8(&content[..space]).ok().and_then(|text| text.parse::<usize>().ok());
        let Some(record) = length.and_then(|length| content.get(space + 1..length)) else { break };
        let text = std::str::from_utf8(record).unwrap_or_default().trim_end_matches('\n');
        found.extend(text.split_once('='));
        content = &content[length.unwrap_or_default()..];
    }
    found
}

/// Understands a header block; `after` names the entry before it, for the words of an error.
pub(super) fn parse(block: &[u8; BLOCK], details: &mut Details, after: Option<&str>) -> Result<Header, ImageError> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok(Header::End);
    }
    let damaged = || match after {
        None => ImageError::NotAnArchive,
        Some(path) => ImageError::Damaged { after: path.to_owned() },
    };
    let sum: u64 =
        block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) }).sum();
    if number(&block[148..156]) != Some(sum) {
        return Err(damaged());
    }
    let kind = block[156];
    let size = number(&block[124..136]).ok_or_else(damaged)?;
    if matches!(kind, b'L' | b'K' | b'x' | b'g') {
        if size > LONGEST_PATH * 16 {
            return Err(damaged());
        }
        return Ok(Header::Details { kind, size });
    }
    if size.max(details.size.unwrap_or_default()) > LARGEST_FILE {
        return Err(damaged());
    }
    let Details { path, link, size: stated } = std::mem::take(details);
    let prefix = if &block[257..263] == b"ustar\0" { text(&block[345..500]) } else { String::new() };
    let path = path.unwrap_or_else(|| {
        let name = text(&block[..100]);
        if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
    });
    let is_file = matches!(kind, b'0' | 0 | b'7');
    // Only files have content; some writers state a size for links nevertheless.
    let size = if is_file || !matches!(kind, b'1'..=b'6') { stated.unwrap_or(size) } else { 0 };
    Ok(Header::Entry { path: clean(&path), size, is_file, link: link.unwrap_or_else(|| text(&block[157..257])) })
}

/// Bytes that follow `size` bytes of content up to the next block.
pub(super) fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

/// A number: octal digits, or big-endian bytes where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let low = &field[field.len() - 8..];
        let high = field[1..field.len().saturating_sub(8).max(1)].iter().all(|byte| *byte == 0);
        return high
            .then(|| low.iter().fold(0, |all, byte| (all << 8) | u64::from(*byte)))
            .map(|number| if field.len() == 8 { number & !(0x80 << 56) } else { number });
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches(|c: char| c == '\0' || c == ' ');
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// Text up to the first zero.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// A path without `./` and `/` before it and without `..`.
pub(super) fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries of an archive that the tar crate wrote.
    fn entries(archive: &[u8]) -> Vec<(String, u64, bool)> {
        let mut details = Details::default();
        let mut found = Vec::new();
        let mut at = 0;
        loop {
            let block: &[u8; BLOCK] = archive[at..at + BLOCK].try_into().unwrap();
            at += BLOCK;
            let size = match parse(block, &mut details, Some("x")).unwrap() {
                Header::End => return found,
                Header::Details { kind, size } => {
                    details.extend(kind, &archive[at..at + usize::try_from(size).unwrap()]);
                    size
                }
                Header::Entry { path, size, is_file, .. } => {
                    found.push((path, size, is_file));
                    size
                }
            };
            at += usize::try_from(size + padding(size)).unwrap();
        }
    }

    #[test]
    fn names_of_every_length_and_form_are_read() {
        let mut builder = tar::Builder::new(Vec::new());
        let long = format!("{}/layer.tar", "a".repeat(200));
        for path in ["./manifest.json", "blobs/sha256/0a", &long] {
            let mut header = tar::Header::new_gnu();
            header.set_size(3);
            builder.append_data(&mut header, path, &b"abc"[..]).unwrap();
        }
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Symlink);
        builder.append_link(&mut header, "link", "../0a.tar").unwrap();
        builder.append_pax_extensions([("path", "from/pax"), ("size", "1")].map(|(k, v)| (k, v.as_bytes()))).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        header.set_path("short").unwrap();
        header.set_cksum();
        builder.append(&header, &b"z"[..]).unwrap();
        let file = |path: &str, size| (path.to_owned(), size, true);
        let expected = vec![
            file("manifest.json", 3),
            file("blobs/sha256/0a", 3),
            file(&long, 3),
            ("link".into(), 0, false),
            file("from/pax", 1),
        ];
        assert_eq!(entries(&builder.into_inner().unwrap()), expected);
    }

    #[test]
    fn what_is_no_header_is_told() {
        let mut details = Details::default();
        let none = parse(&[b'x'; BLOCK], &mut details, None).unwrap_err();
        assert_eq!(none.to_string(), "it is not an image archive (no tar archive)");
        let damaged = parse(&[b'x'; BLOCK], &mut details, Some("a.tar")).unwrap_err();
        assert_eq!(damaged.to_string(), "the archive is damaged after a.tar");
    }

    #[test]
    fn a_size_that_no_disk_has_is_damage() {
        let mut header = tar::Header::new_ustar();
        header.set_path("layer.tar").unwrap();
        for (size, stated) in [(u64::MAX, None), (LARGEST_FILE + 1, None), (1, Some(u64::MAX - 511))] {
            header.set_size(size);
            header.set_cksum();
            let mut details = Details { size: stated, ..Details::default() };
            let refused = parse(header.as_bytes(), &mut details, Some("a.tar")).unwrap_err();
            assert_eq!(refused.to_string(), "the archive is damaged after a.tar", "{size} {stated:?}");
        }
    }

    #[test]
    fn large_numbers_are_read() {
        let mut field = [0_u8; 12];
        field[0] = 0x80;
        field[4..].copy_from_slice(&(20_u64 << 30).to_be_bytes());
        assert_eq!(number(&field), Some(20 << 30));
        assert_eq!(number(b"00000001000\0"), Some(512));
        assert_eq!(number(b"0000000x000\0"), None);
    }
}
