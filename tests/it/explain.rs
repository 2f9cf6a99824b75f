//! `doorward explain`, `test` and `routes`: what they say, and with which exit code.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use doorward_demo::tenant::AUDIENCE;
use doorward_policy::session::COOKIE;
use doorward_policy::time::Timestamp;
use doorward_proxy::clock;
use doorward_tests::client::Browser;
use doorward_tests::redis::{HOST, RedisServer};
use doorward_tests::scene::{API, APP, Plan, SESSION_KEY, Scene, session};
use serde_json::{Value, json};

use crate::command_line::{binary, text};

const CONFIGURATION: &str = r#"
version: 1
server:
  listen: ["127.0.0.1:8443"]
  tls: { certificates: [{ cert: tls.crt, key: tls.key }] }
providers:
  auth0: { kind: auth0, domain: acme.eu.auth0.com, client_id: abc, client_secret: { file: secret }, audience: "https://api.acme.dev" }
session: { keys: [{ file: session.key }] }
identity: { roles: [roles] }
headers: { X-Auth-User: "{user}", X-Auth-Org: "{claim:org_id}" }
routes:
  - name: app
    host: app.acme.dev
    provider: auth0
    upstream: http://10.0.0.5:3000
    rules:
      - { path: /healthz, allow: public }
      - { path: "/beta/**", allow: { role: beta }, enforce: log }
      - { path: "/admin/**", allow: { role: admin } }
      - { allow: signed-in }
  - name: api
    host: api.acme.dev
    provider: auth0
    accept: bearer
    upstream: http://10.0.0.6:3000
    rules:
      - { allow: { scope: "read:items" } }
"#;

const AT: &str = "2026-11-22T09:00:00Z";

/// A folder with that configuration, and what it names.
fn folder(tests: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    write("doorward.yaml", &format!("{CONFIGURATION}{tests}"));
    write("session.key", SESSION_KEY);
    write("secret", "client-secret");
    write("notes.txt", "no JSON");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/tls");
    write("tls.crt", &std::fs::read_to_string(examples.join("acme.crt")).unwrap());
    write("tls.key", &std::fs::read_to_string(examples.join("acme.key")).unwrap());
    write("eddie.json", &json!({ "sub": "eddie", "roles": ["editor"] }).to_string());
    folder
}

/// Exit code, standard output, standard error.
fn run(folder: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(binary())
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever does not read it has ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn explain(folder: &Path, arguments: &str) -> (i32, String) {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let (code, said, error) = run(folder, &[&["explain"], &arguments[..], &["--at", AT]].concat(), "");
    assert!(error.is_empty(), "{error}");
    (code, said)
}

#[test]
fn cli_explain_says_why_somebody_is_let_in() {
    let folder = folder("");
    let (code, said) = explain(folder.path(), "GET https://app.acme.dev/x?y=1 --claims eddie.json");
    assert_eq!(
        said,
        "GET https://app.acme.dev/x
from 192.0.2.1 at 2026-11-22T09:00:00Z
as eddie, by a session of auth0; supposed, nothing was proven
roles: editor <- roles

route app    + hit  - miss  ~ may, once somebody has signed in
  app/1  other path    /healthz
  app/2  other path    /beta/**
  app/3  other path    /admin/**
> app/4  decides       signed-in
         + sign_in  somebody  eddie, by a session of auth0

ALLOW by app/4
  the app is told
    x-auth-user  eddie      {user} <- sub
    x-auth-org   (not set)  {claim:org_id} <- org_id (absent)
"
    );
    assert_eq!(code, 0);
}

#[test]
fn cli_explain_says_which_role_is_missing() {
    let folder = folder("");
    let (code, said) = explain(folder.path(), "GET https://app.acme.dev/admin/ --claims eddie.json");
    assert!(
        said.ends_with(
            "
> app/3  decides       role admin
         + path       /admin/**  /admin/
         + sign_in    somebody   eddie, by a session of auth0
         - all_roles  admin      editor
  app/4  not reached   signed-in

DENY by app/3: role
  all_roles: wanted admin, found editor
  a browser gets 403, a script 403
"
        ),
        "{said}"
    );
    assert_eq!(code, 1);
}

#[test]
fn cli_explain_says_what_a_sign_in_may_change() {
    let folder = folder("");
    let (code, said) = explain(folder.path(), "GET https://app.acme.dev/admin/ --anonymous");
    assert!(said.contains("as nobody\n") && said.contains("~ all_roles  admin      ?\n"), "{said}");
    assert!(
        said.ends_with("SIGN IN by app/3: no_session\n  sign_in: wanted somebody, found nobody\n  a browser gets 302, a script 401\n"),
        "{said}"
    );
    let (_, posted) = explain(folder.path(), "POST https://app.acme.dev/admin/");
    assert!(posted.contains("a browser gets 401, a script 401"), "{posted}");
    let (_, public) = explain(folder.path(), "GET https://app.acme.dev/healthz");
    assert!(public.ends_with("ALLOW by app/1\n  the app is told nothing of anybody\n"), "{public}");
    assert_eq!(code, 1);
}

#[test]
fn cli_explain_shows_a_shadow_rule_and_what_it_would_do() {
    let folder = folder("");
    let (code, said) = explain(folder.path(), "GET https://app.acme.dev/beta/x --claims eddie.json");
    assert!(
        said.contains(
            "
  app/2  shadow        role beta
         + path       /beta/**  /beta/x
         + sign_in    somebody  eddie, by a session of auth0
         - all_roles  beta      editor
         would deny (role), and is passed over
  app/3  other path    /admin/**
> app/4  decides       signed-in
"
        ),
        "{said}"
    );
    assert_eq!(code, 0);
}

#[test]
fn cli_explain_says_what_answers_where_no_rule_does() {
    let folder = folder("");
    for (url, last, note) in [
        (
            "https://other.acme.dev/",
            "DENY: unknown_host\n  a browser gets 421, a script 421",
            "No route answers for the host other.acme.dev.",
        ),
        ("https://app.acme.dev/a//b", "DENY: bad_request\n  a browser gets 400, a script 400", "empty"),
        ("https://app.acme.dev/a/../b", "DENY: bad_request", "segment"),
        ("https://app.acme.dev/admin;x/y", "DENY: ambiguous_path", "/admin/y: app/3"),
        ("https://app.acme.dev/_doorward/login", "DOORWARD ANSWERS", "no rule is asked"),
    ] {
        let (code, said) = explain(folder.path(), &format!("GET {url}"));
        assert!(said.contains(last) && said.contains(note), "{url}: {said}");
        assert_eq!(code, i32::from(!url.contains("_doorward")), "{url}");
    }
    let (_, token) = explain(folder.path(), "GET https://api.acme.dev/ --claims eddie.json --proof session");
    assert!(token.contains("TOKEN WANTED by api/1: no_token") && token.contains("a session counts as nothing"), "{token}");
}

#[test]
fn cli_explain_lets_nobody_in_whom_the_sign_in_would_not() {
    let folder = folder("");
    let file = folder.path().join("doorward.yaml");
    let bound = CONFIGURATION.replace("client_id: abc,", "client_id: abc, organization: org_acme,");
    std::fs::write(&file, bound).unwrap();
    for (organization, code, said) in [("org_acme", 0, "ALLOW by app/4"), ("org_other", 1, "`providers.auth0.organization` is another one")]
    {
        let claims = json!({ "sub": "ada", "org_id": organization }).to_string();
        let (ended, out, _) = run(folder.path(), &["explain", "GET", "https://app.acme.dev/", "--claims", "-", "--at", AT], &claims);
        assert!(ended == code && out.contains(said), "{organization}: {ended} {out}");
    }
}

#[test]
fn cli_explain_has_an_exit_code_for_each_end() {
    let folder = folder("");
    let secret = "eyJhbGciOiJub25lIn0.c2VjcmV0.c2VjcmV0";
    for (arguments, code, said) in [
        (&["explain", "GET", "https://app.acme.dev/healthz"][..], 0, ""),
        (&["explain", "GET", "https://app.acme.dev/"], 1, ""),
        (&["explain", "GET"], 2, "required"),
        (&["explain", "GET", "http://app.acme.dev/"], 2, "https://"),
        (&["explain", "G E T", "https://app.acme.dev/"], 2, "no method"),
        (&["explain", "GET", "https://app.acme.dev/", "--claims", "nowhere.json"], 2, "cannot be read"),
        (&["explain", "GET", "https://app.acme.dev/", "--claims", "notes.txt"], 2, "no JSON object"),
        (&["explain", "GET", "https://app.acme.dev/", "--claims", "eddie.json", "--provider", "nobody"], 2, "no provider `nobody`"),
        (&["explain", "GET", "https://app.acme.dev/", "--token", secret], 2, "never on the command line"),
        (&["explain", "GET", "https://app.acme.dev/", "--session", "-"], 2, "nothing on standard input"),
        (&["explain", "GET", "https://app.acme.dev/", "--anonymous", "--claims", "eddie.json"], 2, "cannot be used with"),
        (&["explain", "GET", "https://app.acme.dev/", "--at", "yesterday"], 2, "RFC 3339"),
        (&["explain", "GET", "https://app.acme.dev/", "--config", "tls.yaml"], 78, "tls.yaml"),
        (&["routes", "--config", "tls.yaml"], 78, "tls.yaml"),
        (&["test", "tls.yaml"], 78, "tls.yaml"),
    ] {
        let (got, out, error) = run(folder.path(), arguments, "");
        assert!(got == code && error.contains(said), "{arguments:?}: {got} {error}");
        assert!(!format!("{out}{error}").contains(secret), "{arguments:?}");
    }
}

#[test]
fn cli_explain_prints_json_with_names_that_stay() {
    let folder = folder("");
    let (code, said) = explain(folder.path(), "GET https://app.acme.dev/admin/ --claims eddie.json --format json");
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &json["decision"], &json["reason"], &json["rule"]), (1, &json!("deny"), &json!("role"), &json!("app/3")));
    assert_eq!(json["status"], json!({ "browser": 403, "script": 403 }));
    assert_eq!((&json["by"], &json["who"]["roles"][0]["from"][0]["claim"]), (&json!("claims"), &json!("roles")));
    let fates: Vec<&str> = json["rules"].as_array().unwrap().iter().map(|rule| rule["fate"].as_str().unwrap()).collect();
    assert_eq!(fates, ["path", "path", "decides", "not_reached"]);
}

const TESTS: &str = r#"
tests:
  - { name: health is public, request: GET https://app.acme.dev/healthz, expect: allow, rule: app/1 }
  - { name: editors may not, request: GET https://app.acme.dev/admin/, claims: { roles: [editor] }, expect: deny, rule: app/3, reason: role }
  - { name: beta <goes> on, request: GET https://app.acme.dev/beta/x, claims: { sub: eddie, roles: [] }, expect: allow, headers: { X-Auth-User: EXPECTED, X-Auth-Org: "" } }
"#;

#[test]
fn cli_test_passes_and_fails_with_what_happened() {
    let good = folder(&TESTS.replace("EXPECTED", "eddie"));
    let (code, said, _) = run(good.path(), &["test"], "");
    assert!(code == 0 && said.ends_with("SUCCESS: 3 passed, 0 failed\n"), "{said}");
    assert!(
        said.contains("rules that decide: 3 of 4\n    app/1  1 test\n    app/3  1 test\n    app/4  1 test\n    api/1  never\n"),
        "{said}"
    );
    assert!(said.contains("shadow rules, decided and passed over\n    app/2  1 test\n"), "{said}");
    let (code, _, error) = run(good.path(), &["test", "--coverage"], "");
    assert!(code == 1 && error.contains("--coverage"), "{error}");

    let bad = folder(&TESTS.replace("EXPECTED", "ada"));
    let (code, said, _) = run(bad.path(), &["test", "doorward.yaml", "--junit", "junit.xml"], "");
    assert_eq!(code, 1);
    assert!(said.contains("FAILED line ") && said.contains("expected header x-auth-user: ada, got eddie"), "{said}");
    assert!(said.contains("| ALLOW by app/4") && said.ends_with("FAILED: 2 passed, 1 failed\n"), "{said}");
    let junit = std::fs::read_to_string(bad.path().join("junit.xml")).unwrap();
    assert!(junit.contains("tests=\"3\" failures=\"1\"") && junit.contains("name=\"beta &lt;goes&gt; on\""), "{junit}");
    assert_eq!(junit.matches("<testcase ").count(), 3);
    let (_, said, _) = run(bad.path(), &["test", "--format", "json"], "");
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&json["passed"], &json["failed"], &json["tests"][2]["passed"]), (&json!(2), &json!(1), &json!(false)));

    let none = folder("");
    let (code, said, _) = run(none.path(), &["test"], "");
    assert!(code == 0 && said.contains("there are no `tests:`"), "{said}");
    assert_eq!(run(none.path(), &["test", "--coverage"], "").0, 1);
}

#[test]
fn cli_routes_prints_routes_and_rules() {
    let folder = folder("");
    let (code, said, _) = run(folder.path(), &["routes"], "");
    assert_eq!(
        said,
        "app  app.acme.dev/  both by auth0  -> http://10.0.0.5:3000
  app/1  any method  /healthz    public
  app/2  any method  /beta/**    role beta (shadow: counted, not enforced)
  app/3  any method  /admin/**   role admin
  app/4  any method  every path  signed-in

api  api.acme.dev/  bearer by auth0  -> http://10.0.0.6:3000
  api/1  any method  every path  scope read:items
"
    );
    assert_eq!(code, 0);
    let (_, said, _) = run(folder.path(), &["routes", "--format", "json"], "");
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(json["routes"][0]["rules"][1]["enforce"], "log");
    assert_eq!(json["routes"][1]["upstream"], "http://10.0.0.6:3000");
}

#[test]
fn cli_check_counts_every_fault_in_its_json_and_measures_cookies() {
    let folder = folder("");
    let check = || {
        let (code, said, _) = run(folder.path(), &["check", "--format", "json"], "");
        (code, serde_json::from_str::<Value>(&said).unwrap())
    };
    let (code, json) = check();
    assert_eq!((code, &json["errors"]), (0, &json!(0)), "{json}");
    let configuration = folder.path().join("doorward.yaml");
    let with_pages = std::fs::read_to_string(&configuration).unwrap().replace("server:\n", "server:\n  pages: pages\n");
    std::fs::write(&configuration, with_pages).unwrap();
    std::fs::create_dir(folder.path().join("pages")).unwrap();
    std::fs::write(folder.path().join("pages/error.html"), "{% if %}").unwrap();
    let (code, json) = check();
    assert_eq!((code, &json["errors"]), (78, &json!(1)), "{json}");
    assert_eq!(json["problems"].as_array().unwrap().last().unwrap()["key"], "server.pages");
    std::fs::remove_file(folder.path().join("pages/error.html")).unwrap();
    let large = json!({ "sub": "eddie", "roles": (0..400).map(|at| format!("role-number-{at}")).collect::<Vec<_>>() }).to_string();
    for (claims, warned) in [(large.as_str(), true), (r#"{"sub":"eddie"}"#, false)] {
        let (_, said, _) = run(folder.path(), &["check", "--format", "json", "--claims", "-"], claims);
        let json: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(json["problems"].as_array().unwrap().iter().any(|problem| problem["code"] == "W004"), warned, "{said}");
        assert!(json["cookies"][0]["bytes"].is_u64(), "{said}");
    }
}

/// Runs beside the edge that is under test: its own tasks must go on meanwhile.
async fn beside(scene: &Scene, arguments: &[&str], input: String) -> (i32, String, String) {
    let folder = scene.folder.path().to_owned();
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let task = move || run(&folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), &input);
    tokio::task::spawn_blocking(task).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cli_explain_verifies_a_token_with_the_providers_keys() {
    let scene = Scene::start().await;
    let url = format!("https://{API}/items");
    let ask = async |method: &'static str, token: String| beside(&scene, &["explain", method, &url, "--token", "-"], token).await;
    let good = scene.token("ada");
    let (code, said, error) = ask("GET", good.clone()).await;
    assert!(code == 0 && said.contains("by a bearer token of tenant\n") && said.contains("ALLOW by api/2"), "{said}{error}");
    assert!(!said.contains(&good[..40]) && !error.contains(&good[..40]));
    let (code, said, _) = ask("POST", format!("Bearer {good}\n")).await;
    assert!(code == 1 && said.contains("DENY by api/3: scope"), "{said}");
    let changed = |name: &str, value: Value| {
        let mut claims = scene.tenant.access_claims_for("ada", AUDIENCE, "openid read:items");
        claims[name] = value;
        scene.tenant.sign(claims)
    };
    for (token, reason, why) in [
        (changed("aud", json!("https://else.where")), "token_audience", "another audience"),
        (changed("exp", json!(clock::now().0 - 3600)), "token_expired", "has expired"),
        (format!("{}AAAA", &good[..good.len() - 4]), "token_signature", "signature is wrong"),
        ("opaque".into(), "token_malformed", "no JWT"),
        ("two words".into(), "bearer_malformed", "no bearer token"),
    ] {
        let (code, said, _) = ask("GET", token).await;
        assert!(code == 1 && said.contains(reason) && said.contains(why), "{reason}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cli_explain_says_when_the_provider_is_out_of_reach() {
    let scene = Scene::start().await;
    let token = scene.token("ada");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let issuer = scene.tenant.issuer().to_owned();
    let theirs = issuer.trim_start_matches("http://").trim_end_matches('/').to_owned();
    scene.rewrite(|text| text.replace(&theirs, &gone.to_string()));
    let (code, said, error) = beside(&scene, &["explain", "GET", &format!("https://{API}/items"), "--token", "-"], token.clone()).await;
    assert!(code == 1 && said.contains("DENY by api/2: cannot_verify") && said.contains("cannot be reached"), "{said}{error}");
    assert!(said.contains("a browser gets 503, a script 503") && !format!("{said}{error}").contains(&token[..40]), "{said}{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cli_explain_opens_a_session_with_the_configured_keys() {
    let scene = Scene::start().await;
    let now = clock::now();
    let sealed = |began: Timestamp| session(&scene, began, began).seal(&scene.edge().runtime().keys(), APP, [7; 12]).unwrap();
    let url = format!("https://{APP}/mine");
    let ask = async |url: &str, cookie: String| beside(&scene, &["explain", "GET", url, "--session", "-"], cookie).await;
    let good = sealed(now);
    let (code, said, error) = ask(&url, good.clone()).await;
    assert!(code == 0 && said.contains("as auth0|ada (ada@acme.dev), by a session of tenant\n"), "{said}{error}");
    assert!(!said.contains(&good) && !error.contains(&good));
    let (code, _, _) = ask(&url, format!("__Host-doorward={good}")).await;
    assert_eq!(code, 0, "as a browser shows it");
    for (cookie, host, reason) in [
        (sealed(now.minus(Duration::from_secs(50_000))), APP, "session_expired"),
        (good.clone(), "both.localhost", "session_unreadable"),
        (format!("{}AAAA", &good[..good.len() - 4]), APP, "session_unreadable"),
    ] {
        let (code, said, _) = ask(&format!("https://{host}/mine"), cookie).await;
        assert!(code == 1 && said.contains(reason), "{reason}: {said}");
    }
}

/// What `explain --session -` says of whoever holds this cookie: its exit code, and all of its text.
async fn of_session(scene: &Scene, browser: &Browser) -> (i32, String) {
    let (url, cookie) = (format!("https://{APP}/mine"), browser.cookies[COOKIE].clone());
    let (code, said, error) = beside(scene, &["explain", "GET", &url, "--session", "-"], cookie.clone()).await;
    assert!(!format!("{said}{error}").contains(&cookie));
    (code, format!("{said}{error}"))
}

async fn sign_out(browser: &mut Browser) {
    assert_eq!(browser.request("POST", "/_doorward/logout", &[("origin", &format!("https://{APP}"))], b"").await.status, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cli_explain_looks_into_a_file_that_no_edge_holds() {
    let (server, session) = ("  state_dir: .\n".into(), "  idle: 1h\n  lifetime: 12h\n  store: file\n".into());
    let mut scene = Scene::with(Plan { server, session, ..Plan::default() }).await;
    let (ada, mut gone) = (scene.signed_in(APP, "ada").await, scene.signed_in(APP, "ada").await);
    let copy = gone.clone();
    sign_out(&mut gone).await;
    let (code, said) = of_session(&scene, &ada).await;
    assert!(code == 1 && said.contains("cannot be looked up") && said.contains("in use by another process"), "{said}");
    assert!(!said.contains("ALLOW"), "{said}");
    assert!(scene.stop().await);
    let (code, said) = of_session(&scene, &ada).await;
    assert!(code == 0 && said.contains("as auth0|ada") && said.contains("ALLOW by app/5"), "{said}");
    let (code, said) = of_session(&scene, &copy).await;
    assert!(code == 1 && said.contains("session_expired") && said.contains("no such session"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cli_explain_asks_redis_beside_a_running_edge() {
    let mut server = RedisServer::start();
    let session = format!("  idle: 1h\n  lifetime: 12h\n  store: redis\n  redis: {{ url: \"redis://{HOST}:{}/0\" }}\n", server.port());
    let scene = Scene::with(Plan { session, ..Plan::default() }).await;
    let (mut ada, mut gone) = (scene.signed_in(APP, "ada").await, scene.signed_in(APP, "ada").await);
    let copy = gone.clone();
    sign_out(&mut gone).await;
    let (code, said) = of_session(&scene, &ada).await;
    assert!(code == 0 && said.contains("as auth0|ada") && said.contains("ALLOW by app/5"), "{said}");
    let (code, said) = of_session(&scene, &copy).await;
    assert!(code == 1 && said.contains("session_expired"), "{said}");
    assert_eq!(ada.fetch("/mine").await.status, 200, "looking changed nothing");
    server.kill();
    let (code, said) = of_session(&scene, &ada).await;
    assert!(code == 1 && said.contains("cannot be looked up") && !said.contains("ALLOW"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cli_explain_finds_a_decision_in_the_audit_log() {
    let server = "  limits: { connections_per_client: 1000 }\n  audit_log: { file: audit.jsonl }\n";
    let scene = Scene::with(Plan { server: server.into(), ..Plan::default() }).await;
    let refused = scene.ask(API, "POST", "/items", &[("authorization", &format!("Bearer {}", scene.token("ada")))]).await;
    let id = refused.json()["request_id"].as_str().unwrap().to_owned();
    let audit = scene.edge().runtime().audit.clone();
    assert!(tokio::task::spawn_blocking(move || audit.flush(Duration::from_secs(10))).await.unwrap());
    let (code, said, error) = beside(&scene, &["explain", "--decision", &id], String::new()).await;
    assert!(code == 0 && said.contains(&format!("POST https://{API}/items\n")), "{said}{error}");
    assert!(said.contains("DENY by api/3: scope\n  scopes: wanted write:items, found openid, read:items\n"), "{said}");
    let log = std::fs::read_to_string(scene.folder.path().join("audit.jsonl")).unwrap();
    let (code, piped, _) = beside(&scene, &["explain", "--decision", &id, "--audit-log", "-"], log).await;
    assert_eq!((code, piped), (0, said));
    // Rotated away meanwhile.
    std::fs::rename(scene.folder.path().join("audit.jsonl"), scene.folder.path().join("audit.jsonl.1")).unwrap();
    assert_eq!(beside(&scene, &["explain", "--decision", &id], String::new()).await.0, 0);
    for (arguments, code, why) in [
        (&["explain", "--decision", "never-was"][..], 1, "nothing is written about never-was"),
        (&["explain", "--decision", "a b"], 2, "no id"),
        (&["explain", "--decision", &id, "--audit-log", "nowhere"], 1, "cannot be read"),
    ] {
        std::fs::write(scene.folder.path().join("audit.jsonl"), "").unwrap();
        let (got, _, error) = beside(&scene, arguments, String::new()).await;
        assert!(got == code && error.contains(why), "{arguments:?}: {got} {error}");
    }
}
