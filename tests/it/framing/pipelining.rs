//! Several requests on one connection, and bodies that look like requests.

use std::time::Duration;

use doorward_tests::client::Raw;
use doorward_tests::scene::{APP, Scene};

use super::cookie_of;
use crate::frames::{self, Frames, Outcome, fields};

const SMUGGLED: &[u8] = b"GET /public/smuggled HTTP/1.1\r\nhost: app.localhost\r\n\r\n";
/// Refused when it is judged: whoever answers anything else has not judged it.
const MALFORMED: &[u8] =
    b"POST /public/smuggled HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";

/// The app saw nothing of what was hidden.
#[track_caller]
fn assert_not_smuggled(scene: &Scene, name: &str) {
    assert!(!scene.app.seen().iter().any(|request| request.line().contains("smuggled")), "{name}: {:?}", scene.app.seen());
}

async fn next(raw: &mut Raw) -> u16 {
    raw.answer().await.map_or(0, |answer| answer.status)
}

#[tokio::test]
async fn smug_35_hdr_42_pipelined_requests_of_two_users_keep_their_order_and_their_names() {
    let scene = Scene::start().await;
    let users =
        [("auth0|ada", cookie_of(&scene.signed_in(APP, "ada").await)), ("auth0|vera", cookie_of(&scene.signed_in(APP, "vera").await))];
    let mut bytes = Vec::new();
    for number in 0..200 {
        let (_, cookie) = &users[number % 2];
        match number % 3 {
            0 => bytes
                .extend_from_slice(format!("GET /private/{number} HTTP/1.1\r\nhost: app.localhost\r\ncookie: {cookie}\r\n\r\n").as_bytes()),
            1 => bytes.extend_from_slice(
                format!("POST /private/{number} HTTP/1.1\r\nhost: app.localhost\r\ncookie: {cookie}\r\ncontent-length: 3\r\n\r\nabc")
                    .as_bytes(),
            ),
            // Nobody, between the two.
            _ => bytes.extend_from_slice(format!("GET /private/{number} HTTP/1.1\r\nhost: app.localhost\r\n\r\n").as_bytes()),
        }
    }
    let mut raw = scene.raw(APP).await;
    raw.send(&bytes).await;
    for number in 0..200 {
        assert_eq!(next(&mut raw).await, if number % 3 == 2 { 401 } else { 200 }, "{number}");
    }
    let seen = scene.app.seen();
    let expected: Vec<usize> = (0..200).filter(|number| number % 3 != 2).collect();
    assert_eq!(seen.len(), expected.len());
    for (request, number) in seen.iter().zip(expected) {
        assert_eq!(
            (request.target(), request.one("x-auth-user")),
            (format!("/private/{number}").as_str(), Some(users[number % 2].0)),
            "{}",
            request.head
        );
        assert_eq!(request.body, if number % 3 == 1 { &b"abc"[..] } else { b"" });
    }
}

#[tokio::test]
async fn smug_35_garbage_after_a_good_request_is_refused_and_close_means_close() {
    let scene = Scene::start().await;
    let good = b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n\r\n";
    let mut raw = scene.raw(APP).await;
    raw.send(&[&good[..], MALFORMED, SMUGGLED].concat()).await;
    assert_eq!((next(&mut raw).await, next(&mut raw).await, raw.is_closed().await), (200, 400, true));
    let mut raw = scene.raw(APP).await;
    raw.send(&[&b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n"[..], SMUGGLED].concat()).await;
    assert_eq!((next(&mut raw).await, raw.is_closed().await), (200, true));
    let mut raw = scene.raw(APP).await;
    raw.send(&[&b"GET /public/x HTTP/1.0\r\nhost: app.localhost\r\n\r\n"[..], SMUGGLED].concat()).await;
    assert_eq!((next(&mut raw).await, raw.is_closed().await), (200, true));
    assert_not_smuggled(&scene, "close");
    // The twin: what would have been hidden is answered where it is a request.
    let mut raw = scene.raw(APP).await;
    raw.send(&[&good[..], SMUGGLED].concat()).await;
    assert_eq!((next(&mut raw).await, next(&mut raw).await), (200, 200));
}

#[tokio::test]
async fn smug_03_04_a_body_is_never_read_as_a_request_when_the_answer_comes_before_it() {
    let scene = Scene::start().await;
    let length = SMUGGLED.len();
    let chunked = [format!("{length:x}\r\n").as_bytes(), SMUGGLED, b"\r\n0\r\n\r\n"].concat();
    for (name, target, status) in [
        ("401", "/private", 401),
        ("403", "/closed/x", 403),
        ("an own endpoint", "/_doorward/whoami", 0),
        ("404 of our own", "/_doorward/nothing", 404),
        ("400 of the path", "/public/%2f", 400),
    ] {
        for method in ["GET", "POST"] {
            for (framing, body) in
                [(format!("content-length: {length}"), SMUGGLED.to_vec()), ("transfer-encoding: chunked".to_owned(), chunked.clone())]
            {
                for whole in [true, false] {
                    let name = format!("{name}, {method}, {framing}, {}", if whole { "in one" } else { "in two" });
                    scene.app.forget();
                    let mut raw = scene.raw(APP).await;
                    let head = format!("{method} {target} HTTP/1.1\r\nhost: app.localhost\r\n{framing}\r\n\r\n");
                    if whole {
                        raw.send(&[head.as_bytes(), &body].concat()).await;
                    } else {
                        raw.send(head.as_bytes()).await;
                    }
                    let answer = raw.answer().await.unwrap_or_else(|| panic!("{name}: no answer"));
                    assert!(status == 0 || answer.status == status, "{name}: {}", answer.status);
                    if !whole {
                        raw.send(&body).await;
                    }
                    assert!(raw.is_closed().await, "{name}: goes on");
                    assert_eq!(scene.app.bytes(), 0, "{name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn smug_04_an_answer_of_the_app_before_the_body_ends_the_connection() {
    // It answers as soon as it has the head, as gadgets do.
    let app = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = app.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut socket, _)) = app.accept().await {
            tokio::spawn(async move {
                let mut bytes = vec![0; 4096];
                while let Ok(read @ 1..) = socket.read(&mut bytes).await {
                    assert!(!bytes[..read].starts_with(b"GET /public/smuggled"), "the body became a request");
                    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly").await;
                }
            });
        }
    });
    let routes = doorward_tests::scene::Plan::default().routes.replace("UPSTREAM", &format!("http://{address}"));
    let scene = Scene::with(doorward_tests::scene::Plan { routes, ..Default::default() }).await;
    let mut raw = scene.raw(APP).await;
    raw.send(format!("POST /public/x HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: {}\r\n\r\n", SMUGGLED.len()).as_bytes()).await;
    let answer = raw.answer().await.unwrap();
    assert_eq!(answer.text(), "early");
    raw.send(SMUGGLED).await;
    assert!(raw.is_closed().await);
    // Whoever comes next gets an answer of their own.
    let next = scene.ask(APP, "GET", "/public/next", &[]).await;
    assert_eq!((next.status, next.text().as_str()), (200, "early"));
}

#[tokio::test]
async fn what_follows_a_chunked_request_is_judged_like_any_other() {
    let scene = Scene::start().await;
    let chunked = b"POST /public/x HTTP/1.1\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    // The end of a chunked body and the next head in one read, in two, and after the answer.
    for (name, first, second) in [
        ("at once", [&chunked[..], MALFORMED, SMUGGLED].concat(), vec![]),
        ("within the end", chunked[..chunked.len() - 3].to_vec(), [&b"\n\r\n"[..], MALFORMED, SMUGGLED].concat()),
        ("later", chunked.to_vec(), [MALFORMED, SMUGGLED].concat()),
    ] {
        for round in 0..5 {
            let mut raw = scene.raw(APP).await;
            raw.send(&first).await;
            if name == "later" {
                assert_eq!(next(&mut raw).await, 200, "{name}, round {round}");
            }
            raw.send(&second).await;
            if name != "later" {
                assert_eq!(next(&mut raw).await, 200, "{name}, round {round}");
            }
            assert_eq!((next(&mut raw).await, raw.is_closed().await), (400, true), "{name}, round {round}");
            assert_eq!(scene.app.last().body, b"hello", "{name}, round {round}");
            assert_not_smuggled(&scene, name);
        }
    }
    // The twin: three good ones at once.
    scene.app.forget();
    let mut raw = scene.raw(APP).await;
    raw.send(&[&chunked[..], chunked, SMUGGLED].concat()).await;
    assert_eq!((next(&mut raw).await, next(&mut raw).await, next(&mut raw).await), (200, 200, 200));
    assert_eq!(scene.app.seen().len(), 3);
}

#[tokio::test]
async fn smug_10_a_body_without_a_length_is_no_body() {
    let scene = Scene::start().await;
    let mut raw = scene.raw(APP).await;
    raw.send(&[&b"POST /public/x HTTP/1.0\r\nhost: app.localhost\r\nconnection: keep-alive\r\n\r\n"[..], MALFORMED].concat()).await;
    let mut statuses = Vec::new();
    while let Some(answer) = raw.answer().await {
        statuses.push(answer.status);
    }
    assert!(matches!(statuses[..], [200] | [200, 400] | [400]), "{statuses:?}");
    assert_not_smuggled(&scene, "1.0");
}

#[tokio::test]
async fn pingora_935_an_empty_last_frame_ends_the_body_once() {
    let scene = Scene::start().await;
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    for (name, parts) in [
        ("an empty last frame", &[&b"hello"[..], b""][..]),
        ("only an empty frame", &[b""]),
        ("two empty frames", &[b"hello", b"", b""]),
        ("the twin", &[b"hello"]),
    ] {
        scene.app.forget();
        let stream = frames.begin(&fields("POST", APP, "/public/x"), false).await;
        for (at, part) in parts.iter().enumerate() {
            let flags = if at + 1 == parts.len() { frames::END_STREAM } else { 0 };
            tokio::time::sleep(Duration::from_millis(30)).await;
            frames.frame(frames::DATA, flags, stream, part).await;
        }
        assert_eq!(frames.outcome(stream).await.status(), 200, "{name}");
        let raw = String::from_utf8_lossy(&scene.app.raw()).into_owned();
        let body = parts.concat();
        assert_eq!(scene.app.last().body, body, "{name}");
        assert!(raw.matches("0\r\n\r\n").count() <= 1, "{name}: {raw}");
        assert_eq!(frames.ask(&fields("GET", APP, "/public/next")).await.status(), 200, "{name}");
        assert_eq!(scene.app.seen().len(), 2, "{name}");
        assert_eq!(scene.app.last().line(), "GET /public/next HTTP/1.1", "{name}");
    }
}

#[tokio::test]
async fn h2_11_a_length_that_is_not_the_bodys_never_becomes_a_request() {
    let scene = Scene::start().await;
    for (name, length, body) in [("less", "10", &b"hello"[..]), ("more", "2", b"hello"), ("none", "5", b"")] {
        let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
        let request = [fields("POST", APP, "/public/x"), vec![(b"content-length", length.as_bytes())]].concat();
        let outcome = if body.is_empty() { frames.ask(&request).await } else { frames.send(&request, body).await };
        assert!(!matches!(outcome, Outcome::Answer { status: 200, .. }), "{name}: {outcome:?}");
        assert!(scene.app.seen().is_empty(), "{name}");
        let next = scene.ask(APP, "GET", "/public/next", &[]).await;
        assert_eq!((next.status, scene.app.last().target()), (200, "/public/next"), "{name}");
        scene.app.forget();
    }
    for (name, length) in [("two lengths", "5, 5"), ("a sign", "+5"), ("no number", "x")] {
        let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
        let outcome =
            frames.send(&[fields("POST", APP, "/public/x"), vec![(b"content-length", length.as_bytes())]].concat(), b"hello").await;
        assert!(outcome.is_refused(), "{name}: {outcome:?}");
        assert!(scene.app.seen().is_empty(), "{name}");
    }
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    assert_eq!(frames.send(&[fields("POST", APP, "/public/x"), vec![(b"content-length", b"5")]].concat(), b"hello").await.status(), 200);
    assert_eq!((scene.app.last().one("content-length"), scene.app.last().body.as_slice()), (Some("5"), &b"hello"[..]));
    // h2_14: without a length it is chunked.
    assert_eq!(frames.send(&fields("POST", APP, "/public/x"), b"hello").await.status(), 200);
    assert_eq!((scene.app.last().one("transfer-encoding"), scene.app.last().body.as_slice()), (Some("chunked"), &b"hello"[..]));
}
