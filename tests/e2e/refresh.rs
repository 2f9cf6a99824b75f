//! Tokens that are renewed at a provider which rotates refresh tokens and forgives no reuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use doorward_tests::idp::Idp;
use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::fleet::{Fleet, HOST, Plan, SESSION, named_port, told};

const PROVIDER: &str = "    scope: [openid, profile, email, offline_access]\n";

const PEOPLE: usize = 10;
/// Of each of them, at each process.
const AT_ONCE: usize = 3;
const LASTS: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refr_02_two_processes_renew_the_tokens_of_ten_people_and_never_use_one_twice() {
    // Renewed every two seconds or so.
    let session = "  store: redis\n  redis: { url: \"REDIS\" }\n  refresh: { ahead: 5s, grace: 10s }\n";
    let plan = Plan { doors: 2, redis: true, crowd: PEOPLE, token_lifetime: 7, session, provider: PROVIDER, ..Plan::default() };
    let fleet = Fleet::start(plan).await;
    let crowd = fleet.crowd(PEOPLE).await;
    let begin = Instant::now();
    let asked = Arc::new(AtomicUsize::new(0));
    let mut people = JoinSet::new();
    for (nickname, browser) in &crowd {
        let cookie = format!("{SESSION}={}", browser.cookies(HOST)[SESSION]);
        for door in &fleet.doors {
            for _ in 0..AT_ONCE {
                let (client, cookie, asked) = (fleet.client.clone(), cookie.clone(), asked.clone());
                let (nickname, url) = (nickname.clone(), door.url(&format!("/of/{nickname}")));
                people.spawn(async move {
                    while begin.elapsed() < LASTS {
                        let response = client.get(&url).header("cookie", &cookie).header("sec-fetch-mode", "cors").send().await;
                        let response = response.unwrap_or_else(|problem| panic!("no answer: {problem:?}"));
                        let status = response.status();
                        let body = response.text().await.expect("an answer");
                        assert_eq!((status, &body), (StatusCode::OK, &told(&nickname)), "after {:?}", begin.elapsed());
                        asked.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                });
            }
        }
    }
    while let Some(ended) = people.join_next().await {
        ended.unwrap_or_else(|problem| panic!("{problem}\n{}", fleet.said()));
    }
    for request in fleet.app.seen() {
        if let Some(nickname) = request.target().strip_prefix("/of/") {
            assert_eq!(request.one("x-auth-user"), Some(&*format!("auth0|{nickname}")), "{}", request.head);
        }
    }
    let tokens = fleet.idp().statuses("/oauth/token").await;
    println!("{} requests, {} renewals", asked.load(Ordering::Relaxed), tokens.len() - PEOPLE);
    assert!(tokens.iter().all(|status| *status == 200), "a token was used twice: {tokens:?}\n{}", fleet.said());
    // Each lasts two seconds until it is due, and both processes are asked all the time.
    let renewals = tokens.len() - PEOPLE;
    assert!((4 * PEOPLE..=21 * PEOPLE).contains(&renewals), "{renewals}");
    fleet.end().await;
}

/// Between Doorward and its provider; may keep answers to refreshes to itself.
struct Wire {
    port: u16,
    /// So many answers are going to be lost.
    lose: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    /// Leads nowhere until it is connected.
    async fn to(port: u16, provider: Arc<AtomicUsize>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        let lose = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn({
            let lose = lose.clone();
            async move {
                while let Ok((socket, _)) = listener.accept().await {
                    tokio::spawn(pass(socket, provider.clone(), lose.clone()));
                }
            }
        });
        Self { port, lose, task }
    }
}

async fn pass(client: TcpStream, provider: Arc<AtomicUsize>, lose: Arc<AtomicUsize>) {
    let port = u16::try_from(provider.load(Ordering::SeqCst)).expect("a port");
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.into_split(), server.into_split());
    let is_refresh = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let there = {
        let is_refresh = is_refresh.clone();
        async move {
            let mut chunk = vec![0; 16 * 1024];
            while let Ok(read @ 1..) = from_client.read(&mut chunk).await {
                if chunk[..read].windows(24).any(|bytes| bytes == b"grant_type=refresh_token") {
                    is_refresh.store(true, Ordering::SeqCst);
                }
                if to_server.write_all(&chunk[..read]).await.is_err() {
                    return;
                }
            }
        }
    };
    let back = async move {
        let mut chunk = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from_server.read(&mut chunk).await {
            // The provider has answered; nobody hears it.
            let is_lost = is_refresh.swap(false, Ordering::SeqCst)
                && lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            if is_lost || to_client.write_all(&chunk[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = there => {}, () = back => {} }
}

/// A fleet whose provider is behind a wire.
async fn behind_a_wire() -> (Fleet, Wire) {
    let provider = Arc::new(AtomicUsize::new(0));
    let wire = Wire::to(named_port(), provider.clone()).await;
    let session = "  store: memory\n  refresh: { ahead: 5s, grace: 10s }\n";
    let plan = Plan { named_port: Some(wire.port), token_lifetime: 7, session, provider: PROVIDER, ..Plan::default() };
    let fleet = Fleet::start_via(plan, &provider).await;
    (fleet, wire)
}

async fn refreshes(idp: &Idp) -> Vec<u64> {
    idp.statuses("/oauth/token").await.split_off(1)
}

#[tokio::test]
async fn refr_06_a_lost_answer_is_asked_for_once_more_where_the_provider_forgives_that() {
    let (fleet, wire) = behind_a_wire().await;
    fleet.idp().switch(json!({ "leeway": 20 })).await;
    let mut ada = fleet.signed_in("ada").await;
    wire.lose.store(1, Ordering::SeqCst);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        let page = ada.fetch(&fleet.doors[0].url("/private")).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}\n{}", fleet.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(wire.lose.load(Ordering::SeqCst), 0, "an answer was lost");
    let refreshes = refreshes(fleet.idp()).await;
    assert!(refreshes.len() >= 2 && refreshes.iter().all(|status| *status == 200), "{refreshes:?}");
    fleet.end().await;
}

#[tokio::test]
async fn refr_06_a_lost_answer_ends_the_session_in_a_sign_in_where_the_provider_forgives_nothing() {
    let (fleet, wire) = behind_a_wire().await;
    let mut ada = fleet.signed_in("ada").await;
    let url = fleet.doors[0].url("/private");
    assert_eq!(ada.fetch(&url).await.status, StatusCode::OK);
    wire.lose.store(1, Ordering::SeqCst);
    let begin = Instant::now();
    let ended = loop {
        let page = ada.fetch(&url).await;
        if page.status != StatusCode::OK {
            break page;
        }
        assert!(begin.elapsed() < Duration::from_secs(15), "still in\n{}", fleet.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(ended.status, StatusCode::UNAUTHORIZED, "{ended:?}\n{}", fleet.said());
    // Once as it was, and at most once more (RFC 9700 §4.14.2): the provider took the second for a thief's.
    let refreshes = refreshes(fleet.idp()).await;
    assert_eq!(refreshes, [200, 400], "{}", fleet.said());
    // One sign-in, and no form: the provider knows her.
    let page = ada.open_as("ada", &url).await;
    assert_eq!((page.status, ada.forms), (StatusCode::OK, 1), "{page:?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ada.fetch(&url).await.status, StatusCode::OK);
    fleet.end().await;
}
