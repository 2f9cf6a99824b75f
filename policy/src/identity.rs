//! Who it is: claims that were proven, read into the names that rules and headers use.

mod attribute;
mod condition;
mod context;
mod conversion;
mod kept;
mod mapping;
mod names;
mod operator;

pub use attribute::{AmrRule, Attribute, AttributeMapping, AttributeSource, AttributeType, ClaimSource, RESERVED};
pub use condition::{Condition, ConditionFault};
pub use context::{DropReason, Dropped, Sources};
pub(crate) use mapping::text_of;
pub use mapping::{IdentityMapping, NoRoles, ProfileField, RoleRule, RoleSource, SourcedRole, UserId};
pub use names::Names;
pub(crate) use operator::contains_any;
pub use operator::{Bound, OPERATORS, Operator, Pattern, is_large_regex};

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::expression::IdentityFacts;
use crate::headers::PreparedEdits;
use crate::session::Session;
use crate::token::{Claim, ClaimsSet, TokenClaims, VerifiedToken};
use kept::KeptClaims;
use names::{Gathering, Texts};

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
    email_is_verified: bool,
    provider_session: Option<Box<str>>,
    /// The user, the e-mail address and the name, in this order; then those:
    texts: Texts,
    roles: Range<usize>,
    permissions: Range<usize>,
    scopes: Range<usize>,
    facts: IdentityFacts,
    prepared: PreparedEdits,
}

impl Identity {
    /// The caller behind a verified access token of `provider`.
    pub fn from_token(provider: impl Into<Arc<str>>, token: VerifiedToken, mapping: &IdentityMapping) -> Self {
        let provider = provider.into();
        match token.into_claims() {
            TokenClaims::Said { said, whole: Some(whole), .. } => {
                Self::of(Proof::Bearer, provider, &said, KeptClaims::in_token(whole), mapping)
            }
            TokenClaims::Said { said, whole: None, .. } => Self::read(Proof::Bearer, provider, said.to_map().into_owned(), mapping),
            TokenClaims::Mapped(claims) => Self::read(Proof::Bearer, provider, claims, mapping),
        }
    }

    /// The user of a live session.
    pub fn from_session(session: Session, mapping: &IdentityMapping) -> Self {
        let (provider, provider_session) = (session.provider.clone(), session.provider_session.clone());
        Self { provider_session, ..Self::read(Proof::Session, &*provider, session.claims, mapping) }
    }

    pub(crate) fn read(proof: Proof, provider: impl Into<Arc<str>>, claims: Map<String, Value>, mapping: &IdentityMapping) -> Self {
        let identity = Self::of(proof, provider.into(), &claims, KeptClaims::default(), mapping);
        Self { claims: KeptClaims::of(claims), ..identity }
    }

    fn of(proof: Proof, provider: Arc<str>, said: &impl ClaimsSet, claims: KeptClaims, mapping: &IdentityMapping) -> Self {
        let mut texts = Gathering::new(256, 16);
        texts.text(mapping.user.of(said).as_deref());
        texts.text(text_of(&mapping.email, said).as_deref());
        texts.text(text_of(&mapping.name, said).as_deref());
        let roles = texts.names(|each| mapping.each_role(said, &mut |role, _| each(role)));
        let permissions = texts.names(|each| {
            let mut each = |name: Option<&str>| name.into_iter().for_each(&mut *each);
            said.claim("permissions").into_iter().for_each(|claim| _ = claim.each_item(&mut each));
        });
        // RFC 6749 §3.3: names separated by single spaces.
        let scopes = texts.names(|each| said.text("scope").into_iter().flat_map(|names| names.split(' ')).for_each(each));
        Self {
            proof,
            provider,
            // The provider vouches for its own `email` claim, not for another that the operator chose.
            email_is_verified: mapping.email.as_str() == "email" && said.claim("email_verified").is_some_and(Claim::is_true),
            provider_session: said.text("sid").map(Into::into),
            texts: texts.done(),
            roles,
            permissions,
            scopes,
            facts: IdentityFacts::default(),
            prepared: PreparedEdits::default(),
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
        self.claims().get("iss").and_then(Value::as_str)
    }

    pub fn user(&self) -> Option<&str> {
        self.texts.get(0)
    }

    pub fn email(&self) -> Option<&str> {
        self.texts.get(1)
    }

    /// The provider says that the address is this person's. Absent is no.
    pub fn email_is_verified(&self) -> bool {
        self.email_is_verified
    }

    pub fn name(&self) -> Option<&str> {
        self.texts.get(2)
    }

    /// The provider's own name for its session with this user (`sid`, OIDC Front-Channel Logout 1.0 §3).
    pub fn provider_session(&self) -> Option<&str> {
        self.provider_session.as_deref()
    }

    pub fn roles(&self) -> Names<'_> {
        self.texts.names(self.roles.clone())
    }

    /// What oauth2-proxy calls groups: the roles, then what the `groups` claim adds.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        let claimed = self.claims().get("groups").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let mut is_role = self.roles().finder();
        self.roles().iter().chain(claimed.filter(move |group| !group.is_empty() && !is_role(group)))
    }

    /// Auth0's `permissions` claim.
    pub fn permissions(&self) -> Names<'_> {
        self.texts.names(self.permissions.clone())
    }

    /// RFC 8693 §4.2 `scope`.
    pub fn scopes(&self) -> Names<'_> {
        self.texts.names(self.scopes.clone())
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
