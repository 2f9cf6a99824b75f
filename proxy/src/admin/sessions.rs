//! `POST /sessions/end`: an administrator ends somebody's sessions, wherever their cookies are.

use doorward_policy::session::{Revocation, What};
use http::{HeaderMap, StatusCode, header};
use pingora::protocols::http::ServerSession;
use serde::Deserialize;
use serde_json::json;

use super::caller::{Answer, Caller};
use crate::audit::{self, Cause};
use crate::body;
use crate::clock;
use crate::runtime::Runtime;

/// What the audit log calls it.
const CALL: &str = "POST /sessions/end";
const BODY_LIMIT: usize = 4 * 1024;
/// Longest `sub` or `sid`, in bytes.
const NAME_LIMIT: usize = 1024;

/// Whose sessions: of a provider by one of its two names, and there of a person or of one session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    provider: Option<String>,
    issuer: Option<String>,
    sub: Option<String>,
    sid: Option<String>,
}

impl Order {
    /// What it ends; or what is wrong with it.
    fn what(self, runtime: &Runtime) -> Result<What, &'static str> {
        let mut known = runtime.settings.providers.iter();
        let found = match (&self.provider, &self.issuer) {
            (Some(name), None) => known.find(|provider| provider.name == *name),
            (None, Some(issuer)) => known.find(|provider| provider.issuer == *issuer),
            _ => return Err("name one of `provider` and `issuer`"),
        };
        let issuer = found.ok_or("no such provider is configured")?.issuer.as_str().into();
        let fits = |name: &str| (1..=NAME_LIMIT).contains(&name.len());
        match (self.sub, self.sid) {
            (Some(sub), None) if fits(&sub) => Ok(What::Subject { issuer, sub: sub.into() }),
            (None, Some(sid)) if fits(&sid) => Ok(What::ProviderSession { issuer, sid: sid.into() }),
            (Some(_), None) | (None, Some(_)) => Err("`sub` or `sid` is empty or too long"),
            _ => Err("name one of `sub` and `sid`"),
        }
    }
}

/// 202 with what was revoked; 404 where no token is configured, 401 without it, 400 for what is no order.
pub(super) async fn end(runtime: &Runtime, session: &mut ServerSession) -> Answer {
    let caller = match Caller::admit(runtime, session, CALL) {
        Ok(caller) => caller,
        Err(refused) => return refused,
    };
    let (cause, request_id) = (caller.cause(), &caller.request_id);
    let bad = |message: &str| {
        audit::admin_called(runtime, cause, CALL, "bad_request");
        (StatusCode::BAD_REQUEST, json!({ "error": "bad_request", "message": message, "request_id": request_id }))
    };
    if !is_json(&session.req_header().headers) {
        return bad("send `Content-Type: application/json`");
    }
    let content = match body::read(session, BODY_LIMIT).await {
        Ok(content) => content,
        Err(body::BodyFault::TooLarge) => {
            audit::admin_called(runtime, cause, CALL, "body_too_large");
            return (StatusCode::PAYLOAD_TOO_LARGE, json!({ "error": "body_too_large", "request_id": request_id }));
        }
        Err(_) => return bad("the content did not come whole"),
    };
    let Ok(order) = serde_json::from_slice::<Order>(&content) else {
        return bad("not a JSON object of `provider` or `issuer`, and `sub` or `sid`");
    };
    match order.what(runtime) {
        Ok(what) => revoke(runtime, what, &caller.client, cause).await,
        Err(message) => bad(message),
    }
}

async fn revoke(runtime: &Runtime, what: What, client: &str, cause: Cause<'_>) -> Answer {
    let now = clock::now();
    // A `sid` is as good as a key to sign its owner out: it is not logged.
    let subject = match &what {
        What::Subject { sub, .. } => Some(crate::log_text::cut(sub).to_owned()),
        What::Session { .. } | What::ProviderSession { .. } | What::Issuer(_) => None,
    };
    tracing::info!(by = "admin", client, what = what.label(), issuer = what.issuer(), subject, "sessions were ended");
    runtime.metrics.logouts.with_label_values(&["admin", "ok"]).inc();
    let entry: Revocation = runtime.revocations.entry(what, now, now);
    let revoked = entry.clone();
    let stored = runtime.revocations.add(entry).await.is_ok();
    audit::admin_called(runtime, cause, CALL, "ok");
    let provider = runtime.settings.providers.iter().find(|provider| provider.issuer == revoked.what.issuer());
    audit::ended(runtime, cause, "admin", provider.map_or("", |provider| &provider.name), &revoked.what, stored);
    (StatusCode::ACCEPTED, json!({ "revoked": revoked, "stored": stored, "request_id": cause.request_id }))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}
