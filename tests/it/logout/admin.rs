//! `POST /sessions/end` on the admin listener.

use doorward_tests::hostile::{HostileIdp, User};
use doorward_tests::scene::{Plan, Scene};
use serde_json::{Value, json};

use super::{MEMORY, SID, grace, is_in, quick, signed_in};

const TOKEN: &str = "an-admin-token-of-this-test";

async fn rig(server: &str, session: &str) -> (HostileIdp, Scene) {
    let idp = HostileIdp::start().await;
    let files = [Plan::oidc(idp.issuer()).files, vec![("admin".into(), TOKEN.into())]].concat();
    let scene =
        Scene::with(Plan { server: server.into(), session: session.into(), files, tempo: quick(), ..Plan::oidc(idp.issuer()) }).await;
    (idp, scene)
}

const WITH_TOKEN: &str = "  admin_token: { file: admin }\n";

struct Call<'c> {
    authorization: Option<&'c str>,
    kind: &'c str,
    body: String,
}

async fn call(scene: &Scene, call: Call<'_>) -> (u16, Value) {
    let address = scene.edge().admin_address().unwrap();
    let mut request =
        reqwest::Client::new().post(format!("http://{address}/sessions/end")).header("content-type", call.kind).body(call.body);
    if let Some(value) = call.authorization {
        request = request.header("authorization", value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn order(scene: &Scene, body: &str) -> (u16, Value) {
    let authorization = format!("Bearer {TOKEN}");
    call(scene, Call { authorization: Some(&authorization), kind: "application/json", body: body.to_owned() }).await
}

#[tokio::test]
async fn an_administrator_ends_a_persons_sessions_or_one_in_every_store() {
    for session in ["  idle: 1h\n  lifetime: 12h\n", MEMORY] {
        let (idp, scene) = rig(WITH_TOKEN, session).await;
        let ada = User::ada();
        let (one, two) = (signed_in(&idp, &scene, &ada, SID).await, signed_in(&idp, &scene, &ada, "session 2").await);
        let other = signed_in(&idp, &scene, &grace(), "session 3").await;
        let (status, told) = order(&scene, &json!({ "issuer": idp.issuer(), "sid": SID }).to_string()).await;
        assert_eq!((status, &told["stored"]), (202, &json!(true)), "{told}");
        assert_eq!(told["revoked"]["what"], json!({ "provider_session": { "issuer": idp.issuer(), "sid": SID } }));
        assert_eq!([is_in(&one).await, is_in(&two).await, is_in(&other).await], [false, true, true]);
        let (status, told) = order(&scene, &json!({ "provider": "tenant", "sub": ada.sub }).to_string()).await;
        assert_eq!((status, &told["revoked"]["what"]["subject"]["sub"]), (202, &json!(ada.sub)));
        assert_eq!([is_in(&one).await, is_in(&two).await, is_in(&other).await], [false, false, true]);
        assert_eq!(scene.metric("doorward_logouts_total{kind=\"admin\",outcome=\"ok\"}").await, 2.0);
    }
}

#[tokio::test]
async fn without_the_token_nothing_happens() {
    let (idp, scene) = rig(WITH_TOKEN, MEMORY).await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let body = json!({ "provider": "tenant", "sub": User::ada().sub }).to_string();
    let (basic, bearer) = (format!("Basic {TOKEN}"), format!("Bearer {TOKEN}"));
    for authorization in [
        None,
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer an-admin-token-of-this-tesT"),
        Some(&bearer[..bearer.len() - 1]),
        Some(&basic),
        Some(TOKEN),
    ] {
        let (status, told) = call(&scene, Call { authorization, kind: "application/json", body: body.clone() }).await;
        assert_eq!((status, &told["error"]), (401, &json!("unauthorized")), "{authorization:?}");
    }
    assert!(is_in(&browser).await);
    assert_eq!(order(&scene, &body).await.0, 202);
    assert!(!is_in(&browser).await);
}

#[tokio::test]
async fn where_no_token_is_configured_there_is_no_such_call() {
    let (_, scene) = rig("", MEMORY).await;
    assert_eq!(order(&scene, r#"{"provider":"tenant","sub":"auth0|ada"}"#).await.0, 404);
    let (_, scene) = rig(WITH_TOKEN, MEMORY).await;
    assert_eq!(scene.admin("/sessions/end").await.0, 405);
}

#[tokio::test]
async fn an_order_that_is_not_exactly_one_is_refused() {
    let (idp, scene) = rig(WITH_TOKEN, MEMORY).await;
    let browser = signed_in(&idp, &scene, &User::ada(), SID).await;
    let long = format!(r#"{{"provider":"tenant","sub":"{}"}}"#, "x".repeat(1025));
    for body in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"provider":"tenant"}"#,
        r#"{"sub":"auth0|ada"}"#,
        r#"{"provider":"nobody","sub":"auth0|ada"}"#,
        r#"{"issuer":"https://evil.test/","sub":"auth0|ada"}"#,
        r#"{"provider":"tenant","issuer":"https://evil.test/","sub":"auth0|ada"}"#,
        r#"{"provider":"tenant","sub":"auth0|ada","sid":"s"}"#,
        r#"{"provider":"tenant","sub":"auth0|ada","all":true}"#,
        r#"{"provider":"tenant","sub":"auth0|ada","sub":"auth0|grace"}"#,
        r#"{"provider":"tenant","sub":""}"#,
        r#"{"provider":"tenant","sub":7}"#,
        r#"{"provider":"tenant","sub":"auth0|ada"} {}"#,
        long.as_str(),
    ] {
        let (status, told) = order(&scene, body).await;
        assert_eq!((status, &told["error"]), (400, &json!("bad_request")), "{body}: {told}");
    }
    let whole = format!(r#"{{"provider":"tenant","sub":"{}"}}"#, "x".repeat(4096));
    assert_eq!(order(&scene, &whole).await.0, 413);
    let authorization = format!("Bearer {TOKEN}");
    let body = r#"{"provider":"tenant","sub":"auth0|ada"}"#.to_owned();
    assert_eq!(call(&scene, Call { authorization: Some(&authorization), kind: "text/plain", body }).await.0, 400);
    assert!(is_in(&browser).await);
}
