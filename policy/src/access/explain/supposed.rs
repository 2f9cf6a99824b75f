//! Somebody as an operator supposes them, to see what would become of them.

use serde_json::{Map, Value};

use super::super::{Policy, RequestContext, Standing};
use super::lineage::Provenance;
use super::{Explanation, explain_from};
use crate::identity::{AttributeMapping, Identity, Proof};
use crate::session::{Origin, Session};
use crate::time::Timestamp;

/// An identity that nobody has proven. It is good for an [`Explanation`] and for nothing else: nothing gives it out.
#[derive(Debug)]
pub struct Supposed {
    identity: Identity,
    /// What was supposed, also what a session does not keep.
    claims: Map<String, Value>,
}

impl Supposed {
    /// Whoever would come with a session that began at `now` with these claims: what a session does not keep is gone.
    pub fn with_session(provider: &str, claims: &Map<String, Value>, policy: &Policy, now: Timestamp) -> Self {
        let origin = Origin { id: "supposed", provider, client_id: "supposed" };
        let session = Session::begin(origin, claims, policy.kept_claims(), now);
        Self { identity: Identity::from_session(session, policy.mapping()), claims: claims.clone() }
    }

    /// Whoever would come with a bearer token of these claims.
    pub fn with_bearer(provider: &str, claims: Map<String, Value>, policy: &Policy) -> Self {
        Self { identity: Identity::read(Proof::Bearer, provider, claims.clone(), policy.mapping()), claims }
    }

    #[cfg(test)]
    pub(super) fn standing(&self) -> Standing<'_> {
        Standing::Known(&self.identity)
    }

    /// What would become of them.
    pub fn explain(&self, policy: &Policy, context: &RequestContext<'_>, attributes: Option<&AttributeMapping>) -> Explanation {
        let provenance = attributes.map(|attributes| Provenance { attributes, claims: Some(&self.claims) });
        explain_from(policy, context, &Standing::Known(&self.identity), provenance)
    }
}
