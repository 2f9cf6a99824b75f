//! A thousand reloads under requests from many connections.
//!
//! Two configurations differ in two places: who may pass, and what the app is told. Under either, what passes is told what
//! belongs to it; a request that saw half of both would be told the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use doorward_tests::client::Browser;
use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::scene::{API, APP, Plan, Scene};

use super::until;

const RELOADS: usize = 1_000;
/// Each with one request after the other, for as long as the reloads go on.
const CONNECTIONS: usize = 8;
/// However slow the machine is.
const AT_MOST: Duration = Duration::from_secs(55);

const HEADERS: &str = r#"
identity:
  roles: ["https://acme.dev/roles"]
headers:
  X-Configuration: "one:{user}"
"#;

const ROUTES: &str = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    rules:
      - { path: "/one/**", allow: signed-in }
      - { path: "/two/**", allow: nobody }
      - { allow: signed-in }
  - name: api
    host: api.localhost
    upstream: UPSTREAM
    accept: bearer
    rules:
      - { path: "/one/**", allow: signed-in }
      - { path: "/two/**", allow: nobody }
      - { allow: signed-in }
  - name: changing-0
    host: pass.localhost
    upstream: UPSTREAM
    rules: [{ allow: signed-in }]
"#;

fn other(text: &str) -> String {
    text.replace("path: \"/one/**\", allow: signed-in", "path: \"/one/**\", allow: nobody")
        .replace("path: \"/two/**\", allow: nobody", "path: \"/two/**\", allow: signed-in")
        .replace("one:{user}", "two:{user}")
}

/// One request after the other on one connection, alternately below `/one` and `/two`; how many were answered.
async fn ask_until(scene: &Scene, host: &str, credential: &str, over: &AtomicBool, passed: &AtomicUsize) -> usize {
    let mut raw = scene.raw(host).await;
    let mut answered = 0;
    while !over.load(Ordering::Relaxed) {
        let own = ["one", "two"][answered % 2];
        raw.send(format!("GET /{own}/x HTTP/1.1\r\nhost: {host}\r\n{credential}\r\n\r\n").as_bytes()).await;
        let answer = raw.answer().await.expect("no request is dropped, and no connection is ended by a reload");
        match answer.status {
            200 => {
                assert_eq!(answer.text().split(':').next(), Some(own), "what passes under the one is told by the one");
                passed.fetch_add(1, Ordering::Relaxed);
            }
            403 => {}
            status => panic!("{status}: {}", answer.text()),
        }
        answered += 1;
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_drop_no_request_and_show_none_half_of_two_configurations() {
    let app = Recorder::answering(Arc::new(|request| Some(ok(request.one("x-configuration").unwrap_or("nothing"))))).await;
    let plan = Plan { identity: HEADERS.into(), routes: ROUTES.into(), ..Plan::default() };
    let scene = Scene::in_front_of(plan, app).await;
    let ada: Browser = scene.signed_in_at(APP, "/", "ada").await;
    let session = format!("cookie: {}", ada.cookie());
    let bearer = format!("authorization: Bearer {}", scene.token("ada"));
    let one = std::fs::read_to_string(scene.configuration()).unwrap();
    let two = other(&one);
    assert_ne!(one, two);

    let (over, passed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let askers = (0..CONNECTIONS).map(|at| {
        let (host, credential) = if at % 2 == 0 { (APP, &session) } else { (API, &bearer) };
        ask_until(&scene, host, credential, &over, &passed)
    });
    let reloading = async {
        let begun = Instant::now();
        let (mut old, mut tasks) = (Vec::new(), 0);
        for round in 0..RELOADS {
            let text = if round % 2 == 0 { &two } else { &one };
            // A name that never comes again, as well.
            std::fs::write(scene.configuration(), text.replace("changing-0", &format!("changing-{round}"))).unwrap();
            if round % 100 == 0 {
                old.push(Arc::downgrade(&scene.edge().runtime()));
            }
            scene.reload().await.unwrap_or_else(|refused| panic!("{refused}"));
            if round == 50 {
                tasks = scene.edge().runtime().control.metrics().num_alive_tasks();
            }
            assert!(begun.elapsed() < AT_MOST, "{round} reloads in {AT_MOST:?}");
        }
        over.store(true, Ordering::Relaxed);
        (old, tasks, begun.elapsed())
    };
    let (answered, (old, tasks, took)) = futures::future::join(futures::future::join_all(askers), reloading).await;
    let (answered, passed) = (answered.iter().sum::<usize>(), passed.load(Ordering::Relaxed));
    eprintln!("{RELOADS} reloads in {took:?}; {answered} requests, {passed} of them passed");
    assert!(answered > RELOADS && passed > RELOADS / 4, "{answered} requests, {passed} passed");

    until("no earlier configuration is left", async || scene.edge().reloader().retired() == 0).await;
    assert!(old.iter().all(|runtime| runtime.upgrade().is_none()));
    let running = || scene.edge().runtime().control.metrics().num_alive_tasks();
    until("no more tasks than after 50 reloads", async || running() <= tasks).await;
    let (_, metrics) = scene.admin("/metrics").await;
    let names: std::collections::BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.split("route=\"").nth(1)?.split('"').next())
        .filter(|name| name.starts_with("changing"))
        .collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), [format!("changing-{}", RELOADS - 1)]);
    assert_eq!(metrics.matches("doorward_config_hash_info{").count(), 1);
}
