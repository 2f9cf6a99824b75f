//! `POST /reload`

use doorward_tests::scene::{APP, Plan, Scene};
use serde_json::{Value, json};

pub(super) const TOKEN: &str = "an-admin-token-of-this-test";

pub(super) async fn post(scene: &Scene, path: &str, token: Option<&str>, body: &str) -> (u16, Value) {
    let address = scene.edge().admin_address().unwrap();
    let request =
        reqwest::Client::new().post(format!("http://{address}{path}")).header("content-type", "application/json").body(body.to_owned());
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn rig() -> Scene {
    let server = format!("{}  admin_token: {{ file: admin }}\n", Plan::default().server);
    Scene::with(Plan { server, files: vec![("admin".into(), TOKEN.into())], ..Plan::default() }).await
}

async fn reload(scene: &Scene, token: Option<&str>) -> (u16, Value) {
    post(scene, "/reload", token, "").await
}

#[tokio::test]
async fn adm_01_a_reload_needs_the_token_and_says_what_changed() {
    let scene = rig().await;
    scene.rewrite(|text| text.replace("allow: nobody", "allow: public").replace("drain: 5s", "drain: 6s"));
    for token in [None, Some(""), Some("an-admin-token-of-this-tesT")] {
        let (status, told) = reload(&scene, token).await;
        assert_eq!((status, &told["error"]), (401, &json!("unauthorized")), "{token:?}");
    }
    assert_eq!(scene.ask(APP, "GET", "/closed/x", &[]).await.status, 403);
    let (status, told) = reload(&scene, Some(TOKEN)).await;
    assert_eq!((status, &told["reloaded"], &told["changed"]), (200, &json!(true), &json!(["server.drain", "routes.app"])), "{told}");
    assert!(told["files"].as_array().unwrap()[0].as_str().unwrap().ends_with("doorward.yaml"), "{told}");
    assert_eq!(scene.ask(APP, "GET", "/closed/x", &[]).await.status, 200);
    let (_, metrics) = scene.admin("/metrics").await;
    assert!(metrics.contains(&format!("doorward_config_hash_info{{hash=\"{}\"}} 1\n", told["hash"].as_str().unwrap())), "{metrics}");
    let (status, told) = reload(&scene, Some(TOKEN)).await;
    assert_eq!((status, &told["files"], &told["changed"]), (200, &json!([]), &json!([])), "{told}");
    assert_eq!(scene.admin("/reload").await.0, 405);
}

#[tokio::test]
async fn adm_01_a_refusal_says_where_and_never_a_secret() {
    let scene = rig().await;
    let good = std::fs::read_to_string(scene.configuration()).unwrap();
    scene.rewrite(|text| text.replace("client_secret: { file: secret }", "client_secret: hunter2hunter2\n    nonsense: 1"));
    let (status, told) = reload(&scene, Some(TOKEN)).await;
    assert_eq!((status, &told["error"], &told["problems"][0]["line"].is_u64()), (422, &json!("configuration"), &true), "{told}");
    assert!(!told.to_string().contains("hunter2"), "{told}");
    std::fs::write(scene.configuration(), good.replace("cores: 2", "cores: 1")).unwrap();
    let (status, told) = reload(&scene, Some(TOKEN)).await;
    assert_eq!((status, &told["error"], &told["problems"][0]["key"]), (409, &json!("cannot_change"), &json!("server.cores")), "{told}");
    std::fs::write(scene.configuration(), good).unwrap();
    assert_eq!(reload(&scene, Some(TOKEN)).await.0, 200);
}

#[tokio::test]
async fn adm_02_secrets_are_read_again_with_everything_else() {
    let scene = rig().await;
    std::fs::write(scene.folder.path().join("admin"), "another-admin-token-of-this-test\n").unwrap();
    assert_eq!(reload(&scene, Some("another-admin-token-of-this-test")).await.0, 401);
    assert_eq!(reload(&scene, Some(TOKEN)).await.0, 200);
    assert_eq!(reload(&scene, Some(TOKEN)).await.0, 401);
    assert_eq!(reload(&scene, Some("another-admin-token-of-this-test")).await.0, 200);
    let without = Scene::start().await;
    assert_eq!(reload(&without, Some(TOKEN)).await.0, 404);
}
