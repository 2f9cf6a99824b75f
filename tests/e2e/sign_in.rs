//! The code flow between a real edge and a certified provider (`SECURITY.md` C.1).

use std::collections::BTreeMap;

use doorward_tests::idp::{AUDIENCE, CLIENT_ID};
use reqwest::StatusCode;
use url::Url;

use crate::client::Browser;
use crate::world::World;

const SESSION: &str = "__Host-doorward";
const ATTEMPT: &str = "__Host-doorward-attempt.";

#[tokio::test]
async fn a_user_signs_in_and_the_app_learns_who_it_is() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    let page = browser.open_as("ada", &world.cms("/articles?sort=new")).await;

    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(page.url.as_str(), world.cms("/articles?sort=new"), "back where it began");
    assert_eq!(browser.forms, 1);
    let request = world.apps.cms.last_received("/articles").expect("the app was asked");
    assert_eq!(request.header("x-auth-user"), Some("auth0|ada"));
    assert_eq!(request.header("x-auth-email"), Some("ada@acme.dev"));
    assert_eq!(request.header("x-auth-roles"), Some("admin"));
    assert!(!request.header("cookie").unwrap_or_default().contains("doorward"), "our own cookies stay with us: {request:?}");

    let session = browser.fetch(&world.cms("/_doorward/session")).await;
    assert_eq!(session.status, StatusCode::OK);
    assert_eq!(session.json()["authenticated"], true);
    world.end().await;
}

#[tokio::test]
async fn oidc_05_06_13_the_authorization_request_says_everything_once() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    let start = browser.navigate(&world.cms("/articles")).await;

    assert_eq!(start.status, StatusCode::FOUND, "{start:?}");
    assert!(start.header("cache-control").contains("no-store"), "{start:?}");
    let location = start.location();
    assert_eq!(location.as_str().split('?').next(), Some(&*format!("{}authorize", world.idp.issuer)));
    let mut parameters = BTreeMap::new();
    for (name, value) in location.query_pairs().into_owned() {
        assert!(parameters.insert(name.clone(), value).is_none(), "`{name}` comes twice: {location}");
    }
    let expected = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", &*world.cms("/_doorward/callback/auth0")),
        ("audience", AUDIENCE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in expected {
        assert_eq!(parameters.get(name).map(String::as_str), Some(value), "{location}");
    }
    assert_eq!(parameters["code_challenge"].len(), 43);
    // OIDC-04: 128 bits are 22 characters of base64url.
    assert!(parameters["state"].len() >= 22 && parameters["nonce"].len() >= 22, "{location}");
    assert!(!location.as_str().contains("code_verifier"));
    assert!(start.sets_cookie(ATTEMPT) && !start.sets_cookie(&format!("{SESSION}=")), "{start:?}");
    world.end().await;
}

#[tokio::test]
async fn cookies_are_host_only_secure_http_only_and_lax() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    browser.open_as("eddie", &world.cms("/articles")).await;

    let ours = browser.set_cookies.iter().filter(|(host, _)| host == "cms.localhost");
    let mut seen = 0;
    for (_, line) in ours {
        seen += 1;
        let mut attributes: Vec<String> = line.split(';').skip(1).map(|part| part.trim().to_ascii_lowercase()).collect();
        attributes.sort();
        for required in ["httponly", "path=/", "samesite=lax", "secure"] {
            assert!(attributes.iter().any(|attribute| attribute == required), "no {required}: {line}");
        }
        assert!(line.starts_with(SESSION), "{line}");
        assert!(!attributes.iter().any(|attribute| attribute.starts_with("domain")), "{line}");
        assert!(line.len() <= 4096, "{} bytes: {line}", line.len());
    }
    assert!(seen >= 2, "an attempt and a session: {:?}", browser.set_cookies);
    let names: Vec<String> = browser.cookies("cms.localhost").into_keys().collect();
    assert_eq!(names, [SESSION, "__Host-doorward-rounds"], "the attempt is used up");
    world.end().await;
}

#[tokio::test]
async fn a_second_app_needs_no_second_form() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    assert_eq!(browser.open_as("vera", &world.cms("/articles")).await.status, StatusCode::OK);
    assert_eq!(browser.open_as("vera", &world.iot("/")).await.status, StatusCode::OK);
    assert_eq!(browser.forms, 1);
    let request = world.apps.iot.last_received("/").expect("the app was asked");
    assert_eq!(request.header("x-auth-email"), Some("vera@acme.dev"));
    world.end().await;
}

#[tokio::test]
async fn a_missing_role_is_our_403_page_and_never_reaches_the_app() {
    let world = World::start().await;
    for (nickname, expected) in [("ada", StatusCode::OK), ("eddie", StatusCode::FORBIDDEN), ("vera", StatusCode::FORBIDDEN)] {
        let mut browser = Browser::new(&world);
        world.apps.cms.forget_received();
        let page = browser.open_as(nickname, &world.cms("/admin/")).await;
        assert_eq!(page.status, expected, "{nickname}: {page:?}");
        assert!(page.is_html(), "{nickname}: {page:?}");
        let asked = world.apps.cms.last_received("/admin/").is_some();
        assert_eq!(asked, expected == StatusCode::OK, "{nickname}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_script_gets_401_json_with_a_login_url_that_works() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    let refused = browser.fetch(&world.cms("/articles")).await;

    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{refused:?}");
    assert!(refused.header("content-type").starts_with("application/json"), "{refused:?}");
    let answer = refused.json();
    assert!(answer["error"].is_string(), "{answer}");
    let login_url = answer["login_url"].as_str().unwrap_or_else(|| panic!("no login_url: {answer}"));
    let login_url = refused.url.join(login_url).expect("a URL");
    assert_eq!(login_url.host_str(), Some("cms.localhost"));
    let page = browser.open_as("eddie", login_url.as_str()).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    world.end().await;
}

#[tokio::test]
async fn without_a_session_public_pages_are_open_and_session_says_401() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    assert_eq!(browser.navigate(&world.cms("/")).await.status, StatusCode::OK);
    let session = browser.fetch(&world.cms("/_doorward/session")).await;
    assert_eq!(session.status, StatusCode::UNAUTHORIZED);
    assert_ne!(session.json()["authenticated"], true);
    let request = world.apps.cms.last_received("/").expect("the app was asked");
    assert_eq!(request.header("x-auth-user").unwrap_or_default(), "");
    world.end().await;
}

#[tokio::test]
async fn login_returns_to_its_target_and_to_no_other_site() {
    let world = World::start().await;
    for (target, expected) in [("/articles/2", "/articles/2"), ("https://evil.test/", "/"), ("//evil.test", "/")] {
        let mut browser = Browser::new(&world);
        let mut login = Url::parse(&world.cms("/_doorward/login")).expect("a URL");
        login.query_pairs_mut().append_pair("return_to", target);
        let page = browser.open_as("vera", login.as_str()).await;
        assert!(browser.visited.iter().all(|url| url.host_str() != Some("evil.test")), "{:#?}", browser.visited);
        // A refused target may be a refused request, or the front page.
        if page.status == StatusCode::OK {
            assert_eq!(page.url.as_str(), world.cms(expected), "{target}");
        } else {
            assert!(expected == "/" && page.status == StatusCode::BAD_REQUEST, "{target}: {page:?}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn oidc_01_02_a_callback_of_another_browser_makes_no_session_and_asks_for_no_token() {
    let world = World::start().await;
    let is_callback = |url: &Url| url.path() == "/_doorward/callback/auth0";
    let mut ada = Browser::new(&world);
    let start = ada.navigate(&world.cms("/articles")).await;
    let callback = ada.follow_until("ada", start, is_callback).await.location();

    // One with no attempt of its own, one with another. Starting over is allowed, finishing is not.
    let mut eddie = Browser::new(&world);
    eddie.navigate(&world.cms("/articles")).await;
    for mut other in [Browser::new(&world), eddie] {
        let page = other.navigate(callback.as_str()).await;
        let starts_over = page.status.is_redirection() && page.location().path() == "/authorize";
        assert!(page.status.is_client_error() || starts_over, "{page:?}");
        assert!(!page.sets_cookie(&format!("{SESSION}=")), "{page:?}");
    }
    assert_eq!(world.idp.counts().await.get("/oauth/token"), None, "nobody asked for a token");

    // The twin: the browser that began may finish, once (OIDC-10).
    let page = ada.navigate(callback.as_str()).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{page:?}");
    assert!(page.sets_cookie(&format!("{SESSION}=")), "{page:?}");
    ada.navigate(callback.as_str()).await;
    assert_eq!(world.idp.counts().await.get("/oauth/token"), Some(&1), "the second time asks for no token");
    world.end().await;
}

#[tokio::test]
async fn oidc_08_a_blocked_user_sees_our_page_and_gets_no_session() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    let page = browser.open_as("bruno", &world.cms("/articles")).await;

    assert!(page.status.is_client_error() && page.is_html(), "{page:?}");
    assert_eq!(page.url.host_str(), Some("cms.localhost"));
    // OIDC-22
    assert!(page.header("cache-control").contains("no-store"), "{page:?}");
    assert!(page.header("content-security-policy").contains("default-src 'none'"), "{page:?}");
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"), "{page:?}");
    assert!(!browser.cookies("cms.localhost").contains_key(SESSION));
    world.end().await;
}

#[tokio::test]
async fn a_subject_full_of_special_characters_arrives_as_it_is() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    assert_eq!(browser.open_as("evelyn", &world.cms("/articles")).await.status, StatusCode::OK);
    let request = world.apps.cms.last_received("/articles").expect("the app was asked");
    assert_eq!(request.header("x-auth-user"), Some("google-oauth2|evil/+/#"));
    world.end().await;
}

#[tokio::test]
async fn a_cookie_cut_in_half_starts_a_new_sign_in() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    browser.open_as("ada", &world.cms("/articles")).await;
    let whole = browser.cookies("cms.localhost")[SESSION].clone();
    browser.set_cookie("cms.localhost", SESSION, &whole[..whole.len() / 2]);

    let page = browser.navigate(&world.cms("/articles")).await;
    assert_eq!(page.status, StatusCode::FOUND, "{page:?}");
    let page = browser.follow("ada", page).await;
    assert_eq!((page.status, browser.forms), (StatusCode::OK, 1), "the provider remembers: {page:?}");
    assert_ne!(browser.cookies("cms.localhost")[SESSION], whole);
    world.end().await;
}

#[tokio::test]
async fn a_client_cannot_say_who_it_is() {
    let world = World::start().await;
    let url = world.cms("/");
    for name in ["X-Auth-User", "x-auth-roles", "X_Auth_User", "X-Auth_Roles"] {
        let request = world.client.get(&url).header(name, "auth0|mallory");
        assert_eq!(crate::client::send(request).await.status(), StatusCode::OK, "{name}");
        let request = world.apps.cms.last_received("/").expect("the app was asked");
        let told = request.headers.iter().find(|(_, value)| value.contains("mallory"));
        assert_eq!(told, None, "{name}");
    }
    world.end().await;
}

#[tokio::test]
async fn log_01_03_what_the_edge_says_contains_no_secret() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    browser.open_as("ada", &world.cms("/articles?private=whisper")).await;
    let bearer = world.idp.machine_token(AUDIENCE, "device:read").await;
    let request = world.client.get(world.api("/api/devices")).bearer_auth(&bearer);
    assert_eq!(crate::client::send(request).await.status(), StatusCode::OK);
    let metrics = crate::client::send(crate::client::plain().get(world.edge.ports.admin("/metrics"))).await;
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("# TYPE "), "{metrics}");

    let session = browser.cookies("cms.localhost")[SESSION].clone();
    let callback = browser.visited.iter().find(|url| url.path().contains("/callback/")).expect("a callback").clone();
    let of_callback = |name: &str| {
        let value = callback.query_pairs().find(|(present, _)| present == name).map(|(_, value)| value.into_owned());
        value.unwrap_or_else(|| panic!("no {name}: {callback}"))
    };
    let secrets = [
        ("the session", session),
        ("the code", of_callback("code")),
        ("the state", of_callback("state")),
        ("the bearer token", bearer),
        ("the client's secret", doorward_tests::idp::CLIENT_SECRET.to_owned()),
        ("a query", "whisper".to_owned()),
    ];
    let said = world.edge.process.stdout();
    for line in said.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object()), "not JSON: {line}");
    }
    assert!(said.contains("/articles"), "there is an access line\n{said}");
    let everything = format!("{}\n{metrics}", world.end().await);
    for (name, secret) in secrets {
        assert!(!everything.contains(&secret), "{name} was said:\n{everything}");
    }
}

#[tokio::test]
async fn met_01_metrics_and_health_are_not_on_the_public_listener() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    for path in ["/metrics", "/livez", "/readyz"] {
        let page = browser.navigate(&world.cms(path)).await;
        assert_eq!(page.status, StatusCode::FOUND, "an app's path like any other: {page:?}");
    }
    world.end().await;
}
