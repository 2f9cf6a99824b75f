//! `identity`: which claims are the user, and which earn a role.

use doorward_policy::claim_path::ClaimPath;
use doorward_policy::identity::{Condition, ConditionFault, IdentityMapping, Operator, RoleRule};
use serde_json::Value as Json;

use super::field::{Field, all};
use super::map::Map;
use crate::document::Value;

impl Field<'_> {
    /// Where in a token a value stands.
    pub(super) fn claim_path(&self) -> Option<ClaimPath> {
        match ClaimPath::parse(self.any_text()?) {
            Ok(path) => Some(path),
            Err(fault) => self
                .refuse(format!("`{}` is no claim path: {fault}", self.shown()), "a name, dots between names, a JSON Pointer or JSONPath"),
        }
    }

    /// Names that something is compared with: an empty one would match what is as good as absent.
    pub(super) fn names(&self) -> Option<Vec<Box<str>>> {
        self.each(|item| item.text().map(Into::into))
    }
}

pub(super) fn read(field: Option<Field<'_>>) -> Option<IdentityMapping> {
    let map = match field {
        Some(field) => Some(field.map()?),
        None => None,
    };
    let path = |key: &'static str| match map.as_ref().and_then(|map| map.optional(key)) {
        Some(field) => field.claim_path(),
        None => ClaimPath::parse(key).ok(),
    };
    let user = match map.as_ref().and_then(|map| map.optional("user")) {
        Some(field) => field.claim_path(),
        None => ClaimPath::parse("sub").ok(),
    };
    let (email, name) = (path("email"), path("name"));
    let (mut roles, mut role_rules) = (Some(Vec::new()), Some(Vec::new()));
    if let Some(map) = &map {
        roles = map.or("roles", Vec::new(), |field| all(field.any_items()?.iter().map(Field::claim_path)));
        role_rules = map.or("role_mapping", Vec::new(), |field| all(field.any_items()?.iter().map(role_rule)));
        map.finish(&[("groups", "write `roles`")]);
    }
    Some(IdentityMapping { user: user?, email: email?, name: name?, roles: roles?, role_rules: role_rules? })
}

fn role_rule(field: &Field<'_>) -> Option<RoleRule> {
    let map = field.map()?;
    let when = map.required("when").and_then(|field| condition(&field));
    let roles = map.required("roles").and_then(|field| field.names());
    map.finish(&[("role", "write `roles: [ … ]`")]);
    Some(RoleRule { when: when?, roles: roles? })
}

/// A comparison, a list of which all must hold, or `any`, `all`, `not`. As deep as a file may be.
fn condition(field: &Field<'_>) -> Option<Condition> {
    if matches!(field.value(), Value::List(_)) {
        return field.each(condition).map(Condition::All);
    }
    let map = field.map()?;
    let (any, every, not) = (map.optional("any"), map.optional("all"), map.optional("not"));
    match (any, every, not) {
        (None, None, None) => comparison(&map, field),
        (Some(any), None, None) => {
            map.finish(&[]);
            any.each(condition).map(Condition::Any)
        }
        (None, Some(every), None) => {
            map.finish(&[]);
            every.each(condition).map(Condition::All)
        }
        (None, None, Some(not)) => {
            map.finish(&[]);
            condition(&not).map(|condition| Condition::Not(Box::new(condition)))
        }
        _ => field.refuse("more than one of `any`, `all` and `not`", "nest them: `all: [{ any: … }, { not: … }]`"),
    }
}

fn comparison(map: &Map<'_>, field: &Field<'_>) -> Option<Condition> {
    let path = map.required("path").and_then(|field| field.claim_path());
    let op = map.required("op").and_then(|field| Some((field.text()?, field)));
    let value = map.optional("value");
    map.finish(&[("claim", "write `path`"), ("operator", "write `op`"), ("values", "write `value`, which may be a list")]);
    let (name, op) = op?;
    let value = match value {
        Some(value) if name == "exists" => return value.refuse("`exists` takes no value", "leave `value` out, or write another `op`"),
        Some(value) => Some(json(&value)?),
        None => None,
    };
    match Operator::parse(name, value.as_ref()) {
        Ok(operator) => Some(Condition::Compare { path: path?, operator }),
        Err(ConditionFault::Operator(_)) => {
            let known = ["exists", "eq", "neq", "neq_or_missing", "in", "lt", "lte", "gt", "gte", "regex"];
            op.unknown(&format!("`{}` is not one of {}", op.shown(), super::word::list(&known)), &known)
        }
        Err(ConditionFault::Regex(text)) => {
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!("the regular expression does not compile: {reason}");
            map.optional("value")?.refuse(message, "it must match the whole text; there is no look-around and no back-reference")
        }
        Err(fault) => {
            let help = match fault {
                ConditionFault::MissingValue(_) => "add `value: …`",
                ConditionFault::NotANumber(_) => "write digits, without quotes",
                _ => "several values are compared with `op: in`",
            };
            map.optional("value").unwrap_or_else(|| field.clone()).fault(&fault, help)
        }
    }
}

/// One scalar, or a list of them as an array.
fn json(field: &Field<'_>) -> Option<Json> {
    match field.value() {
        Value::List(_) => field.scalars().map(Json::Array),
        _ => field.scalar(),
    }
}
