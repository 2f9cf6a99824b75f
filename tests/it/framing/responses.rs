//! An app that answers what no app should: nobody gets another's answer for it.

use std::sync::Arc;

use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::scene::{APP, Plan, Scene};

/// An answer that would be somebody else's, if anybody read it.
const STRAY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-stray: 1\r\n\r\nstray";

#[tokio::test]
async fn smug_45_a_malformed_answer_is_502_and_poisons_nobodys_connection() {
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
    let rows: Vec<(&str, String, &[u16])> = vec![
        ("two lengths", head("content-length: 2\r\ncontent-length: 7\r\n") + "hi", &[502]),
        ("two lengths in a list", head("content-length: 2, 7\r\n") + "hi", &[502]),
        ("a length that is none", head("content-length: x\r\n") + "hi", &[502]),
        ("a negative length", head("content-length: -1\r\n") + "hi", &[502]),
        ("length and coding", head("content-length: 2\r\ntransfer-encoding: chunked\r\n") + "2\r\nhi\r\n0\r\n\r\n" + STRAY, &[200, 502]),
        ("bytes after the answer", head("content-length: 2\r\n") + "hi" + STRAY, &[200]),
        ("bytes after an answer without content", format!("HTTP/1.1 204 No Content\r\n\r\n{STRAY}"), &[204]),
        ("content where there is none", format!("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n{STRAY}"), &[304]),
        ("bytes after the last chunk", head("transfer-encoding: chunked\r\n") + "2\r\nhi\r\n0\r\n\r\n" + STRAY, &[200]),
        ("a field without a colon", head("nonsense\r\n") + STRAY, &[502]),
        ("a bare CR in a field", head("x-a: b\rc\r\ncontent-length: 2\r\n") + "hi", &[502]),
        ("NUL in a field", head("x-a: b\0c\r\ncontent-length: 2\r\n") + "hi", &[502]),
        ("no HTTP at all", "hello\r\n\r\n".into(), &[502]),
        ("a word for a status", "HTTP/1.1 abc OK\r\n\r\n".into(), &[502]),
        ("status 99", "HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n".into(), &[502]),
        ("nothing", String::new(), &[502]),
        ("half a head", "HTTP/1.1 200 OK\r\ncontent-le".into(), &[502]),
        ("a head of 2 MiB", head(&format!("x-a: {}\r\ncontent-length: 0\r\n", "y".repeat(2 << 20))), &[502]),
    ];
    let answers: Vec<Vec<u8>> = rows.iter().map(|(_, bytes, _)| bytes.clone().into_bytes()).collect();
    let app = Recorder::answering(Arc::new(move |request| match request.target().strip_prefix("/public/row/") {
        // An empty or half answer is followed by the end of the connection.
        Some(number) => Some(answers[number.parse::<usize>().unwrap()].clone()).filter(|bytes| !bytes.is_empty()),
        None => Some(ok("canary")),
    }))
    .await;
    let routes =
        Plan::default().routes.replace("upstream: UPSTREAM", &format!("upstream: {{ servers: [\"{}\"], read: 700ms }}", app.address()));
    let scene = Scene::in_front_of(Plan { routes, ..Plan::default() }, app).await;
    for (number, (name, _, expected)) in rows.iter().enumerate() {
        let target = format!("/public/row/{number}");
        for protocol in ["HTTP/1.1", "HTTP/2"] {
            let status = if protocol == "HTTP/2" {
                let mut frames = crate::frames::Frames::connect(scene.address(), &scene.ca, APP).await;
                frames.ask(&crate::frames::fields("GET", APP, &target)).await.status()
            } else {
                let mut raw = scene.raw(APP).await;
                raw.send(format!("GET {target} HTTP/1.1\r\nhost: app.localhost\r\n\r\n").as_bytes()).await;
                let status = raw.answer().await.map_or(0, |answer| answer.status);
                // Where the connection to the client goes on, the next answer on it is the next request's.
                raw.send(b"GET /public/next HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
                if let Some(next) = raw.answer().await {
                    assert_eq!((next.status, next.text().as_str()), (200, "canary"), "{name}");
                }
                status
            };
            assert!(expected.contains(&status) || (*name == "half a head" && status == 504), "{name} in {protocol}: {status}");
            for _ in 0..3 {
                let next = scene.ask(APP, "GET", "/public/next", &[]).await;
                assert_eq!((next.status, next.text().as_str(), next.field("x-stray")), (200, "canary", None), "{name} in {protocol}");
            }
        }
    }
}

#[tokio::test]
async fn smug_45_head_and_early_answers_stay_in_step() {
    let app = Recorder::answering(Arc::new(|request| match request.target() {
        // HEAD, answered with a body all the same.
        "/public/body" => Some(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{STRAY}", STRAY.len()).into_bytes()),
        "/public/storm" => Some(["HTTP/1.1 102 Processing\r\n\r\n".repeat(50).as_bytes(), &ok("calm")].concat()),
        "/public/continues" => Some([&b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"[..], &ok("calm")].concat()),
        _ => Some(ok("canary")),
    }))
    .await;
    let scene = Scene::in_front_of(Plan::default(), app).await;
    let mut raw = scene.raw(APP).await;
    raw.send(b"HEAD /public/body HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.head_answer().await.unwrap().status, 200);
    raw.send(b"GET /public/next HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    if let Some(next) = raw.answer().await {
        assert_eq!(next.text(), "canary");
    }
    assert_eq!(scene.ask(APP, "GET", "/public/next", &[]).await.text(), "canary");
    for target in ["/public/storm", "/public/continues"] {
        let mut raw = scene.raw(APP).await;
        raw.send(format!("POST {target} HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 2\r\n\r\nhi").as_bytes()).await;
        let mut answer = raw.answer().await.unwrap();
        while answer.status < 200 {
            assert!(answer.body.is_empty());
            answer = raw.answer().await.unwrap();
        }
        assert_eq!((answer.status, answer.text().as_str()), (200, "calm"), "{target}");
        assert_eq!(scene.ask(APP, "GET", "/public/next", &[]).await.text(), "canary", "{target}");
    }
}

#[tokio::test]
async fn smug_45_an_answer_that_breaks_off_never_looks_whole() {
    let app = Recorder::answering(Arc::new(|request| match request.target() {
        "/public/length" => Some(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec()),
        "/public/chunked" => Some(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n".to_vec()),
        "/public/badchunk" => Some(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n".to_vec()),
        _ => Some(ok("canary")),
    }))
    .await;
    let routes =
        Plan::default().routes.replace("upstream: UPSTREAM", &format!("upstream: {{ servers: [\"{}\"], read: 300ms }}", app.address()));
    let scene = Scene::in_front_of(Plan { routes, ..Plan::default() }, app).await;
    for target in ["/public/length", "/public/chunked", "/public/badchunk"] {
        let mut raw = scene.raw(APP).await;
        raw.send(
            format!("GET {target} HTTP/1.1\r\nhost: app.localhost\r\n\r\nGET /public/next HTTP/1.1\r\nhost: app.localhost\r\n\r\n")
                .as_bytes(),
        )
        .await;
        // Either the client sees that it broke off, with what came before, or it gets a page that says so.
        let answer = raw.answer().await;
        let broke_off = answer.is_none();
        assert!(answer.is_none_or(|answer| answer.status >= 500), "{target}");
        let rest = String::from_utf8(raw.rest().await).unwrap();
        assert!(!rest.contains("canary") && (broke_off || rest.is_empty()), "{target}: {rest}");
        assert!(raw.is_closed().await, "{target}");
        let mut frames = crate::frames::Frames::connect(scene.address(), &scene.ca, APP).await;
        let outcome = frames.ask(&crate::frames::fields("GET", APP, target)).await;
        assert!(!matches!(outcome, crate::frames::Outcome::Answer { status: 200, .. }), "{target}: {outcome:?}");
        assert_eq!(scene.ask(APP, "GET", "/public/next", &[]).await.text(), "canary", "{target}");
    }
}
