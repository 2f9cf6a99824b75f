//! What goes on through a reload: sessions, sign-outs, open streams.

use std::time::Duration;

use doorward_demo::tenant::CLIENT_ID;
use doorward_policy::session::{Origin, Session, Tokens};
use doorward_proxy::clock;
use doorward_tests::client::Browser;
use doorward_tests::recorder::Recorder;
use doorward_tests::redis::{HOST, RedisServer};
use doorward_tests::scene::{APP, Plan, Scene};
use serde_json::json;

use super::until;

const STORES: [(&str, &str, &str); 4] = [
    ("cookie", "", "  idle: 1h\n  lifetime: 12h\n"),
    ("cookie with a folder", "  state_dir: .\n", "  idle: 1h\n  lifetime: 12h\n"),
    ("memory", "", "  idle: 1h\n  lifetime: 12h\n  store: memory\n"),
    ("file", "  state_dir: .\n", "  idle: 1h\n  lifetime: 12h\n  store: file\n"),
];

async fn with_store(server: &str, session: &str) -> Scene {
    let server = format!("{}{server}  admin_token: {{ file: admin }}\n", Plan::default().server);
    let files = vec![("admin".into(), super::admin::TOKEN.into())];
    Scene::with(Plan { server, session: session.into(), files, ..Plan::default() }).await
}

async fn sign_out(browser: &mut Browser) {
    assert_eq!(browser.request("POST", "/_doorward/logout", &[("origin", &format!("https://{APP}"))], b"").await.status, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sess_40_sessions_go_on_and_those_that_ended_stay_ended_in_every_store() {
    for (name, server, session) in STORES {
        goes_on(name, &with_store(server, session).await).await;
    }
    let redis = RedisServer::start();
    let session = format!("  idle: 1h\n  lifetime: 12h\n  store: redis\n  redis: {{ url: \"redis://{HOST}:{}/0\" }}\n", redis.port());
    let scene = with_store("", &session).await;
    goes_on("redis", &scene).await;
    // What a reload changes beside it leaves its connections alone; another prefix is another store.
    let connections = || redis.cli(&["CLIENT", "LIST"]).lines().filter(|line| line.contains("id=")).count();
    let mut ada = scene.signed_in(APP, "ada").await;
    let before = connections();
    scene.reconfigure(|text| text.replace("drain: 5s", "drain: 6s")).await;
    assert_eq!((connections(), ada.go("/private").await.status), (before, 200));
    let (other, moved) = (RedisServer::start(), redis.port().to_string());
    let reloaded = scene.reconfigure(|text| text.replace(&moved, &other.port().to_string())).await;
    assert_eq!(reloaded.changed, ["session"]);
    let mut late = scene.signed_in(APP, "ada").await;
    assert_eq!(late.go("/private").await.status, 200);
    assert!(other.cli(&["DBSIZE"]).trim() != "0", "new sessions are in the new one");
}

async fn goes_on(name: &str, scene: &Scene) {
    let (mut ada, mut ben) = (scene.signed_in(APP, "ada").await, scene.signed_in(APP, "ada").await);
    let copy = ben.clone();
    sign_out(&mut ben).await;
    assert_eq!(copy.clone().go("/private").await.status, 302, "{name}");
    for _ in 0..3 {
        scene.reload().await.unwrap();
        assert_eq!(ada.go("/private").await.status, 200, "{name}");
        assert_eq!(copy.clone().go("/private").await.status, 302, "{name}: signed out is signed out");
    }
    let mut late = scene.signed_in(APP, "ada").await;
    assert_eq!(late.go("/private").await.status, 200, "{name}");
}

#[tokio::test]
async fn a_role_that_the_new_mapping_takes_away_counts_no_longer_for_sessions_that_are_there() {
    for (name, server, session) in STORES {
        let scene = with_store(server, session).await;
        let mut ada = scene.signed_in(APP, "ada").await;
        assert_eq!(ada.go("/admin/x").await.status, 200, "{name}");
        scene.reconfigure(|text| text.replace("  roles: [\"https://acme.dev/roles\"]", "  roles: [\"https://acme.dev/none\"]")).await;
        assert_eq!(ada.go("/admin/x").await.status, 403, "{name}");
        assert_eq!(ada.go("/private").await.status, 200, "{name}");
        scene.reconfigure(|text| text.replace("https://acme.dev/none", "https://acme.dev/roles")).await;
        assert_eq!(ada.go("/admin/x").await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn sess_40_who_was_signed_out_stays_so_when_the_store_is_another() {
    let scene = with_store("", "  idle: 1h\n  lifetime: 12h\n").await;
    let (mut ada, mut ben) = (scene.signed_in(APP, "ada").await, scene.signed_in(APP, "ada").await);
    let copy = ben.clone();
    sign_out(&mut ben).await;
    let other = scene.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let reloaded = scene.reconfigure(|text| text.replace("  admin_token", "  state_dir: other\n  admin_token")).await;
    assert_eq!(reloaded.changed, ["server.state_dir"]);
    assert_eq!((ada.go("/private").await.status, copy.clone().go("/private").await.status), (200, 302));
    // And back, and there again: the file is never open twice.
    scene.reconfigure(|text| text.replace("  state_dir: other\n", "")).await;
    scene.reconfigure(|text| text.replace("  admin_token", "  state_dir: ./other\n  admin_token")).await;
    assert_eq!((ada.go("/private").await.status, copy.clone().go("/private").await.status), (200, 302));
    let copy = ada.clone();
    sign_out(&mut ada).await;
    assert_eq!(copy.clone().go("/private").await.status, 302);
}

#[tokio::test]
async fn a_shorter_idle_limit_counts_for_whoever_is_away_already() {
    let scene = with_store("", "  idle: 1h\n  lifetime: 12h\n  store: memory\n").await;
    let half_an_hour_ago = clock::now().minus(Duration::from_secs(1800));
    let mut cookies = Vec::new();
    for id in ["one-session-of-adas", "another-session-of-adas"] {
        let claims = json!({ "iss": scene.tenant.issuer(), "sub": "auth0|ada", "iat": half_an_hour_ago.0 });
        let kept: Vec<Box<str>> = ["iss", "sub"].map(Into::into).into();
        let origin = Origin { id, provider: "tenant", client_id: CLIENT_ID };
        let session = Session::begin(origin, claims.as_object().unwrap(), &kept, half_an_hour_ago);
        let cookie = scene.edge().runtime().sessions.begin(session, Tokens::default(), APP).await.unwrap();
        cookies.push(cookie.split(';').next().unwrap().to_owned());
    }
    let visit = async |cookie: &str| scene.ask(APP, "GET", "/private", &[("cookie", cookie), ("accept", "text/html")]).await.status;
    assert_eq!(visit(&cookies[0]).await, 200);
    scene.reconfigure(|text| text.replace("  idle: 1h\n", "  idle: 10m\n")).await;
    assert_eq!((visit(&cookies[0]).await, visit(&cookies[1]).await), (200, 302), "one was here just now");
}

#[tokio::test]
async fn upg_04_a_websocket_goes_on_through_a_reload_and_ends_when_its_session_is_revoked() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let app = Recorder::answering(std::sync::Arc::new(move |_| Some(switch.as_bytes().to_vec()))).await;
    let server = format!("{}  admin_token: {{ file: admin }}\n", Plan::default().server);
    let files = vec![("admin".into(), super::admin::TOKEN.into())];
    let scene = Scene::in_front_of(Plan { server, files, ..Plan::default() }, app).await;
    let mut ada = scene.browser(APP);
    assert_eq!(scene.sign_in(&mut ada, "/private", "ada").await.status, 303);
    let mut raw = scene.raw(APP).await;
    raw.send(format!("GET /ws HTTP/1.1\r\nhost: {APP}\r\norigin: https://{APP}\r\ncookie: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", ada.cookie()).as_bytes()).await;
    assert_eq!(raw.answer().await.unwrap().status, 101);
    for round in 0..5 {
        scene.reconfigure(|text| text.replace(&format!("drain: {}s", 5 + round), &format!("drain: {}s", 6 + round))).await;
    }
    assert!(!raw.is_closed().await, "it stands on the same session");
    assert_eq!(scene.edge().reloader().retired(), 1, "what it began under is kept for it, and nothing else");
    assert_eq!(scene.metric("doorward_websockets_active").await, 1.0);
    let (status, told) =
        super::admin::post(&scene, "/sessions/end", Some(super::admin::TOKEN), r#"{"provider":"tenant","sub":"auth0|ada"}"#).await;
    assert_eq!(status, 202, "{told}");
    raw.rest().await;
    assert!(raw.is_closed().await);
    until("it is counted no longer", async || scene.metric("doorward_websockets_active").await == 0.0).await;
    until("nothing is left of what it began under", async || scene.edge().reloader().retired() == 0).await;
}
