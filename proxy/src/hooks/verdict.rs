//! What the gate says about a request that another proxy has, in the form that every dialect is made from.

use std::sync::Arc;
use std::time::Instant;

use doorward_policy::access::{DenyReason, Permit};
use doorward_policy::identity::Identity;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::original::Original;
use crate::clock;
use crate::entropy::RequestId;
use crate::forward::{cookies_for_app, token_for_app};
use crate::gate::{Admission, Ask, Outcome, Shadow, Way};
use crate::manner::Manner;
use crate::metrics::Known;
use crate::pages::Language;
use crate::reply::Reply;
use crate::respond::{self, Asker};
use crate::runtime::Runtime;

/// Says yes or no beside the status, for those that can look.
pub const DECISION: HeaderName = HeaderName::from_static("x-doorward-decision");
/// The route that was decided about: a host may choose its upstream by it.
pub const ROUTE: HeaderName = HeaderName::from_static("x-doorward-route");
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What log and metrics are to know of a question.
#[derive(Debug)]
pub struct Verdict {
    pub original: Option<Original>,
    pub route: Option<usize>,
    pub rule: Option<usize>,
    pub identity: Option<Arc<Identity>>,
    pub decision: &'static str,
    pub reason: &'static str,
    pub shadows: Vec<Shadow>,
    /// The field that could not be read, where that is the reason.
    pub field: Option<&'static str>,
}

/// The answer itself, not yet in anybody's dialect.
#[derive(Debug)]
pub enum Answer {
    Allow(Allowed),
    /// What proxy mode would answer instead. Carries nothing that is known about anybody.
    Refuse(Reply),
}

/// What the app is to be told, in header fields.
#[derive(Debug)]
pub struct Allowed {
    /// HOOK-06: every mapped name, empty where there is no value; then what else replaces the client's own.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// A `Set-Cookie` value. Nothing depends on its arrival.
    pub renewal: Option<String>,
}

impl Allowed {
    pub fn sets(&self, name: &HeaderName) -> bool {
        self.fields.iter().any(|(set, value)| set == name && !value.is_empty())
    }
}

/// Asks the gate about `original`; `headers` are the client's, as the other proxy passed them on; `way` says what it
/// demands besides; the question had come when it `started`.
pub async fn judge(
    runtime: &Runtime,
    original: Result<Original, DenyReason>,
    headers: &HeaderMap,
    way: Way<'_>,
    request_id: &RequestId,
    started: Instant,
) -> (Verdict, Answer) {
    let checked = crate::incoming::check_fields(headers, &runtime.settings.server.limits).and(original);
    let original = match checked {
        Ok(original) => original,
        Err(reason) => return refused(runtime, None, headers, reason, request_id),
    };
    let manner = Manner::told(original.target.method(), headers, original.scheme.websocket);
    if runtime.is_own(original.target.path().as_str()) {
        // The asking proxy should have sent it to us; no app ever sees such a path.
        return refused(runtime, Some(original), headers, DenyReason::NoRoute, request_id);
    }
    if !original.scheme.tls {
        return insecure(runtime, original, headers, manner, request_id);
    }
    let ask = Ask { target: &original.target, headers, content: &[], client: original.client, manner, way, request_id, now: clock::now() };
    let admission = runtime.admit(&ask).await;
    if !matches!(way, Way::Hook { again: true, .. }) {
        runtime.count(&admission);
    }
    let Admission { route, rule, identity, outcome, shadows } = admission;
    let (decision, reason, answer) = match outcome {
        Outcome::Forward { permit, known, renewal, until: _, session } => {
            let renewal = renewal.filter(|_| is_personal(runtime, route.zip(rule), headers));
            runtime.metrics.took(known, started.elapsed().as_secs_f64());
            let token = session.and_then(|live| live.access_token(ask.now));
            let allowed = allowed(runtime, &permit, headers, token.as_deref(), request_id);
            ("allow", known.label(), Answer::Allow(Allowed { renewal: renewal.filter(|_| known == Known::Session), ..allowed }))
        }
        Outcome::Answer { decision, reason, reply } => (decision, reason, Answer::Refuse(reply)),
    };
    (Verdict { original: Some(original), route, rule, identity, decision, reason, shadows, field: None }, answer)
}

/// SESS-12: whether a cookie may stand on the app's answer. We do not see that answer, so it must be of a kind that no shared
/// cache keeps: behind a rule that asks who it is, and no part of a page (Fetch Metadata: scripts, styles, images).
fn is_personal(runtime: &Runtime, rule: Option<(usize, usize)>, headers: &HeaderMap) -> bool {
    let rule = rule.and_then(|(route, rule)| runtime.settings.policy.routes().get(route)?.rules.get(rule));
    let part = headers.get("sec-fetch-dest").is_some_and(|dest| !matches!(dest.as_bytes(), b"document" | b"iframe" | b"empty"));
    rule.is_some_and(|rule| !rule.allow.is_anonymous()) && !part
}

/// A refusal that needs no gate: the question itself is not good.
pub fn refused(
    runtime: &Runtime,
    original: Option<Original>,
    headers: &HeaderMap,
    reason: DenyReason,
    request_id: &str,
) -> (Verdict, Answer) {
    // Whatever could be read of the client still says what it can make of an answer.
    let method = original.as_ref().map_or(&http::Method::GET, |original| original.target.method());
    let asker = Asker {
        manner: Manner::told(method, headers, false),
        request_id,
        login_url: None,
        prefix: &runtime.settings.server.prefix,
        language: Language::of(headers),
    };
    let reply = respond::deny(&runtime.pages, asker, reason);
    runtime.metrics.stopped(crate::metrics::NO_ROUTE, "deny", reason.label());
    let verdict = Verdict {
        original,
        route: None,
        rule: None,
        identity: None,
        decision: "deny",
        reason: reason.label(),
        shadows: Vec::new(),
        field: None,
    };
    (verdict, Answer::Refuse(reply))
}

/// Without TLS no cookie of ours would come back; a browser is sent to where it does.
pub fn insecure(runtime: &Runtime, original: Original, headers: &HeaderMap, manner: Manner, request_id: &str) -> (Verdict, Answer) {
    let host = original.target.host().name();
    let location = (manner == Manner::Navigation && runtime.serves_host(host))
        .then(|| format!("https://{}{}", runtime.public_authority(host), original.target.path_and_query()));
    let (verdict, answer) = refused(runtime, Some(original), headers, DenyReason::HookInsecure, request_id);
    (verdict, location.map_or(answer, |location| Answer::Refuse(Reply::redirect(302, &location))))
}

fn allowed(runtime: &Runtime, permit: &Permit, headers: &HeaderMap, session_token: Option<&str>, request_id: &RequestId) -> Allowed {
    let policy = &runtime.settings.policy;
    let names = policy.owned_names().mapped();
    // With what a dialect adds.
    let mut fields = Vec::with_capacity(names.len() + 9);
    for name in names {
        let value = permit.edits().iter().find(|(set, _)| *set == name).map(|(_, value)| value.clone());
        // CVE-2026-30851: a name that is missing here leaves the client's own value standing at some hosts.
        fields.push((name.clone(), value.unwrap_or(HeaderValue::from_static(""))));
    }
    let token = token_for_app(headers, permit, session_token).and_then(|token| HeaderValue::try_from(token).ok());
    let cookies = cookies_for_app(headers).and_then(|cookies| HeaderValue::try_from(cookies).ok());
    fields.extend(token.map(|token| (header::AUTHORIZATION, token)));
    fields.extend(cookies.map(|cookies| (header::COOKIE, cookies)));
    fields.extend(runtime.hooks.route(permit.route()).map(|name| (ROUTE, name)));
    fields.push((X_REQUEST_ID, request_id.value()));
    Allowed { fields, renewal: None }
}

/// The 2xx of a check: `status` is the dialect's word for yes.
pub fn yes(status: u16, allowed: Allowed) -> Reply {
    let mut reply = Reply { status, fields: allowed.fields, body: bytes::Bytes::new() };
    uncached(&mut reply, "allow");
    match allowed.renewal {
        Some(cookie) => reply.text_field(header::SET_COOKIE, &cookie),
        None => reply,
    }
}

/// The refusal as it is, marked as one. Never 2xx: what is a friendly answer to a browser (a preflight's 204) would be a
/// yes to the proxy that asks.
pub fn no(runtime: &Runtime, asker: Asker<'_>, reply: Reply) -> Reply {
    let mut reply = if (200..300).contains(&reply.status) { respond::deny(&runtime.pages, asker, DenyReason::Preflight) } else { reply };
    uncached(&mut reply, "refuse");
    reply
}

/// HOOK-12: nobody may keep an answer, and whoever does must not mix up two people.
pub fn uncached(reply: &mut Reply, decision: &'static str) {
    if !reply.fields.iter().any(|(name, _)| *name == header::CACHE_CONTROL) {
        reply.fields.push((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    }
    reply.fields.push((header::VARY, HeaderValue::from_static("Cookie, Authorization")));
    reply.fields.push((DECISION, HeaderValue::from_static(decision)));
}
