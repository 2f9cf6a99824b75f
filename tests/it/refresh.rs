//! Tokens that are refreshed: when, how often, by whom, and what becomes of a session when it fails.

mod answers;
mod crowd;
mod failures;
mod passing;
mod processes;
mod reseal;
mod single_flight;

use std::time::{Duration, Instant};

use doorward_policy::session::{Origin, Session, Tokens};
use doorward_policy::time::Timestamp;
use doorward_proxy::clock;
use doorward_tests::client::{Answer, Browser, path_of};
use doorward_tests::hostile::{self, Endpoint, HostileIdp, User};
use doorward_tests::scene::{APP, Plan, Scene};
use serde_json::json;

const STORE: &str = "  idle: 1h\n  lifetime: 12h\n  store: memory\n";
const REFRESH: &str = "  refresh: { ahead: 1m, grace: 5m }\n";
const OFFLINE: &str = "    scope: [openid, profile, email, offline_access]\n";
const PASS: &str = "pass.localhost";
const ROUTES: &str = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    rules:
      - { path: "/admin/**", allow: { role: admin } }
      - { allow: signed-in }
  - name: pass
    host: pass.localhost
    upstream: UPSTREAM
    pass_token: true
    rules:
      - { path: /open, allow: public }
      - { allow: signed-in }
"#;

/// Before the stand-in tenant.
fn plan() -> Plan {
    Plan { session: format!("{STORE}{REFRESH}"), provider: OFFLINE.into(), routes: ROUTES.into(), ..Plan::default() }
}

/// Before a provider that can go wrong.
fn hostile_plan(idp: &HostileIdp) -> Plan {
    let oidc = Plan::oidc(idp.issuer());
    Plan { provider: format!("{}{OFFLINE}", oidc.provider), session: format!("{STORE}{REFRESH}"), routes: ROUTES.into(), ..oidc }
}

/// Somebody signed in at the tenant with an access token that ends in so many seconds; later ones live for a day.
async fn signed_in(scene: &Scene, persona: &str, seconds: i64) -> Browser {
    signed_in_at(scene, APP, persona, seconds).await
}

async fn signed_in_at(scene: &Scene, host: &str, persona: &str, seconds: i64) -> Browser {
    scene.tenant.set_access_token_claims(json!({ "exp": clock::now().0 + seconds }));
    let browser = scene.signed_in(host, persona).await;
    scene.tenant.set_access_token_claims(json!({}));
    browser
}

/// Ada signed in at the other provider with an access token that ends in so many seconds; later ones live for a day.
async fn signed_in_there(scene: &Scene, idp: &HostileIdp, seconds: i64) -> Browser {
    let mut browser = scene.browser(APP);
    idp.set_access_lifetime(seconds);
    let callback = sign_in_there(idp, &mut browser).await;
    assert_eq!(callback.status, 303, "{}", callback.text());
    idp.set_access_lifetime(86_400);
    browser
}

async fn sign_in_there(idp: &HostileIdp, browser: &mut Browser) -> Answer {
    let redirect = browser.go("/private").await;
    assert_eq!(redirect.status, 302, "{}", redirect.text());
    browser.go(&path_of(&idp.grant(redirect.location(), &User::ada()))).await
}

/// A session as a sign-in makes it, with an access token that ends now: the cookie.
async fn begun(scene: &Scene, idp: &HostileIdp, user: &User, began: Timestamp) -> (String, String) {
    let claims = json!({ "iss": idp.issuer(), "sub": user.sub, "email": user.claims["email"], "iat": began.0 });
    let kept: Vec<Box<str>> = ["iss", "sub", "email"].map(Into::into).into();
    let id = format!("session-of-{}-{}", user.sub, began.0);
    let origin = Origin { id: &id, provider: "tenant", client_id: hostile::CLIENT_ID };
    let session = Session::begin(origin, claims.as_object().unwrap(), &kept, began);
    let tokens = Tokens {
        access_token: Some("ended".into()),
        access_expires: Some(clock::now()),
        obtained: Some(clock::now()),
        refresh_token: Some(idp.refresh_token(user).into()),
        id_token: None,
    };
    let cookie = scene.edge().runtime().sessions.begin(session, tokens, APP).await.unwrap();
    let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
    (name.to_owned(), value.to_owned())
}

/// How many refreshes the tenant was asked for.
fn asked(scene: &Scene) -> usize {
    scene.tenant.received("token").iter().filter(|request| request.get("grant_type") == Some("refresh_token")).count()
}

/// The same at the other provider.
fn asked_there(idp: &HostileIdp) -> usize {
    refresh_tokens(idp).len()
}

/// Every refresh token that was used there.
fn refresh_tokens(idp: &HostileIdp) -> Vec<String> {
    let requests = idp.log().into_iter().filter(|request| request.endpoint == Endpoint::Token);
    requests.filter_map(|request| request.field("refresh_token")).collect()
}

async fn outcomes(scene: &Scene, outcome: &str) -> f64 {
    scene.metric(&format!("doorward_refreshes_total{{outcome=\"{outcome}\",provider=\"tenant\"}}")).await
}

/// After which a session may be refreshed again.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

/// Waits, but not for ever, until `wanted` holds.
async fn until<F: Future<Output = bool>>(what: &str, wanted: impl Fn() -> F) {
    let begun = Instant::now();
    while !wanted().await {
        assert!(begun.elapsed() < Duration::from_secs(15), "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
