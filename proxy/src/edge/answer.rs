//! Writing an answer of our own to a client of the proxy.

use bytes::Bytes;
use http::{HeaderMap, Version, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::reply::Reply;
use crate::state::RequestState;

/// Writes an answer of ours: these do not pass `response_filter`.
pub(super) async fn write(session: &mut Session, state: &RequestState, reply: Reply) -> pingora::Result<()> {
    let http2 = session.req_header().version == Version::HTTP_2;
    let mut answer = ResponseHeader::build(reply.status, Some(reply.fields.len() + 4))?;
    // Over HTTP/2 a gRPC client looks for its status after the answer; before it only when that ends the stream, which
    // pingora's header never does.
    let mut last = HeaderMap::new();
    for (name, value) in reply.fields {
        if http2 && name.as_str().starts_with("grpc-") {
            last.append(name, value);
        } else {
            answer.append_header(name, value)?;
        }
    }
    // RFC 9110 §8.6: no length where there is no content to have one.
    if reply.status != 204 && last.is_empty() {
        answer.insert_header(header::CONTENT_LENGTH, reply.body.len())?;
    }
    answer.insert_header("x-request-id", state.request_id.value())?;
    if let Some(hsts) = &state.runtime.settings.server.hsts {
        answer.insert_header(header::STRICT_TRANSPORT_SECURITY, hsts.as_str())?;
    }
    let bodyless = reply.body.is_empty() || session.req_header().method == http::Method::HEAD;
    session.write_response_header(Box::new(answer), bodyless).await?;
    if !last.is_empty() {
        session.as_downstream_mut().write_response_trailers(last).await
    } else if !bodyless {
        session.write_response_body(Some(reply.body), true).await
    } else if http2 {
        // After a failure nobody else ends the stream, and the client would see it reset.
        session.write_response_body(Some(Bytes::new()), true).await
    } else {
        Ok(())
    }
}
