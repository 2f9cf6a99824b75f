//! Refresh tokens: rotation, reuse, leeway, revocation.

use std::time::Duration;

use doorward_demo::tenant::{CLIENT_ID, CLIENT_SECRET, Tenant};

use crate::client::*;

async fn first_token(tenant: &Tenant) -> String {
    let code = code(tenant, "vera", &[("scope", "openid email offline_access device:read")]);
    token_in(&redeem(tenant, &code, &[]).await)
}

async fn refresh(tenant: &Tenant, token: &str) -> Answer {
    let pairs = [("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET), ("refresh_token", token)];
    post(tenant, "/oauth/token", &pairs).await
}

fn token_in(answer: &Answer) -> String {
    answer.json()["refresh_token"].as_str().expect("a refresh token").to_owned()
}

fn refused() -> (u16, String, String) {
    (403, "invalid_grant".into(), "Unknown or invalid refresh token.".into())
}

#[tokio::test]
async fn each_refresh_replaces_the_token() {
    let tenant = tenant().await;
    let first = first_token(&tenant).await;
    let answer = refresh(&tenant, &first).await;
    let second = token_in(&answer);
    assert_ne!(first, second);
    let id = claims_of(answer.json()["id_token"].as_str().expect("an ID token"));
    assert_eq!(id["email"], "vera@acme.dev");
    assert!(id.get("nonce").is_none());
    assert_eq!(refresh(&tenant, &second).await.status, 200);
}

#[tokio::test]
async fn a_used_token_ends_the_whole_family() {
    let tenant = tenant().await;
    let first = first_token(&tenant).await;
    let second = token_in(&refresh(&tenant, &first).await);
    assert_eq!(refresh(&tenant, &first).await.refusal(), refused());
    assert_eq!(refresh(&tenant, &second).await.refusal(), refused());
    // Another sign-in is another family.
    assert_eq!(refresh(&tenant, &first_token(&tenant).await).await.status, 200);
}

#[tokio::test]
async fn within_the_leeway_only_the_token_just_before_is_forgiven() {
    let tenant = tenant().await;
    tenant.set_refresh_leeway(Duration::from_secs(60));
    let first = first_token(&tenant).await;
    let second = token_in(&refresh(&tenant, &first).await);
    let third = token_in(&refresh(&tenant, &first).await);
    assert_ne!(second, third);
    assert_eq!(refresh(&tenant, &third).await.status, 200);
    assert_eq!(refresh(&tenant, &first).await.refusal(), refused(), "two before");
    assert_eq!(refresh(&tenant, &third).await.refusal(), refused(), "the family is gone");
}

#[tokio::test]
async fn a_revoked_token_and_a_blocked_user_get_nothing() {
    let tenant = tenant().await;
    let token = first_token(&tenant).await;
    let wrong = [("client_id", CLIENT_ID), ("client_secret", "wrong"), ("token", token.as_str())];
    assert_eq!(post(&tenant, "/oauth/revoke", &wrong).await.status, 401);
    let token = token_in(&refresh(&tenant, &token).await);
    let right = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET), ("token", token.as_str())];
    assert_eq!(post(&tenant, "/oauth/revoke", &right).await.status, 200);
    assert_eq!(refresh(&tenant, &token).await.refusal(), refused());

    let token = first_token(&tenant).await;
    tenant.set_blocked("vera", true);
    assert_eq!(refresh(&tenant, &token).await.refusal(), refused());
}

#[tokio::test]
async fn a_refresh_tells_what_changed_about_the_person() {
    let tenant = tenant().await;
    let token = first_token(&tenant).await;
    tenant.change_user("vera", |vera| {
        vera.roles = vec!["editor".into()];
        vera.permissions.retain(|permission| permission != "device:read");
    });
    let answer = refresh(&tenant, &token).await.json();
    let access = claims_of(answer["access_token"].as_str().expect("a token"));
    assert_eq!(access["https://acme.dev/roles"][0], "editor");
    assert_eq!(access["scope"], "openid email offline_access");
}
