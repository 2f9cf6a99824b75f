//! Bodies: they flow, and they end at a limit.

use std::sync::Arc;
use std::time::Duration;

use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::scene::{APP, Plan, Scene};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc};

use super::{PATIENCE, app, plan};
use crate::frames::{self, Frames, fields};

/// Larger than any buffer on the way.
const LARGE: usize = 6 << 20;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[tokio::test]
async fn large_bodies_arrive_whole_both_ways_in_both_protocols() {
    let large = pattern(LARGE);
    let answer = [format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n").as_bytes(), &large].concat();
    let recorder =
        Recorder::answering(Arc::new(move |request| Some(if request.line().starts_with("GET") { answer.clone() } else { ok("taken") })))
            .await;
    let scene = Scene::in_front_of(Plan::default(), recorder).await;
    assert!(scene.ask(APP, "GET", "/public/x", &[]).await.body == large, "HTTP/1.1 down");
    let request = |method: &str| http::Request::builder().method(method).uri("https://app.localhost/public/x").body(()).unwrap();
    let answer = frames::ask(scene.address(), &scene.ca, request("GET"), b"").await.unwrap();
    assert!(*answer.body() == large, "HTTP/2 down");

    let mut browser = scene.browser(APP);
    assert_eq!(browser.request("POST", "/public/x", &[], &large).await.text(), "taken");
    assert!(scene.app.last().body == large, "HTTP/1.1 up");
    let chunks: Vec<u8> = large
        .chunks(100_000)
        .flat_map(|part| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat())
        .chain(*b"0\r\n\r\n")
        .collect();
    let mut raw = scene.raw(APP).await;
    raw.send(b"POST /public/x HTTP/1.1\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n").await;
    raw.send(&chunks).await;
    assert_eq!(raw.answer().await.unwrap().text(), "taken");
    assert!(scene.app.last().body == large, "HTTP/1.1 up in chunks");
    // What the library may send at once; the rest waits for the window.
    let part = &large[..60_000];
    assert_eq!(frames::ask(scene.address(), &scene.ca, request("POST"), part).await.unwrap().body(), b"taken");
    assert!(scene.app.last().body == part, "HTTP/2 up");
}

#[tokio::test]
async fn bodies_flow_up_before_they_are_complete() {
    let (told, mut hears) = mpsc::unbounded_channel();
    let address = app(move |mut socket, _| {
        let told = told.clone();
        async move {
            let mut bytes = vec![0; 4096];
            while let Ok(read @ 1..) = socket.read(&mut bytes).await {
                let _ = told.send(bytes[..read].to_vec());
                if bytes[..read].ends_with(b"0\r\n\r\n") || bytes[..read].ends_with(b"last") {
                    let _ = socket.write_all(&ok("done")).await;
                }
            }
        }
    })
    .await;
    let scene = Scene::with(plan(&format!("http://{address}"), "")).await;
    let mut heard = async |part: &[u8]| {
        let mut all = Vec::new();
        let hearing = async {
            while !all.windows(part.len()).any(|window| window == part) {
                all.extend(hears.recv().await.unwrap());
            }
        };
        assert!(tokio::time::timeout(PATIENCE, hearing).await.is_ok(), "never heard {:?}", String::from_utf8_lossy(part));
    };
    let mut raw = scene.raw(APP).await;
    raw.send(b"POST /public/x HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 9\r\n\r\nfirst").await;
    heard(b"first").await;
    raw.send(b"last").await;
    heard(b"last").await;
    assert_eq!(raw.answer().await.unwrap().text(), "done");
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    let stream = frames.begin(&fields("POST", APP, "/public/x"), false).await;
    frames.frame(frames::DATA, 0, stream, b"first").await;
    heard(b"first").await;
    frames.frame(frames::DATA, frames::END_STREAM, stream, b"last").await;
    heard(b"0\r\n\r\n").await;
    assert_eq!(frames.outcome(stream).await.status(), 200);
}

#[tokio::test]
async fn server_sent_events_come_one_by_one_and_silence_is_no_fault() {
    let (say, words) = mpsc::unbounded_channel::<String>();
    let words = Arc::new(Mutex::new(words));
    let address = app(move |mut socket, _| {
        let words = words.clone();
        async move {
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await;
            let mut words = words.lock().await;
            while let Some(word) = words.recv().await {
                let _ = socket.write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes()).await;
                if word == "bye" {
                    let _ = socket.write_all(b"0\r\n\r\n").await;
                    return;
                }
            }
        }
    })
    .await;
    let scene = Scene::with(plan(&format!("{{ servers: [\"{address}\"], read: 300ms }}"), "")).await;
    let ada = super::cookie_of(&scene.signed_in(APP, "ada").await);
    let mut raw = scene.raw(APP).await;
    raw.send(
        format!("GET /private/events HTTP/1.1\r\nhost: app.localhost\r\ncookie: {ada}\r\naccept: text/event-stream\r\n\r\n").as_bytes(),
    )
    .await;
    let mut came = String::new();
    for word in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        say.send(word.into()).unwrap();
        while !came.contains(word) {
            let more = tokio::time::timeout(PATIENCE, raw.more()).await.unwrap();
            assert!(!more.is_empty(), "ended after {came}");
            came.push_str(&String::from_utf8_lossy(&more));
        }
        // Longer than the app may take to answer.
        tokio::time::sleep(Duration::from_millis(450)).await;
    }
    say.send("bye".into()).unwrap();
    while !came.contains("bye") {
        came.push_str(&String::from_utf8_lossy(&tokio::time::timeout(PATIENCE, raw.more()).await.unwrap()));
    }
    // The twin says that it wants no stream: silence is a fault.
    let mut raw = scene.raw(APP).await;
    raw.send(format!("GET /private/events HTTP/1.1\r\nhost: app.localhost\r\ncookie: {ada}\r\naccept: */*\r\n\r\n").as_bytes()).await;
    assert!(raw.answer().await.is_none(), "the answer breaks off");
}

#[tokio::test]
async fn dos_06_a_body_over_the_limit_is_413_and_the_app_never_sees_its_end() {
    let plan = plan("UPSTREAM", "    limits: { body: 64KiB }\n");
    let scene = Scene::with(plan).await;
    let over = pattern(64 * 1024 + 1);
    let at = &over[..64 * 1024];
    let chunked = |body: &[u8]| {
        body.chunks(8000)
            .flat_map(|part| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat())
            .chain(*b"0\r\n\r\n")
            .collect::<Vec<u8>>()
    };
    // Announced: refused before a byte goes on.
    let answer = scene.browser(APP).request("POST", "/public/x", &[], &over).await;
    assert_eq!((answer.status, answer.json()["error"].as_str(), scene.app.bytes()), (413, Some("body_too_large"), 0));
    let mut raw = scene.raw(APP).await;
    raw.send(b"POST /public/x HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 999999999999\r\nexpect: 100-continue\r\n\r\n").await;
    assert_eq!((raw.answer().await.unwrap().status, scene.app.bytes()), (413, 0));
    // Not announced: the app sees that something came, but no end of it.
    let mut raw = scene.raw(APP).await;
    raw.send(b"POST /public/x HTTP/1.1\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n").await;
    raw.send(&chunked(&over)).await;
    let answer = raw.answer().await.unwrap();
    assert_eq!((answer.status, answer.json()["error"].as_str()), (413, Some("body_too_large")));
    assert!(raw.is_closed().await);
    assert!(scene.app.seen().is_empty());
    let line = scene.log().await.pop().unwrap();
    assert_eq!(
        (line["status"].as_u64(), line["decision"].as_str(), line["reason"].as_str()),
        (Some(413), Some("deny"), Some("body_too_large"))
    );
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    let stream = frames.begin(&fields("POST", APP, "/public/x"), false).await;
    for part in over[..60_000].chunks(15_000) {
        frames.frame(frames::DATA, 0, stream, part).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    frames.frame(frames::DATA, 0, stream, &over[..6000]).await;
    assert_eq!(frames.outcome(stream).await.status(), 413);
    assert!(scene.app.seen().is_empty());
    let length = over.len().to_string();
    let mut frames = Frames::connect(scene.address(), &scene.ca, APP).await;
    let stream = frames.begin(&[fields("POST", APP, "/public/x"), vec![(b"content-length", length.as_bytes())]].concat(), false).await;
    assert_eq!(frames.outcome(stream).await.status(), 413);
    assert!(scene.app.seen().is_empty());
    // The twins: not a byte over.
    assert_eq!(scene.browser(APP).request("POST", "/public/x", &[], at).await.status, 200);
    assert!(scene.app.last().body == at);
    let mut raw = scene.raw(APP).await;
    raw.send(b"POST /public/x HTTP/1.1\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n").await;
    raw.send(&chunked(at)).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    assert!(scene.app.last().body == at);
    // Another route has the limit of everybody.
    assert_eq!(scene.browser("api.localhost").request("POST", "/open/x", &[], &over).await.status, 200);
}

#[tokio::test]
async fn a_refused_upload_gets_its_answer_although_nobody_reads_the_rest() {
    let scene = Scene::with(plan("UPSTREAM", "    limits: { body: 64KiB }\n")).await;
    let large = pattern(LARGE);
    for (name, target, status) in [("nobody", "/private", 401), ("closed", "/closed/x", 403), ("too large", "/public/x", 413)] {
        for round in 0..3 {
            let answer = scene.browser(APP).request("POST", target, &[], &large).await;
            assert_eq!(answer.status, status, "{name}, round {round}");
        }
    }
    assert_eq!(scene.app.bytes(), 0);
    let chunks: Vec<u8> = large
        .chunks(100_000)
        .flat_map(|part| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat())
        .chain(*b"0\r\n\r\n")
        .collect();
    for (name, target, status) in [("nobody", "/private", 401), ("too large", "/public/x", 413)] {
        let mut raw = scene.raw(APP).await;
        raw.send(format!("POST {target} HTTP/1.1\r\nhost: app.localhost\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes()).await;
        raw.send(&chunks).await;
        assert_eq!(raw.answer().await.map_or(0, |answer| answer.status), status, "{name}, in chunks");
    }
}
