//! Signing in, being someone, signing out.

use doorward_tests::client::{parameter, path_of};
use doorward_tests::scene::{APP, Plan, Scene};

#[tokio::test]
async fn a_person_signs_in_and_the_app_sees_who_it_is() {
    let scene = Scene::start().await;
    let mut browser = scene.browser(APP);
    let back = scene.sign_in(&mut browser, "/private?page=2&q=%20x", "eddie").await;
    assert_eq!(back.status, 303, "{}", back.text());
    assert_eq!(back.location(), "/private?page=2&q=%20x");
    let answer = browser.go("/private?page=2&q=%20x").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "canary"));
    let seen = scene.app.last();
    assert_eq!(seen.target(), "/private?page=2&q=%20x");
    assert!(seen.one("x-auth-user").unwrap().starts_with("auth0|"), "{}", seen.head);
    assert_eq!(seen.one("x-auth-roles"), Some("editor"));
    assert_eq!(seen.one("cookie"), None);
    assert_eq!(seen.one("host"), Some(APP));
}

#[tokio::test]
async fn a_role_decides() {
    let scene = Scene::start().await;
    let mut viewer = scene.signed_in(APP, "vera").await;
    let refused = viewer.go("/admin/users").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("You may not open this"));
    assert!(scene.app.seen().is_empty());
    let mut admin = scene.signed_in(APP, "ada").await;
    assert_eq!(admin.go("/admin/users").await.status, 200);
}

#[tokio::test]
async fn oidc_05_06_13_the_authorization_request_holds_everything_once() {
    let scene = Scene::start().await;
    let redirect = scene.browser(APP).go("/private").await;
    let url = redirect.location();
    assert_eq!(parameter(url, "redirect_uri"), "https://app.localhost/_doorward/callback/tenant");
    assert_eq!(parameter(url, "code_challenge_method"), "S256");
    assert_eq!(parameter(url, "response_type"), "code");
    for name in ["state", "nonce", "code_challenge", "client_id", "scope", "audience"] {
        assert!(!parameter(url, name).is_empty(), "{name}");
    }
    let cookie = redirect.field("set-cookie").unwrap();
    for attribute in ["__Host-doorward-attempt.", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert_eq!(redirect.field("cache-control"), Some("no-store"));
    let _ = path_of(url);
}

#[tokio::test]
async fn the_edge_starts_while_the_provider_is_down() {
    // Nothing listens on port 9.
    let plan = Plan {
        issuer: Some("http://127.0.0.1:9/".into()),
        routes: Plan::default().routes.replace("accept: bearer", "accept: session").replace("pass_token: true", "pass_token: false"),
        ..Plan::default()
    };
    let scene = Scene::with(plan).await;
    assert_eq!(scene.browser(APP).go("/public/x").await.status, 200);
    let refused = scene.browser(APP).go("/private").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.field("retry-after"), Some("10"));
    assert!(refused.text().contains("Sign-in is not available just now"));
}

#[tokio::test]
async fn a_registered_callback_of_old_goes_on_working() {
    let provider =
        "    callback_aliases: [/tenant/oauth, /web-login/callback]\n    connection: google-oauth2\n    authorize: { ui_locales: de }\n";
    let scene = Scene::with(Plan { provider: provider.into(), ..Plan::default() }).await;
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/private").await;
    assert_eq!(parameter(redirect.location(), "redirect_uri"), "https://app.localhost/tenant/oauth");
    assert_eq!(parameter(redirect.location(), "ui_locales"), "de");
    assert_eq!(parameter(redirect.location(), "connection"), "google-oauth2");
    let back = scene.sign_in(&mut browser, "/private", "vera").await;
    assert_eq!((back.status, back.location()), (303, "/private"));
    // The address is Doorward's, whoever asks; a longer one is the app's.
    assert_eq!(scene.browser(APP).go("/web-login/callback").await.status, 400);
    assert!(scene.app.seen().is_empty());
    assert_eq!(browser.go("/tenant/oauth/x").await.status, 200);
}

#[tokio::test]
async fn dos_08_junk_codes_cost_the_provider_only_so_many_requests() {
    let server = "  limits: { connections_per_client: 1000, sign_ins_per_client: 5 }\n";
    let scene = Scene::with(Plan { server: server.into(), ..Plan::default() }).await;
    // Attempts that another edge began, so that only the codes count here.
    let elsewhere = scene.twin(|text| text.replace("sign_ins_per_client: 5", "sign_ins_per_client: 1000")).await;
    let bring_junk = async || {
        let mut browser = elsewhere.visit(&scene.browser(APP));
        let state = parameter(browser.go("/private").await.location(), "state");
        browser.address = scene.address();
        browser.go(&format!("/_doorward/callback/tenant?code=junk&state={state}")).await.status
    };
    for _ in 0..5 {
        assert_eq!(bring_junk().await, 400);
    }
    assert_eq!((bring_junk().await, bring_junk().await), (429, 429));
    assert_eq!(scene.tenant.requests("token"), 5);
}

#[tokio::test]
async fn rate_01_one_client_begins_only_so_many_sign_ins() {
    let server = "  limits: { connections_per_client: 1000, sign_ins_per_client: 5 }\n";
    let scene = Scene::with(Plan { server: server.into(), ..Plan::default() }).await;
    for _ in 0..5 {
        assert_eq!(scene.browser(APP).go("/private").await.status, 302);
    }
    let over = scene.browser(APP).go("/private").await;
    assert_eq!((over.status, over.field("retry-after")), (429, Some("60")));
    assert_eq!(scene.browser(APP).go("/public/x").await.status, 200, "who needs no sign-in is not held up");
    assert_eq!(scene.log().await.iter().filter(|line| line["status"] == 429).count(), 1);
}
