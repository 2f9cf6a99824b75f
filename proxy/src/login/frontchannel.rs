//! `logout/frontchannel`: a provider's page loads this one in a frame, to say that its session ended (OpenID Connect
//! Front-Channel Logout 1.0). It comes without proof, and usually without our cookie: browsers send a `Lax` cookie to no
//! other site's frame.
//!
//! So it ends what its `iss` and `sid` name, if that is the session of the cookie that came along, or one in the store. Who
//! knows a `sid` can end its sessions and nothing else, which is why it must be long. The provider is never asked anything.

use doorward_policy::login::parse_parameters;
use doorward_policy::session::What;
use http::{HeaderName, HeaderValue, header};
use url::Url;

use super::Served;
use super::logout::without_cookies;
use super::session::live;
use crate::audit::{self, Cause};
use crate::gate::Ask;
use crate::reply::Reply;
use crate::runtime::{ProviderRuntime, Runtime};

/// A shorter `sid` could be guessed.
const SID_LEAST: usize = 16;
const SID_MOST: usize = 1024;

pub(super) async fn serve(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    if runtime.attempts.many_bad_sign_outs(ask.client) {
        return served(runtime, "too_many", page(429, None, "Too many at once."));
    }
    let Some((provider, sid)) = named(runtime, ask) else {
        runtime.attempts.bad_sign_out(ask.client);
        audit::sign_out_failed(runtime, ask, "front_channel", "unreadable");
        return served(runtime, "unreadable", page(400, None, "This address is for an identity provider that ends a session."));
    };
    let settings = provider.settings();
    let here = live(runtime, ask)
        .await
        .filter(|live| live.session.provider_session.as_deref() == Some(&*sid) && *live.session.provider == *settings.name);
    let known = match &here {
        Some(_) => true,
        // A store that cannot say is told nothing by anybody who asks.
        None => runtime.sessions.knows_provider_session(&settings.issuer, &sid).await.unwrap_or(false),
    };
    if !known {
        runtime.attempts.bad_sign_out(ask.client);
        audit::sign_out_failed(runtime, ask, "front_channel", "no_session");
        let text = if runtime.sessions.is_server_side() {
            RECEIVED
        } else {
            "Nothing was ended. Sessions live in the browser's cookies here, which do not come along in a frame: \
             the provider has to use back-channel logout."
        };
        return served(runtime, "no_session", page(200, Some(settings.issuer.as_str()), text));
    }
    let what = What::ProviderSession { issuer: settings.issuer.as_str().into(), sid };
    tracing::info!(provider = settings.name, request_id = ask.request_id, "signed out by the provider's page");
    // What could not be stored is said there, counts here, and is stored later.
    let stored = runtime.revocations.end(what.clone(), ask.now, ask.now).await.is_ok();
    audit::ended(runtime, Cause::of(ask), "front_channel", &settings.name, &what, stored);
    if stored && let What::ProviderSession { issuer, sid } = &what {
        runtime.sessions.forget_provider_session(issuer, sid).await;
    }
    let reply = page(200, Some(settings.issuer.as_str()), RECEIVED);
    let reply = if here.is_some() { without_cookies(runtime, ask, reply) } else { reply };
    served(runtime, "ok", reply)
}

/// The same whether or not there was a session.
const RECEIVED: &str = "The sign-out was received.";

/// §2: `iss` and `sid`, each once, of a provider of ours.
fn named<'r>(runtime: &'r Runtime, ask: &Ask<'_>) -> Option<(&'r ProviderRuntime, Box<str>)> {
    let fields = parse_parameters(ask.target.query()?)?;
    let one = |name: &str| {
        let mut values = fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    };
    let (issuer, sid) = (one("iss")?, one("sid")?);
    let provider = runtime.providers.iter().find(|provider| provider.settings().issuer == issuer)?;
    (SID_LEAST..=SID_MOST).contains(&sid.len()).then(|| (&**provider, sid.into()))
}

/// A page that the issuer's own pages may frame, and nobody else's (LOGOUT-20).
fn page(status: u16, issuer: Option<&str>, text: &str) -> Reply {
    let origin = issuer.and_then(|issuer| Url::parse(issuer).ok()).map(|issuer| issuer.origin().ascii_serialization());
    let policy = format!("default-src 'none'; frame-ancestors {}", origin.as_deref().unwrap_or("'none'"));
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    let body = format!("<!doctype html>\n<html lang=\"en\">\n<title>Sign-out</title>\n<p>{text}</p>\n</html>\n");
    let mut reply = Reply::html(status, body, &policy);
    // It knows no list of who may; the policy above does (CSP3 §6.4.2.1).
    if origin.is_some() {
        reply.fields.retain(|(name, _)| *name != header::X_FRAME_OPTIONS);
    }
    // §3: nothing of it is kept.
    reply.field(HeaderName::from_static("pragma"), HeaderValue::from_static("no-cache"))
}

fn served(runtime: &Runtime, outcome: &'static str, reply: Reply) -> Served {
    runtime.metrics.logouts.with_label_values(&["frontchannel", outcome]).inc();
    Served { reason: if outcome == "ok" { "signed_out_by_provider" } else { outcome }, reply }
}
