//! What the edge shows of itself: other origins, logs, metrics, health, its own pages, its command line.

use std::collections::{BTreeSet, HashSet};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doorward_demo::tenant;
use doorward_proxy::keys::Tempo;
use doorward_tests::client::{Browser, Raw, parameter, path_of};
use doorward_tests::recorder::{Recorder, ok};
use doorward_tests::scene::{API, APP, Plan, Scene};
use serde_json::json;

use crate::command_line::binary;

const BOTH: &str = "both.localhost";
const COOKIE: &str = "__Host-doorward";
/// What must never be said anywhere.
#[derive(Default)]
pub struct Canaries(BTreeSet<String>);

impl Canaries {
    fn keep(&mut self, secret: impl Into<String>) {
        let secret = secret.into();
        assert!(secret.len() >= 16, "`{secret}` is too short to be looked for");
        self.0.insert(STANDARD.encode(&secret));
        self.0.insert(secret[..secret.len() / 2].to_owned());
        self.0.insert(secret[secret.len() - 16..].to_owned());
        self.0.insert(secret);
    }

    pub fn assert_absent(&self, place: &str, text: &str) {
        assert!(!text.is_empty(), "{place} is empty, which proves nothing");
        for secret in &self.0 {
            // Half of a short canary is a word of its own.
            assert!(secret.len() < 16 || !text.contains(secret.as_str()), "{place} holds `{secret}`:\n{text}");
        }
        assert!(!text.contains("eyJ"), "{place} holds a token:\n{text}");
    }
}

/// Twenty-odd ways to bring secrets, at the edge that listens on `address`.
pub async fn bring_secrets(scene: &Scene, address: SocketAddr) -> Canaries {
    let at = |host: &str| Browser { address, ..scene.browser(host) };
    let mut secrets = Canaries::default();
    secrets.keep(tenant::CLIENT_SECRET);
    secrets.keep(doorward_tests::scene::SESSION_KEY);
    let bearer = scene.token("ada");
    secrets.keep(bearer.rsplit('.').next().unwrap());
    let authorization = format!("Bearer {bearer}");

    // A sign-in, its callback twice, and again with a code that was never issued.
    let mut browser = at(APP);
    let location = browser.go("/private?token=canary-in-a-query-0001").await.location().to_owned();
    secrets.keep("canary-in-a-query-0001");
    for name in ["state", "nonce", "code_challenge"] {
        secrets.keep(parameter(&location, name));
    }
    browser.cookies.values().for_each(|value| secrets.keep(value.clone()));
    let before = browser.clone();
    let callback = path_of(&scene.tenant.sign_in(&location, "ada").unwrap());
    secrets.keep(parameter(&format!("https://x{callback}"), "code"));
    assert_eq!(browser.go(&callback).await.status, 303);
    let session = browser.cookies[COOKIE].clone();
    secrets.keep(session.clone());
    let redeemed = scene.tenant.received("token").pop().unwrap();
    secrets.keep(redeemed.get("code_verifier").unwrap());
    assert_eq!(before.clone().go(&callback).await.status, 400);
    for query in [
        "code=canary-code-00000002&state=canary-state-00000003",
        "error=access_denied&error_description=canary-text-00000004&state=canary-state-00000003",
    ] {
        assert_eq!(before.clone().go(&format!("/_doorward/callback/tenant?{query}")).await.status, 400);
    }
    ["canary-code-00000002", "canary-state-00000003", "canary-text-00000004"].into_iter().for_each(|text| secrets.keep(text));
    let mut again = at(APP);
    let location = again.go("/private").await.location().to_owned();
    let state = parameter(&location, "state");
    assert_eq!(
        again
            .clone()
            .go(&format!("/_doorward/callback/tenant?error=canary-error-00000005&error_description=canary-text-00000004&state={state}"))
            .await
            .status,
        502
    );
    secrets.keep("canary-error-00000005");
    let mut third = at(APP);
    let location = third.go("/private").await.location().to_owned();
    scene.tenant.set_outage("token", Some(500));
    assert_eq!(third.go(&path_of(&scene.tenant.sign_in(&location, "ada").unwrap())).await.status, 503);
    scene.tenant.set_outage("token", None);

    // The session: good, cut, twice, at a closed door, over a broken app, with a token in the Referer.
    assert_eq!(browser.go("/private").await.status, 200);
    assert_eq!(
        browser.clone().request("GET", "/private", &[("referer", &format!("https://app.localhost/x?code={session}"))], b"").await.status,
        200
    );
    assert_eq!(browser.go("/closed/x").await.status, 403);
    assert_eq!(browser.go("/private/break").await.status, 502);
    assert_eq!(browser.fetch("/_doorward/session").await.status, 200);
    assert_eq!(browser.go("/_doorward/whoami").await.status, 200);
    for cookies in [format!("{COOKIE}={}", &session[..session.len() - 3]), format!("{COOKIE}={session}; {COOKIE}={session}")] {
        assert_eq!(at(APP).request("GET", "/private", &[("cookie", &cookies), ("accept", "text/html")], b"").await.status, 302);
    }
    let handshake = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "Y2FuYXJ5LWtleS0wMDA2"),
        ("origin", "https://evil.test"),
    ];
    assert_eq!(browser.clone().request("GET", "/private", &handshake, b"").await.status, 403);

    // Tokens: good, bent, twice, in a query, in a form, at the wrong door.
    let ask = async |host: &str, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]| {
        at(host).request(method, path, fields, body).await.status
    };
    let bent = format!("Bearer {}x", &bearer[..bearer.len() - 1]);
    let form = format!("access_token={bearer}&password=canary-password-00000007");
    secrets.keep("canary-password-00000007");
    assert_eq!(ask(API, "GET", "/items", &[("authorization", &authorization)], b"").await, 200);
    assert_eq!(ask(API, "GET", "/items", &[("authorization", &bent)], b"").await, 401);
    assert_eq!(ask(API, "GET", "/items", &[("authorization", &authorization), ("authorization", &authorization)], b"").await, 400);
    assert_eq!(ask(API, "GET", &format!("/items?access_token={bearer}"), &[], b"").await, 401);
    assert_eq!(ask(API, "POST", "/items", &[("content-type", "application/x-www-form-urlencoded")], form.as_bytes()).await, 401);
    assert_eq!(ask(API, "POST", "/items", &[("authorization", &authorization)], form.as_bytes()).await, 403);
    assert_eq!(ask(BOTH, "GET", "/x", &[("authorization", &bent), ("cookie", &format!("{COOKIE}={session}"))], b"").await, 401);
    assert_eq!(ask(API, "GET", "/items", &[("authorization", "Basic Y2FuYXJ5OmNhbmFyeS1wYXNzd29yZC0wMDAwMDAwNw==")], b"").await, 401);
    assert_eq!(ask("unknown.test", "GET", "/x", &[("authorization", &authorization)], b"").await, 421);
    assert_eq!(
        ask(APP, "GET", "/_doorward/nothing?code=canary-code-00000002", &[("cookie", &format!("{COOKIE}={session}"))], b"").await,
        404
    );
    // LOG-04: what is no request at all, with secrets in it.
    for head in ["GET /a b HTTP/1.1", "GET /x HTTP/1.1\r\nhost: a\r\nhost: b", "BREW /x HTTP/9.9", "GET /private HTTP/1.1\r\nbad name: x"] {
        let mut raw = Raw::connect(address, &scene.ca, APP).await;
        raw.send(format!("{head}\r\ncookie: {COOKIE}={session}\r\nauthorization: {authorization}\r\n\r\n").as_bytes()).await;
        assert!(raw.answer().await.is_none_or(|answer| answer.status >= 400), "{head}");
    }
    let mut raw = Raw::connect(address, &scene.ca, APP).await;
    raw.send(
        format!("GET /x HTTP/1.1\r\nhost: {APP}\r\nauthorization: {authorization}\r\nx-long: {}\r\n\r\n", "a".repeat(40_000)).as_bytes(),
    )
    .await;
    assert!(raw.answer().await.is_none_or(|answer| answer.status == 431));
    assert_eq!(browser.post("/_doorward/logout").await.status, 303);
    secrets
}

/// An app that breaks off where it is asked to, and sets a cookie of its own elsewhere.
pub async fn breaking_app() -> Recorder {
    Recorder::answering(Arc::new(|request| (!request.target().contains("break")).then(|| ok("canary")))).await
}

#[tokio::test]
async fn log_01_03_04_no_secret_is_in_the_access_log_or_in_metrics_whatever_went_wrong() {
    let scene = Scene::in_front_of(Plan::default(), breaking_app().await).await;
    let secrets = bring_secrets(&scene, scene.address()).await;
    let log = scene.log().await;
    assert!(log.len() >= 30, "{} lines", log.len());
    for line in &log {
        assert!(!line["path"].as_str().unwrap_or("").contains('?'), "LOG-03: {line}");
        let known = [
            "time",
            "request_id",
            "client",
            "method",
            "host",
            "path",
            "protocol",
            "status",
            "route",
            "rule",
            "decision",
            "reason",
            "subject",
            "upstream",
            "error",
            "duration_ms",
            "sent",
        ];
        assert!(line.as_object().unwrap().keys().all(|name| known.contains(&name.as_str())), "{line}");
    }
    // LOG-05: every request has an id of ours, and none has another's.
    let ids: HashSet<&str> = log.iter().filter_map(|line| line["request_id"].as_str()).filter(|id| !id.is_empty()).collect();
    assert!(ids.len() >= 30);
    secrets.assert_absent("the access log", &scene.log_text().await);
    secrets.assert_absent("the metrics", &scene.admin("/metrics").await.1);
    secrets.assert_absent("readiness", &scene.admin("/readyz").await.1);
}

#[tokio::test]
async fn log_02_what_a_client_or_a_claim_says_stays_one_line_of_visible_ascii() {
    let scene = Scene::start().await;
    let mut claims = scene.tenant.access_claims_for("ada", tenant::AUDIENCE, "openid read:items");
    claims["sub"] = json!("a\u{1b}]0;x\u{7}\r\n{\"forged\":1}\u{2028}\u{2029}\u{85}\u{9b}31m\u{202e}\u{7f}\u{feff}\u{1f36a}");
    let token = scene.tenant.sign(claims.clone());
    let answer = scene.call("/items", &token).await;
    assert!([200, 403].contains(&answer.status), "{}", answer.text());
    let long = format!("/items/{}", "a".repeat(6000));
    scene.call(&long, &scene.token("ada")).await;
    scene.ask(API, "GET", "/items/%E2%80%A8%E2%80%AE%C2%9B", &[]).await;
    for target in ["/\x1b[31m", "/%1b[31m", "/%0a%0d", "/\u{2028}", "/%ff%fe"] {
        let mut raw = scene.raw(API).await;
        raw.send(format!("GET {target} HTTP/1.1\r\nhost: {API}\r\nuser-agent: \x1b]0;x\r\n\r\n").as_bytes()).await;
        raw.answer().await;
    }
    for host in ["a\x1b[31m.localhost", "a;proto=https", "\u{202e}app.localhost", "x\"y"] {
        let mut raw = scene.raw(API).await;
        raw.send(format!("GET /x HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await;
        raw.answer().await;
    }
    let text = scene.log_text().await;
    assert!(text.bytes().all(|byte| byte == b'\n' || (0x20..=0x7e).contains(&byte)), "{text}");
    let lines = scene.log().await;
    let subjects = lines.iter().filter(|line| line["subject"] == claims["sub"]).count();
    assert_eq!(subjects, 1, "escaped, and otherwise as it is");
    assert!(lines.iter().all(|line| line.as_object().unwrap().get("forged").is_none()));
    let longest = lines.iter().filter_map(|line| line["path"].as_str()).map(str::len).max();
    assert_eq!(longest, Some(256), "cut to a length");
}

#[tokio::test]
async fn met_01_adv_pom_03_nothing_of_the_admin_listener_answers_in_public() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in(APP, "ada").await;
    for path in [
        "/metrics",
        "/livez",
        "/readyz",
        "/debug/pprof",
        "/admin-api",
        "/%6detrics",
        "/metrics/",
        "/METRICS",
        "/_doorward/metrics",
        "/_doorward/livez",
    ] {
        let anonymous = scene.browser(APP).go(path).await;
        let known = browser.go(path).await;
        assert!([302, 404].contains(&anonymous.status), "{path}: {}", anonymous.status);
        assert!(known.status == 404 || known.text() == "canary", "{path}: the app's business");
        for answer in [&anonymous, &known] {
            assert!(!answer.text().contains("doorward_") && !answer.text().contains("alive"), "{path}: {}", answer.text());
        }
    }
    assert_eq!(scene.browser(APP).go("//metrics").await.status, 400);
    let admin = scene.edge().admin_address().unwrap();
    for host in [admin.to_string(), "127.0.0.1".into(), "localhost".into(), "localhost:9090".into()] {
        assert_eq!(scene.ask_as(&host, "/metrics").await.status, 421, "{host}");
    }
    let client = reqwest::Client::new();
    for (method, path, status) in [
        ("GET", "/metrics", 200),
        ("HEAD", "/livez", 200),
        ("POST", "/metrics", 405),
        ("DELETE", "/readyz", 405),
        ("GET", "/", 404),
        ("GET", "/metrics/x", 404),
    ] {
        let answer = client.request(method.parse().unwrap(), format!("http://{admin}{path}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
}

fn series(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

/// Sends requests one after another, on a new connection where the last one ended.
async fn send_all(scene: &Scene, requests: impl Iterator<Item = String>) {
    let mut raw = scene.raw(APP).await;
    for request in requests {
        raw.send(request.as_bytes()).await;
        let ended = match raw.answer().await {
            Some(answer) => answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
            None => true,
        };
        if ended {
            raw = scene.raw(APP).await;
        }
    }
}

#[tokio::test]
async fn met_02_two_thousand_made_up_names_add_no_series() {
    let scene = Scene::start().await;
    let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
    let token = |number: usize| {
        format!(
            "{}.{}.AAAA",
            encode(format!("{{\"alg\":\"RS256\",\"kid\":\"kid-{number}\"}}")),
            encode(format!("{{\"iss\":\"https://issuer-{number}/\"}}"))
        )
    };
    let letters = |number: usize| -> String { format!("{number:05}").bytes().map(|digit| char::from(digit - b'0' + b'A')).collect() };
    let kinds: [Box<dyn Fn(usize) -> String>; 5] = [
        Box::new(|number| format!("GET /path-{number} HTTP/1.1\r\nhost: {APP}\r\nuser-agent: agent-{number}\r\n\r\n")),
        Box::new(|number| format!("GET /x HTTP/1.1\r\nhost: host-{number}.localhost\r\n\r\n")),
        Box::new(move |number| format!("X{} /x HTTP/1.1\r\nhost: {APP}\r\n\r\n", letters(number))),
        Box::new(move |number| format!("GET /items HTTP/1.1\r\nhost: {API}\r\nauthorization: Bearer {}\r\n\r\n", token(number))),
        Box::new(|number| {
            format!("GET /_doorward/callback/tenant?error=error-{number}&state=state-{number} HTTP/1.1\r\nhost: {APP}\r\n\r\n")
        }),
    ];
    send_all(&scene, kinds.iter().map(|kind| kind(0))).await;
    let before = series(&scene.admin("/metrics").await.1);
    send_all(&scene, (1..=400).flat_map(|number| kinds.iter().map(move |kind| kind(number)))).await;
    let after = series(&scene.admin("/metrics").await.1);
    let added: Vec<_> = after.difference(&before).collect();
    assert!(added.is_empty(), "{added:#?}");
    assert!(after.len() < 600, "{} series", after.len());
}

#[tokio::test]
async fn met_03_the_exposition_is_well_formed_also_when_many_ask_at_once() {
    let scene = Scene::start().await;
    scene.signed_in(APP, "ada").await;
    scene.call("/items", "x.y.z").await;
    let scrapes = futures::future::join_all((0..20).map(|_| scene.admin("/metrics"))).await;
    assert!(scrapes.iter().all(|(status, text)| *status == 200 && text.ends_with('\n')));
    let text = &scrapes[0].1;
    let name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
    let (mut types, mut seen) = (HashSet::new(), HashSet::new());
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert!(types.insert(kind.split(' ').next().unwrap().to_owned()), "{line}: twice");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (labelled, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(labelled.to_owned()), "{line}: twice");
        let (metric, labels) = labelled.split_once('{').unwrap_or((labelled, "}"));
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| metric.strip_suffix(end))
            .filter(|family| types.contains(*family))
            .unwrap_or(metric);
        assert!(name(metric) && types.contains(family), "{line}");
        assert!(metric.starts_with("doorward_") || metric.starts_with("process_"), "{line}");
        for label in labels.strip_suffix('}').unwrap().split(',').filter(|label| !label.is_empty()) {
            let (key, value) = label.split_once("=\"").unwrap();
            assert!(name(key) && value.ends_with('"') && !value[..value.len() - 1].contains(['"', '\\', '\n']), "{line}");
        }
    }
    for family in [
        "doorward_decisions_total",
        "doorward_logins_total",
        "doorward_jwks_fetch_total",
        "doorward_requests_total",
        "doorward_tls_handshakes_total",
    ] {
        assert!(types.contains(family), "{family}");
    }
}

/// The sum of all series whose name begins so and whose labels hold all of these.
async fn sum(scene: &Scene, family: &str, labels: &[String]) -> f64 {
    let (_, text) = scene.admin("/metrics").await;
    let fits = |line: &&str| line.starts_with(family) && labels.iter().all(|label| line.contains(label.as_str()));
    text.lines().filter(fits).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

const REASONS: &str = r#"
  - name: app
    host: app.localhost
    upstream: "UPSTREAM"
    limits: { body: 1KiB }
    rules:
      - { path: "/role", allow: { role: nobody-has-this } }
      - { path: "/permission", allow: { permission: "nobody:has" } }
      - { path: "/scope", allow: { scope: "nobody:has" } }
      - { path: "/claim", allow: { claim: { org_id: org_none } } }
      - { path: "/domain", allow: { email_domain: [none.example] } }
      - { path: "/network", allow: { network: [10.0.0.0/8] } }
      - { path: "/nobody", allow: nobody }
      - { path: "/public/**", allow: public }
      - { path: "/params/**", allow: signed-in }
      - { path: "/known/**", allow: signed-in }
  - name: api
    host: api.localhost
    path: /v1
    upstream: "UPSTREAM"
    accept: bearer
    rules: [{ allow: { scope: "read:items" } }]
"#;

#[tokio::test]
async fn met_04_every_reason_to_refuse_is_counted_once() {
    let tempo = Tempo { bearer_cool_down: Duration::from_millis(10), sign_in_cool_down: Duration::from_millis(10), ..Tempo::default() };
    let scene = Scene::with(Plan { routes: REASONS.into(), tempo, ..Plan::default() }).await;
    let token = scene.token("ada");
    let bearer = format!("authorization: Bearer {token}");
    let mut claims = scene.tenant.access_claims_for("ada", tenant::AUDIENCE, "openid read:items");
    claims["https://acme.dev/roles"] = json!((0..400).map(|number| format!("a-rather-long-role-{number:03}")).collect::<Vec<_>>());
    let crowded = format!("authorization: Bearer {}", scene.tenant.sign(claims));

    // Before any key is known, and while none can be had.
    scene.tenant.set_outage("discovery", Some(503));
    let deny = |reason: &str| ["decision=\"deny\"".to_owned(), format!("reason=\"{reason}\"")];
    assert_eq!(scene.call("/v1/x", &token).await.status, 503);
    assert_eq!(sum(&scene, "doorward_decisions_total", &deny("cannot_verify")).await, 1.0);
    scene.tenant.set_outage("discovery", None);
    tokio::time::sleep(Duration::from_millis(30)).await;

    let session = scene.signed_in_at(APP, "/known/x", "ada").await.cookies[COOKIE].clone();
    let session = format!("cookie: {COOKIE}={session}");
    let websocket = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: https://evil.test";
    let rows: Vec<(&str, &str, String, u16)> = vec![
        ("deny", "role", format!("GET /role HTTP/1.1\r\nhost: {APP}\r\n{session}"), 403),
        ("deny", "permission", format!("GET /permission HTTP/1.1\r\nhost: {APP}\r\n{session}"), 403),
        ("deny", "scope", format!("GET /scope HTTP/1.1\r\nhost: {APP}\r\n{bearer}"), 403),
        ("deny", "claim", format!("GET /claim HTTP/1.1\r\nhost: {APP}\r\n{session}"), 403),
        ("deny", "email_domain", format!("GET /domain HTTP/1.1\r\nhost: {APP}\r\n{session}"), 403),
        ("deny", "network", format!("GET /network HTTP/1.1\r\nhost: {APP}\r\n{session}"), 403),
        ("deny", "nobody", format!("GET /nobody HTTP/1.1\r\nhost: {APP}\r\n{session}"), 403),
        ("deny", "no_rule", format!("GET /elsewhere HTTP/1.1\r\nhost: {APP}\r\n{session}"), 403),
        ("deny", "no_route", format!("GET /v2/x HTTP/1.1\r\nhost: {API}"), 404),
        ("deny", "unknown_host", "GET /x HTTP/1.1\r\nhost: unknown.test".into(), 421),
        ("deny", "ambiguous_path", format!("GET /public;x/y HTTP/1.1\r\nhost: {APP}"), 400),
        ("deny", "bad_request", format!("GET /a/../b HTTP/1.1\r\nhost: {APP}"), 400),
        ("deny", "identity_too_large", format!("GET /known/x HTTP/1.1\r\nhost: {APP}\r\n{crowded}"), 403),
        ("deny", "cross_origin", format!("GET /known/x HTTP/1.1\r\nhost: {APP}\r\n{session}\r\n{websocket}"), 403),
        ("deny", "body_too_large", format!("POST /public/x HTTP/1.1\r\nhost: {APP}\r\ncontent-length: 2000"), 413),
        ("challenge", "no_session", format!("GET /known/x HTTP/1.1\r\nhost: {APP}"), 401),
        ("challenge", "session_unreadable", format!("GET /known/x HTTP/1.1\r\nhost: {APP}\r\ncookie: {COOKIE}=x"), 401),
        ("challenge", "no_token", format!("GET /v1/x HTTP/1.1\r\nhost: {API}"), 401),
        ("challenge", "token_malformed", format!("GET /v1/x HTTP/1.1\r\nhost: {API}\r\nauthorization: Bearer x"), 401),
        ("challenge", "bearer_malformed", format!("GET /v1/x HTTP/1.1\r\nhost: {API}\r\nauthorization: Bearer"), 400),
    ];
    for (decision, reason, head, status) in rows {
        let labels = [format!("decision=\"{decision}\""), format!("reason=\"{reason}\"")];
        let before = sum(&scene, "doorward_decisions_total", &labels).await;
        let mut raw = scene.raw(APP).await;
        raw.send(format!("{head}\r\n\r\n").as_bytes()).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, status, "{reason}: {}", answer.text());
        assert_eq!(sum(&scene, "doorward_decisions_total", &labels).await, before + 1.0, "{reason}");
        let line = scene.log().await.pop().unwrap();
        assert_eq!(
            (line["decision"].as_str(), line["reason"].as_str(), line["status"].as_u64()),
            (Some(decision), Some(reason), Some(status.into())),
            "{line}"
        );
    }
    // What is refused before there is a request to decide about.
    for (reason, head, status) in [
        ("too_many_fields", format!("GET / HTTP/1.1\r\nhost: {APP}{}", "\r\na: b".repeat(120)), 431),
        ("head_too_long", format!("GET / HTTP/1.1\r\nhost: {APP}\r\na: {}", "b".repeat(40_000)), 431),
        ("host_missing", "GET / HTTP/1.1\r\na: b".into(), 400),
        ("host_repeated", format!("GET / HTTP/1.1\r\nhost: {APP}\r\nhost: {APP}"), 400),
        ("method_not_served", format!("TRACE / HTTP/1.1\r\nhost: {APP}"), 405),
        ("content_length", format!("POST / HTTP/1.1\r\nhost: {APP}\r\ncontent-length: -1"), 400),
    ] {
        let labels = [format!("reason=\"{reason}\"")];
        let mut raw = scene.raw(APP).await;
        raw.send(format!("{head}\r\n\r\n").as_bytes()).await;
        assert_eq!(raw.answer().await.unwrap().status, status, "{reason}");
        assert_eq!(sum(&scene, "doorward_refused_total", &labels).await, 1.0, "{reason}");
        let line = scene.log().await.pop().unwrap();
        assert_eq!((line["decision"].as_str(), line["reason"].as_str()), (Some("refuse"), Some(reason)), "{line}");
    }
    assert!(scene.app.seen().is_empty());
    // The twin that passes adds to none of them.
    let refusals = sum(&scene, "doorward_decisions_total", &["decision=\"deny\"".to_owned()]).await;
    assert_eq!(scene.ask(APP, "GET", "/public/x", &[]).await.status, 200);
    assert_eq!(sum(&scene, "doorward_decisions_total", &["decision=\"deny\"".to_owned()]).await, refusals);
}

#[tokio::test]
async fn readiness_is_about_this_process_and_says_when_it_is_about_to_stop() {
    let scene = Scene::start().await;
    assert_eq!(scene.admin("/livez").await, (200, "alive\n".into()));
    let ready = async || {
        let (status, text) = scene.admin("/readyz").await;
        let body: serde_json::Value = serde_json::from_str(&text).unwrap();
        (status, body["status"].as_str().unwrap().to_owned(), body["providers"]["tenant"].as_str().unwrap().to_owned())
    };
    assert_eq!(ready().await, (200, "ready".into(), "not asked yet or unreachable".into()));
    scene.tenant.set_outage("discovery", Some(503));
    assert_eq!(scene.browser(APP).go("/private").await.status, 503);
    assert_eq!(ready().await.0, 200, "an outage there takes no app away here");
    assert_eq!(scene.metric("doorward_idp_up{provider=\"tenant\"}").await, 0.0);
    scene.tenant.set_outage("discovery", None);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(scene.browser(APP).go("/private").await.status, 302);
    assert_eq!(ready().await, (200, "ready".into(), "keys known".into()));
    scene.edge().announce_stop();
    assert_eq!(ready().await, (503, "draining".into(), "keys known".into()));
    assert_eq!((scene.admin("/livez").await.0, scene.browser(APP).go("/public/x").await.status), (200, 200), "and still serves");
}

#[tokio::test]
async fn err_01_oidc_22_every_page_of_ours_is_escaped_unframed_unstored_and_says_nothing_of_itself() {
    let scene = Scene::start().await;
    let attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}${7*7}";
    scene.tenant.change_user("vera", |user| {
        user.name = attack.into();
        user.roles = vec![attack.into()];
    });
    let mut vera = scene.signed_in(APP, "vera").await;
    let query: String = percent_encoding::utf8_percent_encode(attack, percent_encoding::NON_ALPHANUMERIC).to_string();
    // A slash in a segment would be refused for itself.
    let segment = query.replace("%2F", "");
    let navigation = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")];
    let page = async |browser: &mut Browser, method: &str, path: String| browser.request(method, &path, &navigation, b"").await;
    let mut nobody = scene.browser(APP);
    let mut stranger = scene.browser("unknown.test");
    let mut begun = scene.browser(APP);
    let state = parameter(begun.go("/private").await.location(), "state");
    let pages = [
        ("400 path", 400, page(&mut nobody, "GET", format!("/a/../{segment}")).await),
        ("400 callback", 400, page(&mut nobody, "GET", format!("/_doorward/callback/tenant?code={query}&state={query}")).await),
        (
            "502 provider's error",
            502,
            page(&mut begun, "GET", format!("/_doorward/callback/tenant?error={query}&error_description={query}&state={state}")).await,
        ),
        ("401 a posted form", 401, page(&mut nobody, "POST", format!("/private?{query}")).await),
        ("403 a role", 403, page(&mut vera, "GET", format!("/admin/{segment}")).await),
        ("403 closed", 403, page(&mut vera, "GET", format!("/closed/{segment}")).await),
        ("404 below the prefix", 404, page(&mut nobody, "GET", format!("/_doorward/{segment}")).await),
        ("405", 405, page(&mut nobody, "PUT", format!("/_doorward/session?{query}")).await),
        ("421", 421, page(&mut stranger, "GET", format!("/{segment}")).await),
        ("sign out?", 200, page(&mut vera, "GET", format!("/_doorward/logout?return_to={query}")).await),
        ("whoami", 200, page(&mut vera, "GET", format!("/_doorward/whoami?{query}")).await),
        ("signed out", 200, nobody.post(&format!("/_doorward/logout?return_to={query}")).await),
    ];
    for (name, status, answer) in &pages {
        let text = answer.text();
        assert_eq!(answer.status, *status, "{name}: {text}");
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"), "{name}");
        for bad in ["<script", "<img", "onerror=alert(1)>", ">49<", "}}49"] {
            assert!(!text.contains(bad), "{name}: `{bad}` in {text}");
        }
        let policy = answer.field("content-security-policy").unwrap();
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-"] {
            assert!(policy.contains(part), "{name}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{name}: {policy}");
        assert_eq!(text.matches("<style>").count(), 1, "{name}");
        for (field, value) in [("x-frame-options", "DENY"), ("x-content-type-options", "nosniff"), ("cache-control", "no-store")] {
            assert_eq!(answer.all(field), [value], "{name}: {field}");
        }
        // Only a page with a form says where it is, and only to this origin: else the form would be sent from nowhere.
        let with_form = text.contains("<form method=\"post\"");
        assert_eq!(answer.all("referrer-policy"), [if with_form { "same-origin" } else { "no-referrer" }], "{name}");
        for field in ["server", "via", "x-powered-by"] {
            assert_eq!(answer.field(field), None, "{name}");
        }
        for word in ["pingora", env!("CARGO_PKG_VERSION"), "/src/", "panicked", "127.0.0.1"] {
            assert!(!text.contains(word), "{name}: `{word}` in {text}");
        }
        assert!(answer.field("x-request-id").is_some_and(|id| id.len() == 24), "{name}");
    }
    assert!(pages.iter().any(|(name, _, answer)| *name == "whoami" && answer.text().contains("&lt;script&gt;")));
    // For scripts, the same as JSON.
    for path in ["/_doorward/nothing", "/private", "/admin/x", "/a/../b"] {
        let answer = scene.browser(APP).fetch(path).await;
        assert_eq!(
            (answer.field("content-type"), answer.field("x-content-type-options")),
            (Some("application/json"), Some("nosniff")),
            "{path}"
        );
        assert!(answer.json()["error"].is_string(), "{path}");
    }
    // And a redirect: nothing to frame, nothing to store, no address passed on.
    let redirect = scene.browser(APP).go("/private").await;
    assert_eq!(
        (redirect.field("cache-control"), redirect.field("referrer-policy"), redirect.body.len()),
        (Some("no-store"), Some("no-referrer"), 0)
    );
    // LOG-05: an id that a client chose is none.
    let chosen = scene.ask(APP, "GET", "/public/x", &[("x-request-id", "chosen-by-the-client")]).await;
    assert_ne!(chosen.field("x-request-id"), Some("chosen-by-the-client"));
    assert_eq!(scene.app.last().one("x-request-id"), chosen.field("x-request-id"));
}

#[tokio::test]
async fn err_02_a_broken_app_is_a_502_without_its_address() {
    let scene = Scene::in_front_of(Plan::default(), breaking_app().await).await;
    for (name, answer) in
        [("page", scene.browser(APP).go("/public/break").await), ("script", scene.browser(APP).fetch("/public/break").await)]
    {
        assert_eq!(answer.status, 502, "{name}");
        assert!(
            !answer.text().contains("127.0.0.1") && !answer.text().contains(&scene.app.address().port().to_string()),
            "{name}: {}",
            answer.text()
        );
    }
    let posts = scene.browser(APP).request("POST", "/public/break", &[], b"once").await;
    assert_eq!(posts.status, 502);
    assert_eq!(scene.app.seen().iter().filter(|request| request.line().starts_with("POST")).count(), 1, "never sent twice");
}

// The command line.

/// A served edge as a process of its own; what it says is kept.
pub struct Served {
    child: std::process::Child,
    said: Arc<Mutex<String>>,
    pub logged: Arc<Mutex<String>>,
    pub address: SocketAddr,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(pipe: impl std::io::Read + Send + 'static) -> Arc<Mutex<String>> {
    let kept = Arc::new(Mutex::new(String::new()));
    let heard = kept.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut kept = kept.lock().unwrap();
            kept.push_str(&line);
            kept.push('\n');
        }
    });
    heard
}

impl Served {
    pub async fn start(configuration: &Path) -> Self {
        let mut command = Command::new(binary());
        command
            .arg("serve")
            .arg("-c")
            .arg(configuration)
            .env("DOORWARD_LOG", "info,doorward=trace,doorward_proxy=trace,doorward_config=trace,doorward_policy=trace");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (logged, said) = (listen(child.stdout.take().unwrap()), listen(child.stderr.take().unwrap()));
        let begun = Instant::now();
        let address = loop {
            let found = said
                .lock()
                .unwrap()
                .lines()
                .find_map(|line| line.split_once("listening on https://").map(|(_, address)| address.trim().to_owned()));
            if let Some(address) = found {
                break address.parse().unwrap();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "the edge does not say where it listens: {}", said.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        Self { child, said, logged, address }
    }

    /// SIGTERM, and what it ended with.
    pub async fn stop(&mut self) -> Option<i32> {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < Duration::from_secs(15), "the edge does not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn log_01_no_secret_is_in_anything_that_the_program_says_not_even_at_trace_level() {
    let scene = Scene::in_front_of(Plan::default(), breaking_app().await).await;
    let mut served = Served::start(&scene.configuration()).await;
    let secrets = bring_secrets(&scene, served.address).await;
    assert_eq!(served.stop().await, Some(0));
    let (said, logged) = (served.said.lock().unwrap().clone(), served.logged.lock().unwrap().clone());
    assert!(said.contains("sign-in failed") && logged.lines().count() >= 30, "{said}\n{logged}");
    secrets.assert_absent("standard error", &said);
    secrets.assert_absent("standard output", &logged);
    assert!(logged.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{logged}");
}

#[tokio::test]
async fn oidc_14_a_wrong_client_secret_is_a_line_that_says_what_to_check() {
    let scene = Scene::start().await;
    std::fs::write(scene.folder.path().join("secret"), "not-the-secret-of-this-client").unwrap();
    let mut served = Served::start(&scene.configuration()).await;
    let mut browser = Browser { address: served.address, ..scene.browser(APP) };
    let answer = scene.sign_in(&mut browser, "/private", "ada").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(!answer.text().contains("secret") && !answer.text().contains("client_id"), "{}", answer.text());
    assert_eq!(served.stop().await, Some(0));
    let said = served.said.lock().unwrap().clone();
    let line = said.lines().find(|line| line.contains("sign-in failed")).unwrap();
    assert!(line.contains("check client_id, client_secret and client_auth") && line.contains("client_refused"), "{line}");
    assert!(!said.contains("not-the-secret-of-this-client"));
}
