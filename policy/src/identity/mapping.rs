//! Which claims are the user, the e-mail address and the roles, and which other claims earn a role.

use regex::Regex;
use serde_json::{Map, Value};

use super::add;
use crate::claim_path::ClaimPath;

/// Claims → names. All role sources add up.
#[derive(Debug, Clone)]
pub struct IdentityMapping {
    pub user: ClaimPath,
    pub email: ClaimPath,
    pub name: ClaimPath,
    pub roles: Vec<ClaimPath>,
    pub role_rules: Vec<RoleRule>,
}

/// Roles for everyone whose claims meet a condition.
#[derive(Debug, Clone)]
pub struct RoleRule {
    pub when: Condition,
    pub roles: Vec<Box<str>>,
}

/// A condition on claims. A claim that is not there meets nothing but [`Operator::NotEqualOrMissing`].
#[derive(Debug, Clone)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Compare { path: ClaimPath, operator: Operator },
}

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
    /// Numbers by value; nothing else is ordered.
    Less(f64),
    LessOrEqual(f64),
    Greater(f64),
    GreaterOrEqual(f64),
    /// The whole text matches; linear time whatever the text.
    Regex(Regex),
}

/// What a claim is compared with.
#[derive(Debug, Clone)]
pub enum Pattern {
    Value(Value),
    /// Text between stars: `a*b` is `["a", "b"]`.
    Glob(Vec<Box<str>>),
}

/// Why a condition does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionFault {
    #[error("unknown operator `{0}`; known are exists, eq, neq, neq_or_missing, in, lt, lte, gt, gte, regex")]
    Operator(String),
    #[error("operator `{0}` needs a value")]
    MissingValue(String),
    #[error("operator `{0}` needs a number")]
    NotANumber(String),
    #[error("operator `{0}` needs a text, a number or true/false")]
    NotAScalar(String),
    #[error("the regular expression does not compile: {0}")]
    Regex(String),
    #[error("an empty list of values can never match")]
    EmptyList,
}

impl IdentityMapping {
    pub(super) fn roles_of(&self, claims: &Map<String, Value>) -> Vec<Box<str>> {
        let mut roles = Vec::new();
        for source in &self.roles {
            source.each_text(claims, &mut |role| add(&mut roles, role));
        }
        for rule in &self.role_rules {
            if rule.when.holds(claims) {
                rule.roles.iter().for_each(|role| add(&mut roles, role));
            }
        }
        roles
    }

    /// The top-level claims a session must keep for this mapping.
    pub fn top_level(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for path in [&self.user, &self.email, &self.name].into_iter().chain(&self.roles) {
            names.extend(path.top_level());
        }
        for rule in &self.role_rules {
            rule.when.collect_paths(&mut |path| names.extend(path.top_level()));
        }
        names
    }
}

impl Condition {
    /// Whether these claims meet the condition.
    pub fn holds(&self, claims: &Map<String, Value>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|condition| condition.holds(claims)),
            Self::Any(any) => any.iter().any(|condition| condition.holds(claims)),
            Self::Not(condition) => !condition.holds(claims),
            Self::Compare { path, operator } => operator.holds(path, claims),
        }
    }

    fn collect_paths<'s>(&'s self, visit: &mut dyn FnMut(&'s ClaimPath)) {
        match self {
            Self::All(list) | Self::Any(list) => list.iter().for_each(|condition| condition.collect_paths(visit)),
            Self::Not(condition) => condition.collect_paths(visit),
            Self::Compare { path, .. } => visit(path),
        }
    }
}

impl Operator {
    /// Compiles `op` and `value` as they stand in the configuration.
    ///
    /// # Errors
    /// [`ConditionFault`] when they do not fit together.
    pub fn parse(name: &str, value: Option<&Value>) -> Result<Self, ConditionFault> {
        let needed = || value.ok_or_else(|| ConditionFault::MissingValue(name.into()));
        let number = || needed()?.as_f64().ok_or_else(|| ConditionFault::NotANumber(name.into()));
        let pattern = || Pattern::parse(name, needed()?);
        Ok(match name {
            "exists" => Self::Exists,
            "eq" => Self::Equal(pattern()?),
            "neq" => Self::NotEqual(pattern()?),
            "neq_or_missing" => Self::NotEqualOrMissing(pattern()?),
            "in" => Self::In(match needed()? {
                Value::Array(items) if items.is_empty() => return Err(ConditionFault::EmptyList),
                Value::Array(items) => items.clone(),
                one => vec![one.clone()],
            }),
            "lt" => Self::Less(number()?),
            "lte" => Self::LessOrEqual(number()?),
            "gt" => Self::Greater(number()?),
            "gte" => Self::GreaterOrEqual(number()?),
            "regex" => {
                let text = needed()?.as_str().ok_or_else(|| ConditionFault::NotAScalar(name.into()))?;
                // JWT-2B: anchored, and bounded in memory; the engine is linear in the text.
                let compiled = regex::RegexBuilder::new(&format!("^(?:{text})$")).size_limit(1 << 20).build();
                Self::Regex(compiled.map_err(|error| ConditionFault::Regex(error.to_string()))?)
            }
            other => return Err(ConditionFault::Operator(other.into())),
        })
    }

    fn holds(&self, path: &ClaimPath, claims: &Map<String, Value>) -> bool {
        let mut found: Vec<&Value> = Vec::new();
        path.each(claims, &mut |value| found.push(value));
        if found.is_empty() {
            return matches!(self, Self::NotEqualOrMissing(_));
        }
        let compare = |value: &Value| match self {
            Self::Exists => true,
            Self::Equal(pattern) => pattern.matches(value),
            Self::NotEqual(pattern) | Self::NotEqualOrMissing(pattern) => !pattern.matches(value),
            Self::In(wanted) => contains_any(value, wanted),
            Self::Less(limit) => value.as_f64().is_some_and(|number| number < *limit),
            Self::LessOrEqual(limit) => value.as_f64().is_some_and(|number| number <= *limit),
            Self::Greater(limit) => value.as_f64().is_some_and(|number| number > *limit),
            Self::GreaterOrEqual(limit) => value.as_f64().is_some_and(|number| number >= *limit),
            Self::Regex(regex) => value.as_str().is_some_and(|text| regex.is_match(text)),
        };
        match self {
            // One equal value among several is not "not equal".
            Self::NotEqual(_) | Self::NotEqualOrMissing(_) => found.into_iter().all(compare),
            _ => found.into_iter().any(compare),
        }
    }
}

/// An array that holds one of `wanted`, or a text that lists one between single spaces (`scope`).
pub(crate) fn contains_any(value: &Value, wanted: &[Value]) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| wanted.contains(item)),
        Value::String(names) => {
            wanted.iter().filter_map(Value::as_str).any(|want| !want.is_empty() && names.split(' ').any(|name| name == want))
        }
        _ => false,
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
            (Self::Value(own), other) => own == other,
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
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(op: &str, value: Value, claim: Value) -> bool {
        let operator = Operator::parse(op, Some(&value)).unwrap();
        let condition = Condition::Compare { path: ClaimPath::parse("c").unwrap(), operator };
        let mut claims = Map::new();
        if !claim.is_null() {
            claims.insert("c".into(), claim);
        }
        condition.holds(&claims)
    }

    #[test]
    fn jwt_2a_what_each_operator_accepts() {
        // operator, configured value, claim, holds
        let table = [
            ("eq", json!("a"), json!("a"), true),
            ("eq", json!("a"), json!("A"), false),
            ("eq", json!("1"), json!(1), false),
            ("eq", json!(1), json!(1), true),
            ("eq", json!("a"), json!(["a"]), true),
            ("eq", json!("a"), json!(["a", "b"]), false),
            ("eq", json!("*@acme.dev"), json!("x@acme.dev"), true),
            ("eq", json!("*@acme.dev"), json!("x@acme.dev.evil"), false),
            ("eq", json!("a*a"), json!("a"), false),
            ("eq", json!(r"\*"), json!("*"), true),
            ("eq", json!(r"\*"), json!("x"), false),
            ("neq", json!("a"), json!("b"), true),
            ("neq", json!("a"), json!("a"), false),
            ("neq", json!("a"), json!(null), false),
            ("neq_or_missing", json!("a"), json!(null), true),
            ("in", json!("admin"), json!(["admin"]), true),
            ("in", json!("admin"), json!("superadmin"), false),
            ("in", json!(["a", "b"]), json!(["b", "c"]), true),
            ("in", json!("read:x"), json!("read:x read:xyz"), true),
            ("in", json!("read:xy"), json!("read:x read:xyz"), false),
            ("in", json!(""), json!(""), false),
            ("lt", json!(5), json!(4), true),
            ("lt", json!(5), json!("4"), false),
            ("gte", json!(5), json!(5), true),
            ("regex", json!("a+"), json!("aaa"), true),
            ("regex", json!("a+"), json!("aaab"), false),
            ("regex", json!("a|b"), json!("bx"), false),
        ];
        for (op, value, claim, expected) in table {
            assert_eq!(holds(op, value.clone(), claim.clone()), expected, "{op} {value} on {claim}");
        }
    }

    #[test]
    fn jwt_2b_a_hostile_text_costs_linear_time() {
        let text = "a".repeat(50 * 1024) + "!";
        assert!(!holds("regex", json!("(a+)+"), json!(text)));
        assert!(!holds("eq", json!("*a*a*a*a*b"), json!(text)));
    }

    #[test]
    fn adv_o2p_15_empty_lists_and_odd_values_do_not_compile() {
        assert_eq!(Operator::parse("in", Some(&json!([]))).err(), Some(ConditionFault::EmptyList));
        assert!(Operator::parse("eq", Some(&json!({}))).is_err());
        assert!(Operator::parse("lt", Some(&json!("5"))).is_err());
        assert!(Operator::parse("like", Some(&json!("5"))).is_err());
        assert!(Operator::parse("regex", Some(&json!("("))).is_err());
        assert!(Operator::parse("in", Some(&json!(["a"]))).is_ok());
    }
}
