//! What is the same in many answers, made once for a configuration.

use std::sync::OnceLock;

use doorward_policy::access::Policy;
use http::HeaderValue;
use prometheus::{IntCounter, IntCounterVec};

use super::dialect::Dialect;
use super::removal::Removal;

/// Of one configuration.
#[derive(Debug)]
pub struct Prepared {
    /// The names of routes, by index; `None` for a name that is no field.
    routes: Vec<Option<HeaderValue>>,
    pub removal: Removal,
    /// Questions answered with yes, by dialect.
    allowed: [OnceLock<IntCounter>; Dialect::COUNT],
}

impl Prepared {
    pub fn new(policy: &Policy) -> Self {
        let routes = policy.routes().iter().map(|route| HeaderValue::try_from(&*route.name).ok()).collect();
        Self { routes, removal: Removal::new(policy.owned_names()), allowed: Default::default() }
    }

    /// The name of a route, as a field carries it.
    pub fn route(&self, index: usize) -> Option<HeaderValue> {
        self.routes.get(index).cloned().flatten()
    }

    /// Counts a yes: the one answer that is too frequent to look for its counter.
    pub fn allowed(&self, dialect: Dialect, answers: &IntCounterVec) {
        self.allowed[dialect as usize].get_or_init(|| answers.with_label_values(&[dialect.label(), "2xx"])).inc();
    }
}
