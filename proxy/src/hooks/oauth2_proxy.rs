//! The endpoints of oauth2-proxy, for hosts that are set up to ask it: `/oauth2/auth` with 202, 401 and 403, and the way
//! in and out for browsers.
//!
//! Done otherwise on purpose: somebody who is signed in and not entitled gets 403, not a 401 that would send them round in
//! circles; a query filter that is misspelt or empty refuses; the fields of one kind of host are believed, never those of
//! whichever kind a client sends.

use std::borrow::Cow;

use doorward_config::settings::OriginalRequest;
use doorward_policy::access::{DenyReason, Filter};
use doorward_policy::headers::{encode_list, encode_text};
use doorward_policy::identity::{Identity, IdentityMapping, ProfileField};
use doorward_policy::login::{ReturnTo, parse_parameters};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::json;

use super::dialect::Question;
use super::verdict::{self, Answer, Verdict};
use super::{nginx, traefik};
use crate::gate::{Ask, Way};
use crate::login::{self, Served};
use crate::manner::Manner;
use crate::reply::Reply;
use crate::respond::{self, Asker, Face};
use crate::runtime::{OAUTH2_PROXY, Runtime};

const USER: HeaderName = HeaderName::from_static("x-auth-request-user");
const EMAIL: HeaderName = HeaderName::from_static("x-auth-request-email");
const GROUPS: HeaderName = HeaderName::from_static("x-auth-request-groups");
const PREFERRED_USERNAME: HeaderName = HeaderName::from_static("x-auth-request-preferred-username");
const GAP_AUTH: HeaderName = HeaderName::from_static("gap-auth");
const X_ACCEL_EXPIRES: HeaderName = HeaderName::from_static("x-accel-expires");

/// Whether `path` is the check.
pub fn is_check(path: &[u8]) -> bool {
    path.strip_prefix(OAUTH2_PROXY.as_bytes()) == Some(b"/auth")
}

/// `/oauth2/auth`: 202 with `X-Auth-Request-*` and every mapped header, 401 where signing in would help, else 403.
pub async fn check(question: &Question<'_>, query: Option<&str>, source: OriginalRequest) -> (Verdict, Reply) {
    let original = match source {
        OriginalRequest::XOriginal => untouched(question).and_then(|()| nginx::original(question)),
        OriginalRequest::XForwarded => untouched(question).and_then(|()| traefik::original(question)),
    };
    let filter = Filter::parse(query);
    let (verdict, answer) = match (&filter, original) {
        (Ok(filter), original) => {
            let way = Way::Hook { route: None, filter: Some(filter), again: false };
            verdict::judge(question.runtime, original, question.headers, way, question.request_id, question.started).await
        }
        (Err(_), original) => verdict::refused(question.runtime, original.ok(), question.headers, DenyReason::Filter, question.request_id),
    };
    let mut reply = match answer {
        Answer::Allow(mut allowed) => {
            let told = told(verdict.identity.as_deref(), question.runtime.settings.policy.mapping());
            // A name that the configuration maps says what the configuration says.
            let new = told.into_iter().filter(|(name, _)| !allowed.fields.iter().any(|(mapped, _)| mapped == name)).collect::<Vec<_>>();
            allowed.fields.extend(new);
            verdict::yes(202, allowed)
        }
        Answer::Refuse(reply) => {
            // 401 sends people to sign in: only where that helps.
            let status = if verdict.decision == "challenge" && matches!(reply.status, 302 | 401) { 401 } else { 403 };
            let mut short = Reply { status, fields: Vec::new(), body: "".into() };
            let kept = [header::WWW_AUTHENTICATE, header::RETRY_AFTER, header::SET_COOKIE];
            short.fields.extend(reply.fields.into_iter().filter(|(name, _)| kept.contains(name)));
            verdict::uncached(&mut short, "refuse");
            short
        }
    };
    reply.fields.push((X_ACCEL_EXPIRES, HeaderValue::from_static("0")));
    (verdict, reply)
}

/// A set-up that was made for oauth2-proxy overwrites some of what oauth2-proxy says, and nothing that the configuration maps:
/// a client that sends such a name would be believed by the app.
fn untouched(question: &Question<'_>) -> Result<(), DenyReason> {
    let mapped = question.runtime.settings.policy.owned_names().mapped();
    // The one of this family that hosts send themselves.
    let answers = |name: &HeaderName| name.as_str().starts_with("x-auth-request-") && name != "x-auth-request-redirect";
    let forged = question.headers.keys().any(|name| mapped.contains(name) || answers(name));
    if forged { Err(DenyReason::ForgedHeader) } else { Ok(()) }
}

/// What oauth2-proxy calls the preferred username: ours, which `identity.username` may have from elsewhere.
fn username<'i>(identity: &'i Identity, mapping: &IdentityMapping) -> Option<Cow<'i, str>> {
    mapping.profile(ProfileField::Username, identity.claims())
}

/// The fields that hosts copy by these names, in the encoding of all our values; empty where nobody is there.
fn told(identity: Option<&Identity>, mapping: &IdentityMapping) -> Vec<(HeaderName, HeaderValue)> {
    let text = |value: Option<&str>| {
        let mut text = String::new();
        encode_text(value.unwrap_or(""), &mut text);
        text
    };
    let mut groups = String::new();
    encode_list(identity.into_iter().flat_map(Identity::groups), &mut groups);
    let (user, email) = (identity.and_then(Identity::user), identity.and_then(Identity::email));
    let fields = [
        (USER, text(user)),
        (EMAIL, text(email)),
        (GROUPS, groups),
        (PREFERRED_USERNAME, text(identity.and_then(|identity| username(identity, mapping)).as_deref())),
        (GAP_AUTH, text(email.or(user))),
    ];
    let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    fields.into_iter().map(|(name, text)| (name, value(text))).collect()
}

/// A browser at `/oauth2/…`, or a probe. `None`: oauth2-proxy has nothing there either.
pub async fn visit(runtime: &Runtime, ask: &Ask<'_>) -> Option<Served> {
    let path = ask.target.path().as_str();
    let reads = matches!(*ask.target.method(), Method::GET | Method::HEAD);
    let served = match path.strip_prefix(OAUTH2_PROXY)? {
        "/start" | "/sign_in" if reads => {
            let served = login::sign_in(runtime, ask, &back_to(runtime, ask).unwrap_or_else(ReturnTo::root)).await;
            Served { reply: with_page(runtime, ask, served.reply), ..served }
        }
        "/sign_out" if reads || *ask.target.method() == Method::POST => {
            let after = the_one(&named_target(ask)).and_then(|text| place(runtime, text));
            login::sign_out(runtime, ask, after.as_ref()).await
        }
        "/userinfo" if reads => userinfo(runtime, ask).await,
        _ => return None,
    };
    Some(served)
}

/// A redirect that can also be read: behind `error_page 401 =403 /oauth2/sign_in`, as oauth2-proxy documents it, nginx changes
/// the status, and a browser shows the page instead of following.
fn with_page(runtime: &Runtime, ask: &Ask<'_>, mut redirect: Reply) -> Reply {
    let location = redirect.fields.iter().find(|(name, _)| *name == header::LOCATION).and_then(|(_, value)| value.to_str().ok());
    let Some(location) = location.map(str::to_owned) else { return redirect };
    let asker = Asker { manner: Manner::Page, login_url: Some(&location), ..runtime.asker(ask, None) };
    let page = respond::show(&runtime.pages, asker, Face::SIGN_IN, &[]);
    let describes = [header::CONTENT_TYPE, header::CONTENT_LANGUAGE, header::CONTENT_SECURITY_POLICY, header::X_FRAME_OPTIONS];
    redirect.fields.extend(page.fields.into_iter().filter(|(name, _)| describes.contains(name)));
    redirect.body = page.body;
    redirect
}

/// What probes and robots ask for, on any host.
pub fn plain(path: &[u8], draining: bool) -> Option<Reply> {
    let text = |status, body: &'static str| {
        let mut reply = Reply::new(status).field(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        reply.body = body.into();
        Some(reply)
    };
    match path {
        b"/ping" => text(200, "OK"),
        b"/ready" if draining => text(503, "draining"),
        b"/ready" => text(200, "OK"),
        b"/robots.txt" => text(200, "User-agent: *\nDisallow: /\n"),
        _ => None,
    }
}

/// Where a sign-in leads back to: `rd`, then `X-Auth-Request-Redirect`, then the request that the host says it had.
fn back_to(runtime: &Runtime, ask: &Ask<'_>) -> Option<ReturnTo> {
    let named = named_target(ask);
    if !named.is_empty() {
        // HOOK-09: a target that is refused is not replaced by one that a header names.
        return the_one(&named).and_then(|text| place(runtime, text));
    }
    one(ask.headers, "x-auth-request-redirect").or_else(|| one(ask.headers, "x-forwarded-uri")).and_then(|text| place(runtime, text))
}

fn place(runtime: &Runtime, text: &str) -> Option<ReturnTo> {
    ReturnTo::parse(text, runtime).ok()
}

/// Every `rd` of the query.
fn named_target(ask: &Ask<'_>) -> Vec<String> {
    let pairs = ask.target.query().and_then(parse_parameters).unwrap_or_default();
    pairs.into_iter().filter(|(name, _)| name == "rd").map(|(_, value)| value).collect()
}

/// PARAM-01: of two, neither.
fn the_one(values: &[String]) -> Option<&str> {
    if let [value] = values { Some(value) } else { None }
}

fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
}

/// `/oauth2/userinfo`: 200 with what is known, or 401.
async fn userinfo(runtime: &Runtime, ask: &Ask<'_>) -> Served {
    let Some(identity) = login::identity(runtime, ask).await else {
        return Served { reason: "no_session", reply: Reply::json(401, &json!({ "error": "unauthorized" })) };
    };
    let body = json!({
        "user": identity.user(),
        "email": identity.email(),
        "groups": identity.groups().collect::<Vec<_>>(),
        "preferredUsername": username(&identity, runtime.settings.policy.mapping()),
    });
    Served { reason: "session", reply: Reply::json(200, &body) }
}
