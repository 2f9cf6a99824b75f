//! A mapping rule's `when`: what claims must be.

use doorward_policy::identity::{Condition, ConditionFault, OPERATORS, Operator, is_large_regex};
use serde_json::Value as Json;

use super::super::field::Field;
use super::super::map::Map;
use super::super::word;
use crate::document::Value;
use crate::problem::WarningCode;

/// A comparison, a list of which all must hold, or `any`, `all`, `not`. As deep as a file may be.
pub(super) fn read(field: &Field<'_>) -> Option<Condition> {
    if matches!(field.value(), Value::List(_)) {
        return field.each(read).map(Condition::All);
    }
    let map = field.map()?;
    let (any, every, not) = (map.optional("any"), map.optional("all"), map.optional("not"));
    match (any, every, not) {
        (None, None, None) => comparison(&map, field),
        (Some(any), None, None) => {
            map.finish(&[]);
            any.each(read).map(Condition::Any)
        }
        (None, Some(every), None) => {
            map.finish(&[]);
            every.each(read).map(Condition::All)
        }
        (None, None, Some(not)) => {
            map.finish(&[]);
            read(&not).map(|condition| Condition::Not(Box::new(condition)))
        }
        _ => field.refuse("more than one of `any`, `all` and `not`", "nest them: `all: [{ any: … }, { not: … }]`"),
    }
}

fn comparison(map: &Map<'_>, field: &Field<'_>) -> Option<Condition> {
    let path = map.required("path").and_then(|field| field.claim_path());
    let op = map.required("op").and_then(|field| Some((field.text()?, field)));
    let value = map.optional("value");
    map.finish(&[
        ("claim", "write `path`"),
        ("operator", "write `op`"),
        ("values", "write `value`, which may be a list"),
        ("eq", "write `op: eq` and `value: …`"),
        ("in", "write `op: in` and `value: …`"),
        ("regex", "write `op: regex` and `value: …`"),
    ]);
    let (name, op) = op?;
    let value = match value {
        Some(value) if name == "exists" => return value.refuse("`exists` takes no value", "leave `value` out, or write another `op`"),
        Some(value) => Some(json(&value)?),
        None => None,
    };
    match Operator::parse(name, value.as_ref()) {
        Ok(operator) => {
            warn_if_large(map, &operator);
            Some(Condition::Compare { path: path?, operator })
        }
        Err(ConditionFault::Operator(_)) => {
            let message = format!("`{}` is not one of {}", op.shown(), word::list(OPERATORS));
            match meant(op.shown()) {
                Some(help) => op.refuse(message, help),
                None => op.unknown(&message, OPERATORS),
            }
        }
        Err(ConditionFault::Regex(text)) => {
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!("the regular expression does not compile: {reason}");
            map.optional("value")?.refuse(message, "it must match the whole text; there is no look-around and no back-reference")
        }
        Err(fault) => {
            let help = match fault {
                ConditionFault::MissingValue(_) => "add `value: …`",
                ConditionFault::NotANumber(_) => "a number without quotes, or a time: `\"2026-11-22T09:00:00Z\"`",
                _ => "several values are compared with `op: in`",
            };
            map.optional("value").unwrap_or_else(|| field.clone()).fault(&fault, help)
        }
    }
}

/// What other mapping languages call an operator.
fn meant(written: &str) -> Option<&'static str> {
    match written.to_lowercase().as_str() {
        "=" | "==" | "equals" | "equal" | "is" | "like" => Some("write `eq`; `*` in its value is any characters"),
        "!=" | "<>" | "ne" | "not_equals" => Some("write `neq`"),
        "<" => Some("write `lt`"),
        "<=" | "le" => Some("write `lte`"),
        ">" => Some("write `gt`"),
        ">=" | "ge" => Some("write `gte`"),
        "contains" | "includes" | "has" | "any" => Some("write `in`: it looks into a list; `eq` with `*` looks into a text"),
        "not_contains" | "nin" | "notin" => Some("write `not_in`"),
        "match" | "matches" | "=~" | "~" => Some("write `regex`; it must match the whole text"),
        "present" => Some("write `exists`"),
        _ => None,
    }
}

fn warn_if_large(map: &Map<'_>, operator: &Operator) {
    if let (Operator::Regex(_), Some(field)) = (operator, map.optional("value"))
        && field.any_text().is_some_and(is_large_regex)
    {
        let help = "every sign-in pays for it; a shorter one, or several comparisons, cost less";
        field.warn(WarningCode::LooseRegex, "the regular expression takes more than 64 KiB when compiled", help);
    }
}

/// One scalar, or a list of them as an array.
fn json(field: &Field<'_>) -> Option<Json> {
    match field.value() {
        Value::List(_) => field.scalars().map(Json::Array),
        _ => field.scalar(),
    }
}
