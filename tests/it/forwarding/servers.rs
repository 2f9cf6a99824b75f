//! Several servers: who is well, who is asked again, and what is never sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::scene::{APP, Scene};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{app, nobody, plan, read_head, until};

/// An app with a name and a health that a test can take away.
async fn named(name: &'static str) -> (Recorder, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(true));
    let health = well.clone();
    let recorder = Recorder::answering(Arc::new(move |request| {
        let is_check = request.target() == "/healthz";
        Some(if is_check && !health.load(Ordering::Relaxed) {
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_vec()
        } else {
            ok(name)
        })
    }))
    .await;
    (recorder, well)
}

/// Who answers eight times in a row.
async fn answering(scene: &Scene) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..8 {
        let answer = scene.ask(APP, "GET", "/public/x", &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        names.push(answer.text());
    }
    names.sort();
    names.dedup();
    names
}

#[tokio::test]
async fn traffic_leaves_a_server_that_is_not_well_and_comes_back() {
    let ((one, one_well), (two, two_well)) = (named("one").await, named("two").await);
    let upstream = format!("{{ servers: [\"{}\", \"{}\"], health: {{ path: /healthz, every: 1s }} }}", one.address(), two.address());
    let scene = Scene::with(plan(&upstream, "")).await;
    let healthy = "doorward_upstream_healthy_servers{route=\"app\"}";
    until(&scene, healthy, 2.0).await;
    assert_eq!(answering(&scene).await, ["one", "two"]);
    one_well.store(false, Ordering::Relaxed);
    until(&scene, healthy, 1.0).await;
    assert_eq!(answering(&scene).await, ["two"]);
    two_well.store(false, Ordering::Relaxed);
    until(&scene, healthy, 0.0).await;
    let nobody = scene.browser(APP).go("/public/x").await;
    assert_eq!(nobody.status, 503);
    assert!(nobody.text().contains("The app is not available"));
    let line = scene.log().await.pop().unwrap();
    assert_eq!((line["status"].as_u64(), line["error"].as_str()), (Some(503), Some("no_server")));
    one_well.store(true, Ordering::Relaxed);
    two_well.store(true, Ordering::Relaxed);
    until(&scene, healthy, 2.0).await;
    assert_eq!(answering(&scene).await, ["one", "two"]);
    // A health check is nobody's request: it carries no identity and no address.
    let check = one.seen().into_iter().find(|request| request.target() == "/healthz").unwrap();
    assert_eq!((check.one("x-auth-user"), check.one("x-forwarded-for"), check.one("cookie")), (None, None, None));
}

#[tokio::test]
async fn a_server_that_is_gone_costs_nobody_a_request() {
    let (one, _) = named("one").await;
    let (_held, gone) = nobody();
    let scene = Scene::with(plan(&format!("{{ servers: [\"{}\", \"{gone}\"] }}", one.address()), "")).await;
    assert_eq!(answering(&scene).await, ["one"]);
    for _ in 0..4 {
        assert_eq!(scene.browser(APP).request("POST", "/public/x", &[], b"once").await.status, 200);
    }
    assert_eq!(one.seen().iter().filter(|request| request.body == b"once").count(), 4);
    // HDR-04: the second server is told what the first would have been, once.
    let mut ada = scene.signed_in(APP, "ada").await;
    for _ in 0..4 {
        assert_eq!(ada.request("GET", "/private", &[("x-auth-user", "eve"), ("x-forwarded-for", "10.0.0.1")], b"").await.status, 200);
        let seen = one.last();
        assert_eq!(
            (seen.all("x-auth-user"), seen.all("x-forwarded-for"), seen.all("host")),
            (vec!["auth0|ada"], vec!["127.0.0.1"], vec![APP])
        );
    }
    assert!(scene.metric("doorward_upstream_errors_total{kind=\"connect\",route=\"app\"}").await >= 1.0);
}

#[tokio::test]
async fn err_02_a_post_is_never_sent_twice_whatever_becomes_of_the_connection() {
    let posts = Arc::new(AtomicUsize::new(0));
    let gets = Arc::new(AtomicUsize::new(0));
    let counting = (posts.clone(), gets.clone());
    // The first request of a connection is answered, the second is read and the connection ends: a pooled one that died.
    let address = app(move |mut socket, first| {
        let (posts, gets) = counting.clone();
        async move {
            let count = |head: &str| {
                if head.starts_with("POST") { posts.fetch_add(1, Ordering::Relaxed) } else { gets.fetch_add(1, Ordering::Relaxed) }
            };
            if first.contains("/public/cut") {
                count(&first);
                return;
            }
            let _ = socket.write_all(&ok("first")).await;
            let second = read_head(&mut socket).await;
            if !second.is_empty() {
                count(&second);
                let mut body = [0; 4];
                let _ = tokio::time::timeout(Duration::from_millis(100), socket.read(&mut body)).await;
            }
        }
    })
    .await;
    let scene = Scene::with(plan(&format!("http://{address}"), "")).await;
    let mut raw = scene.raw(APP).await;
    // On a new connection.
    raw.send(b"POST /public/cut HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 4\r\n\r\nonce").await;
    assert_eq!(raw.answer().await.unwrap().status, 502);
    assert_eq!(posts.load(Ordering::Relaxed), 1);
    // On one that was used before.
    let mut raw = scene.raw(APP).await;
    raw.send(b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.answer().await.unwrap().text(), "first");
    raw.send(b"POST /public/x HTTP/1.1\r\nhost: app.localhost\r\ncontent-length: 4\r\n\r\nonce").await;
    assert_eq!(raw.answer().await.unwrap().status, 502);
    assert_eq!(posts.load(Ordering::Relaxed), 2);
    // The twin: a GET on a dead connection is asked again on a new one.
    let mut raw = scene.raw(APP).await;
    raw.send(b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.answer().await.unwrap().text(), "first");
    raw.send(b"GET /public/x HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    assert_eq!(raw.answer().await.unwrap().text(), "first");
    assert_eq!((gets.load(Ordering::Relaxed), posts.load(Ordering::Relaxed)), (1, 2));
}
