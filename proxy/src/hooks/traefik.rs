//! Traefik's `ForwardAuth`: any 2xx passes the request on with the fields of `authResponseHeaders`; every other answer goes
//! to the browser as it is.

use doorward_policy::access::DenyReason;

use super::dialect::Question;
use super::original::{self, Original};
use super::verdict::{self, Answer};
use crate::reply::Reply;

/// Traefik writes all five fields itself; with a trusted forwarder before it the scheme may be `ws` or `wss`.
pub fn original(question: &Question<'_>) -> Result<Original, DenyReason> {
    question.check_spelling()?;
    original::x_forwarded(question.headers, question.trusted())
}

/// Locations are absolute: Traefik would resolve others against the address of the endpoint.
pub fn answer(question: &Question<'_>, answer: Answer) -> Reply {
    match answer {
        Answer::Allow(allowed) => verdict::yes(200, allowed),
        Answer::Refuse(reply) => verdict::no(question.runtime, question.asker(), reply),
    }
}
