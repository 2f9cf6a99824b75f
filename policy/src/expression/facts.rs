//! What an expression is asked about.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::engine::Known;
use crate::access::Parameters;
use crate::identity::Identity;
use crate::request::Target;

/// Who asks, and what is asked.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'f> {
    pub identity: &'f Identity,
    pub target: &'f Target,
    /// What the path says where the rule's pattern has names.
    pub parameters: &'f Parameters,
}

/// An identity as the engine reads it, made when an expression first asks, and then kept with the identity: a request does not pay
/// for claims that another one has paid for.
#[derive(Clone, Default)]
pub struct IdentityFacts(OnceLock<Option<Arc<Known>>>);

impl IdentityFacts {
    /// `identity` is the one that this belongs to.
    pub(super) fn of(&self, identity: &Identity) -> Option<&Known> {
        self.0.get_or_init(|| Known::read(identity).map(Arc::new)).as_deref()
    }
}

impl fmt::Debug for IdentityFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityFacts")
    }
}
