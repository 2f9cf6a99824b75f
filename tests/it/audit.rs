//! What is written down: every event once, in order, with whom and why, and no secret in any of them.

mod ids;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use doorward_tests::client::{Answer, Browser, parameter, path_of};
use doorward_tests::hostile::{self, Endpoint, Fault, HostileIdp, User};
use doorward_tests::scene::{API, APP, Plan, SESSION_KEY, Scene};
use serde_json::{Value, json};

use crate::logout::{SID, is_in, quick, tell};
use crate::oidc::come_back;
use crate::outside::{Served, breaking_app, bring_secrets};

const FILE: &str = "audit.jsonl";
const ADMIN_TOKEN: &str = "an-admin-token-of-this-test";
const SERVER: &str = "  limits: { connections_per_client: 1000 }\n  admin_token: { file: admin }\n  audit_log: { file: audit.jsonl }\n";
const SESSION: &str = "  idle: 1h\n  lifetime: 12h\n  store: memory\n  refresh: { ahead: 1m, grace: 5m }\n";
const IDENTITY: &str = r#"
identity:
  roles: ["https://acme.dev/roles"]
  role_mapping:
    - { when: { path: email, op: eq, value: "eddie@acme.dev" }, roles: [writer] }
headers:
  X-Auth-User: "{user}"
  X-Auth-Roles: "{roles}"
"#;
const ROUTES: &str = r#"
  - name: app
    host: app.localhost
    upstream: UPSTREAM
    rules:
      - { path: "/admin/**", allow: { role: admin } }
      - { path: "/closed/**", allow: nobody }
      - { path: "/vault/**", allow: signed-in, step_up: { acr_values: [gold] } }
      - { path: "/soon/**", allow: { role: boss }, enforce: log }
      - { allow: signed-in }
  - name: api
    host: api.localhost
    upstream: UPSTREAM
    accept: bearer
    rules: [{ path: "/items/**", allow: { scope: "read:items" } }]
"#;

/// Before a provider whose tokens can be refreshed, with an audit log in a file.
async fn rig() -> (HostileIdp, Scene) {
    let idp = HostileIdp::start().await;
    let oidc = Plan::oidc(idp.issuer());
    let scene = Scene::with(Plan {
        server: SERVER.into(),
        session: SESSION.into(),
        identity: IDENTITY.into(),
        routes: ROUTES.into(),
        provider: format!("{}    scope: [openid, profile, email, offline_access]\n", oidc.provider),
        files: [oidc.files.clone(), vec![("admin".into(), ADMIN_TOKEN.into())]].concat(),
        tempo: quick(),
        ..oidc
    })
    .await;
    (idp, scene)
}

pub fn file(scene: &Scene) -> PathBuf {
    scene.folder.path().join(FILE)
}

/// The audit log so far.
pub async fn text(scene: &Scene) -> String {
    let audit = scene.edge().runtime().audit.clone();
    assert!(tokio::task::spawn_blocking(move || audit.flush(Duration::from_secs(10))).await.unwrap());
    std::fs::read_to_string(file(scene)).unwrap()
}

fn parsed(text: &str) -> Vec<Value> {
    assert!(text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

pub async fn lines(scene: &Scene) -> Vec<Value> {
    parsed(&text(scene).await)
}

async fn signed_in(idp: &HostileIdp, scene: &Scene, user: &User) -> Browser {
    let mut browser = scene.browser(APP);
    idp.next_id_token(|token| token.claims["sid"] = SID.into());
    let answer = come_back(idp, &mut browser, "/private", user).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    browser
}

async fn end_sessions(scene: &Scene, token: &str, body: &Value) -> u16 {
    let address = scene.edge().admin_address().unwrap();
    let request = reqwest::Client::new().post(format!("http://{address}/sessions/end")).bearer_auth(token);
    request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap().status().as_u16()
}

/// After which an access token that lasts a second has ended: the next request waits for another.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(1200)).await;
}

fn id(answer: &Answer) -> &str {
    answer.field("x-request-id").unwrap()
}

/// What of a line is not the same at every run.
fn told(line: &Value) -> Value {
    let mut told = line.clone();
    let object = told.as_object_mut().unwrap();
    ["time", "seq", "instance", "request_id", "client", "session", "provider_session", "claims", "criteria"].iter().for_each(|name| {
        object.remove(*name);
    });
    told
}

#[tokio::test]
async fn log_05_every_event_is_written_once_in_order_with_whom_where_and_why() {
    let (idp, mut scene) = rig().await;
    let (eddie, sub) = (User::eddie(), User::eddie().sub);
    let mut asked: Vec<String> = Vec::new();

    // A sign-in, three refusals, and what is not to be written: requests that pass, and a first visit.
    idp.set_access_lifetime(1);
    let mut browser = signed_in(&idp, &scene, &eddie).await;
    idp.set_access_lifetime(86_400);
    a_moment().await;
    let denied = browser.go("/admin/x?secret=query").await;
    assert_eq!(denied.status, 403);
    let closed = browser.fetch("/closed/x").await;
    assert_eq!(closed.status, 403);
    let step_up = browser.go("/vault/x").await;
    assert_eq!(step_up.status, 302);
    assert_eq!(scene.browser(APP).go("/private").await.status, 302);

    // A bad token, and none.
    let token = idp.access_token(&eddie, |token| token.claims["exp"] = 1.into());
    let bad = scene.call("/items/1", &token).await;
    assert_eq!(bad.status, 401);
    assert_eq!(scene.ask(API, "GET", "/items/1", &[]).await.status, 401);

    // Out by oneself; by the provider's word, good and bad; by an administrator, with and without the token.
    assert_eq!(browser.post("/_doorward/logout").await.status, 303);
    let next = signed_in(&idp, &scene, &eddie).await;
    let word = tell(&next, &idp.logout_token(None, Some(SID), |_| {})).await;
    assert_eq!((word.status, is_in(&next).await), (200, false));
    let lie = tell(&next, &idp.logout_token(None, Some(SID), |token| token.claims["aud"] = "another".into())).await;
    assert_eq!(lie.status, 400);
    let last = signed_in(&idp, &scene, &eddie).await;
    assert_eq!(end_sessions(&scene, "not-the-admin-token-at-all", &json!({})).await, 401);
    assert_eq!(end_sessions(&scene, ADMIN_TOKEN, &json!({ "provider": "tenant", "sub": sub })).await, 202);
    let revoked = last.clone().go("/private").await;
    assert_eq!(revoked.status, 302);

    // A sign-in that fails.
    let mut refused = scene.browser(APP);
    let location = refused.go("/private").await.location().to_owned();
    let failed = refused.go(&path_of(&idp.refuse(&location, "access_denied", "no"))).await;
    assert_eq!(failed.status, 403);

    for answer in [&denied, &closed, &step_up, &bad, &word, &lie, &revoked, &failed] {
        asked.push(id(answer).to_owned());
    }
    assert!(scene.stop().await);
    let lines = parsed(&std::fs::read_to_string(file(&scene)).unwrap());
    let (who, roles) = (json!({ "provider": "tenant", "subject": sub }), json!(["editor", "writer"]));
    let with = |mut own: Value, more: &Value| {
        own.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        own
    };
    let known = with(json!({ "proof": "session", "roles": roles }), &who);
    let sign_in = with(
        json!({ "event": "sign_in", "host": APP, "role_sources": { "editor": ["claim https://acme.dev/roles"], "writer": ["role_mapping[0]"] } }),
        &known,
    );
    let at = |method: &str, path: &str, rule: &str| json!({ "method": method, "host": APP, "path": path, "route": "app", "rule": rule });
    let expected = [
        json!({ "event": "start", "version": env!("CARGO_PKG_VERSION") }),
        sign_in.clone(),
        with(with(json!({ "event": "refresh", "outcome": "ok" }), &known), &json!({})),
        with(with(json!({ "event": "denial", "decision": "deny", "reason": "role" }), &at("GET", "/admin/x", "app/1")), &known),
        with(with(json!({ "event": "denial", "decision": "deny", "reason": "nobody" }), &at("GET", "/closed/x", "app/2")), &known),
        with(with(json!({ "event": "step_up", "decision": "challenge", "reason": "step_up" }), &at("GET", "/vault/x", "app/3")), &known),
        json!({
            "event": "credential_refused", "decision": "challenge", "reason": "token_expired",
            "method": "GET", "host": API, "path": "/items/1", "route": "api", "rule": "api/1",
        }),
        with(json!({ "event": "sign_out", "kind": "provider", "host": APP }), &known),
        sign_in.clone(),
        json!({ "event": "sign_out", "kind": "back_channel", "provider": "tenant", "stored": true }),
        with(
            json!({ "event": "credential_refused", "decision": "challenge", "reason": "session_revoked" }),
            &at("GET", "/private", "app/5"),
        ),
        json!({ "event": "sign_out_failed", "kind": "back_channel", "reason": "token_audience" }),
        sign_in,
        json!({ "event": "admin", "call": "POST /sessions/end", "outcome": "unauthorized" }),
        json!({ "event": "admin", "call": "POST /sessions/end", "outcome": "ok" }),
        with(json!({ "event": "sign_out", "kind": "admin", "stored": true }), &who),
        with(
            json!({ "event": "credential_refused", "decision": "challenge", "reason": "session_revoked" }),
            &at("GET", "/private", "app/5"),
        ),
        json!({ "event": "sign_in_failed", "host": APP, "provider": "tenant", "step": "callback", "reason": "access_denied" }),
        json!({ "event": "stop", "clean": true }),
    ];
    let seen: Vec<Value> = lines.iter().map(told).collect();
    for (at, expected) in expected.iter().enumerate() {
        assert_eq!(seen.get(at), Some(expected), "line {at} of {seen:#?}");
    }
    assert_eq!(seen.len(), expected.len(), "{seen:#?}");

    // Numbered without a gap, by one process; the request's own id and client, wherever there was one.
    assert!(lines.iter().enumerate().all(|(at, line)| line["seq"] == at + 1 && line["instance"] == lines[0]["instance"]), "{lines:#?}");
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    assert_eq!(of("denial").iter().map(|line| &line["request_id"]).collect::<Vec<_>>(), [&json!(asked[0]), &json!(asked[1])]);
    for (event, at) in [("step_up", 2), ("credential_refused", 3), ("sign_out_failed", 5), ("sign_in_failed", 7)] {
        assert_eq!(of(event)[0]["request_id"], asked[at], "{event}");
    }
    assert!(of("sign_out").iter().any(|line| line["request_id"] == asked[4]));
    assert!(lines.iter().filter(|line| line["request_id"].is_string()).all(|line| line["client"] == "127.0.0.1"), "{lines:#?}");
    // The refresh names the request that needed it; sessions are told apart, and followed.
    assert_eq!(of("refresh")[0]["request_id"], asked[0]);
    let session = |line: &Value| line["session"].as_str().unwrap().to_owned();
    let begun: Vec<String> = of("sign_in").iter().map(|line| session(line)).collect();
    assert!(begun[0] != begun[1] && begun[1] != begun[2]);
    assert!([of("refresh")[0], of("denial")[0], of("step_up")[0], of("sign_out")[0]].iter().all(|line| session(line) == begun[0]));
    assert_eq!(of("sign_out")[1]["provider_session"], of("sign_in")[1]["provider_session"]);
    // The claims that something looks at, and what the rule looked at.
    assert_eq!(of("sign_in")[0]["claims"]["https://acme.dev/roles"], json!(["editor"]));
    assert!(of("denial")[0]["criteria"].to_string().contains("admin"), "{}", of("denial")[0]);
}

#[tokio::test]
async fn log_01_nothing_secret_of_a_whole_life_of_a_session_is_in_the_audit_log() {
    let (idp, scene) = rig().await;
    let mut secrets: Vec<String> = [SESSION_KEY, ADMIN_TOKEN, hostile::CLIENT_SECRET, SID].map(str::to_owned).into();
    idp.set_access_lifetime(1);
    let mut browser = scene.browser(APP);
    idp.next_id_token(|token| {
        token.claims["sid"] = SID.into();
        token.claims["jti"] = "canary-jti-000000001".into();
    });
    let redirect = browser.go("/private?token=canary-in-a-query-0001").await;
    let location = redirect.location().to_owned();
    secrets.extend(["state", "nonce", "code_challenge"].map(|name| parameter(&location, name)));
    secrets.extend(browser.cookies.values().cloned());
    let callback = idp.grant(&location, &User::eddie());
    secrets.push(parameter(&callback, "code"));
    assert_eq!(browser.go(&path_of(&callback)).await.status, 303);
    secrets.extend(browser.cookies.values().cloned());
    a_moment().await;
    assert_eq!(browser.go("/admin/x?token=canary-in-a-query-0001").await.status, 403);
    let token = idp.access_token(&User::eddie(), |token| token.claims["exp"] = 1.into());
    assert_eq!(scene.call("/items/1?access_token=canary-in-a-query-0001", &token).await.status, 401);
    let word = idp.logout_token(None, Some(SID), |_| {});
    assert_eq!(tell(&browser, &word).await.status, 200);
    assert_eq!(end_sessions(&scene, ADMIN_TOKEN, &json!({ "provider": "tenant", "sid": SID })).await, 202);
    for request in idp.log().iter().filter(|request| request.endpoint == Endpoint::Token) {
        secrets.extend(["code", "code_verifier", "refresh_token"].iter().filter_map(|name| request.field(name)));
    }
    secrets.extend([token, word, "canary-in-a-query-0001".to_owned(), "canary-jti-000000001".to_owned()]);
    let text = text(&scene).await;
    for event in ["\"sign_in\"", "\"refresh\"", "\"denial\"", "\"credential_refused\"", "\"sign_out\"", "\"admin\""] {
        assert!(text.contains(event), "{event}: {text}");
    }
    for secret in secrets.iter().filter(|secret| secret.len() >= 8) {
        assert!(!text.contains(secret.as_str()), "`{secret}` is in\n{text}");
    }
    for word in ["eyJ", "nonce", "at_hash", "c_hash", "\"sid\"", "\"jti\"", "?"] {
        assert!(!text.contains(word), "`{word}` is in\n{text}");
    }
}

#[tokio::test]
async fn log_01_no_secret_is_in_the_audit_log_whatever_went_wrong() {
    let server = "  limits: { connections_per_client: 1000 }\n  audit_log: { file: audit.jsonl }\n";
    let scene = Scene::in_front_of(Plan { server: server.into(), ..Plan::default() }, breaking_app().await).await;
    let secrets = bring_secrets(&scene, scene.address()).await;
    let lines = lines(&scene).await;
    assert!(lines.len() >= 10, "{lines:#?}");
    secrets.assert_absent("the audit log", &text(&scene).await);
}

#[tokio::test]
async fn a_refresh_that_changes_roles_says_both_and_one_that_fails_says_why() {
    let (idp, scene) = rig().await;
    idp.set_access_lifetime(1);
    let mut browser = signed_in(&idp, &scene, &User::eddie()).await;
    a_moment().await;
    idp.next_id_token(|token| token.claims["https://acme.dev/roles"] = json!(["editor", "admin"]));
    assert_eq!(browser.go("/admin/x").await.status, 200);
    let refreshed = |lines: Vec<Value>| lines.into_iter().filter(|line| line["event"] == "refresh").collect::<Vec<_>>();
    let line = refreshed(lines(&scene).await).pop().unwrap();
    assert_eq!((&line["outcome"], &line["roles"]), (&json!("ok"), &json!(["editor", "admin", "writer"])), "{line}");
    assert_eq!(line["roles_before"], json!(["editor", "writer"]));
    a_moment().await;
    idp.fault(Endpoint::Token, Fault::oauth_error(400, "invalid_grant"));
    let over = browser.go("/private").await;
    assert_eq!(over.status, 302);
    let line = refreshed(lines(&scene).await).pop().unwrap();
    assert_eq!(
        (&line["outcome"], &line["ended"], &line["request_id"]),
        (&json!("invalid_grant"), &json!(true), &json!(id(&over))),
        "{line}"
    );
    assert_eq!(line["subject"], User::eddie().sub);
}

#[tokio::test]
async fn a_rule_that_only_logs_is_written_down_and_what_it_would_let_in_is_not() {
    let (idp, scene) = rig().await;
    let mut browser = signed_in(&idp, &scene, &User::eddie()).await;
    let passed = browser.go("/soon/x").await;
    assert_eq!(passed.status, 200);
    let shadows: Vec<Value> = lines(&scene).await.into_iter().filter(|line| line["event"] == "shadow_denial").collect();
    assert_eq!(shadows.len(), 1, "{shadows:?}");
    let line = &shadows[0];
    assert_eq!((&line["rule"], &line["decision"], &line["reason"]), (&json!("app/4"), &json!("deny"), &json!("role")), "{line}");
    let log = scene.log().await;
    assert!(log.iter().any(|own| own["request_id"] == line["request_id"] && own["decision"] == "allow" && own["rule"] == "app/5"));
    let mut boss = signed_in(&idp, &scene, &User::eddie().with("https://acme.dev/roles", json!(["boss"]))).await;
    assert_eq!(boss.go("/soon/x").await.status, 200);
    assert_eq!(lines(&scene).await.iter().filter(|line| line["event"] == "shadow_denial").count(), 1);
}

#[tokio::test]
async fn rate_02_a_thousand_bad_tokens_are_some_lines_and_a_number() {
    let (idp, scene) = rig().await;
    let token = idp.access_token(&User::eddie(), |token| token.claims["exp"] = 1.into());
    for _ in 0..200 {
        assert_eq!(scene.call("/items/1", &token).await.status, 401);
    }
    let audit = scene.edge().runtime().audit.clone();
    audit.summarise();
    let lines = lines(&scene).await;
    let refused = lines.iter().filter(|line| line["event"] == "credential_refused").count();
    assert!((30..=130).contains(&refused), "{refused}");
    let told: u64 = lines.iter().filter_map(|line| line["not_written"]["credential_refused"].as_u64()).sum();
    assert_eq!(told, 200 - refused as u64);
    assert_eq!(scene.metric("doorward_audit_lines_suppressed_total{event=\"credential_refused\"}").await, told as f64);
    // Somebody else's refusal is there all the same.
    let mut browser = signed_in(&idp, &scene, &User::eddie()).await;
    let denied = browser.go("/admin/x").await;
    assert!(self::lines(&scene).await.iter().any(|line| line["request_id"] == id(&denied)));
}

#[tokio::test]
async fn met_04_lines_written_and_lost_are_counted_and_nobody_waits_for_a_disk() {
    let (idp, scene) = rig().await;
    let mut browser = signed_in(&idp, &scene, &User::eddie()).await;
    let written = lines(&scene).await.len();
    assert_eq!(scene.metric("doorward_audit_lines_total").await, written as f64);
    // The folder of the file is gone: nothing can be written.
    let (folder, away) = (scene.folder.path().to_owned(), tempfile::tempdir().unwrap());
    std::fs::rename(&folder, away.path().join("x")).unwrap();
    let begun = Instant::now();
    assert_eq!(browser.go("/admin/x").await.status, 403);
    assert!(begun.elapsed() < Duration::from_secs(2));
    let audit = scene.edge().runtime().audit.clone();
    assert!(tokio::task::spawn_blocking(move || audit.flush(Duration::from_secs(10))).await.unwrap());
    assert_eq!(scene.metric("doorward_audit_lines_lost_total").await, 1.0);
    std::fs::rename(away.path().join("x"), &folder).unwrap();
    let denied = browser.go("/admin/x").await;
    let lines = lines(&scene).await;
    assert_eq!((lines.len(), &lines[written]["request_id"]), (written + 1, &json!(id(&denied))));
    assert_eq!(lines[written]["seq"], written + 2, "the gap shows that one is missing");
}

#[test]
fn every_event_is_on_the_page_about_them() {
    let page = include_str!("../../docs/audit.md");
    for kind in doorward_proxy::audit::Kind::ALL {
        let row = page
            .lines()
            .filter(|line| line.starts_with("| `"))
            .any(|line| line.split('|').nth(1).unwrap().contains(&format!("`{}`", kind.label())));
        assert!(row, "{}", kind.label());
    }
}

#[tokio::test]
async fn nothing_is_written_where_nobody_asked_for_it() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in(APP, "ada").await;
    assert_eq!(browser.go("/closed/x").await.status, 403);
    assert!(!scene.edge().runtime().audit.is_on());
    assert_eq!(scene.metric("doorward_audit_lines_total").await, 0.0);
    assert!(scene.log().await.iter().all(|line| line.get("event").is_none()));
}

#[tokio::test]
async fn log_05_on_standard_output_lines_of_both_logs_are_whole_and_told_apart() {
    let server = "  limits: { connections_per_client: 1000 }\n  audit_log: stdout\n";
    // The scene's own edge is not the one that is tried: it would write to the tests' output.
    let scene = Scene::in_front_of(Plan::default(), breaking_app().await).await;
    let text = std::fs::read_to_string(scene.configuration()).unwrap();
    let path = scene.folder.path().join("stdout.yaml");
    std::fs::write(&path, text.replace("  limits: { connections_per_client: 1000 }\n", server)).unwrap();
    let mut served = Served::start(&path).await;
    let secrets = bring_secrets(&scene, served.address).await;
    let many = (0..200).map(|at| {
        let mut browser = Browser { address: served.address, ..scene.browser(APP) };
        async move { browser.fetch(&format!("/closed/{at}")).await.status }
    });
    assert!(futures::future::join_all(many).await.into_iter().all(|status| status == 403));
    assert_eq!(served.stop().await, Some(0));
    let logged = served.logged.lock().unwrap().clone();
    let lines = parsed(&logged);
    let (audit, access): (Vec<&Value>, Vec<&Value>) = lines.iter().partition(|line| line.get("event").is_some());
    assert!(audit.len() >= 50 && access.len() >= 200, "{} and {}", audit.len(), access.len());
    assert_eq!((&audit[0]["event"], &audit[audit.len() - 1]["event"]), (&json!("start"), &json!("stop")));
    assert!(audit.iter().enumerate().all(|(at, line)| line["seq"] == at + 1));
    secrets.assert_absent("standard output", &logged);
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let scene = Scene::start().await;
    let text = std::fs::read_to_string(scene.configuration()).unwrap();
    let path = scene.folder.path().join("bad.yaml");
    let server = "  limits: { connections_per_client: 1000 }\n";
    std::fs::write(&path, text.replace(server, &format!("{server}  audit_log: {{ file: not-there/audit.jsonl }}\n"))).unwrap();
    let output = tokio::process::Command::new(crate::command_line::binary()).args(["serve", "-c"]).arg(&path).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("server.audit_log: cannot write to `") && said.contains("not-there/audit.jsonl") && said.contains("help:"),
        "{said}"
    );
}
