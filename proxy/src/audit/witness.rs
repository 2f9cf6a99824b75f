//! What the gate says no to, written down: with what the rule looked at, and what it found. Off the hot path.

use doorward_policy::access::explain::criteria;
use doorward_policy::access::{Challenge, CredentialFault, Decision, DenyReason, Match, RequestContext, Standing};
use doorward_policy::identity::{Identity, Proof};
use doorward_policy::session::{Session, SessionFault};
use serde_json::Value;

use super::{Cause, Kind, Place, Refusal, Text, Who, fitted, fitted_names, session_digest};
use crate::gate::{Ask, Way};
use crate::respond;
use crate::runtime::Runtime;

/// Claims that are about one sign-in, or open something at the provider: no log has them.
pub(super) const NEVER: &[&str] = &["nonce", "at_hash", "c_hash", "s_hash", "sid", "jti"];
/// Bytes of a line for names of roles, and for criteria.
const ROLES: usize = 1024;
const CRITERIA: usize = 4 * 1024;

/// One decision that was not yes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Witnessed<'w> {
    pub(crate) ask: &'w Ask<'w>,
    pub(crate) found: &'w Match<'w>,
    pub(crate) context: &'w RequestContext<'w>,
    pub(crate) standing: &'w Standing<'w>,
    /// The one presented, if it was one.
    pub(crate) session: Option<&'w Session>,
}

impl Runtime {
    /// What a rule decided. Nothing where it was yes, or where somebody is asked to sign in who never said who they are.
    pub(crate) fn witness(&self, seen: Witnessed<'_>, decision: &Decision) {
        match decision {
            Decision::Allow(_) => {}
            Decision::Deny(reason) => self.witness_denial(seen, *reason),
            Decision::Challenge(Challenge::StepUp(_)) => self.write_refusal(Kind::StepUp, seen, "challenge", "step_up"),
            Decision::Challenge(Challenge::SignIn(_) | Challenge::Bearer(_)) => match seen.standing {
                Standing::Refused(fault) if is_notable(*fault) => {
                    self.write_refusal(Kind::CredentialRefused, seen, "challenge", fault.label());
                }
                Standing::Refused(_) | Standing::Anonymous | Standing::Known(_) => {}
            },
        }
    }

    /// A refusal by a rule.
    pub(crate) fn witness_denial(&self, seen: Witnessed<'_>, reason: DenyReason) {
        if is_audited(reason) {
            let kind = if matches!(seen.standing, Standing::Known(_)) { Kind::Denial } else { Kind::AnonymousDenial };
            self.write_refusal(kind, seen, "deny", reason.label());
        }
    }

    /// What a rule that is not enforced would have said: not yes.
    pub(crate) fn witness_shadow(&self, seen: Witnessed<'_>, decision: &'static str, reason: &'static str) {
        self.write_refusal(Kind::ShadowDenial, seen, decision, reason);
    }

    /// A refusal without a rule: there is none for the request, or the question itself was not good.
    pub(crate) fn witness_without_rule(&self, ask: &Ask<'_>, route: Option<usize>, reason: DenyReason) {
        let Some(entry) = is_audited(reason).then(|| self.audit.entry(Kind::AnonymousDenial, Cause::of(ask))).flatten() else { return };
        let route = route.and_then(|index| self.settings.policy.routes().get(index)).map(|route| &*route.name);
        let place = Place::of(ask, route, None);
        entry.write(&Refusal { place, decision: "deny", reason: reason.label(), who: Who::default(), criteria: None });
    }

    fn write_refusal(&self, kind: Kind, seen: Witnessed<'_>, decision: &'static str, reason: &'static str) {
        let Witnessed { ask, found, context, standing, session } = seen;
        let Some(entry) = self.audit.entry(kind, Cause::of(ask)) else { return };
        let who = match standing {
            Standing::Known(identity) => who_is(identity, session),
            Standing::Anonymous | Standing::Refused(_) => Who::default(),
        };
        let criteria = serde_json::to_value(criteria(found, context, standing)).ok().map(|criteria| fitted(&criteria, CRITERIA));
        let place = Place::of(ask, Some(&found.route.name), Some(&found.rule.name));
        entry.write(&Refusal { place, decision, reason, who, criteria });
    }
}

/// What a client is answered 403 for. What cannot be read, found or decided just now is in the access log.
fn is_audited(reason: DenyReason) -> bool {
    respond::face(reason).status == 403
}

/// A session that ran out, or is good at another route, is everybody's every morning.
fn is_notable(fault: CredentialFault) -> bool {
    !matches!(fault, CredentialFault::Session(SessionFault::Expired | SessionFault::OtherProvider))
}

impl<'c> Cause<'c> {
    /// This request.
    pub fn of(ask: &Ask<'c>) -> Self {
        Self::new(ask.request_id, ask.client)
    }
}

impl<'p> Place<'p> {
    fn of(ask: &Ask<'p>, route: Option<&'p str>, rule: Option<&'p str>) -> Self {
        let again = matches!(ask.way, Way::Hook { again: true, .. });
        Self {
            hook: ask.way != Way::Proxy,
            again,
            method: Text(ask.target.method().as_str()),
            host: Text(ask.target.host().name()),
            path: Text(ask.target.path().as_str()),
            route: route.map(Text),
            rule: rule.map(Text),
        }
    }
}

/// A known person, as lines name them.
pub fn who_is<'w>(identity: &'w Identity, session: Option<&Session>) -> Who<'w> {
    let subject = identity.claims().get("sub").and_then(Value::as_str);
    Who {
        provider: Some(Text(identity.provider())),
        proof: Some(match identity.proof() {
            Proof::Session => "session",
            Proof::Bearer => "bearer",
        }),
        subject: subject.map(Text),
        user: identity.user().filter(|user| Some(*user) != subject).map(Text),
        session: session.map(|session| session_digest(&session.id)),
        roles: Some(roles_of(identity)),
    }
}

/// The names of somebody's roles.
pub fn roles_of(identity: &Identity) -> Value {
    fitted_names(identity.roles().iter(), ROLES)
}
