//! A map while it is read: every key must be asked for, or it is a mistake.

use std::cell::RefCell;

use super::field::Field;
use super::reading::Reading;
use super::word;
use crate::document::{Entry, Node, Span, Value};
use crate::problem::Finding;

pub(super) struct Map<'d> {
    reading: &'d Reading<'d>,
    entries: &'d [Entry],
    key: String,
    at: Span,
    known: RefCell<Vec<&'static str>>,
    /// Keys that must be there and are not: held back until it is known whether one of them is only misspelled.
    missing: RefCell<Vec<(String, Finding)>>,
}

impl<'d> Map<'d> {
    pub(super) fn new(reading: &'d Reading<'d>, entries: &'d [Entry], key: String, at: Span) -> Self {
        Self { reading, entries, key, at, known: RefCell::default(), missing: RefCell::default() }
    }

    /// The whole file.
    pub(super) fn root(reading: &'d Reading<'d>, node: &'d Node) -> Option<Self> {
        let Value::Map(entries) = &node.value else { return None };
        let at = entries.first().map_or(0..0, |entry| entry.key_span.clone());
        Some(Self::new(reading, entries, String::new(), at))
    }

    pub(super) fn optional(&self, key: &'static str) -> Option<Field<'d>> {
        #[cfg(test)]
        crate::schema::tests::asked(&self.key, key);
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.entries.iter().find(|entry| entry.key == key).map(|entry| self.field(entry))
    }

    /// Whether a key is there, or one that is a slip of it: what follows from its absence is not said then.
    pub(super) fn means(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key || word::nearest(&entry.key, std::iter::once(key)).is_some())
    }

    /// A key that must be there.
    pub(super) fn required(&self, key: &'static str) -> Option<Field<'d>> {
        self.optional(key).or_else(|| self.missing(key, format!("add `{key}: …`")))
    }

    /// Reports a key that is not there, and what to do about it.
    pub(super) fn missing<T>(&self, key: &str, help: impl Into<String>) -> Option<T> {
        let finding = Finding::error(format!("`{key}` is missing")).at(&self.at).key(&self.key).help(help);
        self.missing.borrow_mut().push((key.to_owned(), finding));
        None
    }

    /// `read` of a key, `default` when it is not there, `None` when it could not be read.
    pub(super) fn or<T>(&self, key: &'static str, default: T, read: impl FnOnce(&Field<'d>) -> Option<T>) -> Option<T> {
        match self.optional(key) {
            Some(field) => read(&field),
            None => Some(default),
        }
    }

    /// `read` of a key, `Some(None)` when it is not there, `None` when it could not be read.
    pub(super) fn maybe<T>(&self, key: &'static str, read: impl FnOnce(&Field<'d>) -> Option<T>) -> Option<Option<T>> {
        match self.optional(key) {
            Some(field) => read(&field).map(Some),
            None => Some(None),
        }
    }

    /// Every entry, for maps whose keys are names that the operator chose.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'d Entry, Field<'d>)> {
        self.entries.iter().map(|entry| (entry, self.field(entry)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reports every key that nobody asked for, and says whether there was none. `hints` are words that others use, and what to
    /// write here: a key that a hint names is not said to be missing as well.
    pub(super) fn finish(&self, hints: &[(&str, &str)]) -> bool {
        let known = self.known.borrow();
        let mut complete = true;
        for entry in self.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let finding = Finding::error(format!("unknown key `{}`", entry.key)).at(&entry.key_span).key(&self.path_of(&entry.key));
            let hint = hints.iter().find(|(word, _)| *word == entry.key);
            let absent = known.iter().copied().filter(|key| self.entries.iter().all(|other| other.key != *key));
            let near = word::nearest(&entry.key, absent);
            complete = false;
            self.missing.borrow_mut().retain(|(key, _)| match hint {
                Some((_, hint)) => !hint.contains(&format!("`{key}`")) && !hint.contains(&format!("`{key}:")),
                None => Some(key.as_str()) != near,
            });
            self.reading.report(match (hint, near) {
                (Some((_, hint)), _) => finding.help(*hint),
                (None, Some(near)) => finding.label(format!("did you mean `{near}`?")),
                (None, None) => finding.help(format!("known here: {}", word::list(&known))),
            });
        }
        complete
    }

    fn field(&self, entry: &'d Entry) -> Field<'d> {
        Field::new(self.reading, &entry.value, self.path_of(&entry.key), entry.key_span.clone())
    }

    fn path_of(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }
}

impl Drop for Map<'_> {
    fn drop(&mut self) {
        for (_, finding) in self.missing.borrow_mut().drain(..) {
            self.reading.report(finding);
        }
    }
}
