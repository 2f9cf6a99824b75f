//! An answer on its way to whoever asked.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use pingora::apps::{HttpPersistentSettings, ReusedHttpStream};
use pingora::http::ResponseHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::date::get_cached_date;
use pingora::protocols::http::v1::server::HttpSession;
use tokio::io::AsyncWriteExt as _;

use super::verdict::X_REQUEST_ID;
use crate::entropy::RequestId;
use crate::reply::Reply;

/// What a question may bring along unasked before the connection is given up.
const UNASKED: usize = 64 * 1024;
const UNASKED_TIME: Duration = Duration::from_secs(1);

/// Writes an answer after which an HTTP/1.1 connection goes on: head and body as the bytes that they are, at once. What
/// pingora does besides for an answer serves those that are passed on from an app. Nothing of the request is left to read: it
/// had no content, and what follows it waits before pingora (see `listen`).
///
/// `None`: whoever asked is gone.
pub async fn write_and_go_on(session: HttpSession, reply: &Reply, request_id: &RequestId) -> Option<Stream> {
    let bytes = whole(reply, request_id, session.req_header().method == Method::HEAD)?;
    let mut stream = session.into_inner();
    stream.write_all(&bytes).await.ok()?;
    stream.flush().await.ok()?;
    Some(stream)
}

/// RFC 9112 §4 and §5. Names and values are checked by their types: none holds the end of a line.
fn whole(reply: &Reply, request_id: &RequestId, head_only: bool) -> Option<Vec<u8>> {
    let status = StatusCode::from_u16(reply.status).ok()?;
    let fields: usize = reply.fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    // With the status line and the four fields below.
    let mut bytes = Vec::with_capacity(fields + reply.body.len() + 192);
    for part in ["HTTP/1.1 ", status.as_str(), " ", status.canonical_reason().unwrap_or_default(), "\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    let mut put = |name: &HeaderName, value: &[u8]| {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    };
    let mut named = false;
    for (name, value) in &reply.fields {
        named |= *name == X_REQUEST_ID;
        put(name, value.as_bytes());
    }
    if !named {
        put(&X_REQUEST_ID, request_id.as_bytes());
    }
    // RFC 9110 §6.6.1.
    put(&header::DATE, get_cached_date().as_bytes());
    put(&header::CONNECTION, b"keep-alive");
    match length(reply) {
        Some(0) => put(&header::CONTENT_LENGTH, b"0"),
        Some(length) => write!(bytes, "content-length: {length}\r\n").ok()?,
        None => {}
    }
    bytes.extend_from_slice(b"\r\n");
    if !head_only {
        bytes.extend_from_slice(&reply.body);
    }
    Some(bytes)
}

/// RFC 9110 §8.6: no length where there is no content to have one.
fn length(reply: &Reply) -> Option<usize> {
    (reply.status != 204).then_some(reply.body.len())
}

/// Writes an answer on any connection. `None`: whoever asked is gone.
pub async fn write(session: &mut ServerSession, reply: Reply, request_id: &RequestId) -> Option<()> {
    let bodyless = reply.body.is_empty() || session.req_header().method == Method::HEAD;
    let head = head(&reply, request_id)?;
    session.write_response_header(Box::new(head)).await.ok()?;
    let body = if bodyless { Bytes::new() } else { reply.body };
    session.write_response_body(body, true).await.ok()
}

/// Put together from parts: to keep a spelling, pingora would make two strings of each name.
fn head(reply: &Reply, request_id: &RequestId) -> Option<ResponseHeader> {
    // With the two below, and `Date` and `Connection`, which are pingora's.
    let mut headers = HeaderMap::try_with_capacity(reply.fields.len() + 4).ok()?;
    for (name, value) in &reply.fields {
        headers.try_append(name.clone(), value.clone()).ok()?;
    }
    headers.try_entry(X_REQUEST_ID).ok()?.or_insert_with(|| request_id.value());
    if let Some(length) = length(reply) {
        headers.try_insert(header::CONTENT_LENGTH, HeaderValue::from(length)).ok()?;
    }
    let mut parts = http::Response::new(()).into_parts().0;
    (parts.status, parts.headers) = (StatusCode::from_u16(reply.status).ok()?, headers);
    Some(ResponseHeader::from(parts))
}

/// Ends the exchange; a connection with content that nobody asked for ends with it.
pub async fn end(mut session: ServerSession, empty: bool) -> Option<ReusedHttpStream> {
    if empty {
        let settings = HttpPersistentSettings::for_session(&session);
        return session.finish().await.ok()?.map(|stream| ReusedHttpStream::from_reusable_stream(stream, settings));
    }
    // Closing with bytes unread would reset the connection, and the answer with it.
    let drain = async {
        let mut read = 0;
        while let Ok(Some(bytes)) = session.read_request_body().await {
            read += bytes.len();
            if read > UNASKED {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(UNASKED_TIME, drain).await;
    session.shutdown().await;
    None
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::entropy::RequestIds;

    /// What comes over the wire: status line, fields in lower case and in order, content.
    async fn written(reply: &Reply, id: &RequestId, request: &str, at_once: bool) -> (String, Vec<(String, String)>, Vec<u8>) {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        client.write_all(request.as_bytes()).await.unwrap();
        let mut session = ServerSession::new_http1(Box::new(server));
        assert!(session.read_request().await.unwrap());
        session.set_keepalive(Some(60));
        match session {
            ServerSession::H1(session) if at_once => assert!(write_and_go_on(session, reply, id).await.is_some()),
            mut session => {
                write(&mut session, reply.clone(), id).await.unwrap();
                assert!(end(session, true).await.is_some());
            }
        }
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).await.unwrap();
        let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
        let (line, fields) = head.split_once("\r\n").unwrap();
        let fields = fields.split("\r\n").map(|field| field.split_once(": ").unwrap());
        let mut fields: Vec<_> = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        // To the second: it may have turned between the two.
        fields.iter_mut().filter(|(name, _)| name == "date").for_each(|(_, value)| drop(value.split_off(17)));
        fields.sort();
        (line.to_owned(), fields, bytes[at + 4..].to_vec())
    }

    #[tokio::test]
    async fn hook_06_an_answer_at_once_is_the_answer_that_pingora_writes() {
        let id = RequestIds::new().unwrap().next();
        let name = HeaderName::from_static("x-auth-user");
        let empty = Reply::new(200).field(name.clone(), HeaderValue::from_static("")).field(name, HeaderValue::from_static("ada"));
        let named = Reply::new(200).field(X_REQUEST_ID, id.value());
        let cookies = Reply::redirect(302, "https://app.example/").cookie("a", "1", None).cookie("b", "2", None);
        let page = Reply::html(403, "<p>".repeat(2000), &HeaderValue::from_static("default-src 'none'"));
        for reply in [empty, named, cookies, page, Reply::new(204), Reply::json(401, &serde_json::json!({ "error": "x" }))] {
            for method in ["GET", "HEAD", "POST"] {
                let request = format!(
                    "{method} / HTTP/1.1\r\nhost: a.example\r\n{}\r\n",
                    if method == "POST" { "content-length: 0\r\n" } else { "" }
                );
                let at_once = written(&reply, &id, &request, true).await;
                assert_eq!(at_once, written(&reply, &id, &request, false).await, "{method} {reply:?}");
                assert_eq!(at_once.1.iter().filter(|(name, _)| name == "x-request-id").count(), 1);
                assert_eq!(at_once.2.is_empty(), method == "HEAD" || reply.body.is_empty());
            }
        }
    }
}
