//! Open streams end with the session or token that they were opened with, however silent they are.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use doorward_demo::tenant::AUDIENCE;
use doorward_policy::session::What;
use doorward_proxy::clock;
use doorward_tests::client::{Browser, Raw, tls};
use doorward_tests::scene::{API, APP, Plan, Scene};
use h2::client::SendRequest;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::app::{HALF, HELLO, SilentApp};

/// A Close frame with code 1008, as the edge sends it.
const CLOSE: &[u8] = b"\x88\x0f\x03\xf0session ended";
const HANDSHAKE: &str =
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
/// What the verifier grants a token after its `exp`, in seconds.
const LEEWAY: i64 = 30;
/// How late a stream may be closed.
const LATE: Duration = Duration::from_secs(2);

async fn before(app: &SilentApp, protocol: &str) -> Scene {
    let upstream = format!("{{ servers: [\"{}\"], protocol: {protocol} }}", app.address);
    Scene::with(Plan { routes: Plan::default().routes.replace("UPSTREAM", &upstream), ..Plan::default() }).await
}

/// A token of Ada's that counts until `until`.
fn token(scene: &Scene, until: i64) -> String {
    let mut claims = scene.tenant.access_claims_for("ada", AUDIENCE, "openid read:items write:items");
    claims["exp"] = (until - LEEWAY).into();
    scene.tenant.sign(claims)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Whether it is at most [`LATE`] after `until`, and not before.
fn in_time(until: i64) -> bool {
    let until = Duration::from_secs(u64::try_from(until).unwrap());
    let late = now().checked_sub(until);
    late.is_some_and(|late| late <= LATE)
}

async fn ask(scene: &Scene, host: &str, path: &str, fields: &str) -> Raw {
    let mut raw = scene.raw(host).await;
    raw.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n").as_bytes()).await;
    raw
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

fn cookie(browser: &Browser) -> String {
    format!("cookie: {}\r\n", browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; "))
}

/// Everything until the connection ends.
async fn to_the_end(raw: &mut Raw) -> Vec<u8> {
    let mut all = Vec::new();
    let reading = async {
        loop {
            let more = raw.more().await;
            if more.is_empty() {
                return;
            }
            all.extend(more);
        }
    };
    timeout(Duration::from_secs(10), reading).await.expect("an end");
    all
}

async fn until(scene: &Scene, series: &str, wanted: f64) {
    let waiting = async {
        while (scene.metric(series).await - wanted).abs() > f64::EPSILON {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let came = timeout(Duration::from_secs(10), waiting).await.is_ok();
    assert!(came, "{series} is {} and not {wanted}", scene.metric(series).await);
}

const EXPIRED: &str = "doorward_streams_closed_total{reason=\"expired\"}";

#[tokio::test]
async fn upg_04_a_silent_stream_ends_with_its_token() {
    let app = SilentApp::http1().await;
    let scene = before(&app, "http1").await;
    let ends = clock::now().0 + 3;
    let (short, long) = (bearer(&token(&scene, ends)), bearer(&token(&scene, ends + 3600)));
    let events = "accept: text/event-stream\r\n";
    let mut open = Vec::new();
    for (name, path, fields, last) in [
        ("a websocket", "/ws", HANDSHAKE, Some([HELLO, CLOSE].concat())),
        ("amid a frame no other may begin", "/half", HANDSHAKE, Some([HELLO, HALF].concat())),
        ("after the app's own goodbye", "/closed", HANDSHAKE, Some(b"\x88\x02\x03\xe8".to_vec())),
        ("an app that switches to something else", "/other", HANDSHAKE, Some(Vec::new())),
        ("events", "/events", events, None),
        ("events that nobody asked for by name", "/events", "", None),
        ("a handshake without an answer", "/waits", HANDSHAKE, None),
        ("events without an answer", "/waits", events, None),
    ] {
        for goes_on in [false, true] {
            let raw = ask(&scene, API, path, &format!("{fields}{}", if goes_on { &long } else { &short })).await;
            open.push((name, goes_on, raw, last.clone()));
        }
    }
    app.until(16).await;
    assert!(now().as_secs() < u64::try_from(ends).unwrap(), "all were open before the end");
    for (name, goes_on, raw, last) in open.iter_mut().filter(|(_, goes_on, ..)| !goes_on) {
        let came = to_the_end(raw).await;
        assert!(in_time(ends), "{name} {goes_on}: at {:?}, not {ends}", now());
        let head = came.windows(4).position(|window| window == b"\r\n\r\n").map_or(came.len(), |at| at + 4);
        if let Some(last) = last {
            assert_eq!(&came[head..], last, "{name}");
        }
        // RFC 9112 §7.1: without its last chunk an answer is known to be cut short.
        assert!(!came.ends_with(b"0\r\n\r\n"), "{name}");
    }
    app.until(8).await;
    assert_eq!((scene.metric(EXPIRED).await, scene.metric("doorward_streams_open").await), (8.0, 8.0));
    assert_eq!(scene.metric("doorward_websockets_active").await, 4.0);
    let log = scene.log().await;
    assert_eq!(log.iter().filter(|line| line["error"] == "stream_expired").count(), 8, "{log:?}");
    for (name, _, raw, _) in open.iter_mut().filter(|(_, goes_on, ..)| *goes_on) {
        let going = timeout(Duration::from_millis(100), async { while !raw.more().await.is_empty() {} }).await;
        assert!(going.is_err(), "{name} goes on");
    }
    drop(open);
    app.until(0).await;
    until(&scene, "doorward_streams_open", 0.0).await;
    until(&scene, "doorward_websockets_active", 0.0).await;
    assert_eq!(scene.metric(EXPIRED).await, 8.0, "who left was not closed");
}

#[tokio::test]
async fn upg_04_a_stream_that_is_stuck_ends_too_and_a_plain_answer_may_finish() {
    let app = SilentApp::http1().await;
    let scene = before(&app, "http1").await;
    let ends = clock::now().0 + 3;
    let token = bearer(&token(&scene, ends));
    let unread = ask(&scene, API, "/floods", &format!("{HANDSHAKE}{token}")).await;
    let mut deaf = ask(&scene, API, "/deaf", &format!("{HANDSHAKE}{token}")).await;
    let mut slow = ask(&scene, API, "/slow", &token).await;
    app.until(3).await;
    until(&scene, "doorward_streams_open", 2.0).await;
    // Until both ways to the app are full.
    let flood = vec![0; 64 * 1024 * 1024];
    let flooding = async {
        let _ = timeout(Duration::from_secs(4), deaf.send(&flood)).await;
        deaf.rest().await;
        assert!(deaf.is_closed().await && in_time(ends), "{:?}", now());
    };
    let (answer, ()) = tokio::join!(slow.answer(), flooding);
    assert_eq!(answer.map(|answer| answer.text()).as_deref(), Some("finished"));
    assert!(now().as_secs() >= u64::try_from(ends).unwrap());
    until(&scene, "doorward_streams_open", 0.0).await;
    assert_eq!(scene.metric(EXPIRED).await, 2.0);
    let log = scene.log().await;
    assert_eq!(log.iter().filter(|line| line["error"] == "stream_expired").count(), 2, "{log:?}");
    app.until(0).await;
    drop(unread);
}

/// An HTTP/2 connection of a client.
async fn connect(scene: &Scene) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(scene.address()).await.unwrap();
    let stream = tls(&scene.ca, &[b"h2"]).connect(ServerName::try_from(API).unwrap(), socket).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A gRPC call that the client goes on with for as long as it likes.
struct Call {
    answer: h2::client::ResponseFuture,
    sending: h2::SendStream<Bytes>,
}

async fn call(client: &SendRequest<Bytes>, path: &str, token: &str) -> Call {
    let request = http::Request::post(format!("https://{API}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {token}"));
    let (answer, sending) = client.clone().ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
    Call { answer, sending }
}

impl Call {
    /// The code of the reset that it ends with.
    async fn reset(self) -> Option<h2::Reason> {
        let Self { answer, sending: _sending } = self;
        let ending = async {
            match answer.await {
                Err(error) => error.reason(),
                Ok(answer) => match answer.into_body().data().await {
                    Some(Ok(_)) => panic!("a silent app"),
                    Some(Err(error)) => error.reason(),
                    None => None,
                },
            }
        };
        timeout(Duration::from_secs(10), ending).await.expect("an end")
    }
}

#[tokio::test]
async fn upg_04_over_http2_the_stream_is_reset_and_the_connection_goes_on() {
    let app = SilentApp::http2().await;
    let scene = before(&app, "h2c").await;
    let ends = clock::now().0 + 3;
    let (short, long) = (token(&scene, ends), token(&scene, ends + 3600));
    let client = connect(&scene).await;
    let going = call(&client, "/items", &long).await;
    let ending = [call(&client, "/items", &short).await, call(&client, "/waits", &short).await];
    app.until(3).await;
    assert!(now().as_secs() < u64::try_from(ends).unwrap(), "all were open before the end");
    for call in ending {
        assert_eq!(call.reset().await, Some(h2::Reason::CANCEL));
        assert!(in_time(ends), "at {:?}, not {ends}", now());
    }
    app.until(1).await;
    assert_eq!((scene.metric(EXPIRED).await, scene.metric("doorward_streams_open").await), (2.0, 1.0));
    // The same connection, the same app: bytes pass both ways, and another call begins.
    let Call { answer, mut sending } = going;
    let mut content = answer.await.unwrap().into_body();
    sending.send_data(Bytes::from_static(b"still here"), false).unwrap();
    assert_eq!(content.data().await.unwrap().unwrap(), "still here");
    let _another = call(&client, "/items", &long).await;
    app.until(2).await;
    // pingora logs nothing of a request that is dropped; its line is there all the same.
    let log = scene.log().await;
    let mut statuses: Vec<_> = log.iter().filter(|line| line["error"] == "stream_expired").map(|line| line["status"].as_u64()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [Some(0), Some(200)], "{log:?}");
    let line = log.iter().find(|line| line["error"] == "stream_expired" && line["status"] == 200).unwrap();
    assert_eq!((&line["protocol"], &line["method"], &line["path"]), (&"h2".into(), &"POST".into(), &"/items".into()), "{line}");
}

#[tokio::test]
async fn a_thousand_streams_end_at_once() {
    let app = SilentApp::http2().await;
    let scene = before(&app, "h2c").await;
    let ends = clock::now().0 + 8;
    let token = token(&scene, ends);
    let (mut clients, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let client = connect(&scene).await;
        for _ in 0..100 {
            calls.push(call(&client, "/items", &token).await);
        }
        clients.push(client);
    }
    app.until(1000).await;
    assert!(now().as_secs() < u64::try_from(ends).unwrap(), "all were open before the end");
    for call in calls {
        assert_eq!(call.reset().await, Some(h2::Reason::CANCEL));
    }
    assert!(in_time(ends), "at {:?}, not {ends}", now());
    until(&scene, "doorward_streams_open", 0.0).await;
    assert_eq!(scene.metric(EXPIRED).await, 1000.0);
    app.until(0).await;
}

#[tokio::test]
async fn sess_40_a_revoked_session_closes_its_streams_and_no_others() {
    let app = SilentApp::http1().await;
    let scene = before(&app, "http1").await;
    let (ada, vera) = (cookie(&scene.signed_in(APP, "ada").await), cookie(&scene.signed_in(APP, "vera").await));
    let mut streams = Vec::new();
    for (name, session, path, fields) in [
        ("Ada's socket", &ada, "/ws", HANDSHAKE),
        ("Ada's events", &ada, "/events", "accept: text/event-stream\r\n"),
        ("Vera's socket", &vera, "/ws", HANDSHAKE),
        ("everybody's events", &String::new(), "/public/events", ""),
    ] {
        streams.push((name, ask(&scene, APP, path, &format!("{fields}{session}")).await));
    }
    app.until(4).await;
    until(&scene, "doorward_streams_open", 3.0).await;
    let runtime = scene.edge().runtime();
    let what = What::Subject { issuer: scene.tenant.issuer().into(), sub: "auth0|ada".into() };
    let since = now();
    runtime.revocations.end(what, clock::now(), clock::now()).await.unwrap();
    for (name, raw) in &mut streams[..2] {
        to_the_end(raw).await;
        assert!(now() - since < LATE, "{name}: {:?}", now() - since);
    }
    app.until(2).await;
    until(&scene, "doorward_streams_closed_total{reason=\"revoked\"}", 2.0).await;
    assert_eq!(scene.metric("doorward_websockets_active").await, 1.0);
    for (name, raw) in &mut streams[2..] {
        let going = timeout(Duration::from_secs(1), async { while !raw.more().await.is_empty() {} }).await;
        assert!(going.is_err(), "{name} goes on");
    }
}

#[tokio::test]
async fn sess_40_signing_out_closes_the_streams_of_that_session() {
    let app = SilentApp::http1().await;
    let scene = before(&app, "http1").await;
    let mut leaving = scene.signed_in(APP, "ada").await;
    let staying = scene.signed_in(APP, "ada").await;
    let mut streams = Vec::new();
    for browser in [&leaving, &staying] {
        streams.push(ask(&scene, APP, "/ws", &format!("{HANDSHAKE}{}", cookie(browser))).await);
    }
    app.until(2).await;
    let since = now();
    assert_eq!(leaving.post("/_doorward/logout").await.status, 303);
    assert!(to_the_end(&mut streams[0]).await.ends_with(CLOSE));
    assert!(now() - since < LATE, "{:?}", now() - since);
    app.until(1).await;
    until(&scene, "doorward_streams_open", 1.0).await;
    assert_eq!(scene.metric("doorward_streams_closed_total{reason=\"signed_out\"}").await, 1.0);
    let going = timeout(Duration::from_secs(1), async { while !streams[1].more().await.is_empty() {} }).await;
    assert!(going.is_err(), "another session of the same person goes on");
}

#[tokio::test]
async fn a_stream_that_ends_by_itself_is_forgotten() {
    let app = SilentApp::http1().await;
    let scene = before(&app, "http1").await;
    let token = bearer(&token(&scene, clock::now().0 + 3600));
    let events = "accept: text/event-stream\r\n";
    for (name, path, fields, leaves) in [
        ("the client goes", "/ws", HANDSHAKE, true),
        ("the client goes", "/events", events, true),
        ("the client goes before an answer", "/waits", events, true),
        ("the app goes", "/leaves", HANDSHAKE, false),
        ("the app breaks off", "/breaks", events, false),
        ("the app does not switch", "/refuses", HANDSHAKE, false),
        ("the app answers otherwise", "/refuses", events, false),
    ] {
        let mut raw = ask(&scene, API, path, &format!("{fields}{token}")).await;
        if leaves {
            app.until(1).await;
            until(&scene, "doorward_streams_open", 1.0).await;
        } else {
            raw.rest().await;
        }
        drop(raw);
        app.until(0).await;
        until(&scene, "doorward_streams_open", 0.0).await;
        assert!(scene.edge().runtime().streams.is_empty(), "{name}: {path}");
    }
    assert_eq!(scene.metric(EXPIRED).await, 0.0);
}
