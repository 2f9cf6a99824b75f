//! Programs with access tokens (`SECURITY.md` B).

use std::time::Duration;

use doorward_tests::idp::{AUDIENCE, OTHER_AUDIENCE};
use reqwest::{Response, StatusCode};

use crate::client::{self, Browser};
use crate::world::World;

async fn call(world: &World, path: &str, token: &str) -> Response {
    client::send(world.client.get(world.api(path)).bearer_auth(token)).await
}

/// RFC 6750 §3: a refusal names the scheme, and is for programs.
fn assert_refused(response: &Response, status: StatusCode, name: &str) {
    assert_eq!(response.status(), status, "{name}: {response:?}");
    let challenge = response.headers().get("www-authenticate").and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert!(challenge.starts_with("Bearer"), "{name}: {response:?}");
    assert!(!response.headers().contains_key("location") && !response.headers().contains_key("set-cookie"), "{name}: {response:?}");
}

#[tokio::test]
async fn jwt_42_a_token_for_our_api_passes_and_one_for_another_api_does_not() {
    let world = World::start().await;
    let ours = world.idp.machine_token(AUDIENCE, "device:read").await;
    let other = world.idp.machine_token(OTHER_AUDIENCE, "other:read").await;

    assert_eq!(call(&world, "/api/devices", &ours).await.status(), StatusCode::OK);
    let request = world.apps.iot.last_received("/api/devices").expect("the app was asked");
    assert_eq!(request.header("x-auth-user"), Some("machine@clients"));
    assert_eq!(request.header("authorization"), None, "the route does not pass tokens on");

    world.apps.iot.forget_received();
    assert_refused(&call(&world, "/api/devices", &other).await, StatusCode::UNAUTHORIZED, "other audience");
    let (signed, signature) = ours.rsplit_once('.').expect("a JWT");
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let damaged = format!("{signed}.{flipped}{}", &signature[1..]);
    assert_refused(&call(&world, "/api/devices", &damaged).await, StatusCode::UNAUTHORIZED, "damaged signature");
    assert_refused(&call(&world, "/api/devices", "not-a-token").await, StatusCode::UNAUTHORIZED, "no token");
    assert_eq!(world.apps.iot.received(), [], "nothing refused reached the app");
    world.end().await;
}

#[tokio::test]
async fn a_token_without_the_scope_is_403_and_without_a_token_401() {
    let world = World::start().await;
    let token = world.idp.machine_token(AUDIENCE, "read:items").await;
    assert_refused(&call(&world, "/api/devices", &token).await, StatusCode::FORBIDDEN, "another scope");
    let nobody = client::send(world.client.get(world.api("/api/devices"))).await;
    assert_refused(&nobody, StatusCode::UNAUTHORIZED, "nothing");
    world.end().await;
}

#[tokio::test]
async fn jwt_46_a_session_cookie_is_no_bearer_token() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    browser.open_as("ada", &world.cms("/articles")).await;
    let session = browser.cookies("cms.localhost")["__Host-doorward"].clone();
    assert_refused(&call(&world, "/api/devices", &session).await, StatusCode::UNAUTHORIZED, "a session");
    world.end().await;
}

#[tokio::test]
async fn jwks_04_conf_signing_key_rotation_is_followed_by_bearers_and_sign_ins() {
    let world = World::start().await;
    let before = world.idp.machine_token(AUDIENCE, "device:read").await;
    assert_eq!(call(&world, "/api/devices", &before).await.status(), StatusCode::OK);

    // The first successor was published with the first key, the second only since the first rotation.
    for round in ["a key that was announced", "a key that the edge has not seen"] {
        world.idp.rotate_keys().await;
        let after = world.idp.machine_token(AUDIENCE, "device:read").await;
        let mut response = call(&world, "/api/devices", &after).await;
        // An edge that has just fetched the keys may wait before it fetches them again, and says so.
        for _ in 0..60 {
            if response.status() == StatusCode::OK {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            response = call(&world, "/api/devices", &after).await;
        }
        assert_eq!(response.status(), StatusCode::OK, "{round}: {response:?}");
        assert_eq!(Browser::new(&world).open_as("eddie", &world.cms("/articles")).await.status, StatusCode::OK, "{round}");
        assert_eq!(call(&world, "/api/devices", &before).await.status(), StatusCode::OK, "{round}: the old key is still published");
    }
    let fetches = world.idp.counts().await.get("/.well-known/jwks.json").copied().unwrap_or_default();
    assert!(fetches <= 5, "{fetches} fetches of the keys");
    world.end().await;
}
