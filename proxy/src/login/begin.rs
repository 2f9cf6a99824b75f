//! Sending a browser to its provider.

use doorward_policy::access::DenyReason;
use doorward_policy::login::{
    ATTEMPT_COOKIE, ATTEMPT_LIFETIME, ATTEMPT_LIMIT, Attempt, AttemptEntropy, AuthorizationRequest, Places, ReturnTo, State,
    parse_parameters,
};
use doorward_policy::request::Target;
use doorward_policy::session::Purpose;
use doorward_policy::time::Timestamp;
use http::{HeaderValue, Method, header};

use super::{Served, held_attempts, sign_in_path};
use crate::entropy::{self, NoEntropy};
use crate::gate::Ask;
use crate::keys::Budget;
use crate::manner::Manner;
use crate::reply::Reply;
use crate::respond::{self, Face};
use crate::runtime::Runtime;

const PROVIDER_DOWN: Face = Face {
    status: 503,
    code: "provider_unavailable",
    title: "Sign-in is not available just now",
    text: "The identity provider cannot be reached. Nothing is wrong with your account; please try again in a moment.",
};
const NO_RANDOM: Face = Face {
    status: 500,
    code: "internal",
    title: "Something is wrong here",
    text: "Signing in could not begin. Please tell whoever runs this site.",
};
const BAD_REQUEST: Face =
    Face { status: 400, code: "bad_request", title: "That request cannot be read", text: "The address of the sign-in page is damaged." };
const NO_PROVIDER: Face =
    Face { status: 404, code: "no_provider", title: "Nobody signs in here", text: "Nothing at this address needs you to sign in." };
const NOT_HERE: Face = Face {
    status: 401,
    code: "login_required",
    title: "You are not signed in",
    text: "Signing in cannot begin inside another page. Open this site by itself.",
};

/// `login?return_to=…`: begins a sign-in because somebody asked for it.
pub(super) async fn serve(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    let answer = |reason, face: Face| Served { reason, reply: respond::show(&runtime.pages, runtime.asker(ask, None), face, &[]) };
    let Some(pairs) = parse_parameters(ask.target.query().unwrap_or("")) else { return answer("bad_query", BAD_REQUEST) };
    let all = |wanted: &str| pairs.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
    // PARAM-01; OIDC-18: everything but these two is dropped.
    let (targets, names) = (all("return_to"), all("provider"));
    if targets.len() > 1 || names.len() > 1 {
        return answer("duplicate_parameter", BAD_REQUEST);
    }
    let return_to = targets.first().and_then(|text| ReturnTo::parse(text, runtime).ok()).unwrap_or_else(ReturnTo::root);
    start(runtime, ask, &return_to, names.first().copied()).await
}

/// Begins a sign-in that leads back to `return_to`, at the provider of that place unless one is named.
pub(super) async fn start(runtime: &Runtime, ask: &Ask<'_>, return_to: &ReturnTo, name: Option<&str>) -> Served {
    let answer = |reason, face: Face| Served { reason, reply: respond::show(&runtime.pages, runtime.asker(ask, None), face, &[]) };
    if ask.manner != Manner::Navigation && ask.headers.contains_key("sec-fetch-mode") {
        return answer("not_a_navigation", NOT_HERE);
    }
    let Some(provider) = provider_for(runtime, ask, return_to, name) else { return answer("no_provider", NO_PROVIDER) };
    let reply = begin(runtime, ask, provider, return_to, 0).await;
    let reason = match reply.status {
        302 => "sign_in",
        429 => DenyReason::TooMany.label(),
        503 => "provider_unreachable",
        _ => "internal",
    };
    Served { reason, reply }
}

/// The provider of the place to return to; the one that is named must be one that some route of this host uses.
fn provider_for(runtime: &Runtime, ask: &Ask<'_>, return_to: &ReturnTo, name: Option<&str>) -> Option<usize> {
    let host = ask.target.host();
    if let Some(name) = name {
        let wanted = runtime.providers.iter().position(|provider| provider.settings().name == name)?;
        let used = runtime.settings.policy.providers_of(host.name()).any(|provider| provider == wanted);
        return used.then_some(wanted);
    }
    let path = return_to.as_str();
    let path = if path.starts_with('/') { path } else { "/" };
    let there = Target::parse(&Method::GET, host.name().as_bytes(), path.split('#').next().unwrap_or("/").as_bytes()).ok();
    let by_path = there.and_then(|target| runtime.settings.policy.route_for(&target).ok().and_then(|(_, route)| route.provider));
    by_path.or_else(|| runtime.settings.policy.providers_of(host.name()).next())
}

/// Where a script is told to send its user: back to the page it runs on is its own to add.
pub fn login_url(runtime: &Runtime, ask: &Ask<'_>) -> String {
    let host = runtime.public_authority(ask.target.host().name());
    format!("https://{host}{}", sign_in_path(runtime, &back_to(runtime, ask)))
}

/// After a page: the page. After a script's request: the page that sent it, if it is one of ours; else the root.
fn back_to(runtime: &Runtime, ask: &Ask<'_>) -> String {
    let own = ask.target.path_and_query();
    let candidate = match ask.manner {
        Manner::Navigation => Some(own),
        Manner::Page | Manner::Script | Manner::WebSocket | Manner::Grpc => {
            ask.headers.get(header::REFERER).and_then(|value| value.to_str().ok()).map(str::to_owned)
        }
    };
    candidate.and_then(|text| ReturnTo::parse(&text, runtime).ok()).unwrap_or_else(ReturnTo::root).as_str().to_owned()
}

/// Begins an attempt: a cookie with its secrets, and the way to the provider.
pub async fn begin(runtime: &Runtime, ask: &Ask<'_>, provider: usize, return_to: &ReturnTo, retries: u8) -> Reply {
    let Some(provider) = runtime.providers.get(provider) else {
        return respond::deny(&runtime.pages, runtime.asker(ask, None), DenyReason::CannotVerify);
    };
    // DOS-08: each sign-in that begins costs random bytes, a sealing, and a place in the browser.
    if !runtime.attempts.sign_in(ask.client) {
        return respond::deny(&runtime.pages, runtime.asker(ask, None), DenyReason::TooMany);
    }
    let settings = provider.settings();
    let Some(current) = provider.keys.ready(Budget::SignIn).await else {
        runtime.metrics.logins.with_label_values(&[settings.name.as_str(), "error", "provider_unreachable"]).inc();
        let reply = respond::show(&runtime.pages, runtime.asker(ask, None), PROVIDER_DOWN, &[]);
        return reply.field(header::RETRY_AFTER, HeaderValue::from_static("10"));
    };
    let host = ask.target.host().name();
    // OIDC-13: from the configuration; the host was found among the routes', so a client cannot choose one.
    let path = settings.callback_aliases.first().cloned().unwrap_or_else(|| format!("{}/callback/{}", runtime.prefix(), settings.name));
    let redirect_uri = format!("https://{}{path}", runtime.public_authority(host));
    let Ok(sealed) = seal(runtime, &settings.name, &redirect_uri, return_to, retries, host, ask.now) else {
        return respond::show(&runtime.pages, runtime.asker(ask, None), NO_RANDOM, &[]);
    };
    let request = AuthorizationRequest {
        client_id: &settings.client_id,
        scope: &settings.scope,
        audience: settings.audience.as_deref(),
        organization: settings.organization.as_deref(),
        connection: settings.connection.as_deref(),
        extra: &settings.authorize,
    };
    let url = request.url(&current.metadata.authorization_endpoint, &sealed.attempt, &sealed.state);
    runtime.metrics.logins_started.with_label_values(&[settings.name.as_str()]).inc();
    // RFC 9700 §4.12: never 307, which would carry a form along.
    let reply = Reply::redirect(302, url.as_str()).cookie(&sealed.attempt.cookie_name(), &sealed.cookie, Some(ATTEMPT_LIFETIME.as_secs()));
    surplus(runtime, ask, host).iter().fold(reply, |reply, id| reply.without_attempt(id))
}

struct Sealed {
    attempt: Attempt,
    cookie: String,
    state: String,
}

fn seal(
    runtime: &Runtime,
    provider: &str,
    redirect_uri: &str,
    return_to: &ReturnTo,
    retries: u8,
    host: &str,
    now: Timestamp,
) -> Result<Sealed, NoEntropy> {
    let secrets: AttemptEntropy = entropy::random()?;
    let attempt = Attempt::begin(provider, redirect_uri, &secrets, now);
    let keys = &runtime.settings.session.keys;
    let cookie = attempt.seal(keys, host, entropy::random()?);
    let state = State::of(&attempt, return_to, retries).seal(keys, host, entropy::random()?);
    Ok(Sealed { attempt, cookie, state })
}

/// Attempts that must give way so that, with the new one, no more than the limit are left: unreadable ones, then the oldest.
fn surplus(runtime: &Runtime, ask: &Ask<'_>, host: &str) -> Vec<String> {
    let began = |(id, sealed): (&str, &[u8])| {
        let plain = runtime.settings.session.keys.open(Purpose::Attempt, &format!("{ATTEMPT_COOKIE}{id}"), host, sealed);
        let attempt = plain.and_then(|plain| serde_json::from_slice::<Attempt>(&plain).ok());
        (attempt.map_or(i64::MIN, |attempt| attempt.began.0), id.to_owned())
    };
    let mut held: Vec<(i64, String)> = held_attempts(ask).map(began).collect();
    held.sort_unstable();
    let keep = ATTEMPT_LIMIT - 1;
    let over = ask.now.minus(ATTEMPT_LIFETIME).0;
    let excess = held.len().saturating_sub(keep);
    held.into_iter().enumerate().filter(|(at, (began, _))| *at < excess || *began <= over).map(|(_, (_, id))| id).take(20).collect()
}
