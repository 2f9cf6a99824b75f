//! Sign-out by both of Auth0's endpoints.

use doorward_demo::tenant::{CLIENT_ID, Client, Tenant, TenantSettings, UrlRules};
use serde_json::{Value, json};

use crate::client::*;

const HOME: &str = "https://app.example/bye?x=1";

async fn tenant_with_exact_urls() -> Tenant {
    let mut client = Client::confidential("exact", "s");
    client.logout_urls = UrlRules::exactly(&[HOME]);
    tenant_with(TenantSettings::default().client(client)).await
}

/// A signed-in browser: its cookie and its ID token's claims.
async fn browser(tenant: &Tenant) -> (String, String, Value) {
    let login = get(tenant, &authorization(tenant, &[("client_id", "exact")])).await;
    let state = query_of(login.location()).remove("state").expect("a state");
    let signed_in = post(tenant, "/u/login", &[("state", &state), ("persona", "auth0|ada")]).await;
    let code = query_of(signed_in.location()).remove("code").expect("a code");
    let tokens = redeem(tenant, &code, &[("client_id", "exact"), ("client_secret", "s")]).await.json();
    let id_token = tokens["id_token"].as_str().expect("an ID token").to_owned();
    let claims = claims_of(&id_token);
    (signed_in.cookie(), id_token, claims)
}

async fn is_signed_in(tenant: &Tenant, cookie: &str) -> bool {
    let silent = authorization(tenant, &[("prompt", "none")]);
    get_with(tenant, &silent, &[("Cookie", cookie)]).await.location().contains("code=")
}

#[tokio::test]
async fn v2_logout_goes_only_to_allowed_urls() {
    let tenant = tenant_with_exact_urls().await;
    let (cookie, ..) = browser(&tenant).await;
    let leave = async |client: &str, to: &str| {
        let query = encoded(&[("client_id", client), ("returnTo", to)]);
        get_with(&tenant, &format!("/v2/logout?{query}"), &[("Cookie", &cookie)]).await
    };
    for (client, to) in [("exact", "https://evil.example/"), ("exact", "https://app.example/Bye"), ("nobody", HOME)] {
        assert_eq!(leave(client, to).await.status, 400, "{to}");
    }
    assert!(is_signed_in(&tenant, &cookie).await);
    // Auth0 leaves the query out of the comparison here.
    let left = leave("exact", "https://app.example/bye?x=2").await;
    assert_eq!((left.status, left.location()), (302, "https://app.example/bye?x=2"));
    assert!(!is_signed_in(&tenant, &cookie).await);
}

#[tokio::test]
async fn oidc_logout_compares_the_query_too_and_returns_the_state() {
    let tenant = tenant_with_exact_urls().await;
    let (cookie, id_token, _) = browser(&tenant).await;
    let leave = async |changes: &[(&str, &str)]| {
        let mut pairs = vec![("id_token_hint", id_token.as_str()), ("state", "s 1")];
        pairs.extend(changes);
        get_with(&tenant, &format!("/oidc/logout?{}", encoded(&pairs)), &[("Cookie", &cookie)]).await
    };
    assert_eq!(leave(&[("post_logout_redirect_uri", "https://app.example/bye?x=2")]).await.status, 400);
    assert_eq!(leave(&[("post_logout_redirect_uri", HOME), ("client_id", CLIENT_ID)]).await.status, 400);
    assert!(is_signed_in(&tenant, &cookie).await);
    let left = leave(&[("post_logout_redirect_uri", HOME), ("client_id", "exact")]).await;
    assert_eq!((left.status, left.location()), (302, "https://app.example/bye?x=1&state=s+1"));
    assert!(!is_signed_in(&tenant, &cookie).await);
}

#[tokio::test]
async fn a_hint_is_a_token_of_this_tenant_and_may_have_expired() {
    let tenant = tenant_with_exact_urls().await;
    let (cookie, id_token, mut claims) = browser(&tenant).await;
    let leave = async |hint: &str| {
        let query = encoded(&[("id_token_hint", hint), ("post_logout_redirect_uri", HOME)]);
        get_with(&tenant, &format!("/oidc/logout?{query}"), &[("Cookie", &cookie)]).await.status
    };
    claims["exp"] = json!(1);
    let forged = tenant.sign_with(doorward_demo::tenant::SignWith::Foreign, json!({}), claims.clone());
    assert_eq!(leave(&forged).await, 400);
    assert_eq!(leave(&format!("{id_token}x")).await, 400);
    assert_eq!(leave(&tenant.sign(claims)).await, 302);
}

#[tokio::test]
async fn without_a_hint_the_tenant_asks_first() {
    let tenant = tenant_with_exact_urls().await;
    let (cookie, _, claims) = browser(&tenant).await;
    let headers = [("Cookie", cookie.as_str())];
    let pairs = [("client_id", "exact"), ("post_logout_redirect_uri", HOME)];
    let asked = get_with(&tenant, &format!("/oidc/logout?{}", encoded(&pairs)), &headers).await;
    assert_eq!(asked.status, 200);
    assert!(asked.body.contains("Sign out?") && asked.body.contains("Ada Admin"));
    assert!(is_signed_in(&tenant, &cookie).await);
    let confirmed = [&pairs[..], &[("confirmed", "yes")]].concat();
    let left = post_with(&tenant, "/oidc/logout", &headers, &confirmed).await;
    assert_eq!((left.status, left.location()), (302, HOME));
    assert!(!is_signed_in(&tenant, &cookie).await);
    assert_eq!(claims["iss"], tenant.issuer());

    // The session's id is hint enough.
    let (cookie, _, claims) = browser(&tenant).await;
    let hinted = [&pairs[..], &[("logout_hint", claims["sid"].as_str().expect("a sid"))]].concat();
    let left = get_with(&tenant, &format!("/oidc/logout?{}", encoded(&hinted)), &[("Cookie", &cookie)]).await;
    assert_eq!(left.status, 302);
}

#[tokio::test]
async fn end_session_is_published_only_when_switched_on() {
    let tenant = tenant().await;
    let published = async || get(&tenant, "/.well-known/openid-configuration").await.json()["end_session_endpoint"].clone();
    assert_eq!(published().await, format!("{}oidc/logout", tenant.issuer()));
    tenant.set_rp_initiated_logout(false);
    assert_eq!(published().await, Value::Null);
    assert_eq!(get(&tenant, "/oidc/logout").await.status, 404);
    assert_eq!(get(&tenant, "/v2/logout").await.status, 302);
}
