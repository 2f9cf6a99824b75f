//! Somebody as an operator supposes them, to see what would become of them.

use serde_json::{Map, Value};

use super::super::{Policy, RequestContext, Standing};
use super::{Explanation, explain};
use crate::identity::{AttributeMapping, Identity, Proof};
use crate::session::{Origin, Session};
use crate::time::Timestamp;

/// An identity that nobody has proven. It is good for an [`Explanation`] and for nothing else: nothing gives it out.
#[derive(Debug)]
pub struct Supposed(Identity);

impl Supposed {
    /// Whoever would come with a session that began at `now` with these claims: what a session does not keep is gone.
    pub fn with_session(provider: &str, claims: &Map<String, Value>, policy: &Policy, now: Timestamp) -> Self {
        let origin = Origin { id: "supposed", provider, client_id: "supposed" };
        Self(Identity::from_session(Session::begin(origin, claims, policy.kept_claims(), now), policy.mapping()))
    }

    /// Whoever would come with a bearer token of these claims.
    pub fn with_bearer(provider: &str, claims: Map<String, Value>, policy: &Policy) -> Self {
        Self(Identity::read(Proof::Bearer, provider, claims, policy.mapping()))
    }

    #[cfg(test)]
    pub(super) fn standing(&self) -> Standing<'_> {
        Standing::Known(&self.0)
    }

    /// What would become of them.
    pub fn explain(&self, policy: &Policy, context: &RequestContext<'_>, attributes: Option<&AttributeMapping>) -> Explanation {
        explain(policy, context, &Standing::Known(&self.0), attributes)
    }
}
