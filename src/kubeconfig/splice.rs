//! Where a kubeconfig's text is cut, and what is put there. `edit` decides what, and checks the result.

use std::fmt::Write as _;
use std::ops::Range;

use serde_saphyr::granit_parser::ScalarStyle;

use super::edit::{CURRENT_CONTEXT, EditError, Part};
use super::entry::Entry;
use crate::yaml::{Kind, Node};

/// Adds an item at the end of its list, and the list where it is missing.
pub fn append(text: &str, root: Option<&Node>, part: Part, entry: &Entry) -> Result<String, EditError> {
    let newline = newline(text);
    let Some(root) = root else {
        let lines = format!(
            "apiVersion: v1{newline}kind: Config{newline}{}:{newline}{}",
            part.list(),
            block_item(part, entry, "", newline)
        );
        return Ok(insert_lines(text, text.len(), &lines));
    };
    let Some(list) = root.get(part.list()) else {
        return append_key(text, root, part.list(), &format!("[{}]", flow_item(part, entry)), |indent| {
            format!("{indent}{}:{newline}{}", part.list(), block_item(part, entry, indent, newline))
        });
    };
    match &list.kind {
        Kind::Sequence { items, flow: false } => {
            let tail = items.last().ok_or_else(|| unsupported(format!("{} has no first item", part.list())))?;
            let dash = dash_before(text, tail)?;
            let indent = &text[line_start(text, dash)..dash];
            Ok(insert_lines(text, after_line(text, tail.content_end()), &block_item(part, entry, indent, newline)))
        }
        Kind::Sequence { items, flow: true } => match items.last() {
            Some(tail) => {
                let from = items.len().checked_sub(2).map_or(list.span.start + 1, |i| items[i].content_end());
                let space = &text[from..tail.span.start];
                // The separator of the last two is repeated, so that a list with one item a line stays one.
                let space = space.strip_prefix(',').unwrap_or(space);
                let space = if space.trim().is_empty() { space } else { " " };
                let space = if space.is_empty() && items.len() == 1 { " " } else { space };
                Ok(replaced(text, tail.span.end..tail.span.end, &format!(",{space}{}", flow_item(part, entry))))
            }
            // What stands between the brackets, line ends and comments, stays there.
            None if is_flow(root) || !between(text, list).trim_matches([' ', '\t']).is_empty() => {
                Ok(replaced(text, list.span.start + 1..list.span.start + 1, &flow_item(part, entry)))
            }
            None => fill_empty(text, root, list, part, entry),
        },
        _ if is_flow(root) => Ok(replaced(text, list.span.clone(), &format!("[{}]", flow_item(part, entry)))),
        _ => fill_empty(text, root, list, part, entry),
    }
}

/// Puts an item where another one is.
pub fn replace(text: &str, root: &Node, old: &Node, part: Part, entry: &Entry) -> Result<String, EditError> {
    if root.get(part.list()).is_some_and(is_flow) {
        return Ok(replaced(text, old.span.clone(), &flow_item(part, entry)));
    }
    let dash = dash_before(text, old)?;
    let start = line_start(text, dash);
    let end = after_line(text, old.content_end());
    let mut item = block_item(part, entry, &text[start..dash], newline(text));
    if !text[start..end].ends_with('\n') {
        item.truncate(item.trim_end().len());
    }
    Ok(replaced(text, start..end, &item))
}

/// Takes an item out of its list.
pub fn cut(text: &str, root: &Node, part: Part, item: &Node) -> Result<String, EditError> {
    let list = root.get(part.list()).ok_or_else(|| unsupported(format!("{} is gone", part.list())))?;
    let Kind::Sequence { items, flow } = &list.kind else {
        return Err(unsupported(format!("{} is not a list", part.list())));
    };
    let index = items
        .iter()
        .position(|candidate| candidate.span == item.span)
        .ok_or_else(|| unsupported("its item is gone".to_owned()))?;
    if *flow {
        let spans: Vec<_> = items.iter().map(|item| item.span.clone()).collect();
        return Ok(cut_flow(text, &list.span, &spans, index));
    }
    let dash = dash_before(text, item)?;
    let start = line_start(text, dash);
    let before = index.checked_sub(1).map(|previous| &items[previous]);
    let end = after_its_comments(text, after_line(text, item.content_end()), dash - start, before);
    let rest = replaced(text, start..end, "");
    if items.len() > 1 {
        return Ok(rest);
    }
    let colon = colon_after(text, key_of(root, part.list())?)?;
    Ok(replaced(&rest, colon + 1..colon + 1, " []"))
}

/// Writes the name of the current context, in the quotes that are there.
pub fn set_current(text: &str, root: Option<&Node>, name: &str) -> Result<String, EditError> {
    let newline = newline(text);
    let Some(root) = root else {
        let lines = format!("apiVersion: v1{newline}kind: Config{newline}{CURRENT_CONTEXT}: {}{newline}", scalar(name));
        return Ok(insert_lines(text, text.len(), &lines));
    };
    let Some(value) = root.get(CURRENT_CONTEXT) else {
        return append_key(text, root, CURRENT_CONTEXT, &json(name), |indent| {
            format!("{indent}{CURRENT_CONTEXT}: {}{newline}", scalar(name))
        });
    };
    refuse_anchor(value)?;
    let written = match &value.kind {
        _ if is_flow(root) => json(name),
        Kind::Scalar { style: ScalarStyle::SingleQuoted, .. } => format!("'{}'", name.replace('\'', "''")),
        // An empty text is most often written so, and the name that takes its place then has kubectl's plain form.
        Kind::Scalar { style: ScalarStyle::DoubleQuoted, value } if !value.is_empty() => json(name),
        _ => scalar(name),
    };
    if value.span.is_empty() {
        let colon = colon_after(text, key_of(root, CURRENT_CONTEXT)?)?;
        return Ok(replaced(text, colon + 1..colon + 1, &format!(" {written}")));
    }
    Ok(replaced(text, value.span.clone(), &written))
}

/// Removes the line (or the pair) of the current context.
pub fn unset_current(text: &str, root: &Node) -> Result<String, EditError> {
    let key = key_of(root, CURRENT_CONTEXT)?;
    if is_flow(root) {
        let pairs = root.pairs().unwrap_or_default();
        let spans: Vec<_> = pairs.iter().map(|(key, value)| key.span.start..value.content_end()).collect();
        let index = spans
            .iter()
            .position(|span| span.start == key.span.start)
            .ok_or_else(|| unsupported("its value is gone".to_owned()))?;
        return Ok(cut_flow(text, &root.span, &spans, index));
    }
    let value = root.get(CURRENT_CONTEXT).filter(|value| !value.span.is_empty());
    let start = line_start(text, key.span.start);
    if !text[start..key.span.start].trim_matches(' ').is_empty() {
        return Err(unsupported(format!("{CURRENT_CONTEXT} does not start its line")));
    }
    let pairs = root.pairs().unwrap_or_default();
    let index = pairs.iter().position(|(one, _)| one.span == key.span).unwrap_or_default();
    let before = index.checked_sub(1).map(|previous| &pairs[previous].1);
    let end = after_line(text, value.unwrap_or(key).content_end());
    Ok(replaced(text, start..after_its_comments(text, end, key.span.start - start, before), ""))
}

/// Where the cut of something ends that stands in `column`: after its lines, of which the last ends at `end`, and, where what
/// comes `before` it is a text of several lines (`|` or `>`), after the comments that are indented below it. Without it they
/// would be lines of that text, and so would blank lines where it keeps those (`+`).
fn after_its_comments(text: &str, end: usize, column: usize, before: Option<&Node>) -> usize {
    let Some(block) = before.and_then(block_text_at_end) else { return end };
    // Its span is its content; what introduces it ends the last line before that which is not blank.
    let header = text[..block.span.start].trim_end().lines().next_back().unwrap_or_default();
    let header = header.split(" #").next().unwrap_or_default();
    let keeps = header.rsplit(['|', '>']).next().is_some_and(|indicators| indicators.contains('+'));
    let (mut at, mut after) = (end, end);
    for line in text[end..].split_inclusive('\n') {
        at += line.len();
        let content = line.trim_start_matches(' ');
        let blank = content.trim().is_empty();
        if (blank && keeps) || (content.starts_with('#') && line.len() - content.len() > column) {
            after = at;
        } else if !blank {
            break;
        }
    }
    after
}

/// The text of several lines that something ends with.
fn block_text_at_end(node: &Node) -> Option<&Node> {
    match &node.kind {
        Kind::Scalar { style: ScalarStyle::Literal | ScalarStyle::Folded, .. } => Some(node),
        Kind::Mapping { pairs, flow: false } => pairs.last().and_then(|(_, value)| block_text_at_end(value)),
        Kind::Sequence { items, flow: false } => items.last().and_then(block_text_at_end),
        _ => None,
    }
}

/// Adds a key at the end of the top level: `flow` is its value in braces, `block` its lines at an indentation.
fn append_key(
    text: &str,
    root: &Node,
    key: &str,
    flow: &str,
    block: impl FnOnce(&str) -> String,
) -> Result<String, EditError> {
    let pairs = root.pairs().unwrap_or_default();
    if is_flow(root) {
        let pair = format!("{}: {flow}", json(key));
        return Ok(match pairs.last() {
            None => replaced(text, root.span.start + 1..root.span.start + 1, &pair),
            Some((last, value)) => {
                let end = if value.span.is_empty() { last.span.end } else { value.content_end() };
                let first = &pairs[0].0;
                let space = &text[root.span.start + 1..first.span.start];
                let space = if space.is_empty() || !space.trim().is_empty() { " " } else { space };
                replaced(text, end..end, &format!(",{space}{pair}"))
            }
        });
    }
    let first = &pairs.first().ok_or_else(|| unsupported("its top level is empty".to_owned()))?.0;
    let indent = &text[line_start(text, first.span.start)..first.span.start];
    if !indent.trim_matches(' ').is_empty() {
        return Err(unsupported("its first key does not start a line".to_owned()));
    }
    Ok(insert_lines(text, after_line(text, root.content_end()), &block(indent)))
}

/// Gives a first item to a list of the block style that is written as `[]` or as nothing.
fn fill_empty(text: &str, root: &Node, list: &Node, part: Part, entry: &Entry) -> Result<String, EditError> {
    let key = key_of(root, part.list())?;
    let colon = colon_after(text, key)?;
    let indent = &text[line_start(text, key.span.start)..key.span.start];
    if !indent.trim_matches(' ').is_empty() {
        return Err(unsupported(format!("{} does not start its line", part.list())));
    }
    let (start, end) = if list.span.is_empty() {
        (colon + 1, colon + 1)
    } else {
        // It may stand on a line of its own, with a comment before it.
        (text[..list.span.start].trim_end_matches([' ', '\t']).len().max(colon + 1), list.span.end)
    };
    let line = after_line(text, end);
    let mut rest = text[end..line].to_owned();
    let newline = newline(text);
    if !rest.ends_with('\n') {
        rest.push_str(newline);
    }
    Ok(format!("{}{rest}{}{}", &text[..start], block_item(part, entry, indent, newline), &text[line..]))
}

/// What is between the brackets of a flow list.
fn between<'a>(text: &'a str, list: &Node) -> &'a str {
    &text[list.span.start + 1..list.span.end - 1]
}

/// Takes one of the elements of a flow collection out, with the comma that it needed.
fn cut_flow(text: &str, list: &Range<usize>, elements: &[Range<usize>], index: usize) -> String {
    let element = &elements[index];
    if let Some(next) = elements.get(index + 1) {
        return replaced(text, element.start..next.start, "");
    }
    if let Some(previous) = index.checked_sub(1).map(|i| &elements[i]) {
        return replaced(text, previous.end..element.end, "");
    }
    let inside = list.start + 1..list.end - 1;
    let around = format!("{}{}", &text[inside.start..element.start], &text[element.end..inside.end]);
    if around.trim().is_empty() { replaced(text, inside, "") } else { replaced(text, element.clone(), "") }
}

/// An item in kubectl's layout, each line indented and ended.
fn block_item(part: Part, entry: &Entry, indent: &str, newline: &str) -> String {
    let name = format!("name: {}", scalar(&entry.name));
    let mut value = format!("{}:", part.item());
    for (key, text) in entry.fields(part) {
        // Writing to a String cannot fail.
        let _ = write!(value, "{newline}{indent}    {key}: {}", scalar(text));
    }
    let (first, second) = if part == Part::User { (name, value) } else { (value, name) };
    format!("{indent}- {first}{newline}{indent}  {second}{newline}")
}

/// An item as JSON, which is YAML too.
fn flow_item(part: Part, entry: &Entry) -> String {
    let fields: Vec<String> =
        entry.fields(part).into_iter().map(|(key, text)| format!("{}: {}", json(key), json(text))).collect();
    format!("{{\"name\": {}, {}: {{{}}}}}", json(&entry.name), json(part.item()), fields.join(", "))
}

/// A text as a scalar: plain where no reader could take it for something else, otherwise in double quotes.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:+=@".contains(c))
        && !text.ends_with(':')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain { text.to_owned() } else { json(text) }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn is_flow(node: &Node) -> bool {
    matches!(node.kind, Kind::Mapping { flow: true, .. } | Kind::Sequence { flow: true, .. })
}

fn key_of<'a>(root: &'a Node, key: &str) -> Result<&'a Node, EditError> {
    let pairs = root.pairs().unwrap_or_default();
    pairs.iter().map(|(k, _)| k).find(|k| k.as_str() == Some(key)).ok_or_else(|| unsupported(format!("{key} is gone")))
}

/// Position of the colon behind a key.
fn colon_after(text: &str, key: &Node) -> Result<usize, EditError> {
    let rest = &text[key.span.end..];
    let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    if rest[spaces..].starts_with(':') {
        Ok(key.span.end + spaces)
    } else {
        Err(unsupported("a key is written with a question mark".to_owned()))
    }
}

/// Position of the dash that introduces an item of a block list.
fn dash_before(text: &str, item: &Node) -> Result<usize, EditError> {
    let first = match &item.kind {
        Kind::Mapping { pairs, flow: false } => pairs.first().map_or(item.span.start, |(key, _)| key.span.start),
        _ => item.span.start,
    };
    let mut start = line_start(text, first);
    loop {
        let line = text[start..].lines().next().unwrap_or_default();
        let content = line.trim_start_matches(' ');
        let dash = start + line.len() - content.len();
        let own = start == line_start(text, first);
        if dash < first
            && let Some(rest) =
                content.strip_prefix('-').filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
            && (own || is_preamble(rest.trim_start()))
        {
            return Ok(dash);
        }
        if start == 0 || !(own || is_preamble(content)) {
            return Err(unsupported("an item does not start with a dash on its line".to_owned()));
        }
        start = line_start(text, start - 1);
    }
}

/// Whether a line may stand between a dash and its item: blank, a comment, an anchor or a tag.
fn is_preamble(line: &str) -> bool {
    line.is_empty() || line.starts_with(['#', '&', '!'])
}

/// Refuses a list that an item can be put into but not taken out of again: what an alias elsewhere refers to cannot be changed
/// without changing that too, behind an anchor or a tag of the list there is no one place for `[]`, and those of an item
/// in brackets stand outside of what is cut.
pub fn check_list(root: &Node, part: Part, name: &str) -> Result<(), EditError> {
    let Some(list) = root.get(part.list()) else { return Ok(()) };
    refuse_properties(list, "one of its lists")?;
    let Kind::Sequence { items, flow } = &list.kind else { return Ok(()) };
    if *flow {
        items.iter().try_for_each(|item| refuse_properties(item, "an item of one of its lists"))?;
    }
    items.iter().filter(|item| item.get_str("name") == Some(name)).try_for_each(refuse_anchor)
}

fn refuse_anchor(node: &Node) -> Result<(), EditError> {
    if node.has_anchor() { Err(unsupported("it holds a YAML anchor".to_owned())) } else { Ok(()) }
}

fn refuse_properties(node: &Node, what: &str) -> Result<(), EditError> {
    match &node.properties {
        (0, None) => Ok(()),
        (0, Some(_)) => Err(unsupported(format!("{what} has a YAML tag"))),
        _ => Err(unsupported(format!("{what} has a YAML anchor"))),
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Start of the line after the one that holds the last character before `at`.
fn after_line(text: &str, at: usize) -> usize {
    if at == 0 || text[..at].ends_with('\n') {
        return at;
    }
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

fn insert_lines(text: &str, at: usize, lines: &str) -> String {
    let before = &text[..at];
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { newline(text) };
    format!("{before}{gap}{lines}{}", &text[at..])
}

fn replaced(text: &str, range: Range<usize>, by: &str) -> String {
    format!("{}{by}{}", &text[..range.start], &text[range.end..])
}

fn newline(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

fn unsupported(reason: String) -> EditError {
    EditError::Unsupported { reason }
}
