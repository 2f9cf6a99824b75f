//! Signing out: here first, then at the provider.

mod at_provider;
mod target;

use std::time::Duration;

use doorward_policy::cookies::{Found, cookies};
use doorward_policy::login::{LogoutState, ReturnTo};
use doorward_policy::session::{DOMAIN_COOKIE, Session, Ticket, What, is_own_cookie};
use http::{Method, header};
use url::form_urlencoded::Serializer;

use super::Served;
use super::session::live;
use crate::audit;
use crate::body;
use crate::clock;
use crate::gate::{Ask, cookie_fields, own_origin};
use crate::manner::is_prefetch;
use crate::pages::{Language, SignOutPage, SignedOutPage};
use crate::reply::Reply;
use crate::respond::{self, Face};
use crate::runtime::Runtime;
use crate::sessions::Live;
use crate::streams::Ended;
use at_provider::SignOut;
use target::Target;

/// Parameters, of the address or of a posted form.
const EVERYWHERE: &str = "everywhere";
const RETURN_TO: &str = "return_to";
/// Cookies of ours that one answer deletes; a browser that has more keeps some that no longer open anything.
const COOKIES: usize = 24;
/// Before a token is revoked a second time.
const AGAIN: Duration = Duration::from_secs(2);

/// What is asked for, checked.
struct Wish {
    everywhere: bool,
    target: Option<Target>,
}

impl Wish {
    fn read(runtime: &Runtime, ask: &Ask<'_>) -> Self {
        let mut fields = doorward_policy::login::parse_parameters(ask.target.query().unwrap_or("")).unwrap_or_default();
        fields.extend(body::form(ask.headers, ask.content).unwrap_or_default());
        let one = |name: &str| {
            let mut values = fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
            values.next().filter(|_| values.next().is_none())
        };
        Self { everywhere: one(EVERYWHERE) == Some("1"), target: one(RETURN_TO).and_then(|text| Target::parse(text, runtime)) }
    }

    /// The same wish, as an address to post to.
    fn address(&self, runtime: &Runtime, everywhere: bool) -> String {
        let mut query = Serializer::new(String::new());
        if everywhere {
            query.append_pair(EVERYWHERE, "1");
        }
        if let Some(target) = &self.target {
            query.append_pair(RETURN_TO, target.as_str());
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}/logout{mark}{query}", runtime.settings.server.prefix)
    }
}

/// `logout`: from one of this host's own pages at once; from anywhere else only after asking.
pub(super) async fn serve(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    if is_prefetch(ask.headers) {
        // Neither done now, nor answered with a page that would be shown later in the place of doing it.
        return Served { reason: "not_a_navigation", reply: respond::show(&runtime.pages, runtime.asker(ask, None), Face::NOT_HERE, &[]) };
    }
    let wish = Wish::read(runtime, ask);
    if !is_own_doing(runtime, ask) {
        return confirm(runtime, ask, &wish).await;
    }
    sign_out(runtime, ask, &wish, true).await
}

/// Signs out of this host's session alone, and goes on to `after`; the provider's own sign-out is where nothing is named.
pub(super) async fn end(runtime: &Runtime, ask: &Ask<'_>, after: Option<&ReturnTo>) -> Served {
    let wish = Wish { everywhere: false, target: after.cloned().map(Target::of) };
    if !is_own_doing(runtime, ask) {
        return confirm(runtime, ask, &wish).await;
    }
    sign_out(runtime, ask, &wish, after.is_none()).await
}

/// `logout/done`: where a provider sends the browser back to. Whatever comes with it, the answer is a page of ours or a
/// target that a sign-out of ours was asked for (LOGOUT-02).
pub(super) async fn done(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    let host = ask.target.host().name();
    let fields = doorward_policy::login::parse_parameters(ask.target.query().unwrap_or("")).unwrap_or_default();
    let mut states = fields.iter().filter(|(name, _)| name == "state").map(|(_, value)| value.as_str());
    let state = states.next().filter(|_| states.next().is_none()).and_then(|text| LogoutState::open(text, &runtime.keys(), host, ask.now));
    let (everywhere, told) = state.as_ref().map_or((false, false), |state| (state.everywhere, state.told));
    let is_ours = state.is_some();
    let live = live(runtime, ask).await;
    // With one host for all sign-ins, what the browser holds here opens nothing any more: the sign-out began on another host.
    let cleared = |reply: Reply| if is_ours && live.is_none() { without_cookies(runtime, ask, reply) } else { reply };
    let target = state.and_then(|state| state.return_to).and_then(|text| Target::parse(&text, runtime));
    if let Some(target) = target.as_ref().filter(|_| !told || live.is_some()) {
        return Served { reason: "signed_out", reply: cleared(Reply::redirect(303, target.as_str())) };
    }
    // Somebody who is signed in is not told otherwise.
    if live.is_some() {
        return confirm(runtime, ask, &Wish { everywhere: false, target: None }).await;
    }
    let page = SignedOutPage { at_provider: true, everywhere, back_url: target.as_ref().map_or("/", Target::as_str) };
    Served { reason: "signed_out", reply: cleared(runtime.pages.signed_out(&page, Language::of(ask.headers))) }
}

async fn confirm(runtime: &Runtime, ask: &Ask<'_>, wish: &Wish) -> Served {
    let live = live(runtime, ask).await;
    let who = live.as_ref().and_then(|live| live.identity.name().or(live.identity.email()).or(live.identity.user()));
    // The page offers both, whichever was asked for: a button does what it says.
    let (action, everywhere) = (wish.address(runtime, false), wish.address(runtime, true));
    let everywhere = live.as_ref().map(|_| everywhere.as_str());
    let page = SignOutPage { action: &action, everywhere, who, stay_url: "/" };
    Served { reason: "logout_confirm", reply: runtime.pages.sign_out(&page, Language::of(ask.headers)) }
}

async fn sign_out(runtime: &Runtime, ask: &Ask<'_>, wish: &Wish, at_provider: bool) -> Served {
    let live = live(runtime, ask).await;
    // LOGOUT-01: here first. From now on a copy of the cookie opens nothing, whatever the provider does.
    let known = match &live {
        Some(live) => end_session(runtime, ask, live, wish.everywhere).await,
        None => end_unread(runtime, ask, wish.everywhere).await,
    };
    // Nobody is told that sessions ended of which nothing could be learnt.
    let everywhere = wish.everywhere && known;
    let next = live
        .as_ref()
        .filter(|_| at_provider)
        .and_then(|live| SignOut { runtime, ask, live, target: wish.target.as_ref(), everywhere: wish.everywhere }.url());
    let (kind, reply) = match (&next, &wish.target) {
        // 303: after a POST the browser goes on with GET (RFC 9110 §15.4.4).
        (Some(url), _) => ("rp", Reply::redirect(303, url.as_str())),
        (None, Some(target)) => ("local", Reply::redirect(303, target.as_str())),
        (None, None) => {
            let page = SignedOutPage { at_provider: live.is_none(), everywhere, back_url: "/" };
            ("local", runtime.pages.signed_out(&page, Language::of(ask.headers)))
        }
    };
    if let Some(live) = &live {
        audit::signed_out(runtime, ask, kind_of(wish.everywhere, next.is_some()), live);
    }
    let kind = if wish.everywhere { "everywhere" } else { kind };
    runtime.metrics.logouts.with_label_values(&[kind, if live.is_some() { "ok" } else { "no_session" }]).inc();
    Served { reason: "signed_out", reply: without_cookies(runtime, ask, reply) }
}

/// What the audit log calls it.
fn kind_of(everywhere: bool, at_provider: bool) -> &'static str {
    match (everywhere, at_provider) {
        (true, _) => "everywhere",
        (false, true) => "provider",
        (false, false) => "local",
    }
}

/// This session; where asked, all of the person's. True: whose they are is known.
async fn end_session(runtime: &Runtime, ask: &Ask<'_>, live: &Live, everywhere: bool) -> bool {
    let session = &live.session;
    let known = end_others(runtime, ask, session, everywhere).await;
    let refresh_token = live.held.as_ref().and_then(|held| held.known().record.tokens.refresh_token.clone());
    // The sweep finds what is opened meanwhile.
    runtime.streams.cut_session(&live.facts(), Ended::SignedOut);
    runtime.sessions.end(session).await;
    if let Some(token) = refresh_token {
        revoke(runtime, &session.provider, token);
    }
    known
}

/// All sessions of a person, where that is asked for. True: it is known who that is.
async fn end_others(runtime: &Runtime, ask: &Ask<'_>, session: &Session, everywhere: bool) -> bool {
    let text = |claim: &str| session.claims.get(claim).and_then(serde_json::Value::as_str);
    let (Some(issuer), Some(sub)) = (text("iss"), text("sub")) else { return false };
    if everywhere {
        let what = What::Subject { issuer: issuer.into(), sub: sub.into() };
        // What could not be stored is said there, counts here, and is stored later.
        let _ = runtime.revocations.end(what, ask.now.max(session.issued), ask.now).await;
    }
    true
}

/// A store that cannot be read now must not be the reason that a copied cookie opens its session tomorrow: what the cookie itself
/// says is enough to end it. True: whose it is is known, which a ticket does not say.
async fn end_unread(runtime: &Runtime, ask: &Ask<'_>, everywhere: bool) -> bool {
    let host = ask.target.host().name();
    let Found::One(sealed) = runtime.sessions.presented(ask.headers, host) else { return false };
    let place = runtime.sessions.place(host);
    if !runtime.sessions.is_server_side() {
        let opened = Session::open(sealed, &runtime.keys(), place, runtime.session_limits(), ask.now);
        let Ok(session) = opened else { return false };
        let known = end_others(runtime, ask, &session, everywhere).await;
        runtime.sessions.end(&session).await;
        audit::signed_out_unread(runtime, ask, kind_of(everywhere, false), Ok(&session));
        return known;
    }
    let Ok(ticket) = Ticket::open(sealed, &runtime.keys(), place) else { return false };
    for provider in &runtime.providers {
        let _ = runtime.revocations.end_id(&provider.settings().issuer, &ticket.id, ticket.began, ask.now).await;
    }
    audit::signed_out_unread(runtime, ask, "local", Err(&ticket));
    false
}

/// RFC 7009, where the provider is configured to be told: beside the answer, twice at most (LOGOUT-04).
fn revoke(runtime: &Runtime, provider: &str, token: Box<str>) {
    let found = runtime.providers.iter().find(|known| known.settings().name == provider);
    let Some(provider) = found.filter(|provider| provider.settings().revoke_on_logout) else { return };
    let (client, keys, name) = (provider.client.clone(), provider.keys.clone(), provider.settings().name.clone());
    runtime.control.spawn(async move {
        for last in [false, true] {
            let Some(current) = keys.current() else { break };
            match client.revoke(&current.metadata, &token, clock::now()).await {
                Ok(()) => return,
                Err(fault) if last => tracing::warn!(provider = name, "a refresh token was not revoked at sign-out: {fault}"),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    });
}

/// LOGOUT-01: `Origin` on a POST, `Sec-Fetch-Site` on a GET; neither can be set by another site's page.
fn is_own_doing(runtime: &Runtime, ask: &Ask<'_>) -> bool {
    let field = |name: &str| ask.headers.get(name).map(http::HeaderValue::as_bytes);
    let own = own_origin(runtime, ask.target.host().name());
    // An image, a frame or a look ahead on one of our own pages may be anybody's text: only somebody who goes there means it.
    let goes = *ask.target.method() == Method::POST
        || (!is_prefetch(ask.headers) && field("sec-fetch-dest").is_none_or(|dest| matches!(dest, b"document" | b"empty")));
    match (field("sec-fetch-site"), field(header::ORIGIN.as_str())) {
        (Some(site), _) => site == b"same-origin" && goes,
        // A browser without Fetch Metadata still names the origin of a form it posts.
        (None, Some(origin)) => *ask.target.method() == Method::POST && origin == own.as_bytes(),
        (None, None) => false,
    }
}

/// Deletes every cookie of ours that the browser showed: the session, sign-ins under way, rounds counted.
pub(super) fn without_cookies(runtime: &Runtime, ask: &Ask<'_>, reply: Reply) -> Reply {
    let place = runtime.sessions.place(ask.target.host().name());
    let reply = reply.without_session(place);
    let plain = |name: &[u8]| name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let shown = cookies(cookie_fields(ask.headers)).map(|cookie| cookie.name);
    let mut names: Vec<&str> =
        shown.filter(|name| is_own_cookie(name) && plain(name)).filter_map(|name| std::str::from_utf8(name).ok()).collect();
    names.sort_unstable();
    names.dedup();
    // A domain's cookie goes with its domain, above; without one nothing of that name is ours to delete.
    names.retain(|name| *name != place.name() && !name.starts_with(DOMAIN_COOKIE));
    names.into_iter().take(COOKIES).fold(reply, Reply::without_cookie)
}
