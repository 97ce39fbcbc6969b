//! A YAML document as a tree whose nodes know where they stand in the text.
//!
//! Read-only: whoever edits decides from it where to cut and what to insert. Two trees are compared without positions.

use std::ops::Range;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Span, StructureStyle};

/// How deep mappings and lists may stand in each other: far deeper than in any file that somebody wrote, and shallow enough
/// for every stack.
const DEEPEST: usize = 200;

/// Why a text could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The parser's words.
    pub reason: String,
}

/// A node of a document.
#[derive(Debug, Clone)]
pub struct Node {
    /// Byte range in the text. That of a block collection starts at its first line's content and is not exact at its
    /// end; those of scalars, aliases and flow collections are exact, without anchor and tag.
    pub span: Range<usize>,
    /// Anchor number and tag, which change what the document means.
    pub properties: (usize, Option<String>),
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A scalar.
    Scalar {
        /// Its value after unescaping.
        value: String,
        /// How it is written.
        style: ScalarStyle,
    },
    /// A sequence.
    Sequence {
        /// Its items.
        items: Vec<Node>,
        /// Whether it is written with brackets.
        flow: bool,
    },
    /// A mapping, in the order of the text.
    Mapping {
        /// Keys and values.
        pairs: Vec<(Node, Node)>,
        /// Whether it is written with braces.
        flow: bool,
    },
    /// A reference to the anchor of that number.
    Alias(usize),
}

impl Node {
    /// The text of a scalar.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Whether it is a plain `null`, in any of its spellings, or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { value, style: ScalarStyle::Plain }
            if matches!(value.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The pairs of a mapping.
    pub fn pairs(&self) -> Option<&[(Node, Node)]> {
        match &self.kind {
            Kind::Mapping { pairs, .. } => Some(pairs),
            _ => None,
        }
    }

    /// The value under a key of a mapping; the first one where a key stands twice.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.pairs()?.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, v)| v)
    }

    /// The text under a key of a mapping.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// End of the last character that belongs to the node, even where its last value is empty.
    pub fn content_end(&self) -> usize {
        match &self.kind {
            Kind::Scalar { .. }
            | Kind::Alias(_)
            | Kind::Sequence { flow: true, .. }
            | Kind::Mapping { flow: true, .. } => self.span.end,
            Kind::Sequence { items, .. } => {
                items.iter().map(Node::content_end).max().unwrap_or(self.span.start).max(self.span.start)
            }
            Kind::Mapping { pairs, .. } => pairs
                .iter()
                .map(|(k, v)| if v.span.is_empty() { k.content_end() } else { v.content_end() })
                .max()
                .unwrap_or(self.span.start),
        }
    }

    /// Whether it or anything in it can be referred to by an alias.
    pub fn has_anchor(&self) -> bool {
        self.properties.0 != 0
            || match &self.kind {
                Kind::Scalar { .. } | Kind::Alias(_) => false,
                Kind::Sequence { items, .. } => items.iter().any(Node::has_anchor),
                Kind::Mapping { pairs, .. } => pairs.iter().any(|(k, v)| k.has_anchor() || v.has_anchor()),
            }
    }

    /// Whether both mean the same: values, their order, quoting as far as it decides a type, tags and anchors.
    pub fn same(&self, other: &Node) -> bool {
        self.properties == other.properties
            && match (&self.kind, &other.kind) {
                (Kind::Scalar { value: a, style: s }, Kind::Scalar { value: b, style: t }) => {
                    a == b && (*s == ScalarStyle::Plain) == (*t == ScalarStyle::Plain)
                }
                (Kind::Alias(a), Kind::Alias(b)) => a == b,
                (Kind::Sequence { items: a, .. }, Kind::Sequence { items: b, .. }) => {
                    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
                }
                (Kind::Mapping { pairs: a, .. }, Kind::Mapping { pairs: b, .. }) => {
                    a.len() == b.len() && a.iter().zip(b).all(|((k, v), (l, w))| k.same(l) && v.same(w))
                }
                _ => false,
            }
    }
}

/// Reads a text of at most one document; none is a text of nothing but comments and blank lines.
pub fn parse(text: &str) -> Result<Option<Node>, Unreadable> {
    let options = granit_parser::options! { emit_comments: false };
    let mut events = Events { parser: Parser::new_from_str_with_options(text, options), depth: 0 };
    let mut root = None;
    while let Some((event, span)) = events.next()? {
        match event {
            Event::DocumentStart(..) if root.is_some() => {
                return Err(unreadable(&span, "it holds more than one YAML document".to_owned()));
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            node => root = Some(events.node(node, &span)?),
        }
    }
    Ok(root)
}

struct Events<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    /// How many mappings and lists are open.
    depth: usize,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Unreadable> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(next)) => Ok(Some(next)),
            Some(Err(error)) => {
                let mark = error.marker();
                Err(Unreadable { line: mark.line(), column: mark.col() + 1, reason: error.kind().to_string() })
            }
        }
    }

    fn expect(&mut self, inside: &Span) -> Result<(Event<'a>, Span), Unreadable> {
        self.next()?.ok_or_else(|| unreadable(inside, "it ends in the middle".to_owned()))
    }

    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, Unreadable> {
        if self.depth > DEEPEST {
            return Err(unreadable(
                span,
                format!("mappings and lists stand in each other deeper than {DEEPEST} times"),
            ));
        }
        self.depth += 1;
        let node = self.inner(event, span);
        self.depth -= 1;
        node
    }

    fn inner(&mut self, event: Event<'a>, span: &Span) -> Result<Node, Unreadable> {
        let start = offset(span, span.start)?;
        let end = offset(span, span.end)?;
        let tag = |tag: Option<std::borrow::Cow<'_, granit_parser::Tag>>| tag.map(|tag| tag.original());
        Ok(match event {
            Event::Scalar(value, style, anchor, t) => Node {
                span: start..end,
                properties: (anchor, tag(t)),
                kind: Kind::Scalar { value: value.into_owned(), style },
            },
            Event::Alias(id) => Node { span: start..end, properties: (0, None), kind: Kind::Alias(id) },
            Event::SequenceStart(style, anchor, t) => {
                let mut items = Vec::new();
                let end = loop {
                    match self.expect(span)? {
                        (Event::SequenceEnd, last) => break offset(&last, last.end)?,
                        (event, span) => items.push(self.node(event, &span)?),
                    }
                };
                let flow = style == StructureStyle::Flow;
                Node { span: start..end, properties: (anchor, tag(t)), kind: Kind::Sequence { items, flow } }
            }
            Event::MappingStart(style, anchor, t) => {
                let mut pairs = Vec::new();
                let end = loop {
                    match self.expect(span)? {
                        (Event::MappingEnd, last) => break offset(&last, last.end)?,
                        (event, span) => {
                            let key = self.node(event, &span)?;
                            let (event, span) = self.expect(&span)?;
                            pairs.push((key, self.node(event, &span)?));
                        }
                    }
                };
                let flow = style == StructureStyle::Flow;
                Node { span: start..end, properties: (anchor, tag(t)), kind: Kind::Mapping { pairs, flow } }
            }
            other => return Err(unreadable(span, format!("unexpected {other:?}"))),
        })
    }
}

fn offset(span: &Span, mark: granit_parser::Marker) -> Result<usize, Unreadable> {
    mark.byte_offset().ok_or_else(|| unreadable(span, "the parser gives no position".to_owned()))
}

fn unreadable(span: &Span, reason: String) -> Unreadable {
    Unreadable { line: span.start.line(), column: span.start.col() + 1, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deeply_is_refused_before_the_stack_ends() {
        for deep in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000), "? ".repeat(100_000)] {
            let refused = parse(&deep).unwrap_err();
            // The parser itself has a limit for some of them.
            let ours = "mappings and lists stand in each other deeper than 200 times";
            assert!([ours, "recursion limit exceeded"].contains(&refused.reason.as_str()), "{}", refused.reason);
            assert_eq!(refused.line, 1);
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(parse(&deep).is_ok());
    }
}
