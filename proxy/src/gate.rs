//! The gate: one question, one decision. Every way into Doorward asks it, and nothing else decides who may pass.

mod challenge;
mod shadow;

use std::net::IpAddr;
use std::sync::Arc;

use doorward_policy::access::{CredentialFault, Decision, DenyReason, Filter, Match, Permit, RequestContext, Standing};
use doorward_policy::cors::{self, PreflightBy};
use doorward_policy::credential::{Authorization, Credential};
use doorward_policy::identity::Identity;
use doorward_policy::request::Target;
use doorward_policy::session::{Session, SessionFault};
use doorward_policy::time::Timestamp;
use http::{HeaderMap, HeaderName, header};

use crate::audit::{Cause, Witnessed};
use crate::bearer;
use crate::manner::Manner;
use crate::metrics::{Known, NO_ROUTE};
use crate::pages::Language;
use crate::reply::Reply;
use crate::respond::{self, Asker};
use crate::runtime::Runtime;
use crate::sessions::Live;
use challenge::with_cors;
pub use shadow::{Shadow, ShadowLine};

/// What is asked, read from a request once.
#[derive(Debug)]
pub struct Ask<'r> {
    pub target: &'r Target,
    pub headers: &'r HeaderMap,
    /// What came with it: only where [`crate::login::takes_content`] says so, else nothing.
    pub content: &'r [u8],
    /// The client's address, as far as we believe anybody about it.
    pub client: IpAddr,
    pub manner: Manner,
    pub way: Way<'r>,
    pub request_id: &'r str,
    pub now: Timestamp,
}

/// How the request got here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'r> {
    /// To us: what is allowed is forwarded by us.
    Proxy,
    /// Another proxy asks, and passes the answer on as far as it can: a sign-in begins with a visit of the browser's own.
    Hook {
        /// The route that the asking proxy names, whatever the host.
        route: Option<usize>,
        /// What it demands on top of the rules.
        filter: Option<&'r Filter>,
        /// It asked about this request before, and wants to know more.
        again: bool,
    },
}

/// The answer, and what log and metrics are to know of it.
#[derive(Debug)]
pub struct Admission {
    /// Route and rule by index: what the target fell under.
    pub route: Option<usize>,
    pub rule: Option<usize>,
    pub identity: Option<Arc<Identity>>,
    pub outcome: Outcome,
    /// What rules that are not enforced would have said.
    pub shadows: Vec<Shadow>,
}

#[derive(Debug)]
pub enum Outcome {
    Forward {
        permit: Permit,
        known: Known,
        /// A `Set-Cookie` value that moves the session's idle limit.
        renewal: Option<String>,
        /// When what was presented ends, or the rule's time: nothing opened on it lasts longer.
        until: Option<Timestamp>,
        /// The session, where that is what was presented.
        session: Option<Live>,
    },
    Answer {
        decision: &'static str,
        reason: &'static str,
        reply: Reply,
    },
}

/// Who presented something good, and the session to renew if that is what it was.
struct Presented {
    identity: Arc<Identity>,
    until: Timestamp,
    session: Option<Live>,
}

impl Runtime {
    /// Decides about one request. Total: whatever goes wrong on the way is a refusal.
    pub async fn admit(&self, ask: &Ask<'_>) -> Admission {
        let found = match self.find(ask) {
            Ok(found) => found,
            Err(answer) => return *answer,
        };
        let presented = self.identify(ask, &found).await;
        let bad = matches!(
            presented,
            Err(CredentialFault::MalformedBearer | CredentialFault::Token(_) | CredentialFault::Session(SessionFault::Unreadable))
        );
        if bad && !matches!(ask.way, Way::Hook { again: true, .. }) {
            self.attempts.bad_credential(ask.client);
        }
        let standing = match &presented {
            Ok(None) => Standing::Anonymous,
            Ok(Some(presented)) => Standing::Known(&presented.identity),
            Err(fault) => Standing::Refused(*fault),
        };
        let context = RequestContext { target: ask.target, client: ask.client, now: ask.now };
        let mut decision = found.decide(&context, &standing);
        if let Way::Hook { filter: Some(filter), .. } = ask.way {
            decision = found.narrow(decision, filter, &standing);
        }
        if !matches!(decision, Decision::Allow(_)) {
            self.witness(
                Witnessed { ask, found: &found, context: &context, standing: &standing, session: session_of(&presented) },
                &decision,
            );
        }
        let shadows = self.shadows(ask, &found, &context, &standing, session_of(&presented));
        let until = presented.as_ref().ok().and_then(Option::as_ref).map(|presented| presented.until);
        let (identity, session) = presented.ok().flatten().map_or((None, None), |presented| (Some(presented.identity), presented.session));
        let outcome = match decision {
            Decision::Allow(permit) => {
                let known = identity.as_deref().filter(|_| permit.authenticated()).map(Identity::proof).map_or(Known::Public, Known::of);
                if known == Known::Session && ask.manner == Manner::WebSocket && !self.origin_is_ours(ask, &found) {
                    let standing = identity.as_deref().map_or(Standing::Anonymous, Standing::Known);
                    let session = session.as_ref().map(|live| &*live.session);
                    let seen = Witnessed { ask, found: &found, context: &context, standing: &standing, session };
                    self.witness_denial(seen, DenyReason::CrossOrigin);
                    self.refuse(ask, Some(&found), DenyReason::CrossOrigin)
                } else {
                    let mut session = session;
                    let renewal = session.as_mut().and_then(|session| session.renewal.take());
                    let until = until.filter(|_| known != Known::Public).into_iter().chain(found.closes(ask.now)).min();
                    Outcome::Forward { permit, known, renewal, until, session }
                }
            }
            // Boxed, as everything that may wait: what most requests never need does not make their way longer.
            Decision::Challenge(challenge) => Box::pin(self.challenge(ask, &found, challenge, identity.as_deref())).await,
            Decision::Deny(reason) => {
                let reply = respond::deny_somebody(self, ask, &found, reason, identity.as_deref());
                Outcome::Answer { decision: "deny", reason: reason.label(), reply: with_cors(reply, &found, ask) }
            }
        };
        Admission { route: Some(found.route_index), rule: Some(found.rule_index), identity, outcome, shadows }
    }

    /// The rule that decides; or the answer, where none is needed: no route, no rule, or a preflight.
    fn find(&self, ask: &Ask<'_>) -> Result<Match<'_>, Box<Admission>> {
        let policy = &self.settings.policy;
        let answer = |route, outcome| Box::new(Admission { route, rule: None, identity: None, outcome, shadows: Vec::new() });
        let routed = match ask.way {
            Way::Hook { route: Some(index), .. } => policy.routes().get(index).map(|route| (index, route)).ok_or(DenyReason::NoRoute),
            Way::Hook { route: None, .. } | Way::Proxy => policy.route_for(ask.target),
        };
        let (index, route) = routed.map_err(|reason| answer(None, self.refuse(ask, None, reason)))?;
        let field = |name: HeaderName| ask.headers.get(name).map(http::HeaderValue::as_bytes);
        if let Some(cors) = &route.cors
            && let Some(origin) = field(header::ORIGIN)
            && cors::is_preflight(ask.target.method(), Some(origin), field(header::ACCESS_CONTROL_REQUEST_METHOD))
        {
            // A preflight carries no credentials (Fetch §3.2.2): it is answered without any, or passed without any.
            let outcome = match cors.preflight {
                PreflightBy::App => self.preflight_for_app(ask, index, field(header::ACCESS_CONTROL_REQUEST_METHOD)),
                PreflightBy::Doorward => {
                    Outcome::Answer { decision: "answer", reason: "preflight", reply: respond::preflight(cors.preflight_fields(origin)) }
                }
            };
            return Err(answer(Some(index), outcome));
        }
        policy.rule_in(index, ask.target).map_err(|reason| {
            self.witness_without_rule(ask, Some(index), reason);
            let mut outcome = self.refuse(ask, None, reason);
            if let (Outcome::Answer { reply, .. }, Some(cors)) = (&mut outcome, &route.cors) {
                *reply = reply.clone().cross_origin(cors.answer_fields(field(header::ORIGIN)));
            }
            answer(Some(index), outcome)
        })
    }

    /// A preflight that the app answers goes where the request it asks leave for could go, and takes no content along.
    fn preflight_for_app(&self, ask: &Ask<'_>, route: usize, method: Option<&[u8]>) -> Outcome {
        let empty = !ask.headers.contains_key(header::TRANSFER_ENCODING)
            && ask.headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
        let Ok(target) = ask.target.with_method(method.unwrap_or_default()) else { return self.refuse(ask, None, DenyReason::BadRequest) };
        let decision = match self.settings.policy.rule_in(route, &target) {
            Ok(found) if empty => found.decide_preflight(&RequestContext { target: &target, client: ask.client, now: ask.now }),
            Ok(_) => Decision::Deny(DenyReason::BadRequest),
            Err(reason) => Decision::Deny(reason),
        };
        match decision {
            Decision::Allow(permit) => Outcome::Forward { permit, known: Known::Public, renewal: None, until: None, session: None },
            Decision::Deny(reason) => self.refuse(ask, None, reason),
            Decision::Challenge(_) => self.refuse(ask, None, DenyReason::NoRule),
        }
    }

    /// Who asks: nobody, somebody, or somebody whose credential is not good. For a public rule nobody looks, unless the asking proxy
    /// demands somebody where the rules do not.
    async fn identify(&self, ask: &Ask<'_>, found: &Match<'_>) -> Result<Option<Presented>, CredentialFault> {
        let providers = || found.route.providers.iter().filter_map(|index| self.providers.get(*index));
        let demanded = matches!(ask.way, Way::Hook { filter: Some(filter), .. } if !filter.is_empty());
        if (found.rule.is_public() && !demanded) || providers().next().is_none() {
            return Ok(None);
        }
        let authorization = Authorization::read(ask.headers.get_all(header::AUTHORIZATION).iter().map(http::HeaderValue::as_bytes));
        let mapping = self.settings.policy.mapping();
        match found.route.accept.choose(authorization, || self.sessions.presented(ask.headers, ask.target.host().name())) {
            Credential::None => Ok(None),
            Credential::BadBearer => Err(CredentialFault::MalformedBearer),
            Credential::BadSession => Err(CredentialFault::Session(SessionFault::Unreadable)),
            Credential::Bearer(raw) => {
                let verifiers = providers().filter_map(|provider| provider.bearer.as_ref());
                let only_remembered = || self.attempts.many_bad_credentials(ask.client);
                let (identity, until) = bearer::identify_by_one_of(verifiers, raw, mapping, only_remembered, ask.now).await?;
                Ok(Some(Presented { identity, until, session: None }))
            }
            Credential::Session(sealed) => {
                let live = self.sessions.find_fresh(sealed, ask.target.host().name(), Cause::of(ask), ask.now).await?;
                self.belongs(&live.session, &found.route.providers).map_err(CredentialFault::Session)?;
                Ok(Some(Presented { identity: live.identity.clone(), until: live.until, session: Some(live) }))
            }
        }
    }

    /// CSRF-02: a browser sends cookies along with a WebSocket handshake from any site's page; only our own pages, and
    /// origins that the route lists, may open one that a session stands behind.
    fn origin_is_ours(&self, ask: &Ask<'_>, found: &Match<'_>) -> bool {
        let Some(origin) = ask.headers.get(header::ORIGIN).map(http::HeaderValue::as_bytes) else { return true };
        let listed = found.route.cors.as_ref().is_some_and(|cors| cors.allows(origin));
        listed || origin == own_origin(self, ask.target.host().name()).as_bytes()
    }

    /// Who is being answered.
    pub fn asker<'a>(&'a self, ask: &'a Ask<'_>, login_url: Option<&'a str>) -> Asker<'a> {
        let language = Language::of(ask.headers);
        Asker { manner: ask.manner, request_id: ask.request_id, login_url, prefix: &self.settings.server.prefix, language }
    }

    /// Counts what became of a request.
    pub fn count(&self, admission: &Admission) {
        match &admission.outcome {
            Outcome::Forward { known, .. } => self.metrics.allowed(admission.route, *known),
            Outcome::Answer { decision, reason, .. } => {
                let route = admission.route.map_or(NO_ROUTE, |index| &*self.settings.policy.routes()[index].name);
                self.metrics.stopped(route, decision, reason);
            }
        }
        let named = admission.route.and_then(|index| self.settings.policy.routes().get(index));
        for (route, shadow) in named.into_iter().flat_map(|route| admission.shadows.iter().map(move |shadow| (route, shadow))) {
            let rule = &*route.rules[shadow.rule].name;
            self.metrics.shadow_decisions.with_label_values(&[&*route.name, rule, shadow.decision, shadow.reason]).inc();
        }
    }
}

fn session_of(presented: &Result<Option<Presented>, CredentialFault>) -> Option<&Session> {
    presented.as_ref().ok()?.as_ref()?.session.as_ref().map(|live| &*live.session)
}

/// Every `Cookie` field; HTTP/2 may split one into many (RFC 9113 §8.2.3).
pub fn cookie_fields(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::COOKIE).iter().map(http::HeaderValue::as_bytes)
}

/// The origin of `host`'s own pages.
pub fn own_origin(runtime: &Runtime, host: &str) -> String {
    format!("https://{}", runtime.public_authority(host))
}
