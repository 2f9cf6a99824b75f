//! Nobody holds a connection by being slow, or by being many.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;

use super::harness::*;

const SHORT: Duration = Duration::from_millis(300);
/// Sooner than anything that is not `SHORT`.
const SOON: Duration = Duration::from_millis(1_500);

fn took(since: Instant) {
    let took = since.elapsed();
    assert!((SHORT - Duration::from_millis(50)..SOON).contains(&took), "took {took:?}");
}

#[tokio::test]
async fn dos_01_a_dribbled_head_has_a_total_deadline() {
    let mut server = server();
    server.limits.header = SHORT;
    let edge = Edge::with(server).await;
    let mut client = edge.http1().await;
    let since = Instant::now();
    let (mut reader, mut writer) = tokio::io::split(client.0);
    let dribble = tokio::spawn(async move {
        for byte in GET.bytes().cycle() {
            if tokio::io::AsyncWriteExt::write_all(&mut writer, &[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = [0; 12];
    reader.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    took(since);
    dribble.abort();
    assert_eq!(edge.events.reasons(), ["header_deadline"]);
    assert_eq!(edge.upstream.bytes(), 0);
    // A twin that is slow, but not too slow.
    client = edge.http1().await;
    client.send(&GET_CLOSE[..10]).await;
    tokio::time::sleep(SHORT / 2).await;
    client.send(&GET_CLOSE[10..]).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn dos_01_a_later_head_has_the_same_deadline() {
    let mut server = server();
    server.limits.header = SHORT;
    let edge = Edge::with(server).await;
    let mut client = edge.http1().await;
    client.send(GET).await;
    client.until_answered().await;
    // Longer than a head may take: the idle limit holds until the first byte.
    tokio::time::sleep(SHORT * 2).await;
    let since = Instant::now();
    client.send("GET / HT").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 408"));
    took(since);
}

#[tokio::test]
async fn dos_01_silence_after_the_handshake_ends() {
    let mut server = server();
    server.limits.header = SHORT;
    let edge = Edge::with(server).await;
    let since = Instant::now();
    assert_eq!(edge.http1().await.rest().await, "");
    took(since);
    edge.until("the connection is gone", |edge| edge.serving.connections() == 0).await;
}

#[tokio::test]
async fn dos_01_idle_connections_end() {
    let mut server = server();
    server.limits.idle = SHORT;
    let edge = Edge::with(server).await;
    let mut client = edge.http1().await;
    client.send(GET).await;
    client.until_answered().await;
    tokio::time::sleep(SHORT / 2).await;
    client.send(GET).await;
    client.until_answered().await;
    let since = Instant::now();
    assert_eq!(client.rest().await, "");
    took(since);
    assert!(edge.events.reasons().is_empty());
}

#[tokio::test]
async fn a_long_answer_is_not_idleness() {
    let mut server = server();
    (server.limits.idle, server.limits.header) = (SHORT, SHORT);
    let edge = Edge::with(server).await;
    let mut client = edge.http1().await;
    client.send(GET.replace("GET /", "GET /slow")).await;
    assert!(client.until_answered().await.starts_with("HTTP/1.1 200"));
    client.send(GET).await;
    assert!(client.until_answered().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn dos_03_a_handshake_has_a_deadline() {
    let mut server = server();
    server.limits.handshake = SHORT;
    let edge = Edge::with(server).await;
    for opening in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let since = Instant::now();
        let mut tcp = edge.tcp().await;
        tokio::io::AsyncWriteExt::write_all(&mut tcp, opening).await.unwrap();
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.unwrap();
        took(since);
    }
    edge.until("both were reported", |edge| edge.events.handshakes() == ["deadline", "deadline"]).await;
    assert!(edge.exchange(GET_CLOSE).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn dos_03_plain_http_on_the_tls_port_is_no_handshake() {
    let edge = Edge::start().await;
    let mut tcp = edge.tcp().await;
    tokio::io::AsyncWriteExt::write_all(&mut tcp, GET.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.unwrap();
    edge.until("it failed", |edge| edge.events.handshakes() == ["failed"]).await;
}

#[tokio::test]
async fn dos_01_the_http2_preface_has_a_deadline() {
    let mut server = server();
    server.limits.header = SHORT;
    let edge = Edge::with(server).await;
    for opening in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut client = edge.h2().await;
        let since = Instant::now();
        client.send(opening).await;
        client.rest_bytes().await;
        took(since);
    }
    edge.until("all were reported", |edge| edge.events.reasons() == ["preface_deadline"; 3]).await;
}

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// `GET /<path>` of `app.example` on `stream` (RFC 9113 §6.2, RFC 7541 §6).
pub(super) fn h2_get(stream: u8, path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x41, 11];
    block.extend_from_slice(b"app.example");
    block.extend_from_slice(&[0x44, path.len() as u8]);
    block.extend_from_slice(path.as_bytes());
    [&[0, 0, block.len() as u8, 1, 5, 0, 0, 0, stream][..], &block].concat()
}

/// The types of the frames in `bytes`.
pub(super) fn frames(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut types = Vec::new();
    while let Some(([a, b, c, kind, ..], after)) = rest.split_first_chunk::<9>() {
        types.push(*kind);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        rest = after.get(length..).unwrap_or_default();
    }
    types
}

#[tokio::test]
async fn http2_works_and_idles_out() {
    let mut server = server();
    (server.limits.header, server.limits.idle) = (SHORT * 2, SHORT);
    let edge = Edge::with(server).await;
    let mut client = edge.h2().await;
    client.send([PREFACE, &h2_get(1, "/slow")].concat()).await;
    let since = Instant::now();
    let bytes = client.rest_bytes().await;
    // HEADERS and DATA came although the answer took longer than both limits; then the idle limit ended it.
    assert!(frames(&bytes).contains(&1) && frames(&bytes).contains(&0), "{:?}", frames(&bytes));
    assert!(since.elapsed() > Duration::from_millis(800) && since.elapsed() < Duration::from_secs(3));
    assert_eq!(edge.upstream.requests(), 1);
}

#[tokio::test]
async fn pg_11_http2_settings_are_ours() {
    let edge = Edge::start().await;
    let mut client = edge.h2().await;
    client.send(PREFACE).await;
    let mut head = [0; 9];
    client.0.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4);
    let mut settings = vec![0; usize::from(head[2])];
    client.0.read_exact(&mut settings).await.unwrap();
    let setting =
        |id: u8| settings.chunks(6).find(|each| each[1] == id).map(|each| u32::from_be_bytes([each[2], each[3], each[4], each[5]]));
    assert_eq!(setting(3), Some(100), "MAX_CONCURRENT_STREAMS");
    assert_eq!(setting(6), Some(16 * 1024), "MAX_HEADER_LIST_SIZE");
}

#[tokio::test]
async fn dos_04_connections_in_total() {
    let mut server = server();
    server.limits.connections = 2;
    let edge = Edge::with(server).await;
    let first = edge.http1().await;
    let _second = edge.http1().await;
    let mut third = edge.tcp().await;
    assert!(matches!(tokio::time::timeout(SOON, third.read(&mut [0; 1])).await.unwrap(), Ok(0) | Err(_)));
    edge.until("it was reported", |edge| edge.events.reasons() == ["total_cap"]).await;
    assert_eq!((edge.serving.connections(), edge.events.live()), (2, 2));
    drop(first);
    edge.until("one is gone", |edge| edge.serving.connections() == 1).await;
    assert!(edge.exchange(GET_CLOSE).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn dos_04_connections_of_one_client() {
    let mut server = server();
    server.limits.connections_per_client = 1;
    let edge = Edge::with(server).await;
    let first = edge.http1().await;
    let mut second = edge.tcp().await;
    assert!(matches!(tokio::time::timeout(SOON, second.read(&mut [0; 1])).await.unwrap(), Ok(0) | Err(_)));
    edge.until("it was reported", |edge| edge.events.reasons() == ["client_cap"]).await;
    drop(first);
    edge.until("the first is gone", |edge| edge.serving.connections() == 0).await;
    assert!(edge.exchange(GET_CLOSE).await.starts_with("HTTP/1.1 200"));
}
