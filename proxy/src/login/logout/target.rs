//! Where a sign-out may lead: our own hosts, and what the configuration lists besides.

use doorward_policy::login::ReturnTo;

use crate::gate::own_origin;
use crate::runtime::Runtime;

/// A checked place to go to after a sign-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    address: Box<str>,
    /// Exactly one of `session.logout_targets`: the configuration vouches for it, at the provider too.
    listed: bool,
}

impl Target {
    pub(super) fn of(place: ReturnTo) -> Self {
        Self { address: place.as_str().into(), listed: false }
    }

    /// One that is asked for on `host`; `None` for all that is not exactly allowed (REDIR).
    pub(super) fn parse(text: &str, runtime: &Runtime) -> Option<Self> {
        if runtime.settings.session.logout_targets.iter().any(|listed| listed == text) {
            return Some(Self { address: text.into(), listed: true });
        }
        let place = ReturnTo::parse(text, runtime).ok()?;
        // Half of a hand-off is no place to stay.
        if place.handoff(runtime).is_some() { None } else { Some(Self::of(place)) }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.address
    }

    pub(super) fn is_listed(&self) -> bool {
        self.listed
    }

    /// The whole address, as asked for on `host`.
    pub(super) fn absolute(&self, host: &str, runtime: &Runtime) -> String {
        if self.address.starts_with('/') { format!("{}{}", own_origin(runtime, host), self.address) } else { self.address.to_string() }
    }
}
