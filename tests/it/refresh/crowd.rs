//! Many people at once, and nobody is taken for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_tests::client::Raw;
use doorward_tests::scene::Scene;

use super::*;

const PEOPLE: usize = 1000;
/// Fewer than people: they are shared, and the next request on one is somebody else's.
const CONNECTIONS: usize = 64;
/// Requests of each.
const EACH: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refr_12_a_thousand_people_are_refreshed_at_once_and_none_is_another() {
    let idp = HostileIdp::start().await;
    let scene = Arc::new(Scene::with(hostile_plan(&idp)).await);
    let mut cookies = Vec::new();
    for number in 0..PEOPLE {
        let user = User::new(&format!("auth0|{number}")).with("email", format!("{number}@acme.dev"));
        let (name, value) = begun(&scene, &idp, &user, clock::now()).await;
        cookies.push(format!("{name}={value}"));
    }
    let (next, cookies) = (Arc::new(AtomicUsize::new(0)), Arc::new(cookies));
    let workers = (0..CONNECTIONS).map(|_| {
        let (scene, cookies, next) = (scene.clone(), cookies.clone(), next.clone());
        tokio::spawn(async move {
            let mut raw: Raw = scene.raw(APP).await;
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= PEOPLE * EACH {
                    return;
                }
                // Neighbours in time are requests of the same person and of others.
                let person = (at / 2) % PEOPLE;
                raw.send(format!("GET /of/{person} HTTP/1.1\r\nhost: {APP}\r\ncookie: {}\r\n\r\n", cookies[person]).as_bytes()).await;
                let answer = raw.answer().await.unwrap();
                assert_eq!(answer.status, 200, "{person}: {}", answer.text());
            }
        })
    });
    for worker in futures::future::join_all(workers).await {
        worker.unwrap();
    }
    let seen = scene.app.seen();
    assert_eq!(seen.len(), PEOPLE * EACH);
    for request in &seen {
        let person = request.target().trim_start_matches("/of/");
        assert_eq!(request.one("x-auth-user"), Some(format!("auth0|{person}").as_str()));
        assert_eq!(request.one("x-auth-email"), Some(format!("{person}@acme.dev").as_str()));
    }
    assert_eq!((asked_there(&idp), outcomes(&scene, "ok").await), (PEOPLE, 1000.0), "one refresh for each");
}
