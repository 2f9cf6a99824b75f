//! Who it is: claims that were proven, read into the names that rules and headers use.

mod attribute;
mod condition;
mod context;
mod conversion;
mod kept;
mod mapping;
mod names;
mod operator;
mod reading;

pub use attribute::{AmrRule, Attribute, AttributeMapping, AttributeSource, AttributeType, ClaimSource, RESERVED};
pub use condition::{Condition, ConditionFault};
pub use context::{DropReason, Dropped, Sources};
pub(crate) use mapping::text_of;
pub use mapping::{IdentityMapping, NoRoles, ProfileField, RoleRule, RoleSource, SourcedRole, UserId};
pub use names::Names;
pub(crate) use operator::contains_any;
pub use operator::{Bound, OPERATORS, Operator, Pattern, is_large_regex};

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::expression::IdentityFacts;
use crate::headers::PreparedEdits;
use crate::session::Session;
use crate::token::{ClaimsSet as _, TokenClaims, VerifiedToken};
use kept::KeptClaims;
use reading::Reading;

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
    reading: Reading,
    claims: KeptClaims,
    facts: IdentityFacts,
    prepared: PreparedEdits,
}

impl Identity {
    /// The caller behind a verified access token of `provider`.
    pub fn from_token(provider: impl Into<Arc<str>>, token: VerifiedToken, mapping: &IdentityMapping) -> Self {
        let provider = provider.into();
        match token.into_claims() {
            TokenClaims::Said { said, whole: Some(whole), .. } => {
                Self::new(Proof::Bearer, provider, Reading::of(&said, mapping), KeptClaims::in_token(whole))
            }
            TokenClaims::Said { said, whole: None, .. } => Self::read(Proof::Bearer, provider, said.to_map().into_owned(), mapping),
            TokenClaims::Mapped(claims) => Self::read(Proof::Bearer, provider, claims, mapping),
        }
    }

    /// The user of a live session.
    pub fn from_session(session: Session, mapping: &IdentityMapping) -> Self {
        // Sealed with the session: the claim itself is only kept where something looks at it.
        let mut reading = Reading::of(&session.claims, mapping);
        reading.provider_session = session.provider_session;
        Self::new(Proof::Session, session.provider.into(), reading, KeptClaims::of(session.claims))
    }

    pub(crate) fn read(proof: Proof, provider: impl Into<Arc<str>>, claims: Map<String, Value>, mapping: &IdentityMapping) -> Self {
        Self::new(proof, provider.into(), Reading::of(&claims, mapping), KeptClaims::of(claims))
    }

    fn new(proof: Proof, provider: Arc<str>, reading: Reading, claims: KeptClaims) -> Self {
        Self { proof, provider, reading, claims, facts: IdentityFacts::default(), prepared: PreparedEdits::default() }
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
        self.reading.user()
    }

    pub fn email(&self) -> Option<&str> {
        self.reading.email()
    }

    /// The provider says that the address is this person's. Absent is no.
    pub fn email_is_verified(&self) -> bool {
        self.reading.email_is_verified
    }

    pub fn name(&self) -> Option<&str> {
        self.reading.name()
    }

    /// The provider's own name for its session with this user (`sid`, OIDC Front-Channel Logout 1.0 §3).
    pub fn provider_session(&self) -> Option<&str> {
        self.reading.provider_session.as_deref()
    }

    pub fn roles(&self) -> Names<'_> {
        self.reading.roles()
    }

    /// What oauth2-proxy calls groups: the roles, then what the `groups` claim adds.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        let claimed = self.claims().get("groups").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let mut is_role = self.roles().finder();
        self.roles().iter().chain(claimed.filter(move |group| !group.is_empty() && !is_role(group)))
    }

    /// Auth0's `permissions` claim.
    pub fn permissions(&self) -> Names<'_> {
        self.reading.permissions()
    }

    /// RFC 8693 §4.2 `scope`.
    pub fn scopes(&self) -> Names<'_> {
        self.reading.scopes()
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
