//! Signing out at the provider, for two processes that share revocations through one Redis.

use std::time::{Duration, Instant};

use reqwest::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::client::{self, Browser};
use crate::fleet::{Door, Fleet, HOST, Plan, SESSION};

/// So long may a session be alive that its provider ended.
const AT_MOST: Duration = Duration::from_secs(2);

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

/// How long after `begin` the connection ended.
async fn ended(mut socket: impl AsyncRead + Unpin, begin: Instant) -> Duration {
    let mut rest = Vec::new();
    // It may end with a close frame or without one.
    let _ = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut rest)).await.expect("the stream is cut");
    begin.elapsed()
}

/// How long after `begin` a script with this cookie was refused there; nobody who is refused is let in again.
async fn refused(door: &Door, mut browser: Browser, begin: Instant) -> Duration {
    let url = door.url("/private");
    while browser.fetch(&url).await.status != StatusCode::UNAUTHORIZED {
        assert!(begin.elapsed() < Duration::from_secs(10), "still in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = begin.elapsed();
    assert_eq!(browser.fetch(&url).await.status, StatusCode::UNAUTHORIZED);
    after
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
    let (at_provider, begin) = (format!("{}v2/logout", fleet.idp().issuer), Instant::now());
    let (socket, here, there, left) = tokio::join!(
        ended(adas, begin),
        refused(&fleet.doors[0], ada.clone(), begin),
        refused(&fleet.doors[1], ada.clone(), begin),
        leaving.navigate(&at_provider),
    );
    assert!(left.status.is_redirection(), "{left:?}");
    println!("after a sign-out at the provider: refused here {here:?}, there {there:?}, WebSocket cut {socket:?}");
    for (what, after) in [("here", here), ("there", there), ("WebSocket", socket)] {
        assert!(after < AT_MOST, "{what}: {after:?}\n{}", fleet.said());
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
