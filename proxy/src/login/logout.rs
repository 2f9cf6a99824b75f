//! Signing out: here first, then at the provider (OpenID Connect RP-Initiated Logout 1.0; Auth0's `/v2/logout`).

use doorward_config::settings::{Provider, ProviderKind};
use doorward_policy::login::ReturnTo;
use doorward_policy::session::Session;
use http::{Method, header};
use url::Url;

use super::session::live;
use super::{Served, held_attempts};
use crate::gate::{Ask, own_origin};
use crate::pages::{Language, SignOutPage, SignedOutPage};
use crate::reply::Reply;
use crate::runtime::{ProviderRuntime, Runtime};

/// `logout`: from one of this host's own pages at once; from anywhere else only after asking. Then to `after`, or to the
/// provider's own sign-out.
pub(super) async fn end(runtime: &Runtime, ask: &Ask<'_>, after: Option<&ReturnTo>) -> Served {
    let language = Language::of(ask.headers);
    if !is_own_doing(runtime, ask) {
        let action = format!("{}/logout", runtime.settings.server.prefix);
        let page = SignOutPage { action: &action, everywhere: None, who: None, stay_url: "/" };
        return Served { reason: "logout_confirm", reply: runtime.pages.sign_out(&page, language) };
    }
    let live = live(runtime, ask).await;
    let session = live.as_ref().map(|live| &*live.session);
    if let Some(session) = session {
        runtime.sessions.end(session).await;
    }
    let provider = session.filter(|_| after.is_none()).and_then(|session| at_provider(runtime, ask, session));
    let (kind, reply) = match (&provider, after) {
        // 303: after a POST the browser goes on with GET (RFC 9110 §15.4.4).
        (Some(url), _) => ("rp", Reply::redirect(303, url.as_str())),
        (None, Some(place)) => ("local", Reply::redirect(303, place.as_str())),
        (None, None) => ("local", runtime.pages.signed_out(&SignedOutPage { at_provider: session.is_none(), everywhere: false, back_url: "/" }, language)),
    };
    runtime.metrics.logouts.with_label_values(&[kind, if session.is_some() { "ok" } else { "no_session" }]).inc();
    // Sign-ins under way in this browser end too.
    let reply = held_attempts(ask).take(20).fold(reply.without_session(), |reply, (id, _)| reply.without_attempt(id));
    Served { reason: "signed_out", reply }
}

/// LOGOUT-01: `Origin` on a POST, `Sec-Fetch-Site` on a GET; neither can be set by another site's page.
fn is_own_doing(runtime: &Runtime, ask: &Ask<'_>) -> bool {
    let field = |name: &str| ask.headers.get(name).map(http::HeaderValue::as_bytes);
    let own = own_origin(runtime, ask.target.host().name());
    match (field("sec-fetch-site"), field(header::ORIGIN.as_str())) {
        (Some(site), _) => site == b"same-origin",
        // A browser without Fetch Metadata still names the origin of a form it posts.
        (None, Some(origin)) => *ask.target.method() == Method::POST && origin == own.as_bytes(),
        (None, None) => false,
    }
}

/// Where the provider ends its own session, and sends the browser back from.
fn at_provider(runtime: &Runtime, ask: &Ask<'_>, session: &Session) -> Option<Url> {
    let provider = runtime.providers.iter().find(|provider| provider.settings().name == *session.provider)?;
    let settings = provider.settings();
    let back = format!("{}{}", own_origin(runtime, ask.target.host().name()), settings.after_logout);
    match settings.kind {
        ProviderKind::Auth0 => auth0(settings, &back),
        ProviderKind::Oidc => rp_initiated(provider, session, &back),
    }
}

/// Needs no ID token, and `returnTo` is checked against the application's list because the client is named.
fn auth0(settings: &Provider, back: &str) -> Option<Url> {
    let mut url = Url::parse(&settings.issuer).ok()?.join("v2/logout").ok()?;
    url.query_pairs_mut().append_pair("client_id", &settings.client_id).append_pair("returnTo", back);
    Some(url)
}

/// RP-Initiated Logout §2: without an ID token the client is named by its id; `logout_hint` carries the provider's session.
fn rp_initiated(provider: &ProviderRuntime, session: &Session, back: &str) -> Option<Url> {
    let mut url = provider.keys.current()?.metadata.end_session_endpoint.clone()?;
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("client_id", &provider.settings().client_id).append_pair("post_logout_redirect_uri", back);
        if let Some(sid) = &session.provider_session {
            query.append_pair("logout_hint", sid);
        }
    }
    Some(url)
}
