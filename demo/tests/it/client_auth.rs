//! Who may ask at the token endpoint.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use doorward_demo::tenant::{AUDIENCE, CLIENT_ID, CLIENT_SECRET, Client, ClientAuth, TenantSettings};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::client::*;

fn unauthorized() -> (u16, String, String) {
    (401, "access_denied".into(), "Unauthorized".into())
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_leaves_the_code_usable() {
    let tenant = tenant().await;
    let code = code(&tenant, "ada", &[]);
    for changes in [[("client_secret", "wrong")], [("client_secret", "")], [("client_id", "nobody")]] {
        assert_eq!(redeem(&tenant, &code, &changes).await.refusal(), unauthorized());
    }
    assert_eq!(redeem(&tenant, &code, &[]).await.status, 200);
}

#[tokio::test]
async fn only_the_registered_method_is_taken() {
    let secret = "s:e c+r&t";
    let basic = Client::confidential("basic", "").auth(ClientAuth::Basic(secret.into()));
    let tenant = tenant_with(TenantSettings::default().client(basic)).await;
    let form = |code: &str, id: &str| {
        vec![
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("redirect_uri".into(), CALLBACK.into()),
            ("code_verifier".into(), VERIFIER.into()),
            ("code".into(), code.to_owned()),
            ("client_id".into(), id.to_owned()),
        ]
    };
    let ask = async |id: &str, code: &str, credentials: Option<(&str, &str)>| {
        let pairs = form(code, id);
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let header = credentials.map(|(id, secret)| {
            // RFC 6749 §2.3.1
            let pair = encoded(&[(id, secret)]).replacen('=', ":", 1);
            format!("Basic {}", STANDARD.encode(pair))
        });
        let headers: Vec<_> = header.iter().map(|value| ("Authorization", value.as_str())).collect();
        post_with(&tenant, "/oauth/token", &headers, &pairs).await
    };
    let for_basic = || code(&tenant, "ada", &[("client_id", "basic")]);
    assert_eq!(ask("basic", &for_basic(), Some(("basic", secret))).await.status, 200);
    assert_eq!(ask("basic", &for_basic(), Some(("basic", "wrong"))).await.refusal(), unauthorized());
    let posted = [("client_id", "basic"), ("client_secret", secret)];
    assert_eq!(redeem(&tenant, &for_basic(), &posted).await.refusal(), unauthorized());
    // The default application is registered for `client_secret_post`.
    let ours = code(&tenant, "ada", &[]);
    assert_eq!(ask(CLIENT_ID, &ours, Some((CLIENT_ID, CLIENT_SECRET))).await.refusal(), unauthorized());
    assert_eq!(redeem(&tenant, &ours, &[]).await.status, 200);
}

#[tokio::test]
async fn a_public_application_needs_only_its_verifier() {
    let tenant = tenant_with(TenantSettings::default().client(Client::public("spa"))).await;
    let code = || code(&tenant, "ada", &[("client_id", "spa")]);
    let public = [("client_id", "spa"), ("client_secret", "")];
    let wrong = [("client_id", "spa"), ("client_secret", ""), ("code_verifier", "nope")];
    assert_eq!(redeem(&tenant, &code(), &wrong).await.status, 403);
    assert_eq!(redeem(&tenant, &code(), &public).await.status, 200);
}

#[tokio::test]
async fn a_signed_assertion_is_taken_once_and_only_for_this_issuer() {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let spki: aws_lc_rs::encoding::PublicKeyX509Der<'_> = key.public_key().as_der().expect("a public key");
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(spki.as_ref()));
    let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().expect("a private key");
    let signing = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8.as_ref()));
    let signing = EncodingKey::from_rsa_pem(signing.as_bytes()).expect("a signing key");
    let client = Client::confidential("jwt", "").auth(ClientAuth::PrivateKeyJwt(pem));
    let tenant = tenant_with(TenantSettings::default().client(client)).await;

    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let assertion = |jti: &str, over: Value| {
        let mut claims = json!({ "iss": "jwt", "sub": "jwt", "aud": tenant.issuer(), "exp": now + 60, "jti": jti });
        for (name, value) in over.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &signing).expect("a token")
    };
    let ask = async |assertion: &str| {
        let code = code(&tenant, "ada", &[("client_id", "jwt")]);
        let changes = [
            ("client_id", "jwt"),
            ("client_secret", ""),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ];
        redeem(&tenant, &code, &changes).await
    };
    let good = assertion("1", json!({}));
    assert_eq!(ask(&good).await.status, 200);
    assert_eq!(ask(&good).await.refusal(), unauthorized(), "used twice");
    let no_slash = tenant.issuer().trim_end_matches('/');
    for over in [json!({ "aud": no_slash }), json!({ "iss": "other" }), json!({ "exp": now - 60 }), json!({ "exp": now + 3600 })] {
        assert_eq!(ask(&assertion(&over.to_string(), over.clone())).await.refusal(), unauthorized(), "{over}");
    }
    assert_eq!(ask(&assertion("2", json!({}))).await.status, 200);
}

#[tokio::test]
async fn a_json_body_is_as_good_as_a_form() {
    let tenant = tenant().await;
    let body = |secret: &str| {
        json!({
            "grant_type": "authorization_code", "client_id": CLIENT_ID, "client_secret": secret,
            "redirect_uri": CALLBACK, "code_verifier": VERIFIER, "code": code(&tenant, "ada", &[]),
        })
        .to_string()
    };
    let json = [("Content-Type", "application/json")];
    let ask = async |body: String| send(tenant.address(), "POST /oauth/token", &json, &body).await;
    assert_eq!(ask(body("wrong")).await.refusal(), unauthorized());
    assert_eq!(ask(body(CLIENT_SECRET)).await.status, 200);
}

#[tokio::test]
async fn client_credentials_need_a_client_grant_for_the_api() {
    let machine = Client::machine("m2m", "m2m-secret", AUDIENCE, &["device:read"]);
    let tenant = tenant_with(TenantSettings::default().client(machine)).await;
    let ask = async |changes: &[(&'static str, &'static str)]| {
        let mut pairs = vec![("grant_type", "client_credentials"), ("client_id", "m2m"), ("client_secret", "m2m-secret")];
        pairs.extend(changes);
        post(&tenant, "/oauth/token", &pairs).await
    };
    let unknown = ask(&[("audience", "https://nope.example")]).await;
    let text = "Service not enabled within domain: https://nope.example";
    assert_eq!(unknown.refusal(), (403, "access_denied".into(), text.into()));
    let tokens = ask(&[("audience", AUDIENCE)]).await.json();
    let claims = claims_of(tokens["access_token"].as_str().expect("a token"));
    assert_eq!(claims["sub"], "m2m@clients");
    assert_eq!(claims["gty"], "client-credentials");
    assert_eq!(claims["scope"], "device:read");
    assert!(tokens.get("id_token").is_none());

    // The web application has neither the grant type nor the client grant.
    let pairs = [("grant_type", "client_credentials"), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET), ("audience", AUDIENCE)];
    let refused = post(&tenant, "/oauth/token", &pairs).await;
    let text = "Grant type 'client_credentials' not allowed for the client.";
    assert_eq!(refused.refusal(), (403, "unauthorized_client".into(), text.into()));
}
