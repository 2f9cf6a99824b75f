//! `"{user}"`, `"{claim:org_id}"`, `"role={roles}; by={provider}"`: a header value with places for an identity.
//!
//! A template is read once, at load. What a claim says is never read as a template.

use std::fmt::Write;

use serde_json::Value;

use super::value::{encode_list, encode_text};
use crate::claim_path::{ClaimPath, ClaimPathFault};
use crate::identity::Identity;

/// A compiled header value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    User,
    Email,
    Name,
    Roles,
    Permissions,
    Scope,
    Issuer,
    Provider,
    Claim(ClaimPath),
}

/// Why a template does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    #[error("unknown name `{{{0}}}`; known are user, email, name, roles, permissions, scope, issuer, provider and claim:PATH")]
    Unknown(String),
    #[error("`{{` is never closed; write `{{{{` for a brace")]
    Open,
    #[error("`}}` closes nothing; write `}}}}` for a brace")]
    Close,
    #[error("claim path: {0}")]
    Path(#[from] ClaimPathFault),
    #[error("only visible ASCII and spaces can stand in a header")]
    Bytes,
    #[error("the value is empty or the same for everyone; name at least one of user, email, roles … in braces")]
    Constant,
}

impl Template {
    /// Compiles a template; `{{` and `}}` are braces.
    ///
    /// # Errors
    /// [`TemplateFault`] says what to change.
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            if rest.starts_with("{{") || rest.starts_with("}}") {
                literal.push(letter);
                rest = &rest[2..];
            } else if let Some(inner) = rest.strip_prefix('{') {
                let (name, tail) = inner.split_once('}').ok_or(TemplateFault::Open)?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                }
                parts.push(part(name)?);
                rest = tail;
            } else if letter == '}' {
                return Err(TemplateFault::Close);
            } else if (' '..='~').contains(&letter) {
                literal.push(letter);
                rest = &rest[1..];
            } else {
                return Err(TemplateFault::Bytes);
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        if parts.iter().all(|part| matches!(part, Part::Literal(_))) {
            return Err(TemplateFault::Constant);
        }
        Ok(Self { parts })
    }

    /// The value for `identity`; `None` when it has nothing of what the template names.
    pub(super) fn fill(&self, identity: &Identity) -> Option<String> {
        let mut value = String::new();
        let mut found = false;
        for part in &self.parts {
            found |= part.write(identity, &mut value);
        }
        let value = value.trim_ascii();
        (found && !value.is_empty()).then(|| value.to_owned())
    }

    pub(super) fn top_level(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|part| match part {
            Part::Claim(path) => path.top_level().collect::<Vec<_>>(),
            Part::Permissions => vec!["permissions"],
            Part::Scope => vec!["scope"],
            _ => Vec::new(),
        })
    }
}

fn part(name: &str) -> Result<Part, TemplateFault> {
    Ok(match name {
        "user" => Part::User,
        "email" => Part::Email,
        "name" => Part::Name,
        "roles" => Part::Roles,
        "permissions" => Part::Permissions,
        "scope" => Part::Scope,
        "issuer" => Part::Issuer,
        "provider" => Part::Provider,
        _ => match name.strip_prefix("claim:") {
            Some(path) => Part::Claim(ClaimPath::parse(path)?),
            None => return Err(TemplateFault::Unknown(name.into())),
        },
    })
}

impl Part {
    /// Writes what the identity has; false when it has nothing of it.
    fn write(&self, identity: &Identity, into: &mut String) -> bool {
        let text = |value: Option<&str>, into: &mut String| {
            value.is_some_and(|value| {
                encode_text(value, into);
                true
            })
        };
        let list = |items: &[Box<str>], into: &mut String| {
            encode_list(items.iter().map(AsRef::as_ref), into);
            !items.is_empty()
        };
        match self {
            Self::Literal(literal) => {
                into.push_str(literal);
                false
            }
            Self::User => text(identity.user(), into),
            Self::Email => text(identity.email(), into),
            Self::Name => text(identity.name(), into),
            Self::Issuer => text(identity.issuer(), into),
            Self::Provider => text(Some(identity.provider()), into),
            Self::Roles => list(identity.roles(), into),
            Self::Permissions => list(identity.permissions(), into),
            Self::Scope => list(identity.scopes(), into),
            Self::Claim(path) => claim(path, identity, into),
        }
    }
}

/// One value as itself, several or an array as a list; what is neither text, number nor truth value as JSON.
fn claim(path: &ClaimPath, identity: &Identity, into: &mut String) -> bool {
    let mut found: Vec<&Value> = Vec::new();
    path.each(identity.claims(), &mut |value| found.push(value));
    match found.as_slice() {
        [] => false,
        [Value::Array(items)] => {
            encode_list(items.iter().map(plain).collect::<Vec<_>>().iter().map(String::as_str), into);
            !items.is_empty()
        }
        [Value::String(text)] => {
            encode_text(text, into);
            !text.is_empty()
        }
        [one @ (Value::Number(_) | Value::Bool(_))] => {
            let _ = write!(into, "{one}");
            true
        }
        [one] => {
            encode_text(&one.to_string(), into);
            true
        }
        several => {
            encode_list(several.iter().map(|value| plain(value)).collect::<Vec<_>>().iter().map(String::as_str), into);
            true
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_templates_do_not_compile() {
        for (bad, fault) in [
            ("{user", TemplateFault::Open),
            ("user}", TemplateFault::Close),
            ("{nobody}", TemplateFault::Unknown("nobody".into())),
            ("admin", TemplateFault::Constant),
            ("", TemplateFault::Constant),
            ("{user}\u{e9}", TemplateFault::Bytes),
            ("{user}\r\nX: y", TemplateFault::Bytes),
        ] {
            assert_eq!(Template::parse(bad), Err(fault), "{bad}");
        }
        assert!(matches!(Template::parse("{claim:a..b}"), Err(TemplateFault::Path(_))));
        assert!(Template::parse("{{{user}}} by {provider}").is_ok());
    }
}
