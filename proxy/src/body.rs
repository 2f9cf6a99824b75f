//! The content of a request that we answer ourselves: whole, small and in time, or not at all.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use doorward_policy::access::DenyReason;
use http::{HeaderMap, header};
use pingora::protocols::http::ServerSession;

/// From the first look at it to its end (DOS-02).
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no content to look at. The connection it came over is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    #[error("more than is taken")]
    TooLarge,
    #[error("not all of it came in time")]
    TooSlow,
    #[error("it did not come whole")]
    Broken,
}

impl BodyFault {
    /// What the client is told.
    pub fn reason(self) -> DenyReason {
        match self {
            Self::TooLarge => DenyReason::BodyTooLarge,
            Self::TooSlow | Self::Broken => DenyReason::BadRequest,
        }
    }
}

/// Reads all of it; at most `limit` bytes are ever held.
///
/// # Errors
/// [`BodyFault`]; then the session must not be kept for another request.
pub async fn read(session: &mut ServerSession, limit: usize) -> Result<Bytes, BodyFault> {
    let headers = &session.req_header().headers;
    if announced(headers).is_some_and(|length| length > limit as u64) {
        return Err(BodyFault::TooLarge);
    }
    let asks_first = headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let whole = async {
        // RFC 9110 §10.1.1: whoever asks first waits for this.
        if asks_first && !session.is_body_empty() {
            session.write_continue_response().await.map_err(|_| BodyFault::Broken)?;
        }
        let mut content = BytesMut::new();
        while let Some(bytes) = session.read_request_body().await.map_err(|_| BodyFault::Broken)? {
            if content.len() + bytes.len() > limit {
                return Err(BodyFault::TooLarge);
            }
            content.extend_from_slice(&bytes);
        }
        Ok(content.freeze())
    };
    tokio::time::timeout(PATIENCE, whole).await.unwrap_or(Err(BodyFault::TooSlow))
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The content type of a form, as browsers post it without files. Nothing else is read as one.
pub fn is_form(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// The fields of a posted form, decoded, in order; `None` for what is none.
pub fn form(headers: &HeaderMap, content: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(content).ok().filter(|_| is_form(headers))?;
    doorward_policy::login::parse_parameters(text)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of_type(types: &[&'static str]) -> HeaderMap {
        types.iter().map(|value| (header::CONTENT_TYPE, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_form_says_that_it_is_one_once() {
        let form = "application/x-www-form-urlencoded";
        assert!(is_form(&of_type(&[form])));
        assert!(is_form(&of_type(&["Application/X-WWW-form-urlencoded ; charset=UTF-8"])));
        for other in
            [&[][..], &["text/plain"], &["multipart/form-data; boundary=x"], &["application/x-www-form-urlencodedx"], &[form, form]]
        {
            assert!(!is_form(&of_type(other)), "{other:?}");
        }
    }

    #[test]
    fn fields_are_decoded_and_broken_ones_are_none() {
        let headers = of_type(&["application/x-www-form-urlencoded"]);
        let fields = form(&headers, b"a=1%202&b=&a=+").unwrap();
        assert_eq!(fields, [("a", "1 2"), ("b", ""), ("a", " ")].map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(form(&headers, b"a=%zz").is_none());
        assert!(form(&headers, b"a=\xff").is_none());
        assert!(form(&of_type(&["text/plain"]), b"a=1").is_none());
    }
}
