//! Doorward's own endpoints below its prefix: signing in, coming back, signing out, and who one is.

mod backchannel;
mod begin;
mod callback;
pub mod errand;
pub mod form;
mod frontchannel;
mod handoff;
mod initiate;
mod logout;
mod picker;
pub mod rounds;
mod session;
mod used;

pub use begin::{begin, login_url, step_up_url};
pub use picker::send;
pub use used::UsedAttempts;

use std::sync::Arc;

use doorward_config::settings::ResponseMode;
use doorward_policy::cookies::cookies;
use doorward_policy::identity::Identity;
use doorward_policy::login::{ATTEMPT_COOKIE, ReturnTo};
use doorward_policy::request::Target;
use http::{HeaderValue, Method, header};

use self::errand::Errand;
use crate::gate::{Ask, cookie_fields};
use crate::reply::Reply;
use crate::respond::{self, Face};
use crate::runtime::Runtime;

/// What an endpoint answered, for log and metrics.
#[derive(Debug)]
pub struct Served {
    pub reason: &'static str,
    pub reply: Reply,
}

/// Serves `rest`, the path below the prefix. Nothing here ever reaches an app.
pub async fn serve(runtime: &Runtime, ask: &Ask<'_>, rest: &str) -> Served {
    match rest {
        "login" if *ask.target.method() == Method::POST && initiate::is_offered(runtime) => initiate::posted(runtime, ask),
        "login" => only(runtime, ask, &[Method::GET, Method::HEAD], || begin::serve(runtime, ask)).await,
        "logout" => only(runtime, ask, &[Method::GET, Method::POST], || logout::serve(runtime, ask)).await,
        "logout/done" => only(runtime, ask, &[Method::GET, Method::HEAD], || logout::done(runtime, ask)).await,
        "logout/backchannel" => only(runtime, ask, &[Method::POST], || backchannel::serve(runtime, ask)).await,
        "logout/frontchannel" => only(runtime, ask, &[Method::GET], || frontchannel::serve(runtime, ask)).await,
        "handoff" => only(runtime, ask, &[Method::GET], || handoff::serve(runtime, ask)).await,
        "session" => only(runtime, ask, &[Method::GET, Method::HEAD], || session::json(runtime, ask)).await,
        "resume" => only(runtime, ask, &[Method::GET, Method::HEAD], || form::resume(runtime, ask)).await,
        "whoami" => only(runtime, ask, &[Method::GET, Method::HEAD], || session::page(runtime, ask)).await,
        _ => match rest.strip_prefix("callback/").and_then(|name| callback_named(runtime, name)) {
            Some(provider) => serve_callback(runtime, ask, provider).await,
            None => {
                Served { reason: "no_endpoint", reply: respond::show(&runtime.pages, runtime.asker(ask, None), Face::NO_ENDPOINT, &[]) }
            }
        },
    }
}

/// How many bytes of content the endpoint at `target` takes; `None` where none is looked at.
pub fn takes_content(runtime: &Runtime, target: &Target) -> Option<usize> {
    if *target.method() != Method::POST || !runtime.serves_host(target.host().name()) {
        return None;
    }
    let path = target.path().as_str();
    match runtime.own_path(path) {
        Some("logout/backchannel") => Some(16 * 1024),
        Some("logout") => Some(4 * 1024),
        Some("login") => initiate::is_offered(runtime).then_some(initiate::CONTENT_LIMIT),
        Some(rest) => {
            rest.strip_prefix("callback/").and_then(|name| callback_named(runtime, name)).and_then(|at| callback_content(runtime, at))
        }
        None => runtime.callback_alias(path).and_then(|at| callback_content(runtime, at)),
    }
}

/// A provider's answer is a form only where that was asked for.
fn callback_content(runtime: &Runtime, provider: usize) -> Option<usize> {
    let mode = runtime.settings.providers.get(provider)?.response_mode;
    (mode == ResponseMode::FormPost).then_some(callback::CONTENT_LIMIT)
}

fn callback_named(runtime: &Runtime, name: &str) -> Option<usize> {
    runtime.settings.providers.iter().position(|provider| provider.name == name)
}

/// Begins a sign-in that leads back to `return_to`.
pub async fn sign_in(runtime: &Runtime, ask: &Ask<'_>, return_to: &ReturnTo) -> Served {
    let errand = Errand::to(runtime, ask.target.host().name(), return_to.clone());
    begin::start(runtime, ask, &errand, None).await
}

/// Signs out; then to `after`, where one is named, else to where the provider ends its own session.
pub async fn sign_out(runtime: &Runtime, ask: &Ask<'_>, after: Option<&ReturnTo>) -> Served {
    logout::end(runtime, ask, after).await
}

/// Who this browser's live session is about.
pub async fn identity(runtime: &Runtime, ask: &Ask<'_>) -> Option<Arc<Identity>> {
    session::live(runtime, ask).await.map(|live| live.identity)
}

/// Serves the callback of a provider, at its own path or an alias.
pub async fn serve_callback(runtime: &Runtime, ask: &Ask<'_>, provider: usize) -> Served {
    // OIDC-11: the one way that was asked for.
    let method = match runtime.settings.providers.get(provider).map(|provider| provider.response_mode) {
        Some(ResponseMode::FormPost) => Method::POST,
        Some(ResponseMode::Query) | None => Method::GET,
    };
    only(runtime, ask, &[method], || callback::serve(runtime, ask, provider)).await
}

/// Where a sign-in for `return_to` begins.
fn sign_in_path(runtime: &Runtime, return_to: &str) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", return_to).finish();
    format!("{}/login?{query}", runtime.settings.server.prefix)
}

/// The attempts this browser holds, by id; only what could be an id of ours is ever named back to it.
fn held_attempts<'a>(ask: &Ask<'a>) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let plain = |id: &str| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    cookies(cookie_fields(ask.headers)).filter_map(move |cookie| {
        let id = std::str::from_utf8(cookie.name).ok()?.strip_prefix(ATTEMPT_COOKIE)?;
        plain(id).then_some((id, cookie.value))
    })
}

async fn only<F: Future<Output = Served>>(runtime: &Runtime, ask: &Ask<'_>, methods: &[Method], work: impl FnOnce() -> F) -> Served {
    if methods.contains(ask.target.method()) {
        return work().await;
    }
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let reply = respond::show(&runtime.pages, runtime.asker(ask, None), Face::WRONG_METHOD, &[]);
    let allow = HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("GET"));
    Served { reason: "method_not_served", reply: reply.field(header::ALLOW, allow) }
}
