//! Optional paths when nobody can say who is there, and when a page of somebody else's opens a WebSocket.

use std::sync::Arc;

use doorward_tests::client::Answer;
use doorward_tests::hostile::{HostileIdp, User};
use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::redis::RedisServer;
use doorward_tests::scene::{API, APP, Plan, Scene};

use super::routes;

/// Who the app was told.
fn told(scene: &Scene) -> Option<String> {
    scene.app.last().one("x-auth-user").map(str::to_owned)
}

#[tokio::test]
async fn jwks_06_a_token_that_cannot_be_verified_now_is_nobody_on_an_optional_path() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(Plan { routes: routes(), ..Plan::oidc(idp.issuer()) }).await;
    let token = format!("Bearer {}", idp.access_token(&User::eddie(), |_| {}));
    let call = async |path: &str| scene.ask(API, "GET", path, &[("authorization", &token)]).await;
    idp.stop();
    let (news, private) = (call("/news").await, call("/private").await);
    assert_eq!((news.status, told(&scene)), (200, None));
    assert_eq!(private.status, 503, "where somebody is needed nobody passes: {}", private.text());
    assert_eq!(scene.app.seen().len(), 1);
    idp.resume().await;
    crate::reload::until("the keys are there", async || call("/private").await.status == 200).await;
    assert_eq!((call("/news").await.status, told(&scene)), (200, Some(User::eddie().sub)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sess_41_a_session_that_cannot_be_looked_up_now_is_nobody_on_an_optional_path() {
    let mut server = RedisServer::start();
    let session = format!("  idle: 1h\n  lifetime: 12h\n  store: redis\n  redis: {{ url: \"redis://127.0.0.1:{}/0\" }}\n", server.port());
    let scene = Scene::with(Plan { routes: routes(), session, ..Plan::default() }).await;
    let mut ada = scene.signed_in(APP, "ada").await;
    let twin = scene.twin(|text| text).await;
    server.kill();
    let mut elsewhere = twin.visit(&ada);
    assert_eq!((elsewhere.fetch("/news").await.status, told(&scene)), (200, None));
    assert_eq!(elsewhere.fetch("/private").await.status, 503);
    // Its twin is a process that holds the session already.
    assert_eq!((ada.fetch("/news").await.status, told(&scene).as_deref()), (200, Some("auth0|ada")));
    assert_eq!(ada.fetch("/private").await.status, 200);
}

#[tokio::test]
async fn csrf_02_a_websocket_of_another_origin_passes_an_optional_path_without_a_session_only() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let app = Recorder::answering(Arc::new(move |request| {
        Some(if request.one("upgrade").is_some() { switch.as_bytes().to_vec() } else { ok("a page") })
    }))
    .await;
    let scene = Scene::in_front_of(Plan { routes: routes(), ..Plan::default() }, app).await;
    let ada = format!("cookie: {}\r\n", scene.signed_in(APP, "ada").await.cookie());
    let open = async |origin: &str, cookie: &str| -> Answer {
        let mut raw = scene.raw(APP).await;
        raw.send(format!("GET /news HTTP/1.1\r\nhost: {APP}\r\norigin: https://{origin}\r\n{cookie}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").as_bytes()).await;
        raw.answer().await.unwrap()
    };
    assert_eq!((open(APP, &ada).await.status, told(&scene).as_deref()), (101, Some("auth0|ada")));
    let before = scene.app.seen().len();
    let refused = open("evil.example", &ada).await;
    assert_eq!((refused.status, scene.app.seen().len()), (403, before));
    assert_eq!(scene.reason_of(&refused).await, "cross_origin");
    assert_eq!((open("evil.example", "").await.status, told(&scene)), (101, None));
}
