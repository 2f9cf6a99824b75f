//! Where a request ends.

use super::{Case, People, Request};

/// Requests whose end, or whose version, somebody could read in two ways.
pub fn framing(host: &str, people: &People) -> Vec<Case> {
    let private = || Request::to(host, "/private/x").holding(people.named("a viewer"));
    let mut cases = Vec::new();
    for (name, length) in [
        ("two lengths", &["5", "6"][..]),
        ("one length twice", &["5", "5"]),
        ("a length with a sign", &["+5"]),
        ("a negative length", &["-5"]),
        ("a list of lengths", &["5, 5"]),
    ] {
        let mut request = Request::to(host, "/public/x").by("POST");
        for value in length {
            request = request.with("content-length", value);
        }
        let plain = Request::to(host, "/public/x").by("POST").body(b"hello");
        cases.push(Request { body: b"hello".to_vec(), ..request }.called(name).repaired(plain));
    }
    let chunked = |request: Request| Request { body: b"0\r\n\r\n".to_vec(), ..request.with("transfer-encoding", "chunked") };
    let post = || Request::to(host, "/public/x").by("POST");
    cases.push(chunked(post().with("content-length", "5")).called("a length and chunks").repaired(chunked(post())));
    for coding in ["identity", "chunked, identity", "xchunked", "chunked, chunked"] {
        let request = Request::to(host, "/public/x").by("POST").with("transfer-encoding", coding);
        cases.push(Request { body: b"0\r\n\r\n".to_vec(), ..request }.called(format!("transfer-encoding: {coding}")));
    }
    for version in ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "http/1.1", "HTTP/11"] {
        let mut case = private().called(format!("version {version}")).repaired(private());
        let text = String::from_utf8(case.bytes).expect("text").replacen("HTTP/1.1", version, 1);
        case.bytes = text.into_bytes();
        cases.push(case);
    }
    cases
}
