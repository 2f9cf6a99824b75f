//! Caddy's `forward_auth`: the same fields and the same manners as Traefik's.

use doorward_policy::access::DenyReason;

use super::dialect::Question;
use super::original::{self, Original};
use super::traefik;
use super::verdict::Answer;
use crate::reply::Reply;

pub fn original(question: &Question<'_>) -> Result<Original, DenyReason> {
    question.check_spelling()?;
    original::x_forwarded(question.headers, question.trusted())
}

pub fn answer(question: &Question<'_>, answer: Answer) -> Reply {
    traefik::answer(question, answer)
}
