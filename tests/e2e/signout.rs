//! Signing out at the provider, for two processes that share revocations through one Redis.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::client::{self, Browser};
use crate::fleet::{Door, Fleet, HOST, Plan, SESSION};

/// So long may a session be alive that its provider ended.
const AT_MOST: Duration = Duration::from_secs(2);
/// So long any of these tests waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// A WebSocket of this browser, whose app has said hello.
async fn websocket(fleet: &Fleet, door: &Door, browser: &Browser) -> impl AsyncRead + Unpin + Send + use<> {
    let request = fleet.http1().get(door.url("/socket"));
    let fields = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("origin", &door.url("")),
        ("cookie", &format!("{SESSION}={}", browser.cookies(HOST)[SESSION])),
    ];
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response: Response = client::send(request).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS, "{response:?}");
    let mut socket = response.upgrade().await.expect("a WebSocket");
    let mut hello = [0; 7];
    socket.read_exact(&mut hello).await.expect("the app says hello");
    assert_eq!(&hello, b"\x81\x05hello");
    socket
}

/// Milliseconds since 1970, as the access log counts them.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64() * 1000.0
}

/// When the connection ended.
async fn ended(mut socket: impl AsyncRead + Unpin) -> f64 {
    let mut rest = Vec::new();
    // It may end with a close frame or without one.
    let _ = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("the stream is cut");
    now()
}

/// When a script with this cookie was refused there; nobody who is refused is let in again.
async fn refused(door: &Door, mut browser: Browser) -> f64 {
    let url = door.url("/private");
    let begin = tokio::time::Instant::now();
    while browser.fetch(&url).await.status != StatusCode::UNAUTHORIZED {
        assert!(begin.elapsed() < PATIENCE, "still in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let at = now();
    assert_eq!(browser.fetch(&url).await.status, StatusCode::UNAUTHORIZED);
    at
}

/// When the provider's word came in.
fn told(door: &Door) -> f64 {
    let said = door.said();
    let line = said.lines().find(|line| line.contains("logout/backchannel")).unwrap_or_else(|| panic!("nobody was told\n{said}"));
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["status"], 200, "{line}");
    line["time"].as_f64().expect("a time") - line["duration_ms"].as_f64().expect("a duration")
}

async fn two_processes(session: &'static str) {
    let fleet = Fleet::start(Plan { doors: 2, redis: true, session, ..Plan::default() }).await;
    let mut ada = fleet.signed_in("ada").await;
    let mut eddie = fleet.signed_in("eddie").await;
    for browser in [&mut ada, &mut eddie] {
        for door in &fleet.doors {
            assert_eq!(browser.fetch(&door.url("/private")).await.status, StatusCode::OK, "one cookie for both\n{}", fleet.said());
        }
    }
    // The process that is not told.
    let adas = websocket(&fleet, &fleet.doors[1], &ada).await;
    let mut eddies = websocket(&fleet, &fleet.doors[1], &eddie).await;

    let mut leaving = ada.clone();
    let at_provider = format!("{}v2/logout", fleet.idp().issuer);
    let (socket, here, there, left) = tokio::join!(
        ended(adas),
        refused(&fleet.doors[0], ada.clone()),
        refused(&fleet.doors[1], ada.clone()),
        leaving.navigate(&at_provider),
    );
    assert!(left.status.is_redirection(), "{left:?}");
    let told = told(&fleet.doors[0]);
    let after = [("here", here), ("there", there), ("WebSocket", socket)].map(|(what, at)| (what, at - told));
    println!("milliseconds after the provider's word: {after:?}");
    for (what, after) in after {
        assert!(after < AT_MOST.as_secs_f64() * 1000.0, "{what}: {after} ms\n{}", fleet.said());
    }

    // Somebody else's go on.
    for door in &fleet.doors {
        assert_eq!(eddie.fetch(&door.url("/private")).await.status, StatusCode::OK);
    }
    let mut byte = [0; 1];
    let silence = tokio::time::timeout(AT_MOST, eddies.read(&mut byte)).await;
    assert!(silence.is_err(), "{silence:?}");
    // And she may come again, with a session of her own.
    let page = leaving.open_as("ada", &fleet.doors[1].url("/private")).await;
    assert_eq!((page.status, leaving.forms), (StatusCode::OK, 2), "{page:?}");
    fleet.end().await;
}

#[tokio::test]
async fn logout_10_a_cookie_session_that_its_provider_ends_is_over_at_two_processes() {
    two_processes("  store: cookie\n  redis: { url: \"REDIS\" }\n").await;
}

#[tokio::test]
async fn logout_10_a_session_in_redis_that_its_provider_ends_is_over_at_two_processes() {
    two_processes("  store: redis\n  redis: { url: \"REDIS\" }\n").await;
}

#[tokio::test]
async fn logout_15_a_sign_out_while_redis_is_away_counts_here_at_once_and_everywhere_when_it_is_back() {
    let session = "  store: cookie\n  redis: { url: \"REDIS\" }\n";
    let mut fleet = Fleet::start(Plan { doors: 2, redis: true, session, ..Plan::default() }).await;
    let (mut ada, mut eddie) = (fleet.signed_in("ada").await, fleet.signed_in("eddie").await);
    let copy = ada.clone();
    fleet.redis.as_mut().expect("a Redis").kill();
    let (url, origin) = (fleet.doors[0].url("/_doorward/logout"), fleet.doors[0].url(""));
    let page = ada.submit(&url, &origin, "same-origin", &[]).await;
    assert!(page.status.is_redirection(), "{page:?}");
    assert_eq!(copy.clone().fetch(&fleet.doors[0].url("/private")).await.status, StatusCode::UNAUTHORIZED);
    fleet.redis.as_mut().expect("a Redis").start_again();
    refused(&fleet.doors[1], copy).await;
    for door in &fleet.doors {
        assert_eq!(eddie.fetch(&door.url("/private")).await.status, StatusCode::OK);
    }
    fleet.end().await;
}
