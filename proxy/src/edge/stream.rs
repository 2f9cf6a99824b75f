//! Which requests last for as long as both sides like, and end with what they stand on.

use doorward_policy::access::Permit;
use http::{HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::listen::{ConnectionInfo, connection_info};
use crate::sessions::Live;
use crate::state::RequestState;
use crate::streams::Ground;

/// From here on the request ends with what it stands on. Whatever was asked for as a stream, or is answered as one.
pub(super) fn list_stream(session: &Session, state: &mut RequestState) {
    if state.stream.is_some() {
        return;
    }
    // What is open to everybody ends with nobody's session.
    let known = state.permit.as_ref().is_some_and(Permit::authenticated);
    let ground = Ground { facts: state.session.as_ref().filter(|_| known).map(Live::facts), until: state.until };
    if !ground.is_none() {
        let connection = connection_info(session).filter(|info| !info.h2).map(ConnectionInfo::cutter);
        state.stream = Some(state.runtime.streams.list(ground, connection));
    }
}

/// Whether an answer lasts for as long as both sides like.
pub(super) fn is_stream(answer: &ResponseHeader) -> bool {
    let kind = answer.headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let is = |name: &str| kind.get(..name.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(name.as_bytes()));
    let lasting = ["text/event-stream", "application/grpc", "multipart/x-mixed-replace", "application/x-ndjson", "application/jsonl"];
    answer.status == 101 || lasting.into_iter().any(is)
}

/// Whether frames follow (RFC 6455 §4.2.2); other upgrades are nobody's business but the app's.
pub(super) fn speaks_websocket(answer: &ResponseHeader) -> bool {
    answer.status == 101 && answer.headers.get(header::UPGRADE).is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
