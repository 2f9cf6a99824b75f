//! The shapes of tokens, and `/userinfo`.

use doorward_demo::tenant::{AUDIENCE, Tenant, TenantSettings, TokenDialect, User};
use serde_json::{Value, json};

use crate::client::*;

async fn tokens(tenant: &Tenant, persona: &str, changes: &[(&str, &str)]) -> Value {
    redeem(tenant, &code(tenant, persona, changes), &[]).await.json()
}

fn access(tokens: &Value) -> &str {
    tokens["access_token"].as_str().expect("an access token")
}

async fn userinfo(tenant: &Tenant, token: &str) -> Answer {
    get_with(tenant, "/userinfo", &[("Authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn without_an_audience_the_access_token_is_opaque() {
    let tenant = tenant().await;
    let opaque = tokens(&tenant, "ada", &[("audience", "")]).await;
    let parts: Vec<_> = access(&opaque).split('.').collect();
    assert_eq!(parts.len(), 5);
    assert_eq!(parts[1], "");
    assert_eq!(header_of(access(&opaque))["enc"], "A256GCM");
    assert_eq!(userinfo(&tenant, access(&opaque)).await.json()["email"], "ada@acme.dev");

    let jwt = tokens(&tenant, "ada", &[]).await;
    assert_eq!(access(&jwt).split('.').count(), 3);
}

#[tokio::test]
async fn an_access_token_names_the_api_and_userinfo() {
    let tenant = tenant().await;
    let with_openid = tokens(&tenant, "vera", &[("scope", "openid email device:read device:admin")]).await;
    let claims = claims_of(access(&with_openid));
    assert_eq!(claims["aud"], json!([AUDIENCE, format!("{}userinfo", tenant.issuer())]));
    assert_eq!(claims["scope"], "openid email device:read", "Vera has no device:admin");
    assert_eq!(claims["permissions"], json!(["read:items", "device:read"]));
    assert_eq!(claims["https://acme.dev/groups"], json!(["partners"]));
    assert_eq!(userinfo(&tenant, access(&with_openid)).await.json()["sub"], "auth0|vera");

    let without = tokens(&tenant, "vera", &[("scope", "device:read")]).await;
    assert_eq!(claims_of(access(&without))["aud"], AUDIENCE);
    assert!(without.get("id_token").is_none());
    assert_eq!(userinfo(&tenant, access(&without)).await.status, 401);
}

#[tokio::test]
async fn the_dialect_decides_the_shape() {
    let tenant = tenant().await;
    let shapes = [
        (TokenDialect::AccessToken, "JWT", "azp", false),
        (TokenDialect::AccessTokenAuthz, "JWT", "azp", true),
        (TokenDialect::Rfc9068Profile, "at+jwt", "client_id", false),
        (TokenDialect::Rfc9068ProfileAuthz, "at+jwt", "client_id", true),
    ];
    for (dialect, typ, client, permissions) in shapes {
        tenant.set_token_dialect(dialect);
        let tokens = tokens(&tenant, "ada", &[]).await;
        let claims = claims_of(access(&tokens));
        assert_eq!(header_of(access(&tokens))["typ"], typ);
        assert_eq!(claims[client], "doorward-demo");
        assert_eq!(claims.get("jti").is_some(), typ == "at+jwt");
        assert_eq!(claims.get("permissions").is_some(), permissions);
        let direct = tenant.access_token_for("ada", AUDIENCE, "openid");
        assert_eq!(header_of(&direct)["typ"], typ);
        assert_eq!(header_of(tokens["id_token"].as_str().expect("an ID token"))["typ"], "JWT");
    }
}

#[tokio::test]
async fn scopes_decide_what_the_id_token_tells() {
    let settings = TenantSettings::default()
        .organization("org_acme", "acme")
        .user(User::new("auth0|mo", "mo@acme.dev", "Mo <script>").member_of("org_acme").claim("https://acme.dev/x", json!({ "a": 1 })));
    let tenant = tenant_with(settings).await;
    let id = async |changes: &[(&str, &str)]| claims_of(tokens(&tenant, "mo", changes).await["id_token"].as_str().expect("a token"));
    let bare = id(&[("scope", "openid")]).await;
    assert_eq!((bare.get("name"), bare.get("email"), bare.get("org_id")), (None, None, None));
    assert_eq!(bare["https://acme.dev/x"]["a"], 1);
    let full = id(&[("organization", "org_acme")]).await;
    assert_eq!((&full["name"], &full["email"], &full["org_id"]), (&json!("Mo <script>"), &json!("mo@acme.dev"), &json!("org_acme")));
    assert!(full.get("auth_time").is_none());
}

#[tokio::test]
async fn switches_bend_tokens_clock_and_endpoints() {
    let tenant = tenant().await;
    tenant.set_id_token_claims(json!({ "nonce": "other", "email": null }));
    let id = claims_of(tokens(&tenant, "ada", &[]).await["id_token"].as_str().expect("a token"));
    assert_eq!((&id["nonce"], id.get("email")), (&json!("other"), None));
    tenant.set_id_token_claims(json!({}));

    let before = claims_of(&tenant.access_token_for("ada", AUDIENCE, ""))["iat"].as_i64().expect("a time");
    tenant.set_clock_offset(-3600);
    let after = claims_of(&tenant.access_token_for("ada", AUDIENCE, ""))["iat"].as_i64().expect("a time");
    assert!((3590..=3600).contains(&(before - after)), "{before} {after}");

    tenant.set_outage("jwks", Some(503));
    assert_eq!(get(&tenant, "/.well-known/jwks.json").await.status, 503);
    tenant.set_outage("jwks", None);
    assert_eq!(get(&tenant, "/.well-known/jwks.json").await.status, 200);
    assert_eq!(tenant.requests("jwks"), 2);
}

#[tokio::test]
async fn userinfo_takes_no_forged_token() {
    let tenant = tenant().await;
    let claims = tenant.access_claims_for("ada", AUDIENCE, "openid");
    let forged = tenant.sign_with(doorward_demo::tenant::SignWith::Foreign, json!({}), claims.clone());
    assert_eq!(userinfo(&tenant, &forged).await.status, 401);
    assert_eq!(get(&tenant, "/userinfo").await.header("www-authenticate"), Some("Bearer"));
    assert_eq!(userinfo(&tenant, &tenant.sign(claims)).await.status, 200);
}

#[tokio::test]
async fn a_logout_token_names_its_event_and_no_nonce() {
    let tenant = tenant().await;
    let claims = claims_of(&tenant.logout_token_for("doorward-demo", None, Some("sid-1")));
    assert_eq!(claims["sid"], "sid-1");
    assert!(claims["events"].get("http://schemas.openid.net/event/backchannel-logout").is_some());
    assert_eq!((claims.get("sub"), claims.get("nonce")), (None, None));
}
