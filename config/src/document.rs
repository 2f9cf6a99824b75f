//! A file as it was written: values that know where they stand. One model for YAML, TOML and JSON.

mod json;
mod toml;
mod yaml;

use std::collections::HashMap;
use std::path::Path;

use crate::problem::Finding;

/// Bytes of the file.
pub type Span = std::ops::Range<usize>;

/// Most values a file may unfold to, aliases counted each time they are used.
const VALUE_LIMIT: usize = 1_000_000;
/// Deepest nesting; nothing that has a meaning lies nearly as deep.
const DEPTH_LIMIT: usize = 32;

/// One value.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Reported already: whoever reads it says nothing more.
    Broken,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// Parts come from the environment: it may also be read as a number or a truth value, and messages show what was
    /// written instead.
    pub(crate) expanded: bool,
}

/// A key and its value. No map has two of the same key.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// The place at or before `at` where a character begins.
pub(crate) fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Yaml,
    Toml,
    Json,
}

impl Format {
    /// By the file's extension.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Reads the text; what is wrong with it as text goes to `findings`.
///
/// `None` when it could not be understood at all.
pub(crate) fn parse(format: Format, text: &str, findings: &mut Vec<Finding>) -> Option<Node> {
    match format {
        Format::Yaml => yaml::parse(text, findings),
        Format::Toml => toml::parse(text, findings),
        Format::Json => json::parse(text, findings),
    }
}

impl Node {
    /// What it is, in a sentence: "expected a list, found …".
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Broken => "a mistake",
        }
    }
}

impl Node {
    /// How many levels stand in it: none in a scalar.
    fn height(&self) -> usize {
        match &self.value {
            Value::List(items) => 1 + items.iter().map(Self::height).max().unwrap_or(0),
            Value::Map(entries) => 1 + entries.iter().map(|entry| entry.value.height()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// The entries of one map while it is read: a second key of the same name is a mistake.
#[derive(Debug, Default)]
struct Entries {
    list: Vec<Entry>,
    first: HashMap<String, Span>,
}

impl Entries {
    fn push(&mut self, key: String, key_span: Span, value: Node, findings: &mut Vec<Finding>) {
        if let Some(first) = self.first.get(&key) {
            let finding =
                Finding::error(format!("`{key}` is written twice")).at(&key_span).label("again here").related(first, "first here");
            findings.push(finding.help("keep one of the two"));
            return;
        }
        self.first.insert(key.clone(), key_span.clone());
        self.list.push(Entry { key, key_span, value });
    }
}
