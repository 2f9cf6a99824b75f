//! The few answers that are given before pingora is involved.

use http::StatusCode;

/// A fresh id, for the client to quote and the log to find: 32 hexadecimal digits.
pub(super) fn request_id() -> String {
    let mut bytes = [0; 16];
    // Without randomness the ids are useless, but the refusal still stands.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One calm sentence and the id; nothing of what the client sent, and the end of the connection.
pub(super) fn refusal(status: u16, id: &str) -> Vec<u8> {
    let body = format!("{}\nRequest id: {id}\n", sentence(status));
    let allow = match status {
        // RFC 9110 §15.5.6: must be there.
        405 => "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n",
        _ => "",
    };
    let fields = format!("{allow}x-request-id: {id}\r\n");
    answer(status, &fields, &body)
}

/// RFC 9110 §15.4.9. `location` must hold no byte that could end a field.
pub(super) fn redirect(location: &str) -> Vec<u8> {
    answer(308, &format!("location: {location}\r\n"), "")
}

fn answer(status: u16, fields: &str, body: &str) -> Vec<u8> {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Refused");
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\n{fields}content-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

const fn sentence(status: u16) -> &'static str {
    match status {
        403 => "Please use https for this request.",
        404 => "There is nothing at this address.",
        405 => "This kind of request is not served here.",
        408 => "The request took too long to arrive.",
        414 => "The address of this request is too long.",
        417 => "The request expects something that is not offered here.",
        431 => "The header of this request is too large.",
        501 => "The request is encoded in a way that is not supported here.",
        505 => "This version of HTTP is not supported here.",
        _ => "The request could not be understood.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_length_an_id_and_ends_the_connection() {
        let id = request_id();
        assert_eq!(id.len(), 32);
        assert_ne!(id, request_id());
        for status in [400, 405, 408, 414, 417, 431, 501, 505] {
            let text = String::from_utf8(refusal(status, &id)).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.contains(&format!("content-length: {}", body.len())));
            assert!(head.contains("connection: close") && head.contains("cache-control: no-store"));
            assert!(body.contains(&id));
            assert_eq!(head.contains("allow: GET"), status == 405);
        }
    }
}
