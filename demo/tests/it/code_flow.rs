//! `/authorize` to `/oauth/token`.

use std::time::Duration;

use doorward_demo::tenant::{AUDIENCE, Client, Lifetimes, TenantSettings, UrlRules, User};

use crate::client::*;

#[tokio::test]
async fn a_browser_walks_from_authorize_to_tokens() {
    let tenant = tenant().await;
    let page = get(&tenant, &authorization(&tenant, &[])).await;
    assert_eq!(page.status, 302);
    let login = page.location().to_owned();
    let state = query_of(&login).remove("state").expect("a state");
    let form = get(&tenant, &login).await;
    assert!(form.body.contains("Vera Viewer"), "{}", form.body);

    let password = [("state", state.as_str()), ("username", "vera@acme.dev"), ("password", "demo")];
    let signed_in = post(&tenant, "/u/login", &password).await;
    assert_eq!(signed_in.status, 302);
    let callback = query_of(signed_in.location());
    assert!(signed_in.location().starts_with(CALLBACK));
    assert_eq!(callback["state"], "st-1");
    assert!(!callback.contains_key("iss"), "Auth0 sends none by default");

    let tokens = redeem(&tenant, &callback["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert_eq!(tokens.header("cache-control"), Some("no-store"));
    let tokens = tokens.json();
    let id = claims_of(tokens["id_token"].as_str().expect("an ID token"));
    assert_eq!(id["sub"], "auth0|vera");
    assert_eq!(id["nonce"], "no-1");
    assert_eq!(id["https://acme.dev/roles"][0], "viewer");
    assert_eq!(tokens["token_type"], "Bearer");
    assert!(tokens.get("refresh_token").is_none(), "offline_access was not asked for");

    // The second app needs no click, and shares the session.
    let cookie = signed_in.cookie();
    let second = get_with(&tenant, &authorization(&tenant, &[]), &[("Cookie", &cookie)]).await;
    let code = query_of(second.location()).remove("code").expect("a code");
    let second = redeem(&tenant, &code, &[]).await.json();
    assert_eq!(claims_of(second["id_token"].as_str().expect("an ID token"))["sid"], id["sid"]);
    assert_eq!((tenant.requests("authorize"), tenant.requests("login"), tenant.requests("token")), (2, 2, 2));
    assert_eq!(tenant.received("token")[0].get("grant_type"), Some("authorization_code"));
}

#[tokio::test]
async fn a_wrong_verifier_is_refused_and_the_right_one_is_not() {
    let tenant = tenant().await;
    let refused = (403, "invalid_grant".into(), "Failed to verify code verifier".into());
    for verifier in ["dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXX", ""] {
        let answer = redeem(&tenant, &code(&tenant, "ada", &[]), &[("code_verifier", verifier)]).await;
        assert_eq!(answer.refusal(), refused);
    }
    assert_eq!(redeem(&tenant, &code(&tenant, "ada", &[]), &[]).await.status, 200);
}

#[tokio::test]
async fn a_verifier_without_a_challenge_is_refused() {
    let tenant = tenant().await;
    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    assert_eq!(redeem(&tenant, &code(&tenant, "ada", &without), &[]).await.status, 403);
    let answer = redeem(&tenant, &code(&tenant, "ada", &without), &[("code_verifier", "")]).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_code_works_once_and_its_second_use_revokes_what_came_of_it() {
    let tenant = tenant().await;
    let code = code(&tenant, "ada", &[("scope", "openid offline_access")]);
    let first = redeem(&tenant, &code, &[]).await.json();
    let again = redeem(&tenant, &code, &[]).await;
    assert_eq!(again.refusal(), (403, "invalid_grant".into(), "Invalid authorization code".into()));
    let refresh = first["refresh_token"].as_str().expect("a refresh token");
    let changes = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("code", "")];
    assert_eq!(redeem(&tenant, "", &changes).await.status, 403);
}

#[tokio::test]
async fn a_code_is_bound_to_time_redirect_uri_and_application() {
    let other = Client::confidential("other", "other-secret");
    let lifetimes = Lifetimes { code: Duration::from_millis(1500), ..Lifetimes::default() };
    let tenant = tenant_with(TenantSettings { lifetimes, ..TenantSettings::default() }.client(other)).await;

    let elsewhere = [("redirect_uri", "https://iot.localhost:8443/_doorward/callback/auth0")];
    assert_eq!(redeem(&tenant, &code(&tenant, "ada", &[]), &elsewhere).await.status, 403);
    let somebody_else = [("client_id", "other"), ("client_secret", "other-secret")];
    assert_eq!(redeem(&tenant, &code(&tenant, "ada", &[]), &somebody_else).await.status, 403);
    let late = code(&tenant, "ada", &[]);
    tokio::time::sleep(Duration::from_millis(1700)).await;
    assert_eq!(redeem(&tenant, &late, &[]).await.status, 403);

    assert_eq!(redeem(&tenant, &code(&tenant, "ada", &[]), &[]).await.status, 200);
}

#[tokio::test]
async fn a_redirect_uri_that_is_not_allowed_stays_on_the_tenants_page() {
    let mut client = Client::confidential("exact", "s").callback("https://app.example/cb");
    client.callbacks = UrlRules::exactly(&["https://app.example/cb"]);
    let tenant = tenant_with(TenantSettings::default().client(client)).await;
    let ask = |uri: &'static str| authorization(&tenant, &[("client_id", "exact"), ("redirect_uri", uri)]);
    for uri in ["https://app.example/cb/", "https://app.example/CB", "https://app.example/cb?x=1", "https://evil.example/cb"] {
        let answer = get(&tenant, &ask(uri)).await;
        assert_eq!(answer.status, 400, "{uri}");
        assert!(answer.body.contains("Callback URL mismatch."));
        assert_eq!(answer.header("location"), None);
    }
    assert_eq!(get(&tenant, &ask("https://app.example/cb")).await.status, 302);
}

#[tokio::test]
async fn any_localhost_means_https_and_localhost() {
    let tenant = tenant().await;
    let ask = |uri: &'static str| authorization(&tenant, &[("redirect_uri", uri)]);
    for uri in ["http://cms.localhost/cb", "https://localhost.evil.example/cb", "https://cms.localhost@evil.example/cb"] {
        assert!(tenant.sign_in(&ask(uri), "ada").is_err(), "{uri}");
    }
    for uri in ["https://cms.localhost/cb", "https://localhost:1/x"] {
        assert!(tenant.sign_in(&ask(uri), "ada").is_ok(), "{uri}");
    }
}

#[tokio::test]
async fn errors_arrive_at_the_callback_in_auth0s_words() {
    let settings = TenantSettings::default()
        .client(Client::public("spa"))
        .user(User::new("auth0|blake", "blake@acme.dev", "Blake").blocked())
        .user(User::new("auth0|mo", "mo@acme.dev", "Mo").member_of("org_acme"))
        .organization("org_acme", "acme");
    let tenant = tenant_with(settings).await;
    type Changes = &'static [(&'static str, &'static str)];
    let cases: [(&str, Changes, &str, &str); 9] = [
        ("ada", &[("audience", "https://nope.example")], "access_denied", "Service not found: https://nope.example"),
        ("ada", &[("audience", "https://api.acme.dev/")], "access_denied", "Service not found: https://api.acme.dev/"),
        ("blake", &[], "unauthorized", "user is blocked"),
        ("ada", &[("response_type", "token")], "unsupported_response_type", "Unsupported response type: token"),
        ("ada", &[("code_challenge_method", "plain")], "invalid_request", "Parameter 'code_challenge_method' must be S256"),
        ("ada", &[("connection", "nope")], "invalid_request", "the connection was not found"),
        ("ada", &[("organization", "org_acme")], "access_denied", "user auth0|ada is not part of the org_acme organization"),
        ("ada", &[("organization", "org_no")], "invalid_request", "parameter organization is invalid: org_no does not exist"),
        ("ada", &[("client_id", "spa"), ("code_challenge", "")], "invalid_request", "Parameter 'code_challenge' is required"),
    ];
    for (persona, changes, error, description) in cases {
        let callback = tenant.sign_in(&authorization(&tenant, changes), persona).expect("a callback");
        let query = query_of(&callback);
        assert_eq!(query.get("error").map(String::as_str), Some(error), "{callback}");
        assert_eq!(query["error_description"], description);
        assert_eq!(query["state"], "st-1");
    }
    // Each one's twin.
    for (persona, changes) in [
        ("ada", &[("audience", AUDIENCE)][..]),
        ("ada", &[("connection", "google-oauth2")]),
        ("mo", &[("organization", "org_acme")]),
        ("ada", &[("client_id", "spa")]),
    ] {
        code(&tenant, persona, changes);
    }
    tenant.set_blocked("blake", false);
    code(&tenant, "blake", &[]);
}

#[tokio::test]
async fn a_repeated_parameter_is_refused() {
    let tenant = tenant().await;
    let twice = format!("{}&state=again", authorization(&tenant, &[]));
    assert_eq!(get(&tenant, &twice).await.status, 400);
    assert_eq!(get(&tenant, &authorization(&tenant, &[])).await.status, 302);
}

#[tokio::test]
async fn prompt_and_max_age_decide_whether_somebody_is_asked() {
    let tenant = tenant().await;
    let error = |answer: &Answer| query_of(answer.location()).remove("error");
    let silent = authorization(&tenant, &[("prompt", "none")]);
    assert_eq!(error(&get(&tenant, &silent).await).as_deref(), Some("login_required"));

    let login = get(&tenant, &authorization(&tenant, &[])).await;
    let state = query_of(login.location()).remove("state").expect("a state");
    let signed_in = post(&tenant, "/u/login", &[("state", &state), ("persona", "auth0|eddie")]).await;
    let cookie = signed_in.cookie();
    let with_cookie = [("Cookie", cookie.as_str())];

    let silent = get_with(&tenant, &silent, &with_cookie).await;
    assert!(silent.location().contains("code="), "{}", silent.location());
    let again = get_with(&tenant, &authorization(&tenant, &[("prompt", "login")]), &with_cookie).await;
    assert!(again.location().contains("/u/login"));
    let young = get_with(&tenant, &authorization(&tenant, &[("max_age", "3600")]), &with_cookie).await;
    let code = query_of(young.location()).remove("code").expect("a code");
    let tokens = redeem(&tenant, &code, &[]).await.json();
    assert!(claims_of(tokens["id_token"].as_str().expect("a token"))["auth_time"].is_i64());

    tenant.set_clock_offset(7200);
    let old = get_with(&tenant, &authorization(&tenant, &[("max_age", "3600")]), &with_cookie).await;
    assert!(old.location().contains("/u/login"));
    tenant.forget_sessions();
    let gone = get_with(&tenant, &authorization(&tenant, &[]), &with_cookie).await;
    assert!(gone.location().contains("/u/login"));
}

#[tokio::test]
async fn iss_is_sent_to_the_callback_when_switched_on() {
    let tenant = tenant().await;
    let iss = || query_of(&tenant.sign_in(&authorization(&tenant, &[]), "ada").expect("a callback")).remove("iss");
    assert_eq!(iss(), None);
    tenant.set_callback_iss(true);
    assert_eq!(iss().as_deref(), Some(tenant.issuer()));
}
