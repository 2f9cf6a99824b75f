//! Heads that never reach pingora, and those that do.

use super::harness::*;

fn head(line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: app.example\r\n{fields}\r\n")
}

#[tokio::test]
async fn pg_03_refused_heads_never_reach_the_upstream() {
    let edge = Edge::start().await;
    let cases: Vec<(&str, u16, String)> = vec![
        ("two_lengths", 400, head("POST / HTTP/1.1", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n"),
        ("bare_lf", 400, "GET / HTTP/1.1\nHost: app.example\n\n".to_owned()),
        ("request_line", 400, head("GET /a b HTTP/1.1", "")),
        ("target_byte", 400, head("GET /a\"b HTTP/1.1", "")),
        ("target_form", 400, head("GET http://app.example/ HTTP/1.1", "")),
        ("host_missing", 400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        ("host_grammar", 400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".to_owned()),
        ("content_length_repeated", 400, head("POST / HTTP/1.1", "Content-Length: 5\r\nContent-Length: 5\r\n") + "hello"),
        ("content_length", 400, head("POST / HTTP/1.1", "Content-Length: 3, 3\r\n") + "abc"),
        ("transfer_encoding_repeated", 400, head("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        ("transfer_coding_unknown", 501, head("POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked\r\n")),
        ("field_alias", 400, head("POST / HTTP/1.1", "Content_Length: 5\r\n") + "hello"),
        ("method_not_served", 405, head("TRACE / HTTP/1.1", "")),
        ("method_not_served", 405, "CONNECT app.example:443 HTTP/1.1\r\nHost: app.example:443\r\n\r\n".to_owned()),
        ("version", 505, "GET /\r\n".to_owned()),
        ("version", 505, head("GET / HTTP/2.0", "")),
        ("http2_preface", 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("expect", 417, head("POST / HTTP/1.1", "Content-Length: 5\r\nExpect: 200\r\n")),
        ("connection_nominates", 400, head("GET / HTTP/1.1", "Connection: x-auth-user\r\n")),
        ("upgrade", 400, head("GET / HTTP/1.1", "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")),
        ("head_too_long", 431, head("GET / HTTP/1.1", &format!("X: {}\r\n", "a".repeat(33 * 1024)))),
        ("too_many_fields", 431, head("GET / HTTP/1.1", &"X: 1\r\n".repeat(101))),
        ("target_too_long", 414, head(&format!("GET /{} HTTP/1.1", "a".repeat(9_000)), "")),
    ];
    for (reason, status, bytes) in &cases {
        let before = edge.events.refused().len();
        let answer = edge.exchange(bytes).await;
        let shown = bytes.chars().take(60).collect::<String>();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer:?}");
        assert!(answer.contains("connection: close"), "{answer}");
        let refused = edge.events.refused();
        let [.., last] = &refused[..] else { panic!() };
        assert_eq!((refused.len(), last.reason, last.status), (before + 1, *reason, Some(*status)), "{shown:?}");
        assert!(answer.contains(&last.request_id) && last.request_id.len() == 32, "{answer}");
        assert!(last.client.is_loopback());
    }
    assert_eq!(edge.upstream.bytes(), 0);
    assert!(edge.exchange(GET_CLOSE).await.starts_with("HTTP/1.1 200"));
    assert_eq!(edge.upstream.requests(), 1);
}

#[tokio::test]
async fn log_04_nothing_of_a_refused_request_comes_back() {
    let edge = Edge::start().await;
    let answer = edge.exchange("GET /secret-path\" HTTP/1.1\r\nHost: app.example\r\nCookie: s3cr3t=1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"));
    assert!(!answer.contains("secret") && !answer.contains("s3cr3t"), "{answer}");
}

#[tokio::test]
async fn a_refused_client_reads_its_answer_although_it_sent_more() {
    let edge = Edge::start().await;
    let body = "x".repeat(100 * 1024);
    let answer = edge.exchange(head("POST / HTTP/1.1", "Content-Length: +5\r\n") + &body).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("Request id"), "{answer}");
}

#[tokio::test]
async fn heads_in_pieces_of_any_size_pass() {
    let edge = Edge::start().await;
    let cookie = format!("Cookie: a={}\r\nConnection: close\r\n", "b".repeat(6_000));
    let request = head("GET /pieces HTTP/1.1", &cookie);
    for size in [1_000, 7, 4_096, 4_097] {
        let mut client = edge.http1().await;
        for piece in request.as_bytes().chunks(size) {
            client.send(piece).await;
            tokio::task::yield_now().await;
        }
        assert!(client.rest().await.starts_with("HTTP/1.1 200"), "pieces of {size}");
    }
    assert_eq!(edge.upstream.requests(), 4);
}

#[tokio::test]
async fn bodies_pass_whole() {
    let edge = Edge::start().await;
    for size in [1, 4_096, 70_000, 1 << 20] {
        let body = "x".repeat(size);
        let plain = head("POST / HTTP/1.1", &format!("Content-Length: {size}\r\nConnection: close\r\n")) + &body;
        assert!(edge.exchange(plain).await.contains(&format!("ok {size} ")), "{size} bytes");
        let chunked = head("POST /chunked HTTP/1.1", "Transfer-Encoding: chunked\r\nConnection: close\r\n")
            + &format!("{size:x}\r\n{body}\r\n0\r\n\r\n");
        assert!(edge.exchange(chunked).await.contains("\r\n\r\nok "), "{size} bytes, chunked");
    }
}

#[tokio::test]
async fn the_next_requests_of_a_connection_are_judged_too() {
    let edge = Edge::start().await;
    let mut client = edge.http1().await;
    for _ in 0..20 {
        client.send(GET).await;
        let answer = client.until_answered().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    client.send("GET / HTTP/1.1\r\nHost: a b\r\n\r\n").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 400"));
    assert_eq!(edge.upstream.requests(), 20);
    assert_eq!(edge.events.handshakes(), ["completed"]);
}

#[tokio::test]
async fn the_app_sees_how_the_client_is_connected() {
    let edge = Edge::start().await;
    let answer = edge.exchange(GET_CLOSE.replace("GET /", "GET /local")).await;
    assert!(answer.contains("sni=Some(\"app.example\") version=Some(\"TLSv1.3\") h2=false"), "{answer}");
    assert!(edge.exchange(GET_CLOSE).await.contains("127.0.0.1:"));
}
