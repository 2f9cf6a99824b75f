//! People sign in on one host, and are somebody on all of them.
//!
//! An app's host sends the browser to the public host with a sealed request; there it signs in, or has; it comes back with a
//! sealed code, and gets a cookie of the app's own host. All cookies of one sign-in are one session: ending it anywhere ends it
//! everywhere.

mod redeem;

pub(super) use redeem::serve;

use doorward_policy::access::DenyReason;
use doorward_policy::login::{ATTEMPT_LIFETIME, Handed, HandoffAttempt, HandoffCode, HandoffEntropy, HandoffRequest, Newness, ReturnTo};
use doorward_policy::session::{Session, Ticket};
use http::header;

use super::Served;
use super::begin::{begin, surplus};
use super::errand::{Errand, HANDOFF};
use super::picker::{self, Choice, PROVIDER, Said, sent};
use super::session::live;
use crate::entropy::{self, NoEntropy};
use crate::gate::Ask;
use crate::reply::Reply;
use crate::respond::{self, Asker, Face};
use crate::runtime::Runtime;

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
    let refused = |reason| Served { reason, reply: respond::show(&runtime.pages, runtime.asker(ask, None), Face::BAD_LOGIN, &[]) };
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
        return over(runtime, ask, &request.host, &return_to, said);
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
    if unasked
        && let Some(live) = live(runtime, ask).await
        && runtime.belongs(&live.session, &eligible).is_ok()
        && request.takes(&live.session, ask.now)
    {
        let reply = give_out(runtime, ask, &request, &live.session);
        let reply = live.renewal.iter().fold(reply, |reply, renewal| reply.text_field(header::SET_COOKIE, renewal));
        return Served { reason: "handoff_code", reply };
    }
    if request.newness == Newness::New {
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

/// Nobody holds the attempt any more: it begins anew where it came from. By itself only after a choice on a page that was left
/// open; hosts whose clocks disagree would send a browser round and round.
fn over(runtime: &Runtime, ask: &Ask<'_>, host: &str, return_to: &ReturnTo, said: Said<'_>) -> Served {
    let login = login_at(runtime, host, &[("return_to".to_owned(), return_to.as_str().to_owned())]);
    let reply = if said.provider.is_some() || said.email.is_some() {
        Reply::redirect(302, &login)
    } else {
        let asker = Asker { login_url: Some(&login), ..runtime.asker(ask, None) };
        respond::show(&runtime.pages, asker, Face::ATTEMPT_EXPIRED, &[])
    };
    Served { reason: "handoff_expired", reply }
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
