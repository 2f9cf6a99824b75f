//! What outlives the decision it was made on, and what must not.

mod app;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use doorward_demo::tenant::AUDIENCE;
use doorward_policy::secret::Secret;
use doorward_policy::session::{COOKIE, Limits, SealingKeys, Session};
use doorward_proxy::clock;
use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::scene::{API, APP, Plan, SESSION_KEY, Scene};

/// Switches protocols and echoes nothing; server-sent events go on for ever.
async fn switching() -> Recorder {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    Recorder::answering(Arc::new(move |_| Some(switch.as_bytes().to_vec()))).await
}

#[tokio::test]
async fn upg_04_a_websocket_ends_with_the_token_it_was_opened_with() {
    let routes = Plan::default().routes.replace("{ methods: [GET], allow: { scope: \"read:items\" } }", "{ allow: signed-in }");
    let scene = Scene::in_front_of(Plan { routes, ..Plan::default() }, switching().await).await;
    let mut claims = scene.tenant.access_claims_for("ada", AUDIENCE, "openid read:items");
    for (name, lifetime, goes_on) in [("an hour", 3600, true), ("a moment of its leeway", -28, false)] {
        claims["exp"] = (clock::now().0 + lifetime).into();
        let token = scene.tenant.sign(claims.clone());
        let mut raw = scene.raw(API).await;
        raw.send(format!("GET /ws HTTP/1.1\r\nhost: {API}\r\nauthorization: Bearer {token}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").as_bytes()).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, 101, "{name}: {}", answer.text());
        tokio::time::sleep(Duration::from_millis(2500)).await;
        raw.send(b"something to pass on").await;
        // A goodbye, if any.
        raw.rest().await;
        assert_eq!(raw.is_closed().await, !goes_on, "{name}");
    }
}

#[tokio::test]
async fn a_late_answer_does_not_sign_anybody_in_again() {
    let slow = Recorder::answering(Arc::new(|request| {
        if request.target() == "/slow" {
            std::thread::sleep(Duration::from_millis(2300));
        }
        Some(ok("canary"))
    }))
    .await;
    let scene = Scene::in_front_of(Plan::default(), slow).await;
    let mut browser = scene.signed_in(APP, "ada").await;
    // The same session, last seen half an hour ago: every answer would renew it.
    let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, SESSION_KEY).unwrap();
    let keys = SealingKeys::new(&[Secret::new(key)]).unwrap();
    let limits = Limits { idle: Duration::from_secs(3600), lifetime: Duration::from_secs(43_200) };
    let session = Session::open(browser.cookies[COOKIE].as_bytes(), &keys, APP, limits, clock::now()).unwrap();
    let stale = session.renewed(clock::now().minus(Duration::from_secs(1800))).seal(&keys, APP, [9; 12]).unwrap();
    for (path, renewed) in [("/quick", true), ("/slow", false)] {
        browser.cookies.insert(COOKIE.into(), stale.clone());
        let answer = browser.fetch(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.cookies().iter().any(|(name, _)| name == COOKIE), renewed, "{path}");
    }
}

#[tokio::test]
async fn one_server_that_is_down_costs_nobody_an_answer() {
    // Nothing listens on port 9.
    let routes = |servers: &str| {
        format!("\n  - {{ name: app, host: app.localhost, upstream: {{ servers: [{servers}] }}, rules: [{{ allow: public }}] }}\n")
    };
    let app = Recorder::start().await;
    let both = routes(&format!("\"127.0.0.1:9\", \"{}\"", app.address()));
    let scene = Scene::in_front_of(Plan { routes: both, ..Plan::default() }, app).await;
    let asks = (0..40).map(|_| scene.ask(APP, "GET", "/x", &[]));
    let statuses: Vec<u16> = futures::future::join_all(asks).await.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200; 40]);
    let scene = Scene::with(Plan { routes: routes("\"127.0.0.1:9\""), ..Plan::default() }).await;
    assert_eq!(scene.ask(APP, "GET", "/x", &[]).await.status, 502);
}

#[tokio::test]
async fn dos_02_only_a_request_that_is_complete_may_wait_in_silence() {
    // It takes requests and answers none.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let held = tokio::spawn(async move {
        let mut sockets = Vec::new();
        while let Ok((socket, _)) = silent.accept().await {
            sockets.push(socket);
        }
    });
    let upstream = format!("{{ servers: [\"{address}\"], read: 1s }}");
    let routes = format!("\n  - {{ name: app, host: app.localhost, upstream: {upstream}, rules: [{{ allow: public }}] }}\n");
    let scene = Scene::with(Plan { routes, ..Plan::default() }).await;
    for (name, request, waits) in [
        ("events", "GET /x HTTP/1.1\r\ncontent-length: 0", true),
        ("a body that never comes", "POST /x HTTP/1.1\r\ncontent-length: 5", false),
    ] {
        let mut raw = scene.raw(APP).await;
        raw.send(format!("{request}\r\nhost: {APP}\r\naccept: text/event-stream\r\n\r\n").as_bytes()).await;
        let answer = tokio::time::timeout(Duration::from_secs(3), raw.answer()).await;
        match answer {
            Err(_) => assert!(waits, "{name}"),
            Ok(answer) => assert_eq!((answer.map(|answer| answer.status), waits), (Some(504), false), "{name}"),
        }
    }
    held.abort();
}
