//! Who it is: claims that were proven, read into the names that rules and headers use.

mod attribute;
mod condition;
mod context;
mod conversion;
mod mapping;
mod operator;

pub use attribute::{AmrRule, Attribute, AttributeMapping, AttributeSource, AttributeType, ClaimSource, RESERVED};
pub use condition::{Condition, ConditionFault};
pub use context::{DropReason, Dropped, Sources};
pub(crate) use mapping::text_of;
pub use mapping::{IdentityMapping, NoRoles, ProfileField, RoleRule, RoleSource, SourcedRole, UserId};
pub(crate) use operator::contains_any;
pub use operator::{Bound, OPERATORS, Operator, Pattern, is_large_regex};

use serde_json::{Map, Value};

use crate::expression::IdentityFacts;
use crate::session::Session;
use crate::token::VerifiedToken;

/// What stands behind an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A session cookie of ours.
    Session,
    /// A bearer token, verified just now or not long ago.
    Bearer,
}

/// A proven identity. There is no constructor from plain claims: only a [`VerifiedToken`] or a [`Session`] makes one.
#[derive(Debug, Clone)]
pub struct Identity {
    proof: Proof,
    provider: Box<str>,
    claims: Map<String, Value>,
    user: Option<Box<str>>,
    email: Option<Box<str>>,
    email_is_verified: bool,
    name: Option<Box<str>>,
    provider_session: Option<Box<str>>,
    roles: Vec<Box<str>>,
    permissions: Vec<Box<str>>,
    scopes: Vec<Box<str>>,
    facts: IdentityFacts,
}

impl Identity {
    /// The caller behind a verified access token of `provider`.
    pub fn from_token(provider: &str, token: VerifiedToken, mapping: &IdentityMapping) -> Self {
        Self::read(Proof::Bearer, provider, token.into_claims(), mapping)
    }

    /// The user of a live session.
    pub fn from_session(session: Session, mapping: &IdentityMapping) -> Self {
        let (provider, provider_session) = (session.provider.clone(), session.provider_session.clone());
        Self { provider_session, ..Self::read(Proof::Session, &provider, session.claims, mapping) }
    }

    pub(crate) fn read(proof: Proof, provider: &str, claims: Map<String, Value>, mapping: &IdentityMapping) -> Self {
        let text = |path: &crate::claim_path::ClaimPath| text_of(path, &claims).map(|text| Box::from(&*text));
        let mut permissions = Vec::new();
        if let Some(Value::Array(items)) = claims.get("permissions") {
            items.iter().filter_map(Value::as_str).for_each(|item| add(&mut permissions, item));
        }
        let mut scopes = Vec::new();
        // RFC 6749 §3.3: names separated by single spaces.
        if let Some(Value::String(names)) = claims.get("scope") {
            names.split(' ').for_each(|name| add(&mut scopes, name));
        }
        Self {
            proof,
            provider: provider.into(),
            user: mapping.user.of(&claims).map(|user| Box::from(&*user)),
            email: text(&mapping.email),
            // The provider vouches for its own `email` claim, not for another that the operator chose.
            email_is_verified: mapping.email.as_str() == "email" && claims.get("email_verified") == Some(&Value::Bool(true)),
            name: text(&mapping.name),
            provider_session: claims.get("sid").and_then(Value::as_str).map(Into::into),
            roles: mapping.roles_of(&claims),
            permissions,
            scopes,
            facts: IdentityFacts::default(),
            claims,
        }
    }

    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// The provider's name in the configuration.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The provider says that the address is this person's. Absent is no.
    pub fn email_is_verified(&self) -> bool {
        self.email_is_verified
    }

    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The provider's own name for its session with this user (`sid`, OIDC Front-Channel Logout 1.0 §3).
    pub fn provider_session(&self) -> Option<&str> {
        self.provider_session.as_deref()
    }

    pub fn roles(&self) -> &[Box<str>] {
        &self.roles
    }

    /// What oauth2-proxy calls groups: the roles, then what the `groups` claim adds.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        let claimed = self.claims.get("groups").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let new = |group: &&str| !group.is_empty() && !self.roles.iter().any(|role| **role == **group);
        self.roles.iter().map(AsRef::as_ref).chain(claimed.filter(new))
    }

    /// Auth0's `permissions` claim.
    pub fn permissions(&self) -> &[Box<str>] {
        &self.permissions
    }

    /// RFC 8693 §4.2 `scope`.
    pub fn scopes(&self) -> &[Box<str>] {
        &self.scopes
    }

    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The same as expressions read it.
    pub(crate) fn facts(&self) -> &IdentityFacts {
        &self.facts
    }
}

/// Keeps the order of first appearance; an empty name is no name (an empty role must never match an empty rule).
fn add(list: &mut Vec<Box<str>>, name: &str) {
    if !name.is_empty() && !list.iter().any(|known| **known == *name) {
        list.push(name.into());
    }
}
