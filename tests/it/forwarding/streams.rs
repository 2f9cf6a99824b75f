//! WebSocket through the edge: bytes both ways for as long as both like.

use std::time::Duration;

use doorward_tests::client::Raw;
use doorward_tests::scene::{API, APP, Plan, Scene};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{PATIENCE, app, cookie_of, plan, until};

const HANDSHAKE: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: chat\r\nsec-websocket-extensions: permessage-deflate\r\n";

/// Switches and echoes; says goodbye and hangs up when it is told to.
async fn echo() -> std::net::SocketAddr {
    app(|mut socket, head| async move {
        assert!(head.to_ascii_lowercase().contains("sec-websocket-key"));
        let _ = socket
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\nsec-websocket-protocol: chat\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n\x81\x05hello")
            .await;
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = socket.read(&mut bytes).await {
            if bytes[..read].ends_with(b"bye") {
                let _ = socket.write_all(b"\x88\x02\x03\xe8").await;
                return;
            }
            if socket.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    })
    .await
}

async fn expect(raw: &mut Raw, wanted: &[u8]) {
    let mut came = Vec::new();
    let reading = async {
        while came.len() < wanted.len() {
            let more = raw.more().await;
            assert!(!more.is_empty(), "ended after {} of {} bytes", came.len(), wanted.len());
            came.extend(more);
        }
    };
    assert!(tokio::time::timeout(PATIENCE, reading).await.is_ok(), "only {} of {} bytes came", came.len(), wanted.len());
    assert!(came == wanted);
}

async fn open(scene: &Scene, host: &str, credential: &str) -> Raw {
    let mut raw = scene.raw(host).await;
    raw.send(format!("GET /items HTTP/1.1\r\nhost: {host}\r\n{HANDSHAKE}{credential}\r\n").as_bytes()).await;
    let answer = raw.answer().await.unwrap();
    assert_eq!(answer.status, 101, "{}", answer.text());
    // WS-02: what the two agree upon is theirs.
    for (name, value) in [
        ("upgrade", "websocket"),
        ("sec-websocket-accept", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="),
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-extensions", "permessage-deflate"),
    ] {
        assert_eq!(answer.field(name), Some(value), "{name}");
    }
    assert!(answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
    expect(&mut raw, b"\x81\x05hello").await;
    raw
}

#[tokio::test]
async fn ws_01_frames_pass_both_ways_with_a_session_and_with_a_token() {
    let address = echo().await;
    let scene = Scene::with(plan(&format!("http://{address}"), "    limits: { body: 1KiB }\n")).await;
    let session = format!("cookie: {}\r\n", cookie_of(&scene.signed_in(APP, "ada").await));
    let bearer = format!("authorization: Bearer {}\r\n", scene.token("ada"));
    for (host, credential) in [(APP, &session), (API, &bearer)] {
        let mut raw = open(&scene, host, credential).await;
        until(&scene, "doorward_websockets_active", 1.0).await;
        // Every byte there is, and bytes that would be a request anywhere else.
        let every: Vec<u8> = (0..=255).collect();
        for message in [&every[..], b"\x81\x85\0\0\0\0hello", b"GET /admin HTTP/1.1\r\nhost: app.localhost\r\n\r\n", b"0\r\n\r\n", b"\n"] {
            raw.send(message).await;
            expect(&mut raw, message).await;
        }
        // Far more than a body of this route may hold.
        let large: Vec<u8> = every.iter().cycle().take(256 * 1024).copied().collect();
        for part in large.chunks(8 * 1024) {
            raw.send(part).await;
            expect(&mut raw, part).await;
        }
        raw.send(b"bye").await;
        expect(&mut raw, b"\x88\x02\x03\xe8").await;
        assert!(raw.is_closed().await, "the app's end is the client's");
        until(&scene, "doorward_websockets_active", 0.0).await;
    }
    let line = scene.log().await.into_iter().rfind(|line| line["route"] == "app" && line["status"] == 101).unwrap();
    assert_eq!(
        (line["status"].as_u64(), line["decision"].as_str(), line["subject"].as_str()),
        (Some(101), Some("allow"), Some("auth0|ada"))
    );
}

#[tokio::test]
async fn ws_01_silence_ends_nothing_and_the_clients_end_is_the_apps() {
    let address = echo().await;
    let server = "  limits: { connections_per_client: 1000, idle: 1s, header: 500ms }\n".into();
    let scene = Scene::with(Plan { server, ..plan(&format!("{{ servers: [\"{address}\"], read: 300ms, write: 300ms }}"), "") }).await;
    let session = format!("cookie: {}\r\n", cookie_of(&scene.signed_in(APP, "ada").await));
    let mut raw = open(&scene, APP, &session).await;
    // Longer than the app may take to answer, a head to come, and a connection to be idle.
    tokio::time::sleep(Duration::from_millis(1600)).await;
    raw.send(b"still here").await;
    expect(&mut raw, b"still here").await;
    until(&scene, "doorward_websockets_active", 1.0).await;
    drop(raw);
    until(&scene, "doorward_websockets_active", 0.0).await;
}

#[tokio::test]
async fn upg_04_without_a_session_or_token_nothing_is_opened() {
    let address = echo().await;
    let scene = Scene::with(plan(&format!("http://{address}"), "")).await;
    for (host, credential) in [(APP, ""), (API, ""), (API, "authorization: Bearer a.b.c\r\n"), (APP, "cookie: __Host-doorward=x\r\n")] {
        let mut raw = scene.raw(host).await;
        raw.send(format!("GET /items HTTP/1.1\r\nhost: {host}\r\n{HANDSHAKE}{credential}\r\n").as_bytes()).await;
        assert_eq!(raw.answer().await.unwrap().status, 401, "{host} {credential}");
    }
    assert_eq!(scene.metric("doorward_websockets_active").await, 0.0);
}
