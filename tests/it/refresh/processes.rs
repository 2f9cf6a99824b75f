//! Two processes that share a real Redis.

use std::time::{Duration, Instant};

use doorward_tests::hostile::{Endpoint, Fault};
use doorward_tests::redis::RedisServer;
use doorward_tests::scene::{Plan, Scene};
use futures::future::join_all;

use super::*;

fn shared(idp: &HostileIdp, redis: &RedisServer) -> Plan {
    let session =
        format!("  idle: 1h\n  lifetime: 12h\n  store: redis\n  redis: {{ url: \"redis://127.0.0.1:{}/0\" }}\n{REFRESH}", redis.port());
    Plan { session, ..hostile_plan(idp) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refr_02_two_processes_refresh_once_between_them() {
    let (idp, redis) = (HostileIdp::start().await, RedisServer::start());
    let scene = Scene::with(shared(&idp, &redis)).await;
    let twin = scene.twin(|text| text).await;
    let browser = signed_in_there(&scene, &idp, 0).await;
    let rounds = 4;
    for round in 1..=rounds {
        // All but the last bring a token that ends two seconds later.
        idp.set_access_lifetime(if round == rounds { 86_400 } else { 2 });
        idp.fault_next(Endpoint::Token, Fault::DelayHead(Duration::from_millis(300)));
        let answers = join_all((0..40).map(|number| {
            let mut browser = if number % 2 == 0 { browser.clone() } else { twin.visit(&browser) };
            async move { browser.fetch("/private").await.status }
        }));
        assert_eq!(answers.await, [200; 40], "round {round}");
        assert_eq!(asked_there(&idp), round, "one between them");
        tokio::time::sleep(Duration::from_millis(2100)).await;
    }
    let used = refresh_tokens(&idp);
    let different: std::collections::HashSet<&String> = used.iter().collect();
    assert_eq!(different.len(), used.len(), "none was used twice");
    assert_eq!(outcomes(&scene, "invalid_grant").await, 0.0);
    assert_eq!(twin.visit(&browser).fetch("/private").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refr_03_a_store_that_goes_away_in_mid_refresh_loses_nothing() {
    let (idp, redis) = (HostileIdp::start().await, RedisServer::start());
    let scene = Scene::with(shared(&idp, &redis)).await;
    let browser = signed_in_there(&scene, &idp, 0).await;
    idp.fault_next(Endpoint::Token, Fault::DelayHead(Duration::from_millis(500)));
    let waiting = tokio::spawn({
        let mut browser = browser.clone();
        async move { browser.fetch("/private").await.status }
    });
    assert!(idp.saw(Endpoint::Token, 2, Duration::from_secs(5)).await);
    redis.freeze();
    assert_eq!(waiting.await.unwrap(), 200, "served from what is known here");
    assert_eq!(browser.clone().fetch("/private").await.status, 200);
    assert_eq!(asked_there(&idp), 1);
    redis.thaw();
    // Another process finds the token that counts in the store.
    let twin = scene.twin(|text| text).await;
    until("it is written", || async { twin.visit(&browser).fetch("/private").await.status == 200 }).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(twin.visit(&browser).fetch("/private").await.status, 200);
    assert_eq!(browser.clone().fetch("/private").await.status, 200);
    assert_eq!(outcomes(&scene, "invalid_grant").await, 0.0);
    let used = refresh_tokens(&idp);
    let different: std::collections::HashSet<&String> = used.iter().collect();
    assert_eq!(different.len(), used.len(), "none was used twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refr_09_a_sign_out_on_one_process_ends_the_refresh_of_another() {
    let (idp, redis) = (HostileIdp::start().await, RedisServer::start());
    let scene = Scene::with(shared(&idp, &redis)).await;
    let twin = scene.twin(|text| text).await;
    let browser = signed_in_there(&scene, &idp, 0).await;
    idp.fault_next(Endpoint::Token, Fault::DelayHead(Duration::from_millis(1000)));
    let racing = tokio::spawn({
        let mut browser = browser.clone();
        async move { browser.fetch("/racing").await.status }
    });
    assert!(idp.saw(Endpoint::Token, 2, Duration::from_secs(5)).await);
    let out = twin.visit(&browser).post("/_doorward/logout").await;
    assert!(out.status < 400, "{}", out.text());
    assert_eq!(racing.await.unwrap(), 401);
    assert!(idp.saw(Endpoint::Revocation, 1, Duration::from_secs(5)).await, "nobody needs the new token");
    assert_eq!(outcomes(&scene, "discarded").await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refr_03_a_process_that_dies_in_mid_refresh_leaves_a_clean_sign_in() {
    let (idp, redis) = (HostileIdp::start().await, RedisServer::start());
    let scene = Scene::with(shared(&idp, &redis)).await;
    let twin = scene.twin(|text| text).await;
    let browser = signed_in_there(&scene, &idp, 0).await;
    // The provider has rotated, and who asked never hears of it.
    idp.fault_next(Endpoint::Token, Fault::DelayHead(Duration::from_secs(3)));
    let mut there = twin.visit(&browser);
    let asking = tokio::spawn(async move { there.fetch("/private").await });
    assert!(idp.saw(Endpoint::Token, 2, Duration::from_secs(5)).await);
    asking.abort();
    drop(twin);
    let begun = Instant::now();
    // What it held up goes on within the grace, until its lease is over.
    let mut browser = browser.clone();
    let last = loop {
        let answer = browser.go("/private").await;
        if answer.status != 200 || begun.elapsed() > Duration::from_secs(50) {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert_eq!(last.status, 302, "{}", last.text());
    assert!(begun.elapsed() > Duration::from_secs(20), "nobody takes a lease that may be in use");
    assert_eq!(asked_there(&idp), 2);
    assert_eq!(sign_in_there(&idp, &mut browser).await.status, 303);
    assert_eq!(browser.fetch("/private").await.status, 200);
}
