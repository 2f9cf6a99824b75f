//! Discovery, published keys, rotation.

use doorward_demo::Tenant;
use doorward_demo::tenant::{AUDIENCE, SignWith};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::client::*;

async fn jwks(tenant: &Tenant) -> JwkSet {
    serde_json::from_value(get(tenant, "/.well-known/jwks.json").await.json()).expect("a key set")
}

/// Verified by another library, with the key that the header names.
fn verifies(keys: &JwkSet, issuer: &str, token: &str) -> bool {
    let header = jsonwebtoken::decode_header(token).expect("a header");
    let Some(jwk) = keys.find(&header.kid.expect("a kid")) else {
        return false;
    };
    let key = DecodingKey::from_jwk(jwk).expect("a key");
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[issuer]);
    jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok()
}

#[tokio::test]
async fn tokens_verify_with_the_published_key_and_forged_ones_do_not() {
    let tenant = tenant().await;
    let keys = jwks(&tenant).await;
    assert_eq!(keys.keys.len(), 2, "current and next");
    assert!(verifies(&keys, tenant.issuer(), &tenant.access_token_for("ada", AUDIENCE, "openid")));
    let claims = tenant.access_claims_for("ada", AUDIENCE, "openid");
    assert!(verifies(&keys, tenant.issuer(), &tenant.sign_with(SignWith::Next, json!({}), claims.clone())));
    assert!(!verifies(&keys, tenant.issuer(), &tenant.sign_with(SignWith::Foreign, json!({}), claims)));
}

#[tokio::test]
async fn rotation_publishes_current_next_and_previous_until_revoked() {
    let tenant = tenant().await;
    let old = tenant.access_token_for("ada", AUDIENCE, "openid");
    let [first, second] = tenant.kids().try_into().expect("two keys");
    tenant.rotate_keys();
    let kids = tenant.kids();
    assert_eq!((kids.len(), &kids[0], &kids[2]), (3, &second, &first), "the next one signs, the old one stays");
    let new = tenant.access_token_for("ada", AUDIENCE, "openid");
    assert_eq!(header_of(&new)["kid"], second.as_str());
    assert!(verifies(&jwks(&tenant).await, tenant.issuer(), &old));

    tenant.rotate_keys_and_revoke();
    let keys = jwks(&tenant).await;
    assert_eq!(keys.keys.len(), 2);
    assert!(!verifies(&keys, tenant.issuer(), &old) && !verifies(&keys, tenant.issuer(), &new));
    assert!(verifies(&keys, tenant.issuer(), &tenant.access_token_for("ada", AUDIENCE, "openid")));
}

#[tokio::test]
async fn two_living_tenants_share_no_key() {
    let (one, other) = (tenant().await, tenant().await);
    assert!(one.kids().iter().all(|kid| !other.kids().contains(kid)));
}

#[tokio::test]
async fn headers_can_be_bent() {
    let tenant = tenant().await;
    let header = header_of(&tenant.sign_with(SignWith::Current, json!({ "typ": null, "kid": "x", "crit": ["b64"] }), json!({})));
    assert_eq!(header, json!({ "alg": "RS256", "kid": "x", "crit": ["b64"] }));
}

#[tokio::test]
async fn discovery_has_auth0s_slash_and_names_every_endpoint() {
    let tenant = tenant().await;
    let answer = get(&tenant, "/.well-known/openid-configuration").await;
    assert!(answer.header("cache-control").is_some_and(|value| value.contains("max-age=15")));
    let document = answer.json();
    assert!(tenant.issuer().ends_with('/'));
    assert_eq!(document["issuer"], tenant.issuer());
    for endpoint in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"] {
        assert!(document[endpoint].as_str().is_some_and(|url| url.starts_with(tenant.issuer())), "{endpoint}");
    }
    tenant.set_discovery(json!({ "issuer": "https://other.example/", "jwks_uri": null }));
    let bent = get(&tenant, "/.well-known/openid-configuration").await.json();
    assert_eq!((&bent["issuer"], bent.get("jwks_uri")), (&json!("https://other.example/"), None));
}

#[tokio::test]
async fn a_stopped_tenant_frees_its_port_and_loopback_is_all_it_takes() {
    let tenant = tenant().await;
    let listen = tenant.address();
    tenant.stop().await;
    let settings = || doorward_demo::TenantSettings::default();
    let again = Tenant::start(doorward_demo::TenantSettings { listen, ..settings() }).await.expect("the same port");
    assert_eq!(again.address(), listen);
    let outside = "0.0.0.0:0".parse().expect("an address");
    assert!(Tenant::start(doorward_demo::TenantSettings { listen: outside, ..settings() }).await.is_err());
}
