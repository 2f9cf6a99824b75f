use doorward_policy::access::DenyReason;

use super::*;

fn parsed(method: &str, url: &str) -> Result<Question, QuestionFault> {
    Question::parse(method, url, None, Timestamp(0))
}

#[test]
fn an_address_is_read_as_it_would_be_sent() {
    for (url, path) in [
        ("https://app.example", "/"),
        ("HTTPS://APP.example:8443/a/b?x=1#part", "/a/b"),
        ("https://app.example?x=/y", "/"),
        ("https://app.example/caf\u{e9}", "/caf%C3%A9"),
        ("https://app.example/%61", "/a"),
        ("https://app.example/a;b=1/c", "/a;b=1/c"),
    ] {
        let question = parsed("GET", url).unwrap();
        let target = question.target.unwrap();
        assert_eq!((target.path().as_str(), target.host().name()), (path, "app.example"), "{url}");
    }
    assert_eq!(parsed("GET", "http://app.example/").unwrap_err(), QuestionFault::Scheme);
    assert_eq!(parsed("GET", "/path").unwrap_err(), QuestionFault::Scheme);
    assert!(matches!(parsed("G T", "https://app.example/").unwrap_err(), QuestionFault::Method(_)));
}

#[test]
fn an_odd_address_is_refused_as_a_request_would_be() {
    for (method, url, reason) in [
        ("GET", "https://app.example/a//b", DenyReason::BadRequest),
        ("GET", "https://app.example/a/%2e%2e/b", DenyReason::BadRequest),
        ("GET", "https://app.example/a%2fb", DenyReason::BadRequest),
        ("GET", "https://app.example/a b", DenyReason::BadRequest),
        ("GET", "https://user@app.example/", DenyReason::BadRequest),
        ("GET", "https:///path", DenyReason::BadRequest),
        ("TRACE", "https://app.example/", DenyReason::MethodNotServed),
    ] {
        let fault = parsed(method, url).unwrap().target.unwrap_err();
        assert_eq!(DenyReason::from(fault), reason, "{method} {url}");
    }
}
