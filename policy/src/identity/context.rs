//! What is known of somebody: the claims of three sources in one map, with a provider's attributes in it.
//!
//! Everything that asks about somebody reads this map. It is made when somebody signs in, when tokens are refreshed and when
//! a bearer token is verified for the first time; never for each request.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use super::attribute::RESERVED;
use super::{Attribute, AttributeMapping, AttributeSource, AttributeType, ClaimSource};
use crate::access::AUTHENTICATION_CLAIMS;
use crate::claim_path::ClaimPath;
use crate::token::VerifiedToken;

/// Who said what. Each was verified in its own way; a bearer of a token has that one alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'c> {
    pub id_token: Option<&'c Map<String, Value>>,
    /// About the subject of the ID token (OIDC Core §5.3.2).
    pub userinfo: Option<&'c Map<String, Value>>,
    /// Also only where it is about that subject.
    pub access_token: Option<&'c Map<String, Value>>,
}

/// An attribute that somebody does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub name: Box<str>,
    pub why: DropReason,
}

/// Why an attribute is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Its source says nothing of it, or there is no such source here.
    Missing,
    /// The claim is of another type.
    Type { wanted: AttributeType, found: &'static str },
}

impl fmt::Display for Dropped {
    /// Without the value: logs get this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            DropReason::Missing => write!(f, "`{}` is not there", self.name),
            DropReason::Type { wanted, found } => write!(f, "`{}` should be {} and is {found}", self.name, wanted.name()),
        }
    }
}

impl<'c> Sources<'c> {
    pub fn of(&self, source: ClaimSource) -> Option<&'c Map<String, Value>> {
        match source {
            ClaimSource::IdToken => self.id_token,
            ClaimSource::Userinfo => self.userinfo,
            ClaimSource::AccessToken => self.access_token,
        }
    }

    /// All of it in one map: what the ID token says stays, then what userinfo says, then the access token.
    pub fn merged(&self) -> Map<String, Value> {
        let mut sources = ClaimSource::ALL.into_iter().filter_map(|source| self.of(source));
        let mut claims = sources.next().cloned().unwrap_or_default();
        sources.for_each(|more| add_missing(&mut claims, more));
        claims
    }
}

/// What was said before stays; the rest is added.
fn add_missing(claims: &mut Map<String, Value>, more: &Map<String, Value>) {
    // A word about an address that was never said vouches for no other.
    if !claims.contains_key("email") && more.contains_key("email") {
        claims.remove("email_verified");
    }
    let vouches = claims.get("email").is_none_or(|email| more.get("email") == Some(email));
    for (name, value) in more {
        // Who says that an address is verified must mean that address.
        if name == "email_verified" && !vouches {
            continue;
        }
        // OIDC Core §2: when and how somebody proved who they are is the first source's to say.
        if AUTHENTICATION_CLAIMS.contains(&name.as_str()) || claims.contains_key(name) {
            continue;
        }
        claims.insert(name.clone(), value.clone());
    }
}

impl AttributeMapping {
    /// The names that attributes have, whether somebody has them or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|attribute| &*attribute.name)
    }

    /// Nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty() && self.amr.is_none() && self.attributes.is_empty()
    }

    /// One map of what these sources say, mapped; and what was left out.
    pub fn context(&self, sources: &Sources<'_>) -> (Map<String, Value>, Vec<Dropped>) {
        let mut claims = sources.merged();
        let dropped = self.apply(&mut claims, sources);
        (claims, dropped)
    }

    /// A verified access token with its attributes: what its bearer is known by. Its sources are itself.
    pub fn of_token(&self, token: VerifiedToken) -> (VerifiedToken, Vec<Dropped>) {
        if self.is_empty() {
            return (token, Vec::new());
        }
        let (claims, dropped) = self.context(&Sources { access_token: Some(token.claims()), ..Sources::default() });
        (token.with_claims(claims), dropped)
    }

    /// Writes namespaces, then attributes, then `amr` into `merged`. Applied twice it says the same.
    ///
    /// An attribute's name is the attribute's: where there is no value of the right type, the name is gone, whoever else said
    /// something under it. A name without its namespace never replaces one that is there.
    pub fn apply(&self, merged: &mut Map<String, Value>, sources: &Sources<'_>) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        if self.is_empty() {
            return dropped;
        }
        let email = merged.get("email").cloned();
        self.add_short_names(merged);
        let seen = ClaimSource::ALL.map(|source| sources.of(source).map(|claims| self.with_short_names(claims)));
        for attribute in self.attributes.iter().filter(|attribute| !RESERVED.contains(&&*attribute.name)) {
            match attribute.value(&seen) {
                Ok(value) => {
                    merged.insert(attribute.name.to_string(), value);
                }
                Err(why) => {
                    merged.remove(&*attribute.name);
                    dropped.push(Dropped { name: attribute.name.clone(), why });
                }
            }
        }
        if let Some(rule) = &self.amr
            && (rule.always || merged.get("amr").is_none_or(Value::is_null))
        {
            merged.insert("amr".into(), rule.values.iter().map(|value| Value::from(&**value)).collect());
        }
        // The provider vouched for the address that was there before, for no other.
        if merged.get("email") != email.as_ref() {
            merged.remove("email_verified");
        }
        dropped
    }

    /// `groups` for `https://acme.dev/groups`, where that is in one of the namespaces and the short name is free to take.
    pub fn short_name<'n>(&self, claim: &'n str) -> Option<&'n str> {
        let whole = || self.namespaces.iter().any(|namespace| **namespace == *claim).then(|| claim.rsplit('/').next()).flatten();
        let rest = || {
            let prefixes = self.namespaces.iter().filter(|namespace| namespace.ends_with('/'));
            // Of two that fit, the longer one leaves the shorter name.
            prefixes.filter_map(|prefix| claim.strip_prefix(&**prefix)).min_by_key(|rest| rest.len())
        };
        whole().or_else(rest).filter(|name| !name.is_empty() && *name != claim && !RESERVED.contains(name))
    }

    /// The claims that are read as `name` where nothing else has that name: what [`Self::short_name`] makes short.
    pub fn long_names<'n>(&'n self, name: &'n str) -> impl Iterator<Item = String> + 'n {
        let whole = move |namespace: &str| if namespace.ends_with('/') { format!("{namespace}{name}") } else { namespace.to_owned() };
        self.namespaces.iter().map(move |namespace| whole(namespace)).filter(move |claim| self.short_name(claim) == Some(name))
    }

    fn add_short_names(&self, claims: &mut Map<String, Value>) {
        let mut short: Vec<(String, Value)> = Vec::new();
        for (claim, value) in claims.iter().filter(|(_, value)| !value.is_null()) {
            if let Some(name) = self.short_name(claim)
                && !claims.contains_key(name)
            {
                short.push((name.to_owned(), value.clone()));
            }
        }
        for (name, value) in short {
            claims.entry(name).or_insert(value);
        }
    }

    fn with_short_names<'c>(&self, claims: &'c Map<String, Value>) -> Cow<'c, Map<String, Value>> {
        if !claims.keys().any(|claim| self.short_name(claim).is_some()) {
            return Cow::Borrowed(claims);
        }
        let mut claims = claims.clone();
        self.add_short_names(&mut claims);
        Cow::Owned(claims)
    }
}

/// In the order of [`ClaimSource::ALL`].
type Seen<'c> = [Option<Cow<'c, Map<String, Value>>>; 3];

impl Attribute {
    /// What people read.
    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    fn value(&self, seen: &Seen<'_>) -> Result<Value, DropReason> {
        let found = match &self.from {
            AttributeSource::Constant(value) => return Ok(value.clone()),
            AttributeSource::Claim { source: Some(source), path } => read(path, seen[*source as usize].as_deref()),
            AttributeSource::Claim { source: None, path } => seen.iter().find_map(|claims| read(path, claims.as_deref())),
        };
        let value = found.ok_or(DropReason::Missing)?;
        let wanted = self.kind;
        wanted.accept(&value, self.weak).ok_or_else(|| DropReason::Type { wanted, found: kind_of(&value) })
    }
}

fn read(path: &ClaimPath, claims: Option<&Map<String, Value>>) -> Option<Value> {
    path.gathered(claims?)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
