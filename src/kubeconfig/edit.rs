//! Lossless edit of a kubeconfig's text: pure functions from text to text.
//!
//! The parser gives positions and the edit splices lines at them, so that everything outside the entries of the name
//! that is edited stays byte for byte what it was: comments, order, quoting, unknown fields, line ends, a byte-order
//! mark. The result is read again and compared with the original before it is handed out; an edit that would change
//! anything else is refused. No file is touched here.

use super::entry::Entry;
use super::splice;
use crate::yaml::{self, Kind, Node, Unreadable};

/// The byte-order mark that some editors on Windows write.
const BYTE_ORDER_MARK: &str = "\u{feff}";
/// The key with the current context's name.
pub(super) const CURRENT_CONTEXT: &str = "current-context";

/// One of the three lists of a kubeconfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `clusters`.
    Cluster,
    /// `contexts`.
    Context,
    /// `users`.
    User,
}

impl Part {
    /// All of them, in the order in which kubectl writes them.
    pub const ALL: [Self; 3] = [Self::Cluster, Self::Context, Self::User];

    /// The key of the list.
    #[must_use]
    pub fn list(self) -> &'static str {
        match self {
            Self::Cluster => "clusters",
            Self::Context => "contexts",
            Self::User => "users",
        }
    }

    /// The key of the value in an item of the list.
    #[must_use]
    pub fn item(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Context => "context",
            Self::User => "user",
        }
    }
}

/// One change of a kubeconfig.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Adds or replaces the item of the entry's name. An item that says the same already is not touched, nor is a
    /// context that joins the right cluster and user, whatever else it says (such as a namespace).
    Put(Part, &'a Entry),
    /// Removes the items of that name.
    Drop(Part, &'a str),
    /// Makes a context the current one; the empty text means that none is, but the key stays.
    SetCurrent(&'a str),
    /// Removes the key of the current context.
    UnsetCurrent,
}

/// Why a text was not edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is not YAML.
    #[error("line {line}, column {column}: {reason}")]
    Unreadable {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The parser's words.
        reason: String,
    },
    /// It is YAML, but not a kubeconfig.
    #[error("it is not a kubeconfig: {reason}")]
    NotAKubeconfig {
        /// What is wrong with it.
        reason: String,
    },
    /// It is a kubeconfig, written in a way that cannot be edited without rewriting it.
    #[error("it cannot be edited without rewriting it: {reason}")]
    Unsupported {
        /// What stands in the way.
        reason: String,
    },
}

impl From<Unreadable> for EditError {
    fn from(Unreadable { line, column, reason }: Unreadable) -> Self {
        Self::Unreadable { line, column, reason }
    }
}

/// What a kubeconfig holds, by names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Names of its clusters.
    pub clusters: Vec<String>,
    /// Names of its contexts.
    pub contexts: Vec<String>,
    /// Names of its users.
    pub users: Vec<String>,
    /// `current-context`; none where the key is missing or null.
    pub current: Option<String>,
}

impl Contents {
    /// Names of one list.
    #[must_use]
    pub fn names(&self, part: Part) -> &[String] {
        match part {
            Part::Cluster => &self.clusters,
            Part::Context => &self.contexts,
            Part::User => &self.users,
        }
    }
}

/// Adds or replaces the cluster, context and user of the entry's name and, if asked, makes the context the current one.
pub fn merge(text: &str, entry: &Entry, make_current: bool) -> Result<String, EditError> {
    let mut changes = vec![Change::Put(Part::Cluster, entry), Change::Put(Part::Context, entry)];
    if make_current {
        changes.push(Change::SetCurrent(&entry.name));
    }
    changes.push(Change::Put(Part::User, entry));
    apply(text, &changes)
}

/// Removes the cluster, context and user of that name. If the context was the current one, the first of `restore` that
/// still exists takes its place (the empty text always exists and stands for "none"); without any, the key is removed.
pub fn remove(text: &str, name: &str, restore: &[String]) -> Result<String, EditError> {
    let contents = inspect(text)?;
    let mut changes: Vec<Change<'_>> = Part::ALL.into_iter().map(|part| Change::Drop(part, name)).collect();
    if contents.current.as_deref() == Some(name) {
        let exists = |candidate: &&String| {
            candidate.is_empty() || (candidate.as_str() != name && contents.contexts.contains(candidate))
        };
        changes.push(restore.iter().find(exists).map_or(Change::UnsetCurrent, |name| Change::SetCurrent(name)));
    }
    apply(text, &changes)
}

/// The names in a kubeconfig; an empty text is an empty kubeconfig.
pub fn inspect(text: &str) -> Result<Contents, EditError> {
    let Some(root) = read(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))? else { return Ok(Contents::default()) };
    let names = |part: Part| {
        items(&root, part).iter().filter_map(|item| item.get_str("name")).map(str::to_owned).collect::<Vec<_>>()
    };
    Ok(Contents {
        clusters: names(Part::Cluster),
        contexts: names(Part::Context),
        users: names(Part::User),
        current: current(&root).map(str::to_owned),
    })
}

/// Applies changes one after the other, then makes sure that nothing else changed.
pub fn apply(text: &str, changes: &[Change<'_>]) -> Result<String, EditError> {
    let (mark, body) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(body) => (BYTE_ORDER_MARK, body),
        None => ("", text),
    };
    // A line end for YAML, and for no editor since the nineties.
    if body.replace("\r\n", "").contains('\r') {
        let reason = "it has line ends of a carriage return alone".to_owned();
        return Err(EditError::Unsupported { reason });
    }
    let before = read(body)?;
    let mut edited = body.to_owned();
    for change in changes {
        let root = read(&edited)?;
        if let Some(next) = one(&edited, root.as_ref(), change)? {
            edited = next;
        }
    }
    let after = read(&edited).map_err(|_| surprising())?;
    verify(before.as_ref(), after.as_ref(), changes)?;
    Ok(format!("{mark}{edited}"))
}

/// The text after one change, or none where nothing is to do.
fn one(text: &str, root: Option<&Node>, change: &Change<'_>) -> Result<Option<String>, EditError> {
    match *change {
        Change::Put(part, entry) => {
            let Some(root) = root else { return splice::append(text, None, part, entry).map(Some) };
            // Also where all is as it should be: what is said to be in can be taken out.
            splice::check_list(root, part, &entry.name)?;
            let found = named(root, part, &entry.name);
            match found.as_slice() {
                [only] if entry.is_in(part, only) => Ok(None),
                [] => splice::append(text, Some(root), part, entry).map(Some),
                [first, ..] => splice::replace(text, root, first, part, entry).and_then(|text| {
                    // kubectl refuses a name that stands twice; ours needs to be there once.
                    if found.len() > 1 { drop_but_first(&text, part, &entry.name).map(Some) } else { Ok(Some(text)) }
                }),
            }
        }
        Change::Drop(part, name) => {
            let mut text = text.to_owned();
            let mut changed = false;
            while let Some(root) = read(&text)? {
                let Some(item) = named(&root, part, name).into_iter().next() else { break };
                splice::check_list(&root, part, name)?;
                text = splice::cut(&text, &root, part, item)?;
                changed = true;
            }
            Ok(changed.then_some(text))
        }
        Change::SetCurrent(name) => {
            if root.and_then(current) == Some(name) {
                return Ok(None);
            }
            splice::set_current(text, root, name).map(Some)
        }
        Change::UnsetCurrent => match root {
            Some(root) if root.get(CURRENT_CONTEXT).is_some() => splice::unset_current(text, root).map(Some),
            _ => Ok(None),
        },
    }
}

fn drop_but_first(text: &str, part: Part, name: &str) -> Result<String, EditError> {
    let mut text = text.to_owned();
    while let Some(root) = read(&text)? {
        let Some(extra) = named(&root, part, name).into_iter().nth(1) else { break };
        text = splice::cut(&text, &root, part, extra)?;
    }
    Ok(text)
}

/// Reads a text and makes sure that it is a kubeconfig whose lists can be told apart.
fn read(text: &str) -> Result<Option<Node>, EditError> {
    let Some(root) = yaml::parse(text)? else { return Ok(None) };
    if root.is_null() {
        return Ok(None);
    }
    let not = |reason: String| Err(EditError::NotAKubeconfig { reason });
    let Some(pairs) = root.pairs() else { return not("its top level is not a mapping".to_owned()) };
    if let Some(kind) = root.get("kind").filter(|kind| !kind.is_null())
        && kind.as_str() != Some("Config")
    {
        return not(format!("its kind is {}", kind.as_str().unwrap_or("not a text")));
    }
    for key in Part::ALL.map(Part::list).into_iter().chain([CURRENT_CONTEXT]) {
        if pairs.iter().filter(|(k, _)| k.as_str() == Some(key)).count() > 1 {
            return not(format!("the key {key} stands twice"));
        }
        if pairs.iter().any(|(k, _)| k.as_str() == Some(key) && k.properties != (0, None)) {
            let reason = format!("the key {key} has a YAML tag or anchor");
            return Err(EditError::Unsupported { reason });
        }
    }
    for part in Part::ALL {
        match root.get(part.list()).map(|list| (&list.kind, list.is_null())) {
            None | Some((Kind::Sequence { .. }, _) | (_, true)) => {}
            Some((Kind::Alias(_), _)) => {
                return Err(EditError::Unsupported { reason: format!("{} is a YAML alias", part.list()) });
            }
            Some(_) => return not(format!("{} is not a list", part.list())),
        }
    }
    if root.get(CURRENT_CONTEXT).is_some_and(|value| value.as_str().is_none()) {
        return not(format!("{CURRENT_CONTEXT} is not a text"));
    }
    Ok(Some(root))
}

/// The items of a list; none where the key is missing or null.
fn items(root: &Node, part: Part) -> &[Node] {
    match root.get(part.list()).map(|list| &list.kind) {
        Some(Kind::Sequence { items, .. }) => items,
        _ => &[],
    }
}

fn named<'a>(root: &'a Node, part: Part, name: &str) -> Vec<&'a Node> {
    items(root, part).iter().filter(|item| item.get_str("name") == Some(name)).collect()
}

fn current(root: &Node) -> Option<&str> {
    root.get(CURRENT_CONTEXT).filter(|value| !value.is_null()).and_then(Node::as_str)
}

/// Compares everything that was not to be changed, and looks for what was.
fn verify(before: Option<&Node>, after: Option<&Node>, changes: &[Change<'_>]) -> Result<(), EditError> {
    let ours = |part: Part, item: &&Node| {
        changes.iter().any(|change| match *change {
            Change::Put(p, entry) => p == part && item.get_str("name") == Some(entry.name.as_str()),
            Change::Drop(p, name) => p == part && item.get_str("name") == Some(name),
            Change::SetCurrent(_) | Change::UnsetCurrent => false,
        })
    };
    for part in Part::ALL {
        let rest = |root: Option<&Node>| -> Vec<Node> {
            let all = root.map(|root| items(root, part)).unwrap_or_default();
            all.iter().filter(|item| !ours(part, item)).cloned().collect()
        };
        let (left, right) = (rest(before), rest(after));
        if left.len() != right.len() || !left.iter().zip(&right).all(|(a, b)| a.same(b)) {
            return Err(surprising());
        }
    }
    let is_list = |key: &Node| {
        key.as_str().is_some_and(|key| key == CURRENT_CONTEXT || Part::ALL.iter().any(|part| part.list() == key))
    };
    let others = |root: Option<&Node>| -> Vec<(Node, Node)> {
        let pairs = root.and_then(Node::pairs).unwrap_or_default();
        pairs.iter().filter(|(key, _)| !is_list(key)).cloned().collect()
    };
    if let Some(before) = before {
        let (left, right) = (others(Some(before)), others(after));
        if left.len() != right.len() || !left.iter().zip(&right).all(|((k, v), (l, w))| k.same(l) && v.same(w)) {
            return Err(surprising());
        }
    }
    for change in changes {
        let holds = match *change {
            Change::Put(part, entry) => after.is_some_and(
                |root| matches!(named(root, part, &entry.name).as_slice(), [only] if entry.is_in(part, only)),
            ),
            Change::Drop(part, name) => after.is_none_or(|root| named(root, part, name).is_empty()),
            Change::SetCurrent(name) => after.and_then(current) == Some(name),
            Change::UnsetCurrent => after.and_then(current).is_none(),
        };
        if !holds {
            return Err(surprising());
        }
    }
    let touches_current = changes.iter().any(|c| matches!(c, Change::SetCurrent(_) | Change::UnsetCurrent));
    if !touches_current && before.and_then(current) != after.and_then(current) {
        return Err(surprising());
    }
    Ok(())
}

fn surprising() -> EditError {
    EditError::Unsupported { reason: "the edit would have changed more than the entries it is about".to_owned() }
}
