//! Doorward's own endpoints below its prefix: signing in, coming back, signing out, and who one is.

mod begin;
mod callback;
mod logout;
mod session;
mod used;

pub use begin::{begin, login_url};
pub use used::UsedAttempts;

use doorward_policy::cookies::cookies;
use doorward_policy::identity::Identity;
use doorward_policy::login::{ATTEMPT_COOKIE, ReturnTo};
use http::{HeaderValue, Method, header};

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
        "login" => only(runtime, ask, &[Method::GET, Method::HEAD], || begin::serve(runtime, ask)).await,
        "logout" => only(runtime, ask, &[Method::GET, Method::POST], || async { logout::end(runtime, ask, None) }).await,
        "session" => only(runtime, ask, &[Method::GET, Method::HEAD], || session::json(runtime, ask)).await,
        "whoami" => only(runtime, ask, &[Method::GET, Method::HEAD], || session::page(runtime, ask)).await,
        _ => match rest
            .strip_prefix("callback/")
            .and_then(|name| runtime.providers.iter().position(|provider| provider.settings().name == name))
        {
            Some(provider) => serve_callback(runtime, ask, provider).await,
            None => Served { reason: "no_endpoint", reply: respond::show(&runtime.pages, runtime.asker(ask, None), NO_ENDPOINT, &[]) },
        },
    }
}

/// Begins a sign-in that leads back to `return_to`.
pub async fn sign_in(runtime: &Runtime, ask: &Ask<'_>, return_to: &ReturnTo) -> Served {
    begin::start(runtime, ask, return_to, None).await
}

/// Signs out; then to `after`, where one is named, else to where the provider ends its own session.
pub fn sign_out(runtime: &Runtime, ask: &Ask<'_>, after: Option<&ReturnTo>) -> Served {
    logout::end(runtime, ask, after)
}

/// Who this browser's live session is about.
pub fn identity(runtime: &Runtime, ask: &Ask<'_>) -> Option<Identity> {
    session::live(runtime, ask).map(|session| Identity::from_session(session, runtime.settings.policy.mapping()))
}

/// Serves the callback of a provider, at its own path or an alias.
pub async fn serve_callback(runtime: &Runtime, ask: &Ask<'_>, provider: usize) -> Served {
    only(runtime, ask, &[Method::GET], || callback::serve(runtime, ask, provider)).await
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

const NO_ENDPOINT: Face = Face { status: 404, code: "not_found", title: "There is nothing here", text: "Doorward has no such page." };
const WRONG_METHOD: Face =
    Face { status: 405, code: "method_not_allowed", title: "That is not how to ask", text: "This address does not take that method." };

async fn only<F: Future<Output = Served>>(runtime: &Runtime, ask: &Ask<'_>, methods: &[Method], work: impl FnOnce() -> F) -> Served {
    if methods.contains(ask.target.method()) {
        return work().await;
    }
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let reply = respond::show(&runtime.pages, runtime.asker(ask, None), WRONG_METHOD, &[]);
    let allow = HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("GET"));
    Served { reason: "method_not_served", reply: reply.field(header::ALLOW, allow) }
}
