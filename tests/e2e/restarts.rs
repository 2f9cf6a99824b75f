//! A store that is killed in mid-traffic, or the process itself: nobody is signed out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use tokio::task::JoinSet;

use crate::client::Browser;
use crate::fleet::{Fleet, HOST, Plan, SESSION, told};

const PEOPLE: usize = 20;

/// What people were answered, by status; 0 is no answer at all.
type Answers = BTreeMap<u16, usize>;

/// People who ask again and again until they are told to stop.
struct Traffic {
    goes_on: Arc<AtomicBool>,
    people: JoinSet<Answers>,
}

impl Traffic {
    /// Everybody asks at one of `urls`, in turn as a page and as a script.
    fn start(client: &Client, crowd: &[(String, Browser)], urls: &[String]) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let mut people = JoinSet::new();
        for (number, (nickname, browser)) in crowd.iter().enumerate() {
            let cookie = format!("{SESSION}={}", browser.cookies(HOST)[SESSION]);
            let url = urls[number % urls.len()].clone();
            people.spawn(asks(client.clone(), nickname.clone(), cookie, url, goes_on.clone()));
        }
        Self { goes_on, people }
    }

    async fn stop(self) -> Answers {
        self.goes_on.store(false, Ordering::Relaxed);
        let mut all = Answers::new();
        for answers in self.people.join_all().await {
            for (status, count) in answers {
                *all.entry(status).or_default() += count;
            }
        }
        all
    }
}

async fn asks(client: Client, nickname: String, cookie: String, url: String, goes_on: Arc<AtomicBool>) -> Answers {
    let mut answers = Answers::new();
    let mut is_page = false;
    while goes_on.load(Ordering::Relaxed) {
        is_page = !is_page;
        let mode = if is_page {
            [("sec-fetch-mode", "navigate"), ("accept", "text/html")]
        } else {
            [("sec-fetch-mode", "cors"), ("accept", "*/*")]
        };
        let request = mode.iter().fold(client.get(&url).header("cookie", &cookie), |request, (name, value)| request.header(*name, *value));
        let status = match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                if status == 503 {
                    assert!(response.headers().contains_key("retry-after"), "{response:?}");
                }
                match response.text().await {
                    Ok(body) => {
                        assert!(status != 200 || body == told(&nickname), "{nickname} was told: {body}");
                        status
                    }
                    Err(_) => 0,
                }
            }
            Err(_) => 0,
        };
        *answers.entry(status).or_default() += 1;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    answers
}

/// Everybody, at every process, with the cookie of before.
async fn all_are_in(fleet: &Fleet, crowd: &mut [(String, Browser)]) {
    for (nickname, browser) in crowd {
        for door in &fleet.doors {
            // A process finds its store again within two seconds.
            let mut page = browser.fetch(&door.url("/private")).await;
            for _ in 0..30 {
                if page.status != StatusCode::SERVICE_UNAVAILABLE {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
                page = browser.fetch(&door.url("/private")).await;
            }
            assert_eq!((page.status, &page.body), (StatusCode::OK, &told(nickname)), "{nickname}\n{}", fleet.said());
        }
        assert_eq!(browser.forms, 1);
    }
}

fn moment() -> tokio::time::Sleep {
    tokio::time::sleep(Duration::from_millis(1500))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sess_40_redis_is_killed_and_started_again_in_mid_traffic_and_nobody_is_signed_out() {
    let session = "  store: redis\n  redis: { url: \"REDIS\" }\n";
    let mut fleet = Fleet::start(Plan { doors: 2, redis: true, crowd: PEOPLE, session, ..Plan::default() }).await;
    let mut crowd = fleet.crowd(PEOPLE).await;
    // The first process knows everybody; the second a half of them.
    for (_, browser) in &mut crowd[..PEOPLE / 2] {
        assert_eq!(browser.fetch(&fleet.doors[1].url("/private")).await.status, StatusCode::OK);
    }
    let known = Traffic::start(&fleet.client, &crowd, &[fleet.doors[0].url("/private")]);
    let half = Traffic::start(&fleet.client, &crowd[..PEOPLE / 2], &[fleet.doors[1].url("/private")]);
    moment().await;
    fleet.redis.as_mut().expect("a Redis").kill();
    // They come to a process that has not seen them before.
    let strangers = Traffic::start(&fleet.client, &crowd[PEOPLE / 2..], &[fleet.doors[1].url("/private")]);
    moment().await;
    moment().await;
    fleet.redis.as_mut().expect("a Redis").start_again();
    moment().await;
    moment().await;
    let (known, half, strangers) = (known.stop().await, half.stop().await, strangers.stop().await);
    println!("Redis was killed: known {known:?}, known there too {half:?}, strangers {strangers:?}");
    for answers in [&known, &half] {
        assert!(answers.keys().eq([&200]), "{answers:?}\n{}", fleet.said());
    }
    assert!(strangers.keys().eq([&200, &503]), "503 while nobody can say, then 200: {strangers:?}\n{}", fleet.said());
    all_are_in(&fleet, &mut crowd).await;
    fleet.end().await;
}

/// The process is killed and started again; somebody signed out before, and stays so.
async fn process_is_killed(plan: Plan) {
    let mut fleet = Fleet::start(Plan { crowd: PEOPLE, ..plan }).await;
    let mut crowd = fleet.crowd(PEOPLE).await;
    let (_, mut gone) = crowd.pop().expect("somebody");
    let (_, mut ended) = crowd.pop().expect("somebody else");
    let copy = gone.clone();
    let origin = fleet.doors[0].url("");
    let page = gone.submit(&fleet.doors[0].url("/_doorward/logout"), &origin, "same-origin", &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{page:?}");
    // The other's provider says so.
    ended.navigate(&format!("{}v2/logout", fleet.idp().issuer)).await;
    let url = fleet.doors[0].url("/private");
    for browser in [&copy, &ended] {
        assert_eq!(browser.clone().fetch(&url).await.status, StatusCode::UNAUTHORIZED);
    }

    let traffic = Traffic::start(&fleet.client, &crowd, std::slice::from_ref(&url));
    moment().await;
    fleet.doors[0].kill().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    fleet.doors[0].start_again().await;
    moment().await;
    let answers = traffic.stop().await;
    println!("doorward was killed: {answers:?}");
    assert!(answers.keys().eq([&0, &200]), "{answers:?}\n{}", fleet.said());
    all_are_in(&fleet, &mut crowd).await;
    for browser in [&copy, &ended] {
        assert_eq!(browser.clone().fetch(&url).await.status, StatusCode::UNAUTHORIZED, "a restart forgets nothing");
    }
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sess_40_doorward_is_killed_with_sessions_in_a_file_and_nobody_is_signed_out() {
    process_is_killed(Plan { server: "  state_dir: STATE\n", session: "  store: file\n", ..Plan::default() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sess_40_doorward_is_killed_with_sessions_in_redis_and_nobody_is_signed_out() {
    process_is_killed(Plan { session: "  store: redis\n  redis: { url: \"REDIS\" }\n", redis: true, ..Plan::default() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sess_40_doorward_is_killed_with_sessions_in_cookies_and_nobody_is_signed_out() {
    process_is_killed(Plan { server: "  state_dir: STATE\n", ..Plan::default() }).await;
}
