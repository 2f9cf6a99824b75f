//! A provider's attributes at work, and what is said about those that cannot be used.

use std::sync::atomic::{AtomicBool, Ordering};

use doorward_config::settings::Provider;
use doorward_policy::identity::{AttributeMapping, DropReason, Dropped, Sources};
use doorward_policy::token::VerifiedToken;
use prometheus::IntCounter;
use serde_json::{Map, Value};

use crate::metrics::Metrics;

/// The mapping of one provider.
#[derive(Debug)]
pub struct Attributes {
    provider: Box<str>,
    mapping: AttributeMapping,
    faults: Vec<Fault>,
}

/// One attribute whose claim may be of another type.
#[derive(Debug)]
struct Fault {
    name: Box<str>,
    count: IntCounter,
    said: AtomicBool,
}

impl Attributes {
    pub fn new(provider: &Provider, metrics: &Metrics) -> Self {
        let fault = |name: &str| Fault {
            name: name.into(),
            count: metrics.attributes_dropped.with_label_values(&[&*provider.name, name]),
            said: AtomicBool::new(false),
        };
        Self {
            provider: provider.name.as_str().into(),
            faults: provider.attributes.names().map(fault).collect(),
            mapping: provider.attributes.clone(),
        }
    }

    /// Writes the attributes into what a sign-in or refresh brought.
    pub fn apply(&self, merged: &mut Map<String, Value>, sources: &Sources<'_>) {
        self.tell(&self.mapping.apply(merged, sources));
    }

    /// The token with the attributes that its bearer has.
    pub fn of_token(&self, token: VerifiedToken) -> VerifiedToken {
        let (token, dropped) = self.mapping.of_token(token);
        self.tell(&dropped);
        token
    }

    /// Every one is counted, and each attribute said once: many people have what the first one has. That a claim is not there
    /// is no news.
    fn tell(&self, dropped: &[Dropped]) {
        for dropped in dropped.iter().filter(|dropped| matches!(dropped.why, DropReason::Type { .. })) {
            let Some(fault) = self.faults.iter().find(|fault| fault.name == dropped.name) else { continue };
            fault.count.inc();
            if !fault.said.swap(true, Ordering::Relaxed) {
                tracing::warn!(provider = &*self.provider, "attribute {dropped}: it is left out");
            }
        }
    }
}
