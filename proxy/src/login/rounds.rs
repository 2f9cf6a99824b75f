//! The end of a loop: a browser that signs in, and is asked to sign in again, and again, is told why.

use doorward_policy::access::CredentialFault;
use doorward_policy::cookies::{self, Found};
use doorward_policy::login::{ROUNDS_COOKIE, ROUNDS_LIFETIME, ReturnTo, Rounds};
use doorward_policy::session::SessionFault;

use super::errand::destination;
use super::{picker, sign_in_path};
use crate::entropy;
use crate::gate::{Ask, cookie_fields};
use crate::pages::{Language, LoopCause, LoopPage};
use crate::reply::Reply;
use crate::runtime::Runtime;

/// The parameter of `login` that says: I know, once more.
pub(super) const ANEW: &str = "anew";
/// Session cookies from here on may not fit into what a browser keeps, attributes included.
const LARGE: usize = 3600;

/// What became of the session that the last sign-in began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The browser did not bring it.
    Absent,
    Fault(SessionFault),
    /// It is good: nobody goes round.
    Good,
}

/// Whether this browser came back so often just now that another sign-in needs a reason.
pub fn is_loop(runtime: &Runtime, ask: &Ask<'_>) -> bool {
    held(runtime, ask).is_loop(ask.now)
}

/// The page that stands where one more round would be, where this is a loop.
pub fn stop(runtime: &Runtime, ask: &Ask<'_>, evidence: Evidence, return_to: &ReturnTo) -> Option<Reply> {
    let rounds = held(runtime, ask);
    if !rounds.is_loop(ask.now) {
        return None;
    }
    let causes: &[LoopCause] = match evidence {
        Evidence::Good => return None,
        Evidence::Absent if rounds.size >= LARGE => &[LoopCause::SessionTooLarge, LoopCause::CookieNotReturned],
        Evidence::Absent => &[LoopCause::CookieNotReturned],
        Evidence::Fault(SessionFault::Unreadable) => &[LoopCause::CookieUnreadable],
        // To a machine whose store does not know a session, it is over as well.
        Evidence::Fault(SessionFault::Expired) if runtime.sessions.is_server_side() => &[LoopCause::CookieUnreadable, LoopCause::Clock],
        Evidence::Fault(SessionFault::Expired) => &[LoopCause::Clock],
        Evidence::Fault(SessionFault::OtherProvider) => &[LoopCause::TwoProviders],
        Evidence::Fault(SessionFault::Revoked) => &[LoopCause::Revoked],
        Evidence::Fault(SessionFault::NoUser) => &[],
    };
    Some(page(runtime, ask, causes, return_to))
}

/// The page itself. Beginning anew is a click, and forgets the rounds before.
pub(super) fn page(runtime: &Runtime, ask: &Ask<'_>, causes: &[LoopCause], return_to: &ReturnTo) -> Reply {
    let cause = causes.first().map_or("unknown", |cause| label(*cause));
    runtime.metrics.login_loops.with_label_values(&[cause]).inc();
    tracing::warn!(host = ask.target.host().name(), request_id = ask.request_id, cause, "a browser signs in again and again");
    let login_url = format!("{}&{ANEW}=1", sign_in_path(runtime, return_to.as_str()));
    let page = LoopPage { causes, login_url: Some(&login_url), request_id: ask.request_id };
    runtime.pages.looped(&page, Language::of(ask.headers))
}

/// What the session cookie of this browser is worth where `return_to` leads.
pub(super) async fn evidence(runtime: &Runtime, ask: &Ask<'_>, return_to: &ReturnTo) -> Evidence {
    let host = ask.target.host().name();
    let sealed = match runtime.sessions.presented(ask.headers, host) {
        Found::Absent => return Evidence::Absent,
        Found::Ambiguous => return Evidence::Fault(SessionFault::Unreadable),
        Found::One(sealed) => sealed,
    };
    let live = match runtime.sessions.find(sealed, host, ask.now).await {
        Ok(live) => live,
        Err(CredentialFault::Session(fault)) => return Evidence::Fault(fault),
        // Nobody can say just now: another sign-in would not help either, but it is no loop of the browser's.
        Err(_) => return Evidence::Good,
    };
    let policy = &runtime.settings.policy;
    let route = destination(runtime, host, return_to).and_then(|target| policy.route_for(&target).ok().map(|(_, route)| route));
    let of_host = picker::of_host(runtime, host);
    match runtime.belongs(&live.session, route.map_or(&of_host, |route| &route.providers)) {
        Ok(()) => Evidence::Good,
        Err(fault) => Evidence::Fault(fault),
    }
}

/// A reply that begins a session with `set_cookie`, counted. `cross_site`: it answers another site's form, which brings only
/// such cookies along.
pub fn counted(runtime: &Runtime, ask: &Ask<'_>, reply: Reply, set_cookie: &str, cross_site: bool) -> Reply {
    let Ok(nonce) = entropy::random() else { return reply };
    let size = set_cookie.find(';').unwrap_or(set_cookie.len());
    let sealed = held(runtime, ask).and_one(ask.now, size).seal(&runtime.keys(), ask.target.host().name(), nonce);
    let age = Some(ROUNDS_LIFETIME.as_secs());
    if cross_site { reply.cross_site_cookie(ROUNDS_COOKIE, &sealed, age) } else { reply.cookie(ROUNDS_COOKIE, &sealed, age) }
}

fn held(runtime: &Runtime, ask: &Ask<'_>) -> Rounds {
    let sealed = match cookies::find(cookie_fields(ask.headers), ROUNDS_COOKIE) {
        Found::One(sealed) => Some(sealed),
        Found::Absent | Found::Ambiguous => None,
    };
    Rounds::open(sealed, &runtime.keys(), ask.target.host().name())
}

fn label(cause: LoopCause) -> &'static str {
    match cause {
        LoopCause::CookieNotReturned => "cookie_not_returned",
        LoopCause::CookieUnreadable => "cookie_unreadable",
        LoopCause::Clock => "clock",
        LoopCause::SessionTooLarge => "session_too_large",
        LoopCause::TwoProviders => "two_providers",
        LoopCause::Revoked => "revoked",
    }
}
