//! Caddy's `forward_auth`: the same fields and the same manners as Traefik's, but no WebSocket schemes.

use doorward_policy::access::DenyReason;

use super::dialect::Question;
use super::original::{self, Original};
use super::traefik;
use super::verdict::Answer;
use crate::reply::Reply;

pub fn original(question: &Question<'_>) -> Result<Original, DenyReason> {
    let original = original::x_forwarded(question.headers, question.trusted())?;
    if original.scheme.websocket { Err(DenyReason::HookSource) } else { Ok(original) }
}

pub fn answer(question: &Question<'_>, answer: Answer) -> Reply {
    traefik::answer(question, answer)
}
