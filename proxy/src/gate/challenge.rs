//! What is answered instead of passing a request on. Off the hot path: here pages are made and sign-ins begun.

use doorward_policy::access::{Challenge, DenyReason, Match};
use doorward_policy::identity::{Identity, Proof};
use doorward_policy::login::ReturnTo;
use doorward_policy::session::SessionFault;
use http::header;

use super::{Ask, Outcome, Way};
use crate::login;
use crate::login::errand::Errand;
use crate::login::rounds::Evidence;
use crate::manner::Manner;
use crate::pages::{FragmentPage, Language};
use crate::reply::Reply;
use crate::respond;
use crate::runtime::Runtime;

impl Runtime {
    /// Whoever would be let in after signing in, or with a token, is told so in a form of use to them.
    pub(super) async fn challenge(&self, ask: &Ask<'_>, found: &Match<'_>, challenge: Challenge, identity: Option<&Identity>) -> Outcome {
        let reason = challenge.label();
        // A session of another provider on this host is still good where it belongs.
        // In a loop it is the evidence.
        let place = self.sessions.place(ask.target.host().name());
        let forget = matches!(
            challenge,
            Challenge::SignIn(Some(SessionFault::Unreadable | SessionFault::Expired | SessionFault::Revoked | SessionFault::NoUser))
        ) && !login::rounds::is_loop(self, ask);
        // Who is known steps up where he is known.
        let provider = identity.and_then(|identity| self.providers.iter().position(|own| own.settings().name == identity.provider()));
        let provider = provider.filter(|own| found.route.providers.contains(own)).or(found.route.providers.first().copied());
        let step_up = found.rule.step_up.as_ref().filter(|_| matches!(challenge, Challenge::StepUp(_)));
        let step_up_url = step_up.map(|step_up| login::step_up_url(self, ask, step_up, provider));
        if let (Challenge::SignIn(_), Manner::Navigation, true) =
            (challenge, ask.manner, self.settings.routes[found.route_index].keep_fragment)
        {
            // The fragment never leaves the browser: a few lines of script take it along (RFC 9110 §4.2.5).
            let reply = self.pages.fragment(&FragmentPage { login_url: &login::login_url(self, ask) }, Language::of(ask.headers));
            let reply = if forget { reply.without_session(place) } else { reply };
            return Outcome::Answer { decision: "challenge", reason, reply };
        }
        if let (Challenge::SignIn(_) | Challenge::StepUp(Proof::Session), Manner::Navigation, Way::Hook { .. }) =
            (challenge, ask.manner, ask.way)
        {
            // What sets cookies and counts attempts happens once, where the browser really comes.
            let reply = Reply::redirect(302, &step_up_url.unwrap_or_else(|| login::login_url(self, ask)));
            let reply = if forget { reply.without_session(place) } else { reply };
            return Outcome::Answer { decision: "challenge", reason, reply };
        }
        if let (Challenge::SignIn(_) | Challenge::StepUp(Proof::Session), Manner::Navigation, Some(provider)) =
            (challenge, ask.manner, provider)
        {
            let return_to = ReturnTo::of_request(&ask.target.path_and_query(), self).unwrap_or_else(|_| ReturnTo::root());
            let evidence = match challenge {
                Challenge::SignIn(Some(fault)) => Evidence::Fault(fault),
                Challenge::StepUp(_) => Evidence::Fault(SessionFault::Expired),
                Challenge::SignIn(None) | Challenge::Bearer(_) => Evidence::Absent,
            };
            if let Some(reply) = login::rounds::stop(self, ask, evidence, &return_to) {
                return Outcome::Answer { decision: "challenge", reason: "login_loop", reply };
            }
            let mut errand = Errand::to(self, ask.target.host().name(), return_to);
            errand.asked.step_up = found.rule.step_up.clone();
            let named = Some(provider).filter(|_| matches!(challenge, Challenge::StepUp(_)));
            let reply = login::send(self, ask, &found.route.providers, named, &errand).await;
            // ADV-O2P-13: a session that is no good does not survive the way to a new one.
            let reply = if forget { reply.without_session(place) } else { reply };
            return Outcome::Answer { decision: "challenge", reason, reply };
        }
        let login_url = match challenge {
            Challenge::SignIn(_) => Some(login::login_url(self, ask)),
            Challenge::StepUp(Proof::Session) => step_up_url,
            Challenge::Bearer(_) | Challenge::StepUp(Proof::Bearer) => None,
        };
        let reply = respond::unauthorized(&self.pages, self.asker(ask, login_url.as_deref()), challenge);
        let reply = match step_up {
            Some(step_up) => reply.text_field(header::WWW_AUTHENTICATE, &step_up.www_authenticate()),
            None => reply,
        };
        let reply = if forget { reply.without_session(place) } else { reply };
        Outcome::Answer { decision: "challenge", reason, reply: with_cors(reply, found, ask) }
    }

    /// A refusal, in the form that whoever asks can use.
    pub(super) fn refuse(&self, ask: &Ask<'_>, found: Option<&Match<'_>>, reason: DenyReason) -> Outcome {
        let reply = respond::deny(&self.pages, self.asker(ask, None), reason);
        let reply = found.map_or_else(|| reply.clone(), |found| with_cors(reply.clone(), found, ask));
        Outcome::Answer { decision: "deny", reason: reason.label(), reply }
    }
}

/// 401 and 403 carry the route's fields, so that a single-page app can read them.
pub(super) fn with_cors(reply: Reply, found: &Match<'_>, ask: &Ask<'_>) -> Reply {
    match &found.route.cors {
        Some(cors) => reply.cross_origin(cors.answer_fields(ask.headers.get(header::ORIGIN).map(http::HeaderValue::as_bytes))),
        None => reply,
    }
}
