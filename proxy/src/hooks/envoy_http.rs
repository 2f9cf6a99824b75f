//! Envoy's `ext_authz` over HTTP, and the Gateway API's `ExternalAuth`: the question has the request's own method, host
//! and, behind our prefix, path. Exactly 200 passes the request on.

use doorward_policy::access::DenyReason;
use doorward_policy::access::Policy;
use http::header::HeaderName;

use super::dialect::Question;
use super::original::{self, Original};
use super::verdict::{self, Answer};
use crate::reply::Reply;

const REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// `path` is what follows our prefix: the original path, byte for byte.
pub fn original(question: &Question<'_>, path: &[u8]) -> Result<Original, DenyReason> {
    original::plain(question.method, question.authority?, path, question.headers, question.trusted())
}

/// `route` is the one that was decided about.
pub fn answer(question: &Question<'_>, answer: Answer, route: Option<usize>) -> Reply {
    match answer {
        Answer::Allow(allowed) => {
            let policy = &question.runtime.settings.policy;
            let removal = &question.runtime.hooks.removal;
            match removal.field(policy.owned_names(), kept(policy, route), question.headers, &allowed) {
                Some(names) => verdict::yes(200, allowed).field(REMOVE, names),
                // Nobody can say what Envoy is to take away.
                None => verdict::no(question.runtime, question.asker(), Reply::new(403)),
            }
        }
        Answer::Refuse(reply) => verdict::no(question.runtime, question.asker(), reply),
    }
}

/// Names that a route lets through however they are spelled.
pub fn kept(policy: &Policy, route: Option<usize>) -> &[HeaderName] {
    route.and_then(|index| policy.routes().get(index)).map_or(&[], |route| &route.keep_headers)
}
