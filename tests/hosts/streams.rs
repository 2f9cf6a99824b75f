//! What is more than one answer to one request: forms, large bodies, WebSockets.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use doorward_policy::session::COOKIE;
use doorward_tests::client::{Browser, tls};
use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::scene::APP;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::stage::{Kind, Stage};

/// More than any buffer on the way, and less than the limit.
const LARGE: usize = 6 * 1024 * 1024;

fn cookie_of(browser: &Browser) -> String {
    format!("{COOKIE}={}", browser.cookies[COOKIE])
}

#[tokio::test]
async fn a_form_and_a_large_body_reach_the_app_behind_each_host_and_a_large_answer_comes_back() {
    for kind in Kind::ALL {
        let app = Recorder::answering(Arc::new(|request| {
            let answer = if request.target() == "/private/large" { "y".repeat(LARGE) } else { "canary".to_owned() };
            Some(ok(&answer))
        }))
        .await;
        let stage = Stage::with(kind, |plan| plan, app).await;
        let mut browser = stage.holding(APP, Duration::ZERO);
        let form = [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-mode", "navigate"), ("accept", "text/html")];
        let answer = browser.request("POST", "/private/form", &form, b"name=v%C3%A4lue&x=1").await;
        assert_eq!(answer.status, 200, "{kind:?}");
        assert_eq!(stage.scene.app.last().body, b"name=v%C3%A4lue&x=1", "{kind:?}");

        let body: Vec<u8> = (0..LARGE).map(|n| b'a' + u8::try_from(n % 23).expect("small")).collect();
        let answer = browser.request("PUT", "/private/file", &[("content-type", "application/octet-stream")], &body).await;
        assert_eq!(answer.status, 200, "{kind:?}: {}", stage.process.said());
        assert!(stage.scene.app.last().body == body, "{kind:?}: every byte of {LARGE}");
        assert_eq!(browser.fetch("/private/large").await.body.len(), LARGE, "{kind:?}");

        // Nobody's body goes anywhere.
        stage.scene.app.forget();
        let refused = stage.browser(APP).request("POST", "/private/form", &[], &body[..100_000]).await;
        assert_eq!(refused.status, 401, "{kind:?}");
        assert_eq!(stage.scene.app.bytes(), 0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_behind_each_host() {
    // Traefik and Envoy would have to hold a body in memory to measure it, and say so in what is printed.
    for kind in [Kind::Nginx, Kind::Haproxy, Kind::Caddy] {
        let stage = Stage::with(
            kind,
            |plan| {
                let server = plan.server.replace("limits: {", "limits: { body: 64KiB,");
                doorward_tests::scene::Plan { server, ..plan }
            },
            Recorder::start().await,
        )
        .await;
        let mut browser = stage.holding(APP, Duration::ZERO);
        assert_eq!(browser.request("PUT", "/private/file", &[], &vec![b'x'; 64 * 1024]).await.status, 200, "{kind:?}");
        stage.scene.app.forget();
        assert_eq!(browser.request("PUT", "/private/file", &[], &vec![b'x'; 64 * 1024 + 1]).await.status, 413, "{kind:?}");
        assert!(stage.scene.app.seen().is_empty(), "{kind:?}");
    }
}

/// An app that opens every WebSocket and says something (RFC 6455 §4.2.2).
async fn switching() -> Recorder {
    Recorder::answering(Arc::new(|request| {
        let key = request.one("sec-websocket-key").unwrap_or_default();
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
        let accept = BASE64_STANDARD.encode(digest);
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ";
        Some(format!("{head}{accept}\r\n\r\nfrom the app").into_bytes())
    }))
    .await
}

#[tokio::test]
async fn csrf_02_a_websocket_opens_behind_each_host_for_the_sites_own_pages_only() {
    for kind in Kind::ALL {
        let stage = Stage::with(kind, |plan| plan, switching().await).await;
        let host = stage.authority(APP);
        let session = format!("cookie: {}\r\n", cookie_of(&stage.holding(APP, Duration::ZERO)));
        for (name, origin, cookie, status) in [
            ("the site's own page", format!("https://{host}"), session.as_str(), 101),
            ("another site's page", "https://evil.example".to_owned(), session.as_str(), 403),
            ("the site's own page, of nobody", format!("https://{host}"), "", 401),
        ] {
            stage.scene.app.forget();
            let mut raw = stage.raw().await;
            let head = format!(
                "GET /private/socket HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: {origin}\r\n{cookie}\r\n"
            );
            raw.send(head.as_bytes()).await;
            let answer = raw.answer().await.expect("an answer");
            assert_eq!(answer.status, status, "{kind:?}, {name}: {}", answer.text());
            if status == 101 {
                assert_eq!(raw.more().await, b"from the app", "{kind:?}");
                raw.send(b"from the page").await;
                let told = async {
                    while !stage.scene.app.raw().ends_with(b"from the page") {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                assert!(tokio::time::timeout(Duration::from_secs(5), told).await.is_ok(), "{kind:?}: the app hears the page");
            } else {
                assert_eq!(stage.scene.app.bytes(), 0, "{kind:?}, {name}");
            }
        }
    }
}

/// RFC 8441: browsers open a WebSocket over HTTP/2 where the server offers it. There is no key then, and no `Upgrade`.
#[tokio::test]
async fn csrf_02_a_websocket_over_http2_opens_for_the_sites_own_pages_only_where_a_host_offers_it() {
    for kind in Kind::ALL {
        let stage = Stage::with(kind, |plan| plan, switching().await).await;
        let host = stage.authority(APP);
        let cookie = cookie_of(&stage.holding(APP, Duration::ZERO));
        let socket = TcpStream::connect(stage.address()).await.expect("the host listens");
        let name = ServerName::try_from(APP).expect("a name");
        let stream = tls(&stage.scene.ca, &[b"h2"]).connect(name, socket).await.expect("a handshake");
        let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        let driving = tokio::spawn(connection);
        // What it offers comes with its first frame.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut client = client.ready().await.expect("a connection");
        assert_eq!(client.is_extended_connect_protocol_enabled(), kind == Kind::Haproxy, "{kind:?}");
        if !client.is_extended_connect_protocol_enabled() {
            continue;
        }
        for (name, origin, cookie, status) in [
            ("another site's page", "https://evil.example".to_owned(), Some(&cookie), 403),
            ("the site's own page, of nobody", format!("https://{host}"), None, 401),
            ("the site's own page", format!("https://{host}"), Some(&cookie), 200),
        ] {
            stage.scene.app.forget();
            let request = http::Request::connect(format!("https://{host}/private/socket")).version(http::Version::HTTP_2);
            let request = request.extension(h2::ext::Protocol::from_static("websocket")).header("origin", origin);
            let request =
                cookie.into_iter().fold(request.header("sec-websocket-version", "13"), |request, cookie| request.header("cookie", cookie));
            client = client.ready().await.expect("a connection");
            let (answer, _sending) = client.send_request(request.body(()).expect("a request"), false).expect("a stream");
            let answer = tokio::time::timeout(Duration::from_secs(10), answer).await.expect("in time").expect("an answer");
            assert_eq!(answer.status(), status, "{kind:?}, {name}");
            assert_eq!(stage.scene.app.bytes() == 0, status != 200, "{kind:?}, {name}");
        }
        driving.abort();
    }
}
