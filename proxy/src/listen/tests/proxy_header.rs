//! Listeners behind a load balancer.

use doorward_config::settings::Listen;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::*;

async fn behind(trusted: &str) -> Edge {
    let mut server = server();
    server.listen = vec![Listen { address: "127.0.0.1:0".parse().unwrap(), proxy_protocol: Some(vec![trusted.parse().unwrap()]) }];
    server.limits.connections_per_client = 1;
    Edge::with(server).await
}

async fn client_after(edge: &Edge, header: &[u8]) -> Client {
    let mut tcp = edge.tcp().await;
    tcp.write_all(header).await.unwrap();
    let config = edge.client_config(rustls::ALL_VERSIONS, &["http/1.1"]);
    Client(edge.tls_over(tcp, config, "app.example").await.unwrap())
}

async fn is_closed(edge: &Edge, bytes: &[u8]) {
    let mut tcp = edge.tcp().await;
    let _ = tcp.write_all(bytes).await;
    let read = tokio::time::timeout(PATIENCE, tcp.read(&mut [0; 64])).await.expect("still open");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family][..], &length, block].concat()
}

#[tokio::test]
async fn hdr_32_the_announced_client_is_the_client() {
    let edge = behind("127.0.0.0/8").await;
    let cases = [
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n".to_vec(), "192.0.2.7:4711"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n".to_vec(), "[2001:db8::7]:4711"),
        (v2(1, 0x11, &[192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x67, 1, 187]), "192.0.2.7:4711"),
        (v2(0, 0, &[]), "127.0.0.1:"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1:"),
    ];
    for (header, client) in cases {
        let mut connected = client_after(&edge, &header).await;
        connected.send(GET_CLOSE).await;
        let answer = connected.rest().await;
        assert!(answer.contains(&format!("ok 0 {client}")), "{answer}");
        edge.until("it is gone", |edge| edge.serving.connections() == 0).await;
    }
    assert!(edge.events.reasons().is_empty());
}

#[tokio::test]
async fn hdr_32_without_a_header_or_with_a_bad_one_it_is_closed() {
    let edge = behind("127.0.0.1/32").await;
    let hello = b"\x16\x03\x01\x00\x05hello";
    for bytes in [&hello[..], GET.as_bytes(), b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n", &v2(1, 0x11, &[0; 2_000])]
    {
        is_closed(&edge, bytes).await;
    }
    edge.until("all were reported", |edge| edge.events.reasons() == ["proxy_header"; 5]).await;
    assert!(edge.events.handshakes().is_empty());
}

#[tokio::test]
async fn hdr_32_from_an_untrusted_peer_it_is_closed() {
    let edge = behind("192.0.2.0/24").await;
    is_closed(&edge, b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n").await;
    edge.until("it was reported", |edge| edge.events.reasons() == ["proxy_untrusted"]).await;
}

#[tokio::test]
async fn hdr_32_elsewhere_a_header_is_not_looked_for() {
    let edge = Edge::start().await;
    let mut tcp = edge.tcp().await;
    tcp.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.expect("still open");
    edge.until("the handshake failed", |edge| edge.events.handshakes() == ["failed"]).await;
}

#[tokio::test]
async fn dos_04_the_cap_counts_announced_clients() {
    let edge = behind("127.0.0.0/8").await;
    let _first = client_after(&edge, b"PROXY TCP4 192.0.2.7 192.0.2.1 1 443\r\n").await;
    let _other = client_after(&edge, b"PROXY TCP4 192.0.2.8 192.0.2.1 1 443\r\n").await;
    is_closed(&edge, b"PROXY TCP4 192.0.2.7 192.0.2.1 2 443\r\n").await;
    assert_eq!(edge.events.reasons(), ["client_cap"]);
    assert_eq!(edge.events.refused()[0].client.to_string(), "192.0.2.7");
}
