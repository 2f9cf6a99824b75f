//! People sign in on one host, and are somebody on all of them.
//!
//! An app's host sends the browser to the public host with a sealed request; there it signs in, or has; it comes back with a
//! sealed code, and gets a cookie of the app's own host. All cookies of one sign-in are one session: ending it anywhere ends it
//! everywhere.

use doorward_policy::access::{CredentialFault, DenyReason};
use doorward_policy::cookies::{self, Found};
use doorward_policy::login::{
    ATTEMPT_COOKIE, ATTEMPT_LIFETIME, AttemptFault, Freshness, Handed, HandoffAttempt, HandoffCode, HandoffEntropy, HandoffRequest, ReturnTo,
    parse_parameters,
};
use doorward_policy::session::{Session, SessionFault, Ticket, Tokens};
use http::{HeaderValue, header};

use super::begin::{begin, surplus};
use super::errand::{Errand, HANDOFF, once};
use super::picker::{self, Choice, PROVIDER, Said, sent};
use super::session::live;
use super::{Served, rounds, sign_in_path};
use crate::entropy::{self, NoEntropy};
use crate::gate::{Ask, cookie_fields};
use crate::manner::Manner;
use crate::reply::Reply;
use crate::respond::{self, Asker, Face};
use crate::runtime::Runtime;
use crate::sessions::BeginFault;

/// The parameter of `handoff` on an app's host.
const CODE: &str = "code";
/// Sealed values longer than this would not come back: a long way back gives way to the root.
const REQUEST_LIMIT: usize = 6 * 1024;
const CODE_LIMIT: usize = 8 * 1024;

/// The public host, where sign-ins do not happen on the host that is asked.
pub(super) fn elsewhere<'r>(runtime: &'r Runtime, ask: &Ask<'_>) -> Option<&'r str> {
    runtime.settings.server.public_host.as_deref().filter(|public| *public != ask.target.host().name())
}

/// The host whose routes a sign-in on `host` is for: that of `return_to`, where a cookie set here is sent there.
pub(super) fn host_of_cookie(runtime: &Runtime, host: &str, return_to: &ReturnTo) -> String {
    let there = url::Url::parse(return_to.as_str()).ok().and_then(|url| url.host_str().map(str::to_owned));
    there.filter(|there| runtime.sessions.place(there) == runtime.sessions.place(host)).unwrap_or_else(|| host.to_owned())
}

/// Sends the browser to the public host. Where both hosts share a cookie that is all; else it will come back with a code.
pub(super) fn leave(runtime: &Runtime, ask: &Ask<'_>, provider: Option<usize>, errand: &Errand) -> Reply {
    let host = ask.target.host().name();
    let Some(public) = elsewhere(runtime, ask) else {
        return respond::show(&runtime.pages, runtime.asker(ask, None), Face::CANNOT_BEGIN, &[]);
    };
    let name = provider.and_then(|index| runtime.settings.providers.get(index)).map(|provider| provider.name.as_str());
    if runtime.sessions.place(host) == runtime.sessions.place(public) {
        let errand = Errand { return_to: absolute(runtime, host, &errand.return_to), ..errand.clone() };
        let mut pairs = errand.carry(runtime, public);
        pairs.extend(name.map(|name| (PROVIDER.to_owned(), name.to_owned())));
        return Reply::redirect(302, &login_at(runtime, public, &pairs));
    }
    // DOS-08: as for a sign-in that begins here.
    if !runtime.attempts.sign_in(ask.client) {
        return respond::deny(&runtime.pages, runtime.asker(ask, None), DenyReason::TooMany);
    }
    match request(runtime, ask, public, name, errand) {
        Ok(reply) => reply,
        Err(NoEntropy) => respond::show(&runtime.pages, runtime.asker(ask, None), Face::CANNOT_BEGIN, &[]),
    }
}

fn request(runtime: &Runtime, ask: &Ask<'_>, public: &str, provider: Option<&str>, errand: &Errand) -> Result<Reply, NoEntropy> {
    let (host, keys) = (ask.target.host().name(), &runtime.keys());
    let secrets: HandoffEntropy = entropy::random()?;
    let attempt = HandoffAttempt::begin(&secrets, ask.now);
    let of = |return_to: &ReturnTo| {
        let mut request = HandoffRequest::of(&attempt, host, return_to, &errand.asked);
        (request.provider, request.retries) = (provider.map(Into::into), errand.retries);
        request
    };
    let mut sealed = of(&errand.return_to).seal(keys, public, entropy::random()?);
    if sealed.len() > REQUEST_LIMIT {
        sealed = of(&ReturnTo::root()).seal(keys, public, entropy::random()?);
    }
    let cookie = attempt.seal(keys, host, entropy::random()?);
    let reply = Reply::redirect(302, &login_at(runtime, public, &[(HANDOFF.to_owned(), sealed)]));
    let reply = reply.cookie(&attempt.cookie_name(), &cookie, Some(ATTEMPT_LIFETIME.as_secs()));
    Ok(surplus(runtime, ask, host).iter().fold(reply, |reply, id| reply.without_attempt(id)))
}

/// `login` on another of our hosts.
fn login_at(runtime: &Runtime, host: &str, pairs: &[(String, String)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("https://{}{}/login?{query}", runtime.public_authority(host), runtime.settings.server.prefix)
}

/// A target of `host` as it is called from another host.
fn absolute(runtime: &Runtime, host: &str, return_to: &ReturnTo) -> ReturnTo {
    let text = return_to.as_str();
    let whole = if text.starts_with('/') { format!("https://{}{text}", runtime.public_authority(host)) } else { text.to_owned() };
    ReturnTo::parse(&whole, runtime).unwrap_or_else(|_| ReturnTo::root())
}

/// `login?handoff=…` on the public host: a code at once for somebody who is signed in here, else a sign-in that comes back here.
pub(super) async fn go_on(runtime: &Runtime, ask: &Ask<'_>, sealed: &str, errand: &Errand, said: Said<'_>) -> Served {
    let public = ask.target.host().name();
    let refused =
        |reason| Served { reason, reply: respond::show(&runtime.pages, runtime.asker(ask, None), Face::BAD_LOGIN, &[]) };
    if elsewhere(runtime, ask).is_some() || runtime.settings.server.public_host.is_none() {
        return refused("handoff_not_here");
    }
    let Ok(mut request) = HandoffRequest::open(sealed, &runtime.keys(), public) else { return refused("handoff_unreadable") };
    // What was sealed before the configuration changed.
    if !runtime.settings.policy.knows_host(&request.host) {
        return refused("handoff_host");
    }
    let Ok(return_to) = ReturnTo::parse(&request.return_to, runtime) else { return refused("handoff_unreadable") };
    if request.is_over(ask.now) {
        // Nobody holds the attempt any more; it begins anew where it came from.
        let pairs = [("return_to".to_owned(), return_to.as_str().to_owned())];
        return Served { reason: "handoff_expired", reply: Reply::redirect(302, &login_at(runtime, &request.host, &pairs)) };
    }
    let chosen_there = request.provider.clone().filter(|_| said.email.is_none());
    let said = Said { provider: said.provider.or(chosen_there.as_deref()), ..said };
    let choice = Choice::at(runtime, &request.host, &return_to, said);
    let eligible = match &choice {
        Choice::Nobody => {
            let reply = respond::show(&runtime.pages, runtime.asker(ask, None), Face::NO_PROVIDER, &[]);
            return Served { reason: "no_provider", reply };
        }
        Choice::One { provider, named: true } => vec![*provider],
        Choice::One { .. } | Choice::Several(_) => picker::of_place(runtime, &request.host, &return_to),
    };
    // A link that wants another account does so here as well.
    let unasked = errand.asked.wishes.get("prompt").is_none();
    if unasked && let Some(live) = live(runtime, ask).await {
        if runtime.belongs(&live.session, &eligible).is_ok() && request.takes(&live.session, ask.now) {
            let reply = give_out(runtime, ask, &request, &live.session);
            let reply = live.renewal.iter().fold(reply, |reply, renewal| reply.text_field(header::SET_COOKIE, renewal));
            return Served { reason: "handoff_code", reply };
        }
    }
    if request.fresh == Freshness::New {
        request = request.sent_to_sign_in(ask.now);
    }
    let mut asked = request.asked.clone();
    if !errand.asked.wishes.is_empty() {
        asked.wishes = errand.asked.wishes.clone();
    }
    let back = entropy::random().ok().map(|nonce| request.seal(&runtime.keys(), public, nonce));
    let Some(back) = back.and_then(|sealed| ReturnTo::to_handoff(&sealed, runtime).ok()) else {
        return Served { reason: "internal", reply: respond::show(&runtime.pages, runtime.asker(ask, None), Face::CANNOT_BEGIN, &[]) };
    };
    let errand = Errand { return_to: back, retries: errand.retries, asked };
    match choice {
        Choice::One { provider, .. } => sent(begin(runtime, ask, provider, &picker::with_hint(&errand, said)).await),
        Choice::Nobody | Choice::Several(_) => {
            let carried = errand.carry(runtime, public);
            picker::page(runtime, ask, &request.host, &eligible, &carried, said.email)
        }
    }
}

/// Back to the app's host, with the session or its name. RFC 9110 §15.4.4: 303, whatever brought the browser here.
fn give_out(runtime: &Runtime, ask: &Ask<'_>, request: &HandoffRequest, session: &Session) -> Reply {
    let handed = if runtime.sessions.is_server_side() {
        Handed::Ticket(Ticket::of(session))
    } else {
        Handed::Session(Box::new(session.renewed(ask.now)))
    };
    let seal = |request: &HandoffRequest| {
        let code = HandoffCode::answer(request, handed.clone(), ask.now);
        entropy::random().map(|nonce| code.seal(&runtime.keys(), &request.host, nonce))
    };
    let sealed = match seal(request) {
        Ok(sealed) if sealed.len() > CODE_LIMIT => {
            let mut shorter = request.clone();
            shorter.return_to = ReturnTo::root().as_str().into();
            seal(&shorter)
        }
        sealed => sealed,
    };
    let Ok(sealed) = sealed else { return respond::show(&runtime.pages, runtime.asker(ask, None), Face::CANNOT_BEGIN, &[]) };
    let host = runtime.public_authority(&request.host);
    Reply::redirect(303, &format!("https://{host}{}/handoff?{CODE}={sealed}", runtime.settings.server.prefix))
}

/// Why a code signs nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Attempt(AttemptFault),
    /// What is handed over counts no more, or not here.
    Session(SessionFault),
    TooLarge,
    StoreDown,
    Internal,
}

impl Failure {
    fn label(self) -> &'static str {
        match self {
            Self::Attempt(AttemptFault::State) => "handoff_unreadable",
            Self::Attempt(AttemptFault::Lost) => "attempt_lost",
            Self::Attempt(AttemptFault::Foreign) => "attempt_foreign",
            Self::Attempt(AttemptFault::Expired) => "handoff_expired",
            Self::Attempt(AttemptFault::Reused) => "attempt_reused",
            Self::Session(fault) => fault.label(),
            Self::TooLarge => "session_too_large",
            Self::StoreDown => "store_unreachable",
            Self::Internal => "internal",
        }
    }

    fn face(self) -> Face {
        match self {
            Self::Attempt(AttemptFault::State | AttemptFault::Foreign) => Face::BAD_CALLBACK,
            Self::Attempt(AttemptFault::Lost) => Face::ATTEMPT_LOST,
            Self::Attempt(AttemptFault::Expired) => Face::ATTEMPT_EXPIRED,
            Self::Attempt(AttemptFault::Reused) => Face::ATTEMPT_REUSED,
            Self::Session(_) | Self::Internal => Face::SIGN_IN_FAILED,
            Self::TooLarge => Face::SESSION_TOO_LARGE,
            Self::StoreDown => Face::STORE_DOWN,
        }
    }
}

impl From<BeginFault> for Failure {
    fn from(fault: BeginFault) -> Self {
        match fault {
            BeginFault::TooLarge(_) => Self::TooLarge,
            BeginFault::Store(_) => Self::StoreDown,
            BeginFault::NoEntropy => Self::Internal,
        }
    }
}

/// `handoff?code=…` on an app's host.
pub(super) async fn serve(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    if runtime.settings.server.public_host.is_none() {
        return Served { reason: "no_endpoint", reply: respond::show(&runtime.pages, runtime.asker(ask, None), Face::NO_ENDPOINT, &[]) };
    }
    if ask.manner != Manner::Navigation && ask.headers.contains_key("sec-fetch-mode") {
        return Served { reason: "not_a_navigation", reply: respond::show(&runtime.pages, runtime.asker(ask, None), Face::NOT_HERE, &[]) };
    }
    let pairs = parse_parameters(ask.target.query().unwrap_or("")).unwrap_or_default();
    let sealed = once(&pairs, CODE).ok().flatten().unwrap_or_default();
    let code = match HandoffCode::open(sealed, &runtime.keys(), ask.target.host().name()) {
        Ok(code) => code,
        Err(fault) => return failed(runtime, ask, None, Failure::Attempt(fault)).await,
    };
    match accept(runtime, ask, &code).await {
        Ok(cookie) => {
            let place = runtime.sessions.place(ask.target.host().name());
            let reply = Reply::redirect(303, &code.return_to).begin_session(place, &cookie).without_attempt(&code.attempt);
            Served { reason: "signed_in", reply: rounds::counted(runtime, ask, reply, &cookie, false) }
        }
        Err(failure) => failed(runtime, ask, Some(&code), failure).await,
    }
}

/// The `Set-Cookie` value of the session on this host.
async fn accept(runtime: &Runtime, ask: &Ask<'_>, code: &HandoffCode) -> Result<String, Failure> {
    let host = ask.target.host().name();
    // Whoever shows it first spends it, also in the wrong browser: a code that got into other hands is worth nothing from then on.
    if !runtime.used_attempts.take(&code.attempt, ask.now) {
        return Err(Failure::Attempt(AttemptFault::Reused));
    }
    if runtime.store.is_shared() {
        let first = runtime.store.take(&format!("handoff/{}", code.attempt), ask.request_id, ATTEMPT_LIFETIME).await;
        if !first.map_err(|_| Failure::StoreDown)? {
            return Err(Failure::Attempt(AttemptFault::Reused));
        }
    }
    let cookie = match cookies::find(cookie_fields(ask.headers), &format!("{ATTEMPT_COOKIE}{}", code.attempt)) {
        Found::One(value) => Some(value),
        Found::Absent | Found::Ambiguous => None,
    };
    let handed = code.redeem(cookie, &runtime.keys(), host, ask.now).map_err(Failure::Attempt)?;
    let providers = picker::of_host(runtime, host);
    match handed {
        Handed::Session(session) if !runtime.sessions.is_server_side() => {
            session.check_limits(runtime.session_limits(), ask.now).map_err(Failure::Session)?;
            runtime.belongs(&session, &providers).map_err(Failure::Session)?;
            if runtime.revocations.revokes(&session) {
                return Err(Failure::Session(SessionFault::Revoked));
            }
            Ok(runtime.sessions.begin(*session, Tokens::default(), host).await?)
        }
        Handed::Ticket(ticket) if runtime.sessions.is_server_side() => {
            let live = runtime.sessions.named(&ticket, ask.now).await.map_err(|fault| match fault {
                CredentialFault::Session(fault) => Failure::Session(fault),
                _ => Failure::StoreDown,
            })?;
            runtime.belongs(&live.session, &providers).map_err(Failure::Session)?;
            Ok(runtime.sessions.ticket(&ticket, host)?)
        }
        // The store was changed on the way.
        Handed::Session(_) | Handed::Ticket(_) => Err(Failure::Session(SessionFault::Unreadable)),
    }
}

/// Begins anew where that may help, once and by itself; else says what happened.
async fn failed(runtime: &Runtime, ask: &Ask<'_>, code: Option<&HandoffCode>, failure: Failure) -> Served {
    tracing::warn!(host = ask.target.host().name(), request_id = ask.request_id, reason = failure.label(), "hand-off failed");
    let return_to = code.and_then(|code| ReturnTo::parse(&code.return_to, runtime).ok()).unwrap_or_else(ReturnTo::root);
    let forget = |reply: Reply| match code {
        Some(code) if !matches!(failure, Failure::Attempt(AttemptFault::Lost | AttemptFault::Foreign)) => reply.without_attempt(&code.attempt),
        _ => reply,
    };
    if let (Some(code), Failure::Attempt(fault)) = (code, failure)
        && code.may_restart(fault)
    {
        let errand = Errand { retries: 1, ..Errand::to(runtime, ask.target.host().name(), return_to) };
        let served = Box::pin(picker::go(runtime, ask, &errand, Said::default())).await;
        return Served { reason: failure.label(), reply: forget(served.reply) };
    }
    let login = sign_in_path(runtime, return_to.as_str());
    let asker = Asker { login_url: Some(&login), ..runtime.asker(ask, None) };
    let face = failure.face();
    let reply = respond::show(&runtime.pages, asker, face, &[]);
    let reply = if face.status == 503 { reply.field(header::RETRY_AFTER, HeaderValue::from_static("10")) } else { reply };
    Served { reason: failure.label(), reply: forget(reply) }
}
