//! Where in a token a value stands. Compiled once; evaluating allocates nothing.
//!
//! Three spellings: a JSON Pointer (RFC 6901) begins with `/`; a small part of JSONPath (RFC 9535: names, indexes and
//! `[*]`) begins with `$`; everything else is a name with dots. A name that exists as it is written wins over its
//! dotted reading, so `https://acme.dev/roles` needs no escape; `\.` is a dot inside a name.

use std::fmt;

use serde_json::{Map, Value};

use crate::token::{Claim, ClaimsSet};

/// A compiled claim path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    written: Box<str>,
    /// Tried first, as one top-level name: only for the dotted spelling.
    whole: Option<Box<str>>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(Box<str>),
    Index(usize),
    /// Every element of an array.
    All,
    /// A pointer's token: a name in an object, an index in an array (RFC 6901 §4).
    Token(Box<str>),
}

/// Why a claim path does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPathFault {
    #[error("the path is empty")]
    Empty,
    #[error("an empty name between two dots")]
    EmptyName,
    #[error("`~` must be followed by `0` or `1` in a JSON Pointer")]
    PointerEscape,
    #[error("`{0}` is not a name in brackets, an index or `[*]`")]
    Bracket(String),
    #[error("`..` would search the whole token; write the path out")]
    Descent,
}

impl ClaimPath {
    /// Compiles any of the three spellings.
    ///
    /// # Errors
    /// [`ClaimPathFault`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ClaimPathFault> {
        let (whole, steps) = match text.chars().next() {
            None => return Err(ClaimPathFault::Empty),
            Some('/') => (None, pointer(text)?),
            Some('$') => (None, json_path(&text[1..])?),
            Some(_) => {
                let (whole, steps) = dotted(text)?;
                (Some(whole), steps)
            }
        };
        if steps.is_empty() {
            return Err(ClaimPathFault::Empty);
        }
        Ok(Self { written: text.into(), whole, steps })
    }

    /// The path to one top-level claim of this very name.
    pub fn name(name: &str) -> Self {
        Self { written: name.into(), whole: Some(name.into()), steps: vec![Step::Name(name.into())] }
    }

    /// As the operator wrote it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The value, when the path leads to exactly one.
    pub fn one<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let mut found = None;
        let mut count = 0usize;
        self.each(claims, &mut |value| {
            count += 1;
            found = Some(value);
        });
        if count == 1 { found } else { None }
    }

    /// Calls `visit` with every value the path leads to, in order; `null` is no value.
    pub fn each<'c>(&self, claims: &'c Map<String, Value>, visit: &mut dyn FnMut(&'c Value)) {
        if let Some(value) = self.whole.as_ref().and_then(|whole| claims.get(&**whole)) {
            if !value.is_null() {
                visit(value);
            }
            return;
        }
        let Some((first, rest)) = self.steps.split_first() else { return };
        let (Step::Name(name) | Step::Token(name)) = first else { return };
        if let Some(value) = claims.get(&**name) {
            walk(value, rest, visit);
        }
    }

    /// [`Self::each`] of claims however they are kept.
    pub fn each_claim<'c>(&self, claims: &'c impl ClaimsSet, visit: &mut dyn FnMut(Claim<'c>)) {
        if let Some(claim) = self.whole.as_ref().and_then(|whole| claims.claim(whole)) {
            if !claim.is_null() {
                visit(claim);
            }
            return;
        }
        let Some((Step::Name(name) | Step::Token(name), rest)) = self.steps.split_first() else { return };
        match (claims.claim(name), rest) {
            (Some(Claim::Value(value)), _) => walk(value, rest, &mut |value| visit(Claim::Value(value))),
            (Some(claim), []) => visit(claim),
            (Some(Claim::Texts(texts)), [Step::All]) => texts.iter().for_each(|text| visit(Claim::Text(text))),
            (Some(Claim::Texts(texts)), [Step::Index(at)]) => texts.get(*at).into_iter().for_each(|text| visit(Claim::Text(text))),
            (Some(Claim::Texts(texts)), [Step::Token(digits)]) => {
                array_index(digits).and_then(|at| texts.get(at)).into_iter().for_each(|text| visit(Claim::Text(text)));
            }
            // A text has nothing in it.
            (Some(Claim::Text(_) | Claim::Texts(_)) | None, _) => {}
        }
    }

    /// [`Self::one`] of claims however they are kept.
    pub fn one_claim<'c>(&self, claims: &'c impl ClaimsSet) -> Option<Claim<'c>> {
        let (mut found, mut count) = (None, 0usize);
        self.each_claim(claims, &mut |claim| {
            count += 1;
            found = Some(claim);
        });
        if count == 1 { found } else { None }
    }

    /// The value, for keeping: a path with `[*]` gives the list of all it leads to, however many they are. `None` where there
    /// is nothing.
    pub fn gathered(&self, claims: &Map<String, Value>) -> Option<Value> {
        let spread = self.steps.contains(&Step::All) && self.whole.as_ref().is_none_or(|whole| !claims.contains_key(&**whole));
        if !spread {
            return self.one(claims).cloned();
        }
        let mut found = Vec::new();
        self.each(claims, &mut |value| found.push(value.clone()));
        (!found.is_empty()).then_some(Value::Array(found))
    }

    /// Calls `visit` with every string the path leads to; an array gives its elements.
    pub fn each_text<'c>(&self, claims: &'c impl ClaimsSet, visit: &mut dyn FnMut(&'c str)) {
        self.each_claim(claims, &mut |claim| match claim.as_str() {
            Some(text) => visit(text),
            None => _ = claim.each_item(&mut |item| item.into_iter().for_each(&mut *visit)),
        });
    }

    /// The top-level claims that the path may begin with: what a session must keep for it.
    pub fn top_level(&self) -> impl Iterator<Item = &str> {
        let first = match self.steps.first() {
            Some(Step::Name(name) | Step::Token(name)) => Some(&**name),
            _ => None,
        };
        self.whole.as_deref().into_iter().chain(first)
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn walk<'c>(value: &'c Value, steps: &[Step], visit: &mut dyn FnMut(&'c Value)) {
    let Some((step, rest)) = steps.split_first() else {
        if !value.is_null() {
            visit(value);
        }
        return;
    };
    match (step, value) {
        (Step::Name(name) | Step::Token(name), Value::Object(object)) => {
            if let Some(inner) = object.get(&**name) {
                walk(inner, rest, visit);
            }
        }
        (Step::Token(digits), Value::Array(items)) => {
            if let Some(inner) = array_index(digits).and_then(|at| items.get(at)) {
                walk(inner, rest, visit);
            }
        }
        (Step::Index(at), Value::Array(items)) => {
            if let Some(inner) = items.get(*at) {
                walk(inner, rest, visit);
            }
        }
        (Step::All, Value::Array(items)) => items.iter().for_each(|inner| walk(inner, rest, visit)),
        _ => {}
    }
}

/// RFC 6901 §4: no leading zeros, no sign.
fn array_index(digits: &str) -> Option<usize> {
    let plain = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()));
    if plain { digits.parse().ok() } else { None }
}

fn pointer(text: &str) -> Result<Vec<Step>, ClaimPathFault> {
    text[1..].split('/').map(pointer_token).collect()
}

/// RFC 6901 §4: `~1` is `/`, `~0` is `~`.
fn pointer_token(token: &str) -> Result<Step, ClaimPathFault> {
    let mut name = String::new();
    let mut letters = token.chars();
    while let Some(letter) = letters.next() {
        name.push(match letter {
            '~' => match letters.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(ClaimPathFault::PointerEscape),
            },
            other => other,
        });
    }
    Ok(Step::Token(name.into()))
}

fn json_path(mut rest: &str) -> Result<Vec<Step>, ClaimPathFault> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if rest.starts_with("..") {
            return Err(ClaimPathFault::Descent);
        }
        if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            if end == 0 {
                return Err(ClaimPathFault::EmptyName);
            }
            steps.push(Step::Name(tail[..end].into()));
            rest = &tail[end..];
        } else {
            let (step, tail) = bracket(rest)?;
            steps.push(step);
            rest = tail;
        }
    }
    if steps.first().is_some_and(|first| !matches!(first, Step::Name(_))) {
        return Err(ClaimPathFault::Bracket("$[…]".into()));
    }
    Ok(steps)
}

/// `['name']`, `["name"]`, `[7]` or `[*]`, and what follows.
fn bracket(text: &str) -> Result<(Step, &str), ClaimPathFault> {
    let fault = || ClaimPathFault::Bracket(text.into());
    let inner = text.strip_prefix('[').ok_or_else(fault)?;
    if let Some(quote @ ('\'' | '"')) = inner.chars().next() {
        let mut name = String::new();
        let mut letters = inner[1..].char_indices();
        while let Some((at, letter)) = letters.next() {
            if letter == quote {
                let tail = inner[1 + at + 1..].strip_prefix(']').ok_or_else(fault)?;
                return Ok((Step::Name(name.into()), tail));
            }
            name.push(if letter == '\\' { letters.next().ok_or_else(fault)?.1 } else { letter });
        }
        return Err(fault());
    }
    let (content, tail) = inner.split_once(']').ok_or_else(fault)?;
    let step = match content {
        "*" => Step::All,
        digits => Step::Index(array_index(digits).ok_or_else(fault)?),
    };
    Ok((step, tail))
}

/// The unescaped whole, and the steps between unescaped dots.
fn dotted(text: &str) -> Result<(Box<str>, Vec<Step>), ClaimPathFault> {
    let mut whole = String::new();
    let mut name = String::new();
    let mut steps = Vec::new();
    let mut rest = text;
    let mut after_bracket = false;
    while let Some(letter) = rest.chars().next() {
        let tail = &rest[letter.len_utf8()..];
        match letter {
            '\\' if tail.starts_with(['.', '\\', '[']) => {
                let escaped = &tail[..1];
                whole.push_str(escaped);
                name.push_str(escaped);
                rest = &tail[1..];
                continue;
            }
            '.' => {
                if name.is_empty() && !after_bracket {
                    return Err(ClaimPathFault::EmptyName);
                }
                if !name.is_empty() {
                    steps.push(Step::Name(std::mem::take(&mut name).into()));
                }
                after_bracket = false;
            }
            '[' => {
                if whole.ends_with('.') && name.is_empty() {
                    return Err(ClaimPathFault::EmptyName);
                }
                let (step, after) = bracket(rest)?;
                // Claims are an object: no index leads into it.
                if steps.is_empty() && name.is_empty() && !matches!(step, Step::Name(_)) {
                    return Err(ClaimPathFault::Bracket(rest.into()));
                }
                if !name.is_empty() {
                    steps.push(Step::Name(std::mem::take(&mut name).into()));
                }
                steps.push(step);
                whole.push_str(&rest[..rest.len() - after.len()]);
                rest = after;
                after_bracket = true;
                continue;
            }
            other => name.push(other),
        }
        whole.push(letter);
        rest = tail;
    }
    if !name.is_empty() {
        steps.push(Step::Name(name.into()));
    } else if !after_bracket {
        return Err(ClaimPathFault::EmptyName);
    }
    Ok((whole.into(), steps))
}

#[cfg(test)]
mod tests;
