//! Rules that look at the path, the time and more: optional and public ones, expressions, and shadows.

mod optional;

use std::time::{SystemTime, UNIX_EPOCH};

use doorward_demo::tenant::AUDIENCE;
use doorward_tests::asker::{Asker, HOOKS, Kind, Request};
use doorward_tests::client::Answer;
use doorward_tests::scene::{API, APP, Plan, Scene};
use serde_json::{Value, json};

const ROUTES: &str = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    rules:
      - { path: /open, allow: public }
      - { path: /news, allow: optional }
      - { path: "/t/{tenant}/**", allow: { when: "path.tenant in claims['https://acme.dev/groups']" } }
      - { path: /now, allow: { time: { days: [OPEN], zone: UTC } } }
      - { path: /shut, allow: { time: { days: [SHUT], zone: UTC } } }
      - { path: /kiosk, allow: { public: true, time: { days: [SHUT], zone: UTC } } }
      - { path: "/try/**", allow: { role: admin }, enforce: log }
      - { path: "/try/admin/**", allow: nobody, enforce: log }
      - { path: "/try/**", allow: signed-in }
      - { path: "/bare/**", allow: { role: admin }, enforce: log }
      - { path: "/bare/**", allow: public }
      - { allow: signed-in }
  - name: api
    host: api.localhost
    upstream: UPSTREAM
    accept: bearer
    rules:
      - { path: /open, allow: public }
      - { path: /news, allow: optional }
      - { path: "/t/{tenant}/**", allow: { when: "claims.org_id == path.tenant && request.method == 'GET'" } }
      - { allow: signed-in }
"#;

/// Days on which it is open, and on which it is not, whatever the day turns into while a test runs.
fn routes() -> String {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    // 1970-01-01 was a Thursday.
    let today = usize::try_from((days + 3) % 7).unwrap();
    let day = |later: usize| DAYS[(today + later) % 7];
    ROUTES.replace("[OPEN]", &format!("[{}-{}]", day(6), day(1))).replace("[SHUT]", &format!("[{}]", day(3)))
}

async fn scene() -> Scene {
    Scene::with(Plan { server: HOOKS.into(), routes: routes(), ..Plan::default() }).await
}

/// A call with a good token of Ada's that also says `more`.
async fn call(scene: &Scene, method: &str, path: &str, more: Value) -> Answer {
    let mut claims = scene.tenant.access_claims_for("ada", AUDIENCE, "openid");
    more.as_object().unwrap().iter().for_each(|(name, value)| claims[name] = value.clone());
    scene.ask(API, method, path, &[("authorization", &format!("Bearer {}", scene.tenant.sign(claims)))]).await
}

#[tokio::test]
async fn path_60_a_tenant_is_the_one_in_the_path_however_it_is_spelled() {
    let scene = scene().await;
    let mut ada = scene.signed_in(APP, "ada").await;
    for (path, status, reason) in [
        ("/t/staff/x", 200, "session"),
        ("/t/platform", 200, "session"),
        ("/t/%73taff/x", 200, "session"),
        // Somebody else's.
        ("/t/partners/x", 403, "expression"),
        ("/t/%70artners/x", 403, "expression"),
        ("/t/Staff/x", 403, "expression"),
        ("/t/staff%20/x", 403, "expression"),
        ("/t/staff./x", 403, "expression"),
        // What another server could read as somebody else's.
        ("/t/staff;/x", 400, "ambiguous_path"),
        ("/t/staff%3bpartners/x", 400, "ambiguous_path"),
        ("/t/;x/partners/x", 400, "ambiguous_path"),
        ("/t/partners%2f..%2fstaff/x", 400, "bad_request"),
        ("/t/staff/../partners/x", 400, "bad_request"),
        ("/t/staff%252f/x", 400, "bad_request"),
        ("/t//partners", 400, "bad_request"),
        ("/t/staff%00/x", 400, "bad_request"),
    ] {
        let before = scene.app.seen().len();
        let answer = ada.fetch(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(scene.app.seen().len() - before, usize::from(status == 200), "{path}");
        if status != 200 {
            assert_eq!(scene.reason_of(&answer).await, reason, "{path}");
        }
    }
    assert_eq!(scene.app.last().target(), "/t/staff/x", "an escape of a plain letter is that letter, to us and to the app");
}

#[tokio::test]
async fn path_60_a_token_says_which_tenant_and_nothing_else_does() {
    let scene = scene().await;
    for (org, method, path, status) in [
        (json!({ "org_id": "acme" }), "GET", "/t/acme/x", 200),
        (json!({ "org_id": "acme" }), "GET", "/t/other/x", 403),
        (json!({ "org_id": "acme" }), "POST", "/t/acme/x", 403),
        (json!({ "org_id": ["acme"] }), "GET", "/t/acme/x", 401),
        (json!({ "org_id": "" }), "GET", "/t/acme/x", 403),
        (json!({}), "GET", "/t/acme/x", 403),
        (json!({ "org_id": "ac me" }), "GET", "/t/ac%20me/x", 200),
    ] {
        assert_eq!(call(&scene, method, path, org.clone()).await.status, status, "{org} {path}");
    }
}

#[tokio::test]
async fn a_refused_expression_is_told_as_it_is_written() {
    let scene = scene().await;
    let answer = call(&scene, "GET", "/t/other/x", json!({ "org_id": "acme" })).await;
    assert_eq!(scene.reason_of(&answer).await, "expression");
    assert_eq!(answer.field("www-authenticate"), None, "no other token would help by its scope");
    let page = scene.signed_in(APP, "ada").await.go("/t/partners").await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains("path.tenant in claims"), "{}", page.text());
}

#[tokio::test]
async fn a_time_window_opens_and_closes_to_everybody() {
    let scene = scene().await;
    let mut ada = scene.signed_in(APP, "ada").await;
    assert_eq!(ada.fetch("/now").await.status, 200);
    let shut = ada.fetch("/shut").await;
    assert_eq!((shut.status, shut.json()["error"].clone()), (403, json!("forbidden_time")));
    assert_eq!(scene.reason_of(&shut).await, "time");
    // Signing in would not help; where it would, it is asked for.
    assert_eq!(scene.browser(APP).go("/shut").await.status, 403);
    assert_eq!(scene.browser(APP).go("/kiosk").await.status, 403);
    assert_eq!(scene.browser(APP).go("/now").await.status, 302);
}

#[tokio::test]
async fn an_optional_rule_knows_who_is_there_and_lets_everybody_else_in_too() {
    let scene = scene().await;
    let mut ada = scene.signed_in(APP, "ada").await;
    assert_eq!(ada.fetch("/news").await.status, 200);
    assert_eq!(scene.app.last().one("x-auth-user"), Some("auth0|ada"));
    let sealed = ada.cookie();
    for (name, fields) in [
        ("nobody", vec![]),
        ("a broken session", vec![("cookie", format!("{}x", &sealed[..sealed.len() - 9]))]),
        ("no session at all", vec![("cookie", "__Host-doorward=AAAA".to_owned())]),
        ("a forged name", vec![("x-auth-user", "auth0|ada".to_owned())]),
        ("a broken token", vec![("authorization", "Bearer a.b.c".to_owned())]),
        ("half a token", vec![("authorization", "Bearer".to_owned())]),
    ] {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(scene.ask(APP, "GET", "/news", &fields).await.status, 200, "{name}");
        assert_eq!(scene.app.last().one("x-auth-user"), None, "{name}");
    }
    assert_eq!(call(&scene, "GET", "/news", json!({})).await.status, 200);
    assert_eq!(scene.app.last().one("x-auth-user"), Some("auth0|ada"));
}

#[tokio::test]
async fn a_public_rule_looks_at_no_credential_at_all() {
    let scene = scene().await;
    let mut ada = scene.signed_in(APP, "ada").await;
    let answer = ada.fetch("/open").await;
    assert_eq!((answer.status, scene.app.last().one("x-auth-user")), (200, None));
    assert!(answer.cookies().is_empty(), "{:?}", answer.cookies());
    assert_eq!(call(&scene, "GET", "/open", json!({})).await.status, 200);
    assert_eq!(scene.app.last().one("x-auth-user"), None);
    assert_eq!(scene.metric("doorward_jwt_verify_total{outcome=\"ok\",provider=\"tenant\"}").await, 0.0, "nobody verified it");
    assert!(scene.app.last().one("cookie").is_none_or(|cookies| !cookies.contains("doorward")), "and the app has none of it");
    // The twin: where it counts, it is verified.
    assert_eq!(call(&scene, "GET", "/news", json!({})).await.status, 200);
    assert_eq!(scene.metric("doorward_jwt_verify_total{outcome=\"ok\",provider=\"tenant\"}").await, 1.0);
}

#[tokio::test]
async fn bad_credentials_count_where_somebody_looks_at_them_and_nowhere_else() {
    let server = HOOKS.replace("connections_per_client: 1000", "connections_per_client: 1000, bad_credentials_per_client: 3");
    let scene = Scene::with(Plan { server, routes: routes(), ..Plan::default() }).await;
    let bad = async |path: &str| scene.ask(API, "GET", path, &[("authorization", "Bearer a.b.c")]).await.status;
    for _ in 0..6 {
        assert_eq!(bad("/open").await, 200);
    }
    assert_eq!(bad("/private").await, 401, "none of these counted");
    for _ in 0..6 {
        assert_eq!(bad("/news").await, 200, "too many is nobody, and not a refusal");
    }
    let good = call(&scene, "GET", "/private", json!({})).await;
    assert_eq!(good.status, 429, "these did");
}

#[tokio::test]
async fn a_shadow_is_counted_and_logged_and_changes_nothing() {
    let scene = scene().await;
    let mut vera = scene.signed_in(APP, "vera").await;
    let answer = vera.fetch("/try/admin/x").await;
    assert_eq!(answer.status, 200);
    assert_eq!(scene.app.last().one("x-auth-user"), Some("auth0|vera"));
    let line = scene.log().await.into_iter().find(|line| line["path"] == "/try/admin/x").unwrap();
    assert_eq!(
        line["shadow"],
        json!([{ "rule": "app/7", "decision": "deny", "reason": "role" }, { "rule": "app/8", "decision": "deny", "reason": "nobody" }])
    );
    assert_eq!((&line["rule"], &line["decision"]), (&json!("app/9"), &json!("allow")));
    let series = |decision: &str, reason: &str| {
        format!("doorward_shadow_decisions_total{{decision=\"{decision}\",reason=\"{reason}\",route=\"app\",rule=\"app/7\"}}")
    };
    assert_eq!(scene.metric(&series("deny", "role")).await, 1.0);
    assert_eq!(scene.signed_in(APP, "ada").await.fetch("/try/x").await.status, 200);
    assert_eq!(scene.metric(&series("allow", "session")).await, 1.0);
    // Nobody: the rule that decides asks to sign in, and the shadow would too.
    assert_eq!(scene.browser(APP).fetch("/try/x").await.status, 401);
    assert_eq!(scene.metric(&series("challenge", "no_session")).await, 1.0);
    // Where no shadow stands, the line has no such field.
    vera.fetch("/private").await;
    assert!(scene.log().await.into_iter().filter(|line| line["path"] == "/private").all(|line| line.get("shadow").is_none()));
}

#[tokio::test]
async fn behind_a_public_rule_a_shadow_looks_for_nobody() {
    let scene = scene().await;
    let mut ada = scene.signed_in(APP, "ada").await;
    assert_eq!(ada.fetch("/bare/x").await.status, 200);
    assert_eq!(scene.app.last().one("x-auth-user"), None);
    let line = scene.log().await.into_iter().find(|line| line["path"] == "/bare/x").unwrap();
    assert_eq!(line["shadow"], json!([{ "rule": "app/10", "decision": "challenge", "reason": "no_session" }]));
}

#[tokio::test]
async fn a_hook_says_what_the_edge_says_of_each() {
    let scene = scene().await;
    let asker = Asker::of(&scene);
    let ada = scene.signed_in(APP, "ada").await.cookie();
    let vera = scene.signed_in(APP, "vera").await.cookie();
    for (path, who, passes, user) in [
        ("/open", &ada, true, ""),
        ("/news", &ada, true, "auth0|ada"),
        ("/t/staff/x", &ada, true, "auth0|ada"),
        ("/t/partners/x", &ada, false, ""),
        ("/t/staff;/x", &ada, false, ""),
        ("/now", &ada, true, "auth0|ada"),
        ("/shut", &ada, false, ""),
        ("/try/admin/x", &vera, true, "auth0|vera"),
    ] {
        for kind in [Kind::Traefik, Kind::Nginx, Kind::Envoy] {
            let answer = asker.ask(kind, &Request::get(APP, path).with("cookie", who)).await;
            assert_eq!((200..300).contains(&answer.status), passes, "{kind:?} {path}: {}", answer.status);
            if passes {
                assert_eq!(answer.field("x-auth-user").unwrap_or(""), user, "{kind:?} {path}");
            }
        }
    }
    let shadows = "doorward_shadow_decisions_total{decision=\"deny\",reason=\"role\",route=\"app\",rule=\"app/7\"}";
    assert_eq!(scene.metric(shadows).await, 3.0);
    let lines = scene.log().await;
    assert!(lines.iter().filter(|line| line["path"] == "/try/admin/x").all(|line| line["shadow"][0]["reason"] == "role"));
}

#[tokio::test]
async fn whoever_has_no_role_may_pass_nowhere_but_where_nobody_is_known() {
    let identity = |no_roles: &str| {
        format!("\nidentity:\n  roles: [\"https://acme.dev/roles\"]\n  no_roles: {no_roles}\nheaders:\n  X-Auth-User: \"{{user}}\"\n")
    };
    let scene = Scene::with(Plan { identity: identity("deny"), server: HOOKS.into(), routes: routes(), ..Plan::default() }).await;
    let without = json!({ "https://acme.dev/roles": [] });
    let refused = call(&scene, "GET", "/private", without.clone()).await;
    assert_eq!((refused.status, refused.json()["error"].clone()), (403, json!("no_roles")));
    assert_eq!(scene.reason_of(&refused).await, "no_roles");
    assert_eq!(call(&scene, "GET", "/news", without.clone()).await.status, 200);
    assert_eq!(call(&scene, "GET", "/private", json!({ "https://acme.dev/roles": ["any"] })).await.status, 200);
    let lenient = Scene::with(Plan { identity: identity("allow"), server: HOOKS.into(), routes: routes(), ..Plan::default() }).await;
    assert_eq!(call(&lenient, "GET", "/private", without).await.status, 200);
}
