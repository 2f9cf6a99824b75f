//! One value under a key: read as what it should be, or reported.

use serde_json::Value as Json;

use super::map::Map;
use super::reading::Reading;
use super::word;
use crate::document::{Node, Span, Value};
use crate::problem::{Finding, WarningCode};

#[derive(Clone)]
pub(super) struct Field<'d> {
    pub(super) reading: &'d Reading<'d>,
    node: &'d Node,
    /// `routes[2].rules[0].allow`
    pub(super) key: String,
    /// The key; in a list, the value itself.
    at: Span,
}

impl<'d> Field<'d> {
    pub(super) fn new(reading: &'d Reading<'d>, node: &'d Node, key: String, at: Span) -> Self {
        Self { reading, node, key, at }
    }

    pub(super) fn span(&self) -> &'d Span {
        &self.node.span
    }

    /// Where the key stands: for what is wrong with a map as a whole.
    pub(super) fn at(&self) -> &Span {
        &self.at
    }

    pub(super) fn value(&self) -> &'d Value {
        &self.node.value
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// Reports; the value is underlined.
    pub(super) fn refuse<T>(&self, message: impl Into<String>, help: impl Into<String>) -> Option<T> {
        self.reading.refuse(self.shown_span(), &self.key, message, help)
    }

    /// Reports what another crate says about the value.
    pub(super) fn fault<T>(&self, error: &dyn std::error::Error, help: impl Into<String>) -> Option<T> {
        self.refuse(error.to_string(), help)
    }

    pub(super) fn warn(&self, code: WarningCode, message: impl Into<String>, help: impl Into<String>) {
        self.warn_at(self.shown_span(), code, message, help);
    }

    /// The same about a part of it.
    pub(super) fn warn_at(&self, at: &Span, code: WarningCode, message: impl Into<String>, help: impl Into<String>) {
        self.reading.report(Finding::warning(code, message).at(at).key(&self.key).help(help));
    }

    /// A scalar, or the key of a list or map.
    fn shown_span(&self) -> &Span {
        match self.node.value {
            Value::Map(_) | Value::List(_) | Value::Null => &self.at,
            _ => &self.node.span,
        }
    }

    /// The value for a message: as it stands in the file, so that nothing from the environment is shown.
    pub(super) fn shown(&self) -> &'d str {
        match &self.node.value {
            // A password in an address is a secret.
            Value::Text(text) if text.text.contains("://") && text.text.contains('@') => "…",
            Value::Text(text) if !text.expanded => &text.text,
            _ => self.reading.written(&self.node.span),
        }
    }

    /// Where a part of the text stands in the file; all of it where it is written with escapes or comes from the environment.
    pub(super) fn part(&self, range: Option<Span>) -> Span {
        let Value::Text(text) = &self.node.value else { return self.shown_span().clone() };
        let written = self.reading.written(&self.node.span);
        let begin = written.find(&text.text).filter(|_| !text.expanded && !text.text.is_empty());
        match (begin, range) {
            (Some(begin), Some(range)) => self.node.span.start + begin + range.start..self.node.span.start + begin + range.end,
            _ => self.node.span.clone(),
        }
    }

    fn expected<T>(&self, what: &str, help: &str) -> Option<T> {
        if matches!(self.node.value, Value::Broken) {
            return None;
        }
        let help = match self.node.value {
            Value::Null => "write a value behind the key, or take the key away",
            _ => help,
        };
        self.refuse(format!("expected {what}, found {}", self.node.kind()), help)
    }

    /// A text, perhaps an empty one.
    pub(super) fn any_text(&self) -> Option<&'d str> {
        match &self.node.value {
            Value::Text(text) => Some(&text.text),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {
                self.expected("a text", &format!("put it in quotes: `\"{}\"`", self.reading.written(&self.node.span)))
            }
            _ => self.expected("a text", "write one value"),
        }
    }

    /// A text with something in it, and no space around it.
    pub(super) fn text(&self) -> Option<&'d str> {
        let text = self.any_text()?;
        if text.is_empty() {
            return self.refuse("the text is empty", "write something, or take it away");
        }
        if text.trim() != text || text.contains(char::is_control) {
            return self.refuse("the text has a space at an end or a control character in it", "take it away");
        }
        Some(text)
    }

    /// A text without any space.
    pub(super) fn name(&self) -> Option<&'d str> {
        let text = self.text()?;
        if text.contains(char::is_whitespace) {
            return self.refuse(format!("`{}` has a space in it", self.shown()), "write one name; several are a list");
        }
        Some(text)
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Bool(value) => Some(*value),
            Value::Text(text) if text.expanded && text.text == "true" => Some(true),
            Value::Text(text) if text.expanded && text.text == "false" => Some(false),
            _ => self.expected("true or false", "write `true` or `false`, without quotes"),
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match &self.node.value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if text.expanded && text.text.parse::<i64>().is_ok() => text.text.parse().ok(),
            _ => self.expected("a whole number", "write digits, without quotes"),
        }
    }

    /// A whole number between two others.
    pub(super) fn integer_in(&self, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let number = self.integer()?;
        match u32::try_from(number) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => self.refuse(format!("`{}` is out of range", self.shown()), format!("between {} and {}", range.start(), range.end())),
        }
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        if let Value::Bool(_) = self.node.value {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            return self.unknown(&format!("`{}` is not one of {}", self.reading.written(&self.node.span), word::list(&known)), &known);
        }
        let text = self.any_text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.unknown(&format!("`{}` is not one of {}", self.shown(), word::list(&known)), &known)
    }

    /// Reports a word that nobody knows, with the known one that looks like it.
    pub(super) fn unknown<T>(&self, message: &str, known: &[&str]) -> Option<T> {
        let finding = Finding::error(message).at(self.shown_span()).key(&self.key);
        self.reading.report(match word::nearest(self.shown(), known.iter().copied()) {
            Some(near) => finding.label(format!("did you mean `{near}`?")),
            None => finding,
        });
        None
    }

    /// A list with something in it.
    pub(super) fn items(&self) -> Option<Vec<Field<'d>>> {
        let items = self.any_items()?;
        if items.is_empty() {
            return self.refuse("the list is empty", "list at least one");
        }
        Some(items)
    }

    /// A list, perhaps an empty one.
    pub(super) fn any_items(&self) -> Option<Vec<Field<'d>>> {
        match &self.node.value {
            Value::List(items) => Some(items.iter().enumerate().map(|(index, item)| self.item(index, item)).collect()),
            Value::Text(_) => self.expected("a list", &format!("write `[{}]`", self.reading.written(&self.node.span))),
            _ => self.expected("a list", "write `[ … ]`, or begin each item on a line of its own with `-`"),
        }
    }

    /// A list, or a single text that stands for a list of one.
    pub(super) fn items_or_one(&self) -> Option<Vec<Field<'d>>> {
        match &self.node.value {
            Value::List(_) => self.items(),
            Value::Map(_) | Value::Null | Value::Broken => self.expected("a text or a list", "write one value, or `[ … ]`"),
            _ => Some(vec![self.clone()]),
        }
    }

    fn item(&self, index: usize, node: &'d Node) -> Self {
        let at = match &node.value {
            Value::Map(entries) => entries.first().map_or(node.span.clone(), |entry| entry.key_span.clone()),
            _ => node.span.clone(),
        };
        Self { reading: self.reading, node, key: format!("{}[{index}]", self.key), at }
    }

    pub(super) fn map(&self) -> Option<Map<'d>> {
        match &self.node.value {
            Value::Map(entries) => Some(Map::new(self.reading, entries, self.key.clone(), self.at.clone())),
            _ => self.expected("a map", "write `{ key: value }`"),
        }
    }

    /// Every item of a list, read by `read`: `None` when any of them could not be.
    pub(super) fn each<T>(&self, read: impl Fn(&Field<'d>) -> Option<T>) -> Option<Vec<T>> {
        all(self.items()?.iter().map(read))
    }

    /// Whatever stands there, as JSON.
    pub(super) fn json(&self) -> Option<Json> {
        match &self.node.value {
            Value::Null => Some(Json::Null),
            Value::Bool(value) => Some(Json::Bool(*value)),
            Value::Integer(number) => Some(Json::from(*number)),
            Value::Float(number) => Some(Json::from(*number)),
            Value::Text(text) => Some(Json::String(text.text.clone())),
            Value::List(_) => all(self.any_items()?.iter().map(Field::json)).map(Json::Array),
            Value::Map(_) => {
                let entries = self.map()?;
                all(entries.entries().map(|(entry, field)| Some((entry.key.clone(), field.json()?)))).map(|list| list.into_iter().collect())
            }
            Value::Broken => None,
        }
    }

    /// A text, a number or a truth value as JSON, or a list of them.
    pub(super) fn scalars(&self) -> Option<Vec<Json>> {
        match &self.node.value {
            Value::List(_) => all(self.items()?.iter().map(Field::scalar)),
            _ => Some(vec![self.scalar()?]),
        }
    }

    /// A text, a number or a truth value as JSON. An empty text would match what is as good as absent.
    pub(super) fn scalar(&self) -> Option<Json> {
        match &self.node.value {
            Value::Bool(value) => Some(Json::Bool(*value)),
            Value::Integer(number) => Some(Json::from(*number)),
            Value::Float(number) => Some(Json::from(*number)),
            Value::Text(text) if text.text.is_empty() => self.refuse("the text is empty", "say what the claim must be"),
            Value::Text(text) => Some(Json::String(text.text.clone())),
            _ => self.expected("a text, a number or true/false", "a list or a map inside of a claim has a path of its own"),
        }
    }
}

/// All of them, after each has been looked at: one that fails does not hide the next.
pub(super) fn all<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let items: Vec<Option<T>> = items.collect();
    items.into_iter().collect()
}
