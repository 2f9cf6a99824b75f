//! What rules that are not enforced would have said. Nothing here changes what is answered.

use doorward_policy::access::{Challenge, Decision, Match, RequestContext, Standing};
use doorward_policy::session::Session;
use serde::Serialize;

use super::Ask;
use crate::audit::Witnessed;
use crate::metrics::Known;
use crate::runtime::Runtime;

/// One shadow rule's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shadow {
    /// By index in its route.
    pub rule: usize,
    pub decision: &'static str,
    pub reason: &'static str,
}

/// The same as the log names it.
#[derive(Debug, Serialize)]
pub struct ShadowLine<'l> {
    pub rule: &'l str,
    pub decision: &'static str,
    pub reason: &'static str,
}

impl Runtime {
    /// What each shadow rule before the one that decides says to who is known anyway: nobody is looked for on its behalf, so behind
    /// a public rule it sees nobody. Allocates only where there is a shadow.
    pub(super) fn shadows(
        &self,
        ask: &Ask<'_>,
        found: &Match<'_>,
        context: &RequestContext<'_>,
        standing: &Standing<'_>,
        session: Option<&Session>,
    ) -> Vec<Shadow> {
        let judged = found.shadows(ask.target).map(|shadow| {
            // An invitation to sign in is no news of anybody.
            let (decision, reason, notable) = match shadow.decide(context, standing) {
                Decision::Allow(permit) => ("allow", known_label(permit.authenticated(), standing), false),
                Decision::Challenge(challenge) => ("challenge", challenge.label(), matches!(challenge, Challenge::StepUp(_))),
                Decision::Deny(reason) => ("deny", reason.label(), true),
            };
            if notable {
                self.witness_shadow(Witnessed { ask, found: &shadow, context, standing, session }, decision, reason);
            }
            Shadow { rule: shadow.rule_index, decision, reason }
        });
        judged.collect()
    }

    /// Shadows of a route by their names.
    pub fn shadow_lines(&self, route: Option<usize>, shadows: &[Shadow]) -> Vec<ShadowLine<'_>> {
        let rules = route.and_then(|index| self.settings.policy.routes().get(index)).map_or(&[][..], |route| &route.rules[..]);
        let line = |shadow: &Shadow| {
            rules.get(shadow.rule).map(|rule| ShadowLine { rule: &rule.name, decision: shadow.decision, reason: shadow.reason })
        };
        shadows.iter().filter_map(line).collect()
    }
}

fn known_label(authenticated: bool, standing: &Standing<'_>) -> &'static str {
    match standing {
        Standing::Known(identity) if authenticated => Known::of(identity.proof()).label(),
        Standing::Known(_) | Standing::Anonymous | Standing::Refused(_) => Known::Public.label(),
    }
}
