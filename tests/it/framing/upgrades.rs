//! Switching protocols: only to WebSocket, only when asked, and nothing of HTTP hides behind it.

use std::sync::Arc;

use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::scene::{APP, Plan, Scene};

use super::cookie_of;

const HANDSHAKE: &str =
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n";

fn handshake(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: app.localhost\r\n{HANDSHAKE}{more}\r\n")
}

#[tokio::test]
async fn upg_01_what_follows_a_refused_switch_is_judged_and_authorised() {
    let app = Recorder::answering(Arc::new(|request| match request.target() {
        "/public/200" => Some(ok("no")),
        "/public/404" => Some(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec()),
        _ => Some(ok("canary")),
    }))
    .await;
    let scene = Scene::in_front_of(Plan::default(), app).await;
    let admin = cookie_of(&scene.signed_in(APP, "ada").await);
    let malformed =
        "POST /public/smuggled HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let anonymous = "GET /admin/smuggled HTTP/1.1\r\nhost: app.localhost\r\n\r\n";
    for target in ["/public/200", "/public/404"] {
        for (name, second) in [("malformed", malformed), ("not signed in", anonymous)] {
            for pause in [false, true] {
                let name = format!("{name} after {target}, {}", if pause { "later" } else { "at once" });
                scene.app.forget();
                let mut raw = scene.raw(APP).await;
                let first = handshake(target, &format!("cookie: {admin}\r\n"));
                let mut statuses = Vec::new();
                if pause {
                    raw.send(first.as_bytes()).await;
                    statuses.extend(raw.answer().await.map(|answer| answer.status));
                    raw.send(second.as_bytes()).await;
                } else {
                    raw.send(format!("{first}{second}").as_bytes()).await;
                }
                while !raw.is_closed().await {
                    match raw.answer().await {
                        Some(answer) => statuses.push(answer.status),
                        None => break,
                    }
                    if statuses.len() > 1 {
                        break;
                    }
                }
                let answered = if target.ends_with("200") { 200 } else { 404 };
                let judged = if second == malformed { 400 } else { 401 };
                // Bytes behind an open switch belong to it: they are no request at all.
                assert_eq!(statuses, if pause { vec![answered, judged] } else { vec![400] }, "{name}");
                assert!(!scene.app.seen().iter().any(|request| request.line().contains("smuggled")), "{name}");
                assert!(!String::from_utf8_lossy(&scene.app.raw()).contains("smuggled"), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn upg_02_other_switches_are_refused() {
    let scene = Scene::start().await;
    for (name, head) in [
        ("another protocol", "GET /public/x HTTP/1.1\r\nconnection: upgrade\r\nupgrade: foo\r\n"),
        ("h2c", "GET /public/x HTTP/1.1\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"),
        ("two in a list", "GET /public/x HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket, h2c\r\n"),
        ("two lines", "GET /public/x HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nupgrade: h2c\r\n"),
        ("the same twice", "GET /public/x HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nupgrade: websocket\r\n"),
        ("not nominated", "GET /public/x HTTP/1.1\r\nupgrade: websocket\r\n"),
        ("another nominated", "GET /public/x HTTP/1.1\r\nconnection: keep-alive\r\nupgrade: websocket\r\n"),
        ("POST", "POST /public/x HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 0\r\n"),
        ("with a body", "GET /public/x HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 2\r\n"),
        ("with a chunked body", "GET /public/x HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\ntransfer-encoding: chunked\r\n"),
        ("in 1.0", "GET /public/x HTTP/1.0\r\nconnection: upgrade\r\nupgrade: websocket\r\n"),
        ("a version", "GET /public/x HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket/13\r\n"),
        ("TLS", "OPTIONS /public/x HTTP/1.1\r\nconnection: upgrade\r\nupgrade: TLS/1.2\r\n"),
    ] {
        let mut raw = scene.raw(APP).await;
        raw.send(format!("{head}host: app.localhost\r\n\r\nhi").as_bytes()).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!((answer.status, raw.is_closed().await), (400, true), "{name}");
    }
    assert_eq!(scene.app.bytes(), 0);
    let mut raw = scene.raw(APP).await;
    raw.send(handshake("/public/x", "").replace("websocket\r\nsec", "WebSocket\r\nsec").as_bytes()).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    assert_eq!((scene.app.last().one("upgrade"), scene.app.last().one("connection")), (Some("websocket"), Some("Upgrade")));
}

#[tokio::test]
async fn upg_03_nobody_switches_who_was_not_asked_to() {
    let app = Recorder::answering(Arc::new(|request| match request.target() {
        "/public/101" => Some(SWITCH.to_vec()),
        "/public/late" => Some([&b"HTTP/1.1 100 Continue\r\n\r\n"[..], SWITCH].concat()),
        _ => Some(ok("canary")),
    }))
    .await;
    let scene = Scene::in_front_of(Plan::default(), app).await;
    for target in ["/public/101", "/public/late"] {
        for method in ["GET", "POST"] {
            let mut raw = scene.raw(APP).await;
            raw.send(format!("{method} {target} HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 2\r\n\r\nhi").as_bytes()).await;
            let mut answer = raw.answer().await.unwrap();
            while answer.status == 100 {
                answer = raw.answer().await.unwrap();
            }
            assert_eq!(answer.status, 502, "{method} {target}");
            assert!(raw.is_closed().await, "{method} {target}");
            let mut frames = crate::frames::Frames::connect(scene.address(), &scene.ca, APP).await;
            assert_eq!(frames.send(&crate::frames::fields(method, APP, target), b"hi").await.status(), 502, "{method} {target} in HTTP/2");
        }
        let next = scene.ask(APP, "GET", "/public/next", &[]).await;
        assert_eq!((next.status, next.text().as_str()), (200, "canary"));
    }
    // The twin is asked to.
    let mut raw = scene.raw(APP).await;
    raw.send(handshake("/public/101", "").as_bytes()).await;
    assert_eq!(raw.answer().await.unwrap().status, 101);
}

#[tokio::test]
async fn upg_04_csrf_02_a_handshake_is_authorised_like_a_get() {
    let app = Recorder::answering(Arc::new(|_| Some(SWITCH.to_vec()))).await;
    let scene = Scene::in_front_of(Plan::default(), app).await;
    let vera = cookie_of(&scene.signed_in(APP, "vera").await);
    let ada = cookie_of(&scene.signed_in(APP, "ada").await);
    let bearer = scene.token("ada");
    for (name, target, more, status) in [
        ("nobody", "/private", String::new(), 401),
        (
            "nobody, from a page",
            "/private",
            "accept: text/html\r\nsec-fetch-mode: websocket\r\norigin: https://app.localhost\r\n".into(),
            401,
        ),
        ("a broken session", "/private", "cookie: __Host-doorward=x\r\n".into(), 401),
        ("no role", "/admin/x", format!("cookie: {vera}\r\n"), 403),
        ("closed", "/closed/x", format!("cookie: {ada}\r\n"), 403),
        ("another site's page", "/private", format!("cookie: {ada}\r\norigin: https://evil.test\r\n"), 403),
        ("a sandbox", "/private", format!("cookie: {ada}\r\norigin: null\r\n"), 403),
        ("another host of ours", "/private", format!("cookie: {ada}\r\norigin: https://api.localhost\r\n"), 403),
        ("without TLS", "/private", format!("cookie: {ada}\r\norigin: http://app.localhost\r\n"), 403),
        ("a longer name", "/private", format!("cookie: {ada}\r\norigin: https://app.localhost.evil.test\r\n"), 403),
        ("a port", "/private", format!("cookie: {ada}\r\norigin: https://app.localhost:444\r\n"), 403),
    ] {
        let mut raw = scene.raw(APP).await;
        raw.send(handshake(target, &more).as_bytes()).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!((answer.status, answer.field("location")), (status, None), "{name}");
        assert_eq!(scene.app.bytes(), 0, "{name}");
    }
    for (name, host, target, more) in [
        ("own page", APP, "/private", format!("cookie: {ada}\r\norigin: https://app.localhost\r\n")),
        ("a program with a session", APP, "/private", format!("cookie: {ada}\r\n")),
        ("the role", APP, "/admin/x", format!("cookie: {ada}\r\norigin: https://app.localhost\r\n")),
        // A token is not sent by itself: whose page it is does not matter.
        ("a bearer token", "api.localhost", "/items", format!("authorization: Bearer {bearer}\r\norigin: https://evil.test\r\n")),
    ] {
        let mut raw = scene.raw(host).await;
        raw.send(handshake(target, &more).replace("host: app.localhost", &format!("host: {host}")).as_bytes()).await;
        assert_eq!(raw.answer().await.unwrap().status, 101, "{name}");
        assert_eq!(scene.app.last().one("x-auth-user"), Some("auth0|ada"), "{name}");
        assert_eq!((scene.app.last().one("cookie"), scene.app.last().one("authorization")), (None, None), "{name}");
    }
}
