//! Rules that ask for a recent or a stronger sign-in (RFC 9470, OIDC Core §3.1.2.1).

use std::time::{SystemTime, UNIX_EPOCH};

use doorward_tests::asker::{Asker, HOOKS, Kind, Request};
use doorward_tests::client::{Answer, Browser, path_of};
use doorward_tests::hostile::{HostileIdp, User};
use doorward_tests::scene::{API, APP, Plan, Scene};
use serde_json::{Value, json};

const SESSION: &str = "__Host-doorward";
const MULTI_FACTOR: &str = "http://schemas.openid.net/pape/policies/2007/06/multi-factor";
const ROUTES: &str = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    rules:
      - { path: "/pay/**", allow: signed-in, step_up: { max_age: 5m } }
      - { path: "/vault/**", allow: signed-in, step_up: { acr_values: ["gold", "http://schemas.openid.net/pape/policies/2007/06/multi-factor"] } }
      - { path: "/both/**", allow: { role: admin }, step_up: { max_age: 5m, acr_values: [gold] } }
      - { allow: signed-in }
  - name: api
    host: api.localhost
    upstream: UPSTREAM
    accept: bearer
    rules:
      - { path: "/pay/**", allow: signed-in, step_up: { max_age: 5m, acr_values: [gold, silver] } }
      - { allow: signed-in }
"#;

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

async fn rig() -> (HostileIdp, Scene) {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(Plan { routes: ROUTES.into(), ..Plan::oidc(idp.issuer()) }).await;
    (idp, scene)
}

/// Comes back from where it was sent with an ID token that says this besides.
async fn come_back(idp: &HostileIdp, browser: &mut Browser, location: &str, claims: Value) -> Answer {
    idp.next_id_token(move |token| claims.as_object().unwrap().iter().for_each(|(name, value)| token.claims[name] = value.clone()));
    browser.go(&path_of(&idp.grant(location, &User::ada()))).await
}

/// Signs in at a path that asks nothing special.
async fn signed_in(idp: &HostileIdp, scene: &Scene, claims: Value) -> Browser {
    let mut browser = scene.browser(APP);
    let location = browser.go("/private").await.location().to_owned();
    let back = come_back(idp, &mut browser, &location, claims).await;
    assert_eq!(back.status, 303, "{}", back.text());
    browser
}

fn has(location: &str, name: &str) -> Option<String> {
    url::Url::parse(location).unwrap().query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

async fn reason(scene: &Scene) -> String {
    scene.log().await.last().unwrap()["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn stepup_04_an_old_sign_in_is_made_again_and_leads_back_with_a_new_session() {
    let (idp, scene) = rig().await;
    let mut browser = signed_in(&idp, &scene, json!({ "auth_time": now() - 3600 })).await;
    assert_eq!(browser.go("/private").await.status, 200);
    let old = browser.clone();
    let redirect = browser.go("/pay/now?sum=1").await;
    assert_eq!(redirect.status, 302, "{}", redirect.text());
    assert_eq!(reason(&scene).await, "step_up");
    assert_eq!((has(redirect.location(), "max_age").as_deref(), has(redirect.location(), "acr_values")), (Some("300"), None));
    assert_eq!(browser.cookies.get(SESSION), old.cookies.get(SESSION), "until then the session stays");
    let back = come_back(&idp, &mut browser, redirect.location(), json!({ "auth_time": now() })).await;
    assert_eq!((back.status, back.location()), (303, "/pay/now?sum=1"), "{}", back.text());
    assert_eq!(browser.go("/pay/now?sum=1").await.status, 200);
    // SESS-02: another session, and the one before it is over.
    assert_ne!(browser.cookies.get(SESSION), old.cookies.get(SESSION));
    assert_eq!(old.clone().fetch("/private").await.status, 401);
    assert_eq!(browser.fetch("/private").await.status, 200);
}

#[tokio::test]
async fn stepup_05_strength_is_acr_or_auth0s_word_for_several_factors() {
    let (idp, scene) = rig().await;
    for (name, claims, status) in [
        ("nothing", json!({}), 302),
        ("another acr", json!({ "acr": "bronze" }), 302),
        ("one factor", json!({ "amr": ["pwd"] }), 302),
        ("acr", json!({ "acr": "gold" }), 200),
        ("several factors", json!({ "amr": ["pwd", "mfa"] }), 200),
    ] {
        let mut browser = signed_in(&idp, &scene, claims).await;
        let answer = browser.go("/vault/x").await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        if status == 302 {
            assert_eq!(has(answer.location(), "acr_values"), Some(format!("gold {MULTI_FACTOR}")), "{name}");
        }
    }
    // Who lacks the role is not sent to sign in for nothing.
    let mut viewer = scene.browser(APP);
    let location = viewer.go("/private").await.location().to_owned();
    assert_eq!(viewer.go(&path_of(&idp.grant(&location, &User::vera()))).await.status, 303);
    assert_eq!(viewer.go("/both/x").await.status, 403);
    // What somebody other than the ID token says does not count.
    let mut browser = scene.browser(APP);
    let location = browser.go("/private").await.location().to_owned();
    idp.next_access_token(|token| token.claims["acr"] = json!("gold"));
    assert_eq!(browser.go(&path_of(&idp.grant(&location, &User::ada()))).await.status, 303);
    assert_eq!(browser.go("/vault/x").await.status, 302);
}

#[tokio::test]
async fn oidc_15_what_was_demanded_must_come_back_and_one_try_is_all() {
    let (idp, scene) = rig().await;
    for (name, path, claims, status) in [
        ("no auth_time", "/pay/x", json!({}), 403),
        ("an old one", "/pay/x", json!({ "auth_time": now() - 3600 }), 403),
        ("one from the future", "/pay/x", json!({ "auth_time": now() + 3600 }), 403),
        ("a recent one", "/pay/x", json!({ "auth_time": now() - 10 }), 303),
        ("no acr", "/vault/x", json!({ "auth_time": now() }), 403),
        ("another acr", "/vault/x", json!({ "acr": "Gold" }), 403),
        ("the acr", "/vault/x", json!({ "acr": "gold" }), 303),
        ("half of both", "/both/x", json!({ "acr": "gold" }), 403),
        ("the other half", "/both/x", json!({ "auth_time": now() }), 403),
        ("both", "/both/x", json!({ "acr": "gold", "auth_time": now() }), 303),
    ] {
        let mut browser = signed_in(&idp, &scene, json!({})).await;
        let before = browser.cookies.get(SESSION).cloned();
        let redirect = browser.go(path).await;
        let back = come_back(&idp, &mut browser, redirect.location(), claims).await;
        assert_eq!(back.status, status, "{name}: {}", back.text());
        if status == 403 {
            assert_eq!((back.field("location"), reason(&scene).await.as_str()), (None, "step_up_not_met"), "{name}: no loop");
            assert!(back.text().contains("not enough here") && back.text().contains(">Sign in</a>"), "{name}: {}", back.text());
            assert_eq!(browser.cookies.get(SESSION).cloned(), before, "{name}: who was signed in stays so");
            assert_eq!(browser.go("/private").await.status, 200, "{name}");
        } else {
            assert_eq!(browser.go(path).await.status, 200, "{name}");
        }
    }
    // The first visit asks for it right away, and asks for one sign-in only.
    let mut browser = scene.browser(APP);
    let redirect = browser.go("/pay/x").await;
    assert_eq!(has(redirect.location(), "max_age").as_deref(), Some("300"));
    assert_eq!(come_back(&idp, &mut browser, redirect.location(), json!({ "auth_time": now() })).await.status, 303);
    assert_eq!(browser.go("/pay/x").await.status, 200);
}

#[tokio::test]
async fn stepup_06_what_is_demanded_is_never_the_clients_to_say() {
    let (idp, scene) = rig().await;
    let mut browser = signed_in(&idp, &scene, json!({})).await;
    for query in [
        "max_age=99999999&acr_values=bronze",
        "step_up=AAAA",
        "step_up=%7B%22m%22%3A%7B%22secs%22%3A99999%2C%22nanos%22%3A0%7D%7D&max_age=99999999",
    ] {
        let answer = browser.go(&format!("/_doorward/login?return_to=/pay/x&{query}")).await;
        assert_eq!(has(answer.location(), "max_age").as_deref(), Some("300"), "{query}");
        assert_eq!(has(answer.location(), "acr_values"), None, "{query}");
    }
    // A script learns where to send its user, for a page that asks nothing itself.
    let fields = [("sec-fetch-mode", "cors"), ("referer", "https://app.localhost/shop"), ("accept", "*/*")];
    let answer = browser.request("POST", "/vault/open", &fields, b"").await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (401, Some("insufficient_user_authentication")));
    let login_url = answer.json()["login_url"].as_str().unwrap().to_owned();
    assert_eq!(has(&login_url, "return_to").as_deref(), Some("https://app.localhost/shop"));
    let redirect = browser.go(&path_of(&login_url)).await;
    assert_eq!(has(redirect.location(), "acr_values"), Some(format!("gold {MULTI_FACTOR}")));
    let back = come_back(&idp, &mut browser.clone(), redirect.location(), json!({})).await;
    assert_eq!(back.status, 403, "also then it must come back");
    let redirect = browser.go(&path_of(&login_url)).await;
    let back = come_back(&idp, &mut browser, redirect.location(), json!({ "acr": "gold" })).await;
    assert_eq!((back.status, back.location()), (303, "https://app.localhost/shop"));
    assert_eq!(browser.request("POST", "/vault/open", &fields, b"").await.status, 200);
    // Sealed for this host, and for nothing else.
    let sealed = has(&login_url, "step_up").unwrap();
    let answer = browser.go(&format!("/_doorward/login?return_to=/private&step_up={}", &sealed[1..])).await;
    assert_eq!(has(answer.location(), "acr_values"), None);
    let answer = browser.go(&format!("/_doorward/login?return_to=/private&step_up={sealed}&step_up={sealed}")).await;
    assert_eq!(answer.status, 400, "PARAM-01");
    assert_eq!(browser.go(&format!("{}?code=c&state={sealed}", "/_doorward/callback/tenant")).await.status, 400);
}

#[tokio::test]
async fn stepup_06_a_lost_attempt_of_a_step_up_starts_again_with_its_demand() {
    let (idp, scene) = rig().await;
    let mut browser = signed_in(&idp, &scene, json!({})).await;
    let redirect = browser.go("/pay/x").await;
    browser.cookies.retain(|name, _| name == SESSION);
    // The session that is there is not enough: it would only lead here again.
    let again = browser.go(&path_of(&idp.grant(redirect.location(), &User::ada()))).await;
    assert_eq!((again.status, has(again.location(), "max_age").as_deref()), (302, Some("300")), "{}", again.text());
    let back = come_back(&idp, &mut browser, again.location(), json!({ "auth_time": now() })).await;
    assert_eq!((back.status, back.location()), (303, "/pay/x"));
    // The twin: enough by now.
    let answer = browser.go(&path_of(&idp.grant(again.location(), &User::ada()))).await;
    assert_eq!((answer.status, answer.location()), (303, "/pay/x"));
}

#[tokio::test]
async fn stepup_07_bearers_are_told_what_is_missing() {
    let (idp, scene) = rig().await;
    let call = async |path: &str, claims: Value| {
        let token = idp.access_token(&User::ada(), |token| {
            claims.as_object().unwrap().iter().for_each(|(name, value)| token.claims[name] = value.clone());
        });
        scene.ask(API, "GET", path, &[("authorization", &format!("Bearer {token}")), ("accept", "application/json")]).await
    };
    for (name, claims, status) in [
        ("nothing", json!({}), 401),
        ("old", json!({ "acr": "gold", "auth_time": now() - 600 }), 401),
        ("weak", json!({ "acr": "bronze", "auth_time": now() }), 401),
        ("both", json!({ "acr": "silver", "auth_time": now() }), 200),
    ] {
        let answer = call("/pay/x", claims.clone()).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        if status == 401 {
            // RFC 9470 §3
            let told = "Bearer error=\"insufficient_user_authentication\", max_age=\"300\", acr_values=\"gold silver\"";
            assert_eq!(answer.all("www-authenticate"), [told], "{name}");
            assert_eq!(answer.json()["error"], "insufficient_user_authentication", "{name}");
            assert_eq!(answer.json().get("login_url"), None, "{name}: a token is not a browser");
        }
        assert_eq!(call("/other", claims).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn stepup_08_behind_another_proxy_the_demand_survives_the_way_to_login() {
    let idp = HostileIdp::start().await;
    let scene = Scene::with(Plan { server: HOOKS.into(), routes: ROUTES.into(), ..Plan::oidc(idp.issuer()) }).await;
    let asker = Asker::of(&scene);
    let visit = [
        ("host", APP),
        ("x-forwarded-proto", "https"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("accept", "text/html"),
    ];
    let go = async |path: &str, cookie: &str| asker.request("GET", path, &[&visit[..], &[("cookie", cookie)]].concat()).await;
    let cookie_of = |answer: &Answer| {
        let pairs = answer.cookies().into_iter().filter(|(_, value)| !value.is_empty());
        pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    };
    let login = go("/_doorward/login?return_to=/private", "").await;
    let session = cookie_of(&go(&path_of(&idp.grant(login.location(), &User::ada())), &cookie_of(&login)).await);
    let ask = async |path: &str, session: &str| asker.ask(Kind::Traefik, &Request::visit(APP, path).with("cookie", session)).await;
    assert_eq!(ask("/private", &session).await.status, 200);
    let check = ask("/pay/x", &session).await;
    assert_eq!((check.status, has(check.location(), "return_to").as_deref()), (302, Some("/pay/x")));
    let login = go(&path_of(check.location()), &session).await;
    assert_eq!(has(login.location(), "max_age").as_deref(), Some("300"));
    idp.next_id_token(|token| token.claims["auth_time"] = json!(now()));
    let back = go(&path_of(&idp.grant(login.location(), &User::ada())), &cookie_of(&login)).await;
    assert_eq!((back.status, back.location()), (303, "/pay/x"), "{}", back.text());
    assert_eq!(ask("/pay/x", &cookie_of(&back)).await.status, 200);
}
