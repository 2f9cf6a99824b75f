//! How one claim is compared with what stands in the configuration.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::ConditionFault;
use crate::claim_path::ClaimPath;
use crate::time::rfc3339;

/// Every operator by its name in the configuration.
pub const OPERATORS: &[&str] = &["exists", "eq", "neq", "neq_or_missing", "in", "not_in", "lt", "lte", "gt", "gte", "regex"];

/// Most bytes that a compiled regular expression may take.
const REGEX_LIMIT: usize = 1 << 20;
/// More than this is worth a warning: a pattern that only looks small, such as `\w{1,200}`.
const LARGE_REGEX: usize = 64 * 1024;

/// How one claim is compared.
#[derive(Debug, Clone)]
pub enum Operator {
    Exists,
    /// Equal as JSON; a text may hold `*` for any characters and `\*` for the star itself.
    Equal(Pattern),
    /// There, and not equal.
    NotEqual(Pattern),
    NotEqualOrMissing(Pattern),
    /// The claim is an array, or names separated by spaces, that holds one of these.
    In(Vec<Value>),
    /// There, and neither one of these nor a list with one of them in it.
    NotIn(Vec<Value>),
    /// Numbers by value, times by when they are; nothing else is ordered.
    Less(Bound),
    LessOrEqual(Bound),
    Greater(Bound),
    GreaterOrEqual(Bound),
    /// The whole text matches; linear time whatever the text.
    Regex(Regex),
}

/// What a claim is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Pattern {
    Value(Value),
    /// Text between stars: `a*b` is `["a", "b"]`.
    Glob(Vec<Box<str>>),
}

/// What a claim is before or after. A number is never compared with a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    Number(f64),
    /// RFC 3339, offsets taken into account.
    Time(jiff::Timestamp),
}

impl Operator {
    /// Compiles `op` and `value` as they stand in the configuration.
    ///
    /// # Errors
    /// [`ConditionFault`] when they do not fit together.
    pub fn parse(name: &str, value: Option<&Value>) -> Result<Self, ConditionFault> {
        let needed = || value.ok_or_else(|| ConditionFault::MissingValue(name.into()));
        let bound = || Bound::of(needed()?).ok_or_else(|| ConditionFault::NotANumber(name.into()));
        let pattern = || Pattern::parse(name, needed()?);
        let values = || match needed()? {
            Value::Array(items) if items.is_empty() => Err(ConditionFault::EmptyList),
            Value::Array(items) => Ok(items.clone()),
            one => Ok(vec![one.clone()]),
        };
        Ok(match name {
            "exists" => Self::Exists,
            "eq" => Self::Equal(pattern()?),
            "neq" => Self::NotEqual(pattern()?),
            "neq_or_missing" => Self::NotEqualOrMissing(pattern()?),
            "in" => Self::In(values()?),
            "not_in" => Self::NotIn(values()?),
            "lt" => Self::Less(bound()?),
            "lte" => Self::LessOrEqual(bound()?),
            "gt" => Self::Greater(bound()?),
            "gte" => Self::GreaterOrEqual(bound()?),
            "regex" => {
                let text = needed()?.as_str().ok_or_else(|| ConditionFault::NotAScalar(name.into()))?;
                Self::Regex(anchored(text, REGEX_LIMIT).map_err(|error| ConditionFault::Regex(error.to_string()))?)
            }
            other => return Err(ConditionFault::Operator(other.into())),
        })
    }

    /// What it is called in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Equal(_) => "eq",
            Self::NotEqual(_) => "neq",
            Self::NotEqualOrMissing(_) => "neq_or_missing",
            Self::In(_) => "in",
            Self::NotIn(_) => "not_in",
            Self::Less(_) => "lt",
            Self::LessOrEqual(_) => "lte",
            Self::Greater(_) => "gt",
            Self::GreaterOrEqual(_) => "gte",
            Self::Regex(_) => "regex",
        }
    }

    pub(super) fn holds(&self, path: &ClaimPath, claims: &Map<String, Value>) -> bool {
        // A list that `[*]` leads into is as many claims as it has elements. One that is equal is not "not equal", and one
        // that nobody can read leaves that open.
        let every = matches!(self, Self::NotEqual(_) | Self::NotEqualOrMissing(_) | Self::NotIn(_));
        let (mut found, mut held, mut failed) = (false, false, false);
        path.each(claims, &mut |value| {
            found = true;
            let holds = self.holds_of(value);
            held |= holds;
            failed |= !holds;
        });
        match (found, every) {
            (false, _) => matches!(self, Self::NotEqualOrMissing(_)),
            (true, true) => !failed,
            (true, false) => held,
        }
    }

    fn holds_of(&self, claim: &Value) -> bool {
        match self {
            Self::Exists => true,
            Self::Equal(pattern) => pattern.matches(claim),
            Self::NotEqual(pattern) | Self::NotEqualOrMissing(pattern) => !pattern.matches(claim),
            Self::In(wanted) => contains_any(claim, wanted),
            Self::NotIn(unwanted) => is_free_of(claim, unwanted),
            Self::Less(bound) => bound.order(claim).is_some_and(Ordering::is_lt),
            Self::LessOrEqual(bound) => bound.order(claim).is_some_and(Ordering::is_le),
            Self::Greater(bound) => bound.order(claim).is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual(bound) => bound.order(claim).is_some_and(Ordering::is_ge),
            Self::Regex(regex) => claim.as_str().is_some_and(|text| regex.is_match(text)),
        }
    }
}

/// JWT-2B: anchored, and bounded in memory; the engine is linear in the text.
fn anchored(text: &str, limit: usize) -> Result<Regex, regex::Error> {
    // By itself first: `a)|(b` would get around the anchors.
    RegexBuilder::new(text).size_limit(limit).build()?;
    RegexBuilder::new(&format!("^(?:{text})$")).size_limit(limit).build()
}

/// Whether a regular expression that compiles takes more than 64 KiB of memory: each of its users pays for that in time.
pub fn is_large_regex(text: &str) -> bool {
    matches!(anchored(text, LARGE_REGEX), Err(regex::Error::CompiledTooBig(_)))
}

/// An array that holds one of `wanted`, or a text that lists one between single spaces (`scope`).
pub(crate) fn contains_any(claim: &Value, wanted: &[Value]) -> bool {
    match claim {
        Value::Array(items) => items.iter().any(|item| wanted.iter().any(|want| same(want, item))),
        Value::String(names) => {
            wanted.iter().filter_map(Value::as_str).any(|want| !want.is_empty() && names.split(' ').any(|name| name == want))
        }
        _ => false,
    }
}

/// A text, number, truth value or list of such, without any of `unwanted`. What is deeper than that may hide one: it is not
/// free of anything.
fn is_free_of(claim: &Value, unwanted: &[Value]) -> bool {
    let is_scalar = |value: &Value| matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
    let is_flat = is_scalar(claim) || claim.as_array().is_some_and(|items| items.iter().all(is_scalar));
    is_flat && !contains_any(claim, unwanted) && !unwanted.iter().any(|other| same(other, claim))
}

/// Equal as JSON, where 1 and 1.0 are one number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || ((one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()),
        _ => one == other,
    }
}

impl Bound {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_f64().map(Self::Number),
            Value::String(text) => rfc3339(text).map(Self::Time),
            _ => None,
        }
    }

    /// How the claim stands to this; `None` where they cannot be compared.
    fn order(&self, claim: &Value) -> Option<Ordering> {
        match self {
            Self::Number(bound) => claim.as_f64()?.partial_cmp(bound),
            Self::Time(bound) => Some(rfc3339(claim.as_str()?)?.cmp(bound)),
        }
    }
}

impl Pattern {
    fn parse(operator: &str, value: &Value) -> Result<Self, ConditionFault> {
        let Value::String(text) = value else {
            return match value {
                Value::Number(_) | Value::Bool(_) => Ok(Self::Value(value.clone())),
                _ => Err(ConditionFault::NotAScalar(operator.into())),
            };
        };
        let mut parts = vec![String::new()];
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '*' => parts.push(String::new()),
                '\\' if letters.peek() == Some(&'*') => push_last(&mut parts, letters.next()),
                other => push_last(&mut parts, Some(other)),
            }
        }
        Ok(match parts.as_slice() {
            [whole] => Self::Value(Value::String(whole.clone())),
            _ => Self::Glob(parts.into_iter().map(Into::into).collect()),
        })
    }

    fn matches(&self, value: &Value) -> bool {
        match (self, value) {
            // An array with one element is that element; a longer one equals nothing.
            (_, Value::Array(items)) => matches!(items.as_slice(), [one] if !one.is_array() && self.matches(one)),
            (Self::Value(own), other) => same(own, other),
            (Self::Glob(parts), Value::String(text)) => glob(parts, text),
            (Self::Glob(_), _) => false,
        }
    }
}

fn push_last(parts: &mut [String], letter: Option<char>) {
    if let (Some(part), Some(letter)) = (parts.last_mut(), letter) {
        part.push(letter);
    }
}

/// Each part in turn at its first place after the one before: linear for a text of `n` and a pattern of `m` bytes.
fn glob(parts: &[Box<str>], text: &str) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(mut rest) = text.strip_prefix(&**first) else { return false };
    for part in middle {
        let Some(at) = rest.find(&**part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(&**last)
}

#[cfg(test)]
mod tests;
