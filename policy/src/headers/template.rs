//! `"{user}"`, `"{claim:org_id}"`, `"role={roles}; by={provider}"`: a header value with places for an identity.
//!
//! A template is read once, at load. What a claim says is never read as a template. One without a place is the same for
//! everybody who is known, and for nobody else.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Range;

use serde_json::Value;

use super::value::{encode_list, encode_text};
use crate::claim_path::{ClaimPath, ClaimPathFault};
use crate::identity::{Identity, IdentityMapping, Names, ProfileField, text_of};

/// A compiled header value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    written: Box<str>,
    parts: Vec<Part>,
}

/// One thing that a template reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<'t> {
    /// As it stands in braces, without a claim's path: `user`, `roles`, `org_id`, `claim`.
    pub name: &'static str,
    /// The claim it is read from, where the template itself says which; roles, user and the like are the identity's.
    pub path: Option<Cow<'t, ClaimPath>>,
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
    /// Where the identity's mapping says it is; before [`Template::bind`], where OpenID Connect says.
    Profile(ProfileField, ClaimPath),
    /// A claim with a name of its own: `org_id`, `amr`, `acr`.
    Named(&'static str, ClaimPath),
    Claim(ClaimPath),
}

/// Claims that may be named like fields.
const NAMED: [&str; 3] = ["org_id", "amr", "acr"];

/// Why a template does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    #[error(
        "unknown name `{{{0}}}`; known are user, email, name, username, first_name, last_name, phone, locale, roles, permissions, scope, org_id, amr, acr, issuer, provider and claim:PATH"
    )]
    Unknown(String),
    #[error("`{{` is never closed; write `{{{{` for a brace")]
    Open,
    #[error("`}}` closes nothing; write `}}}}` for a brace")]
    Close,
    #[error("claim path: {0}")]
    Path(#[from] ClaimPathFault),
    #[error("only visible ASCII and spaces can stand in a header")]
    Bytes,
    #[error("the value is empty; write a text, or what the app is to be told in braces")]
    Empty,
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
        let blank = |part: &Part| matches!(part, Part::Literal(literal) if literal.trim_ascii().is_empty());
        if parts.iter().all(blank) {
            return Err(TemplateFault::Empty);
        }
        Ok(Self { written: text.into(), parts })
    }

    /// Reads the profile where `mapping` says it is.
    pub fn bind(&mut self, mapping: &IdentityMapping) {
        for part in &mut self.parts {
            if let Part::Profile(field, path) = part {
                path.clone_from(mapping.path_of(*field));
            }
        }
    }

    /// Whether it is the same for everybody.
    pub fn is_constant(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// What it reads of an identity, in its order.
    pub fn reads(&self) -> impl Iterator<Item = Read<'_>> {
        self.parts.iter().filter_map(Part::read)
    }

    /// Writes the value for `identity` behind what `texts` says: where it is there. `None` when it has nothing of what the template
    /// names.
    pub(super) fn write(&self, identity: &Identity, texts: &mut String) -> Option<Range<usize>> {
        let from = texts.len();
        let mut found = self.is_constant();
        for part in &self.parts {
            found |= part.write(identity, texts);
        }
        let value = texts[from..].trim_ascii_end();
        let to = from + value.len();
        let from = to - value.trim_ascii_start().len();
        (found && from < to).then_some(from..to)
    }

    #[cfg(test)]
    pub(super) fn fill(&self, identity: &Identity) -> Option<String> {
        // Behind something else, as every value but the first.
        let mut texts = " a ".to_owned();
        let value = self.write(identity, &mut texts)?;
        Some(texts[value].to_owned())
    }

    pub(super) fn top_level(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|part| match part {
            Part::Claim(path) | Part::Profile(_, path) | Part::Named(_, path) => path.top_level().collect::<Vec<_>>(),
            Part::Permissions => vec!["permissions"],
            Part::Scope => vec!["scope"],
            _ => Vec::new(),
        })
    }
}

impl fmt::Display for Template {
    /// As the operator wrote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn part(name: &str) -> Result<Part, TemplateFault> {
    if let Some(field) = ProfileField::ALL.into_iter().find(|field| field.name() == name) {
        return Ok(Part::Profile(field, ClaimPath::name(field.claim())));
    }
    if let Some(claim) = NAMED.into_iter().find(|claim| *claim == name) {
        return Ok(Part::Named(claim, ClaimPath::name(claim)));
    }
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
        let list = |items: Names<'_>, into: &mut String| {
            encode_list(items.iter(), into);
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
            Self::Profile(_, path) => text(text_of(path, identity.claims()).as_deref(), into),
            Self::Claim(path) | Self::Named(_, path) => claim(path, identity, into),
        }
    }

    fn read(&self) -> Option<Read<'_>> {
        let own = |name| Some(Read { name, path: None });
        let claim = |name| Some(Read { name, path: Some(Cow::Owned(ClaimPath::name(name))) });
        match self {
            Self::Literal(_) => None,
            Self::User => own("user"),
            Self::Email => own("email"),
            Self::Name => own("name"),
            Self::Roles => own("roles"),
            Self::Provider => own("provider"),
            Self::Permissions => claim("permissions"),
            Self::Scope => claim("scope"),
            Self::Issuer => Some(Read { name: "issuer", path: Some(Cow::Owned(ClaimPath::name("iss"))) }),
            Self::Profile(field, path) => Some(Read { name: field.name(), path: Some(Cow::Borrowed(path)) }),
            Self::Named(name, path) => Some(Read { name, path: Some(Cow::Borrowed(path)) }),
            Self::Claim(path) => Some(Read { name: "claim", path: Some(Cow::Borrowed(path)) }),
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
mod tests;
