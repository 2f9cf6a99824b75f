//! API calls with bearer tokens.

use doorward_tests::scene::{API, Scene};

#[tokio::test]
async fn a_good_token_passes_and_the_app_sees_who_it_is() {
    let scene = Scene::start().await;
    let answer = scene.call("/items", &scene.token("ada")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = scene.app.last();
    assert!(seen.one("x-auth-user").unwrap().starts_with("auth0|"));
    assert_eq!(seen.one("authorization"), None);
}

#[tokio::test]
async fn jwt_64_without_a_token_401_and_without_the_right_403_never_a_redirect() {
    let scene = Scene::start().await;
    let absent = scene.browser(API).go("/items").await;
    assert_eq!((absent.status, absent.field("www-authenticate")), (401, Some("Bearer")));
    let wrong = scene.call("/items", "a.b.c").await;
    assert_eq!((wrong.status, wrong.field("www-authenticate")), (401, Some("Bearer error=\"invalid_token\"")));
    let read_only = scene.ask(API, "POST", "/items", &[("authorization", &format!("Bearer {}", scene.token("ada")))]).await;
    assert_eq!((read_only.status, read_only.field("www-authenticate")), (403, Some("Bearer error=\"insufficient_scope\"")));
    assert_eq!(scene.app.bytes(), 0);
}
