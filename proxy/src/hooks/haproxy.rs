//! HAProxy has no sub-request of its own. `haproxy-auth-request` asks with HEAD and takes any 2xx for yes; our own Lua asks
//! with GET, wants to see the decision as well, and relays refusals whole.

use doorward_policy::access::DenyReason;
use http::header::{HeaderName, HeaderValue};

use super::dialect::Question;
use super::original::{self, Original};
use super::verdict::{self, Answer};
use crate::reply::Reply;

/// The status that a refusal is to have at the browser, where it could be taken for a yes on the way there.
const STATUS: HeaderName = HeaderName::from_static("x-doorward-status");

/// A handshake over HTTP/2 (RFC 8441) has no key here yet: the scheme `wss` says that it is one.
pub fn original(question: &Question<'_>) -> Result<Original, DenyReason> {
    question.check_spelling()?;
    original::x_forwarded(question.headers, question.trusted())
}

pub fn answer(_question: &Question<'_>, answer: Answer) -> Reply {
    match answer {
        Answer::Allow(allowed) => verdict::yes(200, allowed),
        Answer::Refuse(mut reply) => {
            if (200..300).contains(&reply.status) {
                let status = HeaderValue::from(reply.status);
                reply.fields.push((STATUS, status));
                reply.status = 403;
            }
            verdict::uncached(&mut reply, "refuse");
            reply
        }
    }
}
