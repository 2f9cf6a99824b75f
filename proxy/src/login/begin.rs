//! Sending a browser to its provider.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use doorward_config::settings::{Provider, ResponseMode};
use doorward_policy::access::{DenyReason, StepUp};
use doorward_policy::login::{
    ATTEMPT_COOKIE, ATTEMPT_LIFETIME, ATTEMPT_LIMIT, Asked, Attempt, AttemptEntropy, AuthorizationRequest, HandoffAttempt, IDP_HINT,
    Places, ROUNDS_COOKIE, ReturnTo, State, WishFault, parse_parameters,
};
use doorward_policy::session::Purpose;
use http::{HeaderValue, Method, header};

use super::errand::Errand;
use super::picker::{self, Said};
use super::{Served, held_attempts, initiate, rounds, sign_in_path};
use crate::audit;
use crate::entropy::{self, NoEntropy};
use crate::gate::Ask;
use crate::idp::Filling;
use crate::keys::Budget;
use crate::manner::{Manner, is_prefetch};
use crate::reply::Reply;
use crate::respond::{self, Face};
use crate::runtime::Runtime;

/// `login?return_to=…`: begins a sign-in because somebody asked for it.
pub(super) async fn serve(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    let answer = |reason, face: Face| Served { reason, reply: respond::show(&runtime.pages, runtime.asker(ask, None), face, &[]) };
    let Some(pairs) = parse_parameters(ask.target.query().unwrap_or("")) else { return answer("bad_query", Face::BAD_LOGIN) };
    if initiate::is_one(&pairs) {
        return initiate::serve(runtime, ask, &pairs).await;
    }
    // PARAM-01; OIDC-18: what we do not know is dropped, and what a provider's links may not set when it is chosen.
    let read = Said::read(&pairs).and_then(|said| Ok((Errand::read(runtime, ask, &pairs)?, said)));
    let (errand, said) = match read {
        Ok(read) => read,
        Err(WishFault::Duplicate) => return answer("duplicate_parameter", Face::BAD_LOGIN),
        Err(WishFault::Value) => return answer("bad_query", Face::BAD_LOGIN),
    };
    // Once more, by somebody's own click: what went round before is forgotten.
    if pairs.iter().any(|(name, _)| name == rounds::ANEW) {
        let served = begin_somewhere(runtime, ask, &errand, said).await;
        return Served { reply: served.reply.without_cookie(ROUNDS_COOKIE), ..served };
    }
    start_as_said(runtime, ask, &errand, said).await
}

/// Begins a sign-in, at the provider of the place it leads to unless one is named.
pub(super) async fn start(runtime: &Runtime, ask: &Ask<'_>, errand: &Errand, name: Option<&str>) -> Served {
    start_as_said(runtime, ask, errand, Said { provider: name, email: None }).await
}

async fn start_as_said(runtime: &Runtime, ask: &Ask<'_>, errand: &Errand, said: Said<'_>) -> Served {
    if rounds::is_loop(runtime, ask) {
        let evidence = rounds::evidence(runtime, ask, &errand.return_to).await;
        if let Some(reply) = rounds::stop(runtime, ask, evidence, &errand.return_to) {
            return Served { reason: "login_loop", reply };
        }
    }
    begin_somewhere(runtime, ask, errand, said).await
}

async fn begin_somewhere(runtime: &Runtime, ask: &Ask<'_>, errand: &Errand, said: Said<'_>) -> Served {
    let answer = |reason, face: Face| Served { reason, reply: respond::show(&runtime.pages, runtime.asker(ask, None), face, &[]) };
    // OIDC-19: neither a part of a page nor a look ahead at one begins anything.
    if is_prefetch(ask.headers) || (ask.manner != Manner::Navigation && ask.headers.contains_key("sec-fetch-mode")) {
        return answer("not_a_navigation", Face::NOT_HERE);
    }
    picker::go(runtime, ask, errand, said).await
}

/// What became of a sign-in that was to begin.
pub(super) fn outcome(reply: &Reply) -> &'static str {
    match reply.status {
        302 | 303 => "sign_in",
        429 => DenyReason::TooMany.label(),
        503 => "provider_unreachable",
        _ => "internal",
    }
}

/// Where a script is told to send its user: back to the page it runs on is its own to add.
pub fn login_url(runtime: &Runtime, ask: &Ask<'_>) -> String {
    let host = runtime.public_authority(ask.target.host().name());
    format!("https://{host}{}", sign_in_path(runtime, back_to(runtime, ask).as_str()))
}

/// The same with what a rule demands, sealed, and the provider that is to hear of it.
pub fn step_up_url(runtime: &Runtime, ask: &Ask<'_>, step_up: &StepUp, provider: Option<usize>) -> String {
    let host = ask.target.host().name();
    let asked = Asked { step_up: Some(step_up.clone()), ..Asked::default() };
    let errand = Errand { return_to: back_to(runtime, ask), retries: 0, asked };
    let provider = provider.and_then(|index| runtime.providers.get(index)).map(|provider| ("provider", provider.settings().name.as_str()));
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(errand.carry(runtime, host)).extend_pairs(provider);
    format!("https://{}{}/login?{}", runtime.public_authority(host), runtime.settings.server.prefix, query.finish())
}

/// After a page: the page. After a script's request: the page that sent it, if it is one of ours; else the root.
fn back_to(runtime: &Runtime, ask: &Ask<'_>) -> ReturnTo {
    let own = ask.target.path_and_query();
    let candidate = match ask.manner {
        Manner::Navigation => Some(own),
        Manner::Page | Manner::Script | Manner::WebSocket | Manner::Grpc => {
            ask.headers.get(header::REFERER).and_then(|value| value.to_str().ok()).map(str::to_owned)
        }
    };
    candidate.and_then(|text| ReturnTo::parse(&text, runtime).ok()).unwrap_or_else(ReturnTo::root)
}

/// Begins an attempt: a cookie with its secrets, and the way to the provider.
pub async fn begin(runtime: &Runtime, ask: &Ask<'_>, provider: usize, errand: &Errand) -> Reply {
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
        audit::sign_in_failed(runtime, ask, Some(&settings.name), "begin", "provider_unreachable");
        let reply = respond::show(&runtime.pages, runtime.asker(ask, None), Face::PROVIDER_DOWN, &[]);
        return reply.field(header::RETRY_AFTER, HeaderValue::from_static("10"));
    };
    let host = ask.target.host().name();
    // OIDC-13: from the configuration; the host was found among the routes', so a client cannot choose one.
    let path = settings.callback_aliases.first().cloned().unwrap_or_else(|| format!("{}/callback/{}", runtime.prefix(), settings.name));
    let redirect_uri = format!("https://{}{path}", runtime.public_authority(host));
    let asked = asked_of(settings, errand);
    let Ok(sealed) = seal(runtime, settings, &redirect_uri, errand, &asked, ask) else {
        return respond::show(&runtime.pages, runtime.asker(ask, None), Face::CANNOT_BEGIN, &[]);
    };
    let form = settings.response_mode == ResponseMode::FormPost;
    let added = Added::of(settings, errand, &redirect_uri);
    let request = AuthorizationRequest {
        client_id: &settings.client_id,
        scope: &settings.scope,
        audience: settings.audience.as_deref(),
        organization: settings.organization.as_deref(),
        connection: settings.connection.as_deref().or(added.connection.as_deref()),
        extra: &added.extra,
        response_mode: form.then_some("form_post"),
        asked: &asked,
    };
    let endpoint = settings.requests.authorize.url.as_ref().unwrap_or(&current.metadata.authorization_endpoint);
    let url = request.url(endpoint, &sealed.attempt, &sealed.state);
    runtime.metrics.logins_started.with_label_values(&[settings.name.as_str()]).inc();
    // RFC 9700 §4.12: never 307, which would carry a form along.
    let status = if *ask.target.method() == Method::POST { 303 } else { 302 };
    let (reply, name, age) = (Reply::redirect(status, url.as_str()), sealed.attempt.cookie_name(), Some(ATTEMPT_LIFETIME.as_secs()));
    // OIDC-12: only where another site's form brings the answer does the cookie come along with one.
    let reply = if form { reply.cross_site_cookie(&name, &sealed.cookie, age) } else { reply.cookie(&name, &sealed.cookie, age) };
    surplus(runtime, ask, host).iter().fold(reply, |reply, id| reply.without_attempt(id))
}

/// What the configuration adds to the request.
struct Added<'s> {
    extra: Cow<'s, BTreeMap<String, String>>,
    connection: Option<String>,
}

impl<'s> Added<'s> {
    /// A hint is a value in a template, or nothing: under its own name it is not passed on.
    fn of(settings: &'s Provider, errand: &Errand, redirect_uri: &str) -> Self {
        let template = &settings.requests.authorize;
        if template.params.is_empty() {
            return Self { extra: Cow::Borrowed(&settings.authorize), connection: None };
        }
        let idp_hint = errand.asked.wishes.get(IDP_HINT);
        let filling = Filling { redirect_uri: Some(redirect_uri), idp_hint, ..Filling::of(&settings.client_id) };
        let mut extra = settings.authorize.clone();
        extra.extend(filling.params(template).map(|(name, value)| (name.to_owned(), value)));
        let connection = extra.remove("connection");
        Self { extra: Cow::Owned(extra), connection }
    }
}

/// What this provider is asked for: of the wishes those that links to it may have, and whatever is demanded.
fn asked_of(settings: &Provider, errand: &Errand) -> Asked {
    let wishes = errand.asked.wishes.allowed(|name| settings.login_parameters.iter().any(|allowed| allowed.name() == name));
    // OIDC Core §3.1.2.1: whoever sends `max_age` checks `auth_time`, also where the configuration says to send it.
    let configured = settings.authorize.get("max_age").and_then(|age| age.parse().ok()).map(Duration::from_secs);
    let step_up = errand.asked.step_up.clone().unwrap_or_default().and(StepUp { max_age: configured, acr_values: Vec::new() });
    Asked { wishes, step_up: Some(step_up).filter(|step_up| !step_up.is_empty()) }
}

struct Sealed {
    attempt: Attempt,
    cookie: String,
    state: String,
}

fn seal(
    runtime: &Runtime,
    settings: &Provider,
    redirect_uri: &str,
    errand: &Errand,
    asked: &Asked,
    ask: &Ask<'_>,
) -> Result<Sealed, NoEntropy> {
    let (keys, host) = (&runtime.keys(), ask.target.host().name());
    let secrets: AttemptEntropy = entropy::random()?;
    let attempt = Attempt::begin(&settings.name, redirect_uri, &secrets, ask.now);
    let cookie = attempt.seal(keys, host, entropy::random()?);
    // Which organization it must be is configured, or else what the request says.
    let organization = asked.wishes.organization().filter(|_| settings.organization.is_none()).map(Into::into);
    let state = State { step_up: asked.step_up.clone(), organization, ..State::of(&attempt, &errand.return_to, errand.retries) };
    Ok(Sealed { attempt, cookie, state: state.seal(keys, host, entropy::random()?) })
}

/// Attempts that must give way so that, with the new one, no more than the limit are left: unreadable ones, then the oldest.
pub(super) fn surplus(runtime: &Runtime, ask: &Ask<'_>, host: &str) -> Vec<String> {
    let began = |(id, sealed): (&str, &[u8])| {
        let plain = runtime.keys().open(Purpose::Attempt, &format!("{ATTEMPT_COOKIE}{id}"), host, sealed);
        let attempt = plain.and_then(|plain| serde_json::from_slice::<Attempt>(&plain).ok()).map(|attempt| attempt.began);
        let handoff = || HandoffAttempt::open(id, sealed, &runtime.keys(), host).map(|attempt| attempt.began);
        (attempt.or_else(handoff).map_or(i64::MIN, |began| began.0), id.to_owned())
    };
    let mut held: Vec<(i64, String)> = held_attempts(ask).map(began).collect();
    held.sort_unstable();
    let keep = ATTEMPT_LIMIT - 1;
    let over = ask.now.minus(ATTEMPT_LIFETIME).0;
    let excess = held.len().saturating_sub(keep);
    held.into_iter().enumerate().filter(|(at, (began, _))| *at < excess || *began <= over).map(|(_, (_, id))| id).take(20).collect()
}
