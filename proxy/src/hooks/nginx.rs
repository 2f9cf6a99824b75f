//! nginx's `auth_request`: 2xx passes the request on, 401 and 403 refuse it, anything else is a 500 to the browser; of
//! several `Set-Cookie` fields only joined nonsense would remain, so there is one at most.
//!
//! The page, the redirect and the several cookies of a refusal come from a second question at `check/nginx/refusal`, which
//! nginx asks behind `error_page 401 403 = @…` and relays as it is.

use doorward_policy::access::DenyReason;
use doorward_policy::request::Host;
use http::header::{self, HeaderValue};

use super::dialect::Question;
use super::original::{self, Original};
use super::verdict::{self, Answer};
use crate::reply::Reply;

/// nginx removes names, not beginnings of names: what only its family makes ours is refused here (HOOK-03).
pub fn original(question: &Question<'_>) -> Result<Original, DenyReason> {
    let owned = question.runtime.settings.policy.owned_names();
    if question.headers.keys().any(|name| owned.owns_by_family_alone(name.as_str())) {
        return Err(DenyReason::ForgedHeader);
    }
    question.check_spelling()?;
    let original = original::x_original(question.headers, question.trusted())?;
    // RFC 9112 §3.2.2: nginx finds the server by the host of an absolute target, and `$http_host` is another field. A set-up
    // that sends one as `Host` and the other as the original would decide about one app and pass on to another.
    let asked = question.authority.ok().and_then(|authority| Host::parse(authority).ok());
    match asked {
        Some(asked) if asked.name() != original.target.host().name() && question.runtime.settings.policy.knows_host(asked.name()) => {
            Err(DenyReason::HookSource)
        }
        _ => Ok(original),
    }
}

/// 200, 401 or 403.
pub fn answer(_question: &Question<'_>, answer: Answer) -> Reply {
    match answer {
        Answer::Allow(allowed) => verdict::yes(200, allowed),
        Answer::Refuse(reply) => {
            let status = if matches!(reply.status, 302 | 401) { 401 } else { 403 };
            let mut cookies = 0;
            let mut short = Reply { status, fields: Vec::new(), body: bytes::Bytes::new() };
            short.fields.extend(reply.fields.into_iter().filter(|(name, _)| {
                let cookie = *name == header::SET_COOKIE;
                cookies += usize::from(cookie);
                // The body stays away, and what describes it.
                (*name != header::CONTENT_TYPE && *name != header::CONTENT_SECURITY_POLICY) && !(cookie && cookies > 1)
            }));
            verdict::uncached(&mut short, "refuse");
            short
        }
    }
}

/// The refusal whole. Whoever may come in by now is asked to come again: what is answered here goes to the browser and
/// never passes anything on.
pub fn refusal(question: &Question<'_>, answer: Answer) -> Reply {
    let mut reply = match answer {
        Answer::Refuse(reply) => reply,
        Answer::Allow(_) => {
            let again = crate::respond::gateway(503);
            let reply = crate::respond::show(&question.runtime.pages, question.asker(), again, &[]);
            reply.field(header::RETRY_AFTER, HeaderValue::from_static("1"))
        }
    };
    verdict::uncached(&mut reply, "refuse");
    reply
}
