//! The listener that only redirects.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::*;

async fn redirecting(public_port: u16) -> Edge {
    let mut server = server();
    server.redirect = vec!["127.0.0.1:0".parse().unwrap()];
    server.public_port = public_port;
    server.limits.header = Duration::from_millis(300);
    Edge::with(server).await
}

async fn ask(edge: &Edge, bytes: &str) -> String {
    let mut tcp = TcpStream::connect(edge.serving.redirect_addresses()[0]).await.unwrap();
    let _ = tcp.write_all(bytes.as_bytes()).await;
    let mut all = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut all)).await.expect("still open");
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn tls_05_pages_of_our_hosts_are_sent_to_https() {
    for (port, location) in [(443, "https://app.example/a?b=c"), (8443, "https://app.example:8443/a?b=c")] {
        let edge = redirecting(port).await;
        for method in ["GET", "HEAD"] {
            for host in ["app.example", "APP.example:80", "app.example."] {
                let answer = ask(&edge, &format!("{method} /a?b=c HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
                assert!(answer.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{answer}");
                assert!(answer.contains(&format!("location: {location}\r\n")), "{answer}");
                assert!(answer.contains("connection: close\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
            }
        }
        assert!(edge.events.reasons().is_empty());
    }
}

#[tokio::test]
async fn tls_05_nothing_else_is() {
    let edge = redirecting(443).await;
    let cases = [
        (404, "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"),
        (404, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        (403, "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 0\r\n\r\n"),
        (403, "OPTIONS * HTTP/1.1\r\nHost: app.example\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: app.example\r\nHost: other.example\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: app.example\nX: 1\r\n\r\n"),
        (400, "GET http://other.example/ HTTP/1.1\r\nHost: app.example\r\n\r\n"),
        (400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (408, "GET / HTTP/1.1\r\nHost: app"),
    ];
    for (status, bytes) in cases {
        let answer = ask(&edge, bytes).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes:?}: {answer}");
        assert!(!answer.contains("location:"), "{answer}");
    }
    assert_eq!(edge.events.refused().len(), cases.len());
    assert_eq!(ask(&edge, "").await, "");
    edge.until("all are gone", |edge| edge.serving.connections() == 0).await;
    assert_eq!(edge.upstream.bytes(), 0);
}
