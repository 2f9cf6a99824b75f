//! Who it is: claims that were proven, read into the names that rules and headers use.

mod attribute;
mod condition;
mod context;
mod conversion;
mod kept;
mod mapping;
mod operator;

pub use attribute::{AmrRule, Attribute, AttributeMapping, AttributeSource, AttributeType, ClaimSource, RESERVED};
pub use condition::{Condition, ConditionFault};
pub use context::{DropReason, Dropped, Sources};
pub(crate) use mapping::text_of;
pub use mapping::{IdentityMapping, NoRoles, ProfileField, RoleRule, RoleSource, SourcedRole, UserId};
pub(crate) use operator::contains_any;
pub use operator::{Bound, OPERATORS, Operator, Pattern, is_large_regex};

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::expression::IdentityFacts;
use crate::headers::PreparedEdits;
use crate::session::Session;
use crate::token::VerifiedToken;
use kept::KeptClaims;

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
    provider: Arc<str>,
    claims: KeptClaims,
    user: Option<Box<str>>,
    email: Option<Box<str>>,
    email_is_verified: bool,
    name: Option<Box<str>>,
    provider_session: Option<Box<str>>,
    roles: Vec<Box<str>>,
    permissions: Vec<Box<str>>,
    scopes: Vec<Box<str>>,
    facts: IdentityFacts,
    prepared: PreparedEdits,
}

impl Identity {
    /// The caller behind a verified access token of `provider`.
    pub fn from_token(provider: impl Into<Arc<str>>, token: VerifiedToken, mapping: &IdentityMapping) -> Self {
        let (claims, text) = token.into_parts();
        Self::of(Proof::Bearer, provider.into(), claims, text, mapping)
    }

    /// The user of a live session.
    pub fn from_session(session: Session, mapping: &IdentityMapping) -> Self {
        let (provider, provider_session) = (session.provider.clone(), session.provider_session.clone());
        Self { provider_session, ..Self::read(Proof::Session, &provider, session.claims, mapping) }
    }

    pub(crate) fn read(proof: Proof, provider: &str, claims: Map<String, Value>, mapping: &IdentityMapping) -> Self {
        Self::of(proof, provider.into(), claims, None, mapping)
    }

    /// `signed`: the text of all these claims, where there is one.
    fn of(proof: Proof, provider: Arc<str>, claims: Map<String, Value>, signed: Option<Box<[u8]>>, mapping: &IdentityMapping) -> Self {
        let text = |path: &crate::claim_path::ClaimPath| text_of(path, &claims).map(|text| Box::from(&*text));
        let permissions = claims.get("permissions").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let permissions = distinct(permissions.map(Into::into).collect());
        // RFC 6749 §3.3: names separated by single spaces.
        let scopes = claims.get("scope").and_then(Value::as_str).into_iter().flat_map(|names| names.split(' '));
        let scopes = distinct(scopes.map(Into::into).collect());
        Self {
            proof,
            provider,
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
            prepared: PreparedEdits::default(),
            claims: KeptClaims::new(signed, claims),
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
        self.claims().get("iss").and_then(Value::as_str)
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
        let claimed = self.claims().get("groups").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
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
        self.claims.map()
    }

    /// The same as expressions read it.
    pub(crate) fn facts(&self) -> &IdentityFacts {
        &self.facts
    }

    /// What apps are told of it, as far as that was made before.
    pub(crate) fn prepared(&self) -> &PreparedEdits {
        &self.prepared
    }
}

/// So many names are compared with each other sooner than a set of them is made.
const FEW: usize = 16;

/// Each name once, in the order of first appearance; an empty name is no name (an empty role must never match an empty rule).
fn distinct(names: Vec<Box<str>>) -> Vec<Box<str>> {
    if names.len() <= FEW {
        let mut kept: Vec<Box<str>> = Vec::with_capacity(names.len());
        for name in names {
            if !name.is_empty() && !kept.contains(&name) {
                kept.push(name);
            }
        }
        return kept;
    }
    // Tokens may have thousands: each is looked up, not compared with all before it.
    let mut seen: HashSet<&str> = HashSet::with_capacity(names.len());
    let first: Vec<bool> = names.iter().map(|name| !name.is_empty() && seen.insert(name)).collect();
    names.into_iter().zip(first).filter_map(|(name, first)| first.then_some(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_once_in_the_order_of_their_first_appearance() {
        for count in [0, 1, FEW, FEW + 1, 1000] {
            let names = (0..count).map(|at| if at % 5 == 3 { Box::from("") } else { format!("n{}", at * 7 % 11).into() });
            let names: Vec<Box<str>> = names.collect();
            let mut expected: Vec<Box<str>> = Vec::new();
            names.iter().filter(|name| !name.is_empty()).for_each(|name| {
                if !expected.contains(name) {
                    expected.push(name.clone());
                }
            });
            assert_eq!(distinct(names), expected, "{count}");
        }
    }
}
